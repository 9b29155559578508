import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { importers, Spawner, type UploadedFile } from '#formats';
import { concatRows, splitRows, type Program, type Tensor, type TensorData } from '#program';
import { Compartment } from '../libs/serving/compartment.js';
import { onnxFixtures, uploadOf } from './support/onnx-fixtures.js';
import {
  FLOAT,
  INT64,
  initializer,
  input,
  intAttribute,
  intsAttribute,
  model,
  node,
  output,
} from './support/onnx-writer.js';

// Whether requests may be joined is proven from the graph. Here the proof is held against ONNX Runtime.

const TOLERANCE = 1e-6;

function upload(path: string, bytes: Uint8Array): UploadedFile {
  const read = async (offset = 0, length = bytes.length) => bytes.subarray(offset, offset + length);
  return { path, size: bytes.length, read };
}

async function compiled(files: UploadedFile[]): Promise<Program | undefined> {
  const onnx = importers.find(({ format }) => format === 'onnx');
  try {
    const verdict = await onnx?.compile(files, {});
    return verdict?.state === 'servable' ? verdict.program : undefined;
  } catch {
    return undefined;
  }
}

const graph = (parts: number[][], opset = 17) => upload('model.onnx', model(parts, { opset }));

/** Whether the graph of these parts, `x` `[N, 3]` in and `y` `[N, 3]` out, is taken for one with independent rows. */
async function isProven(parts: number[][], shape = [-1, 3], opset = 17): Promise<boolean> {
  const ports = [input('x', FLOAT, shape), output('y', FLOAT, [-1, ...shape.slice(1)])];
  const program = await compiled([graph([...parts, ...ports], opset)]);
  if (!program) throw new Error('the graph is not servable');
  return program.rowwise;
}

const floats = (name: string, dims: readonly number[], values: number[]) =>
  initializer(name, FLOAT, [...dims], new Uint8Array(Float32Array.from(values).buffer));
const integers = (name: string, values: readonly number[]) =>
  initializer(
    name,
    INT64,
    [values.length],
    new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  );

describe('rows of an ONNX graph', () => {
  it('are proven independent where every operator treats them apart', async () => {
    const w = floats('w', [3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const b = floats('b', [3], [1, 2, 3]);
    for (const parts of [
      [w, b, node('Gemm', ['x', 'w', 'b'], ['h']), node('Relu', ['h'], ['y'])],
      [w, node('MatMul', ['x', 'w'], ['h']), node('Softmax', ['h'], ['y'])],
      [b, node('Add', ['b', 'x'], ['y'])],
      [floats('c', [1, 3], [1, 2, 3]), node('Mul', ['x', 'c'], ['y'])],
      [node('ReduceMax', ['x'], ['m'], intsAttribute('axes', [1])), node('Sub', ['x', 'm'], ['y'])],
      [integers('s', [-1, 3]), node('Reshape', ['x', 's'], ['y'])],
      [integers('s', [0, -1]), node('Reshape', ['x', 's'], ['y'])],
    ])
      expect(await isProven(parts)).toBe(true);
  });

  it('are not proven independent where an operator may mix them', async () => {
    const nine = floats('w', [3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const parts of [
      [node('Softmax', ['x'], ['y'], intAttribute('axis', 0))],
      [nine, node('Add', ['x', 'w'], ['y'])],
      [nine, node('Gemm', ['w', 'x'], ['y'])],
      [integers('zero', [0]), node('CumSum', ['x', 'zero'], ['y'])],
      [node('Concat', ['x', 'x'], ['y'], intAttribute('axis', 0))],
      [node('ReduceMax', ['x'], ['m'], intsAttribute('axes', [0])), node('Sub', ['x', 'm'], ['y'])],
      [node('ReduceMax', ['x'], ['m']), node('Sub', ['x', 'm'], ['y'])],
      [
        node('Transpose', ['x'], ['t'], intsAttribute('perm', [1, 0])),
        node('Transpose', ['t'], ['y'], intsAttribute('perm', [1, 0])),
      ],
      [integers('i', [0, 0]), node('Gather', ['x', 'i'], ['y'])],
      [
        node('Shape', ['x'], ['s']),
        node('Cast', ['s'], ['f'], intAttribute('to', FLOAT)),
        integers('one', [1]),
        node('Slice', ['f', 'zero', 'one'], ['n']),
        integers('zero', [0]),
        node('Mul', ['x', 'n'], ['y']),
      ],
    ])
      expect(await isProven(parts)).toBe(false);
  });

  it('are not proven independent where the number of rows is fixed', async () => {
    expect(await isProven([node('Relu', ['x'], ['y'])], [1, 3])).toBe(false);
  });

  it('answer alike alone and together, whatever graph is proven', async () => {
    let proven = 0;
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        chains,
        fc.infiniteStream(fc.float({ noNaN: true, min: -4, max: 4 })),
        async (chain, numbers) => {
          const program = await compiled([graph(chain)]);
          runs += program ? 1 : 0;
          if (!program?.rowwise) return;
          proven++;
          const requests = [1, 2, 1].map((count) => [
            {
              name: 'x',
              dtype: 'FP32' as const,
              shape: [count, 2, 3],
              data: take(numbers, count * 6),
            },
          ]);
          const { worst } = await compare(program, [graph(chain)], requests);
          expect(worst).toBeLessThanOrEqual(1e-5);
        },
      ),
      { numRuns: 1000 },
    );
    process.stdout.write(`rows: of ${runs} random graphs ${proven} proven\n`);
    expect(proven).toBeGreaterThan(20);
    expect(runs - proven).toBeGreaterThan(20);
  }, 120_000);
});

function take(numbers: fc.Stream<number>, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => numbers.next().value ?? 0);
}

