import { asin, cos, sin } from '../math/circular.js';
import { pow64 } from '../math/logarithms.js';
import type { KernelArguments } from './kernel.js';
import { differences, largest, squares, type Measure } from './measures.js';

type Floats = Float32Array | Float64Array;

/** Distances between rows of one table and points (sklearn/metrics/_dist_metrics.pyx.tp). */
export interface Metric {
  /** What orders distances and is quicker to compute. */
  reduced: Measure;
  whole(reduced: number): number;
  reduce(distance: number): number;
  /** Of Minkowski's metrics the exponent, Infinity for the largest difference. */
  p: number;
}

const plain = (x: number) => x;

/**
 * The metric that the attribute `metric` names: euclidean, manhattan, chebyshev, minkowski (attribute `p`; weight
 * `columnWeights` FP64 `[columns]` where columns weigh), seuclidean (weight `variances`), canberra, braycurtis, hamming,
 * haversine (of two columns), cosine, correlation, sqeuclidean.
 */
export function metricOf(given: KernelArguments): Metric {
  const name = given.text('metric');
  switch (name) {
    case 'euclidean':
      return { reduced: squares, whole: Math.sqrt, reduce: (x) => x * x, p: 2 };
    case 'sqeuclidean':
      return { reduced: squares, whole: plain, reduce: plain, p: NaN };
    case 'manhattan':
      return { reduced: differences, whole: plain, reduce: plain, p: 1 };
    case 'chebyshev':
      return { reduced: largest, whole: plain, reduce: plain, p: Infinity };
    case 'minkowski':
      return minkowski(given);
    case 'seuclidean':
      return {
        reduced: scaledSquares(given.floats('variances', 1).data),
        whole: Math.sqrt,
        reduce: (x) => x * x,
        p: NaN,
      };
    case 'haversine':
      return {
        reduced: haversine,
        whole: (x) => 2 * asin(Math.sqrt(x)),
        reduce: (x) => sin(0.5 * x) * sin(0.5 * x),
        p: NaN,
      };
    default: {
      const reduced = OTHERS[name] ?? given.fail(`there is no metric ${name.slice(0, 100)}`);
      return { reduced, whole: plain, reduce: plain, p: NaN };
    }
  }
}

const OTHERS: Record<string, Measure> = {
  canberra: (x, from, y, at, width) => {
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const [a = NaN, b = NaN] = [x[from + i], y[at + i]];
      const both = Math.abs(a) + Math.abs(b);
      if (both > 0) sum += Math.abs(a - b) / both;
    }
    return sum;
  },
  braycurtis: (x, from, y, at, width) => {
    let over = 0;
    let under = 0;
    for (let i = 0; i < width; i++) {
      const [a = NaN, b = NaN] = [x[from + i], y[at + i]];
      over += Math.abs(a - b);
      under += Math.abs(a) + Math.abs(b);
    }
    return under > 0 ? over / under : 0;
  },
  hamming: (x, from, y, at, width) => {
    let unequal = 0;
    for (let i = 0; i < width; i++) if (x[from + i] !== y[at + i]) unequal += 1;
    return unequal / width;
  },
  cosine: (x, from, y, at, width) => angle(x, from, 0, y, at, 0, width),
  correlation: (x, from, y, at, width) =>
    angle(x, from, mean(x, from, width), y, at, mean(y, at, width), width),
};

function scaledSquares(variances: Floats): Measure {
  return (x, from, y, at, width) => {
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const difference = (x[from + i] ?? NaN) - (y[at + i] ?? NaN);
      sum += (difference * difference) / (variances[i] ?? NaN);
    }
    return sum;
  };
}

function minkowski(given: KernelArguments): Metric {
  const p = given.number('p');
  if (!(p > 0)) given.fail('p');
  const weights = given.has('columnWeights') ? given.floats('columnWeights', 1).data : undefined;
  return {
    reduced: (x, from, y, at, width) => {
      let sum = 0;
      for (let i = 0; i < width; i++) {
        const difference = Math.abs((x[from + i] ?? NaN) - (y[at + i] ?? NaN));
        sum += (weights?.[i] ?? 1) * pow64(difference, p);
      }
      return sum;
    },
    whole: (x) => pow64(x, 1 / p),
    reduce: (x) => pow64(x, p),
    p: weights ? NaN : p,
  };
}

function haversine(x: Floats, from: number, y: Floats, at: number): number {
  const [a = NaN, b = NaN] = [x[from], x[from + 1]];
  const [c = NaN, d = NaN] = [y[at], y[at + 1]];
  const first = sin(0.5 * (a - c));
  const second = sin(0.5 * (b - d));
  return first * first + cos(a) * cos(c) * second * second;
}

function mean(x: Floats, from: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += x[from + i] ?? NaN;
  return sum / width;
}

/** 1 − the cosine of the angle between two rows, moved, from 0 to 2. */
function angle(
  x: Floats,
  from: number,
  moveX: number,
  y: Floats,
  at: number,
  moveY: number,
  width: number,
): number {
  let [dot, xx, yy] = [0, 0, 0];
  for (let i = 0; i < width; i++) {
    const a = (x[from + i] ?? NaN) - moveX;
    const b = (y[at + i] ?? NaN) - moveY;
    dot += a * b;
    xx += a * a;
    yy += b * b;
  }
  const [normX, normY] = [Math.sqrt(xx) || 1, Math.sqrt(yy) || 1];
  return Math.min(2, Math.max(0, 1 - dot / normX / normY));
}
