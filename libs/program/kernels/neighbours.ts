import { log64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { rowsOf, type Kernel, type KernelArguments, type Value } from './kernel.js';
import { NeighbourSearch, type Found } from './neighbour-search.js';
import { ProgramError } from '../program-error.js';

type Floats = Float32Array | Float64Array;

/** Kernels of nearest points; how they are found: {@link NeighbourSearch}. */
export const neighbours: Record<string, Kernel> = {
  /**
   * Of the attribute `neighbours` nearest points, weighted as the attribute `weights` says (`uniform`, or `distance`: by its
   * inverse, points at distance 0 alone): the mean of their `targets` FP64 `[points, outputs]`, answering `[rows, outputs]`,
   * or with the attribute `classes` the share of each class INT32 `targets` `[points]`, answering `[rows, classes]`
   * (sklearn/neighbors/_classification.py and _regression.py).
   */
  'tree-neighbours': (given) => {
    const search = new NeighbourSearch(given);
    const size = given.integer('neighbours', 1, search.count);
    const nearest = search.nearest(size);
    const weigh = weighing(given, search);
    const sum = given.has('classes') ? sharesOf(given, search) : meansOf(given, search);
    const distances = new Float64Array(size);
    return answering(given, search, sum.outputs, (source, rows, data) =>
      nearest(source, rows, (row, near) => {
        for (let i = 0; i < size; i++) distances[i] = search.metric.whole(near.distances[i] ?? NaN);
        sum.write({ count: size, points: near.points, distances }, weigh, data, row * sum.outputs);
      }),
    );
  },

  /**
   * The same of all points within the attribute `radius`. Where there are none, shares are those of the attribute `outlier`
   * (a class; −1: all zero; absent: INVALID_INPUT) and means are NaN.
   */
  'radius-neighbours': (given) => {
    const search = new NeighbourSearch(given);
    const radius = given.number('radius');
    const weigh = weighing(given, search);
    const isShares = given.has('classes');
    const sum = isShares ? sharesOf(given, search) : meansOf(given, search);
    const outlier = given.has('outlier')
      ? given.integer('outlier', -1, sum.outputs - 1)
      : undefined;
    const within = search.within(radius);
    return answering(given, search, sum.outputs, (source, rows, data) =>
      within(source, rows, (row, found) => {
        const at = row * sum.outputs;
        if (found.count > 0) sum.write(found, weigh, data, at);
        else if (!isShares) data.fill(NaN, at, at + sum.outputs);
        else if (outlier === undefined) throw lonely(row, radius);
        else if (outlier >= 0) data[at + outlier] = 1;
      }),
    );
  },

  /**
   * The score of local outlier factors (sklearn/neighbors/_lof.py): attribute `neighbours`; weights `reach` FP64 `[points]`,
   * the distance of each point to the last of its neighbours, and `densities` FP64 `[points]`. Answers `[rows, 1]`.
   */
  'local-outliers': (given) => {
    const search = new NeighbourSearch(given);
    const size = given.integer('neighbours', 1, search.count);
    const nearest = search.nearest(size);
    const reach = given.floats('reach', 1).data;
    const densities = given.floats('densities', 1).data;
    if (reach.length !== search.count || densities.length !== search.count) given.fail('reach');
    return answering(given, search, 1, (source, rows, data) =>
      nearest(source, rows, (row, { points, distances }) => {
        let sum = 0;
        for (let i = 0; i < size; i++) {
          const distance = search.metric.whole(distances[i] ?? NaN);
          sum += Math.max(distance, reach[points[i] ?? 0] ?? NaN);
        }
        const density = 1 / (sum / size + 1e-10);
        let ratios = 0;
        for (let i = 0; i < size; i++) ratios += (densities[points[i] ?? 0] ?? NaN) / density;
        data[row] = -(ratios / size);
      }),
    );
  },

  /**
   * The logarithm of a density of kernels (sklearn/neighbors/_kde.py, computed without its tolerance): attributes `kernel`
   * (gaussian, exponential), `bandwidth` and `constant`, which is added; weight
   * `pointWeights` FP64 `[points]` where points weigh. Answers `[rows, 1]`.
   */
  'kernel-density': (given) => {
    const search = new NeighbourSearch(given);
    if (search.tree) given.fail('looks at all points, without a tree');
    const bandwidth = given.number('bandwidth');
    const constant = given.number('constant');
    const kernel = given.oneOf('kernel', DENSITY_NAMES);
    const log = DENSITIES[kernel];
    const weights = given.has('pointWeights') ? given.floats('pointWeights', 1).data : undefined;
    if (weights && weights.length !== search.count) given.fail('pointWeights');
    const logs = new Float64Array(search.count);
    return answering(given, search, 1, (source, rows, data) =>
      search.eachReduced(source, rows, (row, reduced, at) => {
        let most = -Infinity;
        for (let p = 0; p < search.count; p++) {
          const own = log(search.metric.whole(reduced[at + p] ?? NaN), bandwidth);
          logs[p] = weights ? own + log64(weights[p] ?? NaN) : own;
          most = Math.max(most, logs[p] ?? NaN);
        }
        let sum = 0;
        if (most > -Infinity) for (const x of logs) sum += exp64(x - most);
        data[row] = most > -Infinity ? log64(sum) + most + constant : -Infinity;
      }),
    );
  },

  /**
   * The graph of neighbours as a table (KNeighborsTransformer and RadiusNeighborsTransformer): `[rows, points]`, zero where a
   * point is none of the attribute `neighbours` nearest, or not within the attribute `radius`; else its distance, or 1 where
   * the attribute `connects`.
   */
  'neighbour-graph': (given) => {
    const search = new NeighbourSearch(given);
    const { count: width } = search;
    const connects = given.flag('connects');
    if (given.has('radius')) {
      const within = search.within(given.number('radius'));
      return answering(given, search, width, (source, rows, data) =>
        within(source, rows, (row, { count, points, distances }) => {
          for (let i = 0; i < count; i++) {
            data[row * width + (points[i] ?? 0)] = connects ? 1 : (distances[i] ?? NaN);
          }
        }),
      );
    }
    const size = given.integer('neighbours', 1, search.count);
    const nearest = search.nearest(size);
    return answering(given, search, width, (source, rows, data) =>
      nearest(source, rows, (row, { points, distances }) => {
        for (let i = 0; i < size; i++) {
          const distance = search.metric.whole(distances[i] ?? NaN);
          data[row * width + (points[i] ?? 0)] = connects ? 1 : distance;
        }
      }),
    );
  },
};

type WriteRows = (source: Floats, rows: number, data: Float64Array) => void;

function answering(
  given: KernelArguments,
  { width }: NeighbourSearch,
  outputs: number,
  write: WriteRows,
) {
  return (inputs: Value[]): Value[] => {
    const { source, rows } = rowsOf(given, inputs, width);
    const data = new Float64Array(rows * outputs);
    write(source, rows, data);
    return [{ dtype: 'FP64', shape: [rows, outputs], data }];
  };
}

function lonely(row: number, radius: number): ProgramError {
  return ProgramError.input(
    '/inputs',
    `No point that the model knows is within ${radius} of row ${row}, and it has no label for such rows (outlier_label).`,
  );
}

/** Writes the weight of each that was found. */
type Weigh = (found: Found) => Float64Array;

function weighing(given: KernelArguments, { count }: NeighbourSearch): Weigh {
  const weights = new Float64Array(count).fill(1);
  if (given.oneOf('weights', ['uniform', 'distance']) === 'uniform') return () => weights;
  return ({ count: found, distances }) => {
    let exact = false;
    for (let i = 0; i < found; i++) exact ||= distances[i] === 0;
    for (let i = 0; i < found; i++) {
      weights[i] = exact ? Number(distances[i] === 0) : 1 / (distances[i] ?? NaN);
    }
    return weights;
  };
}

interface Sum {
  outputs: number;
  write(found: Found, weigh: Weigh, data: Float64Array, at: number): void;
}

function meansOf(given: KernelArguments, search: NeighbourSearch): Sum {
  const { data: targets, shape } = given.floats('targets', 2);
  const [rows, outputs = 1] = shape;
  if (rows !== search.count) given.fail('targets');
  return {
    outputs,
    write(found, weigh, data, at) {
      const weights = weigh(found);
      for (let output = 0; output < outputs; output++) {
        let sum = 0;
        let total = 0;
        for (let i = 0; i < found.count; i++) {
          const weight = weights[i] ?? 0;
          sum += (targets[(found.points[i] ?? 0) * outputs + output] ?? NaN) * weight;
          total += weight;
        }
        data[at + output] = sum / total;
      }
    },
  };
}

function sharesOf(given: KernelArguments, search: NeighbourSearch): Sum {
  const targets = given.int32('targets');
  const outputs = given.integer('classes', 1, 100_000);
  if (targets.length !== search.count) given.fail('targets');
  if (targets.some((k) => k < 0 || k >= outputs)) given.fail('targets');
  return {
    outputs,
    write(found, weigh, data, at) {
      const weights = weigh(found);
      let total = 0;
      for (let i = 0; i < found.count; i++) {
        const to = at + (targets[found.points[i] ?? 0] ?? 0);
        data[to] = (data[to] ?? 0) + (weights[i] ?? 0);
      }
      for (let k = 0; k < outputs; k++) total += data[at + k] ?? 0;
      for (let k = 0; k < outputs; k++) data[at + k] = (data[at + k] ?? 0) / (total || 1);
    },
  };
}

const DENSITY_NAMES = ['gaussian', 'exponential'] as const;

/** The logarithm of each kernel at a distance (sklearn/neighbors/_binary_tree.pxi.tp). */
const DENSITIES: Record<(typeof DENSITY_NAMES)[number], (distance: number, h: number) => number> = {
  gaussian: (d, h) => (-0.5 * (d * d)) / (h * h),
  exponential: (d, h) => -d / h,
};
