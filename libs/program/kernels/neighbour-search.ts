import type { KernelArguments } from './kernel.js';
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
  private readonly points: Floats;
  private readonly tree: PointTree | undefined;
  private readonly merges: boolean;

  constructor(given: KernelArguments) {
    const { data, shape } = given.floats('points', 2);
    const [count = 0, width = 0] = shape;
    if (count < 1 || width < 1) given.fail('points');
    this.points = data;
    this.count = count;
    this.width = width;
    this.metric = metricOf(given);
    if (given.text('metric') === 'haversine' && width !== 2) given.fail('columns');
    const kind = given.oneOf('tree', ['none', 'merged', 'kd', 'ball']);
    this.merges = kind === 'merged';
    if (kind === 'kd' || kind === 'ball') this.tree = treeOf(given, kind, count, width);
    if (kind === 'kd' && Number.isNaN(this.metric.p)) given.fail('metric of a k-d tree');
  }

  /** A heap for this many neighbours. */
  heap(size: number): NeighbourHeap {
    return new NeighbourHeap(size);
  }

  /** Fills a heap with the points nearest to a row, sorted; `other` is a second heap of its size. */
  nearest(source: Floats, from: number, heap: NeighbourHeap, other: NeighbourHeap): void {
    heap.clear();
    if (this.tree) {
      this.descend(this.tree, 0, this.least(this.tree, 0, source, from), source, from, heap);
    } else {
      const first = this.merges ? other : heap;
      first.clear();
      for (let p = 0; p < this.count; p++) first.push(this.reduced(source, from, p), p);
      if (this.merges) {
        for (let i = 0; i < other.size; i++) {
          heap.push(other.distances[i] ?? Infinity, other.points[i] ?? 0);
        }
      }
    }
    heap.sort();
  }

  /** All points within a distance, in the order in which scikit-learn finds them, with their distances. */
  within(source: Floats, from: number, radius: number, found: Found): void {
    found.count = 0;
    const limit = this.metric.reduce(radius);
    const { order } = this.tree ?? {};
    for (let i = 0; i < this.count; i++) {
      const point = order?.[i] ?? i;
      const reduced = this.reduced(source, from, point);
      if (!(reduced <= limit)) continue;
      found.points[found.count] = point;
      found.distances[found.count++] = this.metric.whole(reduced);
    }
  }

  /** The distance to a point. */
  distance(source: Floats, from: number, point: number): number {
    return this.metric.whole(this.reduced(source, from, point));
  }

  private reduced(source: Floats, from: number, point: number): number {
    return this.metric.reduced(source, from, this.points, point * this.width, this.width);
  }

  private descend(
    tree: PointTree,
    node: number,
    least: number,
    source: Floats,
    from: number,
    heap: NeighbourHeap,
  ): void {
    if (least > heap.limit) return;
    if (tree.leaves[node]) {
      const end = tree.ends[node] ?? 0;
      for (let i = tree.starts[node] ?? 0; i < end; i++) {
        const point = tree.order[i] ?? 0;
        heap.push(this.reduced(source, from, point), point);
      }
      return;
    }
    const left = 2 * node + 1;
    const right = left + 1;
    const leastLeft = this.least(tree, left, source, from);
    const leastRight = this.least(tree, right, source, from);
    if (leastLeft <= leastRight) {
      this.descend(tree, left, leastLeft, source, from, heap);
      this.descend(tree, right, leastRight, source, from, heap);
    } else {
      this.descend(tree, right, leastRight, source, from, heap);
      this.descend(tree, left, leastLeft, source, from, heap);
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
    const nodes = tree.starts.length;
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const x = source[from + i] ?? NaN;
      const low = (tree.bounds[node * width + i] ?? NaN) - x;
      const high = x - (tree.bounds[(nodes + node) * width + i] ?? NaN);
      const outside = 0.5 * (low + Math.abs(low) + (high + Math.abs(high)));
      if (metric.p === Infinity) sum = Math.max(sum, outside);
      else if (metric.p === 2) sum += outside * outside;
      else sum += metric.p === 1 ? outside : outside ** metric.p;
    }
    return sum;
  }
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
