import { ProgramError } from '../program-error.js';
import {
  floatsOf,
  onlyInput,
  tableShape,
  type KernelArguments,
  type RunKernel,
  type Value,
} from './kernel.js';

/**
 * What a kernel does with tables of which only the numbers that are not 0 are kept. It answers what the kernel answers for
 * the same table in full; undefined: it cannot, and the table is made full for it. `run` is the kernel itself.
 */
export type SparseForm = (
  given: KernelArguments,
  run: RunKernel,
) => (inputs: Value[]) => Value[] | undefined;

/** Numbers of a table that is made full, at most: a gigabyte. */
const MOST_CELLS = 2 ** 27;
/** Numbers that the rows of one sparse table may keep. */
const MOST_KEPT = 2 ** 26;

/** Functions of single numbers that make 0 of 0: they see the kept numbers alone. */
const KEEPING_ZERO = [
  'narrow',
  'sublinear',
  'log1p',
  'expm1',
  'sqrt',
  'cbrt',
  'square',
  'abs',
  'negate',
  'sin',
  'tan',
  'asin',
  'atan',
  'sinh',
  'tanh',
  'asinh',
  'floor',
  'ceil',
  'trunc',
  'round-even',
  'sign',
  'relu',
];

export const sparseForms: ReadonlyMap<string, SparseForm> = new Map<string, SparseForm>([
  ...KEEPING_ZERO.map((name): [string, SparseForm] => [name, (_, run) => overKept(run)]),
  ['identity', () => (inputs) => [onlyInput(inputs)]],
  ['as-matrix', () => (inputs) => [onlyInput(inputs)]],
  ['check-finite', checkFinite],
  ['scale-columns', scaleColumns],
  ['normalise-rows', normaliseRows],
  ['join-tables', joinTables],
  ['take-columns', takeColumns],
  ['affine', affine],
  ['binarise', (given, run) => (given.number('than') >= 0 ? overKept(run) : () => undefined)],
]);

/** Puts rows of kept numbers together. */
export class SparseRows {
  private readonly starts: number[] = [0];
  private readonly columns: number[] = [];
  private readonly data: number[] = [];

  constructor(private readonly width: number) {}

  /** Adds the next row; columns need no order. Throws INVALID_INPUT where there are too many numbers. */
  add(row: ReadonlyMap<number, number>): void {
    const columns = Int32Array.from(row.keys()).sort();
    for (const column of columns) {
      this.columns.push(column);
      this.data.push(row.get(column) ?? 0);
    }
    this.starts.push(this.columns.length);
    if (this.columns.length > MOST_KEPT) {
      throw ProgramError.input(
        '/inputs',
        `The texts have more than ${MOST_KEPT} terms. Send fewer rows at once.`,
      );
    }
  }

  /** All rows, FP64 `[rows, width]`. */
  value(): Value {
    return {
      dtype: 'FP64',
      shape: [this.starts.length - 1, this.width],
      data: Float64Array.from(this.data),
      sparse: { starts: Int32Array.from(this.starts), columns: Int32Array.from(this.columns) },
    };
  }
}

/** The same table in full. Throws INVALID_INPUT where that is more than a gigabyte. */
export function dense(value: Value): Value {
  const { sparse, dtype, shape } = value;
  if (!sparse) return value;
  const { rows, columns: width } = tableShape(value);
  if (rows * width > MOST_CELLS) {
    throw ProgramError.input(
      '/inputs',
      `${rows} rows of ${width} columns need more than ${MOST_CELLS} numbers at once. Send fewer rows at once.`,
    );
  }
  const source = floatsOf(value.data, 'a sparse table');
  const data = newLike(source, rows * width);
  for (let row = 0; row < rows; row++) {
    const end = sparse.starts[row + 1] ?? 0;
    for (let i = sparse.starts[row] ?? 0; i < end; i++) {
      data[row * width + (sparse.columns[i] ?? 0)] = source[i] ?? NaN;
    }
  }
  return { dtype, shape, data };
}

