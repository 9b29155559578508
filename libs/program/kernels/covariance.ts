import { sin } from '../math/circular.js';
import { tanh } from '../math/hyperbolic.js';
import { pow64 } from '../math/logarithms.js';
import { ProgramError } from '../program-error.js';
import { exp64 } from './exp64.js';
import type { KernelArguments } from './kernel.js';
import { differences, dots, squares, type Measure } from './measures.js';

type Floats = Float32Array | Float64Array;

/** One step of a covariance: works on the stack of vectors, each with a number a point. */
type Step = (stack: Float64Array[], row: Row) => void;

/** A row of a request, and where it begins. */
interface Row {
  source: Floats;
  from: number;
}

/** What is the same for all points. */
interface Points {
  data: Floats;
  count: number;
  width: number;
}

const MOST_STEPS = 200;

/**
 * How alike a row is to each of the weight `points` FP64 `[points, columns]`. The attribute `covariance` lists steps in
 * postfix order, the weight `parameters` FP64 what they need, in the order of the steps:
 *
 * - of sklearn/gaussian_process/kernels.py (distances as scipy's `cdist` sums them): `rbf`, `matern-0.5`, `matern-1.5`,
 *   `matern-2.5`, `matern-inf` (number of length scales, the length scales), `rational` (α, length scale), `exp-sine` (length
 *   scale, periodicity), `dot` (σ₀), `constant` (value), `white` (noise level);
 * - `sum`, `product` of the last two, `power` (exponent) of the last;
 * - of sklearn/metrics/pairwise.py: `pair-linear`, `pair-rbf` (γ), `pair-poly` (γ, coef0, degree), `pair-sigmoid` (γ, coef0),
 *   `pair-cosine`, `pair-laplacian` (γ), `pair-chi2` (γ), `pair-additive-chi2`.
 */
export class Covariance {
  readonly points: Points;
  private readonly steps: Step[] = [];
  private readonly stack: Float64Array[] = [];
  /** The covariance of a row with itself; absent where a step has none that is known. */
  private readonly diagonals: ((own: number[], row: Row) => void)[] = [];
  private next = 0;
  private readonly parameters: Floats;
  private depth = 0;

  constructor(private readonly given: KernelArguments) {
    const { data, shape } = given.floats('points', 2);
    const [count = 0, width = 0] = shape;
    if (count < 1 || width < 1) given.fail('points');
    this.points = { data, count, width };
    this.parameters = given.floats('parameters', 1).data;
    const names = given.strings('covariance');
    if (names.length > MOST_STEPS) given.fail('covariance has too many steps');
    for (const name of names) this.addStep(name);
    if (this.depth !== 1 || this.next !== this.parameters.length) given.fail('covariance');
  }

  /** With each point, in a vector that the next call writes over. */
  of(source: Floats, from: number): Float64Array {
    const row = { source, from };
    const { stack } = this;
    this.depth = 0;
    for (const step of this.steps) step(stack, row);
    return stack[0] ?? new Float64Array(0);
  }

  /** Of a row with itself. */
  diagonal(source: Floats, from: number): number {
    const row = { source, from };
    const own: number[] = [];
    for (const step of this.diagonals) step(own, row);
    return own[0] ?? NaN;
  }

  private parameter(): number {
    const value = this.parameters[this.next++];
    return value ?? this.given.fail('parameters');
  }

  private addStep(name: string): void {
    if (name === 'sum' || name === 'product') return this.combine(name === 'sum');
    if (name === 'power') return this.raise(this.parameter());
    const leaf = this.leafOf(name);
    const { count, width } = this.points;
    this.stack[this.depth++] ??= new Float64Array(count);
    this.steps.push((stack, row) => {
      leaf.fill(row, stack[this.depth++] ?? new Float64Array(count));
    });
    this.diagonals.push((own, row) => own.push(leaf.diagonal(row, width)));
  }

  private combine(adds: boolean): void {
    if (this.depth < 2) this.given.fail('covariance');
    this.depth -= 1;
    this.steps.push((stack) => {
      this.depth -= 1;
      const left = stack[this.depth - 1];
      const right = stack[this.depth];
      if (!left || !right) return;
      for (let i = 0; i < left.length; i++) {
        const [a = NaN, b = NaN] = [left[i], right[i]];
        left[i] = adds ? a + b : a * b;
      }
    });
    this.diagonals.push((own) => {
      const b = own.pop() ?? NaN;
      const a = own.pop() ?? NaN;
      own.push(adds ? a + b : a * b);
    });
  }

  private raise(exponent: number): void {
    if (this.depth < 1) this.given.fail('covariance');
    this.steps.push((stack) => {
      const last = stack[this.depth - 1];
      if (last) for (let i = 0; i < last.length; i++) last[i] = power(last[i] ?? NaN, exponent);
    });
    this.diagonals.push((own) => own.push(power(own.pop() ?? NaN, exponent)));
  }

