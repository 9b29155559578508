import type { KernelArguments } from '#program';
import type { GraphWriter, Table } from './graph-writer.js';
import { each, type KernelWriter, only, replaced, vector } from './kernel-writer.js';

/** Kernels that choose, arrange and put together. */
export const tableKernels: Record<string, KernelWriter> = {
  identity: (_, __, inputs) => only(inputs),
  // Tables have two dimensions here from the start.
  'as-matrix': (_, __, inputs) => only(inputs),
  'as-vector': (_, __, inputs) => only(inputs),
  // Left out: a graph of ONNX refuses no numbers.
  'check-finite': (_, __, inputs) => only(inputs),

  'take-columns': (graph, given, inputs) => graph.take(only(inputs), given.int32('columns')),
  'take-column': (graph, given, inputs) => graph.take(only(inputs), [given.number('column')]),
  'join-columns': (graph, _, inputs) => graph.join(inputs),
  'join-tables': (graph, _, inputs) => graph.join(inputs),
  'join-labels': (graph, _, inputs) => graph.join(inputs),

  'arg-max': (graph, _, inputs) => largest(graph, only(inputs), {}),
  'largest-column': (graph, _, inputs) => largest(graph, only(inputs), {}),
  'last-largest-column': (graph, _, inputs) =>
    largest(graph, only(inputs), { select_last_index: 1 }),

  'sort-rows': (graph, _, inputs) => {
    const table = only(inputs);
    const count = graph.constant('INT64', [1], [table.columns]);
    const [name = ''] = graph.ops('TopK', [table.name, count], 2, { axis: 1, largest: 0 });
    return { ...table, name };
  },

  above: (graph, given, inputs) => {
    const table = only(inputs);
    const operator = given.flag('orEqual') ? 'GreaterOrEqual' : 'Greater';
    const than = graph.scalar(table.dtype, given.number('than'));
    const name = graph.cast(graph.op(operator, [table.name, than]), 'INT64');
    return { ...table, name, dtype: 'INT64' };
  },

  'class-labels': (graph, given, inputs) => {
    const dtype = given.oneOf('dtype', ['BYTES', 'INT64', 'FP64']);
    return labels(graph, only(inputs), dtype, given.labels('labels'));
  },
  'text-labels': (graph, given, inputs) =>
    labels(graph, only(inputs), 'BYTES', given.strings('labels')),
  'number-labels': (graph, given, inputs) => {
    const { dtype, data } = given.weight('labels', ['INT64', 'BOOL', 'FP64'], 1);
    return labels(graph, only(inputs), dtype, data);
  },

  'both-classes': (graph, _, inputs) => {
    const table = only(inputs);
    const first = graph.op('Sub', [graph.scalar(table.dtype, 1), table.name]);
    return graph.join([{ ...table, name: first }, table]);
  },
  'catboost-both-scores': (graph, _, inputs) => {
    const table = only(inputs);
    return graph.join([each(graph, table, 'Neg'), table]);
  },

  'constant-rows': (graph, given, inputs) => {
    const { data } = given.floats('values', 1);
    const rows = graph.op('Shape', [only(inputs).name], { start: 0, end: 1 });
    const columns = graph.constant('INT64', [1], [data.length]);
    const shape = graph.op('Concat', [rows, columns], { axis: 0 });
    const name = graph.op('Expand', [vector(graph, given, 'values'), shape]);
    return { name, dtype: 'FP64', columns: data.length };
  },

  'place-columns': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const places = [...given.int32('columns')];
    const zeros = each(graph, graph.take(table, [0]), 'Mul', graph.scalar('FP64', 0));
    const isZero = !given.has('rest') || given.text('rest') === 'zero';
    const rest = isZero ? zeros : each(graph, zeros, 'Add', graph.scalar('FP64', -Infinity));
    const order = Array.from({ length: given.number('width') }, (_, column) => {
      const at = places.lastIndexOf(column);
      return at < 0 ? table.columns : at;
    });
    return graph.take(graph.join([table, rest]), order);
  },

  products: (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const starts = given.int32('starts');
    const list = given.int32('columns');
    const ones = each(graph, ownShare(graph, table), 'Add', graph.scalar('FP64', 1));
    const factors = graph.join([table, ones]);
    const lists = Array.from({ length: starts.length - 1 }, (_, p) =>
      [...list.subarray(starts[p], starts[p + 1])].toReversed(),
    );
    const most = lists.reduce((length, own) => Math.max(length, own.length), 1);
    const factor = (depth: number) =>
      graph.take(
        factors,
        lists.map((own) => own[depth] ?? table.columns),
      );
    let product = factor(0);
    for (let depth = 1; depth < most; depth++)
      product = each(graph, product, 'Mul', factor(depth).name);
    return product;
  },

  'normalise-rows': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const norm = given.oneOf('norm', ['l1', 'l2', 'max']);
    const sizes = each(graph, table, 'Abs');
    const squares = each(graph, table, 'Mul', table.name);
    const divisor =
      norm === 'l1'
        ? graph.rowSum(sizes)
        : norm === 'l2'
          ? each(graph, graph.rowSum(squares), 'Sqrt')
          : { ...sizes, columns: 1, name: rowMax(graph, sizes) };
    const zero = graph.op('Equal', [divisor.name, graph.scalar('FP64', 0)]);
    const safe = replaced(graph, divisor, zero, graph.scalar('FP64', 1));
    return each(graph, table, 'Div', safe.name);
  },

  'share-rows': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const rule = given.oneOf('zero', ['uniform', 'nan', 'stay']);
    const sum = graph.rowSum(table).name;
    const shares = each(graph, table, 'Div', sum);
    if (rule === 'nan') return shares;
    const zero = graph.op('Equal', [sum, graph.scalar('FP64', 0)]);
    const instead = rule === 'stay' ? table.name : graph.scalar('FP64', 1 / table.columns);
    return replaced(graph, shares, zero, instead);
  },

  'subtract-log-sum': (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    return each(graph, table, 'Sub', logSum(graph, table));
  },

  combine: (graph, given, inputs) => {
    const weights = given.has('weights') ? given.numbers('weights') : [];
    const weighted = inputs.map((table, i) => {
      const wide = graph.as(table, 'FP64');
      const weight = weights[i] ?? 1;
      return weight === 1 ? wide : each(graph, wide, 'Mul', graph.scalar('FP64', weight));
    });
    const [first, ...others] = weighted;
    const sum = others.reduce((left, right) => each(graph, left, 'Add', right.name), only1(first));
    const divisor = given.number('divisor');
    return divisor === 1 ? sum : each(graph, sum, 'Div', graph.scalar('FP64', divisor));
  },

  votes: (graph, given, inputs) => {
    const classes = given.number('classes');
    const weights = given.numbers('weights');
    const others = given.has('others') ? given.numbers('others') : [];
    const known = graph.constant(
      'INT64',
      [1, classes],
      Array.from({ length: classes }, (_, k) => k),
    );
    const votes = inputs.map((table, i): Table => {
      const chosen = graph.op('Equal', [graph.as(table, 'INT64').name, known]);
      const numbers = [weights[i] ?? 0, others[i] ?? 0].map((x) => graph.scalar('FP64', x));
      const name = graph.op('Where', [chosen, ...numbers]);
      return { name, dtype: 'FP64', columns: classes };
    });
    const [first, ...more] = votes;
    return more.reduce((left, right) => each(graph, left, 'Add', right.name), only1(first));
  },

  'samme-r': (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const least = graph.scalar('FP64', 2 ** -52);
    const small = graph.op('Less', [table.name, least]);
    const logs = each(graph, replaced(graph, table, small, least), 'Log');
    const sum = graph.rowSum(logs);
    const mean = each(graph, sum, 'Div', graph.scalar('FP64', table.columns));
    const centred = each(graph, logs, 'Sub', mean.name);
    return each(graph, centred, 'Mul', graph.scalar('FP64', table.columns - 1));
  },

  'add-leaves': (graph, given, inputs) => {
    const [sums, leaves] = inputs;
    const starts = given.int32('starts');
    const treeColumns = given.int32('columns');
    const { data } = given.floats('values', 1);
    const trees = treeColumns.length;
    const first = graph.constant('INT64', [1, trees], starts.subarray(0, trees));
    const nodes = graph.op('Add', [graph.as(only1(leaves), 'INT64').name, first]);
    const values = graph.constant('FP64', [data.length], data);
    const found = graph.op('Gather', [values, nodes], { axis: 0 });
    const wide = graph.as(only1(sums), 'FP64');
    const spread = new Float64Array(trees * wide.columns);
    for (let tree = 0; tree < trees; tree++)
      spread[tree * wide.columns + (treeColumns[tree] ?? 0)] = 1;
    const places = graph.constant('FP64', [trees, wide.columns], spread);
    return each(graph, wide, 'Add', graph.op('MatMul', [found, places]));
  },

  'raw-shares': (graph, given, inputs) => {
    const link = given.oneOf('link', ['logit', 'half-logit', 'log', 'centred-log']);
    const epsilon = given.number('epsilon');
    const table = graph.as(only(inputs), 'FP64');
    const [least, most] = [graph.scalar('FP64', epsilon), graph.scalar('FP64', 1 - epsilon)];
    const low = replaced(graph, table, graph.op('Less', [table.name, least]), least);
    const p = replaced(graph, low, graph.op('Greater', [low.name, most]), most);
    if (link === 'log') return each(graph, p, 'Log');
    if (link === 'centred-log') {
      const logs = each(graph, p, 'Log');
      const mean = each(graph, graph.rowSum(logs), 'Div', graph.scalar('FP64', table.columns));
      return each(graph, logs, 'Sub', mean.name);
    }
    const second = graph.take(p, [1]);
    const first = graph.op('Sub', [graph.scalar('FP64', 1), second.name]);
    const logit = each(graph, each(graph, second, 'Div', first), 'Log');
    return each(graph, logit, 'Mul', graph.scalar('FP64', link === 'logit' ? 1 : 0.5));
  },

  'normal-likelihoods': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const { squares, points } = differences(graph, given, table, 'means');
    const variances = given.floats('variances', 2);
    const scaled = graph.op('Div', [squares, cube(graph, variances)]);
    const sum = sumOfLast(graph, scaled);
    const half = graph.op('Mul', [sum, graph.scalar('FP64', -0.5)]);
    const name = graph.op('Add', [half, vector(graph, given, 'constants')]);
    return { name, dtype: 'FP64', columns: points };
  },

  'point-distances': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const { squares, points } = differences(graph, given, table, 'points');
    const name = graph.op('Sqrt', [sumOfLast(graph, squares)]);
    return { name, dtype: 'FP64', columns: points };
  },
  'nearest-point': (graph, given, inputs) => {
    const { squares } = differences(graph, given, graph.as(only(inputs), 'FP64'), 'points');
    const name = graph.op('ArgMin', [sumOfLast(graph, squares)], { axis: 1 });
    return { name, dtype: 'INT64', columns: 1 };
  },
};

