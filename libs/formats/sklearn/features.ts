import type { Fitted } from './fitted.js';

/** `feature_names_in_`, where it was fitted on a data frame. */
export function namesOf(fitted: Fitted): { names?: string[] } {
  return fitted.isNone('feature_names_in_') ? {} : { names: fitted.strings('feature_names_in_') };
}

/** `n_features_in_` (since 0.23 or 0.24) and the names, for objects that know the number in no other way. */
export function featuresOf(fitted: Fitted): { features?: number; names?: string[] } {
  const name = fitted.named('n_features_in_', 'n_features_', '_n_features');
  return {
    ...(name !== undefined && { features: fitted.integer(name, 0, 2 ** 31) }),
    ...namesOf(fitted),
  };
}
