import {
  array,
  called,
  dict,
  float,
  global,
  type Made,
  object,
  objects,
  type Py,
  records,
  tuple,
  writePickle,
} from './pickle-writer.js';

const RELEASE = { _sklearn_version: '1.6.1' };
const numbers = (...values: number[]) => array(Float64Array.from(values));
const matrix = (rows: number, columns: number, value = 0.5) =>
  array(new Float64Array(rows * columns).fill(value), [rows, columns]);
const labels = (count: number) => array(BigInt64Array.from({ length: count }, (_, i) => BigInt(i)));

/** Nodes of a tree as scikit-learn keeps them. */
interface Nodes {
  left: number[];
  right: number[];
  feature: number[];
  threshold: number[];
  value?: number[];
}

/** One test of the first column, two leaves. */
export const stumpNodes: Nodes = {
  left: [1, -1, -1],
  right: [2, -1, -1],
  feature: [0, -2, -2],
  threshold: [0.5, -2, -2],
};

const longs = (values: number[]) => BigInt64Array.from(values, (value) => BigInt(value));

function treeOf({ left, right, feature, threshold, value }: Nodes, features: Py = 2): Made {
  const count = left.length;
  const values = Float64Array.from(value ?? left.map((_, i) => i));
  return called('sklearn.tree._tree.Tree', [features, labels(1), 1]).withState(
    dict({
      max_depth: 1,
      node_count: count,
      nodes: records({
        left_child: longs(left),
        right_child: longs(right),
        feature: longs(feature),
        threshold: Float64Array.from(threshold),
      }),
      values: array(values, [values.length, 1, 1]),
    }),
  );
}

export const regressionTree = (nodes: Nodes, tree = treeOf(nodes)): Made =>
  object('sklearn.tree._classes.DecisionTreeRegressor', {
    criterion: 'squared_error',
    splitter: 'best',
    n_features_in_: 2,
    n_outputs_: 1,
    tree_: tree,
    ...RELEASE,
  });

/** A random forest of trees. */
export const forest = (trees: Made[]): Made =>
  object('sklearn.ensemble._forest.RandomForestRegressor', {
    estimators_: trees,
    n_features_in_: 2,
    n_outputs_: 1,
    ...RELEASE,
  });

const ridge = (coefficients = numbers(1, 2)): Made =>
  object('sklearn.linear_model._ridge.Ridge', {
    coef_: coefficients,
    intercept_: float(0.5),
    n_features_in_: 2,
    ...RELEASE,
  });

const scaler = (width = 2): Made =>
  object('sklearn.preprocessing._data.StandardScaler', {
    with_mean: true,
    with_std: true,
    mean_: array(new Float64Array(width)),
    scale_: array(new Float64Array(width).fill(1)),
    n_features_in_: width,
    ...RELEASE,
  });

const logistic = (classes: Py = labels(2), coefficients: Py = matrix(1, 2)): Made =>
  object('sklearn.linear_model._logistic.LogisticRegression', {
    solver: 'lbfgs',
    multi_class: 'auto',
    classes_: classes,
    coef_: coefficients,
    intercept_: numbers(0),
    n_features_in_: 2,
    ...RELEASE,
  });

const pipeline = (...steps: Py[]): Made =>
  object('sklearn.pipeline.Pipeline', {
    steps: steps.map((step, i) => tuple(`step${i}`, step)),
    memory: null,
    verbose: false,
    ...RELEASE,
  });

const votes = (estimators: Py[]): Made =>
  object('sklearn.ensemble._voting.VotingRegressor', {
    estimators: estimators.map((each, i) => tuple(`e${i}`, each)),
    estimators_: estimators,
    weights: null,
    n_features_in_: 2,
    ...RELEASE,
  });

const vectorizer = (vocabulary: Py): Made =>
  object('sklearn.feature_extraction.text.CountVectorizer', {
    analyzer: 'word',
    preprocessor: null,
    tokenizer: null,
    token_pattern: '(?u)\\b\\w\\w+\\b',
    ngram_range: tuple(1, 1),
    stop_words: null,
    lowercase: true,
    strip_accents: null,
    binary: false,
    vocabulary_: vocabulary,
    ...RELEASE,
  });

const encoder = (categories: Py[]): Made =>
  object('sklearn.preprocessing._encoders.OneHotEncoder', {
    categories_: categories,
    drop: null,
    drop_idx_: null,
    handle_unknown: 'error',
    n_features_in_: categories.length,
    ...RELEASE,
  });

