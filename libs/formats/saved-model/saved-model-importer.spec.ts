import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Program } from '#program';
import {
  FLOAT,
  placeholder,
  signature,
  STRING,
  tensor,
  writeSavedModel,
  type WrittenGraph,
  type WrittenNode,
} from '../../../test/support/saved-model-writer.js';
import { uploadOf } from '../../../test/support/tree-fixtures.js';
import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import { bytesField } from '../protobuf.js';
import { savedModelImporter } from './saved-model-importer.js';

const fixtures = join('test', 'fixtures', 'saved-model');

/** What becomes of a model: its program, or the reason why not. */
async function compiled(upload: UploadedFile[]): Promise<Program | string> {
  try {
    const verdict = await savedModelImporter.compile(upload, {});
    return verdict.state === 'servable' ? verdict.program : `${verdict.state}: ${verdict.reason}`;
  } catch (error) {
    if (error instanceof UnsupportedModel) return `unsupported: ${error.message}`;
    if (error instanceof DamagedModel) return `failed: ${error.message}`;
    throw error;
  }
}

async function compiledGraphs(...graphs: WrittenGraph[]): Promise<Program | string> {
  return compiled([uploadOf('saved_model.pb', writeSavedModel(...graphs))]);
}

const double: WrittenNode = { name: 'y', op: 'AddV2', inputs: ['x', 'x'] };
const doubling: WrittenGraph = {
  nodes: [placeholder, double],
  signatures: { serving_default: signature('y:0') },
};

function signaturesOf(program: Program | string): Program['signatures'] {
  if (typeof program === 'string') throw new Error(program);
  return program.signatures;
}

describe('which graph is served', () => {
  const tagged = (...tags: string[]): WrittenGraph => ({
    ...doubling,
    tags,
    signatures: { [tags.join('+') || 'none']: signature('y:0') },
  });
  it.each([
    [[tagged('serve', 'gpu'), tagged('serve'), tagged('train')], 'serve'],
    [[tagged('train')], 'train'],
    [[tagged()], 'none'],
    [[tagged('train'), tagged('serve', 'cpu')], 'serve+cpu'],
  ])('case %#', async (graphs, name) => {
    const { named } = signaturesOf(await compiledGraphs(...graphs)) ?? { named: {} };
    expect(Object.keys(named)).toEqual([name]);
  });

  it('is told to be none where several could be', async () => {
    const answer = await compiledGraphs(tagged('serve', 'cpu'), tagged('serve', 'gpu'));
    expect(answer).toMatch(/^unsupported: .*\{serve, cpu\}, \{serve, gpu\}/);
  });
});

describe('a SavedModel in an upload', () => {
  const bytes = writeSavedModel(doubling);

  it('may stand in a folder', async () => {
    const upload = [uploadOf('README.md', new Uint8Array(1)), uploadOf('1/saved_model.pb', bytes)];
    expect(await savedModelImporter.recognises(upload)).toBe(true);
    expect(signaturesOf(await compiled(upload))?.default).toBe('serving_default');
  });

  it('must be one, and no other form', async () => {
    const two = [uploadOf('1/saved_model.pb', bytes), uploadOf('2/saved_model.pb', bytes)];
    expect(await compiled(two)).toMatch(
      /^unsupported: There are several SavedModels, in "1\/", "2\/"/,
    );
    expect(await compiled([uploadOf('saved_model.cpb', bytes)])).toMatch(/^unsupported: .*chunked/);
    expect(await compiled([uploadOf('saved_model.pbtxt', bytes)])).toMatch(/^unsupported: /);
  });
});

