import type { KernelArguments } from './kernel.js';

/** How a statistic is counted. */
const KINDS = ['borders', 'buckets', 'mean', 'counter'] as const;
const { fround } = Math;
/** Slots that may be looked at in vain for each combination, on average, while a table is built. */
const MOST_PROBES = 50;

/**
 * Statistics of the target by combination of categories, in float32 as CatBoost computes them:
 * `((in class + prior) / (total + denominator) + shift) · scale`.
 *
 * Weights: `hashes` UINT32 `[combinations, 2]` (lower and upper halves); `numbers` FP64 `[combinations, width]`; `parameters`
 * FP32 `[statistics, 4]` (prior, denominator of the prior, shift, scale); `targets` INT32 `[statistics]`. Attribute `kind`:
 * - `borders`: numbers are counts a class; in class are those behind `target`, total all of them;
 * - `buckets`: in class is that of number `target`;
 * - `mean`: numbers are a sum and a count;
 * - `counter`: the number is a count; total is the attribute `denominator`, also for combinations that are not known.
 */
export class CtrTable {
  /** Statistics. */
  readonly width: number;
  private readonly kind: (typeof KINDS)[number];
  private readonly numbers: Float64Array | Float32Array;
  /** Numbers a combination. */
  private readonly size: number;
  private readonly parameters: Float64Array | Float32Array;
  private readonly targets: number[];
  private readonly denominator: number;
  private readonly lower: Uint32Array;
  private readonly upper: Uint32Array;
  /** Open addressing: number of the combination + 1. */
  private readonly slots: Int32Array;
  /** Slots that were looked at in vain. */
  private probes = 0;

  constructor(given: KernelArguments) {
    this.kind = given.oneOf('kind', KINDS);
    const numbers = given.floats('numbers', 2);
    const [combinations = 0, size = 0] = numbers.shape;
    this.numbers = numbers.data;
    this.size = size;
    this.denominator = given.number('denominator');
    const parameters = given.floats('parameters', 2);
    this.parameters = parameters.data;
    this.targets = Array.from(given.weight('targets', ['INT32'], 1).data, Number);
    this.width = this.targets.length;
    if (parameters.shape[0] !== this.width || parameters.shape[1] !== 4) {
      given.fail('weight parameters must have four numbers a statistic');
    }
    if (this.targets.some((target) => target < 0 || (this.kind === 'buckets' && target >= size))) {
      given.fail('weight targets names a class that is not there');
    }
    if (
      { mean: size !== 2, counter: size !== 1, borders: size < 1, buckets: size < 1 }[this.kind]
    ) {
      given.fail(`weight numbers has ${size} a combination`);
    }
    const { data: hashes, shape } = given.weight('hashes', ['UINT32'], 2);
    if (!(hashes instanceof Uint32Array) || shape[0] !== combinations || shape[1] !== 2) {
      given.fail('weight hashes must have two halves for each combination');
    }
    this.lower = new Uint32Array(combinations);
    this.upper = new Uint32Array(combinations);
    this.slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * combinations + 2)));
    for (let i = 0; i < combinations; i++) {
      this.lower[i] = hashes[2 * i] ?? 0;
      this.upper[i] = hashes[2 * i + 1] ?? 0;
      const slot = this.slotOf(this.lower[i] ?? 0, this.upper[i] ?? 0);
      // The first of equal ones counts.
      if (this.slots[slot] === 0) this.slots[slot] = i + 1;
      if (this.probes > MOST_PROBES * (combinations + 1000)) {
        given.fail('the hashes were chosen so that they collide');
      }
    }
  }

  /** Writes the statistics of the rows from `from` on, whose combinations are given by halves of hashes, in turn. */
  answer(hashes: Uint32Array, data: Float32Array, from: number): void {
    for (let i = 0; i < hashes.length / 2; i++) {
      const slot = this.slotOf(hashes[2 * i] ?? 0, hashes[2 * i + 1] ?? 0);
      const combination = (this.slots[slot] ?? 0) - 1;
      for (let k = 0; k < this.width; k++) {
        data[(from + i) * this.width + k] = this.statistic(combination, k);
      }
    }
  }

  /** Where a hash is, or would be. */
  private slotOf(lower: number, upper: number): number {
    const mask = this.slots.length - 1;
    let slot = (Math.imul(lower ^ Math.imul(upper, 0x9e3779b1), 0x85ebca6b) >>> 7) & mask;
    for (;;) {
      const combination = (this.slots[slot] ?? 0) - 1;
      if (combination < 0) return slot;
      if (this.lower[combination] === lower && this.upper[combination] === upper) return slot;
      slot = (slot + 1) & mask;
      this.probes += 1;
    }
  }

  /** `combination` −1 is one that was not seen in training. */
  private statistic(combination: number, k: number): number {
    const at = combination * this.size;
    const numberAt = (i: number) => (combination < 0 ? 0 : (this.numbers[at + i] ?? 0));
    const target = this.targets[k] ?? 0;
    let inClass = numberAt(0);
    let total = 0;
    if (this.kind === 'mean') {
      total = numberAt(1);
    } else if (this.kind === 'counter') {
      total = this.denominator;
    } else {
      inClass = this.kind === 'buckets' ? numberAt(target) : 0;
      for (let i = 0; i < this.size; i++) {
        total += numberAt(i);
        if (this.kind === 'borders' && i > target) inClass += numberAt(i);
      }
    }
    const p = 4 * k;
    const [prior = 0, priorTotal = 0, shift = 0, scale = 0] = this.parameters.subarray(p, p + 4);
    const ratio = fround(fround(fround(inClass) + prior) / fround(fround(total) + priorTotal));
    return fround(fround(ratio + shift) * scale);
  }
}
