import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { pickle } from './support/hostile-pickles.js';
import { constantModel } from './support/models.js';
import { startRegistry, type TestRegistry } from './support/registry.js';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

async function log(model: string, files: Record<string, Buffer>): Promise<Record<string, unknown>> {
  const entries = await Promise.all(
    Object.entries(files).map(async ([path, bytes]) => ({
      path,
      digest: await registry.upload(bytes),
    })),
  );
  const { body } = await registry.http
    .post(`/api/v1/models/${model}/versions`)
    .send({ files: entries })
    .expect(201);
  await registry.compiled(model, body.version);
  const manifest = await registry.http
    .get(`/api/v1/models/${model}/versions/${body.version}/files`)
    .expect(200);
  return Object.fromEntries(
    manifest.body.files.map(({ path, scan }: { path: string; scan: unknown }) => [path, scan]),
  );
}

const call = pickle('\x80\x04cos\nsystem\n(S"id"\ntR.');

it('tells of every file, before anybody downloads it, what loading it in Python would do', async () => {
  const scans = await log('scanned', {
    'model.json': constantModel(1),
    'evil.pkl': call,
    'plain.pkl': pickle('\x80\x04]K\x01a.'),
    'broken.pkl': pickle('\x80\x04]K'),
  });
  expect(scans).toEqual({
    'model.json': undefined,
    'evil.pkl': { verdict: 'code', names: ['os.system'] },
    'plain.pkl': { verdict: 'safe', names: [] },
    'broken.pkl': {
      verdict: 'unreadable',
      names: [],
      reason: expect.stringContaining('BININT1 at byte 3'),
    },
  });
});

it('knows the same bytes again in another version, under another name', async () => {
  expect(await log('again', { 'weights.dat': call, 'model.json': constantModel(2) })).toEqual({
    'weights.dat': { verdict: 'code', names: ['os.system'] },
    'model.json': undefined,
  });
});

it('scans files that no importer reads as well', async () => {
  expect(
    await log('unknown', { 'notes.txt': Buffer.from('nothing'), 'x.pkl': call }),
  ).toMatchObject({
    'x.pkl': { verdict: 'code' },
  });
});
