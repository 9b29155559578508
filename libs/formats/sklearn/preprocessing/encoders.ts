import { NdArray, PyFloat, type PyValue } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { itemsOf, numberIn } from '../python-values.js';
import type { Table } from '../table.js';

/** Encoders of categories (sklearn/preprocessing/_encoders.py and _target_encoder.py, 0.22 to 1.8). */
export const encoders: Record<string, CompileEstimator> = {
  OneHotEncoder: (fitted, graph) => {
    const all = categoriesOf(fitted);
    const plan = oneHotPlan(fitted, all);
    const refuse = fitted.textOr('handle_unknown', 'error') === 'error';
    return {
      features: all.length,
      ...namesOf(fitted),
      transform: (input) => {
        const codes = codesOf(graph, fitted, input, all, refuse);
        const value = graph.kernel('one-hot', [codes], {
          attributes: { width: plan.width },
          weights: {
            starts: graph.int32(plan.starts),
            map: graph.int32(plan.map),
            unseen: graph.int32(plan.unseen),
          },
        });
        return graph.table(value, plan.width);
      },
    };
  },

  OrdinalEncoder: (fitted, graph) => {
    const all = categoriesOf(fitted);
    const refuse = fitted.textOr('handle_unknown', 'error') === 'error';
    const unknown = fitted.isNone('unknown_value') ? NaN : fitted.number('unknown_value');
    const missing = fitted.numberOr('encoded_missing_value', NaN);
    const groups = groupsOf(fitted, all);
    const values = all.map(({ size, missing: at }, column) =>
      Array.from({ length: size }, (_, code) =>
        code === at ? missing : (groups[column]?.[code] ?? code),
      ),
    );
    return {
      features: all.length,
      ...namesOf(fitted),
      transform: (input) => {
        const codes = codesOf(graph, fitted, input, all, refuse);
        return mapCodes(
          graph,
          codes,
          values,
          values.map(() => unknown),
        );
      },
    };
  },

  TargetEncoder: (fitted, graph) => {
    const all = categoriesOf(fitted);
    const encodings = fitted.vectors('encodings_');
    const mean = fitted.vector('target_mean_');
    const { length: targets } = mean;
    const times = encodings.length / all.length;
    if (times !== targets) fitted.damaged('has not an encoding for each column');
    return {
      features: all.length,
      ...namesOf(fitted),
      transform: (input) => {
        const codes = codesOf(graph, fitted, input, all, false);
        // Each column once for each class, side by side.
        const repeated = encodings.map((_, i) => Math.floor(i / times));
        const wide = graph.select(graph.table(codes, all.length), repeated);
        const unseen = encodings.map((_, i) => mean[i % times] ?? NaN);
        return mapCodes(
          graph,
          graph.unchecked(wide, fitted),
          encodings.map((e) => [...e]),
          unseen,
        );
      },
    };
  },
};

/** The categories of one column. */
interface Categories {
  texts?: string[];
  numbers?: Float64Array;
  size: number;
  /** The code of a missing value, −1 where it is no category. */
  missing: number;
}

function categoriesOf(fitted: Fitted): Categories[] {
  return fitted.list('categories_').map((item, i) => {
    const where = `categories_[${i}]`;
    if (item instanceof NdArray && 'biuf'.includes(item.dtype.kind)) {
      fitted.budget.spend(item.size);
      return numbersOf(item.numbers());
    }
    const items = itemsOf(item) ?? fitted.wrong(where, 'an array of categories');
    fitted.budget.spend(items.length * 2);
    return listOf(items, fitted, where);
  });
}

function numbersOf(numbers: Float64Array): Categories {
  return { numbers, size: numbers.length, missing: numbers.findIndex(Number.isNaN) };
}

/** Objects: all texts or all numbers, beside None and NaN. */
function listOf(items: PyValue[], fitted: Fitted, where: string): Categories {
  const isMissing = (item: PyValue) =>
    item === null || (item instanceof PyFloat && Number.isNaN(item.value));
  const known = items.filter((item) => !isMissing(item));
  const missing = items.findIndex(isMissing);
  if (items.length - known.length > 1) {
    fitted.unsupported(`has both None and NaN in ${where}, which a request cannot tell apart`);
  }
  if (known.every((item) => typeof item === 'string')) {
    // What stands for a missing value is no text: it gets one that no text of the list equals.
    const texts = items.map((item) => (typeof item === 'string' ? item : uniqueText(known)));
    return { texts, size: items.length, missing };
  }
  const numbers = items.map((item) => (isMissing(item) ? NaN : numberIn(item)));
  if (numbers.includes(undefined)) {
    return fitted.unsupported(`has categories of several types in ${where}`);
  }
  return numbersOf(Float64Array.from(numbers, (number) => number ?? NaN));
}

