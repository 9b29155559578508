import { UnsupportedModel } from '../importer.js';

/** What a loss function makes of raw scores. */
export type Loss =
  /** Scores are the answer. */
  | { kind: 'plain' }
  /** Scores are logarithms; `exponent` undoes them. */
  | { kind: 'exponent' }
  /** Two columns: the mean, and the logarithm of the deviation. */
  | { kind: 'uncertainty' }
  /** One column: the log odds of the second class. Labels only where the loss is a classifier's alone. */
  | { kind: 'binary'; labels: boolean }
  /** Columns are classes. */
  | { kind: 'classes'; link: 'softmax' | 'sigmoid' }
  /** Columns are labels that a row has or has not. */
  | { kind: 'labels' };

const PLAIN = [
  'RMSE',
  'MAE',
  'Quantile',
  'MultiQuantile',
  'GroupQuantile',
  'LogLinQuantile',
  'Expectile',
  'MAPE',
  'Lq',
  'Huber',
  'LogCosh',
  'SurvivalAft',
  'Cox',
  'MultiRMSE',
  'MultiRMSEWithMissingValues',
  'QueryRMSE',
  'QuerySoftMax',
  'QueryCrossEntropy',
  'PairLogit',
  'PairLogitPairwise',
  'YetiRank',
  'YetiRankPairwise',
  'LambdaMart',
  'StochasticFilter',
  'StochasticRank',
  // Written in Python by the user; CatBoost itself answers their raw scores.
  'PythonUserDefinedPerObject',
  'PythonUserDefinedMultiTarget',
];

/** Throws UnsupportedModel for what is not known; a model without a loss function answers raw scores, as CatBoost does. */
export function lossOf(name: string | undefined): Loss {
  if (name === undefined || PLAIN.includes(name)) return { kind: 'plain' };
  switch (name) {
    case 'Poisson':
    case 'Tweedie':
      return { kind: 'exponent' };
    case 'RMSEWithUncertainty':
      return { kind: 'uncertainty' };
    case 'Logloss':
    case 'Focal':
      return { kind: 'binary', labels: true };
    case 'CrossEntropy':
      return { kind: 'binary', labels: false };
    case 'MultiClass':
      return { kind: 'classes', link: 'softmax' };
    case 'MultiClassOneVsAll':
      return { kind: 'classes', link: 'sigmoid' };
    case 'MultiLogloss':
    case 'MultiCrossEntropy':
      return { kind: 'labels' };
    default:
      throw new UnsupportedModel(
        `The loss function "${name.slice(0, 80)}" of CatBoost is not supported.`,
      );
  }
}
