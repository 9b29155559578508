import { Readable } from 'node:stream';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { DamagedModel, type UploadedFile } from '../importer.js';
import { latin1 } from './texts.js';

/** Entries of a zip; a model of torch has a few thousand. */
const MOST_ENTRIES = 100_000;
/** Of a read of the file at once. */
const CHUNK = 2 ** 20;

export interface ZipEntry {
  name: string;
  /** Bytes inside, as the directory says. */
  size: number;
  /** The first bytes, up to `length`. Throws DamagedModel. */
  read(length?: number): Promise<Uint8Array>;
}

/** Whether a file begins as a zip does. */
export function isZip(head: Uint8Array): boolean {
  const begin = latin1(head.subarray(0, 4));
  return begin === 'PK\x03\x04' || begin === 'PK\x05\x06';
}

/**
 * The entries that the directory of a zip names; nothing of them is read before it is asked for, and no more of one than
 * `length`. Throws DamagedModel.
 */
export async function readZip(file: UploadedFile): Promise<ZipEntry[]> {
  return located(file, async () => {
    const zip = await fromRandomAccessReaderPromise(new UploadReader(file), file.size, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: true,
    });
    if (zip.entryCount > MOST_ENTRIES) {
      throw new DamagedModel(`it has more than ${MOST_ENTRIES} entries; that is the limit`);
    }
    const entries: ZipEntry[] = [];
    for await (const entry of zip.eachEntry()) entries.push(entryOf(file, zip, entry));
    return entries;
  });
}

function entryOf(file: UploadedFile, zip: ZipFile, entry: Entry): ZipEntry {
  const name = Buffer.from(entry.fileNameRaw).toString('utf8');
  const size = entry.uncompressedSize;
  return {
    name,
    size,
    read: (length = size) =>
      located(file, async () => {
        if (entry.isEncrypted()) throw new DamagedModel(`the entry ${name} is encrypted`);
        const bytes = new Uint8Array(Math.min(length, size));
        let done = 0;
        for await (const chunk of await zip.openReadStreamPromise(entry)) {
          const part = (chunk as Buffer).subarray(0, bytes.length - done);
          bytes.set(part, done);
          done += part.length;
          if (done === bytes.length && done < size) break;
        }
        if (done < bytes.length) throw new DamagedModel(`the entry ${name} is cut off`);
        return bytes;
      }),
  };
}

async function located<Result>(file: UploadedFile, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new DamagedModel(`The zip ${file.path} cannot be read: ${text}`);
  }
}

class UploadReader extends RandomAccessReader {
  constructor(private readonly file: UploadedFile) {
    super();
  }

  override _readStreamForRange(start: number, end: number): Readable {
    const { file } = this;
    return Readable.from(
      (async function* chunks() {
        for (let at = start; at < end; at += CHUNK) {
          yield Buffer.from(await file.read(at, Math.min(CHUNK, end - at)));
        }
      })(),
      { objectMode: false },
    );
  }
}

/** Bytes as if they were a file: an entry of a zip that is one itself. */
export function fileOf(path: string, bytes: Uint8Array): UploadedFile {
  return {
    path,
    size: bytes.length,
    read: (offset = 0, length = bytes.length) =>
      Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}
