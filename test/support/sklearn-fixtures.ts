import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Runtime, Tensor } from '#program';

type Cell = number | string | boolean | null;

/** `NAME.json`: what scikit-learn said. */
export interface SklearnExpected {
  X: Cell[][] | string[];
  /** Names of the columns, where the model was fitted on a data frame. */
  columns?: string[];
  [output: string]: unknown;
}

/** A model of scikit-learn in all the files that it was saved as. */
export interface SklearnFixture {
  /** `1.4.2/rf_iris` */
  name: string;
  release: string;
  files: string[];
  expected: string;
}

const own = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures', 'sklearn');

/** The folders of the shared fixtures where they are, and the few of the repository. */
export function sklearnFolders(): { folders: string[]; shared: boolean } {
  const named = process.env['SLIPWAY_FIXTURES'];
  if (named) return { folders: [join(named, 'sklearn'), own], shared: true };
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'shared', 'fixtures', 'sklearn');
    if (existsSync(candidate)) return { folders: [candidate, own], shared: true };
  }
  process.stderr.write(
    '\nNo shared fixtures (SLIPWAY_FIXTURES): of scikit-learn only the models in test/fixtures are tested.\n',
  );
  return { folders: [own], shared: false };
}

export function sklearnFixtures(folder: string): SklearnFixture[] {
  return readdirSync(folder)
    .filter((release) => /^\d/.test(release))
    .flatMap((release) => {
      const files = readdirSync(join(folder, release));
      return files
        .filter((file) => file.endsWith('.json'))
        .map((file) => {
          const stem = file.slice(0, -'.json'.length);
          return {
            name: `${release}/${stem}`,
            release,
            files: files
              .filter((other) => other.startsWith(`${stem}.`) && other !== file)
              .map((other) => join(folder, release, other)),
            expected: join(folder, release, file),
          };
        });
    });
}

export function expectedOf({ expected }: SklearnFixture): SklearnExpected {
  return JSON.parse(readFileSync(expected, 'utf8')) as SklearnExpected;
}

/** The rows as a request: one matrix, a column of texts, or a tensor a column. */
export function requestOf(
  { signature }: Pick<Runtime, 'signature'>,
  { X, columns }: SklearnExpected,
): Tensor[] {
  const [first] = signature.inputs;
  const rows = X.length;
  if (isTexts(X)) return [{ name: 'X', dtype: 'BYTES', shape: [rows], data: X }];
  if (first?.shape.length === 2) {
    const data = Float64Array.from(X.flat(), numberOf);
    return [{ name: 'X', dtype: 'FP64', shape: [rows, X[0]?.length ?? 0], data }];
  }
  return signature.inputs.map(({ name, dtype }, i): Tensor => {
    const at = columns ? columns.indexOf(name) : i;
    const cells = X.map((row) => row[at] ?? null);
    return dtype === 'BYTES'
      ? { name, dtype, shape: [rows], data: cells.map((c) => (c === null ? null : String(c))) }
      : { name, dtype: 'FP64', shape: [rows], data: Float64Array.from(cells, numberOf) };
  });
}

function isTexts(X: Cell[][] | string[]): X is string[] {
  return typeof X[0] === 'string';
}

function numberOf(cell: Cell): number {
  return cell === null ? NaN : Number(cell);
}
