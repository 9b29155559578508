import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Minio from 'minio';
import { DomainError, hideSecrets } from '#platform';
import type { ByteRange } from './artifact-store.js';

export interface S3Settings {
  bucket: string;
  /** `http://host:port`; absent: AWS. */
  endpoint?: string | undefined;
  region?: string | undefined;
  accessKey?: string | undefined;
  secretKey?: string | undefined;
}

export interface S3Object {
  key: string;
  size: number;
  modifiedAt: Date;
}

export interface S3Multipart {
  key: string;
  uploadId: string;
}

const load = createRequire(import.meta.url);

/** Loaded by the first bucket: whoever keeps blobs in a folder starts sooner, and smaller, without it. */
function minio(): typeof Minio {
  return load('minio') as typeof Minio;
}

/** Milliseconds to wait for an answer, and for a connection or a stuck write. Callers are promised a failure within 10 s. */
const SILENCE = 8_000;
const STANDSTILL = 4_500;
/** The store may copy gigabytes before it answers; it is asked in between whether it is still there. */
const PATIENCE = 15 * 60_000;
const ATTEMPTS = 3;
/** Time in which a failed request may be tried again. */
const RETRY_WITHIN = 4_000;

/**
 * One bucket, in the few requests that the driver is made of. Every request is safe to repeat and is repeated when the
 * store stumbles (5xx, a reset connection); every failure that is left is `UNAVAILABLE` with its reason.
 */
export class S3Bucket {
  private readonly client: Minio.Client;
  private readonly patientClient: Minio.Client;
  private readonly name: string;

  constructor(settings: S3Settings) {
    const { Client } = minio();
    const region = settings.region ?? 'us-east-1';
    const endpoint = new URL(settings.endpoint ?? `https://s3.${region}.amazonaws.com`);
    const secure = endpoint.protocol === 'https:';
    const options = {
      endPoint: endpoint.hostname,
      port: endpoint.port ? Number(endpoint.port) : secure ? 443 : 80,
      useSSL: secure,
      region,
      accessKey: settings.accessKey ?? '',
      secretKey: settings.secretKey ?? '',
      transportAgent: new (secure ? https : http).Agent({ keepAlive: true, maxSockets: 128 }),
      // The client's own way prints to the console.
      retryOptions: { disableRetry: true },
    };
    this.name = settings.bucket;
    this.client = new Client({ ...options, transport: impatient(secure, SILENCE) });
    this.patientClient = new Client({ ...options, transport: impatient(secure, PATIENCE) });
  }

  /** @throws DomainError UNAVAILABLE that says what to change */
  async check(): Promise<void> {
    const exists = await this.attempt(() => this.client.bucketExists(this.name));
    if (exists) return;
    throw new DomainError(
      'UNAVAILABLE',
      `The bucket "${this.name}" does not exist: create it, or correct ARTIFACT_STORE.`,
      { retryAfter: 5 },
    );
  }

  async stat(key: string): Promise<{ size: number } | undefined> {
    const found = await this.attempt(
      () => this.client.statObject(this.name, key),
      ['NotFound', 'NoSuchKey'],
    );
    return found && { size: found.size };
  }

  /** @returns the body and how many bytes the store says it has; `undefined` where there is no such object */
  async get(
    key: string,
    range: ByteRange = {},
  ): Promise<{ body: Readable; length: number } | undefined> {
    const { offset = 0, length } = range;
    const end = length === undefined ? '' : offset + length - 1;
    const headers: Record<string, string> =
      offset > 0 || length !== undefined ? { range: `bytes=${offset}-${end}` } : {};
    const response = await this.attempt(
      () =>
        this.client.makeRequestAsync(
          { method: 'GET', bucketName: this.name, objectName: key, headers },
          '',
          [200, 206],
        ),
      ['NotFound', 'NoSuchKey'],
    );
    if (!response) return undefined;
    if (headers.range !== undefined && response.statusCode !== 206) {
      response.destroy();
      throw outage(new Error(`${headers.range} was answered with status ${response.statusCode}`));
    }
    return { body: response, length: length ?? Number(response.headers['content-length']) };
  }

