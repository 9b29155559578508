import { DamagedModel, UnsupportedModel, type UploadedFile } from '../importer.js';
import { Budget } from './budget.js';
import { compressionOf, decompress } from './compression.js';
import { isNpy, readNpyHeader } from './npy.js';
import { CutOff, type GlobalUse } from './pickle-machine.js';
import { readPickle } from './read-pickle.js';
import { isSafe } from './safe-names.js';
import { readSkops } from './skops.js';
import { latin1 } from './texts.js';
import { fileOf, isZip, readZip, type ZipEntry } from './zip-file.js';

/** Goes up whenever the same file would get another verdict. */
export const SCANNER = 2;

/** What loading a file in Python would do, as far as its bytes tell. */
export interface Scan {
  /**
   * `safe`: it names only what is known to be data, or classes of known libraries. `code`: it needs `names`, which may do
   * anything. `unreadable`: nobody knows; `reason` says why.
   */
  verdict: 'safe' | 'code' | 'unreadable';
  /** What it names beyond what is known to be safe, at most {@link MOST_NAMES}. */
  names: string[];
  reason?: string;
}

const MOST_NAMES = 100;
const MOST_NAME_LENGTH = 200;
const MOST_BYTES = 2 ** 31 - 1;
const HEAD_BYTES = 64;
/** Enough to tell that most files are no pickle. */
const TRIAL_BYTES = 65_536;
/** Zips inside zips. */
const MOST_DEPTH = 4;

const PICKLE_NAME =
  /\.(?:pkl|pickle|pck|pcl|joblib|dill|cloudpickle|cpkl|sav|p\d?)(?:\.(?:z|gz|bz2|xz|lzma|lz4))?$/i;

/** torch before 1.6 begins so, and ends with raw numbers: 0x1950a86a20f9469cfc6c. */
const TORCH_MAGIC = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');

/**
 * Says what a file would bring into Python if it were loaded there; undefined: there is no pickle in it. It goes by content:
 * pickles (several in a row too), joblib, zips with pickles at any depth (torch, npz), arrays of objects, skops. Never throws
 * for what a file holds.
 */
export async function scanFile(file: UploadedFile): Promise<Scan | undefined> {
  const finding = new Finding();
  await scanContent(file, finding, 0);
  return finding.scan();
}

/** Whether a file's name says that it is loaded as a pickle, whatever is in it. */
export function isNamedAsPickle(path: string): boolean {
  return PICKLE_NAME.test(path);
}

/** Whether a file needs to be scanned at all: by its name and first bytes. */
export function mayHoldPickle(path: string, head: Uint8Array): boolean {
  return PICKLE_NAME.test(path) || isContainer(head) || isNpy(head) || mayBegin(head[0]);
}

class Finding {
  private pickles = 0;
  private readonly reasons: string[] = [];
  private readonly unsafe = new Set<string>();

  pickle(globals: Iterable<GlobalUse>): void {
    this.pickles += 1;
    for (const { module, name, id } of globals) {
      if (!isSafe(module, name)) this.unsafe.add(id.slice(0, MOST_NAME_LENGTH));
    }
  }

  unreadable(reason: string): void {
    this.reasons.push(reason.slice(0, 500));
  }

  scan(): Scan | undefined {
    const [reason] = this.reasons;
    const names = [...this.unsafe].slice(0, MOST_NAMES);
    const why = reason === undefined ? {} : { reason };
    if (names.length > 0) return { verdict: 'code', names, ...why };
    if (reason !== undefined) return { verdict: 'unreadable', names, reason };
    return this.pickles > 0 ? { verdict: 'safe', names } : undefined;
  }
}

async function scanContent(file: UploadedFile, finding: Finding, depth: number): Promise<void> {
  const declared = PICKLE_NAME.test(file.path);
  try {
    const head = await file.read(0, HEAD_BYTES);
    if (isZip(head) || (await endsAsZip(file))) {
      await scanZip(file, finding, depth);
      if (isZip(head)) return;
    }
    if (file.size > MOST_BYTES) {
      if (declared || isPickle(head)) finding.unreadable(`${file.path} is too large to be read`);
      return;
    }
    const compression = compressionOf(head);
    if (isNpy(head)) scanNpy(await file.read(), finding);
    else if (compression) await scanCompressed(file, compression, finding, declared);
    else await scanPlain(file, head, finding, declared);
  } catch (error) {
    finding.unreadable(`${file.path}: ${reasonOf(error)}`);
  }
}

async function scanCompressed(
  file: UploadedFile,
  compression: NonNullable<ReturnType<typeof compressionOf>>,
  finding: Finding,
  declared: boolean,
): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await decompress(await file.read(), compression);
  } catch (error) {
    // Data that merely begins like a compression is no pickle; data that has no end may hide one.
    if (!declared && error instanceof DamagedModel && !/limit/.test(error.message)) return;
    throw error;
  }
  scanPickles(bytes, finding, declared);
}

async function scanPlain(
  file: UploadedFile,
  head: Uint8Array,
  finding: Finding,
  declared: boolean,
): Promise<void> {
  const known = declared || isPickle(head);
  if (!known && !mayBegin(head[0])) return;
  if (!known && file.size > TRIAL_BYTES && !isOpen(await file.read(0, TRIAL_BYTES))) return;
  scanPickles(await file.read(), finding, known);
}

