import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { UploadMemory } from '#sdk';

/**
 * Remembers unfinished uploads in the user's cache folder, one small file a blob, so that the same command typed again goes on
 * where it was cut. Where the folder cannot be written an upload simply begins anew.
 */
export class UploadFolder implements UploadMemory {
  readonly #folder = join(
    process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'),
    'slipway',
    'uploads',
  );

  async get(digest: string): Promise<string | undefined> {
    return readFile(this.#file(digest), 'utf8').catch(() => undefined);
  }

  async set(digest: string, location: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
      .then(() => writeFile(this.#file(digest), location))
      .catch(() => {});
  }

  async delete(digest: string): Promise<void> {
    await rm(this.#file(digest), { force: true }).catch(() => {});
  }

  #file(digest: string): string {
    return join(this.#folder, digest.replace(/[^\w]/g, '-'));
  }
}
