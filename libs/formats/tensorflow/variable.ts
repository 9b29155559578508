import type { GraphValue } from '../tensor-graph/tensor-graph.js';
import { isTensor, type TfOp, type TfResource, type TfValue } from './op-rule.js';

/** A variable. It has one value for ever, since signatures that assign to variables are refused. */
export interface TfVariable extends TfResource {
  readonly resource: 'variable';
  readonly name: string;
  /** May throw UnsupportedModel: not every variable that is passed on has one. */
  readonly value: GraphValue;
}

/** The value of the variable that is an input of an operation. Throws UnsupportedModel where it is something else. */
export function variableOf(op: TfOp, i: number): GraphValue {
  const value = op.inputs[i];
  if (value && isVariable(value)) return value.value;
  // Reference variables of TensorFlow 1 are tensors where they are used.
  return value && isTensor(value) ? value : op.unsupported(`its input ${i} is no variable.`);
}

function isVariable(value: TfValue): value is TfVariable {
  return 'resource' in value && value.resource === 'variable';
}
