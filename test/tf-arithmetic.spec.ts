import { describe, expect, it } from '@jest/globals';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import type { DType } from '#program';
import { sharedRunner } from './support/program-runner.js';
import { answerOf, elementsOf, expectTensor, noise, tensor } from './support/tf-op-checks.js';

const runner = sharedRunner();

const unary: Record<string, (x: tf.Tensor) => tf.Tensor> = {
  Abs: tf.abs,
  Neg: tf.neg,
  Sign: tf.sign,
  Floor: tf.floor,
  Ceil: tf.ceil,
  Round: tf.round,
  Exp: tf.exp,
  Expm1: tf.expm1,
  Log: tf.log,
  Log1p: tf.log1p,
  Sqrt: tf.sqrt,
  Rsqrt: tf.rsqrt,
  Square: tf.square,
  Reciprocal: tf.reciprocal,
  Sigmoid: tf.sigmoid,
  Tanh: tf.tanh,
  Sin: tf.sin,
  Cos: tf.cos,
  Tan: tf.tan,
  Asin: tf.asin,
  Acos: tf.acos,
  Atan: tf.atan,
  Sinh: tf.sinh,
  Cosh: tf.cosh,
  Asinh: tf.asinh,
  Acosh: tf.acosh,
  Atanh: tf.atanh,
  Erf: tf.erf,
  Relu: tf.relu,
  Relu6: tf.relu6,
  Elu: tf.elu,
  Selu: tf.selu,
  Softplus: tf.softplus,
  Softmax: (x) => tf.softmax(x),
  LogSoftmax: (x) => tf.logSoftmax(x),
};

describe('functions of one number', () => {
  const values = [...noise(41), 0, -0.5, 0.5, 1.5, 2.5, -2.5, 1e-6, -1e-6, 20, -20, 7, -7, 1];
  for (const [op, reference] of Object.entries(unary))
    it(`${op} is that of TensorFlow.js`, async () => {
      const x = tensor('FP32', [6, 9], values);
      const wanted = reference(tf.tensor(values, [6, 9]));
      const got = await answerOf(runner, { op, inputs: [x] });
      expectTensor(got, { shape: wanted.shape, data: await wanted.data() }, { why: op });
    });

  it('keeps the digits of small results', async () => {
    const small = [1e-12, -1e-9, 3e-7, -2e-5, 1e-3, -0.1, 5];
    const rules: Record<string, (x: number) => number> = {
      Log1p: Math.log1p,
      Expm1: Math.expm1,
      Softplus: (x) => Math.log1p(Math.exp(x)),
    };
    for (const [op, rule] of Object.entries(rules))
      for (const dtype of ['FP32', 'FP64'] as const) {
        const list = op === 'Softplus' ? small.map((x) => Math.log(Math.abs(x))) : small;
        const exact = dtype === 'FP32' ? list.map(Math.fround) : list;
        const got = await answerOf(runner, { op, inputs: [tensor(dtype, [7], exact)] });
        const limits = { relative: dtype === 'FP32' ? 1e-6 : 1e-14, absolute: 0, why: op };
        expectTensor(got, { shape: [7], data: exact.map(rule) }, limits);
      }
  });

  it('Erfc keeps its digits far out', async () => {
    // mpmath.erfc
    const table = [
      [-3, 1.9999779095030015],
      [-0.25, 1.2763263901682369],
      [0.25, 0.7236736098317631],
      [0.75, 0.2888443663464849],
      [1.5, 0.033894853524689274],
      [3, 2.209049699858544e-5],
      [5, 1.537459794428035e-12],
    ] as const;
    for (const dtype of ['FP32', 'FP64'] as const) {
      const x = tensor(
        dtype,
        [7],
        table.map(([at]) => at),
      );
      const got = await answerOf(runner, { op: 'Erfc', inputs: [x] });
      const limits = { relative: dtype === 'FP32' ? 2e-6 : 1e-13, absolute: 0, why: dtype };
      expectTensor(got, { shape: [7], data: table.map(([, y]) => y) }, limits);
    }
  });

  it('has float64 where ONNX Runtime has none', async () => {
    const x = [-0.9, -0.1, 0.3, 0.99];
    const rules: Record<string, (x: number) => number> = {
      Tan: Math.tan,
      Asin: Math.asin,
      Sinh: Math.sinh,
      Atanh: Math.atanh,
      Elu: (v) => (v < 0 ? Math.expm1(v) : v),
      LeakyRelu: (v) => (v < 0 ? v * 0.25 : v),
    };
    for (const [op, rule] of Object.entries(rules)) {
      const given = {
        op,
        inputs: [tensor('FP64', [4], x)],
        attributes: { alpha: { float: 0.25 } },
      };
      const limits = { relative: 1e-13, absolute: 0, why: op };
      expectTensor(await answerOf(runner, given), { shape: [4], data: x.map(rule) }, limits);
    }
  });
});

