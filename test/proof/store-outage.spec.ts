import { execFileSync } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { constantModel } from '../support/models.js';
import { overloaded, until } from '../support/processes.js';
import { Product } from '../support/product.js';
import { amount, progress, proofTimeout, report } from '../support/proof.js';
import { RegistryAudit } from '../support/registry-audit.js';
import { digestOf, RegistryWork } from '../support/registry-work.js';
import { ownBucket, s3IsThere } from '../support/s3.js';
import { Seeded } from '../support/seeded.js';
import { StrictClient } from '../support/strict-client.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { Traffic } from '../support/traffic.js';

/**
 * The artifact store away under load: uploads are refused with 503 within 10 seconds and go on afterwards where they were;
 * whatever needs no bytes goes on, predictions above all.
 */

const AWAY = amount(5, 60) * 1000;
const MiB = 1 << 20;
const seeded = new Seeded();
const body = JSON.stringify({
  inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 1], data: [0] }],
});

/** A product with a model that answers, with clients who work and one who predicts. */
class Loaded {
  readonly client = new StrictClient(() => this.product.url, 40_000);
  readonly work: RegistryWork;
  readonly audit: RegistryAudit;
  readonly traffic: Traffic;

  private constructor(
    readonly product: Product,
    artifacts: string | undefined,
  ) {
    this.work = new RegistryWork({
      url: () => product.url,
      seeded: seeded.fork(),
      models: ['alpha', 'beta'],
      largest: 50_000,
      rest: 50,
      patience: 40_000,
    });
    this.audit = new RegistryAudit({
      databaseUrl: () => product.databaseUrl,
      client: this.client,
      journal: this.work.journal,
      ...(artifacts !== undefined && { artifacts }),
    });
    this.traffic = new Traffic(`${product.servingUrl}/v2/models/live/infer`, body, {
      connections: 4,
      pause: 5,
    });
  }

  static async start(env: Record<string, string>, artifacts?: string): Promise<Loaded> {
    const product = await Product.start({ env: { LOG_LEVEL: 'warn', ...env } });
    const slipway = new Slipway({ url: product.url });
    const files = [{ path: 'model.json', data: constantModel(7) }];
    await slipway.logModel({ name: 'live', files });
    await slipway.promote('live', 1, { wait: 60 });
    const loaded = new Loaded(product, artifacts);
    await loaded.traffic.seen(1, 60_000);
    loaded.work.start({ clients: 4, readers: 1 });
    return loaded;
  }

  async end(): Promise<void> {
    await this.work.abandon();
    await this.traffic.stop();
    this.client.close();
    await this.product.remove();
  }

  /** @returns where an upload is whose first bytes are acknowledged */
  async beginUpload(content: Buffer, first: number): Promise<string> {
    const location = (await this.client.ask('POST', '/api/v1/blobs/uploads'))?.headers.location;
    if (location === undefined) throw new Error('No upload could be begun');
    await until(async () => {
      const kept = await this.keptOf(location);
      if (kept === first) return true;
      const bytes = content.subarray(kept, first);
      const headers = { 'content-range': `${kept}-${first - 1}` };
      return (await this.client.ask('PATCH', location, { bytes, headers }))?.status === 202;
    }, 120_000);
    return location;
  }

  async keptOf(location: string): Promise<number> {
    const answer = await this.client.ask('GET', location);
    const last = /^0-(\d+)$/.exec(String(answer?.headers.range))?.[1];
    return last === undefined ? 0 : Number(last) + 1;
  }

  /** What was seen so far that must not be. */
  found(asked: StrictClient): string[] {
    return [
      ...asked.violations.splice(0),
      ...this.client.violations.splice(0),
      ...this.work.violations.splice(0),
      ...this.work.client.violations.splice(0),
      ...this.traffic.failed.slice(0, 3),
    ];
  }
}

interface Outage {
  begin: () => unknown;
  end: () => unknown;
  /** Whether uploads may succeed all the same, because the store is slow only. */
  mayWork?: boolean;
}