describe('signatures', () => {
  it('are refused one by one', async () => {
    const answer = await compiledGraphs({
      nodes: [placeholder, double, { name: 'z', op: 'AcmeMystery', inputs: ['x'] }],
      signatures: {
        good: signature('y:0'),
        bad: signature('z:0'),
        absent: signature('w:0', 'x:0'),
      },
    }).catch(String);
    // A tensor that is not there is damage; an operation that nobody knows is not.
    expect(answer).toMatch(/^failed: The graph has no node "w"/);
    const signatures = signaturesOf(
      await compiledGraphs({
        nodes: [placeholder, double, { name: 'z', op: 'AcmeMystery', inputs: ['x'] }],
        signatures: { good: signature('y:0'), bad: signature('z:0') },
      }),
    );
    expect(Object.keys(signatures?.named ?? {})).toEqual(['good']);
    expect(signatures?.refused).toEqual({ bad: expect.stringMatching(/AcmeMystery \(node "z"\)/) });
    expect(Object.keys(signatures?.tensorflow?.signatures ?? {})).toEqual(['bad', 'good']);
  });

  it('may feed a tensor inside of the graph', async () => {
    const answer = await compiledGraphs({
      nodes: [
        { name: 'both', op: 'AcmeMystery' },
        { name: 'y', op: 'AddV2', inputs: ['both:1', 'both:1'] },
      ],
      signatures: { only: signature('y:0', 'both:1') },
    });
    expect(signaturesOf(answer)?.named['only']?.inputs).toEqual([
      { name: 'x', dtype: 'FP32', shape: [-1] },
    ]);
  });

  it('that change a variable that is read are refused, also where no output needs the change', async () => {
    const bytesOfModel = readFileSync(join(fixtures, 'refused-stateful', 'saved_model.pb'));
    const upload = folder('refused-stateful');
    expect(bytesOfModel.length).toBeGreaterThan(0);
    expect(await compiled(upload)).toMatch(
      /^unsupported: .*"serving_default".*AssignAddVariableOp/,
    );
  });

  it('may change a variable that no answer depends on', async () => {
    const counter: WrittenNode[] = [
      { name: 'v', op: 'VarHandleOp' },
      { name: 'one', op: 'Const', attributes: { value: { tensor: tensor(FLOAT, []) } } },
      { name: 'count', op: 'AssignAddVariableOp', inputs: ['v', 'one'] },
    ];
    const y = { ...double, inputs: ['x', 'x', '^count'] };
    const silent = { ...doubling, nodes: [placeholder, ...counter, y] };
    expect(signaturesOf(await compiledGraphs(silent))?.refused).toBeUndefined();
    const seen = {
      ...silent,
      nodes: [...silent.nodes, { name: 'read', op: 'ReadVariableOp', inputs: ['v'] }],
      signatures: { ...silent.signatures, total: signature('read:0') },
    };
    expect(await compiledGraphs(seen)).toMatch(
      /^unsupported: .*AssignAddVariableOp \(node "count"\)/,
    );
  });

  it('without any, functions are asked', async () => {
    const upload: UploadedFile[] = [];
    for (const one of folder('module-signatures'))
      upload.push(one.path === 'saved_model.pb' ? await withoutSignatures(one) : one);
    const { named = {} } = signaturesOf(await compiled(upload)) ?? {};
    expect(Object.keys(named)).toEqual(['flags', 'predict', 'scale', 'version']);
    expect(named['predict']?.inputs).toEqual([{ name: 'x', dtype: 'FP32', shape: [-1, 4] }]);
    expect(named['scale']?.outputs.map(({ name }) => name)).toEqual(['div', 'half', 'mod', 'n']);
  });
});

function folder(name: string): UploadedFile[] {
  const root = join(fixtures, name);
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.|data-/.test(path) && path !== 'expected.json')
    .map((path) => uploadOf(path, new Uint8Array(readFileSync(join(root, path)))));
}

