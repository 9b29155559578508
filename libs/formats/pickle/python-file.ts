import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import { compressionOf, decompress } from './compression.js';
import { type Pickled, readPickle } from './read-pickle.js';
import { readSkops } from './skops.js';
import { isZip, readZip } from './zip-file.js';

const MOST_BYTES = 2 ** 31 - 1;
const HEAD_BYTES = 64;
/** Of the files beside a file of joblib before 0.10, together. */
const MOST_SIBLINGS = 10_000;

/**
 * Reads a pickle, a file of joblib (compressed or not, in one file or several) or of skops: which, its content says.
 * `others` are the other files of the upload. Throws DamagedModel and UnsupportedModel.
 */
export async function readPythonFile(file: UploadedFile, others: UploadedFile[]): Promise<Pickled> {
  if (file.size > MOST_BYTES) {
    throw new UnsupportedModel(
      `${file.path} has ${file.size} bytes; up to ${MOST_BYTES} are supported.`,
    );
  }
  try {
    const head = await file.read(0, HEAD_BYTES);
    if (isZip(head)) return await readArchive(file);
    const bytes = await contentOf(file, head);
    return readPickle(bytes, { sibling: await siblingsOf(file, bytes, others) });
  } catch (error) {
    const named = (text: string) => (text.includes(file.path) ? text : `${file.path}: ${text}`);
    if (error instanceof DamagedModel) throw new DamagedModel(named(error.message));
    if (error instanceof UnsupportedModel) throw new UnsupportedModel(named(error.message));
    throw error;
  }
}

async function readArchive(file: UploadedFile): Promise<Pickled> {
  const entries = await readZip(file);
  if (entries.some(({ name }) => name === 'schema.json')) return readSkops(entries, file.size);
  throw new UnsupportedModel(
    `${file.path} is a zip, but not one of skops (it has no schema.json).`,
  );
}

/** The pickle in a file, decompressed where it is compressed. */
export async function contentOf(file: UploadedFile, head: Uint8Array): Promise<Uint8Array> {
  const compression = compressionOf(head);
  const bytes = await file.read();
  return compression ? decompress(bytes, compression) : bytes;
}

/** The arrays that joblib before 0.10 wrote beside a file; read only where the pickle speaks of any. */
async function siblingsOf(
  file: UploadedFile,
  bytes: Uint8Array,
  others: UploadedFile[],
): Promise<(name: string) => Uint8Array | undefined> {
  const contents = new Map<string, Uint8Array>();
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.includes('NDArrayWrapper')) {
    const folder = file.path.slice(0, file.path.lastIndexOf('/') + 1);
    const beside = others
      .filter(({ path }) => path.startsWith(folder) && /\.npy(?:\.z)?$/.test(path))
      .slice(0, MOST_SIBLINGS);
    if (beside.reduce((sum, { size }) => sum + size, file.size) > MOST_BYTES) {
      throw new UnsupportedModel(`${file.path} and its arrays have more than ${MOST_BYTES} bytes.`);
    }
    for (const other of beside) contents.set(other.path.slice(folder.length), await other.read());
  }
  return (name) => contents.get(name);
}