function uniqueText(texts: PyValue[]): string {
  let text = '\u0000';
  while (texts.includes(text)) text += '\u0000';
  return text;
}

/** The codes of all columns, FP64 `[rows, columns]`. */
function codesOf(
  graph: SklearnGraph,
  fitted: Fitted,
  input: Table,
  all: Categories[],
  refuse: boolean,
): string {
  if (input.width !== all.length) {
    fitted.damaged(`was fitted on ${all.length} columns and is given ${input.width}`);
  }
  const unseen = refuse ? 'refuse' : 'pass';
  const owner = fitted.class;
  const parts: string[] = [];
  for (let column = 0; column < all.length;) {
    const { texts, missing } = all[column] ?? { missing: -1 };
    if (texts) {
      const names = graph.namesFor(graph.select(input, [column]));
      const attributes = { categories: texts, missing, unseen, owner, column, ...names };
      const value = graph.texts(input, column, fitted);
      parts.push(graph.kernel('text-categories', [value], { attributes }));
      column += 1;
      continue;
    }
    const first = column;
    while (column < all.length && all[column]?.numbers) column += 1;
    const chosen = Array.from({ length: column - first }, (_, i) => first + i);
    const table = graph.select(input, chosen);
    const rows = graph.unchecked(table, fitted);
    const about = { unseen, owner, column: first, ...graph.namesFor(table) };
    parts.push(numberCodes(graph, rows, all.slice(first, column), about));
  }
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : graph.kernel('join-tables', parts);
}

function numberCodes(
  graph: SklearnGraph,
  rows: string,
  all: Categories[],
  attributes: Record<string, string | number | string[]>,
): string {
  const lists = all.map(({ numbers }) => [...(numbers ?? [])]);
  const weights = { starts: graph.int32(startsOf(lists)), categories: graph.fp64(lists.flat()) };
  return graph.kernel('number-categories', [rows], { attributes, weights });
}

function mapCodes(graph: SklearnGraph, codes: string, values: number[][], unseen: number[]): Table {
  const weights = {
    starts: graph.int32(startsOf(values)),
    values: graph.fp64(values.flat()),
    unseen: graph.fp64(unseen),
  };
  return graph.table(graph.kernel('map-codes', [codes], { weights }), values.length);
}

function startsOf(lists: { length: number }[]): number[] {
  const starts = [0];
  for (const { length } of lists) starts.push((starts.at(-1) ?? 0) + length);
  return starts;
}

/** For columns with infrequent categories: the group of each code (since 1.1). */
function groupsOf(fitted: Fitted, all: Categories[]): (Float64Array | undefined)[] {
  if (fitted.isNone('_default_to_infrequent_mappings')) return all.map(() => undefined);
  return fitted.list('_default_to_infrequent_mappings').map((item, i) => {
    if (item === null) return undefined;
    const { size, missing } = all[i] ?? { size: 0, missing: -1 };
    // OrdinalEncoder leaves a missing value out, which is always the last category.
    const fits =
      item instanceof NdArray && [size, missing < 0 ? size : size - 1].includes(item.size);
    return fits ? item.numbers() : fitted.damaged('has groups of other categories');
  });
}

interface OneHotPlan {
  width: number;
  starts: number[];
  /** The column of each code, −1 where there is none. */
  map: number[];
  unseen: number[];
}

function oneHotPlan(fitted: Fitted, all: Categories[]): OneHotPlan {
  const groups = groupsOf(fitted, all);
  const dropped = droppedOf(fitted, all);
  const handling = fitted.textOr('handle_unknown', 'error');
  const toInfrequent = handling === 'infrequent_if_exist' || handling === 'warn';
  const plan: OneHotPlan = { width: 0, starts: [0], map: [], unseen: [] };
  for (const [column, { size }] of all.entries()) {
    const own = groups[column];
    const group = (code: number) => own?.[code] ?? code;
    const count = own ? Math.max(-1, ...own) + 1 : size;
    const drop = dropped[column] ?? -1;
    const place = (kept: number) =>
      kept === drop ? -1 : plan.width + kept - (drop >= 0 && kept > drop ? 1 : 0);
    for (let code = 0; code < size; code++) plan.map.push(place(group(code)));
    // The infrequent ones are the last group.
    plan.unseen.push(own && toInfrequent ? place(count - 1) : -1);
    plan.starts.push(plan.map.length);
    plan.width += count - (drop >= 0 ? 1 : 0);
  }
  return plan;
}

/** The dropped category of each column, by its number after grouping; −1: none is. */
function droppedOf(fitted: Fitted, all: Categories[]): number[] {
  const name = fitted.named('_drop_idx_after_grouping', 'drop_idx_');
  if (name === undefined) return all.map(() => -1);
  return fitted.list(name).map((item) => (item === null ? -1 : (numberIn(item) ?? -1)));
}