  /** @param once leave an object that is there already as it is */
  async put(key: string, content: Buffer, { once = false } = {}): Promise<void> {
    const headers = { ...this.checksum(content), ...(once ? { 'If-None-Match': '*' } : {}) };
    const response = await this.attempt(
      () =>
        this.client.makeRequestAsync(
          { method: 'PUT', bucketName: this.name, objectName: key, headers },
          content,
        ),
      // 409: another conditional write of this key is under way, with the same content.
      once ? ['PreconditionFailed', 'ConditionalRequestConflict'] : [],
    );
    response?.resume();
  }

  /** Removes what is there; a missing object is no error. */
  async remove(keys: string[]): Promise<void> {
    if (keys.length === 0) return;
    const results = await this.attempt(() =>
      keys.length === 1
        ? this.client.removeObject(this.name, keys[0] ?? '').then(() => [])
        : this.client.removeObjects(this.name, keys),
    );
    const failed = results?.find((result) => result?.Error && result.Error.Code !== 'NoSuchKey');
    if (failed) throw outage(new Error(`${failed.Error?.Code}: ${failed.Error?.Message}`));
  }

  async *list(prefix: string): AsyncIterable<S3Object> {
    let token = '';
    do {
      const after = token;
      const page = await this.attempt(() =>
        this.client.listObjectsV2Query(this.name, prefix, after, '', 1000, ''),
      );
      for (const { name, size, lastModified } of page?.objects ?? []) {
        if (name !== undefined && lastModified) yield { key: name, size, modifiedAt: lastModified };
      }
      token = page?.isTruncated ? (page.nextContinuationToken ?? '') : '';
    } while (token);
  }

  /** Multipart uploads that were begun and neither completed nor aborted. MinIO does not list them by a prefix. */
  async *listMultiparts(prefix: string): AsyncIterable<S3Multipart & { begunAt: Date }> {
    let key = '';
    let id = '';
    for (;;) {
      const [afterKey, afterId] = [key, id];
      const page = await this.attempt(() =>
        this.client.listIncompleteUploadsQuery(this.name, prefix, afterKey, afterId, ''),
      );
      for (const upload of page?.uploads ?? []) {
        yield { key: upload.key, uploadId: upload.uploadId, begunAt: new Date(upload.initiated) };
      }
      if (!page?.isTruncated) return;
      key = page.nextKeyMarker;
      id = page.nextUploadIdMarker;
    }
  }

  async beginMultipart(key: string): Promise<S3Multipart> {
    const uploadId = await this.attempt(() =>
      this.client.initiateNewMultipartUpload(this.name, key, {}),
    );
    return { key, uploadId: uploadId ?? '' };
  }

  /** @param content bytes, or the key of an object that the store copies by itself */
  async putPart(
    { key, uploadId }: S3Multipart,
    part: number,
    content: Buffer | string,
  ): Promise<string> {
    const headers =
      typeof content === 'string'
        ? { 'x-amz-copy-source': encodeURI(`/${this.name}/${content}`) }
        : this.checksum(content);
    const put = await this.attempt(() =>
      this.client.uploadPart(
        { bucketName: this.name, objectName: key, uploadID: uploadId, partNumber: part, headers },
        typeof content === 'string' ? '' : content,
      ),
    );
    return put?.etag ?? '';
  }

  async completeMultipart({ key, uploadId }: S3Multipart, etags: string[]): Promise<void> {
    const parts = etags.map((etag, index) => ({ part: index + 1, etag }));
    await this.patiently((client) =>
      client.completeMultipartUpload(this.name, key, uploadId, parts),
    );
  }

