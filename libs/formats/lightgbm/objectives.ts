import type { Attribute } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';

/** What an objective of LightGBM does to margins: a kernel, or nothing. */
export interface Objective {
  kernel?: 'sigmoid' | 'softmax' | 'exp' | 'log1p-exp' | 'sign-square';
  attributes?: Record<string, Attribute>;
  /** Answers are probabilities of classes, or of the second of two. */
  classifier?: true;
}

/** Regressions that a signed square root of the label may stand before (`reg_sqrt`). */
const WITH_ROOT = ['regression', 'regression_l1', 'fair', 'quantile', 'mape'];
const PLAIN = ['huber', 'lambdarank', 'rank_xendcg', 'custom'];
const EXPONENTIAL = ['poisson', 'gamma', 'tweedie'];

/**
 * Reads the line `objective=`, such as `multiclassova num_class:3 sigmoid:1.5` (each class's ToString and ConvertOutput in
 * LightGBM 4.6). Without one the objective was the user's own, and answers are margins.
 */
export function objectiveOf(line: string | undefined, columns: number): Objective {
  if (line === undefined) return {};
  const [name = '', ...parameters] = line.split(' ').filter(Boolean);
  const classes = parameters.find((word) => word.startsWith('num_class:'))?.slice(10);
  if (classes !== undefined && Number(classes) !== columns) {
    throw new DamagedModel(
      `The objective "${line.slice(0, 80)}" does not fit ${columns} trees an iteration.`,
    );
  }
  if (WITH_ROOT.includes(name)) return parameters.includes('sqrt') ? { kernel: 'sign-square' } : {};
  if (PLAIN.includes(name)) return {};
  if (EXPONENTIAL.includes(name)) return { kernel: 'exp' };
  switch (name) {
    case 'binary':
    case 'multiclassova':
      return {
        kernel: 'sigmoid',
        attributes: { scale: scaleOf(parameters, line) },
        classifier: true,
      };
    case 'multiclass':
      return { kernel: 'softmax', classifier: true };
    case 'cross_entropy':
      return { kernel: 'sigmoid' };
    case 'cross_entropy_lambda':
      return { kernel: 'log1p-exp' };
    default:
      throw new UnsupportedModel(
        `The objective "${name.slice(0, 80)}" of LightGBM is not supported.`,
      );
  }
}

function scaleOf(parameters: string[], line: string): number {
  const scale = Number(parameters.find((word) => word.startsWith('sigmoid:'))?.slice(8) ?? NaN);
  if (!(scale > 0))
    throw new DamagedModel(`The objective "${line.slice(0, 80)}" has no sigmoid above 0.`);
  return scale;
}
