import { PyDict, type PyValue } from '../../pickle/records.js';
import type { Fitted, Matrix } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { numberIn } from '../python-values.js';

/** How alike rows are to known points: what the kernel `covariance-sums` and its kin take. */
export interface CovarianceGiven {
  attributes: { covariance: string[] };
  weights: {
    points: ReturnType<SklearnGraph['fp64']>;
    parameters: ReturnType<SklearnGraph['fp64']>;
  };
}

/** Steps in postfix order, and their parameters in the order of the steps (libs/program/kernels/covariance.ts). */
interface Steps {
  names: string[];
  parameters: number[];
}

/** The covariance of a kernel object of sklearn/gaussian_process/kernels.py with points. */
export function covarianceOf(kernel: Fitted, points: Matrix, graph: SklearnGraph): CovarianceGiven {
  const steps: Steps = { names: [], parameters: [] };
  addKernel(kernel, points.columns, steps);
  return givenOf(steps, points, graph);
}

/** What `pairwise_kernels(X, points, metric=kernel)` of sklearn/metrics/pairwise.py says, by attributes of an estimator. */
export function pairwiseCovariance(
  fitted: Fitted,
  points: Matrix,
  graph: SklearnGraph,
  names: { gamma?: string } = {},
): CovarianceGiven {
  const steps: Steps = { names: [], parameters: [] };
  const name = fitted.attribute('kernel');
  const params = fitted.has('kernel_params') ? fitted.attribute('kernel_params') : null;
  const numberOf = (attribute: string): number | undefined => {
    const own = attribute === 'gamma' ? (names.gamma ?? attribute) : attribute;
    if (fitted.has(own) && !fitted.isNone(own)) return fitted.number(own);
    return params instanceof PyDict ? numberIn(params.get(attribute)) : undefined;
  };
  addPairwise(fitted, name, { columns: points.columns, numberOf }, steps);
  return givenOf(steps, points, graph);
}

function givenOf(
  { names, parameters }: Steps,
  { rows, columns, data }: Matrix,
  graph: SklearnGraph,
): CovarianceGiven {
  return {
    attributes: { covariance: names },
    weights: { points: graph.fp64(data, [rows, columns]), parameters: graph.fp64(parameters) },
  };
}

const MOST_STEPS = 100;

function addKernel(kernel: Fitted, columns: number, steps: Steps): void {
  const add = (name: string, ...parameters: number[]) => {
    steps.names.push(name);
    steps.parameters.push(...parameters);
  };
  if (steps.names.length > MOST_STEPS) kernel.unsupported(`is of more than ${MOST_STEPS} parts`);
  if (!kernel.module.startsWith('sklearn.gaussian_process.')) {
    kernel.unsupported('is a kernel of its own');
  }
  switch (kernel.class) {
    case 'RBF':
      return add('rbf', ...lengthScales(kernel, columns));
    case 'Matern':
      return add(maternOf(kernel), ...lengthScales(kernel, columns));
    case 'RationalQuadratic':
      return add('rational', kernel.number('alpha'), kernel.number('length_scale'));
    case 'ExpSineSquared':
      return add('exp-sine', kernel.number('length_scale'), kernel.number('periodicity'));
    case 'DotProduct':
      return add('dot', kernel.number('sigma_0'));
    case 'ConstantKernel':
      return add('constant', kernel.number('constant_value'));
    case 'WhiteKernel':
      return add('white', kernel.number('noise_level'));
    case 'PairwiseKernel': {
      const params = kernel.attribute('pairwise_kernels_kwargs');
      const numberOf = (name: string) =>
        name === 'gamma'
          ? kernel.number('gamma')
          : params instanceof PyDict
            ? numberIn(params.get(name))
            : undefined;
      return addPairwise(kernel, kernel.attribute('metric'), { columns, numberOf }, steps);
    }
    case 'Sum':
    case 'Product':
      addKernel(kernel.fitted('k1'), columns, steps);
      addKernel(kernel.fitted('k2'), columns, steps);
      return add(kernel.class.toLowerCase());
    case 'Exponentiation':
      addKernel(kernel.fitted('kernel'), columns, steps);
      return add('power', kernel.number('exponent'));
    default:
      return kernel.unsupported('is a kernel that is not supported');
  }
}

/** How many there are, and they. */
function lengthScales(kernel: Fitted, columns: number): number[] {
  const scales = kernel.vector('length_scale');
  if (scales.length !== 1 && scales.length !== columns) {
    kernel.damaged(`has ${scales.length} length scales for ${columns} columns`);
  }
  return [scales.length, ...scales];
}

function maternOf(kernel: Fitted): string {
  const nu = kernel.number('nu');
  if (nu === Infinity) return 'matern-inf';
  if (nu === 0.5 || nu === 1.5 || nu === 2.5) return `matern-${nu}`;
  return kernel.unsupported(`has nu=${nu}, which is not supported: 0.5, 1.5, 2.5 and inf are`);
}

interface PairwiseParameters {
  columns: number;
  /** gamma, coef0 or degree where it is given. */
  numberOf: (name: string) => number | undefined;
}

function addPairwise(
  owner: Fitted,
  metric: PyValue,
  { columns, numberOf }: PairwiseParameters,
  steps: Steps,
): void {
  const gamma = numberOf('gamma') ?? 1 / columns;
  const coef0 = numberOf('coef0') ?? 1;
  const add = (name: string, ...parameters: number[]) => {
    steps.names.push(`pair-${name}`);
    steps.parameters.push(...parameters);
  };
  switch (metric) {
    case 'linear':
    case 'cosine':
      return add(metric);
    case 'additive_chi2':
      return add('additive-chi2');
    case 'rbf':
    case 'laplacian':
      return add(metric, gamma);
    case 'chi2':
      return add(metric, numberOf('gamma') ?? 1);
    case 'poly':
    case 'polynomial':
      return add('poly', gamma, coef0, numberOf('degree') ?? 3);
    case 'sigmoid':
      return add(metric, gamma, coef0);
    default:
      return owner.unsupported(
        typeof metric === 'string'
          ? `has the kernel "${metric.slice(0, 100)}", which is not supported`
          : 'has a kernel that is a function',
      );
  }
}
