import { rowsOf, type Kernel } from './kernel.js';
import { dots } from './measures.js';

/** Factorisations whose other factor is known. */
export const factors: Record<string, Kernel> = {
  /**
   * Non-negative factors by coordinate descent (NMF of sklearn/decomposition/_nmf.py, `solver="cd"`, and _cdnmf_fast.pyx): the
   * W for which W · H is near the rows, with the weight `components` H FP64 `[components, columns]`; attributes `l1`, `l2`,
   * `iterations` at most, and `tolerance` of the violation over all rows at which they end. So each row depends on all: a
   * program with this kernel is not rowwise. Answers `[rows, components]`.
   */
  'non-negative-factors': (given) => {
    const { data: components, shape } = given.floats('components', 2);
    const [count = 0, width = 0] = shape;
    if (count < 1) given.fail('components');
    const [l1, l2] = [given.number('l1'), given.number('l2')];
    const iterations = given.integer('iterations', 1, 1_000_000);
    const tolerance = given.number('tolerance');
    const gram = new Float64Array(count * count);
    for (let t = 0; t < count; t++) {
      for (let r = 0; r < count; r++) {
        gram[t * count + r] =
          dots(components, t * width, components, r * width, width) + (t === r ? l2 : 0);
      }
    }
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, width);
      const target = new Float64Array(rows * count);
      for (let row = 0; row < rows; row++) {
        for (let t = 0; t < count; t++) {
          target[row * count + t] = dots(source, row * width, components, t * width, width) - l1;
        }
      }
      const data = new Float64Array(rows * count);
      let first = 0;
      for (let i = 0; i < iterations; i++) {
        const violation = descend(data, gram, target, count);
        if (i === 0) first = violation;
        if (first === 0 || violation / first <= tolerance) break;
      }
      return [{ dtype: 'FP64', shape: [rows, count], data }];
    };
  },
};

type Floats = Float32Array | Float64Array;

/** One pass over all coordinates; answers how far they are from their best. */
function descend(w: Float64Array, gram: Floats, target: Floats, count: number): number {
  const rows = w.length / count;
  let violation = 0;
  for (let t = 0; t < count; t++) {
    const curvature = gram[t * count + t] ?? NaN;
    for (let row = 0; row < rows; row++) {
      const at = row * count;
      let gradient = -(target[at + t] ?? NaN);
      for (let r = 0; r < count; r++) gradient += (gram[t * count + r] ?? NaN) * (w[at + r] ?? NaN);
      const before = w[at + t] ?? NaN;
      violation += Math.abs(before === 0 ? Math.min(0, gradient) : gradient);
      if (curvature !== 0) w[at + t] = Math.max(before - gradient / curvature, 0);
    }
  }
  return violation;
}
