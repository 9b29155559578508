import type { Promotion } from '#sdk';
import type { Seen } from './known-traffic.js';

/** A transition as its caller saw it. Times are those of `performance.now()`. */
interface Change {
  version: number;
  asked: number;
  /** When the caller was told that every process answers with it; undefined where it was not. */
  told: number | undefined;
}

/** Versions of a model that cannot answer. */
export interface Broken {
  /** The registry knows it: serving is told the nearest servable version below on the stack of Production. */
  refused: number[];
  /** Only serving finds out: what answered before goes on. */
  unloadable: number[];
}

/**
 * What was asked of the versions of one model, and so which of them may answer when: one may from the moment it was asked
 * for, until a later one was acknowledged as ready. Promotions push on a stack, rollbacks pop from it.
 */
export class VersionHistory {
  /** Milliseconds from asking for a version until it was told to be ready. */
  readonly waits: number[] = [];
  /** What every transition named, in their order. */
  readonly asked: number[] = [];
  #changes: Change[] = [];
  readonly #stack: number[] = [];

  constructor(readonly broken: Broken = { refused: [], unloadable: [] }) {}

  /** The version that was asked for last. */
  get current(): number | undefined {
    return this.#stack.at(-1);
  }

  /** Forgets when what was asked for, but not the stack. */
  restart(): void {
    this.waits.length = 0;
    this.asked.length = 0;
    this.#changes = [];
  }

  /** Asks for a transition, and notes what came of it. */
  async make(change: () => Promise<Promotion>): Promise<Promotion> {
    const asked = performance.now();
    const promotion = await change();
    const told = performance.now();
    const { transition, serving } = promotion;
    if (!transition || transition.version === null) throw new Error('Nothing had to change');
    this.asked.push(transition.version);
    if (transition.kind === 'rollback') {
      this.#stack.pop();
      if (this.current !== transition.version)
        throw new Error(`A rollback to ${transition.version}, where ${this.current} was before`);
    } else {
      this.#stack.push(transition.version);
    }
    const version = this.#stack.findLast((below) => !this.broken.refused.includes(below));
    if (version === undefined || this.broken.unloadable.includes(version)) return promotion;
    const ready = serving === 'ready';
    if (ready) this.waits.push(told - asked);
    this.#changes.push({ version, asked, told: ready ? told : undefined });
    return promotion;
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
