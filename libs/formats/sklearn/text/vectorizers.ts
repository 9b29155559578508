import { tokenPattern } from '#program';
import { PyDict, PyGlobal } from '../../pickle/records.js';
import type { CompileEstimator } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import { featuresOf } from '../features.js';
import { itemsOf, numberIn } from '../python-values.js';
import type { Table } from '../table.js';
import { ENGLISH_STOP_WORDS } from './english-stop-words.js';

/** Words of texts as numbers (sklearn/feature_extraction/text.py, 0.22 to 1.8). */
export const vectorizers: Record<string, CompileEstimator> = {
  CountVectorizer: (fitted, graph) => {
    const vocabulary = vocabularyOf(fitted);
    const attributes = { ...analysisOf(fitted), vocabulary, binary: fitted.flag('binary') };
    return {
      readsTexts: true,
      transform: (input) => counts(graph, fitted, input, attributes, vocabulary.length),
    };
  },

  TfidfVectorizer: (fitted, graph) => {
    const vocabulary = vocabularyOf(fitted);
    const attributes = { ...analysisOf(fitted), vocabulary, binary: fitted.flag('binary') };
    const weigh = weighing(fitted.fitted('_tfidf'), graph, vocabulary.length);
    return {
      readsTexts: true,
      transform: (input) => weigh(counts(graph, fitted, input, attributes, vocabulary.length)),
    };
  },

  HashingVectorizer: (fitted, graph) => {
    const hashed = fitted.integer('n_features', 1, MOST_HASHED);
    const attributes = {
      ...analysisOf(fitted),
      hashed,
      signed: fitted.flagOr('alternate_sign', true),
      binary: fitted.flag('binary'),
    };
    const norm = fitted.isNone('norm') ? undefined : fitted.oneOf('norm', ['l1', 'l2']);
    return {
      readsTexts: true,
      transform: (input) => {
        const table = counts(graph, fitted, input, attributes, hashed);
        return norm === undefined ? table : normalised(graph, fitted, table, norm);
      },
    };
  },

  TfidfTransformer: (fitted, graph) => {
    const common = featuresOf(fitted);
    const width = fitted.flag('use_idf') ? frequenciesOf(fitted).length : undefined;
    return {
      ...(width !== undefined && { features: width }),
      ...common,
      transform: (input) => weighing(fitted, graph, input.width)(input),
    };
  },
};

const MOST_HASHED = 2 ** 31 - 1;

function counts(
  graph: SklearnGraph,
  fitted: Fitted,
  input: Table,
  attributes: Record<string, string | number | boolean | string[]>,
  width: number,
): Table {
  if (input.width !== 1) fitted.damaged(`reads one column of texts and is given ${input.width}`);
  const value = graph.kernel('count-terms', [graph.texts(input, 0, fitted)], { attributes });
  return graph.table(value, width);
}

/** `sublinear_tf`, the inverse document frequencies and the norm. */
function weighing(fitted: Fitted, graph: SklearnGraph, width: number): (table: Table) => Table {
  const frequencies = fitted.flag('use_idf') ? frequenciesOf(fitted, width) : undefined;
  const norm = fitted.isNone('norm') ? undefined : fitted.oneOf('norm', ['l1', 'l2']);
  const sublinear = fitted.flag('sublinear_tf');
  return (table) => {
    let value = graph.unchecked(table, fitted);
    if (sublinear) value = graph.kernel('sublinear', [value]);
    if (frequencies) {
      const weights = { multiply: graph.fp64(frequencies) };
      value = graph.kernel('scale-columns', [value], { weights });
    }
    const weighed = graph.table(value, width);
    return norm === undefined ? weighed : normalised(graph, fitted, weighed, norm);
  };
}

/** Since 1.4 `idf_` is an array, before it was the diagonal of a sparse matrix. */
function frequenciesOf(fitted: Fitted, width?: number): Float64Array {
  if (!fitted.isNone('idf_')) return fitted.vector('idf_', width);
  const diagonal = fitted.fitted('_idf_diag');
  return diagonal.vector(diagonal.oneNamed('data', '_data'), width);
}

