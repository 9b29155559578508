import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type DType,
  DTYPES,
  fromBfloat16,
  fromFloat16,
  type Tensor,
  type TensorData,
} from '#program';
import {
  CodecError,
  decodeInferRequest,
  decodeTensors,
  encodeInferResponse,
  encodeTensors,
  encodeTensorsText,
} from './index.js';
import { toBfloat16, toFloat16 } from './half.js';

const limits = { maxRows: 1000, maxDepth: 64 };

function decode(json: unknown) {
  return decodeInferRequest(
    Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)),
    limits,
  );
}

/** The tensor that one input decodes to; `data` is JSON text. */
function decodeOne(datatype: string, shape: number[], data: string, parameters = '{}'): Tensor {
  const text = `{"inputs":[{"name":"x","shape":[${shape.join()}],"datatype":"${datatype}","data":${data},"parameters":${parameters}}]}`;
  const [tensor] = decode(text).inputs;
  if (tensor === undefined) throw new Error('no tensor');
  return tensor;
}

function refusal(act: () => unknown): CodecError {
  try {
    act();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
  throw new Error('not refused');
}

describe('decodeInferRequest', () => {
  it('reads a request as clients send it', () => {
    const request = decode({
      id: 'a1',
      parameters: { signature_name: 'other' },
      inputs: [
        { name: 'x', shape: [2, 2], datatype: 'FP32', data: [1, 2.5, -3, 4] },
        { name: 's', shape: [2], datatype: 'BYTES', parameters: null, data: ['a', 'ü'] },
      ],
      outputs: [{ name: 'y', parameters: { binary_data: false } }, { name: 'z' }],
      somethingElse: 1,
    });
    expect(request).toEqual({
      id: 'a1',
      parameters: { signature_name: 'other' },
      inputs: [
        { name: 'x', dtype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2.5, -3, 4) },
        { name: 's', dtype: 'BYTES', shape: [2], data: ['a', 'ü'] },
      ],
      outputs: [{ name: 'y', parameters: { binary_data: false } }, { name: 'z' }],
    });
  });

  it('takes null for what is left out', () => {
    const request = decode({ id: null, parameters: null, outputs: null, inputs: [] });
    expect(request).toEqual({ inputs: [] });
  });

  it('reads flat and nested data alike', () => {
    const flat = decodeOne('INT32', [2, 1, 3], '[1,2,3,4,5,6]');
    expect(decodeOne('INT32', [2, 1, 3], '[[[1,2,3]],[[4,5,6]]]')).toEqual(flat);
    expect(flat.data).toEqual(Int32Array.of(1, 2, 3, 4, 5, 6));
  });

  it('reads scalars and empty tensors', () => {
    expect(decodeOne('FP64', [], '[2.5]').data).toEqual(Float64Array.of(2.5));
    expect(decodeOne('FP64', [], '2.5').data).toEqual(Float64Array.of(2.5));
    expect(decodeOne('FP64', [0, 4], '[]').data).toEqual(new Float64Array(0));
    expect(decodeOne('FP64', [2, 0], '[[],[]]').data).toEqual(new Float64Array(0));
  });

  it('keeps every digit of 64-bit integers', () => {
    const { data } = decodeOne(
      'INT64',
      [5],
      '[9007199254740993, -9223372036854775808, 9223372036854775807, 7, "12345678901234567"]',
    );
    expect(data).toEqual(
      BigInt64Array.of(
        9007199254740993n,
        -9223372036854775808n,
        9223372036854775807n,
        7n,
        12345678901234567n,
      ),
    );
    expect(decodeOne('UINT64', [1], '[18446744073709551615]').data).toEqual(
      BigUint64Array.of(18446744073709551615n),
    );
  });

  it('reads floats beside exact integers as ever', () => {
    const [x, n] = decode(
      '{"inputs":[{"name":"x","shape":[3],"datatype":"FP64","data":[12345678901234567168,0.12345678901234568,-0]},' +
        '{"name":"n","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}',
    ).inputs;
    expect(x?.data).toEqual(Float64Array.of(12345678901234567168, 0.12345678901234568, -0));
    expect(n?.data).toEqual(BigInt64Array.of(9007199254740993n));
  });

  it('takes null and words for floats that JSON has not', () => {
    expect(decodeOne('FP32', [4], '[null,"NaN","Infinity","-Infinity"]').data).toEqual(
      Float32Array.of(NaN, NaN, Infinity, -Infinity),
    );
  });

  it('takes booleans as words and bits', () => {
    expect(decodeOne('BOOL', [4], '[true,false,1,0]').data).toEqual(Uint8Array.of(1, 0, 1, 0));
  });

  it('decodes base64 to text where it is text', () => {
    const tensor = decodeOne(
      'BYTES',
      [4],
      '["w7w=","/wA=","YQ",null]',
      '{"content_type":"base64","k":1}',
    );
    expect(tensor.data).toEqual(['ü', Uint8Array.of(255, 0), 'a', null]);
    expect(tensor.parameters).toEqual({ k: 1 });
  });

  it.each([
    ['[1,2]', '', 'expected an object { inputs'],
    ['{', '', 'not JSON'],
    ['{}', '/inputs', 'expected a list of tensors'],
    ['{"inputs":[3]}', '/inputs/0', 'expected { name, shape, datatype, data }'],
    ['{"inputs":[{}]}', '/inputs/0/name', 'expected the name'],
    ['{"inputs":[],"id":3}', '/id', 'expected a string'],
    ['{"inputs":[],"parameters":3}', '/parameters', 'expected an object'],
    ['{"inputs":[],"outputs":3}', '/outputs', 'expected a list'],
    ['{"inputs":[],"outputs":[{}]}', '/outputs/0', 'expected { name'],
    ['{"inputs":[],"outputs":[{"name":"a"},{"name":"a"}]}', '/outputs/1/name', 'second time'],
  ])('refuses %s', (body, pointer, words) => {
    const error = refusal(() => decode(body));
    expect(error.pointer).toBe(pointer);
    expect(error.message).toContain(words);
  });

  it.each([
    ['FP33', [1], '[1]', '/inputs/0/datatype', 'expected one of BOOL'],
    ['constructor', [1], '[1]', '/inputs/0/datatype', 'expected one of BOOL'],
    ['FP32', [-1], '[1]', '/inputs/0/shape/0', 'no free dimension'],
    ['FP32', [2 ** 40], '[1]', '/inputs/0/shape/0', 'expected a size'],
    ['FP32', [1, 2 ** 31 - 1, 2 ** 31 - 1], '[1]', '/inputs/0/data', 'has 1 elements'],
    ['FP32', [1, 2 ** 31 - 1], '[[1]]', '/inputs/0/data/0', 'has 1 elements'],
    ['FP32', [1001], '[1]', '/inputs/0/shape/0', 'at most 1000'],
    ['FP32', [3], '[1,2]', '/inputs/0/data', 'shape [3] says 3'],
    ['FP32', [2, 2], '[[1,2],[3]]', '/inputs/0/data/1', 'has 1 elements'],
    ['FP32', [2, 2], '[[1,2],3]', '/inputs/0/data/1', 'beside lists'],
    ['FP32', [2, 2], '[[1,2],[3,[4]]]', '/inputs/0/data/1/1', 'is a list where the shape'],
    ['FP32', [4], '[[1],[2],[3],[4]]', '/inputs/0/data/0', 'is a list where the shape'],
    ['FP32', [2], '[1,"x"]', '/inputs/0/data/1', 'FP32 takes numbers'],
    ['FP32', [2], '[1,1e39]', '/inputs/0/data/1', 'too large for FP32'],
    ['FP64', [1], '[1e999]', '/inputs/0/data/0', 'too large for FP64'],
    ['FP16', [1], '[65520]', '/inputs/0/data/0', 'too large for FP16'],
    ['INT8', [1], '[128]', '/inputs/0/data/0', 'from -128 to 127'],
    ['UINT8', [1], '[-1]', '/inputs/0/data/0', 'from 0 to 255'],
    ['INT32', [1], '[1.5]', '/inputs/0/data/0', 'takes integers'],
    ['INT32', [1], '[null]', '/inputs/0/data/0', 'no missing value'],
    ['BOOL', [1], '[null]', '/inputs/0/data/0', 'no missing value'],
    ['BOOL', [1], '[2]', '/inputs/0/data/0', 'takes true, false'],
    ['INT64', [1], '[9223372036854775808]', '/inputs/0/data/0', 'takes integers'],
    ['INT64', [1], '[1e18]', '/inputs/0/data/0', 'all its digits'],
    ['UINT64', [1], '[-1]', '/inputs/0/data/0', 'takes integers'],
    ['BYTES', [1], '[1]', '/inputs/0/data/0', 'takes strings'],
    ['BYTES', [1], '["\\ud800"]', '/inputs/0/data/0', 'surrogate'],
    ['FP32', [1], '5', '/inputs/0/data', 'expected a list of 1'],
    ['FP32', [1], 'null', '/inputs/0/data', 'expected a list of 1'],
  ])('refuses %s %j %s', (dtype, shape, data, pointer, words) => {
    const error = refusal(() => decodeOne(dtype, shape, data));
    expect(error.message).toContain(words);
    expect(error.pointer).toBe(pointer);
    expect(error.message).toContain('"x"');
  });

  it('refuses what is not base64', () => {
    const refused = refusal(() => decodeOne('BYTES', [1], '["a b"]', '{"content_type":"base64"}'));
    expect(refused.message).toContain('not base64');
  });

  it('refuses binary data by name', () => {
    const refused = refusal(() => decodeOne('FP32', [1], '[1]', '{"binary_data_size":4}'));
    expect(refused.pointer).toBe('/inputs/0/parameters/binary_data_size');
  });

  it('refuses a name twice and too many inputs', () => {
    const input = { name: 'x', shape: [1], datatype: 'FP32', data: [1] };
    expect(refusal(() => decode({ inputs: [input, input] })).pointer).toBe('/inputs/1/name');
    const many = Array.from({ length: 10_001 }, () => 0);
    expect(refusal(() => decode({ inputs: many })).message).toContain('at most 10000');
  });

  it('refuses bytes that are not UTF-8, and takes a written U+FFFD', () => {
    const error = refusal(() => decodeInferRequest(Buffer.from([0x22, 0xff, 0x22]), limits));
    expect(error.message).toContain('UTF-8');
    expect(decodeOne('BYTES', [1], '["\ufffd"]').data).toEqual(['\ufffd']);
  });

  it('refuses deep nesting before parsing, wherever it hides', () => {
    for (const body of [
      '['.repeat(1_000_000),
      `{"inputs":[],"parameters":${'{"a":'.repeat(63)}[]${'}'.repeat(63)}}`,
      `{"a":${'[0,'.repeat(100)}`,
      `{"a":"]]]],[\\"]]]","b":${'["],[",'.repeat(64)}1`,
    ]) {
      expect(refusal(() => decode(body)).message).toContain('deeper than 64');
    }
    const brackets = JSON.stringify('[[{{'.repeat(100));
    expect(decodeOne('BYTES', [1], `[${brackets}]`).data).toEqual(['[[{{'.repeat(100)]);
    const deepest = `{"inputs":[],"parameters":${'{"a":'.repeat(62)}[]${'}'.repeat(62)}}`;
    expect(decode(deepest).inputs).toEqual([]);
  });

  it('refuses too many lists before parsing, but not brackets in strings', () => {
    const lists = `{"inputs":[{"data":[${'[],'.repeat(1_000_001)}1]}]}`;
    expect(refusal(() => decode(lists)).message).toContain('one flat list');
    const text = '],['.repeat(1_000_001);
    expect(decodeOne('BYTES', [1], JSON.stringify([text])).data).toEqual([text]);
  });

  it('throws nothing but CodecError on any JSON', () => {
    const json = fc.jsonValue({ maxDepth: 4 });
    const like = fc.record(
      {
        id: fc.oneof(fc.string(), json),
        parameters: json,
        inputs: fc.oneof(
          json,
          fc.array(
            fc.record(
              {
                name: fc.oneof(fc.string(), json),
                shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 3 }), { maxLength: 3 }), json),
                datatype: fc.oneof(fc.constantFrom(...DTYPES), json),
                parameters: fc.oneof(fc.constant({ content_type: 'base64' }), json),
                data: fc.oneof(
                  fc.array(fc.oneof(fc.double(), fc.string(), fc.boolean(), json)),
                  json,
                ),
              },
              { requiredKeys: [] },
            ),
          ),
        ),
        outputs: json,
      },
      { requiredKeys: [] },
    );
    const isFine = (body: string) => {
      try {
        decodeInferRequest(Buffer.from(body), limits);
      } catch (error) {
        expect(error).toBeInstanceOf(CodecError);
      }
    };
    fc.assert(
      fc.property(like, (value) => isFine(JSON.stringify(value))),
      { numRuns: 3000 },
    );
    fc.assert(fc.property(fc.string({ unit: 'binary' }), isFine));
  });
});

