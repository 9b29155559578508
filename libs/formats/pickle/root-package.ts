import { inflateSync, gunzipSync, constants } from 'node:zlib';
import type { UploadedFile } from '../importer.js';
import { compressionOf, decompress, type Compression } from './compression.js';
import type { GlobalUse } from './pickle-machine.js';
import { readPickle } from './read-pickle.js';
import { latin1 } from './texts.js';
import { isZip, readZip } from './zip-file.js';

/** Enough for the first name in a pickle, which comes before anything large. */
const HEAD_BYTES = 65_536;
/** Files that were compressed: others that merely begin so are not looked into. */
const COMPRESSED = /\.(pkl|pickle|joblib|z|gz|bz2|lzma|xz|lz4)$/i;
/** What protocol 0 and 1 make an object with, and plain containers: the root's class comes behind these. */
const MAKERS = /^(?:copy_?reg|builtins|__builtin__|collections)\./;

const known = new WeakMap<UploadedFile, Promise<string | undefined>>();

/** The files whose pickled (or skops) root is an object of a package: `xgboost` for an XGBClassifier. */
export async function findPickled(files: UploadedFile[], name: string): Promise<UploadedFile[]> {
  const found: UploadedFile[] = [];
  for (const file of files) if ((await rootPackage(file)) === name) found.push(file);
  return found;
}

/**
 * The package of the class that the root of a pickle, of a file of joblib or of skops is of: that of the first name in it.
 * Undefined where there is none. Never throws for what a file holds.
 */
export async function rootPackage(file: UploadedFile): Promise<string | undefined> {
  const before = known.get(file);
  if (before) return before;
  const found = find(file).catch(() => undefined);
  known.set(file, found);
  return found;
}

async function find(file: UploadedFile): Promise<string | undefined> {
  const head = await file.read(0, HEAD_BYTES);
  if (isZip(head)) return ofSkops(file);
  const compression = compressionOf(head);
  if (!compression) return ofPickle(head);
  return COMPRESSED.test(file.path)
    ? ofPickle(await beginning(file, head, compression))
    : undefined;
}

function ofPickle(bytes: Uint8Array): string | undefined {
  const [first = 0, protocol = 0] = bytes;
  const isPickle =
    (first === 0x80 && protocol >= 2 && protocol <= 5) ||
    /^[(c]/.test(latin1(bytes.subarray(0, 1)));
  if (!isPickle) return undefined;
  const globals = new Map<string, GlobalUse>();
  try {
    readPickle(bytes, { globals });
  } catch {
    // It is cut off here; the names before that are known.
  }
  const name = [...globals.values()].find(({ id }) => !MAKERS.test(id));
  return name?.module.split('.')[0];
}

async function beginning(
  file: UploadedFile,
  head: Uint8Array,
  compression: Compression,
): Promise<Uint8Array> {
  // These two give what they have where the input ends.
  const partly = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 2 ** 27 };
  if (compression === 'zlib') return inflateSync(head, partly);
  if (compression === 'gzip') return gunzipSync(head, partly);
  return decompress(await file.read(), compression);
}

/** The root of `schema.json` begins with its class and module. */
async function ofSkops(file: UploadedFile): Promise<string | undefined> {
  const schema = (await readZip(file)).find(({ name }) => name === 'schema.json');
  if (!schema) return undefined;
  const text = latin1(await schema.read(4096));
  const [, module] =
    /^\s*\{\s*"__class__":\s*"[^"]*",\s*"__module__":\s*"([^".]+)/.exec(text) ?? [];
  return module;
}
