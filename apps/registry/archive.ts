import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Response } from 'express';

export const archiveFormats = ['tar', 'zip'] as const;
export type ArchiveFormat = (typeof archiveFormats)[number];

export interface ArchivedFile {
  path: string;
  size: number;
  open: () => Promise<Readable>;
}

/**
 * Sends files as one archive, streamed: one after the other, none of them in memory. An archive that cannot be ended never
 * looks complete: what was begun is left for the caller to break off.
 * @throws what opening or reading a file throws; nothing where the client went away
 */
export async function sendArchive(
  response: Response,
  format: ArchiveFormat,
  date: Date,
  files: readonly ArchivedFile[],
): Promise<void> {
  const output = new PassThrough();
  // Whoever breaks it off knows why.
  output.on('error', () => undefined);
  response.once('close', () => output.destroy());
  output.pipe(response);
  // Seldom needed.
  const archive = await (format === 'tar' ? tarInto(output) : zipInto(output));
  try {
    for (const file of files) await archive.add(file, date);
    archive.end();
  } catch (error) {
    output.unpipe(response);
    output.destroy();
    if (!response.destroyed) throw error;
  }
}

interface Archive {
  /** Resolves when the whole file is in the archive. */
  add(file: ArchivedFile, date: Date): Promise<void>;
  end(): void;
}

const MODE = 0o644;

async function tarInto(output: PassThrough): Promise<Archive> {
  const { pack } = await import('tar-stream');
  const tar = pack();
  tar.on('error', (error) => output.destroy(error));
  output.once('close', () => tar.destroy());
  tar.pipe(output);
  return {
    add: async ({ path, size, open }, mtime) =>
      pipeline(await open(), tar.entry({ name: path, size, mode: MODE, mtime })),
    end: () => tar.finalize(),
  };
}

/** The files as they are: what is large in a model does not become smaller. */
async function zipInto(output: PassThrough): Promise<Archive> {
  const { ZipFile } = await import('yazl');
  const zip = new ZipFile();
  const failed = new Promise<never>((_, reject) => {
    zip.on('error', reject);
    output.once('close', () => reject(new Error('The archive was broken off')));
  });
  failed.catch(() => undefined);
  zip.outputStream.pipe(output);
  return {
    add: async ({ path, size, open }, mtime) => {
      const content = await open();
      const read = new Promise((resolve, reject) => {
        content.once('end', resolve).once('error', reject);
      });
      zip.addReadStream(content, path, { compress: false, size, mode: MODE, mtime });
      await Promise.race([read, failed]).catch((error: unknown) => {
        content.destroy();
        throw error;
      });
    },
    end: () => zip.end(),
  };
}
