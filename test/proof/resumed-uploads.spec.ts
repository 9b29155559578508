import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Slipway } from '#sdk';
import { ownArtifacts } from '../support/artifacts.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { amount, progress, proofTimeout, report } from '../support/proof.js';
import { RegistryProcess } from '../support/registry-process.js';
import { ownBucket, s3IsThere } from '../support/s3.js';
import { Seeded } from '../support/seeded.js';

/**
 * A large upload by the SDK, its connection cut at random bytes and its server killed in between: it goes on where the
 * server stopped, so that each interruption costs at most the chunk that was on its way.
 */

const MiB = 1 << 20;
const SIZE = amount(128, 2048) * MiB;
/** Bytes that the SDK sends in one request. */
const CHUNK = 8 * MiB;
/** What a request has besides its bytes, and a few that only ask. */
const HEADERS = 1024;
const stores: [string, (() => Promise<Record<string, string>>) | undefined][] = [
  ['a folder', undefined],
];
if (s3IsThere('uploads to S3 that are cut and killed')) stores.push(['S3', ownBucket]);

let folder: string;
let file: string;
let digest: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-large-'));
  file = join(folder, 'large.bin');
  digest = await writeRandom(file, SIZE);
}, 300_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** @returns the digest */
async function writeRandom(path: string, size: number): Promise<string> {
  const noise = createCipheriv('aes-256-ctr', randomBytes(32), Buffer.alloc(16));
  const zeros = Buffer.alloc(MiB);
  const hash = createHash('sha256');
  const handle = await open(path, 'w');
  for (let written = 0; written < size; written += MiB) {
    const bytes = noise.update(zeros);
    hash.update(bytes);
    await handle.write(bytes);
  }
  await handle.close();
  return `sha256:${hash.digest('hex')}`;
}

describe.each(stores)('an upload to %s', (name, store) => {
  let registry: RegistryProcess;
  let proxy: FaultyProxy;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const own = await ownArtifacts(store);
    remove = own.remove;
    registry = await new RegistryProcess({ ...own.env, LOG_LEVEL: 'fatal' }).start();
    proxy = await new FaultyProxy(Number(new URL(registry.url).port)).start();
  }, 180_000);

  afterAll(async () => {
    await proxy.stop();
    await registry.end();
    await remove();
  }, 180_000);

  it(
    `of ${SIZE / MiB} MiB survives cuts and kill -9`,
    async () => {
      const seeded = new Seeded();
      const cuts = amount(8, 40);
      const wantedKills = amount(4, 20);
      // Each counts from the beginning of its connection, so that the bytes where they fall are anywhere.
      for (let i = 0; i < cuts; i++)
        proxy.cuts.push(
          seeded.chance(0.8)
            ? { up: seeded.int(0, Math.floor((1.5 * SIZE) / (cuts + wantedKills))) }
            : { down: seeded.int(0, 3000) },
        );
      let going = true;
      let kills = 0;
      let sent = 0;
      const killing = (async () => {
        while (going && kills < wantedKills) {
          const mark = ((kills + seeded.next()) * SIZE) / wantedKills;
          while (going && sent < Math.min(mark, SIZE - CHUNK)) await sleep(2);
          if (!going) return;
          await sleep(seeded.int(0, 50));
          await registry.end('SIGKILL');
          kills++;
          progress(`killed at ${Math.round(sent / MiB)} MiB`);
          await registry.start();
        }
      })();
      const slipway = new Slipway({ url: proxy.url, retry: { attempts: 40, maxDelay: 500 } });
      const { version } = await slipway.logModel({
        name: 'large',
        path: file,
        onProgress: (told) => void (sent = told.sent),
      });
      going = false;
      await killing;
      const again = proxy.up - SIZE;
      const interruptions = proxy.cut + kills;
      const [stored] = (await slipway.version('large', version)).files ?? [];
      const hash = createHash('sha256');
      const url = `${registry.url}/api/v1/models/large/versions/${version}/files/large.bin`;
      const back = await fetch(url);
      for await (const chunk of back.body ?? []) hash.update(chunk as Uint8Array);
      report(`an upload to ${name}`, {
        MiB: SIZE / MiB,
        'connections cut': proxy.cut,
        kills,
        'sent again (MiB)': Math.round((100 * again) / MiB) / 100,
        'a chunk for each interruption would be (MiB)': (interruptions * CHUNK) / MiB,
        seed: seeded.seed,
      });
      expect(stored?.digest).toBe(digest);
      expect(`sha256:${hash.digest('hex')}`).toBe(digest);
      expect(kills).toBeGreaterThan(0);
      expect(proxy.cut).toBeGreaterThan(0);
      const overhead = (SIZE / CHUNK + 50 * interruptions) * HEADERS;
      expect(again).toBeLessThan(interruptions * CHUNK + overhead);
    },
    proofTimeout,
  );
});