function normalised(graph: SklearnGraph, fitted: Fitted, table: Table, norm: string): Table {
  const value = graph.kernel('normalise-rows', [graph.unchecked(table, fitted)], {
    attributes: { norm },
  });
  return graph.table(value, table.width);
}

/** The terms by column. */
function vocabularyOf(fitted: Fitted): string[] {
  const given = fitted.attribute('vocabulary_');
  const entries = given instanceof PyDict ? given.entries : fitted.wrong('vocabulary_', 'a dict');
  fitted.budget.spend(entries.length);
  const terms = new Map<number, string>();
  for (const [term, value] of entries) {
    const column = numberIn(value);
    if (typeof term !== 'string' || column === undefined)
      return fitted.wrong('vocabulary_', 'of terms');
    terms.set(column, term);
  }
  return Array.from(
    { length: entries.length },
    (_, column) => terms.get(column) ?? fitted.damaged(`has no term for column ${column}`),
  );
}

/** Patterns of words that are known to be right here, by the shortest word that they find. */
const PATTERNS: Record<string, number> = {
  '(?u)\\b\\w\\w+\\b': 2,
  '\\b\\w\\w+\\b': 2,
  '(?u)\\b\\w+\\b': 1,
  '\\b\\w+\\b': 1,
  '\\w+': 1,
};

/** How texts are taken apart, as `count-terms` has it. */
function analysisOf(fitted: Fitted) {
  refuseFloat32(fitted);
  for (const name of ['preprocessor', 'tokenizer']) {
    if (!fitted.isNone(name)) fitted.unsupported(`has a ${name} of its own, which is code`);
  }
  if (typeof fitted.attribute('analyzer') !== 'string') {
    fitted.unsupported('has an analyzer of its own, which is code');
  }
  const analyzer = fitted.oneOf('analyzer', ['word', 'char', 'char_wb']);
  const pattern = fitted.textOr('token_pattern', '');
  const shortest = Object.hasOwn(PATTERNS, pattern) ? PATTERNS[pattern] : undefined;
  const isOwn = analyzer === 'word' && shortest === undefined;
  if (isOwn && !tokenPattern(pattern)) {
    fitted.unsupported(`has token_pattern=${JSON.stringify(pattern.slice(0, 100))}`);
  }
  const [least, most] = itemsOf(fitted.attribute('ngram_range'))?.map((n) => numberIn(n)) ?? [];
  if (least === undefined || most === undefined || least < 1 || most < least || most > 1000) {
    return fitted.wrong('ngram_range', 'a range of sizes');
  }
  const accents = fitted.isNone('strip_accents')
    ? 'keep'
    : fitted.oneOf('strip_accents', ['unicode', 'ascii']);
  return {
    analyzer,
    least,
    most,
    ...(isOwn ? { pattern } : { shortest: shortest ?? 1 }),
    lowercase: fitted.flag('lowercase'),
    accents,
    stop: analyzer === 'word' ? stopWords(fitted) : [],
  };
}

/** Numbers are computed as float64 here, whatever they are. */
function refuseFloat32(fitted: Fitted): void {
  const dtype = fitted.isNone('dtype') ? undefined : fitted.attribute('dtype');
  if (dtype instanceof PyGlobal && /^(float32|float16)$/.test(dtype.name)) {
    fitted.unsupported(`computes in dtype=${dtype.name}, which cannot be followed exactly`);
  }
}

function stopWords(fitted: Fitted): string[] {
  if (fitted.isNone('stop_words')) return [];
  const given = fitted.attribute('stop_words');
  if (given === 'english') return [...ENGLISH_STOP_WORDS];
  return typeof given === 'string'
    ? fitted.unsupported(`has stop_words="${given.slice(0, 100)}"`)
    : fitted.strings('stop_words');
}