/** Whether the beginning of a file could be the beginning of a pickle. */
function isOpen(beginning: Uint8Array): boolean {
  const globals = new Map<string, GlobalUse>();
  try {
    readPickle(beginning, { globals });
    return true;
  } catch (error) {
    return error instanceof CutOff || isCalled(globals);
  }
}

/** All pickles in a row. `known`: it is one, so what cannot be read is a fault; else only what reads to its end counts. */
function scanPickles(bytes: Uint8Array, finding: Finding, known: boolean): void {
  const budget = new Budget(bytes.length);
  let start = 0;
  do {
    const globals = new Map<string, GlobalUse>();
    const rest = bytes.subarray(start);
    const expected = start === 0 ? known : isPickle(rest);
    try {
      const { end } = readPickle(bytes, { start, budget, globals });
      if (start === 0 && !known && globals.size === 0 && end < bytes.length) return;
      finding.pickle(globals.values());
      start = end;
    } catch (error) {
      if (expected || isCalled(globals)) finding.pickle(globals.values());
      else if (start === 0) return;
      // The numbers of old torch files and what pads a file to a length are no pickles.
      const data = isTorchLegacy(bytes) || rest.every((byte) => byte === 0);
      if (expected || !data || isCalled(globals)) finding.unreadable(reasonOf(error));
      return;
    }
  } while (start < bytes.length);
}

/** A name that is called tells a pickle from a text that happens to begin like one. */
function isCalled(globals: Map<string, GlobalUse>): boolean {
  return [...globals.values()].some(({ called }) => called);
}

function scanNpy(bytes: Uint8Array, finding: Finding): void {
  const { dtype, start } = readNpyHeader(bytes);
  if (dtype.hasObjects) scanPickles(bytes.subarray(start), finding, true);
}

async function scanZip(file: UploadedFile, finding: Finding, depth: number): Promise<void> {
  if (depth >= MOST_DEPTH) throw new DamagedModel(`zips are nested more than ${MOST_DEPTH} deep`);
  const entries = await readZip(file);
  if (await isSkops(entries)) {
    const { globals } = await readSkops(entries, file.size);
    finding.pickle(globals);
  }
  for (const entry of entries) {
    if (entry.size === 0) continue;
    try {
      const path = `${file.path}/${entry.name}`;
      const head = await entry.read(HEAD_BYTES);
      if (!mayHoldPickle(path, head)) continue;
      if (
        entry.size > TRIAL_BYTES &&
        !PICKLE_NAME.test(path) &&
        !isContainer(head) &&
        !isPickle(head) &&
        !isNpy(head)
      ) {
        if (!isOpen(await entry.read(TRIAL_BYTES))) continue;
      }
      if (isNpy(head) && !readNpyHeader(await entry.read(TRIAL_BYTES * 2)).dtype.hasObjects)
        continue;
      await scanContent(fileOf(path, await entry.read()), finding, depth + 1);
    } catch (error) {
      finding.unreadable(reasonOf(error));
    }
  }
}

async function isSkops(entries: ZipEntry[]): Promise<boolean> {
  const schema = entries.find(({ name }) => name === 'schema.json');
  return schema !== undefined && latin1(await schema.read(TRIAL_BYTES)).includes('"__loader__"');
}

/** A zip may have anything before it: then it is whatever its reader takes it for. */
async function endsAsZip(file: UploadedFile): Promise<boolean> {
  if (file.size < 22) return false;
  const length = Math.min(file.size, 22 + 0xffff);
  const tail = Buffer.from(await file.read(file.size - length, length));
  const at = tail.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  return at >= 0 && at + 22 <= tail.length && at + 22 + tail.readUInt16LE(at + 20) === tail.length;
}

function isContainer(head: Uint8Array): boolean {
  return isZip(head) || isPickle(head) || compressionOf(head) !== undefined;
}

function isTorchLegacy(bytes: Uint8Array): boolean {
  return TORCH_MAGIC.equals(bytes.subarray(2, 2 + TORCH_MAGIC.length));
}

/** PROTO 2 to 5: no other format begins so. */
function isPickle(head: Uint8Array): boolean {
  const protocol = head[1] ?? 0;
  return head[0] === 0x80 && protocol >= 2 && protocol <= 5;
}

/** Opcodes that can be the first of a pickle: those that take nothing from the stack. */
const FIRST = new Set([
  ...Buffer.from('(NILJKMFGSTUVXBC)]}cP', 'latin1'),
  0x80,
  0x88,
  0x89,
  0x8a,
  0x8b,
  0x8c,
  0x8d,
  0x8e,
  0x8f,
  0x95,
  0x96,
]);

function mayBegin(byte: number | undefined): boolean {
  return byte !== undefined && FIRST.has(byte);
}

function reasonOf(error: unknown): string {
  if (error instanceof DamagedModel || error instanceof UnsupportedModel) return error.message;
  if (error instanceof RangeError) return `It needs more memory than there is: ${error.message}`;
  throw error;
}
