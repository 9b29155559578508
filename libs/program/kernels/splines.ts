import { ProgramError } from '../program-error.js';
import { floatsOf, onlyInput, tableShape, type Kernel, type KernelArguments } from './kernel.js';

type Floats = Float32Array | Float64Array;

/** Curves through known points, FP64 `[rows, columns]`. */
export const splines: Record<string, Kernel> = {
  /**
   * B-splines of each column (SplineTransformer of sklearn/preprocessing/_polynomial.py; scipy/interpolate/src/__fitpack.cc):
   * weights `knots` FP64 `[columns, knots]` and `coefficients` FP64 `[columns, knots − degree − 1, splines]`; attributes
   * `degree`, `extrapolation` (error, constant, linear, continue, periodic) and `bias` = whether the last spline of each
   * column is kept. NaN becomes zeros. Answers `[rows, columns · splines]`.
   */
  splines: (given) => {
    const columns = columnsOf(given);
    const splines = columns[0]?.splines ?? 0;
    const width = splines - (given.flag('bias') ? 0 : 1);
    if (width < 1) given.fail('splines');
    const values = new Float64Array(splines);
    return (inputs) => {
      const input = onlyInput(inputs);
      const shape = tableShape(input);
      if (shape.columns !== columns.length) given.fail(`${shape.columns} columns`);
      const source = floatsOf(input.data, 'input of splines');
      const data = new Float64Array(shape.rows * columns.length * width);
      for (let i = 0; i < source.length; i++) {
        const column = columns[i % columns.length];
        if (!column?.evaluate(source[i] ?? NaN, values)) {
          const row = Math.floor(i / columns.length);
          throw beyond(source[i] ?? NaN, row, i % columns.length);
        }
        for (let s = 0; s < width; s++) data[i * width + s] = values[s] ?? NaN;
      }
      return [{ dtype: 'FP64', shape: [shape.rows, columns.length * width], data }];
    };
  },

  /**
   * The line through points (IsotonicRegression of sklearn/isotonic.py): weights `x` ascending and `y` FP64 `[points]`; beyond
   * the ends by the attribute `beyond`: `nan`, `clip` or `raise` (INVALID_INPUT). NaN stays. Answers `[rows]`.
   */
  'isotonic-line': (given) => {
    const x = given.floats('x', 1).data;
    const y = given.floats('y', 1).data;
    const rule = given.oneOf('beyond', ['nan', 'clip', 'raise']);
    const { length } = x;
    if (length < 1 || y.length !== length) given.fail('points');
    const [low = NaN, high = NaN] = [x[0], x[length - 1]];
    return (inputs) => {
      const input = onlyInput(inputs);
      const source = floatsOf(input.data, 'input of isotonic-line');
      const data = new Float64Array(source.length);
      for (let i = 0; i < data.length; i++) {
        const at = source[i] ?? NaN;
        if (length === 1) data[i] = y[0] ?? NaN;
        else if (at < low || at > high) {
          if (rule === 'raise') throw beyond(at, i, 0);
          data[i] = rule === 'nan' ? NaN : ((at < low ? y[0] : y[length - 1]) ?? NaN);
        } else data[i] = between(x, y, at);
      }
      return [{ dtype: 'FP64', shape: [data.length], data }];
    };
  },
};

function beyond(x: number, row: number, column: number): ProgramError {
  return ProgramError.input(
    '/inputs',
    `There is ${x} in row ${row}, column ${column}, beyond the range that the model was fitted on, and it refuses such numbers.`,
  );
}

/** numpy.interp inside of the ends. */
function between(x: Floats, y: Floats, at: number): number {
  let low = 0;
  let high = x.length - 1;
  if (at === x[high]) return y[high] ?? NaN;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? NaN) <= at) low = middle;
    else high = middle;
  }
  const [x0 = NaN, x1 = NaN, y0 = NaN, y1 = NaN] = [x[low], x[high], y[low], y[high]];
  return ((y1 - y0) / (x1 - x0)) * (at - x0) + y0;
}

type Extrapolation = 'error' | 'constant' | 'linear' | 'continue' | 'periodic';

function columnsOf(given: KernelArguments): Column[] {
  const { data: knots, shape } = given.floats('knots', 2);
  const { data: coefficients, shape: coefficientShape } = given.floats('coefficients', 3);
  const [columns = 0, length = 0] = shape;
  const degree = given.integer('degree', 0, 50);
  const extrapolation = given.oneOf('extrapolation', [
    'error',
    'constant',
    'linear',
    'continue',
    'periodic',
  ]);
  const [sameColumns, bases, splines = 0] = coefficientShape;
  if (sameColumns !== columns || bases !== length - degree - 1 || bases <= degree) {
    given.fail('knots and coefficients differ');
  }
  // scikit-learn counts the degree of linear continuations up from 1 and 0 while it goes through the columns, and reads the
  // ends of the later columns with it.
  let reach = degree;
  return Array.from({ length: columns }, (_, column) => {
    const border = reach;
    if (extrapolation === 'linear' && reach <= 1) reach += 1;
    return new Column(
      {
        knots: knots.subarray(column * length, (column + 1) * length),
        coefficients: coefficients.subarray(
          column * bases * splines,
          (column + 1) * bases * splines,
        ),
        degree,
        splines,
      },
      extrapolation,
      { border, reach },
    );
  });
}