function only1(table: Table | undefined): Table {
  if (!table) throw new Error('a kernel lacks an input');
  return table;
}

/** A column of zeros as long as the table, whatever the table holds. */
function ownShare(graph: GraphWriter, table: Table): Table {
  const column = graph.take(table, [0]);
  const zero = graph.scalar('FP64', 0);
  return { ...column, name: graph.op('Where', [graph.op('IsNaN', [column.name]), zero, zero]) };
}

/** Indices are INT64, as ONNX has them; what answers them is cast to its dtype at the end. */
function largest(graph: GraphWriter, table: Table, attributes: Record<string, number>): Table {
  const name = graph.op('ArgMax', [table.name], { axis: 1, ...attributes });
  return { name, dtype: 'INT64', columns: 1 };
}

function labels(
  graph: GraphWriter,
  index: Table,
  dtype: Table['dtype'],
  values: ArrayLike<number | bigint | string>,
): Table {
  const known = graph.constant(dtype, [values.length], values);
  const name = graph.op('Gather', [known, graph.as(index, 'INT64').name], { axis: 0 });
  return { ...index, name, dtype };
}

function rowMax(graph: GraphWriter, table: Table): string {
  return graph.op('ReduceMax', [table.name, graph.constant('INT64', [1], [1])]);
}

/** The logarithm of each row's sum of exponentials. */
function logSum(graph: GraphWriter, table: Table): string {
  const most = rowMax(graph, table);
  const powers = each(graph, each(graph, table, 'Sub', most), 'Exp');
  return graph.op('Add', [graph.op('Log', [graph.rowSum(powers).name]), most]);
}

/** Squares of the differences of each row and each point: `[rows, points, columns]`. */
function differences(graph: GraphWriter, given: KernelArguments, table: Table, name: string) {
  const points = given.floats(name, 2);
  const rows = graph.op('Unsqueeze', [table.name, graph.constant('INT64', [1], [1])]);
  const difference = graph.op('Sub', [rows, cube(graph, points)]);
  return { squares: graph.op('Mul', [difference, difference]), points: points.shape[0] ?? 0 };
}

function cube(
  graph: GraphWriter,
  { shape, data }: { shape: number[]; data: ArrayLike<number> },
): string {
  return graph.constant('FP64', [1, ...shape], data);
}

function sumOfLast(graph: GraphWriter, name: string): string {
  return graph.op('ReduceSum', [name, graph.constant('INT64', [1], [2])], { keepdims: 0 });
}
