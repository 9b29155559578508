import { describe, expect, it } from '@jest/globals';
import { encode as encodePng } from 'fast-png';
import fc from 'fast-check';
import { decodeJpeg } from '../libs/program/images/jpeg.js';
import { decodePng } from '../libs/program/images/png.js';
import { ImageFault } from '../libs/program/images/image.js';
import { sharedRunner } from './support/program-runner.js';
import {
  constantNode,
  loadGraph,
  runGraph,
  type AttributeLiteral,
  type GraphLiteral,
  type TensorLiteral,
} from './support/tf-graphs.js';

/* Operations that kernels compute: sparse and ragged tensors, tf.Examples, pictures. Answers are those of TensorFlow's documentation. */

const runner = sharedRunner();

const list = (dtype: TensorLiteral['dtype'], ...data: (number | string)[]): TensorLiteral => ({
  dtype,
  shape: [data.length],
  data: data as number[],
});
const scalar = (dtype: TensorLiteral['dtype'], value: number | string): TensorLiteral => ({
  dtype,
  shape: [],
  data: [value] as number[],
});

/** The outputs of one operation whose inputs come with the request, those in `constants` excepted. */
async function run(
  operation: string,
  inputs: TensorLiteral[],
  {
    attributes = {},
    constants = [],
    outputs = 1,
  }: { attributes?: Record<string, AttributeLiteral>; constants?: number[]; outputs?: number } = {},
) {
  const names = inputs.map((_, i) => `x${i}`);
  const asked = inputs.map((input, i) => ({ input, name: `x${i}`, i }));
  const given = asked.filter(({ i }) => !constants.includes(i));
  const literal: GraphLiteral = {
    inputs: Object.fromEntries(
      given.map(({ name, input }) => [name, { dtype: input.dtype, shape: input.shape }]),
    ),
    nodes: {
      ...Object.fromEntries(
        constants.map((i) => {
          const { dtype, shape, data } = inputs[i] ?? scalar('INT32', 0);
          return [`x${i}`, constantNode(dtype, shape, data)];
        }),
      ),
      y: [operation, names, attributes],
    },
    outputs: Array.from({ length: outputs }, (_, i) => `y:${i}`),
  };
  const tensors = await runGraph(
    runner,
    literal,
    Object.fromEntries(given.map(({ name, input }) => [name, input])),
  );
  return tensors.map(({ shape, data }) => ({
    shape,
    data: Array.from<unknown, unknown>(data, (x) => (typeof x === 'bigint' ? Number(x) : x)),
  }));
}

describe('ragged tensors', () => {
  it('become dense, cut and filled', async () => {
    const given = [
      list('INT64', 3, 2),
      list('INT32', 1, 2, 3, 4, 5),
      scalar('INT32', 9),
      list('INT64', 0, 3, 3, 5),
    ];
    const attributes = { row_partition_types: ['ROW_SPLITS'] };
    const [cut] = await run('RaggedTensorToTensor', given, { attributes });
    expect(cut).toEqual({ shape: [3, 2], data: [1, 2, 9, 9, 4, 5] });
    const [whole] = await run('RaggedTensorToTensor', [list('INT64', -1, -1), ...given.slice(1)], {
      attributes,
    });
    expect(whole).toEqual({ shape: [3, 3], data: [1, 2, 3, 9, 9, 9, 4, 5, 9] });
  });

  it('become dense by row ids and splits together', async () => {
    const [dense] = await run(
      'RaggedTensorToTensor',
      [
        scalar('INT64', -1),
        list('BYTES', 'a', 'b', 'c'),
        scalar('BYTES', '-'),
        scalar('INT64', 3),
        list('INT64', 0, 2),
        list('INT64', 0, 1, 3),
      ],
      { attributes: { row_partition_types: ['FIRST_DIM_SIZE', 'VALUE_ROWIDS', 'ROW_SPLITS'] } },
    );
    expect(dense).toEqual({
      shape: [3, 1, 2],
      data: ['a', '-', '-', '-', 'b', 'c'],
    });
  });

  it('are ranges and chosen rows', async () => {
    const ranges = [list('INT32', 2, 5, 8), list('INT32', 3, 5, 12), scalar('INT32', 1)];
    const [splits, values] = await run('RaggedRange', ranges, { outputs: 2 });
    expect([splits?.data, values?.data]).toEqual([
      [0, 1, 1, 5],
      [2, 8, 9, 10, 11],
    ]);
    const rows = [list('INT64', 0, 2, 2, 3), list('BYTES', 'a', 'b', 'c'), list('INT32', 2, 0, 0)];
    const attributes = { PARAMS_RAGGED_RANK: 1, OUTPUT_RAGGED_RANK: 1 };
    const taken = await run('RaggedGather', rows, { attributes, outputs: 2 });
    expect(taken.map(({ data }) => data)).toEqual([
      [0, 1, 3, 5],
      ['c', 'a', 'b', 'a', 'b'],
    ]);
  });
});