  private leafOf(name: string): Leaf {
    switch (name) {
      case 'rbf':
        return this.scaled((square) => exp64(-0.5 * square));
      case 'matern-0.5':
        return this.scaled((square) => exp64(-Math.sqrt(square)));
      case 'matern-1.5':
        return this.scaled((square) => {
          const x = Math.sqrt(square) * Math.sqrt(3);
          return (1 + x) * exp64(-x);
        });
      case 'matern-2.5':
        return this.scaled((square) => {
          const x = Math.sqrt(square) * Math.sqrt(5);
          return (1 + x + (x * x) / 3) * exp64(-x);
        });
      case 'matern-inf':
        return this.scaled((square) => {
          const distance = Math.sqrt(square);
          return exp64(-(distance * distance) / 2);
        });
      case 'rational': {
        const alpha = this.parameter();
        const length = this.parameter();
        const divisor = 2 * alpha * (length * length);
        return this.ofSquares((square) => power(1 + square / divisor, -alpha));
      }
      case 'exp-sine': {
        const length = this.parameter();
        const factor = Math.PI / this.parameter();
        return this.ofSquares((square) => {
          const sine = sin(factor * Math.sqrt(square)) / length;
          return exp64(-2 * (sine * sine));
        });
      }
      case 'dot': {
        const sigma = this.parameter();
        return this.ofDots((dot) => dot + sigma * sigma);
      }
      case 'constant': {
        const value = this.parameter();
        return { fill: (_, to) => to.fill(value), diagonal: () => value };
      }
      case 'white': {
        const noise = this.parameter();
        return { fill: (_, to) => to.fill(0), diagonal: () => noise };
      }
      default:
        return this.pairOf(name);
    }
  }

  private pairOf(name: string): Leaf {
    switch (name) {
      case 'pair-linear':
        return this.ofDots((dot) => dot);
      case 'pair-rbf': {
        const gamma = this.parameter();
        return this.ofSquares((square) => exp64(square * -gamma));
      }
      case 'pair-poly': {
        const gamma = this.parameter();
        const coef0 = this.parameter();
        const degree = this.parameter();
        return this.ofDots((dot) => power(dot * gamma + coef0, degree));
      }
      case 'pair-sigmoid': {
        const gamma = this.parameter();
        const coef0 = this.parameter();
        return this.ofDots((dot) => tanh(dot * gamma + coef0));
      }
      case 'pair-cosine':
        return cosine(this.points);
      case 'pair-laplacian': {
        const gamma = this.parameter();
        return this.ofPairs(differences, (distance) => exp64(-gamma * distance));
      }
      case 'pair-chi2': {
        const gamma = this.parameter();
        return this.ofPairs(chiSquare, (distance) => exp64(distance * gamma));
      }
      case 'pair-additive-chi2':
        return this.ofPairs(chiSquare, (distance) => distance);
      default:
        return this.given.fail(`there is no covariance ${name}`);
    }
  }

  /** Of squared distances after both are divided by length scales. */
  private scaled(of: (square: number) => number): Leaf {
    const { data, count, width } = this.points;
    const length = this.parameter();
    if (length !== 1 && length !== width) this.given.fail('length scales');
    const scales = Float64Array.from({ length }, () => this.parameter());
    const scale = (i: number) => scales[length === 1 ? 0 : i] ?? NaN;
    const own = new Float64Array(width);
    const points = Float64Array.from(data, (x, i) => x / scale(i % width));
    return {
      fill: ({ source, from }, to) => {
        for (let i = 0; i < width; i++) own[i] = (source[from + i] ?? NaN) / scale(i);
        for (let p = 0; p < count; p++) to[p] = of(squares(own, 0, points, p * width, width));
      },
      diagonal: () => 1,
    };
  }

  private ofSquares(of: (square: number) => number): Leaf {
    return this.ofPairs(squares, of);
  }

  private ofDots(of: (dot: number) => number): Leaf {
    return this.ofPairs(dots, of);
  }

  private ofPairs(measure: Measure, of: (measured: number) => number): Leaf {
    const { data, count, width } = this.points;
    return {
      fill: ({ source, from }, to) => {
        for (let p = 0; p < count; p++) to[p] = of(measure(source, from, data, p * width, width));
      },
      diagonal: ({ source, from }) => of(measure(source, from, source, from, width)),
    };
  }
}

interface Leaf {
  fill(row: Row, to: Float64Array): void;
  diagonal(row: Row, width: number): number;
}

/** The negative χ² distance; refuses what is negative, as scikit-learn does. */
function chiSquare(x: Floats, from: number, y: Floats, at: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) {
    const a = x[from + i] ?? NaN;
    const b = y[at + i] ?? NaN;
    if (a < 0) {
      throw ProgramError.input(
        '/inputs',
        `There is a negative number in column ${i}; the χ² kernel of scikit-learn refuses such. Send numbers from 0 on.`,
      );
    }
    if (a + b !== 0) sum += ((a - b) * (a - b)) / (a + b);
  }
  return -sum;
}

function cosine({ data, count, width }: Points): Leaf {
  const points = Float64Array.from(data);
  for (let p = 0; p < count; p++) normalise(points.subarray(p * width, (p + 1) * width));
  const own = new Float64Array(width);
  const load = ({ source, from }: Row) => {
    for (let i = 0; i < width; i++) own[i] = source[from + i] ?? NaN;
    normalise(own);
  };
  return {
    fill: (row, to) => {
      load(row);
      for (let p = 0; p < count; p++) to[p] = dots(own, 0, points, p * width, width);
    },
    diagonal: (row) => {
      load(row);
      return dots(own, 0, own, 0, width);
    },
  };
}

function normalise(row: Float64Array): void {
  const norm = Math.sqrt(dots(row, 0, row, 0, row.length));
  if (norm !== 0) for (let i = 0; i < row.length; i++) row[i] = (row[i] ?? NaN) / norm;
}

/** `numpy.power` of float64, which multiplies for small exponents. */
export function power(base: number, exponent: number): number {
  if (exponent === 1) return base;
  if (exponent === 2) return base * base;
  if (exponent === 0.5) return Math.sqrt(base);
  if (exponent === -1) return 1 / base;
  // V8 has no correctly rounded power; products are nearer to it for small whole exponents.
  if (exponent === 3) return base * base * base;
  return pow64(base, exponent);
}