async function survive(loaded: Loaded, how: string, outage: Outage): Promise<void> {
  const { client, work, traffic } = loaded;
  const content = seeded.bytes(12 * MiB);
  const acknowledged = 9 * MiB;
  const location = await loaded.beginUpload(content, acknowledged);
  const asked = new StrictClient(() => loaded.product.url, 40_000);
  const predicted = traffic.answers.length;
  const violations: string[] = [];
  progress(`the store ${how}`);
  await outage.begin();
  const end = performance.now() + AWAY;
  let refused = 0;
  let read = 0;
  let slowestRead = 0;
  do {
    const bytes = seeded.bytes(100_000);
    const begun = await asked.ask('POST', '/api/v1/blobs/uploads');
    const put = await asked.ask('PUT', `${begun?.headers.location}?digest=${digestOf(bytes)}`, {
      bytes,
    });
    if (put?.status === 503) refused++;
    else if (!(outage.mayWork && put?.status === 201))
      violations.push(`an upload was answered with ${put?.status} ${put?.bytes.toString()}`);
    for (const path of ['/api/v1/models/live', '/api/v1/models/alpha/versions?limit=5']) {
      const answer = await client.ask('GET', path);
      slowestRead = Math.max(slowestRead, answer?.ms ?? 0);
      read++;
      if (answer?.status !== 200 && !(answer?.status === 404 && path.includes('alpha')))
        violations.push(`${path}: ${answer?.status}`);
    }
    await sleep(50);
  } while (performance.now() < end);
  await outage.end();
  const ended = performance.now();
  violations.push(...loaded.found(asked));
  // Where it was when the store went.
  const kept = await loaded.keptOf(location);
  const finished = await until(async () => {
    const from = await loaded.keptOf(location);
    const bytes = content.subarray(from);
    const headers = { 'content-range': `${from}-${content.length - 1}` };
    const url = `${location}?digest=${digestOf(content)}`;
    return (await asked.ask('PUT', url, { bytes, headers }))?.status === 201;
  }, 120_000).then(
    () => performance.now() - ended,
    () => Infinity,
  );
  const resume = await work.rest(120_000);
  violations.push(...(await loaded.audit.look()), ...loaded.found(asked));
  resume();
  asked.close();
  progress(violations.join('\n'));
  report(`the store ${how}`, {
    seconds: AWAY / 1000,
    'uploads refused (503)': refused,
    'slowest answer to an upload (ms)': Math.round(asked.slowest),
    'metadata reads': read,
    'slowest of these (ms)': Math.round(slowestRead),
    predictions: traffic.answers.length - predicted,
    'predictions failed': traffic.failed.length,
    'uploads resumed': work.journal.uploadsResumed,
    'kept of an upload (MiB)': kept / MiB,
    'it ended after (ms)': Math.round(finished),
    'acknowledged versions': work.journal.acknowledgedVersions().length,
    violations: violations.length,
    seed: seeded.seed,
  });
  expect({ seed: seeded.seed, violations }).toEqual({ seed: seeded.seed, violations: [] });
  expect(kept).toBeGreaterThanOrEqual(acknowledged);
  expect(finished).toBeLessThan(120_000);
  expect(refused > 0 || outage.mayWork).toBe(true);
  if (!overloaded()) expect(asked.slowest).toBeLessThan(10_500);
}

if (s3IsThere('outages of an S3 store: refused, swallowed, reset, slow')) {
  describe('an S3 store', () => {
    let proxy: TcpProxy;
    let loaded: Loaded;

    beforeAll(async () => {
      const env = await ownBucket();
      proxy = new TcpProxy(new URL(env.S3_ENDPOINT ?? ''));
      loaded = await Loaded.start({ ...env, S3_ENDPOINT: (await proxy.open()).replace(/\/$/, '') });
    }, 180_000);

    afterAll(async () => {
      await loaded.end();
      await proxy.cut();
    }, 120_000);

    const pass = () => proxy.treat('pass');
    it.each<[string, Outage]>([
      ['refuses connections', { begin: () => proxy.cut(), end: () => proxy.open() }],
      ['swallows everything', { begin: () => proxy.treat('swallow'), end: pass }],
      ['resets connections', { begin: () => proxy.treat('reset'), end: pass }],
      ['is slow', { begin: () => proxy.treat('slow'), end: pass, mayWork: true }],
    ])('that %s', (how, outage) => survive(loaded, how, outage), proofTimeout);
  });
} else {
  it.skip('an S3 store (TEST_S3_ENDPOINT is not set)', () => {});
}

/** A small file system of its own. @returns false where this user may not have one */
function mountSmall(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write(
      '\nLEFT OUT: a store on a full and on a read-only file system: tmpfs cannot be mounted here\n\n',
    );
    return false;
  }
}

describe('a store in a folder', () => {
  let parent: string;
  let artifacts: string;
  let mounted = false;
  let loaded: Loaded;

  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), 'slipway-store-'));
    mounted = mountSmall(parent);
    artifacts = join(parent, 'artifacts');
    loaded = await Loaded.start({ ARTIFACT_STORE: `file://${artifacts}` }, artifacts);
  }, 180_000);

  afterAll(async () => {
    await loaded.end();
    if (mounted) execFileSync('umount', [parent]);
    await rm(parent, { recursive: true, force: true });
  }, 120_000);

  const away = () => `${artifacts}-away`;
  const outages: [how: string, outage: Outage, needsMount: boolean][] = [
    [
      'is gone',
      { begin: () => rename(artifacts, away()), end: () => rename(away(), artifacts) },
      false,
    ],
    [
      'is full',
      {
        begin: () => fill(join(parent, 'ballast')),
        end: () => rm(join(parent, 'ballast')),
        // What others delete makes room.
        mayWork: true,
      },
      true,
    ],
    [
      'is read-only',
      { begin: () => remount(parent, 'ro'), end: () => remount(parent, 'rw') },
      true,
    ],
  ];
  it.each(outages)(
    'that %s',
    async (how, outage, needsMount) => {
      if (needsMount && !mounted) return expect(mounted).toBe(false);
      await survive(loaded, how, outage);
    },
    proofTimeout,
  );
});

/** Until nothing fits any more. */
async function fill(path: string): Promise<void> {
  for (const size of [MiB, 4096]) {
    const block = Buffer.alloc(size);
    try {
      for (;;) await writeFile(path, block, { flag: 'a' });
    } catch (error) {
      // Not `instanceof Error`: Node's errors are of another realm than a test's.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}

function remount(path: string, how: 'ro' | 'rw'): void {
  // A file that is open for writing delays it.
  for (let tried = 1; ; tried++) {
    try {
      execFileSync('mount', ['-o', `remount,${how}`, path], { stdio: 'ignore' });
      return;
    } catch (error) {
      if (tried === 200) throw error;
    }
  }
}
