/** Upper bounds of the buckets: requests of a batch by doublings, rows by fourfold; one more bucket lies above them. */
export const requestBounds: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
export const rowBounds: readonly number[] = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536];

const LAST = requestBounds.length;

/** How large the batches of one version were. Counting one is a few additions: it stands on the path of every prediction. */
export class BatchSizes {
  /** Batches by their requests, and by their rows; the sums are those of `requests` and `rows`. */
  readonly byRequests = new Float64Array(LAST + 1);
  readonly byRows = new Float64Array(LAST + 1);
  requests = 0;
  rows = 0;

  add(requests: number, rows: number): void {
    this.requests += requests;
    this.rows += rows;
    const doublings = requests > 1 ? 32 - Math.clz32(requests - 1) : 0;
    const fourfolds = rows > 1 ? (33 - Math.clz32(rows - 1)) >> 1 : 0;
    const byRequests = doublings < LAST ? doublings : LAST;
    const byRows = fourfolds < LAST ? fourfolds : LAST;
    this.byRequests[byRequests] = (this.byRequests[byRequests] ?? 0) + 1;
    this.byRows[byRows] = (this.byRows[byRows] ?? 0) + 1;
  }
}
