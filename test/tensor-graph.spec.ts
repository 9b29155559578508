import { describe, expect, it } from '@jest/globals';
import type { Tensor } from '#program';
import { TensorGraph, type GraphValue } from '../libs/formats/tensor-graph/tensor-graph.js';
import { writeGraph, type GraphSignature } from '../libs/formats/tensor-graph/write-graph.js';
import { sharedRunner } from './support/program-runner.js';

const runner = sharedRunner();

function signature(
  inputs: Record<string, GraphValue>,
  outputs: Record<string, GraphValue>,
): GraphSignature {
  const ports = (values: Record<string, GraphValue>) =>
    Object.entries(values).map(([name, value]) => ({
      spec: { name, dtype: value.dtype, shape: [...(value.shape ?? [])] },
      value,
    }));
  return { inputs: ports(inputs), outputs: ports(outputs) };
}

async function run(graph: TensorGraph, entry: GraphSignature, given: Omit<Tensor, 'name'>[]) {
  const facts = { importer: 'test@1', format: 'test', signatures: entry };
  const written = writeGraph(graph.nodes, facts);
  await runner.load(written);
  const inputs = given.map((tensor, i) => ({ ...tensor, name: entry.inputs[i]?.spec.name ?? '' }));
  const outputs = entry.outputs.map(({ spec }) => spec.name);
  const answer = await runner.run(inputs, outputs);
  return { answer, program: written.program };
}

const row = (...values: number[]) => Float32Array.from(values);

