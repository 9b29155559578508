import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '#platform';

/** What makes a folder a backup: it is written last, so that a folder that has one is whole. */
export interface BackupManifest {
  /** Of this description. */
  format: 1;
  /** Version of Slipway that made it. */
  product: string;
  /** RFC 3339; the moment of the snapshot. */
  takenAt: string;
  /** Version of PostgreSQL that it was read from; any other may take it back. */
  postgres: string;
  /** Migrations that had run, in their order. */
  migrations: string[];
  /** Folder of the files of the tables, in the folder of the backup. */
  folder: string;
  tables: TableFile[];
  sequences: SequenceState[];
  blobs: NeededBlobs;
}

/** One table in the text format of `COPY`. */
export interface TableFile extends CheckedFile {
  name: string;
  columns: string[];
  rows: number;
}

/** A file of {@link BackupManifest.folder}. */
export interface CheckedFile {
  file: string;
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

export interface SequenceState {
  name: string;
  /** A bigint, as text. */
  lastValue: string;
  isCalled: boolean;
}

/** The list of blobs that rows need, one JSON object a line. */
export interface NeededBlobs extends CheckedFile {
  count: number;
  /** Of all blobs together. */
  size: number;
  /** Whether the folder holds the blobs too. */
  included: boolean;
}

const NAME = 'manifest.json';

/** @throws DomainError FAILED_PRECONDITION where the folder is no whole backup, or one that this version cannot read */
export async function readManifest(folder: string): Promise<BackupManifest> {
  const file = join(folder, NAME);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reason =
      error.code === 'ENOENT'
        ? `there is no ${file}: it is none, or one that was not finished`
        : error.message;
    throw new DomainError('FAILED_PRECONDITION', `${folder} is no whole backup: ${reason}.`);
  });
  const manifest = parse(text);
  if (isManifest(manifest)) return manifest;
  throw new DomainError(
    'FAILED_PRECONDITION',
    `${file} is damaged, or of a newer Slipway: it does not describe a backup of format 1.`,
  );
}

/** Replaces the manifest in one step. */
export async function writeManifest(folder: string, manifest: BackupManifest): Promise<void> {
  const file = join(folder, NAME);
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(manifest, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  await syncFolder(folder);
}

/** A name in a folder is durable only when its folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Fields = Record<string, unknown>;

function isManifest(value: unknown): value is BackupManifest {
  if (!isObject(value) || value.format !== 1 || !isPlainName(value.folder)) return false;
  const { product, takenAt, postgres, migrations, tables, sequences, blobs } = value;
  return (
    [product, takenAt, postgres].every(isText) &&
    isListOf(migrations, isText) &&
    isListOf(tables, isTable) &&
    isListOf(sequences, isSequence) &&
    isObject(blobs) &&
    isFile(blobs) &&
    [blobs.count, blobs.size].every(Number.isSafeInteger) &&
    typeof blobs.included === 'boolean'
  );
}

function isTable(value: unknown): boolean {
  return (
    isObject(value) &&
    isFile(value) &&
    isText(value.name) &&
    isListOf(value.columns, isText) &&
    Number.isSafeInteger(value.rows)
  );
}

function isSequence(value: unknown): boolean {
  return (
    isObject(value) &&
    isText(value.name) &&
    /^-?\d{1,19}$/.test(String(value.lastValue)) &&
    typeof value.isCalled === 'boolean'
  );
}

function isFile({ file, bytes, sha256 }: Fields): boolean {
  return isPlainName(file) && Number.isSafeInteger(bytes) && /^[0-9a-f]{64}$/.test(String(sha256));
}

/** A name that stays in its folder. */
function isPlainName(value: unknown): value is string {
  return isText(value) && /^[\w][\w.-]*$/.test(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function isListOf(value: unknown, is: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is);
}