const floats = [5.5, -5.5, 5.5, -5.5, 0, -0, 1e10, 7, -7, 2];
const others = [2, 2, -2, -2, 3, -3, 3, 7, 7, 0.3];

const binary: Record<string, (x: number, y: number) => number> = {
  AddV2: (x, y) => x + y,
  Sub: (x, y) => x - y,
  Mul: (x, y) => x * y,
  RealDiv: (x, y) => x / y,
  FloorDiv: (x, y) => Math.floor(x / y),
  FloorMod: (x, y) => (x % y !== 0 && x % y < 0 !== y < 0 ? (x % y) + y : x % y),
  TruncateMod: (x, y) => x % y,
  Maximum: Math.max,
  Minimum: Math.min,
  SquaredDifference: (x, y) => (x - y) ** 2,
  DivNoNan: (x, y) => (y === 0 ? 0 : x / y),
};

describe('arithmetic of two numbers', () => {
  for (const [op, rule] of Object.entries(binary))
    it(`${op} of floats`, async () => {
      for (const dtype of ['FP32', 'FP64'] as const) {
        const exact = dtype === 'FP32' ? others.map(Math.fround) : others;
        const inputs = [tensor(dtype, [10], floats), tensor(dtype, [10], exact)];
        const wanted = floats.map((x, i) => rule(x, exact[i] ?? 0));
        expectTensor(await answerOf(runner, { op, inputs }), { shape: [10], data: wanted });
      }
    });

  const integers: Record<string, (x: bigint, y: bigint) => bigint> = {
    AddV2: (x, y) => x + y,
    Sub: (x, y) => x - y,
    Mul: (x, y) => x * y,
    TruncateDiv: (x, y) => x / y,
    FloorDiv: (x, y) => (x - (((x % y) + y) % y)) / y,
    FloorMod: (x, y) => ((x % y) + y) % y,
    TruncateMod: (x, y) => x % y,
    Maximum: (x, y) => (x > y ? x : y),
    Minimum: (x, y) => (x < y ? x : y),
    SquaredDifference: (x, y) => (x - y) ** 2n,
  };
  for (const [op, rule] of Object.entries(integers))
    it(`${op} of integers, which wrap around`, async () => {
      for (const dtype of ['INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16'] as const) {
        const bits = Number(/\d+/.exec(dtype)?.[0]);
        const signed = dtype.startsWith('I');
        const top = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
        const most = bits === 64 ? 2 ** 53 - 1 : top;
        const x = signed ? [7, -7, 7, -7, -most, most, 0, -128] : [7, 250, 7, 255, 0, most, 0, 3];
        const y = signed ? [3, 3, -3, -3, -1, 2, 5, -1] : [3, 3, 200, 16, 1, 2, 5, 255];
        const wrap = (value: bigint) =>
          Number(signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
        const wanted = x.map((value, i) => wrap(rule(BigInt(value), BigInt(y[i] ?? 1))));
        const inputs = [tensor(dtype, [8], x), tensor(dtype, [8], y)];
        for (const constants of [[], [1]]) {
          const got = await answerOf(runner, { op, inputs, constants });
          expect([op, dtype, got.dtype, elementsOf(got)]).toEqual([op, dtype, dtype, wanted]);
        }
      }
    });

  it('divides the least integer by −1 without a trap', async () => {
    for (const [op, wanted] of [
      ['FloorDiv', -(2 ** 31)],
      ['FloorMod', 0],
      ['TruncateDiv', -(2 ** 31)],
      ['TruncateMod', 0],
    ] as const) {
      const inputs = [tensor('INT32', [1], [-(2 ** 31)]), tensor('INT32', [1], [-1])];
      expect(elementsOf(await answerOf(runner, { op, inputs }))).toEqual([wanted]);
    }
  });

  it('powers: floats as in C, integers by multiplication', async () => {
    const x = tensor('INT64', [3], [3, -2, 11]);
    const y = tensor('INT64', [], [5]);
    const got = await answerOf(runner, { op: 'Pow', inputs: [x, y], constants: [1] });
    expect(elementsOf(got)).toEqual([243, -32, 161051]);
    const halves = tensor('FP32', [3], [4, 2, 0]);
    const exponents = tensor('FP32', [3], [0.5, -1, 0]);
    const roots = await answerOf(runner, { op: 'Pow', inputs: [halves, exponents] });
    expectTensor(roots, { shape: [3], data: [2, 0.5, 1] });
  });

  it('Xlogy, Xdivy and MulNoNan are zero where a zero says so', async () => {
    for (const [op, x, y, wanted] of [
      ['Xlogy', [0, 2, 0], [0, 3, -1], [0, 2 * Math.log(3), 0]],
      ['Xdivy', [0, 2, 0], [0, 4, NaN], [0, 0.5, 0]],
      ['MulNoNan', [Infinity, 2, NaN], [0, 4, 0], [0, 8, 0]],
    ] as const) {
      const inputs = [tensor('FP32', [3], x), tensor('FP32', [3], y)];
      expectTensor(await answerOf(runner, { op, inputs }), { shape: [3], data: wanted });
    }
  });
});

describe('comparisons, logic and bits', () => {
  const dtypes: DType[] = ['FP32', 'FP64', 'INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16'];
  it('compares in all dtypes', async () => {
    const rules: Record<string, (x: number, y: number) => boolean> = {
      Equal: (x, y) => x === y,
      NotEqual: (x, y) => x !== y,
      Greater: (x, y) => x > y,
      GreaterEqual: (x, y) => x >= y,
      Less: (x, y) => x < y,
      LessEqual: (x, y) => x <= y,
    };
    const [x, y] = [
      [1, 2, 3],
      [2, 2, 2],
    ];
    for (const [op, rule] of Object.entries(rules))
      for (const dtype of dtypes) {
        const inputs = [tensor(dtype, [3], x ?? []), tensor(dtype, [3], y ?? [])];
        const got = await answerOf(runner, { op, inputs });
        const wanted = (x ?? []).map((value, i) => Number(rule(value, y?.[i] ?? 0)));
        expect([op, dtype, got.dtype, elementsOf(got)]).toEqual([op, dtype, 'BOOL', wanted]);
      }
  });

  it('shifts bits, signed ones with their sign', async () => {
    for (const [dtype, x] of [
      ['INT8', [-128, 127, -3, 5]],
      ['INT16', [-300, 300, -3, 5]],
      ['INT32', [-(2 ** 31), 2 ** 31 - 1, -3, 5]],
      ['INT64', [-(2 ** 40), 2 ** 50, -3, 5]],
      ['UINT8', [255, 128, 3, 5]],
      ['UINT16', [65535, 128, 3, 5]],
    ] as const) {
      const count = [2, 2, 1, 0];
      const bits = Number(/\d+/.exec(dtype)?.[0]);
      const wrap = (n: number, value: bigint) =>
        dtype.startsWith('U') ? BigInt.asUintN(n, value) : BigInt.asIntN(n, value);
      const inputs = [tensor(dtype, [4], x), tensor(dtype, [4], count)];
      const right = await answerOf(runner, { op: 'RightShift', inputs });
      const left = await answerOf(runner, { op: 'LeftShift', inputs });
      const by = (shift: (value: bigint, n: bigint) => bigint) =>
        x.map((value, i) => Number(wrap(bits, shift(BigInt(value), BigInt(count[i] ?? 0)))));
      expect([dtype, elementsOf(right)]).toEqual([dtype, by((value, n) => value >> n)]);
      expect([dtype, elementsOf(left)]).toEqual([dtype, by((value, n) => value << n)]);
    }
  });

  it('chooses elements, and whole rows with the old Select', async () => {
    const [yes, no] = [
      tensor('INT16', [2, 2], [1, 2, 3, 4]),
      tensor('INT16', [2, 2], [5, 6, 7, 8]),
    ];
    const rows = tensor('BOOL', [2], [1, 0]);
    const old = await answerOf(runner, { op: 'Select', inputs: [rows, yes, no] });
    expect(elementsOf(old)).toEqual([1, 2, 7, 8]);
    const each = await answerOf(runner, { op: 'SelectV2', inputs: [rows, yes, no] });
    expect(elementsOf(each)).toEqual([1, 6, 3, 8]);
  });

  it('knows what is finite', async () => {
    const x = tensor('FP32', [4], [1, Infinity, -Infinity, NaN]);
    for (const [op, wanted] of [
      ['IsFinite', [1, 0, 0, 0]],
      ['IsInf', [0, 1, 1, 0]],
      ['IsNan', [0, 0, 0, 1]],
    ] as const)
      expect(elementsOf(await answerOf(runner, { op, inputs: [x] }))).toEqual(wanted);
  });
});