/** Rows `from` to `to` in full. */
export function denseRows(value: Value, from: number, to: number): Value {
  const { sparse, shape, dtype } = value;
  if (!sparse) return value;
  const first = sparse.starts[from] ?? 0;
  const last = sparse.starts[to] ?? first;
  return dense({
    dtype,
    shape: [to - from, ...shape.slice(1)],
    data: floatsOf(value.data, 'a sparse table').subarray(first, last),
    sparse: {
      starts: sparse.starts.slice(from, to + 1).map((start) => start - first),
      columns: sparse.columns.subarray(first, last),
    },
  });
}

type Floats = Float32Array | Float64Array;

function newLike(source: Floats, length: number): Floats {
  return source instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
}

/** The kernel over the kept numbers as if they were a column. */
function overKept(run: RunKernel): (inputs: Value[]) => Value[] {
  return (inputs) => {
    const { shape, sparse, dtype, data } = onlyInput(inputs);
    const kept = run([{ dtype, shape: [data.length], data }]);
    return kept.map((value) => ({ ...value, shape, ...(sparse && { sparse }) }));
  };
}

/** Names row and column of what is refused as the kernel itself does. */
function checkFinite(_: KernelArguments, run: RunKernel) {
  return (inputs: Value[]): Value[] | undefined => {
    const input = onlyInput(inputs);
    const source = floatsOf(input.data, 'input of check-finite');
    if (!source.every(Number.isFinite)) {
      const { rows } = tableShape(input);
      // One row after the other: a table in full may be too large.
      for (let row = 0; row < rows; row++) {
        const kept = source.subarray(input.sparse?.starts[row], input.sparse?.starts[row + 1]);
        if (!kept.every(Number.isFinite)) run([denseRows(input, row, row + 1)]);
      }
    }
    const { data, dtype } = input;
    run([{ dtype, shape: [data.length], data }]);
    return [input];
  };
}

/** Only products keep 0 what it is. */
function scaleColumns(given: KernelArguments) {
  const moves = ['subtract', 'add', 'low', 'high'].some((name) => given.has(name));
  const divide = given.has('divide') ? given.floats('divide', 1).data : undefined;
  const multiply = given.has('multiply') ? given.floats('multiply', 1).data : undefined;
  return (inputs: Value[]): Value[] | undefined => {
    const input = onlyInput(inputs);
    const { sparse, shape } = input;
    if (moves || !sparse) return undefined;
    const { columns: width } = tableShape(input);
    if ([divide, multiply].some((step) => step && step.length !== width)) return undefined;
    const data = new Float64Array(floatsOf(input.data, 'input of scale-columns'));
    for (let i = 0; i < data.length; i++) {
      const column = sparse.columns[i] ?? 0;
      let x = data[i] ?? NaN;
      if (divide) x /= divide[column] ?? NaN;
      if (multiply) x *= multiply[column] ?? NaN;
      data[i] = x;
    }
    return [{ dtype: 'FP64', shape, data, sparse }];
  };
}

function normaliseRows(given: KernelArguments) {
  const norm = given.oneOf('norm', ['l1', 'l2', 'max']);
  return (inputs: Value[]): Value[] | undefined => {
    const { data: source, sparse, shape } = onlyInput(inputs);
    if (!sparse) return undefined;
    const data = new Float64Array(floatsOf(source, 'input of normalise-rows'));
    for (let row = 0; row + 1 < sparse.starts.length; row++) {
      const from = sparse.starts[row] ?? 0;
      const to = sparse.starts[row + 1] ?? 0;
      let sum = 0;
      for (let i = from; i < to; i++) {
        const x = Math.abs(data[i] ?? NaN);
        if (norm === 'max') sum = Math.max(sum, x);
        else sum += norm === 'l2' ? x * x : x;
      }
      const divisor = norm === 'l2' ? Math.sqrt(sum) : sum;
      if (divisor === 0) continue;
      for (let i = from; i < to; i++) data[i] = (data[i] ?? NaN) / divisor;
    }
    return [{ dtype: 'FP64', shape, data, sparse }];
  };
}

