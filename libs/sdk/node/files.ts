import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { createHasher } from '../hasher.js';
import { SlipwayError } from '../slipway-error.js';
import type { Source } from '../source.js';

const BLOCK = 1 << 20;

/**
 * The files under a path: the file itself by its name, or all files of a folder by their path in it, in a fixed order.
 * Links to files are followed; links to folders are refused, because they may lead back to where they stand.
 */
export async function sourcesAt(path: string): Promise<Source[]> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new SlipwayError(`${path} cannot be read: there is no such file or folder.`, {
      code: 'INVALID_ARGUMENT',
      cause,
    });
  });
  if (!found.isDirectory()) return [await fileSource(path, basename(resolve(path)))];
  const sources = await folderSources(path, '');
  if (sources.length === 0)
    throw new SlipwayError(`${path} has no files; a version needs at least one.`, {
      code: 'INVALID_ARGUMENT',
    });
  return sources;
}

async function folderSources(folder: string, prefix: string): Promise<Source[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const sources: Source[] = [];
  for (const entry of entries) {
    const file = join(folder, entry.name);
    const path = prefix + entry.name;
    if (entry.isDirectory()) sources.push(...(await folderSources(file, `${path}/`)));
    else if (entry.isSymbolicLink() && (await stat(file)).isDirectory())
      throw new SlipwayError(`${file} is a link to a folder; only links to files are followed.`, {
        code: 'INVALID_ARGUMENT',
      });
    else sources.push(await fileSource(file, path));
  }
  return sources;
}

async function fileSource(file: string, path: string): Promise<Source> {
  const found = await stat(file);
  if (!found.isFile())
    throw new SlipwayError(`${file} is neither a file nor a folder.`, { code: 'INVALID_ARGUMENT' });
  let opened: ReturnType<typeof open> | undefined;
  return {
    // macOS hands out decomposed names; paths of a version are composed (NFC).
    path: path.normalize('NFC'),
    size: found.size,
    async read(start, end) {
      const handle = await (opened ??= open(file, 'r'));
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(
          bytes,
          filled,
          bytes.length - filled,
          start + filled,
        );
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
    async close() {
      const handle = await opened;
      opened = undefined;
      await handle?.close();
    },
  };
}

/** Where a file of a pulled version goes. The server's word is not trusted: nothing is written outside the folder. */
export function targetIn(folder: string, path: string): string {
  const parts = path.split('/');
  const leaves = parts.some((part) => part === '' || part === '.' || part === '..');
  if (leaves || /[\\\0]/.test(path) || /^[A-Za-z]:/.test(path))
    throw new SlipwayError(`The version has a file ${JSON.stringify(path)}, which is no path.`, {
      code: 'INVALID_ARGUMENT',
    });
  return join(folder, ...parts);
}

/** Size and digest of a local file, or nothing where there is none. */
export async function inspectFile(
  file: string,
): Promise<{ size: number; digest(): Promise<string> } | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const digest = async () => {
    const hasher = await createHasher();
    for await (const chunk of createReadStream(file, { highWaterMark: BLOCK }))
      hasher.update(chunk);
    return hasher.digest();
  };
  return { size: found.size, digest };
}

/** A file that grows beside its final place, and takes it when it is whole. */
export interface PartialFile {
  /** Bytes that an earlier attempt left. */
  size: number;
  read(): AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  /** Starts again from nothing. */
  restart(): Promise<void>;
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** Opens `FILE.partial`, keeping what an earlier attempt left in it. */
export async function openPartial(file: string): Promise<PartialFile> {
  await mkdir(dirname(file), { recursive: true });
  const partial = `${file}.partial`;
  const handle = await open(partial, 'a');
  const { size } = await handle.stat();
  return {
    size,
    read: () => createReadStream(partial, { highWaterMark: BLOCK, end: Math.max(0, size - 1) }),
    write: (bytes) => handle.appendFile(bytes),
    restart: () => handle.truncate(0),
    finish: async () => {
      await handle.sync();
      await rename(partial, file);
    },
    close: () => handle.close(),
  };
}
