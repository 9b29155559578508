import type { Tensor } from '#program';
import { decodeInferRequest, encodeInferResponse } from '#protocols';
import { printResult, spread } from './result.js';

// What the codec costs beside bare JSON, both measured in turns in one run: `node dist/bench/codec.js`.

const limits = { maxRows: 100_000, maxDepth: 64 };
const rounds = 15;

function requestOf(rows: number, columns: number, nested: boolean, digits: number): Buffer {
  const data: unknown[] = Array.from({ length: rows }, () =>
    Array.from({ length: columns }, () => Number((Math.random() * 10).toPrecision(digits))),
  );
  const input = {
    name: 'x',
    shape: [rows, columns],
    datatype: 'FP32',
    data: nested ? data : data.flat(),
  };
  return Buffer.from(JSON.stringify({ inputs: [input] }));
}

function outputsOf(rows: number, columns: number, dtype: 'FP32' | 'FP64' | 'INT64'): Tensor {
  const size = rows * columns;
  const values = Array.from({ length: size }, () => Math.random());
  const data =
    dtype === 'FP32'
      ? Float32Array.from(values)
      : dtype === 'FP64'
        ? Float64Array.from(values)
        : BigInt64Array.from(values, (value) => BigInt(Math.floor(value * 100)));
  return { name: 'predict', dtype, shape: [rows, columns], data };
}

/** Microseconds of a call of each, run in turns so that other work on the machine meets both. */
function compare(ours: () => unknown, bare: () => unknown): { ours: number; bare: number }[] {
  const calls = Math.max(5, Math.round(8_000 / timeOf(bare, 20)));
  timeOf(ours, calls);
  return Array.from({ length: rounds }, () => ({
    ours: timeOf(ours, calls),
    bare: timeOf(bare, calls),
  }));
}

function timeOf(work: () => unknown, calls: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) kept = work();
  return Number(process.hrtime.bigint() - start) / 1000 / calls;
}

let kept: unknown;

function report(what: string, times: { ours: number; bare: number }[]): void {
  printResult({
    what: `${what}, to bare JSON`,
    ...spread(times.map(({ ours, bare }) => ours / bare)),
    parts: {
      'codec µs': spread(times.map(({ ours }) => ours)).ratio,
      'JSON µs': spread(times.map(({ bare }) => bare)).ratio,
    },
    better: 'lower',
  });
}

for (const [rows, columns, nested, digits] of [
  [1, 4, false, 2],
  [1, 4, true, 2],
  [64, 20, false, 4],
  [64, 20, true, 4],
  [1000, 20, false, 4],
  [1000, 20, true, 4],
  [1000, 20, true, 17],
] as const) {
  const body = requestOf(rows, columns, nested, digits);
  report(
    `decode ${rows}×${columns} FP32 ${nested ? 'nested' : 'flat'}, ${digits} digits`,
    compare(
      () => decodeInferRequest(body, limits),
      () => JSON.parse(body.toString()) as unknown,
    ),
  );
}
for (const [rows, columns, dtype] of [
  [1, 3, 'FP32'],
  [1, 3, 'FP64'],
  [1, 1, 'INT64'],
  [64, 10, 'FP32'],
  [1000, 10, 'FP32'],
  [1000, 10, 'FP64'],
  [1000, 1, 'INT64'],
] as const) {
  const tensor = outputsOf(rows, columns, dtype);
  const plain = {
    model_name: 'iris',
    model_version: '3',
    outputs: [{ ...tensor, data: numbersOf(tensor) }],
  };
  report(
    `encode ${rows}×${columns} ${dtype}`,
    compare(
      () => encodeInferResponse({ modelName: 'iris', modelVersion: 3, outputs: [tensor] }),
      () => JSON.stringify(plain),
    ),
  );
}
if (kept === undefined) console.log();

function numbersOf({ data }: Tensor): number[] {
  const numbers: number[] = [];
  for (const value of data) numbers.push(Number(value));
  return numbers;
}
