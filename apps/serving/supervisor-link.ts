import { DomainError } from '#platform';
import type { ProgramFiles, Resolution, VersionResolver } from '#serving';
import type { Call, FromWorker, ToWorker } from './messages.js';

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** A worker's end of the channel to its supervisor, which has the database, the store and the disk cache. */
export class SupervisorLink implements VersionResolver, ProgramFiles {
  readonly #calls = new Map<number, Waiting>();
  #next = 1;

  send(message: FromWorker): void {
    // Without a supervisor this process ends (see worker.ts); what it would still say is not missed.
    if (process.connected) process.send?.(message);
  }

  /** Takes the answer to a call. */
  answered({ id, value, error }: Extract<ToWorker, { type: 'answer' }>): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (!error) call?.resolve(value);
    else call?.reject(new DomainError(error.code, error.message, { retryAfter: error.retryAfter }));
  }

  async resolve(model: string, word?: string): Promise<Resolution> {
    return (await this.#call({ method: 'resolve', model, word })) as Resolution;
  }

  async hold(digest: string): Promise<string> {
    return String(await this.#call({ method: 'hold', digest }));
  }

  release(digest: string): void {
    this.send({ type: 'release', digest });
  }

  async discard(digest: string): Promise<void> {
    await this.#call({ method: 'discard', digest });
  }

  async metrics(): Promise<string> {
    return String(await this.#call({ method: 'metrics' }));
  }

  #call(call: Call): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.send({ type: 'call', id, call });
    });
  }
}
