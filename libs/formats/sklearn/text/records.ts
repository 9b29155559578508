import { PyDict } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import { numberIn } from '../python-values.js';

/**
 * Dicts and lists of features as numbers (sklearn/feature_extraction/_dict_vectorizer.py and _hash.py, 0.22 to 1.8). The
 * request is one column of texts, a JSON document a row: an object for DictVectorizer and `input_type="dict"`, an array of
 * pairs for `"pair"`, an array of strings for `"string"`.
 */
export const records: Record<string, CompileEstimator> = {
  DictVectorizer: (fitted, graph) => {
    const given = fitted.attribute('vocabulary_');
    const entries = given instanceof PyDict ? given.entries : fitted.wrong('vocabulary_', 'a dict');
    fitted.budget.spend(entries.length);
    const keys = new Map<number, string>();
    for (const [key, value] of entries) {
      if (typeof key !== 'string') return fitted.unsupported('has features that are no texts');
      keys.set(numberIn(value) ?? -1, key);
    }
    const width = entries.length;
    const list = Array.from(
      { length: width },
      (_, column) => keys.get(column) ?? fitted.damaged(`has no feature for column ${column}`),
    );
    const separator = fitted.textOr('separator', '=');
    return {
      readsTexts: true,
      transform: (input) => {
        const attributes = { form: 'object', keys: list, separator };
        const value = graph.kernel('count-records', [graph.texts(input, 0, fitted)], {
          attributes,
        });
        return graph.table(value, width);
      },
    };
  },

  FeatureHasher: (fitted, graph) => {
    const hashed = fitted.integer('n_features', 1, 2 ** 31 - 1);
    const form = fitted.oneOf('input_type', ['dict', 'pair', 'string']);
    const attributes = {
      form: form === 'dict' ? 'object' : form,
      hashed,
      signed: fitted.flagOr('alternate_sign', true),
      separator: '=',
    };
    return {
      readsTexts: true,
      transform: (input) => {
        const value = graph.kernel('count-records', [graph.texts(input, 0, fitted)], {
          attributes,
        });
        return graph.table(value, hashed);
      },
    };
  },
};