const neighbours = (shape: number[], more: Record<string, Py> = {}): Made =>
  object('sklearn.neighbors._regression.KNeighborsRegressor', {
    n_neighbors: 2,
    weights: 'uniform',
    effective_metric_: 'euclidean',
    effective_metric_params_: dict({}),
    _fit_X: array(new Float64Array(8), shape),
    _y: numbers(1, 2, 3, 4),
    n_features_in_: 2,
    ...RELEASE,
    ...more,
  });

const polynomial = (degree: number, features: number): Made =>
  object('sklearn.preprocessing._polynomial.PolynomialFeatures', {
    degree,
    interaction_only: false,
    include_bias: true,
    order: 'C',
    n_features_in_: features,
    _min_degree: 0,
    _max_degree: degree,
    n_output_features_: 10,
    ...RELEASE,
  });

const sparse = (shape: [Py, Py], starts: Float64Array, columns: number[]): Made =>
  object('scipy.sparse._csr.csr_matrix', {
    _shape: tuple(...shape),
    indptr: array(starts),
    indices: array(Int32Array.from(columns)),
    data: array(new Float64Array(columns.length).fill(1)),
  });

/** A Pipeline that is its own only step. */
function pipelineInItself(): Made {
  const made = pipeline();
  return made.set('steps', [tuple('again', made)]);
}

function votersOfVoters(): Made {
  let made = votes([ridge(), ridge()]);
  for (let i = 0; i < 30; i++) made = votes([made, made]);
  return made;
}

function nested(depth: number, wrap: (inner: Made) => Made): Made {
  let made = ridge();
  for (let i = 0; i < depth; i++) made = wrap(made);
  return made;
}

const repeat = (count: number): number[] => Array.from({ length: count }, () => -1);

/** A left-leaning chain: node i tests, i + 1 goes on, and a leaf at its side. */
function chain(depth: number): Nodes {
  const count = 2 * depth + 1;
  const left = repeat(count);
  const right = repeat(count);
  const feature = repeat(count);
  for (let i = 0; i < depth; i++) {
    [left[2 * i], right[2 * i], feature[2 * i]] = [2 * i + 1, 2 * i + 2, 0];
  }
  return { left, right, feature, threshold: left.map(() => 0.5) };
}

export interface HostileModel {
  make: () => Uint8Array;
  /** What the refusal must say; absent: it may be served. */
  error?: RegExp;
}

const of = (make: () => Py, error?: RegExp): HostileModel => ({
  make: () => writePickle(make()),
  ...(error && { error }),
});

const TEN_MB = 10 * 2 ** 20;