describe('segments', () => {
  const rows: TensorLiteral = { dtype: 'FP32', shape: [3, 2], data: [1, 2, 3, 4, 5, 6] };

  it.each([
    ['UnsortedSegmentSum', [6, 8, 0, 0, 3, 4]],
    ['UnsortedSegmentProd', [5, 12, 1, 1, 3, 4]],
    ['UnsortedSegmentMax', [5, 6, -3.4028234663852886e38, -3.4028234663852886e38, 3, 4]],
  ])('%s', async (operation, data) => {
    const given = [rows, list('INT32', 0, 2, 0), scalar('INT32', 3)];
    expect(await run(operation, given)).toEqual([{ shape: [3, 2], data }]);
  });

  it.each([
    ['SegmentSum', [4, 6, 0, 0, 5, 6]],
    ['SegmentMean', [2, 3, 0, 0, 5, 6]],
    ['SegmentMax', [3, 4, 0, 0, 5, 6]],
  ])('%s', async (operation, data) => {
    expect(await run(operation, [rows, list('INT32', 0, 0, 2)])).toEqual([{ shape: [3, 2], data }]);
  });

  it('are refused where they go back or lead outside', async () => {
    await expect(run('SegmentSum', [rows, list('INT32', 1, 0, 2)])).rejects.toThrow(/ascending/);
    const outside = [rows, list('INT32', 0, 5, 1), scalar('INT32', 3)];
    await expect(run('UnsortedSegmentSum', outside)).rejects.toThrow(/Segment 5/);
  });

  it('of chosen rows', async () => {
    const given = [rows, list('INT32', 2, 0, 1), list('INT32', 0, 0, 1)];
    const [mean] = await run('SparseSegmentMean', given);
    expect(mean).toEqual({ shape: [2, 2], data: [3, 4, 3, 4] });
  });

  it('equal values are found once', async () => {
    const answer = await run('UniqueWithCounts', [list('INT32', 1, 1, 2, 4, 4, 4, 7, 8, 8)], {
      outputs: 3,
    });
    expect(answer.map(({ data }) => data)).toEqual([
      [1, 2, 4, 7, 8],
      [0, 0, 1, 2, 2, 2, 3, 4, 4],
      [2, 1, 3, 1, 2],
    ]);
  });

  it('are counted', async () => {
    const values: TensorLiteral = { dtype: 'INT32', shape: [2, 3], data: [0, 2, 2, 1, 9, 1] };
    const none: TensorLiteral = { dtype: 'FP32', shape: [0], data: [] };
    const given = [values, scalar('INT32', 3), none];
    const [counts] = await run('DenseBincount', given);
    expect(counts).toEqual({ shape: [2, 3], data: [1, 0, 2, 0, 2, 0] });
    const [binary] = await run('DenseBincount', given, { attributes: { binary_output: true } });
    expect(binary?.data).toEqual([1, 0, 1, 0, 1, 0]);
  });
});

