import type { IncomingMessage } from 'node:http';
import { DomainError } from '#platform';

const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i;

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
   * Reads the body. Of `done` and `failed` one is called, or neither where the client goes away; the body counts as held until
   * `release` is called (more than once does no harm).
   */
  collect(
    request: IncomingMessage,
    done: (body: Buffer) => void,
    failed: (error: DomainError) => void,
  ): () => void {
    let first: Buffer | undefined;
    let more: Buffer[] | undefined;
    let size = 0;
    const release = (): void => {
      this.#held -= size;
      size = 0;
    };
    const refuse = (error: DomainError): void => {
      release();
      request.off('data', data).off('end', end);
      // What is left is read and dropped, so that the sender gets to read the refusal.
      request.resume();
      failed(error);
    };
    const data = (chunk: Buffer): void => {
      size += chunk.length;
      this.#held += chunk.length;
      if (size > this.limit) return refuse(this.#tooLarge(`more than ${this.limit} bytes`));
      if (this.#held > this.heldLimit) {
        const message = 'Too many large requests at a time. Try again.';
        return refuse(new DomainError('UNAVAILABLE', message, { retryAfter: 1 }));
      }
      if (!first) first = chunk;
      else (more ??= [first]).push(chunk);
    };
    const end = (): void => done(more ? Buffer.concat(more) : (first ?? Buffer.alloc(0)));
    request.on('data', data).on('end', end);
    return release;
  }

  #tooLarge(what: string): DomainError {
    return new DomainError(
      'PAYLOAD_TOO_LARGE',
      `The body has ${what}; MAX_BODY allows ${this.limit}. Split the request into several.`,
    );
  }
}
