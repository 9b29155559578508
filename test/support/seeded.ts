import { createHash, randomInt } from 'node:crypto';

/** Chance that can be repeated: `PROOF_SEED` names the seed of a run that failed. */
export class Seeded {
  readonly seed: number;
  #state: number;

  constructor(seed = Number(process.env.PROOF_SEED ?? randomInt(2 ** 31))) {
    this.seed = seed;
    this.#state = seed;
  }

  /** A number from 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `least` to below `end`. */
  int(least: number, end: number): number {
    return least + Math.floor(this.next() * (end - least));
  }

  pick<T>(of: readonly T[]): T {
    const picked = of[this.int(0, of.length)];
    if (picked === undefined) throw new Error('There is nothing to pick from');
    return picked;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  bytes(length: number): Buffer {
    const start = `${this.next()}`;
    return createHash('shake256', { outputLength: Math.max(1, length) })
      .update(start)
      .digest()
      .subarray(0, length);
  }

  /** Another one, whose numbers do not depend on when others draw theirs. */
  fork(): Seeded {
    return new Seeded(this.int(0, 2 ** 31));
  }
}