/** Sound pickles of fitted objects that lie, or would cost more than a file of theirs may. */
export const hostileModels: Record<string, HostileModel> = {
  'a sound forest': of(() => forest([regressionTree(stumpNodes)])),
  'a pipeline in itself': of(pipelineInItself, /nested more than 32 deep/),
  'a pipeline in a pipeline, 600 times': of(
    () => nested(600, (inner) => pipeline(inner)),
    /steps\[0\].*nested more than 32 deep/,
  ),
  'a search in a search, 600 times': of(
    () =>
      nested(600, (inner) =>
        object('sklearn.model_selection._search.GridSearchCV', {
          best_estimator_: inner,
          ...RELEASE,
        }),
      ),
    /best_estimator_.*nested more than 32 deep/,
  ),
  'voters of the same voters, 2^31': of(votersOfVoters, /estimators|names the same arrays/),
  'a voter that votes for itself': of(() => {
    const made = votes([]);
    return made.set('estimators_', [made]);
  }, /nested more than 32 deep/),
  '25,000 voters': of(() => votes(Array.from({ length: 25_000 }, () => ridge())), /20000 estim/),
  'a forest that is its own tree': of(() => {
    const made = forest([]);
    return made.set('estimators_', [made]);
  }, /estimators_\[0\].*is no tree/),
  '100,000 times the same tree': of(() => {
    const tree = regressionTree(stumpNodes);
    return forest(Array.from({ length: 100_000 }, () => tree));
  }, /tree_.*two estimators|20000 estimators/),
  'two trees that share their nodes': of(() => {
    const tree = treeOf(stumpNodes);
    return forest([regressionTree(stumpNodes, tree), regressionTree(stumpNodes, tree)]);
  }, /estimators_\[1\]\.tree_.*two estimators/),
  'children in a circle': of(
    () => forest([regressionTree({ ...stumpNodes, left: [0, -1, -1] })]),
    /node 0 of tree 0 points nowhere/,
  ),
  'two parents of one child': of(
    () =>
      forest([
        regressionTree({
          left: [1, 3, 3, -1, -1],
          right: [2, 4, 4, -1, -1],
          feature: [0, 0, 0, -2, -2],
          threshold: [0.5, 0.5, 0.5, -2, -2],
        }),
      ]),
    /two parents/,
  ),
  'a tree of 2^30 paths': of(() => {
    const left = Array.from({ length: 61 }, (_, i) => (i < 60 ? i + 1 : -1));
    return forest([
      regressionTree({
        left,
        right: left,
        feature: left.map(() => 0),
        threshold: left.map(() => 0),
      }),
    ]);
  }, /two parents/),
  'a child outside': of(
    () => forest([regressionTree({ ...stumpNodes, right: [2 ** 40, -1, -1] })]),
    /node 0 of tree 0 points nowhere/,
  ),
  'a child before the first': of(
    () => forest([regressionTree({ ...stumpNodes, right: [-7, -1, -1] })]),
    /node 0 of tree 0 points nowhere/,
  ),
  'a feature that there is not': of(
    () => forest([regressionTree({ ...stumpNodes, feature: [2, -2, -2] })]),
    /points nowhere/,
  ),
  'a threshold that is no number': of(
    () => forest([regressionTree({ ...stumpNodes, threshold: [NaN, -2, -2] })]),
    /threshold is not a number/,
  ),
  'fewer values than nodes': of(
    () => forest([regressionTree({ ...stumpNodes, value: [1, 2] })]),
    /tree_.*not a value for each node/,
  ),
  'a tree that is a chain of 50,000': of(() => forest([regressionTree(chain(50_000))])),
  'a tree without nodes': of(
    () => forest([regressionTree({ left: [], right: [], feature: [], threshold: [] })]),
    /not a value for each node/,
  ),
  'a tree of -1 features': of(
    () => regressionTree(stumpNodes, treeOf(stumpNodes, -1)),
    /points nowhere|columns/,
  ),
  'a tree of 10^9 features': of(
    () => regressionTree(stumpNodes, treeOf(stumpNodes, 1e9)),
    /takes 1000000000 columns/,
  ),
  'a tree of as many features as a text has': of(
    () => regressionTree(stumpNodes, treeOf(stumpNodes, 'many')),
    /tree_.*number of features/,
  ),
  'n_features_in_ of 10^9': of(() => ridge().set('n_features_in_', 1e9), /n_features_in_|columns/),
  'n_features_in_ of -1': of(() => scaler().set('n_features_in_', -1), /n_features_in_|columns/),
  'n_features_in_ of a text': of(() => scaler().set('n_features_in_', 'two'), /n_features_in_/),
  'more weights than columns': of(
    () => pipeline(scaler(3), ridge()),
    /fitted on 2 columns and is given 3/,
  ),
  'a scale of another length': of(
    () => scaler().set('scale_', numbers(1, 1, 1)),
    /scale_|3 numbers|columns/,
  ),
  'classes without scores': of(() => logistic(labels(5)), /1 scores for 5 classes/),
  'no classes': of(() => logistic(labels(0)), /classes/),
  'classes that are one text of 10 MB': of(() =>
    logistic(objects(['x'.repeat(TEN_MB), 'y'.repeat(TEN_MB)])),
  ),
  'an intercept of a million': of(
    () => logistic().set('intercept_', array(new Float64Array(1e6))),
    /intercept/,
  ),
  'a coefficient that is None': of(() => ridge().set('coef_', null), /coef_/),
  'coefficients in three dimensions': of(
    () => logistic(labels(2), array(new Float64Array(8), [2, 2, 2])),
    /coef_/,
  ),
  'a matrix of 10^9 rows and no columns': of(
    () => logistic(labels(2), array(new Float64Array(0), [1e9, 0])),
    /same arrays so often/,
  ),
  'points of a lying shape': of(() => neighbours([2, 4]), /_fit_X.*shape/),
  'more neighbours than points': of(() => neighbours([4, 2], { n_neighbors: 1000 }), /n_neighbors/),
  'a negative count of neighbours': of(
    () => neighbours([4, 2], { n_neighbors: -1 }),
    /n_neighbors/,
  ),
  'the same matrix a hundred thousand times': of(() => {
    const coefficients = array(new Float64Array(2000), [1000, 2]);
    const one = logistic(labels(1000), coefficients);
    return object('sklearn.ensemble._voting.VotingClassifier', {
      voting: 'soft',
      weights: null,
      flatten_transform: true,
      le_: object('sklearn.preprocessing._label.LabelEncoder', { classes_: labels(1000) }),
      classes_: labels(1000),
      estimators_: Array.from({ length: 15_000 }, () => pipeline(one)),
      ...RELEASE,
    });
  }, /same arrays so often|VotingClassifier|intercept_/),
  'one list of 200,000 categories for 100,000 columns': of(() => {
    const categories = objects(Array.from({ length: 200_000 }, (_, i) => `c${i}`));
    return encoder(Array.from({ length: 100_000 }, () => categories));
  }, /same arrays so often/),
  'categories that are one another': of(() => {
    const list: Py[] = [];
    list.push(list);
    return encoder(list);
  }, /categories/),
  'a category of 10 MB': of(() => encoder([objects(['x'.repeat(TEN_MB), 'b'])])),
  'a vocabulary of 200,000 words': of(() =>
    vectorizer(dict(Object.fromEntries(Array.from({ length: 2e5 }, (_, i) => [`w${i}`, i])))),
  ),
  'a word in column 10^15': of(() => vectorizer(dict({ word: 1e15 })), /no term for column 0/),
  'a word in column -1': of(() => vectorizer(dict({ word: -1 })), /no term for column 0/),
  'n-grams of 10^9 words': of(
    () => vectorizer(dict({ word: 0 })).set('ngram_range', tuple(1, 1e9)),
    /ngram_range/,
  ),
  'a pattern that never ends': of(
    () => vectorizer(dict({ word: 0 })).set('token_pattern', '(a+)+$'),
    /token_pattern/,
  ),
  'a polynomial of degree 60': of(() => polynomial(60, 50), /degree|outputs|columns|limit|more/),
  'a sparse matrix of 10^6 × 10^6': of(
    () => logistic(labels(2), sparse([1e6, 1e6], new Float64Array(3), [])),
    /same arrays so often|coef_|numbers/,
  ),
  'a sparse matrix with negative sizes': of(
    () => logistic(labels(2), sparse([-1, -1000], new Float64Array(1), [])),
    /coef_|numbers|indptr|size/,
  ),
  'a sparse matrix that points outside': of(
    () => logistic(labels(2), sparse([1, 2], Float64Array.of(0, 1), [7])),
    /coef_.*index outside/,
  ),
  'a sparse matrix of half a row': of(
    () => logistic(labels(2), sparse([float(0.5), 2], Float64Array.of(0, 1), [1])),
    /coef_|_shape|numbers/,
  ),
  'a text of 10 MB for a number': of(
    () => ridge().set('intercept_', 'x'.repeat(TEN_MB)),
    /intercept_/,
  ),
  'a release of 10 MB': of(
    () => ridge().set('_sklearn_version', '1'.repeat(TEN_MB)),
    /release|does not say/,
  ),
  'a release from the future': of(
    () => ridge().set('_sklearn_version', '3.1.0'),
    /model of Ridge \(scikit-learn 3\.1\) was fitted by a release that is not proven/,
  ),
  'a release before 0.22': of(
    () => ridge().set('_sklearn_version', '0.21.3'),
    /model of Ridge \(scikit-learn 0\.21\) was fitted by a release that is not proven/,
  ),
  'a class of its own': of(
    () => pipeline(object('my_package.models.Secret', { value: 1 }), ridge()),
    /steps\[0\] of Secret is not supported: nothing here reads my_package\.models\.Secret/,
  ),
  'os.system in a pipeline': of(
    () => pipeline(called('os.system', ['touch /tmp/slipway-was-here']), ridge()),
    /steps\[0\]/,
  ),
  'a function in a transformer': of(
    () =>
      pipeline(
        object('sklearn.preprocessing._function_transformer.FunctionTransformer', {
          func: global('my_package.features.add_ratio'),
          inverse_func: null,
          validate: false,
          kw_args: null,
          inv_kw_args: null,
          n_features_in_: 2,
          ...RELEASE,
        }),
        ridge(),
      ),
    /steps\[0\] of FunctionTransformer \(scikit-learn 1\.6\).*my_package\.features\.add_ratio/,
  ),
  'an object that is no model': of(() => dict({ model: 'sklearn.' }), /no object of a class/),
  'a model of nothing': of(
    () => called('sklearn.linear_model._ridge.Ridge', []),
    /has no attributes/,
  ),
};
