import type { DType, TensorData } from '#program';

/** A graph of TensorFlow's operations, as a SavedModel or a TF.js model has it. */
export interface TfGraph {
  nodes: Map<string, TfNode>;
  functions: Map<string, TfFunction>;
}

export interface TfNode {
  name: string;
  op: string;
  /** Data inputs. */
  inputs: TfRef[];
  /** Nodes that must have run before (`^name`). */
  controls?: string[];
  attributes: Map<string, TfAttribute>;
}

/** Output `output` of a node, counted over all outputs of it, lists laid flat; or argument `node` of a function. */
export interface TfRef {
  node: string;
  output: number;
}

export interface TfFunction {
  name: string;
  /** Names of the arguments, in their order; the body refers to them like to nodes. */
  inputs: string[];
  nodes: Map<string, TfNode>;
  outputs: TfRef[];
  /** Nodes that run at each call, whether an output needs them or not. */
  controls?: string[];
  /** Such as `api_implements`. */
  attributes: Map<string, TfAttribute>;
}

/** A dtype of TensorFlow: one that tensors of requests have, or its own name of another (`DT_RESOURCE`, `DT_VARIANT`, `DT_COMPLEX64`, …). */
export type TfType = DType | `DT_${string}`;

export interface TfTensor {
  dtype: TfType;
  shape: number[];
  /** Of complex numbers: their real and imaginary parts in turn. May throw UnsupportedModel or DamagedModel. */
  readonly data: TensorData;
}

/** What attributes hold, by the kind of it. */
export interface TfAttributeValues {
  integer: bigint;
  float: number;
  bytes: Uint8Array;
  flag: boolean;
  type: TfType;
  /** Undefined: of any rank; −1: of any size. */
  shape: number[] | undefined;
  tensor: TfTensor;
  /** Its name. */
  function: string;
  list: TfAttribute[];
}

export type TfAttribute = {
  [K in keyof TfAttributeValues]: { kind: K; value: TfAttributeValues[K] };
}[keyof TfAttributeValues];
