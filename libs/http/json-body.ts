import type { IncomingMessage } from 'node:http';
import {
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  SetMetadata,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { Config, DomainError, readJson } from '#platform';

const RAW_BODY = 'slipway:raw-body';

/** The handler reads the body itself, as a stream of whatever content type: uploads, passed-on predictions. */
export const RawBody = () => SetMetadata(RAW_BODY, true);

const BODY_TIMEOUT = 60_000;

/** Reads the JSON body of a request, once its route is known, into `request.body`; `{}` where there is none. */
@Injectable()
export class JsonBody implements NestInterceptor {
  constructor(
    private readonly config: Config,
    private readonly reflector: Reflector,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<IncomingMessage & { body?: unknown }>();
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(RAW_BODY, targets)) {
      cutWhenIdle(request);
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      request.body = await readJsonBody(request, this.config.MAX_BODY);
    }
    return next.handle();
  }
}

/**
 * The JSON object in the body of a request. An empty body is `{}`, whatever its content type says.
 * @throws DomainError PAYLOAD_TOO_LARGE before more than `maxBytes` are held, UNSUPPORTED_MEDIA_TYPE,
 * INVALID_ARGUMENT (not JSON, too deep, not an object, not complete within a minute)
 */
export async function readJsonBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<Record<string, unknown>> {
  const bytes = await readBody(request, maxBytes, () => checkContentType(request));
  if (bytes.length === 0) return {};
  const value = readJson(bytes);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  const found = Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`;
  throw DomainError.invalid('', `The body must be a JSON object; it is ${found}.`);
}

/** The whole body, at most `maxBytes`. `onBody` is called before the first byte, and not for an empty body. */
async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  onBody: () => void,
): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > 0) onBody();
  if (announced > maxBytes) throw tooLarge(maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  // Not `for await`: leaving such a loop destroys the connection before the refusal is sent.
  await new Promise<void>((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(late);
      request.removeListener('data', take).removeListener('close', cut);
      settle();
    };
    const late = setTimeout(() => end(() => reject(tooSlow())), BODY_TIMEOUT);
    const cut = () => end(() => reject(incomplete()));
    const take = (chunk: Buffer) => {
      size += chunk.length;
      try {
        if (size === chunk.length) onBody();
        if (size > maxBytes) throw tooLarge(maxBytes);
        chunks.push(chunk);
      } catch (error) {
        end(() => reject(error as Error));
      }
    };
    request.on('data', take).once('close', cut).once('error', cut);
    request.once('end', () => end(resolve));
  });
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size);
}

function checkContentType({ headers }: IncomingMessage): void {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((p) => p.trim()).find((p) => p.startsWith('charset='));
  const encoding = headers['content-encoding'] ?? 'identity';
  const json = /^application\/([\w.-]+\+)?json$/.test(type.trim());
  const utf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  if (json && utf8 && encoding === 'identity') return;
  const found =
    encoding === 'identity'
      ? `content type ${JSON.stringify(headers['content-type'] ?? '')}`
      : `content encoding ${JSON.stringify(encoding)}`;
  throw new DomainError(
    'UNSUPPORTED_MEDIA_TYPE',
    `The body must be JSON in UTF-8, sent as "content-type: application/json"; it has ${found}.`,
  );
}

function tooLarge(maxBytes: number): DomainError {
  return new DomainError(
    'PAYLOAD_TOO_LARGE',
    `The body is larger than ${maxBytes} bytes (setting MAX_BODY); send large files as blobs.`,
  );
}

function tooSlow(): DomainError {
  const seconds = BODY_TIMEOUT / 1000;
  return new DomainError(
    'INVALID_ARGUMENT',
    `The body was not complete within ${seconds} seconds.`,
  );
}

function incomplete(): DomainError {
  return new DomainError('INVALID_ARGUMENT', 'The connection ended before the body did.');
}

/** Ends the connection of an upload of which no byte comes for a minute. */
function cutWhenIdle(request: IncomingMessage): void {
  request.setTimeout(BODY_TIMEOUT, () => {
    if (!request.complete) request.destroy(new Error('No byte of the body came for a minute'));
  });
  request.once('end', () => request.setTimeout(0));
}