/** Side by side: of a full table what is not 0 is kept. */
function joinTables() {
  return (inputs: Value[]): Value[] | undefined => {
    const shapes = inputs.map(tableShape);
    const { rows } = shapes[0] ?? { rows: 0 };
    const sources = inputs.map(({ data }) => floatsOf(data, 'a table'));
    const narrow = sources[0] instanceof Float32Array;
    const fits = shapes.every((shape) => shape.rows === rows);
    if (!fits || sources.some((source) => source instanceof Float32Array !== narrow)) {
      return undefined;
    }
    const kept = inputs.reduce((sum, { data }) => sum + data.length, 0);
    const data = narrow ? new Float32Array(kept) : new Float64Array(kept);
    const columns = new Int32Array(kept);
    const starts = new Int32Array(rows + 1);
    let at = 0;
    for (let row = 0; row < rows; row++) {
      let first = 0;
      for (const [k, { sparse }] of inputs.entries()) {
        const width = shapes[k]?.columns ?? 0;
        const source = sources[k] ?? data;
        const from = sparse ? (sparse.starts[row] ?? 0) : row * width;
        const to = sparse ? (sparse.starts[row + 1] ?? 0) : from + width;
        for (let i = from; i < to; i++) {
          const x = source[i] ?? NaN;
          if (x === 0) continue;
          data[at] = x;
          columns[at] = first + (sparse ? (sparse.columns[i] ?? 0) : i - from);
          at += 1;
        }
        first += width;
      }
      starts[row + 1] = at;
    }
    const width = shapes.reduce((sum, shape) => sum + shape.columns, 0);
    return [
      {
        dtype: narrow ? 'FP32' : 'FP64',
        shape: [rows, width],
        data: data.subarray(0, at),
        sparse: { starts, columns: columns.subarray(0, at) },
      },
    ];
  };
}

/** Columns that are taken once and in ascending order, as selectors do. */
function takeColumns(given: KernelArguments) {
  const taken = given.int32('columns');
  const ascending = taken.every((column, i) => i === 0 || column > (taken[i - 1] ?? 0));
  const places = new Map(Array.from(taken, (column, place) => [column, place]));
  return (inputs: Value[]): Value[] | undefined => {
    const input = onlyInput(inputs);
    const { sparse } = input;
    const { rows, columns: width } = tableShape(input);
    if (!sparse || !ascending || (taken.at(-1) ?? -1) >= width) return undefined;
    const source = floatsOf(input.data, 'input of take-columns');
    const data = newLike(source, source.length);
    const columns = new Int32Array(source.length);
    const starts = new Int32Array(rows + 1);
    let at = 0;
    for (let row = 0; row < rows; row++) {
      const to = sparse.starts[row + 1] ?? 0;
      for (let i = sparse.starts[row] ?? 0; i < to; i++) {
        const place = places.get(sparse.columns[i] ?? -1);
        if (place === undefined) continue;
        data[at] = source[i] ?? NaN;
        columns[at] = place;
        at += 1;
      }
      starts[row + 1] = at;
    }
    return [
      {
        dtype: input.dtype,
        shape: [rows, taken.length],
        data: data.subarray(0, at),
        sparse: { starts, columns: columns.subarray(0, at) },
      },
    ];
  };
}

/** Sums in the order of the columns, as over the table in full: what is 0 adds nothing. */
function affine(given: KernelArguments) {
  const { data: coefficients, shape: size } = given.floats('coefficients', 2);
  const intercept = given.floats('intercept', 1).data;
  const [width = 0, outputs = 0] = size;
  return (inputs: Value[]): Value[] | undefined => {
    const input = onlyInput(inputs);
    const { sparse } = input;
    const { rows, columns } = tableShape(input);
    const source = input.data;
    if (!sparse || columns !== width || !(source instanceof Float64Array)) return undefined;
    const data = new Float64Array(rows * outputs);
    for (let row = 0; row < rows; row++) {
      const to = sparse.starts[row + 1] ?? 0;
      const out = row * outputs;
      data.set(intercept, out);
      for (let i = sparse.starts[row] ?? 0; i < to; i++) {
        const x = source[i] ?? NaN;
        const from = (sparse.columns[i] ?? 0) * outputs;
        for (let output = 0; output < outputs; output++) {
          data[out + output] = (data[out + output] ?? 0) + x * (coefficients[from + output] ?? NaN);
        }
      }
    }
    return [{ dtype: 'FP64', shape: outputs === 1 ? [rows] : [rows, outputs], data }];
  };
}
