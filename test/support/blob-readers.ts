import { createHash, randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArtifactStore, Digest } from '#artifacts';
import { createLogger } from '#platform';
import { Slipway } from '#sdk';
import { ProgramCache } from '#serving';
import { constantModel } from './models.js';
import type { TestRegistry } from './registry.js';

/** What a reader got: all of the right bytes, an error that it cannot overlook, or wrong bytes as if they were right. */
export type Outcome = 'right' | 'noticed' | 'UNNOTICED';

/** One read, and the blobs that it may ask the store for. */
export interface BlobReader {
  way: string;
  digests: string[];
  /** @param patience milliseconds after which a read that repeats itself is given up */
  read: (patience?: number) => Promise<Outcome>;
}

const log = createLogger({ LOG_LEVEL: 'silent' }, 'test');

/** All ways on which the bytes of blobs leave the product, each with what is right. */
export class BlobReaders {
  readonly readers: BlobReader[] = [];
  /** Files of `mixed/1` by path. */
  readonly files = new Map<string, Buffer>();

  constructor(
    private readonly registry: TestRegistry,
    private readonly store: ArtifactStore,
  ) {}

  /** Logs a version of each kind, while the store is honest, and learns what is right. */
  async learn(files: Record<string, Buffer>): Promise<this> {
    const { http } = this.registry;
    await this.registry.logVersion('tree', constantModel(3));
    const named: { path: string; digest: string }[] = [];
    for (const [path, bytes] of Object.entries(files)) {
      named.push({ path, digest: await this.registry.upload(bytes) });
      this.files.set(path, bytes);
    }
    await http.post('/api/v1/models/mixed/versions').send({ files: named }).expect(201);
    await this.registry.compiled('mixed', 1);
    const digests = named.map(({ digest }) => digest);
    for (const { path, digest } of named) {
      this.addGet('blob', `/api/v1/blobs/${digest}`, [digest]);
      this.addRange(`/api/v1/blobs/${digest}`, digest, files[path] ?? Buffer.alloc(0));
      this.addGet('file', `/api/v1/models/mixed/versions/1/files/${path}`, [digest]);
      this.addCache(digest, files[path] ?? Buffer.alloc(0));
    }
    for (const format of ['tar', 'zip'])
      this.addGet(format, `/api/v1/models/mixed/versions/1/archive?format=${format}`, digests);
    const program = '/api/v1/models/tree/versions/1/program';
    const { body, headers } = await http.get(program).expect(200);
    const parts = [String(headers.etag).replaceAll('"', ''), body.weights.digest as string];
    this.addGet('program', program, parts.slice(0, 1));
    this.addGet('weights', `${program}/weights`, parts);
    this.addPull(digests);
    for (const reader of this.readers) {
      const outcome = await reader.read();
      if (outcome !== 'right') throw new Error(`${reader.way} is ${outcome} with an honest store`);
    }
    return this;
  }

  private addGet(way: string, path: string, digests: string[]): void {
    let right: Buffer | undefined;
    const read = async (): Promise<Outcome> => {
      const got = await this.get(path);
      right ??= got?.body;
      return judge(got, right);
    };
    this.readers.push({ way, digests, read });
  }

  private addRange(path: string, digest: string, bytes: Buffer): void {
    const read = async (): Promise<Outcome> => {
      const first = randomInt(bytes.length);
      const last = randomInt(first, bytes.length);
      const got = await this.get(path, { range: `bytes=${first}-${last}` });
      return judge(got, bytes.subarray(first, last + 1));
    };
    this.readers.push({ way: 'range', digests: [digest], read });
  }

  /** As a serving process fetches what it loads. */
  private addCache(digest: string, bytes: Buffer): void {
    const read = async (): Promise<Outcome> => {
      const folder = await mkdtemp(join(tmpdir(), 'slipway-cache-'));
      try {
        const source = { read: (wanted: string) => this.store.read(wanted as Digest) };
        const cache = new ProgramCache({ folder, store: source, log });
        await cache.open();
        const path = await cache.hold(digest).catch(() => undefined);
        if (path === undefined) return 'noticed';
        return (await readFile(path)).equals(bytes) ? 'right' : 'UNNOTICED';
      } finally {
        await rm(folder, { recursive: true });
      }
    };
    this.readers.push({ way: 'serving', digests: [digest], read });
  }

  private addPull(digests: string[]): void {
    const slipway = new Slipway({ url: this.registry.url, retry: { attempts: 1 } });
    const read = async (patience?: number): Promise<Outcome> => {
      const folder = await mkdtemp(join(tmpdir(), 'slipway-pull-'));
      try {
        const given = patience === undefined ? {} : { signal: AbortSignal.timeout(patience) };
        const pulled = await slipway.pull('mixed', 1, folder, given).catch(() => undefined);
        if (!pulled) return 'noticed';
        for (const [path, bytes] of this.files)
          if (!(await readFile(join(folder, path))).equals(bytes)) return 'UNNOTICED';
        return 'right';
      } finally {
        await rm(folder, { recursive: true });
      }
    };
    this.readers.push({ way: 'pull', digests, read });
  }

  /** The answer, if it came to its end. */
  private async get(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<Answer | undefined> {
    try {
      const answer = await fetch(this.registry.url + path, { headers });
      const body = Buffer.from(await answer.arrayBuffer());
      return { status: answer.status, body, digest: answer.headers.get('repr-digest') };
    } catch {
      return undefined;
    }
  }
}

interface Answer {
  status: number;
  body: Buffer;
  digest: string | null;
}

function judge(got: Answer | undefined, right: Buffer | undefined): Outcome {
  if (!got || got.status === 503) return 'noticed';
  if (right && got.body.equals(right)) return 'right';
  const digest = `sha-256=:${createHash('sha256').update(got.body).digest('base64')}:`;
  // A client that compares sees it. Of a part it cannot.
  if (got.status === 200 && got.digest !== null && got.digest !== digest) return 'noticed';
  return 'UNNOTICED';
}
