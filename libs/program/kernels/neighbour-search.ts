import { SquaredDistances } from './distances.js';
import type { KernelArguments } from './kernel.js';
import { squares } from './measures.js';
import { metricOf, type Metric } from './metric.js';
import { NeighbourHeap } from './neighbour-heap.js';

type Floats = Float32Array | Float64Array;

/** The nodes of a tree of points, each a range of `order`; children of node n are 2n + 1 and 2n + 2. */
interface PointTree {
  order: Int32Array;
  starts: Int32Array;
  ends: Int32Array;
  leaves: Int32Array;
  /** Of a ball tree the centres `[nodes, columns]`, of a k-d tree the least and the most `[2, nodes, columns]`. */
  bounds: Floats;
  /** Of a ball tree. */
  radii?: Floats;
}

/**
 * Finds the points nearest to a row, in the order and with the ties of scikit-learn (sklearn/neighbors/_binary_tree.pxi.tp,
 * _kd_tree.pyx.tp, _ball_tree.pyx.tp; without a tree `ArgKmin` of sklearn/metrics/_pairwise_distances_reduction on one
 * thread). Weights: `points` FP64 `[points, columns]`; of a tree `order` INT32 `[points]`, `starts`, `ends` and `leaves`
 * INT32 `[nodes]`, `bounds` FP64, and of a ball tree `radii` FP64 `[nodes]`. The metric: see {@link metricOf}. Attribute
 * `tree` = none, merged (none, and the heap is poured into another one in the end, as for few rows), kd or ball.
 */
export class NeighbourSearch {
  readonly metric: Metric;
  readonly count: number;
  readonly width: number;
  /** In the order of the tree where there is one, so that those of a leaf lie side by side. */
  private readonly points: Floats;
  readonly tree: PointTree | undefined;
  private readonly merges: boolean;
  private readonly isEuclidean: boolean;
  private readonly squares: SquaredDistances | undefined;

  constructor(given: KernelArguments) {
    const { data, shape } = given.floats('points', 2);
    const [count = 0, width = 0] = shape;
    if (count < 1 || width < 1) given.fail('points');
    this.count = count;
    this.width = width;
    this.metric = metricOf(given);
    this.isEuclidean = this.metric.reduced === squares;
    if (given.text('metric') === 'haversine' && width !== 2) given.fail('columns');
    const kind = given.oneOf('tree', ['none', 'merged', 'kd', 'ball']);
    this.merges = kind === 'merged';
    if (kind === 'kd' || kind === 'ball') this.tree = treeOf(given, kind, count, width);
    if (kind === 'kd' && Number.isNaN(this.metric.p)) given.fail('metric of a k-d tree');
    this.points = this.tree ? ordered(data, this.tree.order, width) : data;
    if (!this.tree && this.isEuclidean) this.squares = new SquaredDistances({ data, count, width });
  }

  /** What finds, for each row, a number of nearest points, and gives `take` them sorted, in a heap that the next row changes. */
  nearest(size: number): EachRow<(row: number, near: NeighbourHeap) => void> {
    const near = new NeighbourHeap(size);
    const { tree, count } = this;
    if (tree) {
      return (source, rows, take) => {
        for (let row = 0; row < rows; row++) {
          const from = row * this.width;
          near.clear();
          this.descend(tree, 0, this.least(tree, 0, source, from), source, from, near);
          near.sort();
          take(row, near);
        }
      };
    }
    const first = this.merges ? new NeighbourHeap(size) : near;
    return (source, rows, take) => {
      this.eachReduced(source, rows, (row, reduced, at) => {
        near.clear();
        first.clear();
        first.pushAll(reduced, at, count);
        if (this.merges) {
          for (let i = 0; i < size; i++) {
            near.push(first.distances[i] ?? Infinity, first.points[i] ?? 0);
          }
        }
        near.sort();
        take(row, near);
      });
    };
  }

  /**
   * What finds, for each row, all points within a distance, and gives `take` them in the order in which scikit-learn finds them,
   * with their distances, in arrays that the next row changes.
   */
  within(radius: number): EachRow<(row: number, found: Found) => void> {
    const { metric, count, tree } = this;
    const limit = metric.reduce(radius);
    const found = { count: 0, points: new Int32Array(count), distances: new Float64Array(count) };
    return (source, rows, take) => {
      this.eachReduced(source, rows, (row, reduced, at) => {
        found.count = 0;
        for (let i = 0; i < count; i++) {
          const distance = reduced[at + i] ?? NaN;
          if (!(distance <= limit)) continue;
          found.points[found.count] = tree ? (tree.order[i] ?? 0) : i;
          found.distances[found.count++] = metric.whole(distance);
        }
        take(row, found);
      });
    };
  }

