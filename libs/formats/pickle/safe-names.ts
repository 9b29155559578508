import { sklearnNames } from './sklearn-names.js';

/**
 * What a pickle may name and still be data: exactly these, module and name. A class is here where making one and setting its
 * attributes does nothing else; a function, where calling it with anything does nothing else.
 */
export function isSafe(module: string, name: string): boolean {
  return safe.has(`${renamed(module)}.${name}`);
}

/** Modules that had another name: Python 2's, numpy's before 2, scipy's before 1.8, scikit-learn's joblib before 0.21. */
function renamed(module: string): string {
  if (module === '__builtin__') return 'builtins';
  if (module === 'copy_reg') return 'copyreg';
  if (module.startsWith('sklearn.externals.joblib.'))
    return module.slice('sklearn.externals.'.length);
  if (module.startsWith('numpy._core.')) return `numpy.core.${module.slice('numpy._core.'.length)}`;
  return module;
}

const INTEGERS = 'int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc uintc longlong ulonglong';
const NUMBERS = `${INTEGERS} float16 float32 float64 longdouble complex64 complex128`;
const SPARSE = 'bsr coo csc csr dia dok lil';
const sparseClasses = SPARSE.split(' ').map((kind): [string, string] => [
  `scipy.sparse._${kind}`,
  `${kind}_matrix ${kind}_array`,
]);
const oldSparseClasses = SPARSE.split(' ').map((kind): [string, string] => [
  `scipy.sparse.${kind}`,
  `${kind}_matrix`,
]);

/** Functions of arrays that only compute; `_ufunc_reconstruct`, by which numpy before 1.23 names them, imports what it is told. */
const UFUNCS = `abs absolute arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad degrees exp exp2 expm1 fabs
  floor isfinite isinf isnan log log10 log1p log2 negative positive rad2deg radians reciprocal rint sign sin sinh sqrt square
  tan tanh trunc`;

