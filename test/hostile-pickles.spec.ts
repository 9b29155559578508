import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { scanFiles } from '#formats';
import { DamagedModel, UnsupportedModel } from '../libs/formats/importer.js';
import { readPythonFile } from '../libs/formats/pickle/python-file.js';
import { fileOf } from '../libs/formats/pickle/zip-file.js';
import { hostilePickles } from './support/hostile-pickles.js';

const folder = mkdtempSync(join(tmpdir(), 'hostile-pickles-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Made once: some take as long to make as to read. */
const made = Object.entries(hostilePickles).map(([name, { make, ...wanted }]) => ({
  name,
  bytes: make(),
  ...wanted,
}));

describe('a hostile file', () => {
  it.each(made)('$name: ends in time, by its name', async ({ bytes, fails, error }) => {
    const file = fileOf('model.pkl', bytes);
    const before = process.cpuUsage();
    const failure: unknown = await readPythonFile(file, []).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const { user, system } = process.cpuUsage(before);
    // The limit is 2 s for a process of its own; this one shares with its tests.
    expect((user + system) / 1e6).toBeLessThan(6);
    if (fails) expect(failure).toBeInstanceOf(DamagedModel);
    if (failure !== undefined) {
      expect(failure instanceof DamagedModel || failure instanceof UnsupportedModel).toBe(true);
    }
    if (error) expect(String(failure)).toMatch(error);
  });

  it('leaves the scanning process alive with 1 GiB, and the other files their verdicts', async () => {
    const files = made.map(({ name, bytes }, i) => {
      const file = join(folder, String(i));
      writeFileSync(file, bytes);
      return { path: `${name}.pkl`, file };
    });
    const scans = await scanFiles({ files, limits: { memory: 2 ** 30, milliseconds: 60_000 } });
    for (const { name, fails } of made) {
      const scan = scans.get(`${name}.pkl`);
      expect([name, scan?.reason]).not.toEqual([
        name,
        expect.stringMatching(/did not end|needed more|ended with|killed|not tried/),
      ]);
      if (fails)
        expect([name, scan?.verdict]).toEqual([name, expect.stringMatching(/unreadable|code/)]);
    }
    expect(scans.get('a state for a class.pkl')).toMatchObject({
      verdict: 'code',
      names: ['os.system'],
    });
  }, 180_000);
});