/** Nodes one after the other from `x` `[N, 2, 3]` to `y`, with and without care for the rows. */
const chains: fc.Arbitrary<number[][]> = fc
  .array(
    fc.record({
      op: fc.constantFrom(
        'Relu',
        'Softmax',
        'Add',
        'Constant',
        'Reduce',
        'Concat',
        'Transpose',
        'MatMul',
        'Reshape',
        'Gather',
        'Slice',
        'Unsqueeze',
        'Squeeze',
        'Flatten',
        'CumSum',
        'Self',
        'LayerNormalization',
        'Split',
        'ArgMax',
      ),
      axis: fc.integer({ min: -3, max: 3 }),
      dims: fc.constantFrom(
        [1],
        [3],
        [2, 3],
        [1, 2, 3],
        [1, 1, 1],
        [2, 1, 1],
        [1, 3],
        [4, 2, 3],
        [],
      ),
      perm: fc.constantFrom([0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0], [0, 1], [1, 0]),
      shape: fc.constantFrom(
        [-1, 6],
        [-1, 3],
        [0, -1],
        [-1, 2, 3],
        [0, 3, 2],
        [6, -1],
        [0, 0, -1],
        [-1],
      ),
      keep: fc.boolean(),
      before: fc.nat(3),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((steps) => {
    const parts = steps.flatMap((step, i) => partsOf(step, i, i === steps.length - 1));
    return [...parts, input('x', FLOAT, [-1, 2, 3]), output('y', FLOAT, undefined)];
  });

interface Step {
  op: string;
  axis: number;
  dims: readonly number[];
  perm: readonly number[];
  shape: readonly number[];
  keep: boolean;
  before: number;
}

function partsOf(step: Step, i: number, last: boolean): number[][] {
  const { op, axis, dims, perm, shape, keep, before } = step;
  const x = i === 0 ? 'x' : `v${i}`;
  const y = last ? 'y' : `v${i + 1}`;
  const earlier = before >= i ? 'x' : `v${before + 1}`;
  const c = `c${i}`;
  const along = intAttribute('axis', axis);
  const count = dims.reduce((product, dim) => product * dim, 1);
  const values = floats(
    c,
    dims,
    Array.from({ length: count }, (_, k) => (k % 5) - 2),
  );
  switch (op) {
    case 'Softmax':
    case 'LayerNormalization':
      if (op === 'Softmax') return [node(op, [x], [y], along)];
      return [values, node(op, [x, c], [y], along)];
    case 'Add':
      return [values, node('Add', keep ? [x, c] : [c, x], [y])];
    case 'Self':
      return [node('Mul', [x, earlier], [y])];
    case 'Constant':
      return [values, node('Max', [x, c, x], [y])];
    case 'Reduce':
      return [
        node(
          'ReduceMean',
          [x],
          [y],
          intsAttribute('axes', [axis]),
          intAttribute('keepdims', keep ? 1 : 0),
        ),
      ];
    case 'ArgMax':
      return [
        node(op, [x], [`${y}.i`], along, intAttribute('keepdims', keep ? 1 : 0)),
        node('Cast', [`${y}.i`], [y], intAttribute('to', FLOAT)),
      ];
    case 'Concat':
      return [node(op, [x, earlier], [y], along)];
    case 'Transpose':
      return [node(op, [x], [y], intsAttribute('perm', [...perm]))];
    case 'MatMul':
      return [values, node(op, keep ? [x, c] : [c, x], [y])];
    case 'Reshape':
      return [integers(c, shape), node(op, [x, c], [y])];
    case 'Gather':
      return [integers(c, [0, 0, 1]), node(op, [x, c], [y], along)];
    case 'Slice':
      return [
        integers(`${c}.0`, [0]),
        integers(`${c}.1`, [1]),
        integers(c, [axis]),
        node(op, [x, `${c}.0`, `${c}.1`, c], [y]),
      ];
    case 'Unsqueeze':
    case 'Squeeze':
      return [integers(c, [axis]), node(op, [x, c], [y])];
    case 'Flatten':
      return [node(op, [x], [y], along)];
    case 'CumSum':
      return [integers(c, [axis]), node('Squeeze', [c], [`${c}.s`]), node(op, [x, `${c}.s`], [y])];
    case 'Split':
      return [node(op, [x], [y, `${y}.b`], along)];
    default:
      return [node(op, [x], [y])];
  }
}

interface Comparison {
  /** Largest difference, to the size of the number (of 1 at least). */
  worst: number;
  /** Numbers, and how many of them are equal to the last bit. */
  numbers: number;
  equal: number;
}

/** The answers to requests run as one beside those to each alone, all from a compartment. */
async function compare(
  program: Program,
  files: UploadedFile[],
  requests: Tensor[][],
): Promise<Comparison> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-rows-'));
  const paths: Record<string, string> = {};
  for (const [i, file] of files.entries()) {
    paths[file.path] = join(folder, String(i));
    await writeFile(join(folder, String(i)), await file.read());
  }
  const key = String(++keys);
  await compartment.loadProgram(key, { program, files: paths });
  const outputs = program.signature.outputs.map(({ name }) => name);
  const run = (inputs: Tensor[]) => compartment.run(key, inputs, outputs, 20_000);
  const result: Comparison = { worst: 0, numbers: 0, equal: 0 };
  try {
    const alone: Tensor[][] = [];
    try {
      for (const request of requests) alone.push(await run(request));
    } catch {
      // What fails together is run alone again, so that what fails alone does not matter.
      return result;
    }
    const counts = requests.map(([first]) => first?.shape[0] ?? 0);
    const together = splitRows(await run(concatRows(requests)), counts);
    for (const [i, tensors] of alone.entries()) {
      for (const [k, tensor] of tensors.entries()) {
        const other = together[i]?.[k];
        expect(other?.shape).toEqual(tensor.shape);
        if (other) add(result, tensor.data, other.data);
      }
    }
  } finally {
    compartment.unload(key);
  }
  return result;
}

let keys = 0;
let compartment: Compartment;
const spawner = new Spawner();
beforeAll(async () => {
  compartment = await Compartment.start({ memory: 2 ** 31, timeout: 30_000 }, spawner);
}, 30_000);
afterAll(() => {
  compartment.close();
  spawner.close();
});

function add(result: Comparison, one: TensorData, other: TensorData): void {
  expect(other.length).toBe(one.length);
  for (let i = 0; i < one.length; i++) {
    const [a, b] = [one[i], other[i]];
    result.numbers++;
    if (Object.is(a, b)) result.equal++;
    else if (typeof a === 'number' && typeof b === 'number')
      result.worst = Math.max(result.worst, Math.abs(a - b) / Math.max(1, Math.abs(a)));
    else result.worst = Infinity;
  }
}

describe('of the fixtures those that are proven', () => {
  const report: string[] = [];
  const kept: string[] = [];
  afterAll(() => {
    process.stdout.write(
      `rows proven independent:\n${report.join('\n')}\nnot proven: ${kept.join(', ')}\n`,
    );
  });

  for (const fixture of onnxFixtures('plain')) {
    it(`${fixture.name}: requests together answer as each alone`, async () => {
      const parts = uploadOf(fixture);
      const files = await Promise.all(
        parts.map(async ({ path, file }) => upload(path, await readFile(file))),
      );
      const program = await compiled(files);
      expect(program).toBeDefined();
      if (!program?.rowwise) {
        kept.push(fixture.name);
        return;
      }
      const single = fixture.cases
        .filter(({ inputs }) => inputs.every(({ shape }) => shape[0] === inputs[0]?.shape[0]))
        .flatMap(({ inputs }) =>
          splitRows(
            inputs,
            Array.from({ length: inputs[0]?.shape[0] ?? 0 }, () => 1),
          ),
        )
        .filter((request, _, [first]) =>
          request.every(({ shape }, i) => String(shape) === String(first?.[i]?.shape)),
        )
        .slice(0, 64);
      const requests = single.length
        ? Array.from({ length: 48 }, (_, i) => single[i % single.length] ?? [])
        : [];
      const { worst, numbers, equal } = await compare(program, files, requests);
      report.push(
        `  ${fixture.name}: ${equal} of ${numbers} equal to the last bit, largest difference ${worst.toExponential(1)}`,
      );
      expect(worst).toBeLessThanOrEqual(TOLERANCE);
    }, 60_000);
  }
});
