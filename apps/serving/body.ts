import type { IncomingMessage } from 'node:http';
import { DomainError } from '#platform';

const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i;

export interface BodyReceiver {
  received(body: Buffer): void;
  refused(error: DomainError): void;
}

const NOTHING = Buffer.alloc(0);

/** Collects request bodies within a bound for each, and one for all that wait at a time. */
export class BodyCollector {
  #held = 0;

  constructor(
    private readonly limit: number,
    private readonly heldLimit = Math.max(4 * limit, 256 * 2 ** 20),
  ) {}

  /** What is wrong with a request before its body is read. */
  check({ headers }: IncomingMessage): DomainError | undefined {
    const {
      'content-type': type,
      'content-encoding': encoding,
      'content-length': length,
    } = headers;
    if (type !== undefined && type !== 'application/json' && !JSON_TYPE.test(type)) {
      return new DomainError(
        'UNSUPPORTED_MEDIA_TYPE',
        `The content type is ${JSON.stringify(type)}; expected application/json in UTF-8.`,
      );
    }
    if (encoding !== undefined && encoding !== 'identity') {
      return new DomainError(
        'UNSUPPORTED_MEDIA_TYPE',
        `The content encoding is ${JSON.stringify(encoding)}; send the body as it is.`,
      );
    }
    return length !== undefined && Number(length) > this.limit
      ? this.#tooLarge(`${length} bytes`)
      : undefined;
  }

  /**
   * Reads the body. Of the receiver one method is called, or neither where the client goes away; the body counts as held
   * until it is released (more than once does no harm).
   */
  collect(request: IncomingMessage, receiver: BodyReceiver): { release(): void } {
    return new Body(this, request, receiver);
  }

  /** Counts bytes that have come; what is wrong with having them. `size` is that of their body so far. */
  hold(count: number, size: number): DomainError | undefined {
    this.#held += count;
    if (size > this.limit) return this.#tooLarge(`more than ${this.limit} bytes`);
    if (this.#held <= this.heldLimit) return undefined;
    const message = 'Too many large requests at a time. Try again.';
    return new DomainError('UNAVAILABLE', message, { retryAfter: 1 });
  }

  release(count: number): void {
    this.#held -= count;
  }

  #tooLarge(what: string): DomainError {
    return new DomainError(
      'PAYLOAD_TOO_LARGE',
      `The body has ${what}; MAX_BODY allows ${this.limit}. Split the request into several.`,
    );
  }
}

class Body {
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #size = 0;

  constructor(
    private readonly collector: BodyCollector,
    private readonly request: IncomingMessage,
    private readonly receiver: BodyReceiver,
  ) {
    request.on('data', this.#data).on('end', this.#end);
  }

  release(): void {
    this.collector.release(this.#size);
    this.#size = 0;
  }

  readonly #data = (chunk: Buffer): void => {
    this.#size += chunk.length;
    const error = this.collector.hold(chunk.length, this.#size);
    if (error) return this.#refuse(error);
    if (!this.#first) this.#first = chunk;
    else (this.#more ??= [this.#first]).push(chunk);
  };

  readonly #end = (): void => {
    this.receiver.received(this.#more ? Buffer.concat(this.#more) : (this.#first ?? NOTHING));
  };

  #refuse(error: DomainError): void {
    this.release();
    this.request.off('data', this.#data).off('end', this.#end);
    // What is left is read and dropped, so that the sender gets to read the refusal.
    this.request.resume();
    this.receiver.refused(error);
  }
}
