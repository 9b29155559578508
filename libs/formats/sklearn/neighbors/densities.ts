import { NdArray, PyDict } from '../../pickle/records.js';
import { numbersAnswer, type CompileEstimator } from '../estimator.js';
import { namesOf } from '../features.js';
import { metricOf, pickledTree, searchIn } from './search.js';

const KERNELS = ['gaussian', 'tophat', 'epanechnikov', 'exponential', 'linear', 'cosine'] as const;
/** Without an end. Beyond the end of the others scikit-learn answers what its sums and differences have left by rounding. */
type EndlessKernel = 'gaussian' | 'exponential';

/** Densities of kernels (sklearn/neighbors/_kde.py, 0.22 to 1.8), without the tolerance that was asked for. */
export const densities: Record<string, CompileEstimator> = {
  KernelDensity: (fitted, graph) => {
    const { state } = pickledTree(fitted, fitted.attribute('tree_'));
    const [data] = state;
    const weights = state[12] ?? null;
    if (!(data instanceof NdArray) || data.shape.length !== 2) {
      return fitted.damaged('has a tree without points');
    }
    const [rows = 0, columns = 0] = data.shape;
    fitted.budget.spend(data.size);
    const points = { rows, columns, data: data.numbers() };
    const params = fitted.isNone('metric_params') ? null : fitted.attribute('metric_params');
    const metric = metricOf(
      fitted,
      fitted.attribute('metric'),
      params instanceof PyDict ? params : null,
      columns,
    );
    const kernel = fitted.oneOf('kernel', KERNELS);
    if (kernel !== 'gaussian' && kernel !== 'exponential') {
      return fitted.unsupported(
        `has the kernel "${kernel}": gaussian and exponential are supported`,
      );
    }
    const bandwidth = fitted.number(fitted.oneNamed('bandwidth_', 'bandwidth'));
    const own = weights instanceof NdArray ? weights.numbers() : undefined;
    const total = own ? own.reduce((sum, weight) => sum + weight, 0) : rows;
    const constant = normalisation(kernel, columns, bandwidth) - Math.log(total);
    const search = searchIn(fitted, graph, {
      points,
      given: metric,
      tree: undefined,
      pours: false,
    });
    return {
      features: columns,
      ...namesOf(fitted),
      scoreSamples: (input) => {
        const attributes = { kernel, bandwidth, constant };
        const value = search.kernel('kernel-density', input, attributes, {
          ...(own && { pointWeights: graph.fp64(own) }),
        });
        return numbersAnswer(graph.kernel('as-vector', [value]));
      },
    };
  },
};

/** `_log_kernel_norm` of sklearn/neighbors/_binary_tree.pxi: minus the logarithm of a kernel's volume. */
function normalisation(kernel: EndlessKernel, d: number, bandwidth: number): number {
  const volume =
    kernel === 'gaussian' ? 0.5 * d * Math.log(2 * Math.PI) : logSphere(d - 1) + logGamma(d);
  return -volume - d * Math.log(bandwidth);
}

/** The surface of a sphere of radius 1 in n dimensions, as a logarithm. */
function logSphere(n: number): number {
  return Math.log(2 * Math.PI) + 0.5 * (n - 1) * Math.log(Math.PI) - logGamma(0.5 * (n - 1) + 1);
}

/** log Γ(x) of a multiple of ½, by its factors. */
function logGamma(x: number): number {
  let sum = Number.isInteger(x) ? 0 : 0.5 * Math.log(Math.PI);
  for (let factor = x - 1; factor > 0; factor--) sum += Math.log(factor);
  return sum;
}
