import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { UploadedFile } from '#formats';
import { fileOf } from '../../libs/formats/pickle/zip-file.js';

const own = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures', 'pickle');

/** The shared fixtures where they are; says so where only the few of the repository are left. */
function foldersOfPickles(): string[] {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return [join(named, 'sklearn'), join(named, 'trees'), own];
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const shared = join(folder, 'shared', 'fixtures');
    if (existsSync(shared)) return [join(shared, 'sklearn'), join(shared, 'trees'), own];
  }
  process.stderr.write(
    '\nNo shared fixtures (SLIPWAY_FIXTURES): of the pickles only those in test/fixtures are tested.\n',
  );
  return [own];
}

/** Paths of every fixture that is a pickle, a file of joblib or of skops. */
export function pickleFixtures(): string[] {
  return foldersOfPickles().flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(?:pkl|p2|joblib|skops)$/.test(name))
      .map((name) => join(folder, name)),
  );
}

/** One of the repository's own, by its name. */
export function ownPickle(name: string): UploadedFile {
  return uploadOfPath(join(own, name));
}

export function uploadOfPath(path: string): UploadedFile {
  return fileOf(path, new Uint8Array(readFileSync(path)));
}
