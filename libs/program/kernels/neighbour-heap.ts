/**
 * The nearest so far, as a heap whose largest is on top: a nearer one takes its place, an equal one does not. Which of equals
 * stay depends on the order of the heap, so that it is scikit-learn's (heap_push of sklearn/utils/_heap.pyx, and
 * simultaneous_sort of sklearn/utils/_sorting.pyx, which older releases have in sklearn/neighbors/_binary_tree.pxi).
 */
export class NeighbourHeap {
  readonly distances: Float64Array;
  readonly points: Int32Array;

  constructor(readonly size: number) {
    this.distances = new Float64Array(size);
    this.points = new Int32Array(size);
  }

  clear(): void {
    this.distances.fill(Infinity);
    this.points.fill(0);
  }

  /** The distance that a new one has to be below. */
  get limit(): number {
    return this.distances[0] ?? 0;
  }

  push(distance: number, point: number): void {
    const { size, distances, points } = this;
    if (!(distance < (distances[0] ?? 0))) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      if (left >= size) break;
      const takesLeft = right >= size || (distances[left] ?? 0) >= (distances[right] ?? 0);
      const child = takesLeft ? left : right;
      if (!((distances[child] ?? 0) > distance)) break;
      distances[at] = distances[child] ?? 0;
      points[at] = points[child] ?? 0;
      at = child;
    }
    distances[at] = distance;
    points[at] = point;
  }

  /** Pushes points 0, 1, … with the distances from `at` on. */
  pushAll(distances: Float64Array, at: number, count: number): void {
    let { limit } = this;
    for (let point = 0; point < count; point++) {
      const distance = distances[at + point] ?? NaN;
      if (!(distance < limit)) continue;
      this.push(distance, point);
      ({ limit } = this);
    }
  }

  /** In ascending order of the distances. */
  sort(): void {
    this.sortPart(0, this.size);
  }

  private sortPart(start: number, size: number): void {
    const last = start + size - 1;
    if (size <= 1) return;
    if (size === 2) {
      this.order(start, last);
      return;
    }
    if (size === 3) {
      this.order(start, start + 1);
      if (this.order(start + 1, last)) this.order(start, start + 1);
      return;
    }
    const middle = start + (size >> 1);
    this.order(start, last);
    if (this.order(middle, last, true)) this.order(start, last);
    const pivot = this.distances[last] ?? 0;
    let store = start;
    for (let i = start; i < last; i++) {
      if ((this.distances[i] ?? 0) < pivot) this.swap(i, store++);
    }
    this.swap(store, last);
    if (store - start > 1) this.sortPart(start, store - start);
    if (store - start + 2 < size) this.sortPart(store + 1, last - store);
  }

  /** Swaps two where the first is larger (`backwards`: smaller), and says whether it did. */
  private order(a: number, b: number, backwards = false): boolean {
    const [x = 0, y = 0] = [this.distances[a], this.distances[b]];
    const wrong = backwards ? x < y : x > y;
    if (wrong) this.swap(a, b);
    return wrong;
  }

  private swap(a: number, b: number): void {
    const { distances, points } = this;
    const distance = distances[a] ?? 0;
    distances[a] = distances[b] ?? 0;
    distances[b] = distance;
    const point = points[a] ?? 0;
    points[a] = points[b] ?? 0;
    points[b] = point;
  }
}
