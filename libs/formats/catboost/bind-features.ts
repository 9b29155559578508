import { COLUMN_PREFIX, type Binding, type TensorSpec } from '#program';
import { canNameInputs, madeUpNames } from '../column-names.js';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { NodeBuilder } from '../program-builder.js';
import { addStatistics } from './add-statistics.js';
import type { CatboostModel } from './model.js';

/** What trees ask: whether a column of the rows is greater than a border. */
export interface Test {
  column: number;
  border: number;
}

/** The rows that trees read. */
export interface Features {
  /** The value that holds the rows, FP32, and its columns. */
  rows: string;
  width: number;
  /** By CatBoost's numbers of the splits. */
  tests: Test[];
  /** A number a column. */
  missingGreatest: Uint8Array;
}

const MOST_COLUMNS = 100_000;

/** How a request becomes the rows that trees read. */
interface BoundFeatures extends Features {
  inputs: TensorSpec[];
  binding: Binding;
}

export function bindFeatures(builder: NodeBuilder, model: CatboostModel): BoundFeatures {
  const names = columnNames(model);
  const named = !isMadeUp(names) && canNameInputs(names);
  if (model.categories.length > 0) {
    return bindCategories(builder, model, named ? names : madeUpNames(names.length));
  }
  const inputs: TensorSpec[] = named
    ? names.map((name) => ({ name, dtype: 'FP32', shape: [-1] }))
    : [{ name: 'X', dtype: 'FP32', shape: [-1, names.length] }];
  const binding: Binding = { kind: 'table', matrix: { dtype: 'FP32', columns: names.length } };
  return { inputs, binding, ...numericFeatures(model, names.length, 'X') };
}

/** The features of a model without categories, from rows that hold all columns (FP32). */
export function numericFeatures({ floats }: CatboostModel, width: number, rows: string): Features {
  const tests: Test[] = [];
  const missingGreatest = new Uint8Array(width);
  for (const { column, borders, missingIsGreatest } of floats) {
    for (const border of borders) tests.push({ column, border });
    missingGreatest[column] = missingIsGreatest ? 1 : 0;
  }
  return { rows, width, tests, missingGreatest };
}

/** Columns of texts and numbers. */
function bindCategories(
  builder: NodeBuilder,
  model: CatboostModel,
  names: string[],
): BoundFeatures {
  const texts = new Set(model.categories.map(({ column }) => column));
  const inputs = names.map((name, column): TensorSpec => {
    return { name, dtype: texts.has(column) ? 'BYTES' : 'FP32', shape: [-1] };
  });
  const features = categoricalFeatures(
    builder,
    model,
    names,
    (column) => `${COLUMN_PREFIX}${names[column]}`,
  );
  return { inputs, binding: { kind: 'table', integersAsTexts: true }, ...features };
}

/**
 * The features of a model with categories: numbers, one-hot columns and statistics. `valueOf` answers the value of a column:
 * BYTES `[rows]` of a categorical one, else FP32 `[rows]`.
 */
export function categoricalFeatures(
  builder: NodeBuilder,
  model: CatboostModel,
  names: string[],
  valueOf: (column: number) => string,
): Features {
  const hashes = new Map(
    model.categories.map(({ index, column }) => {
      const attributes = { column: names[column] ?? '' };
      return [index, builder.kernel('category-hash', [valueOf(column)], { attributes })];
    }),
  );
  const hashOf = (feature: number) =>
    hashes.get(feature) ?? damaged(`There is no categorical feature ${feature}.`);

  const tables: string[] = [];
  const tests: Test[] = [];
  const missing: number[] = [];
  for (const { column, borders, missingIsGreatest } of model.floats) {
    if (borders.length === 0) continue;
    for (const border of borders) tests.push({ column: missing.length, border });
    tables.push(valueOf(column));
    missing.push(missingIsGreatest ? 1 : 0);
  }
  for (const { feature, values } of model.oneHots) {
    const weights = { values: builder.weights.add('INT32', values) };
    tables.push(builder.kernel('hash-one-hot', [hashOf(feature)], { weights }));
    for (const _ of values) {
      tests.push({ column: missing.length, border: 0.5 });
      missing.push(0);
    }
  }
  const statistics = addStatistics(builder, model, hashOf, (float) => valueOf(float.column));
  for (const ctr of model.ctrs) {
    const column = missing.length + (statistics.places.get(ctr) ?? 0);
    for (const border of ctr.borders) tests.push({ column, border });
  }
  tables.push(...statistics.tables);
  missing.push(...model.ctrs.map(() => 0));
  if (tables.length === 0) {
    // Trees that ask nothing still have rows.
    const weights = { values: builder.weights.add('INT32', new Int32Array(0)) };
    tables.push(builder.kernel('hash-one-hot', [[...hashes.values()][0] ?? ''], { weights }));
  }
  return {
    rows: builder.kernel('join-tables', tables),
    width: missing.length,
    tests,
    missingGreatest: Uint8Array.from(missing),
  };
}

/** Names by column; a column that has none is called by its number, as CatBoost does. */
export function columnNames({ floats, categories }: CatboostModel): string[] {
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
export function isMadeUp(names: string[]): boolean {
  return names.every((name, column) => name === String(column));
}

function damaged(message: string): never {
  throw new DamagedModel(message);
}