function dataOf(dtype: DType, size: number): fc.Arbitrary<TensorData> {
  const options = { minLength: size, maxLength: size };
  // The bits of NaNs other than the plain ones are not kept by JSON.
  const half = (infinity: number) =>
    fc
      .array(
        fc.integer({ min: 0, max: 65535 }).filter((bits) => (bits & 0x7fff) <= infinity),
        options,
      )
      .map((bits) => Uint16Array.from(bits));
  switch (dtype) {
    case 'BOOL':
      return fc.uint8Array({ ...options, max: 1 });
    case 'UINT8':
      return fc.uint8Array(options);
    case 'UINT16':
      return fc.uint16Array(options);
    case 'UINT32':
      return fc.uint32Array(options);
    case 'UINT64':
      return fc.bigUint64Array(options);
    case 'INT8':
      return fc.int8Array(options);
    case 'INT16':
      return fc.int16Array(options);
    case 'INT32':
      return fc.int32Array(options);
    case 'INT64':
      return fc.bigInt64Array(options);
    case 'FP16':
      return half(0x7c00);
    case 'BF16':
      return half(0x7f80);
    case 'FP32':
      return fc.float32Array(options);
    case 'FP64':
      return fc.float64Array(options);
    case 'BYTES':
      return fc.array(
        fc.oneof(
          fc.constant(null),
          fc.string({ unit: 'binary' }),
          fc.uint8Array({ minLength: 1 }).map((bytes) => Uint8Array.of(0xff, ...bytes)),
        ),
        options,
      );
  }
}