/** Takes the signatures (field 5 of the meta graph) out of a model. */
async function withoutSignatures(file: UploadedFile): Promise<UploadedFile> {
  const model = fieldsOf(await file.read());
  const kept = model.map(({ number, content, whole }) => {
    if (number !== 2) return whole;
    const graph = Buffer.concat(
      fieldsOf(content).flatMap((field) => (field.number === 5 ? [] : [field.whole])),
    );
    return Buffer.concat([Buffer.from([0x12]), varint(graph.length), graph]);
  });
  return uploadOf(file.path, Uint8Array.from(Buffer.concat(kept)));
}

/** The fields of a message that has only varints and messages. */
function fieldsOf(bytes: Uint8Array): { number: number; whole: Uint8Array; content: Uint8Array }[] {
  const fields = [];
  for (let at = 0; at < bytes.length;) {
    const start = at;
    const next = () => {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[at++] ?? 0;
        value += (byte & 0x7f) * scale;
        if (byte < 0x80) return value;
      }
    };
    const tag = next();
    const size = next();
    const content = bytes.subarray(at, tag % 8 === 2 ? at + size : at);
    if (tag % 8 === 2) at += size;
    fields.push({ number: Math.floor(tag / 8), whole: bytes.subarray(start, at), content });
  }
  return fields;
}

function varint(value: number): Uint8Array {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest >= 128 ? (rest % 128) | 0x80 : rest);
    if (rest < 128) return Uint8Array.from(bytes);
  }
}

describe('tables', () => {
  const table = (file: string): WrittenGraph => ({
    nodes: [
      { name: 'x', op: 'Placeholder' },
      {
        name: 'path',
        op: 'Const',
        attributes: { value: { tensor: tensor(STRING, [], ['/a/b']) } },
      },
      {
        name: 'table',
        op: 'HashTableV2',
        attributes: { key_dtype: { type: STRING }, value_dtype: { type: 9 } },
      },
      { name: 'fill', op: 'InitializeTableFromTextFileV2', inputs: ['table', 'path'] },
      { name: 'size', op: 'LookupTableSizeV2', inputs: ['table'] },
    ],
    signatures: {
      size: { inputs: {}, outputs: { size: { name: 'size:0', dtype: 9, shape: [] } } },
    },
    assets: { path: file },
    mainOp: 'fill',
  });
  const compiledTable = (file: string, text: string) =>
    compiled([
      uploadOf('saved_model.pb', writeSavedModel(table(file))),
      uploadOf('assets/words.txt', new TextEncoder().encode(text)),
      uploadOf('secret.txt', new TextEncoder().encode('a\n')),
    ]);

  it('are filled from assets', async () => {
    expect(await compiledTable('words.txt', 'a\r\nb\nö')).toMatchObject({ format: 'saved-model' });
  });

  it.each([
    ['../secret.txt', 'a', /^failed: .*outside of the folder assets/],
    ['/etc/passwd', 'a', /^failed: .*outside of the folder assets/],
    ['C:\\words.txt', 'a', /^failed: .*outside of the folder assets/],
    ['a//words.txt', 'a', /^failed: .*outside of the folder assets/],
    ['other.txt', 'a', /^failed: assets\/other\.txt is missing/],
    ['words.txt', 'a\n\nb', /^failed: assets\/words\.txt, line 2: it is empty/],
    ['words.txt', 'a\nb\na', /^failed: .*two values for the key "a"/],
  ])('%s: %j is refused', async (file, text, reason) => {
    expect(await compiledTable(file, text)).toMatch(reason);
  });
});

