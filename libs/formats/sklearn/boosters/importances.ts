import { readModel } from '../../xgboost/compile-model.js';
import { readSnapshot } from '../../xgboost/read-document.js';
import type { Fitted } from '../fitted.js';
import { modelOf } from './lightgbm-models.js';

/**
 * `feature_importances_` of an estimator of XGBoost (shares of their sum), LightGBM (counts) or CatBoost (percentages);
 * undefined where it is of another library.
 */
export function boosterImportances(fitted: Fitted): Float64Array | undefined {
  const [library = ''] = fitted.module.split('.');
  return IMPORTANCES[library]?.(fitted);
}

const IMPORTANCES: Record<string, (fitted: Fitted) => Float64Array> = {
  // Rankers keep another one.
  catboost: (fitted) =>
    fitted.vector(fitted.oneNamed('_prediction_values_change', '_loss_value_change')),

  lightgbm: (fitted) => {
    const kind = fitted.textOr('importance_type', 'split');
    if (kind !== 'split') return fitted.unsupported(`chooses columns by importance_type="${kind}"`);
    const { features, trees } = modelOf(fitted.fitted('_Booster'));
    const counts = new Float64Array(features);
    for (const { splits } of trees) {
      for (const { feature } of splits) counts[feature] = (counts[feature] ?? 0) + 1;
    }
    return counts;
  },

  xgboost: (fitted) => {
    const kind = fitted.textOr('importance_type', 'gain');
    const { booster, facts } = readModel(
      readSnapshot(fitted.fitted('_Booster').bytes('handle')).model,
    );
    if (booster.name === 'gblinear' || !['gain', 'weight', 'total_gain'].includes(kind)) {
      return fitted.unsupported(`chooses columns by importance_type="${kind}" of ${booster.name}`);
    }
    const gains = new Float64Array(facts.features);
    const counts = new Float64Array(facts.features);
    for (const tree of booster.model.field('trees').list()) {
      const left = tree.field('left_children').numbers();
      const features = tree.field('split_indices').numbers(left.length);
      if (!tree.has('loss_changes')) {
        return fitted.unsupported(
          'chooses columns by gains, which the binary format does not keep',
        );
      }
      const changes = tree.field('loss_changes').numbers(left.length);
      for (let node = 0; node < left.length; node++) {
        const feature = features[node] ?? -1;
        if (left[node] === -1 || !(feature in gains)) continue;
        counts[feature] = (counts[feature] ?? 0) + 1;
        gains[feature] = (gains[feature] ?? 0) + (changes[node] ?? NaN);
      }
    }
    if (kind === 'weight') return shares(counts);
    if (kind === 'total_gain') return shares(gains);
    return shares(gains.map((gain, i) => gain / (counts[i] || 1)));
  },
};

/** In float32, as XGBoost's estimators compute them. */
function shares(numbers: Float64Array): Float64Array {
  const single = Float32Array.from(numbers);
  const sum = single.reduce((total, x) => Math.fround(total + x), 0);
  return Float64Array.from(sum === 0 ? single : single.map((x) => x / sum));
}
