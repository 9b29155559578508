import type { Attribute } from '#program';
import type { DType, TensorData } from '#program';
import type { Weight } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { tableOf } from '../table.js';

interface Column {
  attributes: Record<string, Attribute>;
  weights: Record<string, Weight>;
}

/** Keys or values of a table as a kernel takes them: strings in attributes, numbers in weights. */
export function columnOf(
  op: TfOp,
  { name, bytes }: { name: string; bytes: string },
  dtype: DType,
  data: TensorData,
): Column {
  if (dtype !== 'BYTES' && !Array.isArray(data)) {
    if (!['INT32', 'INT64', 'FP32', 'FP64', 'BOOL', 'UINT8'].includes(dtype))
      op.unsupported(`a table of ${dtype} is not.`);
    return { attributes: {}, weights: { [name]: { dtype, shape: [data.length], data } } };
  }
  const places: number[] = [];
  const texts = Array.from<unknown, string>(data, (element, i) => {
    if (typeof element === 'string') return element;
    places.push(i);
    return element instanceof Uint8Array ? btoa(String.fromCharCode(...element)) : '';
  });
  const attributes = { [name]: texts, ...(places.length > 0 && { [bytes]: places }) };
  return { attributes, weights: {} };
}

const find: OpRule = (op) => {
  const table = tableOf(op, 0);
  if (table.valueShape.length > 0) op.unsupported('a table whose values have dimensions is not.');
  const [asked, absent] = [op.tensor(1), op.tensor(2)];
  const keys = columnOf(op, { name: 'keys', bytes: 'keyBytes' }, table.keyDtype, table.keys);
  const values = columnOf(
    op,
    { name: 'values', bytes: 'valueBytes' },
    table.valueDtype,
    table.values,
  );
  return op.graph.kernel(
    'look-up',
    [asked, absent],
    [{ dtype: table.valueDtype, shape: asked.shape }],
    {
      attributes: { ...keys.attributes, ...values.attributes },
      weights: { ...keys.weights, ...values.weights },
    },
  );
};

/** Lookups in tables, whose contents are known when the model is imported. */
export const tables: Record<string, OpRule> = {
  ...all(find, 'LookupTableFindV2 LookupTableFind'),
  ...all(
    (op) => [op.graph.scalar('INT64', tableOf(op, 0).keys.length)],
    'LookupTableSizeV2 LookupTableSize',
  ),
  ...all((op) => {
    const { keys, values, keyDtype, valueDtype, valueShape } = tableOf(op, 0);
    const count = keys.length;
    return [
      op.graph.constant(keyDtype, [count], keys),
      op.graph.constant(valueDtype, [count, ...valueShape], values),
    ];
  }, 'LookupTableExportV2 LookupTableExport'),
  Bucketize: (op) => {
    const input = op.tensor(0);
    const boundaries = op.list('boundaries').map((item) => {
      if (item.kind === 'float') return item.value;
      return item.kind === 'integer'
        ? Number(item.value)
        : op.unsupported('its boundaries are not numbers.');
    });
    const data = Float32Array.from(boundaries);
    return op.graph.kernel('buckets-of', [input], [{ dtype: 'INT32', shape: input.shape }], {
      weights: { boundaries: { dtype: 'FP32', shape: [data.length], data } },
    });
  },
};