/** Module → names. */
const TABLE: Readonly<Record<string, string>> = {
  builtins:
    'bool bytearray bytes complex dict float frozenset int list object range set slice str tuple',
  collections: 'OrderedDict defaultdict',
  copyreg: '_reconstructor __newobj__',
  _codecs: 'encode',
  datetime: 'date datetime time timedelta timezone',
  decimal: 'Decimal',
  fractions: 'Fraction',
  // What it calls must be named as well, and so be safe itself.
  functools: 'partial',
  uuid: 'UUID',

  numpy: `${NUMBERS} bool bool_ str_ bytes_ void object_ datetime64 timedelta64 dtype ndarray matrix
    ${UFUNCS} around clip fix max mean median min nan_to_num round round_ sum`,
  'numpy.core._multiarray_umath': UFUNCS,
  'numpy.core.multiarray': '_reconstruct scalar',
  'numpy.core.numeric': '_frombuffer',
  'numpy.dtypes': 'Float64DType Float32DType Int64DType Int32DType BoolDType StrDType ObjectDType',
  'numpy.ma': 'MaskedArray',
  'numpy.ma.core': 'MaskedArray _mareconstruct MaskedConstant',
  'numpy.matrixlib.defmatrix': 'matrix',
  'numpy.random': 'RandomState Generator MT19937 PCG64 PCG64DXSM Philox SFC64',
  'numpy.random._generator': 'Generator',
  'numpy.random._mt19937': 'MT19937',
  'numpy.random._pcg64': 'PCG64 PCG64DXSM',
  'numpy.random._philox': 'Philox',
  'numpy.random._sfc64': 'SFC64',
  'numpy.random._pickle': '__bit_generator_ctor __generator_ctor __randomstate_ctor',
  'numpy.random.bit_generator': 'SeedSequence __pyx_unpickle_SeedSequence',
  'numpy.random.mtrand': 'RandomState',

  ...Object.fromEntries([...sparseClasses, ...oldSparseClasses]),
  'scipy.interpolate._bsplines': 'BSpline _BSpline',
  'scipy.interpolate._interpolate': 'interp1d PPoly',
  'scipy.interpolate.interpolate': 'interp1d',
  'scipy._lib.array_api_compat.numpy._aliases': 'asarray',
  'scipy.special._ufuncs': 'expit logit erf exp10 expm1 log1p',

  'joblib.numpy_pickle': 'NumpyArrayWrapper NDArrayWrapper ZNDArrayWrapper',
  'joblib.numpy_pickle_compat': 'NDArrayWrapper ZNDArrayWrapper',

  'xgboost.core': 'Booster',
  'xgboost.callback': 'EarlyStopping',
  'xgboost.compat': 'XGBoostLabelEncoder',
  'xgboost.sklearn': 'XGBModel XGBClassifier XGBRegressor XGBRanker XGBRFClassifier XGBRFRegressor',
  'lightgbm.basic': 'Booster',
  'lightgbm.compat': '_LGBMLabelEncoder',
  'lightgbm.sklearn': 'LGBMModel LGBMClassifier LGBMRegressor LGBMRanker',
  'catboost.core': 'CatBoost CatBoostClassifier CatBoostRegressor CatBoostRanker',

  // What torch itself loads with weights_only=True.
  torch: `Size device dtype float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 bool strided
    FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage ByteStorage
    BoolStorage Tensor`,
  'torch._utils': '_rebuild_tensor _rebuild_tensor_v2 _rebuild_parameter',
  'torch.nn.parameter': 'Parameter',
  'torch.serialization': '_get_layout',

  // Functions and classes that scikit-learn's own models name; its estimators are in a list of their own.
  // What Cython calls the module of the losses from 1.5 on.
  _loss: sklearnNames['sklearn._loss._loss'] ?? '',
  'sklearn.cluster._kmeans': '_kmeans_single_lloyd _kmeans_single_elkan',
  'sklearn.compose._column_transformer': '_RemainderColsList',
  'sklearn.impute._iterative': '_ImputerTriplet',
  'sklearn.metrics._classification':
    'accuracy_score balanced_accuracy_score f1_score fbeta_score jaccard_score log_loss matthews_corrcoef precision_score recall_score',
  'sklearn.utils._metadata_requests': 'MetadataRequest MethodMetadataRequest',
  // Before 1.0.
  'sklearn.ensemble._hist_gradient_boosting.loss':
    'BinaryCrossEntropy CategoricalCrossEntropy LeastAbsoluteDeviation LeastSquares Poisson',
  'sklearn._loss.glm_distribution':
    'DistributionBoundary GammaDistribution InverseGaussianDistribution NormalDistribution PoissonDistribution TweedieDistribution',
  'sklearn.cross_decomposition._cca': 'CCA',
  'sklearn.linear_model._glm.link': 'IdentityLink LogLink LogitLink',
  'sklearn.linear_model._sgd_fast': 'Log SquaredLoss',
  'sklearn.preprocessing._data': 'PolynomialFeatures',
  'sklearn.utils': 'Bunch',
  'sklearn.utils._bunch': 'Bunch',
  'sklearn.utils.deprecation': 'DeprecationDict',
  'sklearn.utils.validation': 'check_array',
  'sklearn.feature_selection._univariate_selection':
    'chi2 f_classif f_regression f_oneway r_regression',
  'sklearn.feature_selection._mutual_info': 'mutual_info_classif mutual_info_regression',
  'sklearn.metrics._scorer':
    '_passthrough_scorer _Scorer _PredictScorer _ProbaScorer _ThresholdScorer',
  'sklearn.metrics._dist_metrics': 'newObj',
  'sklearn.neighbors._ball_tree': 'newObj',
  'sklearn.neighbors._dist_metrics': 'newObj EuclideanDistance ManhattanDistance MinkowskiDistance',
  'sklearn.neighbors._kd_tree': 'newObj',
  'sklearn.neighbors.ball_tree': 'newObj BallTree',
  'sklearn.neighbors.dist_metrics': 'newObj EuclideanDistance',
  'sklearn.neighbors.kd_tree': 'newObj KDTree',
};

const safe = new Set<string>();
for (const table of [TABLE, sklearnNames]) {
  for (const [module, names] of Object.entries(table)) {
    for (const name of names.split(/\s+/)) safe.add(`${module}.${name}`);
  }
}
/** Cython makes these to rebuild its classes. */
for (const name of (sklearnNames['sklearn._loss._loss'] ?? '').split(' ')) {
  for (const module of ['sklearn._loss._loss', '_loss']) {
    safe.add(`${module}.__pyx_unpickle_${name}`);
  }
}
