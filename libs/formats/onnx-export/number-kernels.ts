import type { GraphWriter, Table } from './graph-writer.js';
import { each, type KernelWriter, log1p, only, replaced, vector } from './kernel-writer.js';

/** Kernels that treat each number, or each column, alike. */
export const numberKernels: Record<string, KernelWriter> = {
  affine: (graph, given, inputs) => {
    const { shape, data } = given.floats('coefficients', 2);
    let rows = only(inputs);
    if (given.has('missing')) {
      const missing = graph.op('IsNaN', [rows.name]);
      rows = replaced(graph, rows, missing, graph.scalar(rows.dtype, 0));
    }
    const coefficients = graph.constant(rows.dtype, shape, data);
    // Not MatMul: ONNX Runtime 1.30 (MatMulScaleFusion) rounds a factor before it to float32.
    const intercept = vector(graph, given, 'intercept', rows.dtype);
    const sums = graph.op('Gemm', [rows.name, coefficients, intercept]);
    const columns = shape[1] ?? 0;
    return { ...rows, name: sums, columns };
  },

  add: (graph, given, inputs) => {
    const table = only(inputs);
    return each(graph, table, 'Add', vector(graph, given, 'addend', table.dtype));
  },

  divide: (graph, given, inputs) => {
    const table = only(inputs);
    return each(graph, table, 'Div', graph.scalar(table.dtype, given.number('divisor')));
  },

  'scale-columns': (graph, given, inputs) => {
    let table = graph.as(only(inputs), 'FP64');
    const steps = { subtract: 'Sub', divide: 'Div', multiply: 'Mul', add: 'Add' };
    for (const [name, operator] of Object.entries(steps))
      if (given.has(name)) table = each(graph, table, operator, vector(graph, given, name));
    // Not Max and Min, because NaN stays.
    for (const [name, test] of [
      ['low', 'Less'],
      ['high', 'Greater'],
    ] as const) {
      if (!given.has(name)) continue;
      const limit = vector(graph, given, name);
      table = replaced(graph, table, graph.op(test, [table.name, limit]), limit);
    }
    return table;
  },

  'scale-and-bias': (graph, given, inputs) => {
    const scale = graph.scalar('FP64', given.number('scale'));
    const scaled = each(graph, graph.as(only(inputs), 'FP64'), 'Mul', scale);
    return each(graph, scaled, 'Add', vector(graph, given, 'bias'));
  },

  // Not Sigmoid, which ONNX Runtime cuts off where the answer is small.
  sigmoid: (graph, given, inputs) => {
    const table = only(inputs);
    const { dtype } = table;
    const scale = given.has('scale') ? given.number('scale') : 1;
    let power = each(graph, table, 'Mul', graph.scalar(dtype, -scale));
    if (given.has('limit')) {
      const limit = graph.scalar(dtype, given.number('limit'));
      power = replaced(graph, power, graph.op('Greater', [power.name, limit]), limit);
    }
    const one = graph.scalar(dtype, 1);
    const divisor = each(graph, each(graph, power, 'Exp'), 'Add', one);
    return { ...table, name: graph.op('Div', [one, divisor.name]) };
  },

  exp: function_('Exp'),
  'fmath-exp': (graph, given, inputs) => {
    const scale = graph.scalar('FP64', given.has('scale') ? given.number('scale') : 1);
    return each(graph, each(graph, graph.as(only(inputs), 'FP64'), 'Mul', scale), 'Exp');
  },
  softmax: softmax(),
  'fmath-softmax': softmax(),

  'catboost-log-softmax': (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    return { ...table, name: graph.op('LogSoftmax', [table.name], { axis: 1 }) };
  },
  // −log(1 + e^−x) as min(x, 0) − log(1 + e^−|x|), in which nothing overflows.
  'catboost-log-sigmoid': (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const zero = graph.scalar('FP64', 0);
    const positive = graph.op('Greater', [table.name, zero]);
    const negative = replaced(graph, table, positive, zero);
    const size = each(graph, table, 'Abs');
    const log = log1p(graph, each(graph, each(graph, size, 'Neg'), 'Exp'));
    return each(graph, negative, 'Sub', log.name);
  },

  exp2: (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    return { ...table, name: graph.op('Pow', [graph.scalar('FP64', 2), table.name]) };
  },
  'negative-exp2': (graph, given, inputs) => {
    const table = only(inputs);
    const { dtype } = table;
    const divisor = given.number('divisor');
    if (divisor === 0) return each(graph, table, 'Mul', graph.scalar(dtype, 0));
    const power = each(graph, table, 'Div', graph.scalar(dtype, -divisor));
    return { ...table, name: graph.op('Pow', [graph.scalar(dtype, 2), power.name]) };
  },

  'log1p-exp': (graph, _, inputs) => log1p(graph, each(graph, only(inputs), 'Exp')),

  'sign-square': (graph, _, inputs) => {
    const table = only(inputs);
    return each(graph, table, 'Mul', graph.op('Abs', [table.name]));
  },

  greater: (graph, given, inputs) => {
    const table = only(inputs);
    const greater = graph.op('Greater', [
      table.name,
      graph.scalar(table.dtype, given.number('than')),
    ]);
    return { ...table, name: graph.cast(greater, table.dtype) };
  },

  clip: (graph, given, inputs) => {
    let table = only(inputs);
    for (const [name, test] of [
      ['least', 'Less'],
      ['most', 'Greater'],
    ] as const) {
      const limit = graph.scalar(table.dtype, given.number(name));
      table = replaced(graph, table, graph.op(test, [table.name, limit]), limit);
    }
    return table;
  },

  log: function_('Log', 'FP64'),
  sqrt: function_('Sqrt', 'FP64'),
  abs: function_('Abs', 'FP64'),
  negate: function_('Neg', 'FP64'),
  reciprocal: function_('Reciprocal', 'FP64'),
  floor: function_('Floor', 'FP64'),
  ceil: function_('Ceil', 'FP64'),
  'round-even': function_('Round', 'FP64'),
  sign: function_('Sign', 'FP64'),
  tanh: function_('Tanh', 'FP64'),
  relu: (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const zero = graph.scalar('FP64', 0);
    return replaced(graph, table, graph.op('Less', [table.name, zero]), zero);
  },
  square: (graph, _, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    return each(graph, table, 'Mul', table.name);
  },
  log1p: (graph, _, inputs) => log1p(graph, graph.as(only(inputs), 'FP64')),
  'to-radians': (graph, _, inputs) => factor(graph, only(inputs), Math.PI / 180),
  'to-degrees': (graph, _, inputs) => factor(graph, only(inputs), 180 / Math.PI),

  binarise: (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    const than = graph.scalar('FP64', given.number('than'));
    return { ...table, name: graph.cast(graph.op('Greater', [table.name, than]), 'FP64') };
  },

  'fill-missing': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    return replaced(graph, table, isMissing(graph, given, table), vector(graph, given, 'fill'));
  },

  'is-missing': (graph, given, inputs) => {
    const table = graph.as(only(inputs), 'FP64');
    return { ...table, name: graph.cast(isMissing(graph, given, table), 'FP64') };
  },

  'xgboost-rows': (graph, given, inputs) => {
    let table = graph.as(only(inputs), 'FP32');
    const missing = given.has('missing') ? (given.floats('missing', 1).data[0] ?? NaN) : NaN;
    const nothing = graph.scalar('FP32', NaN);
    const numbers = given.text('zeros') === 'missing' ? [missing, 0] : [missing];
    for (const number of numbers.filter((x) => !Number.isNaN(x))) {
      const equal = graph.op('Equal', [table.name, graph.scalar('FP32', number)]);
      table = replaced(graph, table, equal, nothing);
    }
    return table;
  },

  narrow: (graph, _, inputs) => graph.as(only(inputs), 'FP32'),
  cast: (graph, given, inputs) =>
    graph.as(only(inputs), given.oneOf('dtype', ['INT32', 'INT64', 'FP32', 'FP64'])),
};

/** An operator of ONNX that does what the kernel does. */
function function_(operator: string, dtype?: 'FP64'): KernelWriter {
  return (graph, _, inputs) => {
    const table = only(inputs);
    return each(graph, dtype ? graph.as(table, dtype) : table, operator);
  };
}

function softmax(): KernelWriter {
  return (graph, _, inputs) => {
    const table = only(inputs);
    return { ...table, name: graph.op('Softmax', [table.name], { axis: 1 }) };
  };
}

function factor(graph: GraphWriter, table: Table, by: number): Table {
  return each(graph, graph.as(table, 'FP64'), 'Mul', graph.scalar('FP64', by));
}

function isMissing(graph: GraphWriter, given: Parameters<KernelWriter>[1], table: Table): string {
  return given.flag('nan')
    ? graph.op('IsNaN', [table.name])
    : graph.op('Equal', [table.name, graph.scalar('FP64', given.number('missing'))]);
}