describe('sparse tensors', () => {
  const indices: TensorLiteral = { dtype: 'INT64', shape: [3, 2], data: [0, 1, 2, 0, 2, 1] };
  const shape = list('INT64', 4, 2);

  it('become dense', async () => {
    const given = [indices, shape, list('FP32', 1, 2, 3), scalar('FP32', -1)];
    const [dense] = await run('SparseToDense', given);
    expect(dense).toEqual({ shape: [4, 2], data: [-1, 1, -1, -1, 2, 3, -1, -1] });
    const outside = [{ ...indices, data: [0, 1, 2, 0, 2, 5] }, ...given.slice(1)];
    await expect(run('SparseToDense', outside)).rejects.toThrow(/Index 5 .*outside/);
  });

  it('get a value in each row', async () => {
    const answer = await run(
      'SparseFillEmptyRows',
      [indices, list('BYTES', 'a', 'b', 'c'), shape, scalar('BYTES', '')],
      { outputs: 4 },
    );
    expect(answer.map(({ data }) => data)).toEqual([
      [0, 1, 1, 0, 2, 0, 2, 1, 3, 0],
      ['a', '', 'b', 'c', ''],
      [0, 1, 0, 1],
      [0, 2, 3],
    ]);
  });

  it('change their shape and order, are summed and multiplied', async () => {
    const [moved, sizes] = await run('SparseReshape', [indices, shape, list('INT64', -1)], {
      outputs: 2,
    });
    expect([moved?.data, sizes?.data]).toEqual([[1, 4, 5], [8]]);
    const turned = { ...indices, data: [2, 1, 0, 1, 2, 0] };
    const sorted = await run('SparseReorder', [turned, list('INT32', 3, 1, 2), shape], {
      outputs: 2,
    });
    expect(sorted.map(({ data }) => data)).toEqual([
      [0, 1, 2, 0, 2, 1],
      [1, 2, 3],
    ]);
    const values = list('FP32', 1, 2, 3);
    const [sums] = await run('SparseReduceSum', [indices, values, shape, list('INT32', 1)], {
      constants: [3],
    });
    expect(sums).toEqual({ shape: [4], data: [1, 0, 5, 0] });
    const matrix: TensorLiteral = { dtype: 'FP32', shape: [2, 1], data: [10, 100] };
    const [product] = await run('SparseTensorDenseMatMul', [indices, values, shape, matrix]);
    expect(product).toEqual({ shape: [4, 1], data: [100, 0, 320, 0] });
  });

  it('are crossed in the order of TensorFlow', async () => {
    const words: TensorLiteral = { dtype: 'BYTES', shape: [1, 2], data: ['a', 'b'] };
    const numbers: TensorLiteral = { dtype: 'INT64', shape: [1, 2], data: [1, 2] };
    const crossed = await run('SparseCross', [words, numbers], {
      attributes: {
        N: 0,
        hashed_output: false,
        num_buckets: 0,
        hash_key: 956888297470,
        out_type: { type: 'BYTES' },
        internal_type: { type: 'BYTES' },
      },
      outputs: 3,
    });
    expect(crossed.map(({ data }) => data)).toEqual([
      [0, 0, 0, 1, 0, 2, 0, 3],
      ['a_X_1', 'a_X_2', 'b_X_1', 'b_X_2'],
      [1, 4],
    ]);
  });
});

/** A field of the wire format with a length. */
function field(number: number, ...parts: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(number * 8 + 2), varint(body.length), body]);
}

function varint(value: number): Uint8Array {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) | (rest > 127 ? 128 : 0));
    if (rest < 128) return Uint8Array.from(bytes);
  }
}

function example(features: Record<string, number[] | string[] | bigint[]>): Uint8Array {
  const entries = Object.entries(features).map(([name, values]) => {
    const [first] = values;
    const feature =
      typeof first === 'string'
        ? field(1, ...values.map((text) => field(1, Buffer.from(String(text)))))
        : typeof first === 'bigint'
          ? field(3, field(1, ...values.map((value) => varint(Number(value)))))
          : field(2, field(1, Buffer.from(Float32Array.from(values, Number).buffer)));
    return field(1, field(1, Buffer.from(name)), field(2, feature));
  });
  return field(1, ...entries);
}

