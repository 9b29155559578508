import { PyDict, PyGlobal, PyObject, type PyValue } from '../../pickle/records.js';
import type { CompileEstimator, Estimator } from '../estimator.js';
import { featuresOf } from '../features.js';
import type { Fitted } from '../fitted.js';
import { itemsOf, numberIn } from '../python-values.js';
import type { SklearnGraph } from '../graph.js';
import type { Table } from '../table.js';
import { weighted, weightsOf } from './pipelines.js';

/** Columns to transformers (sklearn/compose/_column_transformer.py, 0.22 to 1.8). */
export const columnTransformer: Record<string, CompileEstimator> = {
  ColumnTransformer: (fitted, graph) => {
    const own = featuresOf(fitted);
    const names = own.names ?? columnNames(fitted);
    const features = own.features ?? names?.length;
    if (features === undefined) return fitted.unsupported('does not say how many columns it takes');
    const weights = fitted.isNone('transformer_weights') ? undefined : weightsOf(fitted);
    const parts = partsOf(fitted, graph, { features, ...(names && { names }) });
    return {
      features,
      ...(names && { names }),
      transform: (input) => {
        if (input.width !== features) {
          fitted.damaged(`was fitted on ${features} columns and is given ${input.width}`);
        }
        return graph.join(
          parts.map(({ name, columns, estimator }) => {
            const chosen = graph.select(input, columns);
            const table = estimator ? transformed(estimator, chosen, fitted) : chosen;
            const weight = weights?.get(name);
            return weight === undefined ? table : weighted(graph, table, weight, fitted);
          }),
        );
      },
    };
  },
};

/** 0.22 and 0.23 kept the names of a data frame's columns to themselves. */
function columnNames(fitted: Fitted): string[] | undefined {
  const name = fitted.named('_df_columns', '_feature_names_in');
  if (name === undefined) return undefined;
  const columns = fitted.attribute(name);
  return itemsOf(columns)?.every((item) => typeof item === 'string')
    ? fitted.strings(name)
    : undefined;
}

interface Part {
  name: string;
  columns: number[];
  /** Absent: the columns as they are. */
  estimator?: Estimator;
}

interface Columns {
  features: number;
  names?: string[];
}

function partsOf(fitted: Fitted, graph: SklearnGraph, given: Columns): Part[] {
  return fitted.list('transformers_').flatMap((item, i): Part[] => {
    const where = `transformers_[${i}]`;
    const [name, transformer, wanted] = itemsOf(item) ?? [];
    if (typeof name !== 'string' || transformer === undefined || wanted === undefined) {
      return fitted.wrong(where, 'a name, a transformer and its columns');
    }
    if (transformer === 'drop') return [];
    const columns = indicesOf(fitted, name) ?? columnsOf(wanted, given, fitted, where);
    if (columns.length === 0) return [];
    if (columns.some((column) => !(column >= 0 && column < given.features))) {
      fitted.damaged(`has columns in ${where} that there are not`);
    }
    if (transformer === 'passthrough') return [{ name, columns }];
    return [{ name, columns, estimator: graph.compile(fitted.inner(transformer, where)) }];
  });
}

/** Since 1.0 the columns of each transformer are kept as indices too. */
function indicesOf(fitted: Fitted, name: string): number[] | undefined {
  if (fitted.isNone('_transformer_to_input_indices')) return undefined;
  const all = fitted.attribute('_transformer_to_input_indices');
  const found = all instanceof PyDict ? all.get(name) : undefined;
  return found === undefined ? undefined : itemsOf(found)?.map((index) => numberIn(index) ?? -1);
}

/** Columns as users name them: a name, an index, a slice, a mask, or a list of names or indices. */
function columnsOf(wanted: PyValue, given: Columns, fitted: Fitted, where: string): number[] {
  const indexOf = (key: PyValue): number => {
    if (typeof key === 'string') return given.names?.indexOf(key) ?? -1;
    const index = numberIn(key) ?? -given.features - 1;
    return index < 0 ? index + given.features : index;
  };
  if (wanted instanceof PyObject && isSlice(wanted)) {
    return sliced(wanted, given, fitted, indexOf);
  }
  if (typeof wanted === 'string' || typeof wanted === 'number') return [indexOf(wanted)];
  const items = itemsOf(wanted) ?? fitted.unsupported(`chooses columns in ${where} by a function`);
  if (items.length > 0 && items.every((item) => typeof item === 'boolean')) {
    return [...items.keys()].filter((column) => items[column] === true);
  }
  return items.map(indexOf);
}

function isSlice({ class: made }: PyObject): boolean {
  return made instanceof PyGlobal && /^(builtins|__builtin__)\.slice$/.test(made.id);
}

function sliced(
  { args }: PyObject,
  { features }: Columns,
  fitted: Fitted,
  indexOf: (key: PyValue) => number,
): number[] {
  const [from = null, to = null, by = null] = args.items;
  const step = by === null ? 1 : numberIn(by);
  if (step !== undefined && (step < 1 || !Number.isInteger(step))) {
    fitted.unsupported('chooses columns by a slice backwards');
  }
  const start = from === null ? 0 : indexOf(from);
  // A slice of names has its last name in it.
  const end = to === null ? features : indexOf(to) + (typeof to === 'string' ? 1 : 0);
  const columns: number[] = [];
  for (let i = start; i < Math.min(end, features); i += step ?? 1) columns.push(i);
  return columns;
}

function transformed(estimator: Estimator, input: Table, fitted: Fitted): Table {
  return estimator.transform?.(input) ?? fitted.damaged('has a part that does not transform');
}
