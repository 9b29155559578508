import { all, type OpRule } from '../op-rule.js';
import { variableOf } from '../variable.js';

/** Reading of variables. What makes them is the business of each format. */
export const variables: Record<string, OpRule> = {
  ReadVariableOp: (op) => [variableOf(op, 0)],
  VariableShape: (op) => {
    const { shape } = variableOf(op, 0);
    const dtype = op.dtype('out_type', 'INT32');
    return [op.graph.cast(op.graph.integers(shape ?? []), dtype)];
  },
  ...all(
    (op) => [op.graph.scalar('BOOL', variableOf(op, 0) !== undefined)],
    'VarIsInitializedOp IsVariableInitialized',
  ),
};
