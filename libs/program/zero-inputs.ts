import { elementCount, newData } from './dtype.js';
import type { Bindable } from './bind-inputs.js';
import { chooseSignature } from './signatures.js';
import type { Tensor } from './tensor.js';

/**
 * Inputs of zeros for a first run: every free dimension 1, a sequence with one item, texts empty in a graph and missing
 * in a table, where an empty text may be an unknown level. Like the tensors of a request they are still to be bound.
 */
export function zeroInputs(program: Bindable, signatureName?: string): Tensor[] {
  const text = program.binding.kind === 'table' ? null : '';
  return chooseSignature(program, signatureName)
    .signature.inputs.filter(({ optional }) => !optional)
    .map(({ name, dtype, shape: free, sequence, anyShape }) => {
      const shape = anyShape ? [1] : free.map((dim) => Math.max(dim, -dim));
      const count = elementCount(shape);
      const data =
        dtype === 'BYTES' ? Array.from({ length: count }, () => text) : newData(dtype, count);
      return { name: sequence ? `${name}.0` : name, dtype, shape, data };
    });
}
