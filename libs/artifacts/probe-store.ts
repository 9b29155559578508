import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { ArtifactStore } from './artifact-store.js';
import { digestOf } from './digest.js';
import { openArtifactStore, type StoreSettings } from './open-artifact-store.js';
import { S3Bucket } from './s3-bucket.js';

/** One thing that the driver needs of a store. */
export interface ProbeStep {
  /** Such as `write`. */
  step: string;
  /** Why it did not work. */
  error?: Error;
}

const SIZE = 64 * 1024;

/**
 * Tries everything that the driver needs of a store, with a blob and keys of its own, which are removed again. Ends after
 * the first step that does not work.
 */
export async function* probeStore(settings: StoreSettings): AsyncGenerator<ProbeStep> {
  const store = openArtifactStore(settings);
  const bytes = randomBytes(SIZE);
  const digest = digestOf(createHash('sha256').update(bytes));
  const steps: [string, () => Promise<void>][] = [
    ['reach', () => store.check()],
    ['write', () => write(store, bytes)],
    ['read', () => compare(store.read(digest), bytes)],
    [
      'read a range',
      () => compare(store.read(digest, { offset: 100, length: 1000 }), bytes.subarray(100, 1100)),
    ],
    ...bucketSteps(settings),
    [
      'delete',
      async () => {
        await store.delete(digest);
        if (await store.stat(digest)) throw new Error('what was deleted is still there');
      },
    ],
  ];
  try {
    for (const [step, act] of steps) {
      const error = await act().then(
        () => undefined,
        (cause: unknown) => (cause instanceof Error ? cause : new Error(String(cause))),
      );
      yield { step, ...(error && { error }) };
      if (error) return;
    }
  } finally {
    await store.delete(digest).catch(() => undefined);
  }
}

async function write(store: ArtifactStore, bytes: Buffer): Promise<void> {
  const hash = createHash('sha256').update(bytes);
  const staging = store.stage(randomUUID());
  const forget = async (): Promise<void> => undefined;
  try {
    await staging.append(chunks(bytes), forget);
    await staging.save();
    await staging.commit(digestOf(hash), forget);
  } finally {
    await staging.discard().catch(() => undefined);
  }
}

async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function compare(reading: Promise<Readable>, expected: Buffer): Promise<void> {
  const read: Buffer[] = [];
  for await (const chunk of (await reading) as AsyncIterable<Buffer>) read.push(chunk);
  if (!Buffer.concat(read).equals(expected))
    throw new Error('other bytes came back than were written');
}

/** What the driver asks of a bucket beside the content of objects. */
function bucketSteps(settings: StoreSettings): [string, () => Promise<void>][] {
  const place = settings.artifactStore;
  if (place.kind !== 's3') return [];
  const bucket = new S3Bucket({
    bucket: place.bucket,
    endpoint: settings.S3_ENDPOINT,
    region: settings.S3_REGION,
    accessKey: settings.S3_ACCESS_KEY,
    secretKey: settings.S3_SECRET_KEY,
  });
  const folder = `${place.prefix && `${place.prefix}/`}probe/${randomUUID()}/`;
  const key = `${folder}object`;
  return [
    [
      'write once (If-None-Match)',
      async () => {
        try {
          await bucket.put(key, Buffer.from('first'), { once: true });
          await bucket.put(key, Buffer.from('other'), { once: true });
          const found = await bucket.get(key);
          if (!found) throw new Error('the object is not there');
          await compare(Promise.resolve(found.body), Buffer.from('first')).catch(() => {
            throw new Error('a second write replaced the first: If-None-Match is not honoured');
          });
          const listed: string[] = [];
          for await (const object of bucket.list(folder)) listed.push(object.key);
          if (listed.join() !== key) throw new Error('the list does not show what was written');
        } finally {
          await bucket.remove([key]).catch(() => undefined);
        }
      },
    ],
    [
      'write in parts',
      async () => {
        const upload = await bucket.beginMultipart(key);
        try {
          await bucket.putPart(upload, 1, Buffer.from('part'));
        } finally {
          await bucket.abortMultipart(upload);
        }
      },
    ],
  ];
}
