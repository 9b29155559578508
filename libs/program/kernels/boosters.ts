import { ProgramError } from '../program-error.js';
import { floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

/** Kernels that make rows for boosted trees as their library does. */
export const boosters: Record<string, Kernel> = {
  /**
   * The rows of an estimator of XGBoost (`DMatrix` and `inplace_predict`, 0.90 to 3.4): FP32, each number rounded to the
   * nearest; then the number of the weight `missing` FP32 `[1]`, where it is given, is missing (NaN), and so is zero with the
   * attribute `zeros` = `missing`: what a sparse matrix has no element for. Attribute `finite` refuses infinite numbers
   * with INVALID_INPUT, as a DMatrix does.
   */
  'xgboost-rows': (given) => {
    const zeros = given.oneOf('zeros', ['stay', 'missing']) === 'missing';
    const finite = given.flag('finite');
    const missing = given.has('missing') ? (given.floats('missing', 1).data[0] ?? NaN) : NaN;
    return (inputs) => {
      const input = onlyInput(inputs);
      const data = new Float32Array(floatsOf(input.data, 'input of xgboost-rows'));
      for (let i = 0; i < data.length; i++) {
        const x = data[i] ?? NaN;
        if (x === missing || (zeros && x === 0)) data[i] = NaN;
        else if (finite && (x === Infinity || x === -Infinity)) {
          throw infinite(Math.floor(i / tableShape(input).columns));
        }
      }
      return [{ dtype: 'FP32', shape: input.shape, data }];
    };
  },
};

function infinite(row: number): ProgramError {
  return ProgramError.input(
    '/inputs',
    `There is a number in row ${row} that is infinite, or too large for a float32: XGBoost refuses such numbers here. Send null or NaN for a missing value.`,
  );
}
