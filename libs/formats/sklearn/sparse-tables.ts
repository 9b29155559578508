import type { Estimator } from './estimator.js';
import type { Fitted } from './fitted.js';
import type { Table } from './table.js';

/** Whether what a transformer of a class answers is a sparse matrix in Python, given whether what it got is one. */
type Rule = (fitted: Fitted, sparse: boolean) => boolean;

const always: Rule = () => true;
const never: Rule = () => false;
/** Renamed in 1.2. */
const onRequest: Rule = (fitted) =>
  fitted.flagOr(fitted.named('sparse_output', 'sparse') ?? 'sparse_output', true);

/**
 * What is not here answers a sparse matrix where it got one: scalers, selectors, imputers. Only XGBoost cares: what such a
 * matrix has no element for is missing to it, where in an array it would be zero.
 */
const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['OneHotEncoder', onRequest],
  ['DictVectorizer', onRequest],
  ['RandomTreesEmbedding', onRequest],
  ['CountVectorizer', always],
  ['TfidfVectorizer', always],
  ['HashingVectorizer', always],
  ['TfidfTransformer', always],
  ['FeatureHasher', always],
  ['ColumnTransformer', (fitted) => fitted.flagOr('sparse_output_', false)],
  ['KBinsDiscretizer', (fitted) => fitted.textOr('encode', 'onehot') === 'onehot'],
  ['SplineTransformer', (fitted) => fitted.flagOr('sparse_output', false)],
  ...[
    ['PCA', 'IncrementalPCA', 'TruncatedSVD', 'NMF', 'MiniBatchNMF', 'FastICA', 'FactorAnalysis'],
    ['LatentDirichletAllocation', 'KernelPCA', 'SparsePCA', 'MiniBatchSparsePCA', 'Nystroem'],
    ['RBFSampler', 'KMeans', 'MiniBatchKMeans', 'BisectingKMeans', 'Birch', 'PLSRegression'],
    ['LinearDiscriminantAnalysis', 'StackingClassifier', 'StackingRegressor', 'OrdinalEncoder'],
    ['TargetEncoder', 'KNNImputer', 'IterativeImputer', 'PowerTransformer'],
  ]
    .flat()
    .map((name): [string, Rule] => [name, never]),
]);

export function withSparse({ width, blocks }: Table, sparse: boolean): Table {
  return { width, blocks, ...(sparse && { sparse }) };
}

/** The same estimator, whose tables say whether they are sparse in Python. */
export function markSparse(fitted: Fitted, estimator: Estimator): Estimator {
  const { transform } = estimator;
  if (!transform || !fitted.module.startsWith('sklearn.')) return estimator;
  const rule = rules.get(fitted.class);
  return {
    ...estimator,
    transform: (input) => {
      const table = transform(input);
      // A pipeline and the like answer what their parts have answered.
      if (table === input || (!rule && table.sparse)) return table;
      const sparse = rule ? rule(fitted, input.sparse === true) : keepsSparse(fitted, input);
      return withSparse(table, sparse);
    },
  };
}

/** Compositions are as sparse as their parts are. */
const COMPOSITIONS = /^(?:Pipeline|FeatureUnion|GridSearchCV|RandomizedSearchCV|Halving\w+)$/;

function keepsSparse(fitted: Fitted, input: Table): boolean {
  return input.sparse === true && !COMPOSITIONS.test(fitted.class);
}
