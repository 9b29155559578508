import type { Binding, TensorSpec } from '#program';
import { canNameInputs } from '../column-names.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { ProgramBuilder } from '../program-builder.js';
import type { CatboostModel } from './model.js';

/** What trees ask: whether a column of the rows is greater than a border. */
export interface Test {
  column: number;
  border: number;
}

/** How a request becomes the rows that trees read. */
export interface Features {
  inputs: TensorSpec[];
  binding: Binding;
  /** The value that holds the rows, FP32, and its columns. */
  rows: string;
  width: number;
  /** By CatBoost's numbers of the splits. */
  tests: Test[];
  /** A number a column. */
  missingGreatest: Uint8Array;
}

const MOST_COLUMNS = 100_000;

export function bindFeatures(_builder: ProgramBuilder, model: CatboostModel): Features {
  if (model.categories.length > 0) {
    throw new UnsupportedModel('The model has categorical features, which are not supported.');
  }
  const names = columnNames(model);
  const tests: Test[] = [];
  const missingGreatest = new Uint8Array(names.length);
  for (const { column, borders, missingIsGreatest } of model.floats) {
    for (const border of borders) tests.push({ column, border });
    missingGreatest[column] = missingIsGreatest ? 1 : 0;
  }
  const inputs: TensorSpec[] =
    isMadeUp(names) || !canNameInputs(names)
      ? [{ name: 'X', dtype: 'FP32', shape: [-1, names.length] }]
      : names.map((name) => ({ name, dtype: 'FP32', shape: [-1] }));
  const binding: Binding = { kind: 'table', matrix: { dtype: 'FP32', columns: names.length } };
  return { inputs, binding, rows: 'X', width: names.length, tests, missingGreatest };
}

/** Names by column; a column that has none is called by its number, as CatBoost does. */
function columnNames({ floats, categories }: CatboostModel): string[] {
  const names: string[] = [];
  for (const { column, name } of [...floats, ...categories]) {
    if (column >= MOST_COLUMNS) {
      throw new UnsupportedModel(`The model has more than ${MOST_COLUMNS} features.`);
    }
    if (names[column] !== undefined) {
      throw new DamagedModel(`Two features are at flat_feature_index ${column}.`);
    }
    names[column] = name === '' ? String(column) : name;
  }
  return Array.from(names, (name, column) => name ?? String(column));
}

/** Names that CatBoost makes up for arrays. */
function isMadeUp(names: string[]): boolean {
  return names.every((name, column) => name === String(column));
}
