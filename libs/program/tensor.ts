/** Element types, as the Open Inference Protocol names them. */
export type DType =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'BF16'
  | 'FP32'
  | 'FP64'
  | 'BYTES';

/**
 * Elements in row-major order. BOOL and UINT8 are `Uint8Array`; FP16 and BF16 are `Uint16Array` of their bits; INT64 and
 * UINT64 are the BigInt arrays; BYTES is an array with a string where the bytes are UTF-8, else the bytes, and `null` for a
 * missing value (a missing number is NaN).
 */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array
  | (string | Uint8Array | null)[];

/** A named tensor; `shape` has no free dimension and its product is the length of `data`. */
export interface Tensor {
  name: string;
  dtype: DType;
  shape: number[];
  data: TensorData;
  /** What the wire carries beside the data, such as `labels` of a probability map. */
  parameters?: Record<string, unknown>;
}

/** What a tensor must look like; `-1` is a free dimension. */
export interface TensorSpec {
  name: string;
  dtype: DType;
  shape: number[];
  /** A sequence of such tensors: on the wire they are `NAME.0`, `NAME.1`, …. */
  sequence?: true;
  /** A request may leave it out. */
  optional?: true;
  /** Any number of dimensions is taken; `shape` says nothing. */
  anyShape?: true;
}

/** What a version takes and gives. `defaultOutputs` are those that a request without a choice gets; absent = all. */
export interface Signature {
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  defaultOutputs?: string[];
}