  /** Gives `take` what orders the distances of each row to all points (in the order of the tree), those from `at` on. */
  eachReduced(
    source: Floats,
    rows: number,
    take: (row: number, reduced: Float64Array, at: number) => void,
  ): void {
    if (this.squares) return this.squares.each(source, rows, take);
    const { points, count, width, metric } = this;
    const distances = new Float64Array(count);
    for (let row = 0; row < rows; row++) {
      for (let p = 0; p < count; p++) {
        distances[p] = metric.reduced(source, row * width, points, p * width, width);
      }
      take(row, distances, 0);
    }
  }

  private descend(
    tree: PointTree,
    node: number,
    least: number,
    source: Floats,
    from: number,
    near: NeighbourHeap,
  ): void {
    if (least > near.limit) return;
    if (tree.leaves[node]) return this.lookIn(tree, node, source, from, near);
    const left = 2 * node + 1;
    const right = left + 1;
    const leastLeft = this.least(tree, left, source, from);
    const leastRight = this.least(tree, right, source, from);
    if (leastLeft <= leastRight) {
      this.descend(tree, left, leastLeft, source, from, near);
      this.descend(tree, right, leastRight, source, from, near);
    } else {
      this.descend(tree, right, leastRight, source, from, near);
      this.descend(tree, left, leastLeft, source, from, near);
    }
  }

  private lookIn(
    tree: PointTree,
    leaf: number,
    source: Floats,
    from: number,
    near: NeighbourHeap,
  ): void {
    const { points, width, metric, isEuclidean } = this;
    const end = tree.ends[leaf] ?? 0;
    for (let i = tree.starts[leaf] ?? 0; i < end; i++) {
      const distance = isEuclidean
        ? squaresBelow(near.limit, source, from, points, i * width, width)
        : metric.reduced(source, from, points, i * width, width);
      near.push(distance, tree.order[i] ?? 0);
    }
  }

  /** The least reduced distance that a point of a node can have. */
  private least(tree: PointTree, node: number, source: Floats, from: number): number {
    const { width, metric } = this;
    if (tree.radii) {
      const reduced = metric.reduced(source, from, tree.bounds, node * width, width);
      const distance = metric.whole(reduced) - (tree.radii[node] ?? NaN);
      return metric.reduce(Math.max(0, distance));
    }
    const { bounds } = tree;
    const { p } = metric;
    const lows = node * width;
    const highs = (tree.starts.length + node) * width;
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const x = source[from + i] ?? NaN;
      const low = (bounds[lows + i] ?? NaN) - x;
      const high = x - (bounds[highs + i] ?? NaN);
      const outside = 0.5 * (low + Math.abs(low) + (high + Math.abs(high)));
      if (p === 2) sum += outside * outside;
      else if (p === Infinity) sum = Math.max(sum, outside);
      else sum += p === 1 ? outside : outside ** p;
    }
    return sum;
  }
}

/** Answers rows one after the other. */
type EachRow<Take> = (source: Floats, rows: number, take: Take) => void;

function ordered(points: Floats, order: Int32Array, width: number): Floats {
  const moved = points.slice();
  for (const [i, point] of order.entries()) {
    moved.set(points.subarray(point * width, (point + 1) * width), i * width);
  }
  return moved;
}

/** Columns after which a sum is looked at. */
const STRETCH = 8;

/** {@link squares}, or where it is not below `limit` perhaps less of it that is not either: sums of squares only grow. */
function squaresBelow(
  limit: number,
  x: Floats,
  from: number,
  y: Floats,
  at: number,
  width: number,
): number {
  let sum = 0;
  for (let i = 0; i < width;) {
    const end = Math.min(i + STRETCH, width);
    for (; i < end; i++) {
      const difference = (x[from + i] ?? NaN) - (y[at + i] ?? NaN);
      sum += difference * difference;
    }
    if (sum >= limit) return sum;
  }
  return sum;
}

/** Points within a radius; the first `count` of both arrays count. */
export interface Found {
  count: number;
  points: Int32Array;
  distances: Float64Array;
}

function treeOf(
  given: KernelArguments,
  kind: 'kd' | 'ball',
  count: number,
  width: number,
): PointTree {
  const order = given.int32('order');
  const starts = given.int32('starts');
  const ends = given.int32('ends');
  const leaves = given.int32('leaves');
  const bounds = given.floats('bounds').data;
  const { length: nodes } = starts;
  if (order.length !== count || order.some((p) => p < 0 || p >= count)) given.fail('order');
  if (nodes < 1 || ends.length !== nodes || leaves.length !== nodes) given.fail('nodes');
  if (bounds.length !== nodes * width * (kind === 'kd' ? 2 : 1)) given.fail('bounds');
  for (let node = 0; node < nodes; node++) {
    const [start = -1, end = -1] = [starts[node], ends[node]];
    if (start < 0 || end > count || (!leaves[node] && 2 * node + 2 >= nodes)) given.fail('nodes');
  }
  const tree = { order, starts, ends, leaves, bounds };
  if (kind === 'kd') return tree;
  const radii = given.floats('radii', 1).data;
  return radii.length === nodes ? { ...tree, radii } : given.fail('radii');
}