describe('a tensor graph', () => {
  it('runs operators before and after a kernel, with large constants in the weights', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'FP32', shape: [-1, 40] });
    const ones = new Float32Array(40 * 30).fill(1);
    const sums = graph.op('MatMul', [x, graph.constant('FP32', [40, 30], ones)]);
    const [same] = graph.kernel('identity', [sums], [sums]);
    if (!same) throw new Error('no value');
    const twice = graph.op('Add', [same, sums]);
    expect(twice).toMatchObject({ dtype: 'FP32', shape: [-1, 30] });
    const data = new Float32Array(80).fill(0.5, 0, 40).fill(1, 40);
    const { answer, program } = await run(graph, signature({ x }, { y: twice }), [
      { dtype: 'FP32', shape: [2, 40], data },
    ]);
    expect(program.nodes.map(({ kind }) => kind)).toEqual(['onnx', 'kernel', 'onnx']);
    expect(answer[0]).toMatchObject({ name: 'y', shape: [2, 30] });
    expect(new Set(answer[0]?.data as Float32Array)).toEqual(new Set([40, 80]));
  });

  it('runs kernels in the order in which they were added', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'FP32', shape: [2] });
    let value = x;
    for (let i = 0; i < 12; i++) [value = x] = graph.kernel('identity', [value], [value]);
    const { answer } = await run(graph, signature({ x }, { y: value }), [
      { dtype: 'FP32', shape: [2], data: row(1, 2) },
    ]);
    expect(answer.map(({ data }) => Array.from<unknown>(data))).toEqual([[1, 2]]);
  });

  it('keeps the sizes that it knows on the way through a shape', () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'FP32', shape: [-1, 7, 7, 3] });
    const shape = graph.cast(graph.op('Shape', [x]), 'INT32');
    const rows = graph.op('Slice', [shape, ...[[0], [1], [0], [1]].map((i) => graph.integers(i))]);
    const sizes = graph.op('Concat', [rows, graph.cast(graph.integers([147]), 'INT32')], {
      axis: 0,
    });
    const flat = graph.op('Reshape', [x, graph.cast(sizes, 'INT64')]);
    expect(flat.shape).toEqual([-1, 147]);
  });

  it('answers constants and inputs that are outputs', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'INT64', shape: [-1] });
    const seven = graph.op('Add', [graph.scalar('INT64', 3), graph.scalar('INT64', 4)]);
    const words = graph.constant('BYTES', [2], ['a', 'ö']);
    const entry = signature({ x }, { seven, words, again: x });
    const { answer } = await run(graph, entry, [
      { dtype: 'INT64', shape: [2], data: BigInt64Array.from([1n, 2n]) },
    ]);
    expect(answer.map(({ data }) => Array.from<unknown>(data))).toEqual([
      [7n],
      ['a', 'ö'],
      [1n, 2n],
    ]);
  });

  it('puts out of a loop what does not depend on its turn', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'FP32', shape: [2] });
    const { states, scans } = graph.loop(
      { most: graph.scalar('INT64', 3), states: [x] },
      (scope, _, [state]) => {
        if (!state) throw new Error('no state');
        const [half] = scope.kernel('identity', [x], [x]);
        const next = scope.op('Add', [state, half]);
        return { condition: scope.scalar('BOOL', true), states: [next], scans: [next] };
      },
    );
    const [last] = states;
    const [steps] = scans;
    if (!last || !steps) throw new Error('no value');
    expect(steps.shape).toEqual([-1, 2]);
    const { answer } = await run(graph, signature({ x }, { last, steps }), [
      { dtype: 'FP32', shape: [2], data: row(1, 2) },
    ]);
    expect(answer.map(({ data }) => [...(data as Float32Array)])).toEqual([
      [4, 8],
      [2, 4, 3, 6, 4, 8],
    ]);
  });

  it('takes one of two branches', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'FP32', shape: [2] });
    const sum = graph.op('ReduceSum', [x], { keepdims: 0 });
    const [y] = graph.branch(
      graph.op('Greater', [sum, graph.scalar('FP32', 0)]),
      (scope) => [scope.op('Neg', [x])],
      () => [x],
    );
    if (!y) throw new Error('no value');
    for (const [given, wanted] of [
      [row(1, 2), [-1, -2]],
      [row(-1, -2), [-1, -2]],
    ] as const) {
      const tensor = { dtype: 'FP32' as const, shape: [2], data: given };
      const { answer } = await run(graph, signature({ x }, { y }), [tensor]);
      expect(answer.map(({ data }) => Array.from<unknown>(data))).toEqual([wanted]);
    }
  });

  it('runs kernels that depend on the turn of a loop, and branches inside', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'FP32', shape: [2] });
    const { states, scans } = graph.loop(
      { most: graph.scalar('INT64', 3), states: [x] },
      (scope, turn, [state]) => {
        if (!state) throw new Error('no state');
        const [next] = scope.kernel('identity', [scope.op('Add', [state, x])], [state]);
        const odd = scope.op('Mod', [turn, scope.scalar('INT64', 2)]);
        const [chosen] = scope.branch(
          scope.op('Equal', [odd, scope.scalar('INT64', 0)]),
          (inner) => inner.kernel('identity', [next ?? state], [state]),
          (inner) => [inner.op('Neg', [next ?? state])],
        );
        if (!next || !chosen) throw new Error('no value');
        return { condition: scope.scalar('BOOL', true), states: [next], scans: [chosen] };
      },
    );
    const [last] = states;
    const [steps] = scans;
    if (!last || !steps) throw new Error('no value');
    const { answer, program } = await run(graph, signature({ x }, { last, steps }), [
      { dtype: 'FP32', shape: [2], data: row(1, 2) },
    ]);
    expect(program.nodes.map(({ kind }) => kind)).toContain('loop');
    expect(answer.map(({ data }) => [...(data as Float32Array)])).toEqual([
      [4, 8],
      [2, 4, -3, -6, 4, 8],
    ]);
    expect(answer[1]?.shape).toEqual([3, 2]);
  });

  it('moves strings that are no UTF-8 with ONNX operators, in loops too', async () => {
    const graph = new TensorGraph();
    const x = graph.input({ dtype: 'BYTES', shape: [-1] });
    const words = graph.constant('BYTES', [2], ['a', Uint8Array.of(0xff)]);
    const all = graph.op('Concat', [x, words], { axis: 0 });
    const table = graph.op('Transpose', [graph.reshape(all, [2, -1])], { perm: [1, 0] });
    const rows = graph.op('Gather', [graph.op('Shape', [x]), graph.scalar('INT64', 0)], {
      axis: 0,
    });
    const { scans } = graph.loop({ most: rows, states: [] }, (scope, turn) => ({
      condition: scope.scalar('BOOL', true),
      states: [],
      scans: [scope.op('Gather', [x, turn], { axis: 0 })],
    }));
    const [again] = scans;
    if (!again) throw new Error('no value');
    const same = graph.op('Equal', [x, again]);
    const { answer } = await run(graph, signature({ x }, { table, again, same }), [
      { dtype: 'BYTES', shape: [4], data: ['p', Uint8Array.of(0x80, 0), 'r\0', 'ö'] },
    ]);
    expect(answer.map(({ shape }) => shape)).toEqual([[3, 2], [4], [4]]);
    expect(answer[0]?.data).toEqual([
      'p',
      'ö',
      Uint8Array.of(0x80, 0),
      'a',
      'r\0',
      Uint8Array.of(0xff),
    ]);
    expect(answer[1]?.data).toEqual(['p', Uint8Array.of(0x80, 0), 'r\0', 'ö']);
    expect(Array.from<unknown>(answer[2]?.data ?? [])).toEqual([1, 1, 1, 1]);
  });
});
