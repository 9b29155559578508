import { elementCount, newData, type Signature, type Tensor } from '#program';

/** Inputs of zeros (empty texts) for a first run, every free dimension 1; a sequence gets one item. */
export function zeroInputs({ inputs }: Signature): Tensor[] {
  return inputs
    .filter(({ optional }) => !optional)
    .map(({ name, dtype, shape: free, sequence, anyShape }) => {
      const shape = anyShape ? [1] : free.map((dim) => Math.max(dim, -dim));
      const count = elementCount(shape);
      const data =
        dtype === 'BYTES' ? Array.from({ length: count }, () => '') : newData(dtype, count);
      return { name: sequence ? `${name}.0` : name, dtype, shape, data };
    });
}
