import type { OpRule } from '../op-rule.js';

export const constants: Record<string, OpRule> = {
  Const: (op) => {
    const { dtype, shape, data } = op.tensorAttribute('value');
    return [op.graph.constant(op.tensorType(dtype), shape, data)];
  },
};
