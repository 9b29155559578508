import type { GraphValue } from '../tensor-graph/tensor-graph.js';
import type { LoopForm } from './loop-form.js';

export function recurrentForm(
  _form: LoopForm,
): { states: GraphValue[]; scans: GraphValue[] } | undefined {
  return undefined;
}
