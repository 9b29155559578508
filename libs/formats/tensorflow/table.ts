import type { DType, TensorData } from '#program';
import type { TfOp, TfResource } from './op-rule.js';

/**
 * A lookup table as it is once the model is initialised: the operations that make one (`HashTableV2`, `MutableHashTableV2`, …)
 * answer it, and lookups find it among their inputs ({@link tableOf}). What a lookup answers for other keys is an input of it.
 */
export interface TfTable extends TfResource {
  readonly resource: 'table';
  /** Of the node that makes it. */
  readonly name: string;
  readonly keyDtype: DType;
  readonly valueDtype: DType;
  /** All different. */
  readonly keys: TensorData;
  /** In the order of the keys, those of each key together. */
  readonly values: TensorData;
  /** Shape of the value of one key: mostly `[]`. */
  readonly valueShape: readonly number[];
}

/** The table that is an input of an operation. Throws UnsupportedModel where it is something else. */
export function tableOf(op: TfOp, i: number): TfTable {
  const value = op.inputs[i];
  return value && isTable(value) ? value : op.unsupported(`its input ${i} is no lookup table.`);
}

function isTable(value: object): value is TfTable {
  return 'resource' in value && value.resource === 'table';
}
