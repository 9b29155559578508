import { PyTuple } from '../../pickle/records.js';
import { boosterImportances } from '../boosters/importances.js';
import type { Fitted } from '../fitted.js';
import { itemsOf } from '../python-values.js';
import { pairwiseSum } from '../sums.js';
import { impurityDecreases } from '../trees/impurity-decreases.js';

/**
 * How important an estimator finds each of its columns, as SelectFromModel asks it (`_get_feature_importances`,
 * sklearn/feature_selection/_base.py, 0.22 to 1.8): `coef_`, with a norm over the outputs, or `feature_importances_`.
 */
export function importancesOf(selector: Fitted, inner: Fitted): Float64Array {
  const getter = selector.textOr('importance_getter', 'auto');
  if (getter === 'auto') {
    return inner.isNone('coef_') ? treesImportances(inner) : coefficients(selector, inner);
  }
  const path = getter.split('.');
  const attribute = path.pop();
  const owner = path.reduce((owner, step, i) => {
    if (step === 'named_steps') return owner;
    return path[i - 1] === 'named_steps' ? stepOf(owner, step) : owner.fitted(step);
  }, inner);
  if (attribute === 'coef_') return coefficients(selector, owner);
  if (attribute === 'feature_importances_') return treesImportances(owner);
  return selector.unsupported(`has importance_getter="${getter.slice(0, 100)}"`);
}

function stepOf(pipeline: Fitted, wanted: string): Fitted {
  for (const [i, item] of pipeline.list('steps').entries()) {
    const [name, step] = itemsOf(item) ?? [];
    if (item instanceof PyTuple && name === wanted) return pipeline.inner(step, `steps[${i}]`);
  }
  return pipeline.damaged(`has no step ${wanted.slice(0, 100)}`);
}

function coefficients(selector: Fitted, inner: Fitted): Float64Array {
  const { rows, columns, data } = inner.matrix('coef_');
  const order = selector.numberOr('norm_order', 1);
  return Float64Array.from({ length: columns }, (_, column) => {
    const own = Array.from({ length: rows }, (_, row) =>
      Math.abs(data[row * columns + column] ?? NaN),
    );
    const [first = NaN] = own;
    if (rows === 1) return first;
    if (order === Infinity) return Math.max(...own);
    if (order === -Infinity) return Math.min(...own);
    if (order === 1) return own.reduce((sum, x) => sum + x, 0);
    if (order === 2) return Math.sqrt(own.reduce((sum, x) => sum + x * x, 0));
    return own.reduce((sum, x) => sum + x ** order, 0) ** (1 / order);
  });
}

/** `feature_importances_` of trees and what is made of them, which is computed whenever it is asked for. */
function treesImportances(owner: Fitted): Float64Array {
  const boosted = boosterImportances(owner);
  if (boosted) return boosted;
  switch (owner.class) {
    case 'DecisionTreeClassifier':
    case 'DecisionTreeRegressor':
    case 'ExtraTreeClassifier':
    case 'ExtraTreeRegressor':
      return shares(impurityDecreases(owner.fitted('tree_')).decreases);
    case 'RandomForestClassifier':
    case 'RandomForestRegressor':
    case 'ExtraTreesClassifier':
    case 'ExtraTreesRegressor': {
      const all = owner.fittedList('estimators_').flatMap((tree) => {
        const { nodes, decreases } = impurityDecreases(tree.fitted('tree_'));
        return nodes > 1 ? [shares(decreases)] : [];
      });
      return shares(mean(all, owner));
    }
    case 'GradientBoostingClassifier':
    case 'GradientBoostingRegressor': {
      const all = owner.fittedList('estimators_').flatMap((tree) => {
        const { nodes, decreases } = impurityDecreases(tree.fitted('tree_'));
        return nodes > 1 ? [decreases] : [];
      });
      return shares(mean(all, owner));
    }
    case 'AdaBoostClassifier':
    case 'AdaBoostRegressor': {
      const members = owner.fittedList('estimators_').map(treesImportances);
      const weights = owner.vector('estimator_weights_').subarray(0, members.length);
      const norm = pairwiseSum(weights, 0, weights.length);
      const sums = new Float64Array(members[0]?.length ?? 0);
      for (const [k, member] of members.entries()) {
        for (let i = 0; i < sums.length; i++) {
          sums[i] = (sums[i] ?? 0) + (weights[k] ?? NaN) * (member[i] ?? NaN);
        }
      }
      return sums.map((x) => x / norm);
    }
    default:
      return owner.unsupported('chooses columns by importances that it does not keep');
  }
}

/** Divided by their sum; all 0 stay. */
function shares(numbers: Float64Array): Float64Array {
  const sum = pairwiseSum(numbers, 0, numbers.length);
  return sum > 0 ? numbers.map((x) => x / sum) : numbers;
}

function mean(all: Float64Array[], owner: Fitted): Float64Array {
  const [first] = all;
  if (!first)
    return owner.unsupported('has trees of one leaf only, which find no column important');
  const sums = new Float64Array(first.length);
  for (const one of all)
    for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] ?? 0) + (one[i] ?? NaN);
  return sums.map((x) => x / all.length);
}
