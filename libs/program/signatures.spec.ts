import { describe, expect, it } from '@jest/globals';
import {
  bindInputs,
  bindOutputs,
  chooseSignature,
  loadProgram,
  parseProgram,
  type Program,
  type Signature,
  zeroInputs,
} from './index.js';

const signature = (...outputs: string[]): Signature => ({
  inputs: [{ name: 'x', dtype: 'FP64', shape: [-1] }],
  outputs: outputs.map((name) => ({ name, dtype: 'FP64', shape: [-1] })),
});

function programOf(signatures: Program['signatures']): Program {
  return {
    schemaVersion: 1,
    importer: 'test@1',
    format: 'test',
    signature: signature('y'),
    ...(signatures && { signatures }),
    binding: { kind: 'tensors' },
    rowwise: false,
    nodes: [
      { kind: 'kernel', kernel: 'tanh', inputs: ['a/in/x'], outputs: ['a/out/y'] },
      { kind: 'kernel', kernel: 'sigmoid', inputs: ['b/in/x'], outputs: ['b/out/y'] },
      { kind: 'kernel', kernel: 'identity', inputs: ['b/in/x'], outputs: ['b/out/same'] },
    ],
    weights: { size: 0 },
    files: [],
  };
}

const named = { a: signature('y'), b: signature('y', 'same') };
const tensorflow = {
  tags: ['serve'],
  signatures: {
    a: {
      methodName: 'tensorflow/serving/predict',
      inputs: [{ name: 'x', dtype: 'DT_DOUBLE', shape: null, tensor: 'a_x:0' }],
      outputs: [],
    },
  },
};
const program = programOf({ default: 'a', named, refused: { c: 'It writes files.' }, tensorflow });

describe('a program with named signatures', () => {
  it('runs the one that is asked for, by the names that users see', async () => {
    const runtime = await loadProgram(program, new Uint8Array(0));
    const data = Float64Array.of(1, -2);
    const ask = async (name?: string, outputs?: string[]) => {
      const tensors = [{ name: 'x', dtype: 'FP64' as const, shape: [2], data }];
      const inputs = bindInputs(runtime, tensors, { maxRows: 9, signature: name });
      const answers = await runtime.run(inputs, bindOutputs(runtime, outputs, name));
      return answers.map((answer) => [answer.name, ...(answer.data as Float64Array)]);
    };
    const tanh = ['y', expect.closeTo(Math.tanh(1), 14), expect.closeTo(Math.tanh(-2), 14)];
    expect(await ask()).toEqual([tanh]);
    expect(await ask('a')).toEqual([tanh]);
    expect((await ask('b')).map(([name]) => name)).toEqual(['y', 'same']);
    expect(await ask('b', ['same'])).toEqual([['same', 1, -2]]);
    await expect(ask('a', ['same'])).rejects.toThrow(/no output "same".*"y" FP64/);
  });

  it('has zeros for each', async () => {
    const runtime = await loadProgram(program, new Uint8Array(0));
    expect(zeroInputs(runtime, 'b')).toMatchObject([{ name: 'x', shape: [1] }]);
  });

  it('refuses others with the list, and those that cannot be run with the reason', () => {
    expect(() => chooseSignature(program, 'd')).toThrow(
      /no signature "d"\. The signatures are "a", "b", "c"/,
    );
    expect(() => chooseSignature(program, 'c')).toThrow(
      /"c" cannot be run: It writes files\. Those that can are "a", "b"/,
    );
    expect(() => chooseSignature(program, 'toString')).toThrow(/no signature "toString"/);
  });

  it('takes the only one where none is the default, and else wants to be told', () => {
    expect(chooseSignature(programOf({ named: { a: named.a } })).name).toBe('a');
    const both = programOf({ named });
    expect(() => chooseSignature(both)).toThrow(/no default signature.*"a", "b"/);
    const rest = programOf({ named: { a: named.a }, refused: { b: 'No.' } });
    expect(() => chooseSignature(rest)).toThrow(/no default signature/);
  });

  it('has none to choose from where signatures have no names', () => {
    const plain = { signature: signature('y') };
    expect(chooseSignature(plain)).toEqual(plain);
    expect(chooseSignature(plain, 'serving_default')).toEqual(plain);
    expect(() => chooseSignature(plain, 'a')).toThrow(/only one, without a name/);
  });
});

describe('signatures of program.json', () => {
  it('are read as they were written', () => {
    expect(parseProgram(JSON.parse(JSON.stringify(program)))).toEqual(program);
  });

  it.each([
    ['/signatures/default', { named, default: 'z' }],
    ['/signatures/refused/a', { named, refused: { a: 'why' } }],
    ['/signatures/named/a\0', { named: { 'a\0': named.a } }],
    ['/signatures/tensorflow/tags', { named, tensorflow: { signatures: {} } }],
    [
      '/signatures/tensorflow/signatures/a/inputs/0/shape',
      {
        named,
        tensorflow: {
          tags: [],
          signatures: { a: { methodName: '', inputs: [{ name: 'x', dtype: 'D' }], outputs: [] } },
        },
      },
    ],
  ])('are refused at %s', (pointer, signatures) => {
    const wrong: unknown = { ...program, signatures };
    expect(() => parseProgram(wrong)).toThrow(expect.objectContaining({ pointer }));
  });

  it('must be made by the graph', async () => {
    const wrong = programOf({ named: { ...named, c: signature('y') } });
    await expect(loadProgram(wrong, new Uint8Array(0))).rejects.toThrow(/"c\/out\/y" is neither/);
  });
});