/** Any tensor, scalars and empty ones included. */
const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    name: fc.string({ minLength: 1 }),
    dtype: fc.constantFrom(...DTYPES),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  })
  .chain(({ name, dtype, shape }) =>
    dataOf(
      dtype,
      shape.reduce((size, dimension) => size * dimension, 1),
    ).map((data) => ({ name, dtype, shape, data })),
  );

describe('round trips', () => {
  it('keeps every tensor through an answer read as a request', () => {
    fc.assert(
      fc.property(anyTensor, (tensor) => {
        const answer = encodeInferResponse({
          modelName: 'm',
          modelVersion: 1,
          outputs: [tensor],
        });
        const request = answer.replace('"outputs":', '"inputs":');
        expect(decodeInferRequest(Buffer.from(request), limits).inputs).toEqual([tensor]);
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps every tensor through stored JSON', () => {
    fc.assert(
      fc.property(anyTensor, (tensor) => {
        expect(decodeTensors(encodeTensors([tensor]))).toEqual([tensor]);
        const stored = JSON.stringify(encodeTensors([tensor]));
        const zeroes = (text: string) => text.replaceAll('-0,', '0,').replaceAll('-0]', '0]');
        expect(encodeTensorsText(decodeTensors(JSON.parse(stored)))).toEqual(
          zeroes(encodeTensorsText([tensor])),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('reads the same from nested data', () => {
    const nest = (values: unknown[], shape: number[]): unknown[] => {
      const [rows = 0, ...inner] = shape;
      if (inner.length === 0) return values;
      const size = inner.reduce((product, dimension) => product * dimension, 1);
      return Array.from({ length: rows }, (_, i) =>
        nest(values.slice(i * size, (i + 1) * size), inner),
      );
    };
    fc.assert(
      fc.property(anyTensor, (tensor) => {
        fc.pre(tensor.shape.length > 0);
        const json = encodeTensors([tensor]).map((written) => ({
          ...written,
          data: nest(written.data, tensor.shape),
        }));
        expect(decodeTensors(json)).toEqual([tensor]);
      }),
    );
  });
});

describe('encodeInferResponse', () => {
  it('writes what the protocol names', () => {
    const text = encodeInferResponse({
      modelName: 'iris "x"',
      modelVersion: 3,
      id: 'ü\n',
      parameters: { k: true },
      outputs: [
        { name: 'p', dtype: 'FP32', shape: [1, 3], data: Float32Array.of(0.1, -0, NaN) },
        {
          name: 'labels',
          dtype: 'INT64',
          shape: [2],
          data: BigInt64Array.of(9007199254740993n, -1n),
          parameters: { labels: ['a'] },
        },
        { name: 'b', dtype: 'BYTES', shape: [2], data: ['ü', Uint8Array.of(255)] },
        { name: 'inf', dtype: 'FP64', shape: [3], data: Float64Array.of(Infinity, 0.1, 1e21) },
      ],
    });
    expect(text).toBe(
      String.raw`{"model_name":"iris \"x\"","model_version":"3","id":"ü\n","parameters":{"k":true},"outputs":[` +
        '{"name":"p","shape":[1,3],"datatype":"FP32","data":[0.1,-0,"NaN"]},' +
        '{"name":"labels","shape":[2],"datatype":"INT64","parameters":{"labels":["a"]},"data":[9007199254740993,-1]},' +
        '{"name":"b","shape":[2],"datatype":"BYTES","parameters":{"content_type":"base64"},"data":["w7w=","/w=="]},' +
        '{"name":"inf","shape":[3],"datatype":"FP64","data":["Infinity",0.1,1e+21]}]}',
    );
  });
});

describe('half precision', () => {
  it('rounds to the nearest, ties to even', () => {
    for (const [codec, max] of [
      [[toFloat16, fromFloat16], 0x7c00],
      [[toBfloat16, fromBfloat16], 0x7f80],
    ] as const) {
      const [toBits, fromBits] = codec;
      for (let bits = 0; bits < max - 1; bits++) {
        const low = fromBits(bits);
        const high = fromBits(bits + 1);
        const middle = (low + high) / 2;
        const even = bits % 2 === 0 ? bits : bits + 1;
        const above = middle * (1 + 2 ** -50);
        const below = middle * (1 - 2 ** -50);
        if (
          toBits(low) !== bits ||
          toBits(middle) !== even ||
          toBits(above) !== bits + 1 ||
          toBits(below) !== bits ||
          toBits(-above) !== ((bits + 1) | 0x8000)
        ) {
          throw new Error(`wrong near bits ${bits}`);
        }
      }
      expect(toBits(1e39)).toBe(max);
      expect(toBits(-Infinity)).toBe(max | 0x8000);
      expect(toBits(-0)).toBe(0x8000);
      expect(fromBits(toBits(NaN))).toBeNaN();
    }
  });
});
