import type { Promotion } from '#sdk';
import type { Seen } from './known-traffic.js';

/** A transition as its caller saw it. Times are those of `performance.now()`. */
interface Change {
  id: number;
  version: number;
  asked: number;
  /** When the caller was told that every process answers with it; undefined where it was not. */
  told: number | undefined;
}

/**
 * What was asked of the versions of one model, and so which of them may answer when: one may from the moment it was asked
 * for, until a later one was acknowledged as ready. Versions that cannot be loaded never may.
 */
export class VersionHistory {
  /** Milliseconds from asking for a version until it was told to be ready. */
  readonly waits: number[] = [];
  /** Transitions of any version. */
  count = 0;
  readonly #changes: Change[] = [];
  readonly #broken = new Set<number>();

  /** @param broken versions that cannot be loaded */
  constructor(broken: Iterable<number> = []) {
    this.#broken = new Set(broken);
  }

  isBroken(version: number): boolean {
    return this.#broken.has(version);
  }

  /** Asks for a transition, and notes what came of it. */
  async make(change: () => Promise<Promotion>): Promise<Promotion> {
    const asked = performance.now();
    const promotion = await change();
    const told = performance.now();
    const { transition, serving } = promotion;
    if (!transition || transition.version === null) throw new Error('Nothing had to change');
    this.count++;
    const { id, version } = transition;
    if (this.#broken.has(version)) return promotion;
    const ready = serving === 'ready';
    if (ready) this.waits.push(told - asked);
    this.#changes.push({ id, version, asked, told: ready ? told : undefined });
    this.#changes.sort((a, b) => a.id - b.id);
    return promotion;
  }

  /** The versions in the order in which they were asked for, without those that cannot be loaded. */
  get versions(): number[] {
    return this.#changes.map(({ version }) => version);
  }

  /**
   * What a connection cannot have seen: an answer of a version that was not asked for yet or was superseded for certain, or one
   * that goes back in the history. Each answer is taken for the earliest transition that it may belong to.
   */
  impossible(seen: Seen[]): string[] {
    const wrong: string[] = [];
    let at = 0;
    for (const answer of seen) {
      const { version, sentAt, answeredAt } = answer;
      // Superseded for certain before the request was sent: whatever came before the last that was told by then.
      const first = this.#changes.findLastIndex(({ told }) => told !== undefined && told <= sentAt);
      const from = Math.max(at, first);
      const found = this.#changes.findIndex(
        (change, i) => i >= from && change.version === version && change.asked <= answeredAt,
      );
      if (found < 0) {
        const asked = this.#changes.slice(Math.max(0, from - 1), from + 4);
        wrong.push(
          `version ${version} answered ${sentAt.toFixed(1)} … ${answeredAt.toFixed(1)} after transition ${at} of ${this.#changes.length}; around: ${JSON.stringify(asked)}`,
        );
      } else {
        at = found;
      }
    }
    return wrong;
  }
}