interface Spline {
  knots: Floats;
  coefficients: Floats;
  degree: number;
  splines: number;
}

/** The splines of one column. */
class Column {
  readonly splines: number;
  private readonly work: Float64Array;
  private readonly low: number;
  private readonly high: number;
  private readonly ends: Record<'atLow' | 'atHigh' | 'slopeLow' | 'slopeHigh', Float64Array>;
  private readonly reach: number;

  constructor(
    private readonly spline: Spline,
    private readonly extrapolation: Extrapolation,
    { border, reach }: { border: number; reach: number },
  ) {
    const { knots, degree, splines } = spline;
    this.splines = splines;
    this.reach = reach;
    this.work = new Float64Array(2 * degree + 2);
    this.low = knots[border] ?? NaN;
    this.high = knots[knots.length - 1 - border] ?? NaN;
    const end = (x: number, slope: 0 | 1) => {
      const values = new Float64Array(splines);
      this.write(x, slope, values);
      return values;
    };
    const slope = degree > 0 ? 1 : 0;
    this.ends = {
      atLow: end(this.low, 0),
      atHigh: end(this.high, 0),
      slopeLow: slope === 1 ? end(this.low, 1) : new Float64Array(splines),
      slopeHigh: slope === 1 ? end(this.high, 1) : new Float64Array(splines),
    };
  }

  /** Writes the value of each spline at x; false where that is beyond the knots and refused. */
  evaluate(x: number, values: Float64Array): boolean {
    values.fill(0);
    if (x !== x) return true;
    const { knots, degree } = this.spline;
    const [first = NaN, last = NaN] = [knots[degree], knots[knots.length - 1 - degree]];
    switch (this.extrapolation) {
      case 'error':
        if (x < first || x > last) return false;
        this.write(x, 0, values);
        break;
      case 'continue':
        this.write(x, 0, values);
        break;
      case 'periodic':
        this.write(last > first ? first + modulo(x - first, last - first) : 0, 0, values);
        break;
      case 'constant':
      case 'linear':
        if (x >= this.low && x <= this.high) this.write(x, 0, values);
        else this.extend(x, values);
    }
    return true;
  }

  /** Below and above the ends: only the first and the last splines are anything there. */
  private extend(x: number, values: Float64Array): void {
    const isLow = x < this.low;
    const at = isLow ? this.ends.atLow : this.ends.atHigh;
    const slopes = isLow ? this.ends.slopeLow : this.ends.slopeHigh;
    const distance = this.extrapolation === 'linear' ? x - (isLow ? this.low : this.high) : 0;
    for (let j = 0; j < Math.min(this.reach, this.splines); j++) {
      const s = isLow ? j : this.splines - 1 - j;
      values[s] = (at[s] ?? NaN) + distance * (slopes[s] ?? NaN);
    }
  }

  /** Values or first derivatives by de Boor's recursion, continued beyond the knots. */
  private write(x: number, derivative: 0 | 1, values: Float64Array): void {
    const { knots, coefficients, degree, splines } = this.spline;
    const interval = intervalOf(knots, degree, x);
    deBoor(knots, x, degree, interval, derivative, this.work);
    for (let s = 0; s < splines; s++) {
      let sum = 0;
      for (let a = 0; a <= degree; a++) {
        sum += (coefficients[(interval + a - degree) * splines + s] ?? NaN) * (this.work[a] ?? NaN);
      }
      values[s] = sum;
    }
  }
}

/** `numpy.mod` for a divisor above 0. */
function modulo(x: number, divisor: number): number {
  const rest = x % divisor;
  return rest < 0 ? rest + divisor : rest;
}

/** The knot before x, so that all splines of the degree are there. */
function intervalOf(knots: Floats, degree: number, x: number): number {
  const last = knots.length - degree - 2;
  let interval = degree;
  while (interval < last && x >= (knots[interval + 1] ?? NaN)) interval++;
  return interval;
}

/** The degree + 1 splines that are not zero at x, or their first derivatives, in the first places of `work`. */
function deBoor(
  knots: Floats,
  x: number,
  degree: number,
  interval: number,
  derivative: 0 | 1,
  work: Float64Array,
): void {
  const before = degree + 1;
  work[0] = 1;
  for (let j = 1; j <= degree; j++) {
    work.copyWithin(before, 0, j);
    work[0] = 0;
    const derives = j > degree - derivative;
    for (let n = 1; n <= j; n++) {
      const right = knots[interval + n] ?? NaN;
      const left = knots[interval + n - j] ?? NaN;
      if (right === left) {
        work[n] = 0;
        continue;
      }
      const own = work[before + n - 1] ?? NaN;
      const share = derives ? (j * own) / (right - left) : own / (right - left);
      work[n - 1] = derives
        ? (work[n - 1] ?? NaN) - share
        : (work[n - 1] ?? NaN) + share * (right - x);
      work[n] = derives ? share : share * (x - left);
    }
  }
}