describe('tf.Examples', () => {
  const attributes = {
    Nsparse: 1,
    Ndense: 2,
    sparse_types: [{ type: 'BYTES' as const }],
    Tdense: [{ type: 'FP32' as const }, { type: 'INT64' as const }],
    dense_shapes: [{ shape: [2] }, { shape: [] }],
  };

  /** `ParseExample` of serialised examples: a sparse feature `s`, dense ones `d` and `i`, the latter 7 where it is missing. */
  async function parse(...serialised: Uint8Array[]) {
    const literal: GraphLiteral = {
      inputs: { x: { dtype: 'BYTES', shape: [-1] } },
      nodes: {
        names: constantNode('BYTES', [0], []),
        s: constantNode('BYTES', [], ['s']),
        d: constantNode('BYTES', [], ['d']),
        i: constantNode('BYTES', [], ['i']),
        none: constantNode('FP32', [0], []),
        seven: constantNode('INT64', [], [7]),
        y: ['ParseExample', ['x', 'names', 's', 'd', 'i', 'none', 'seven'], attributes],
      },
      outputs: ['y:0', 'y:1', 'y:2', 'y:3', 'y:4'],
    };
    await loadGraph(runner, literal);
    const data = serialised.map((bytes) => new Uint8Array(bytes));
    const inputs = [{ name: 'x', dtype: 'BYTES' as const, shape: [data.length], data }];
    const tensors = await runner.run(inputs, literal.outputs);
    return tensors.map((tensor) =>
      Array.from<unknown, unknown>(tensor.data, (x) => (typeof x === 'bigint' ? Number(x) : x)),
    );
  }

  it('give their features', async () => {
    const first = example({ s: ['a', 'b'], d: [1.5, 2], i: [300n] });
    const second = example({ d: [3, 4], s: ['ö'] });
    expect(await parse(first, second)).toEqual([
      [0, 0, 0, 1, 1, 0],
      ['a', 'b', 'ö'],
      [2, 2],
      [1.5, 2, 3, 4],
      [300, 7],
    ]);
  });

  it('are refused where a feature is missing, of another type or another length', async () => {
    await expect(parse(example({ s: ['a'] }))).rejects.toThrow(/"d" of example 0 is missing/);
    await expect(parse(example({ d: ['a'] }))).rejects.toThrow(/"d" .* no list of FP32/);
    await expect(parse(example({ d: [1] }))).rejects.toThrow(/"d" .* has 1 values and not 2/);
  });

  it('refuse or read whatever bytes', async () => {
    const whole = example({ s: ['a'], d: [1, 2], i: [1n] });
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
        const bytes = Uint8Array.from(whole);
        bytes[at] = byte;
        const answer = await parse(bytes).catch(String);
        if (typeof answer === 'string') expect(answer).toMatch(/tf\.Example|feature/);
      }),
      { numRuns: 60 },
    );
  });
});

describe('pictures', () => {
  it('of PNG come out as they went in', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(1, 2, 3, 4),
        (width, height, channels) => {
          const data = Uint8Array.from(
            { length: width * height * channels },
            (_, i) => (i * 37) % 256,
          );
          const png = encodePng({ width, height, channels, data, depth: 8 });
          expect(decodePng(png, 0)).toEqual({ width, height, channels, data });
        },
      ),
    );
  });

  it('are refused before they are unpacked where they are too large', () => {
    const png = encodePng({ width: 2, height: 2, channels: 1, data: new Uint8Array(4), depth: 8 });
    new DataView(png.buffer).setUint32(png.byteOffset + 16, 100_000);
    new DataView(png.buffer).setUint32(png.byteOffset + 20, 100_000);
    expect(() => decodePng(png, 0)).toThrow(/100000 × 100000 pixels/);
  });

  it('of JPEG are decoded or refused, whatever the bytes are', () => {
    const jpeg = Buffer.from(
      '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AKp//2Q==',
      'base64',
    );
    const { width, height, channels } = decodeJpeg(jpeg, 3, 'fast');
    expect([width, height, channels]).toEqual([8, 8, 3]);
    fc.assert(
      fc.property(fc.nat(jpeg.length - 1), fc.nat(255), fc.nat(jpeg.length), (at, byte, end) => {
        const bytes = Uint8Array.from(jpeg).subarray(0, Math.max(end, 3));
        bytes[at] = byte;
        try {
          decodeJpeg(bytes, 0, 'accurate');
        } catch (error) {
          expect(error).toBeInstanceOf(ImageFault);
        }
      }),
      { numRuns: 500 },
    );
  });
});