describe('hostile models', () => {
  const call = (name: string, called: string, inputs: string[]): WrittenNode => ({
    name,
    op: 'PartitionedCall',
    inputs,
    attributes: { f: { function: called } },
  });

  it('with functions that call themselves are refused', async () => {
    const answer = await compiledGraphs({
      nodes: [placeholder, call('y', 'f', ['x'])],
      functions: [
        { name: 'f', inputs: ['a'], outputs: { b: 'c:output:0' }, nodes: [call('c', 'f', ['a'])] },
      ],
      signatures: { serving_default: signature('y:0') },
    });
    expect(answer).toMatch(/^failed: Functions call each other more than 64 deep/);
  });

  it('with functions that double at every call are refused', async () => {
    const levels = Array.from({ length: 40 }, (_, i) => ({
      name: `f${i}`,
      inputs: ['a'],
      outputs: { b: 'd:output:0' },
      nodes: [call('c', `f${i + 1}`, ['a']), call('d', `f${i + 1}`, ['c:output:0'])],
    }));
    const answer = await compiledGraphs({
      nodes: [placeholder, call('y', 'f0', ['x'])],
      functions: [...levels, { name: 'f40', inputs: ['a'], outputs: { b: 'a' }, nodes: [] }],
      signatures: { serving_default: signature('y:0') },
    });
    expect(answer).toMatch(/^failed: The model has more than 500000 nodes/);
  });

  it('with nodes that need themselves are refused', async () => {
    const answer = await compiledGraphs({
      nodes: [
        placeholder,
        { name: 'y', op: 'AddV2', inputs: ['x', 'z'] },
        { name: 'z', op: 'AddV2', inputs: ['y', 'x'] },
      ],
      signatures: { serving_default: signature('y:0') },
    });
    expect(answer).toMatch(/^(failed|unsupported): The node "[yz]" needs itself/);
  });

  it('with constants of gigabytes are refused', async () => {
    const large: WrittenNode = {
      name: 'c',
      op: 'Const',
      attributes: { value: { tensor: tensor(FLOAT, [2 ** 15, 2 ** 16]) } },
    };
    const answer = await compiledGraphs({
      nodes: [placeholder, large, { name: 'y', op: 'AddV2', inputs: ['x', 'c'] }],
      signatures: { serving_default: signature('y:0') },
    });
    expect(answer).toMatch(/^unsupported: .*repeat their elements to more than 256 MiB/);
  });

  it('that nest deeper than messages may are refused', async () => {
    let deep: number[] = [];
    for (let depth = 0; depth < 200; depth++) deep = bytesField(51, bytesField(1, deep));
    const concrete = bytesField(2, [...bytesField(1, 'f'), ...bytesField(2, bytesField(3, deep))]);
    const bytes = Uint8Array.from(bytesField(2, bytesField(7, concrete)));
    expect(await compiled([uploadOf('saved_model.pb', bytes)])).toMatch(
      /^failed: .*nested more than 100 deep/,
    );
  });

  it('with 100,000 nodes are refused', async () => {
    const nodes = Array.from({ length: 100_000 }, (_, i): WrittenNode => ({
      name: `n${i}`,
      op: 'AddV2',
      inputs: [i === 0 ? 'x' : `n${i - 1}`, 'x'],
    }));
    const answer = await compiledGraphs({
      nodes: [placeholder, ...nodes],
      signatures: { serving_default: signature('n99999:0') },
    });
    expect(answer).toMatch(/^unsupported: .*100000 operators; 50000 are supported/);
  }, 30_000);

  it.each(['tf1-half-plus-two', 'module-signatures'])(
    '%s with other bytes is compiled or refused',
    async (name) => {
      const files = folder(name);
      const original = await files.find(({ path }) => path === 'saved_model.pb')?.read();
      if (!original) throw new Error('no fixture');
      const change = fc.record({
        at: fc.nat(original.length - 1),
        byte: fc.nat(255),
        cut: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(change, async ({ at, byte, cut }) => {
          const bytes = Uint8Array.from(original);
          bytes[at] = byte;
          const damaged = cut ? bytes.subarray(0, at) : bytes;
          const upload = files.map((file) =>
            file.path === 'saved_model.pb' ? uploadOf(file.path, damaged) : file,
          );
          const answer = await compiled(upload);
          expect(typeof answer === 'string' ? answer : 'a program').toMatch(
            /^(failed: |unsupported: |a program)/,
          );
        }),
        { numRuns: 300 },
      );
    },
    60_000,
  );
});
