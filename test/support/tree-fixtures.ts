import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { UploadedFile } from '#formats';
import type { Runtime, Tensor } from '#program';

/** A model of a tree library with the library's own answers; see the README of the shared fixtures. */
export interface TreeFixture {
  /** `xgboost/3.2.0/dart.json` */
  name: string;
  library: string;
  file: string;
  expected: Expected;
}

type Cell = number | string | null;

/** `NAME.expected.json`: what the library said. */
export interface Expected {
  X: Cell[][];
  dtype: string;
  feature_names: string[];
  /** Levels of columns of texts, in the order of their codes, where the model file does not hold them. */
  categories?: Record<string, Cell[]>;
  /** What stood for a missing value beside NaN; the model file does not hold it. */
  missing?: number | null;
  /** LightGBM: the answers are those of this many iterations. */
  num_iteration?: number | null;
  best_iteration?: number;
  predict: unknown[];
  margin?: unknown[];
  predict_raw?: unknown[];
  /** Of the first 20 rows. */
  leaf?: unknown[] | null;
  predict_proba?: unknown[];
}

/** The few models of the repository itself. */
export const ownTreeFolder = join(
  import.meta.dirname,
  '..',
  '..',
  '..',
  'test',
  'fixtures',
  'trees',
);

/** The folder of the shared fixtures where they are, else the few of the repository. */
export function treeFolder(): { folder: string; shared: boolean } {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return { folder: join(named, 'trees'), shared: true };
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', 'trees');
    if (existsSync(candidate)) return { folder: candidate, shared: true };
  }
  process.stderr.write(
    '\nNo shared fixtures (SLIPWAY_FIXTURES): of the tree models only those in test/fixtures are tested.\n',
  );
  return { folder: ownTreeFolder, shared: false };
}

/** Every model of a library in the formats that end with `endings`. */
export function treeFixtures(
  library: string,
  endings: string[],
  folder = treeFolder().folder,
): TreeFixture[] {
  if (!existsSync(join(folder, library))) return [];
  return readdirSync(join(folder, library)).flatMap((version) => {
    const files = readdirSync(join(folder, library, version));
    return files
      .filter((file) => file.endsWith('.expected.json'))
      .flatMap((file) => {
        const stem = file.slice(0, -'.expected.json'.length);
        return endings
          .map((ending) => `${stem}${ending}`)
          .filter((model) => files.includes(model))
          .map((model) => ({
            name: `${library}/${version}/${model}`,
            library,
            file: join(folder, library, version, model),
            expected: JSON.parse(
              readFileSync(join(folder, library, version, file), 'utf8'),
            ) as Expected,
          }));
      });
  });
}

/** The files of a model that is a folder, by their paths in it. */
export function folderOf(folder: string): UploadedFile[] {
  return readdirSync(folder).map((path) => uploadOf(path, readFileSync(join(folder, path))));
}

/** Bytes as an upload of one file. */
export function uploadOf(path: string, bytes: Uint8Array): UploadedFile {
  return {
    path,
    size: bytes.byteLength,
    read: async (offset = 0, length = bytes.byteLength) => bytes.subarray(offset, offset + length),
  };
}

/** The rows of a fixture as a request for a program: one matrix, or a tensor a column. */
export function tensorsOf({ signature }: Pick<Runtime, 'signature'>, expected: Expected): Tensor[] {
  const rows = expected.X.length;
  const cell = (row: Cell[], column: number): Cell => {
    const value = row[column] ?? null;
    return numberOf(value) === expected.missing ? null : value;
  };
  const [first] = signature.inputs;
  if (first?.shape.length === 2) {
    const width = expected.X[0]?.length ?? 0;
    const data = expected.X.flatMap((row) => row.map((_, column) => numberOf(cell(row, column))));
    return [{ name: 'X', dtype: 'FP64', shape: [rows, width], data: Float64Array.from(data) }];
  }
  return signature.inputs.map(({ name, dtype }, column): Tensor => {
    const cells = expected.X.map((row) => cell(row, column));
    if (dtype === 'BYTES') {
      return {
        name,
        dtype,
        shape: [rows],
        data: cells.map((c) => (c === null ? null : String(c))),
      };
    }
    const levels = expected.categories?.[expected.feature_names[column] ?? ''];
    const data = cells.map((c) =>
      typeof c === 'string' && levels ? levels.indexOf(c) : numberOf(c),
    );
    return { name, dtype: 'FP64', shape: [rows], data: Float64Array.from(data) };
  });
}

/** Numbers as the fixtures write them: `null` and `"NaN"` are NaN, `"Infinity"` is one. */
export function numberOf(value: unknown): number {
  return value === null ? NaN : Number(value);
}

/** How many numbers of the dtype lie between two; 0 where they are the same or both NaN. */
export function ulpsBetween(a: number, b: number, dtype: string): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  if (Number.isNaN(a) || Number.isNaN(b)) return Infinity;
  const distance = ordinalOf(a, dtype) - ordinalOf(b, dtype);
  return Number(distance < 0n ? -distance : distance);
}

const view = new DataView(new ArrayBuffer(8));

/** The place of a number among all of its dtype; those of 0 and -0 are the same. */
function ordinalOf(x: number, dtype: string): bigint {
  if (dtype === 'FP32') view.setFloat32(0, Math.abs(x));
  else view.setFloat64(0, Math.abs(x));
  const place = dtype === 'FP32' ? BigInt(view.getInt32(0)) : view.getBigInt64(0);
  return x < 0 ? -place : place;
}