  async abortMultipart({ key, uploadId }: S3Multipart): Promise<void> {
    await this.attempt(
      () => this.client.abortMultipartUpload(this.name, key, uploadId),
      ['NoSuchUpload', 'NotFound'],
    );
  }

  /** Over plain HTTP the client signs a SHA-256 of the body; over TLS it signs none, and this stands in for it. */
  private checksum(content: Buffer): Record<string, string> {
    if (this.client.enableSHA256) return {};
    return { 'Content-MD5': createHash('md5').update(content).digest('base64') };
  }

  /**
   * @param expected error codes that are an answer: `undefined`
   */
  private async attempt<T>(act: () => Promise<T>, expected: string[] = []): Promise<T | undefined> {
    const begun = Date.now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await act();
      } catch (error) {
        const code = codeOf(error);
        if (expected.includes(code)) return undefined;
        const late = Date.now() - begun > RETRY_WITHIN;
        if (attempt === ATTEMPTS || late || !isPassing(code, error)) throw outage(error);
        await sleep(50 * 4 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  /** Waits long for one answer, but no longer than the store answers anything at all. */
  private async patiently(act: (client: Minio.Client) => Promise<unknown>): Promise<void> {
    const done = new AbortController();
    const watch = async (): Promise<void> => {
      while (!done.signal.aborted) {
        await this.check();
        await sleep(5_000, undefined, { signal: done.signal, ref: false }).catch(() => undefined);
      }
    };
    const act_ = act(this.patientClient).catch((error: unknown) => {
      throw outage(error);
    });
    try {
      const watching = watch();
      await Promise.race([act_, watching.then(() => act_)]);
    } finally {
      done.abort();
      act_.catch(() => undefined);
    }
  }
}

/**
 * `http.request` that gives up when nothing moves; the client has no such setting.
 * @param silence milliseconds to wait for the answer after everything is sent
 */
function impatient(secure: boolean, silence: number): Pick<typeof http, 'request'> {
  const request = (
    options: http.RequestOptions,
    answer?: (response: http.IncomingMessage) => void,
  ) => {
    // As an option it counts while connecting, too. Node reports a write only when it stood still for two such spans.
    const sent = (secure ? https : http).request({ ...options, timeout: STANDSTILL }, answer);
    const giveUp = (): void => {
      sent.destroy(new Error('no answer in time'));
    };
    let waiting: NodeJS.Timeout | undefined;
    sent.on('timeout', () => {
      if (!sent.writableFinished) giveUp();
    });
    sent.once('finish', () => {
      waiting = setTimeout(giveUp, silence);
    });
    sent.once('response', (response) => {
      // The content of an object may take its time; whoever reads it watches for silence.
      if (options.method === 'GET' && !options.path?.includes('?')) clearTimeout(waiting);
      else response.once('close', () => clearTimeout(waiting));
    });
    sent.once('close', () => clearTimeout(waiting));
    return sent;
  };
  return { request: request as typeof http.request };
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

const passingCodes = new Set([
  'SlowDown',
  'InternalError',
  'ServiceUnavailable',
  'RequestTimeout',
  'OperationAborted',
  // None of our keys is a folder: versitygw says so of a key that another request is just deleting.
  'ExistingObjectIsDirectory',
]);

/** Whether the same request may well succeed a moment later. */
function isPassing(code: string, error: unknown): boolean {
  if (error instanceof minio().S3Error) return passingCodes.has(code);
  if (['ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'EAI_AGAIN'].includes(code)) return true;
  return error instanceof Error && error.message.includes('Retryable HTTP status');
}

function outage(cause: unknown): DomainError {
  const message = cause instanceof Error ? cause.message : String(cause);
  // A store may say back what it was told, such as the access key.
  const reason = hideSecrets([codeOf(cause), message].filter(Boolean).join(': '));
  return new DomainError(
    'UNAVAILABLE',
    `The artifact store did not do its part (${reason}). Try again later.`,
    {
      cause,
      retryAfter: 2,
    },
  );
}
