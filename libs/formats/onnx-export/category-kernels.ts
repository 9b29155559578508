import type { GraphWriter, Table } from './graph-writer.js';
import { each, type KernelWriter, only, replaced } from './kernel-writer.js';

/**
 * Kernels of categories. What a kernel refuses is refused here too: by an index that Gather does not find. A text is never
 * missing, because ONNX has no such texts.
 */
export const categoryKernels: Record<string, KernelWriter> = {
  'text-categories': (graph, given, inputs) => {
    const categories = given.strings('categories');
    const codes = categories.map((_, code) => code);
    const refuses = given.text('unseen') === 'refuse';
    return texts(graph, only(inputs), categories, codes, refuses ? undefined : -1, 'FP64');
  },

  'text-codes': (graph, given, inputs) => {
    const levels = given.strings('levels');
    const missing = given.has('missing') ? given.strings('missing') : [];
    const rule = given.oneOf('unseen', ['missing', 'first', 'refuse']);
    const codes = [...levels.map((_, code) => code), ...missing.map(() => NaN)];
    // The last of equal texts counts: what is listed as missing is so, whatever the levels say.
    const known = [...levels, ...missing];
    const unseen = { missing: NaN, first: 0, refuse: undefined }[rule];
    const dtype = given.oneOf('dtype', ['FP32', 'FP64']);
    return texts(graph, only(inputs), known, codes, unseen, dtype);
  },

  'fill-text': (graph, given, inputs) => {
    const table = only(inputs);
    if (!given.has('missing')) return table;
    const missing = graph.scalar('BYTES', given.text('missing'));
    const equal = graph.op('Equal', [table.name, missing]);
    return replaced(graph, table, equal, graph.scalar('BYTES', given.text('fill')));
  },

  'number-categories': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const starts = given.int32('starts');
    const { data } = given.floats('categories', 1);
    const refuses = given.text('unseen') === 'refuse';
    const columns = Array.from({ length: starts.length - 1 }, (_, column) => {
      const own = [...data.subarray(starts[column], starts[column + 1])];
      return numberCodes(graph, graph.take(table, [column]), own, refuses);
    });
    return graph.join(columns);
  },

  'one-hot': (graph, given, inputs) => {
    const table = only(inputs);
    const starts = given.int32('starts');
    const map = given.int32('map');
    const unseen = given.int32('unseen');
    const width = given.number('width');
    const parts = Array.from(unseen, (otherwise, column) => {
      const targets = [otherwise, ...map.subarray(starts[column], starts[column + 1])];
      const own = [...new Set(targets.filter((to) => to >= 0))];
      const rows = targets.flatMap((to) => own.map((target) => Number(target === to)));
      return { own, name: looked(graph, table, column, [targets.length, own.length], rows) };
    }).filter(({ own }) => own.length > 0);
    const order = parts.flatMap(({ own }) => own);
    const zeros = looked(graph, table, 0, [1, 1], [0], 'zero');
    const joined = graph.join([
      ...parts.map(({ own, name }): Table => ({ name, dtype: 'FP64', columns: own.length })),
      { name: zeros, dtype: 'FP64', columns: 1 },
    ]);
    return graph.take(
      joined,
      Array.from({ length: width }, (_, to) => {
        const at = order.indexOf(to);
        return at < 0 ? order.length : at;
      }),
    );
  },

  'map-codes': (graph, given, inputs) => {
    const table = only(inputs);
    const starts = given.int32('starts');
    const { data: values } = given.floats('values', 1);
    const { data: unseen } = given.floats('unseen', 1);
    const columns = Array.from(unseen, (otherwise, column): Table => {
      const own = [otherwise, ...values.subarray(starts[column], starts[column + 1])];
      const name = looked(graph, table, column, [own.length, 1], own);
      return { name, dtype: 'FP64', columns: 1 };
    });
    return graph.join(columns);
  },
};

/** The number of each text, `unseen` for those that are not known; undefined: they are refused. */
function texts(
  graph: GraphWriter,
  table: Table,
  known: string[],
  codes: number[],
  unseen: number | undefined,
  dtype: 'FP32' | 'FP64',
): Table {
  // LabelEncoder takes one key at least; a key that is unseen as all others changes nothing.
  const last = new Map(known.map((text, i) => [text, i]));
  const keys = last.size > 0 ? [...last.keys()] : [''];
  const places = last.size > 0 ? [...last.values()] : [codes.length];
  const place = graph.learned('LabelEncoder', [table.name], {
    keys_strings: keys,
    values_int64s: places,
    default_int64: codes.length,
  });
  const numbers = unseen === undefined ? codes : [...codes, unseen];
  const values = graph.constant(dtype, [numbers.length], numbers);
  return { ...table, dtype, name: graph.op('Gather', [values, place], { axis: 0 }) };
}

/** The place of each number of a column in the list, −1 where it is in none or, where `refuses`, an error. */
function numberCodes(
  graph: GraphWriter,
  column: Table,
  categories: number[],
  refuses: boolean,
): Table {
  const { length } = categories;
  const ordinals = categories.map((_, code) => code + 1);
  const known = graph.constant('FP64', [1, length], categories);
  const equal = graph.cast(graph.op('Equal', [column.name, known]), 'FP64');
  const weights = graph.constant('FP64', [length, 1], ordinals);
  let place = graph.op('MatMul', [equal, weights]);
  const missing = categories.findIndex(Number.isNaN);
  if (missing >= 0) {
    const code = graph.scalar('FP64', missing + 1);
    place = graph.op('Where', [graph.op('IsNaN', [column.name]), code, place]);
  }
  const codes = each(graph, { ...column, name: place }, 'Sub', graph.scalar('FP64', 1));
  if (!refuses) return codes;
  // Counted from the end, −length is the first, and what lies before it is not there.
  const fromEnd = each(graph, codes, 'Sub', graph.scalar('FP64', length));
  const list = graph.constant('FP64', [length], Array.from(categories.keys()));
  const index = graph.cast(fromEnd.name, 'INT64');
  return { ...column, name: graph.op('Gather', [list, index], { axis: 0 }) };
}

/** Rows `[codes + 1, width]` chosen by one column of codes from −1 on; `zero`: the first one for all. */
function looked(
  graph: GraphWriter,
  table: Table,
  column: number,
  shape: [number, number],
  rows: number[],
  which: 'code' | 'zero' = 'code',
): string {
  const codes = graph.cast(graph.take(table, [column]).name, 'INT64');
  const moved =
    which === 'zero'
      ? graph.op('Mul', [codes, graph.scalar('INT64', 0)])
      : graph.op('Add', [codes, graph.scalar('INT64', 1)]);
  const flat = graph.op('Reshape', [moved, graph.constant('INT64', [1], [-1])]);
  return graph.op('Gather', [graph.constant('FP64', shape, rows), flat], { axis: 0 });
}
