import { Readable } from 'node:stream';
import { DomainError } from '#platform';
import { CHUNK_SIZE } from './artifact-store.js';

/** Seconds that a store may leave a waiting reader without a byte. */
const STALL_SECONDS = 8;

/**
 * Passes on exactly `length` bytes of `source`, or fails: a store that ends early, sends more, or stops sending is an
 * error that the reader sees, never a truncated blob. Destroying it destroys the source.
 *
 * With `approve` the last piece is kept back until it resolves; what it throws, the reader gets instead.
 */
export class ExactStream extends Readable {
  private left: number;
  private stall: NodeJS.Timeout | undefined;
  private last: Buffer | undefined;

  constructor(
    private readonly source: Readable,
    private readonly length: number,
    private readonly what: string,
    private readonly approve?: () => Promise<void>,
  ) {
    super({ highWaterMark: CHUNK_SIZE });
    this.left = length;
    source.on('data', (chunk: Buffer) => this.accept(chunk));
    source.on('end', () => this.finish());
    source.on('error', (cause) => this.fail('broke off', cause));
    source.on('close', () => {
      if (!source.readableEnded) this.fail('broke off');
    });
    source.pause();
  }

  override _read(): void {
    this.watch();
    this.source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.stall);
    this.source.destroy();
    done(error);
  }

  private accept(chunk: Buffer): void {
    this.left -= chunk.length;
    if (this.left < 0) return this.fail('has more bytes than it should');
    if (this.left === 0 && this.approve && chunk.length > 0) {
      this.last = chunk;
      return this.watch();
    }
    if (this.push(chunk)) return this.watch();
    // The reader is slow, not the store: no limit on how long that may take.
    clearTimeout(this.stall);
    this.source.pause();
  }

  private finish(): void {
    clearTimeout(this.stall);
    if (this.left > 0) return this.fail('ended early');
    if (!this.approve) return void this.push(null);
    this.approve().then(
      () => {
        if (this.last) this.push(this.last);
        this.push(null);
      },
      (error: Error) => this.destroy(error),
    );
  }

  private watch(): void {
    clearTimeout(this.stall);
    this.stall = setTimeout(() => this.fail('stopped sending'), STALL_SECONDS * 1000);
  }

  private fail(how: string, cause?: unknown): void {
    const got = this.length - this.left;
    this.destroy(
      new DomainError(
        'UNAVAILABLE',
        `The artifact store ${how} while reading ${this.what}: ${got} of ${this.length} bytes came. Try again.`,
        { cause, retryAfter: 1 },
      ),
    );
  }
}
