import type { Logger } from '#platform';

/** Lines a second; what is above them is counted. */
const MOST = 20;
const SECOND = 1000;

/**
 * Logs failed predictions, each with the id of its request, but only so many a second: when all of them fail, writing a line
 * each would take the processor from those that do not.
 */
export class FailureLog {
  #since = 0;
  #written = 0;
  #left = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly log: Logger) {}

  write(level: 'warn' | 'error', fields: object, message: string): void {
    const now = Date.now();
    if (now - this.#since >= SECOND) {
      this.#since = now;
      this.#written = 0;
    }
    if (this.#written++ < MOST) {
      this.log[level](fields, message);
      return;
    }
    this.#left++;
    if (!this.#timer) this.#timer = setTimeout(() => this.#tell(), SECOND).unref();
  }

  #tell(): void {
    this.log.warn({ left: this.#left }, 'more predictions failed than are logged');
    this.#left = 0;
    this.#timer = undefined;
  }
}
