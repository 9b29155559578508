import { catboostModels } from './boosters/catboost-models.js';
import { lightgbmModels } from './boosters/lightgbm-models.js';
import { xgboostModels } from './boosters/xgboost-models.js';
import { clusters } from './clusters/clusters.js';
import { columnTransformer } from './composition/column-transformer.js';
import { pipelines } from './composition/pipelines.js';
import { severalOutputs } from './composition/several-outputs.js';
import { thresholds } from './composition/thresholds.js';
import { wrappers } from './composition/wrappers.js';
import { dummies } from './dummies/dummies.js';
import { gaussianProcesses } from './covariances/gaussian-processes.js';
import { kernelMachines } from './covariances/kernel-machines.js';
import { featureMaps } from './decomposition/feature-maps.js';
import { latentStructures } from './decomposition/latent-structures.js';
import { projections } from './decomposition/projections.js';
import { topics } from './decomposition/topics.js';
import { committees } from './ensembles/committees.js';
import { outputCodes } from './ensembles/output-codes.js';
import { stacks } from './ensembles/stacks.js';
import type { CompileEstimator } from './estimator.js';
import type { Fitted } from './fitted.js';
import { linearClassifiers } from './linear/linear-classifiers.js';
import { linearRegressors } from './linear/linear-regressors.js';
import { mixtures } from './mixtures/mixtures.js';
import { centroids } from './neighbors/centroids.js';
import { densities } from './neighbors/densities.js';
import { neighbors } from './neighbors/neighbors.js';
import { perceptrons } from './neural/perceptrons.js';
import { distributions } from './preprocessing/distributions.js';
import { encoders } from './preprocessing/encoders.js';
import { imputers } from './preprocessing/imputers.js';
import { labelEncoders } from './preprocessing/label-encoders.js';
import { multivariateImputers } from './preprocessing/multivariate-imputers.js';
import { scalers } from './preprocessing/scalers.js';
import { selectors } from './preprocessing/selectors.js';
import { splines } from './preprocessing/splines.js';
import { bayes } from './probabilistic/bayes.js';
import { supportVectorMachines } from './svm/support-vectors.js';
import { records } from './text/records.js';
import { vectorizers } from './text/vectorizers.js';
import { forests } from './trees/forests.js';
import { gradientBoosting } from './trees/gradient-boosting.js';
import { histGradientBoosting } from './trees/hist-gradient-boosting.js';
import { isolationForest } from './trees/isolation-forest.js';

/** Every class of scikit-learn that is supported, by its name: modules were renamed more than once. */
const estimators: ReadonlyMap<string, CompileEstimator> = new Map(
  Object.entries({
    ...forests,
    ...gradientBoosting,
    ...histGradientBoosting,
    ...pipelines,
    ...columnTransformer,
    ...wrappers,
    ...scalers,
    ...encoders,
    ...imputers,
    ...selectors,
    ...linearClassifiers,
    ...linearRegressors,
    ...supportVectorMachines,
    ...neighbors,
    ...bayes,
    ...perceptrons,
    ...clusters,
    ...committees,
    ...stacks,
    ...distributions,
    ...vectorizers,
    ...isolationForest,
    ...severalOutputs,
    ...thresholds,
    ...dummies,
    ...labelEncoders,
    ...outputCodes,
    ...multivariateImputers,
    ...records,
    ...gaussianProcesses,
    ...kernelMachines,
    ...projections,
    ...latentStructures,
    ...featureMaps,
    ...mixtures,
    ...centroids,
    ...densities,
    ...splines,
    ...topics,
  }),
);

/** Classes of other libraries, by the package. */
const others: ReadonlyMap<string, ReadonlyMap<string, CompileEstimator>> = new Map([
  ['xgboost', new Map(Object.entries(xgboostModels))],
  ['lightgbm', new Map(Object.entries(lightgbmModels))],
  ['catboost', new Map(Object.entries(catboostModels))],
]);

/** What reads a fitted object; throws UnsupportedModel that names the class where nothing does. */
export function compilerOf(fitted: Fitted): CompileEstimator {
  const [library = ''] = fitted.module.split('.');
  const known = (library === 'sklearn' ? estimators : others.get(library))?.get(fitted.class);
  return known ?? fitted.unsupported(`is not supported: nothing here reads ${fitted.id}`);
}
