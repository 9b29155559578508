"""Every estimator that an installed scikit-learn has, fitted in a few ways, with the answers of the library.

    python test/make/sklearn-sweep.py FOLDER [NAME…]

Writes FOLDER/sklearn/RELEASE/CLASS.VARIANT.pkl and .json in the form of test/make/sklearn-models.py, so that

    SLIPWAY_FIXTURES=FOLDER npx jest dist/test/sklearn-models.spec.js

compares them all: each must give the library's answers or be refused by name. NAME chooses classes. What cannot be fitted is
said at the end.
"""
import inspect, json, os, pickle, sys, warnings

import numpy as np
import sklearn
from scipy import sparse

for module in ("enable_iterative_imputer", "enable_halving_search_cv", "enable_hist_gradient_boosting"):
    try:
        __import__("sklearn.experimental." + module)
    except ImportError:
        pass
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

warnings.filterwarnings("ignore")
random = np.random.RandomState(11)
ROWS, TESTS = 90, 25
A = random.normal(size=(ROWS + TESTS, 4)).round(3)
A[:, 3] = random.randint(0, 4, len(A))
y2 = (A[:, 0] - A[:, 2] + random.normal(0, 0.3, len(A)) > 0).astype(int)
y3 = np.array(["bad", "good", "über"])[(A[:, 0] + A[:, 1] > 0.4).astype(int) + (A[:, 2] > 0.7)]
z = (A @ [1.5, -2, 0.7, 0.3] + random.normal(0, 0.1, len(A))).round(4)
targets = np.c_[z, -z + A[:, 1] ** 2]
several = np.c_[y2, (A[:, 1] > 0).astype(int), (A[:, 3] > 2).astype(int)]
mixed = np.c_[y2, A[:, 3].astype(int)]
missing = A.copy()
missing[random.rand(*A.shape) < 0.15] = np.nan
positive = np.abs(A).round(2) + 0.1
counts = np.abs(A * 2).round()
categories = np.c_[A[:, 3], random.randint(0, 3, len(A))]
words = ["red", "green", "blue", "straße", "Ñandú", "it's", "42nd", "a", "zebra", "x_y"]
docs = [" ".join(random.choice(words, random.randint(1, 9))) for _ in A]
records = [{"word": words[i % 10], "size": float(i % 7), "on": bool(i % 2)} for i in range(len(A))]
sets = [tuple(random.choice(words, random.randint(0, 4), replace=False)) for _ in A]

# What stands for X and y, by name.
CLASSES = {"two": (A, y2), "three": (A, y3)}
NUMBERS = {"one": (A, z)}
DATA = {
    "plain": (A, None), "two": (A, y2), "three": (A, y3), "numbers": (A, z), "targets": (A, targets), "labels": (A, several),
    "outputs": (A, mixed), "missing": (missing, None), "missing_two": (missing, y2), "missing_numbers": (missing, z),
    "positive": (positive, None), "positive_two": (positive, y2), "counts_three": (counts, y3), "positive_numbers": (positive, np.abs(z) + 0.1),
    "categories": (categories, None), "categories_two": (categories, y2), "categories_three": (categories, y3), "categories_numbers": (categories, z),
    "texts": (docs, None), "records": (records, None), "sets": (sets, None), "column": (A[:, :1], z), "codes": (y3, None), "bits": (y2, None),
}

def logistic():
    return LogisticRegression()

# How classes are made that have arguments that they need.
ARGUMENTS = {
    "estimator": lambda name: Ridge() if "Regress" in name else logistic(),
    "base_estimator": lambda name: Ridge() if "Regress" in name else logistic(),
    "estimators": lambda name: [("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))] if "Regress" in name else [("a", logistic()), ("b", DecisionTreeClassifier(max_depth=3))],
    "steps": lambda name: [("scale", StandardScaler()), ("model", logistic())],
    "transformers": lambda name: [("scale", StandardScaler(), [0, 1]), ("rest", "passthrough", [3])],
    "transformer_list": lambda name: [("scale", StandardScaler()), ("same", "passthrough")] if sklearn.__version__ >= "1.1" else [("scale", StandardScaler())],
    "param_grid": lambda name: {"C": [0.1, 1.0]},
    "param_distributions": lambda name: {"C": [0.1, 1.0]},
    "dictionary": lambda name: np.eye(4)[:3] + 0.1,
}
# Settings of their own: (variant, settings, data).
VARIANTS = {
    "AdaBoostClassifier": [("stumps", {"n_estimators": 7}, "three")],
    "AdditiveChi2Sampler": [("plain", {}, "positive")],
    "Birch": [("plain", {"n_clusters": 3, "threshold": 0.8}, "plain")],
    "BaggingClassifier": [("columns", {"n_estimators": 3, "max_features": 2, "bootstrap_features": True}, "three"), ("labels", {"n_estimators": 3}, "labels")],
    "BaggingRegressor": [("plain", {"n_estimators": 3, "max_samples": 0.5}, "numbers"), ("targets", {"n_estimators": 3}, "targets")],
    "BernoulliNB": [("three", {"binarize": 0.2, "fit_prior": False}, "three")],
    "CalibratedClassifierCV": [("isotonic", {"cv": 2, "method": "isotonic"}, "three"), ("shared", {"cv": 3, "ensemble": False}, "three"), ("shared2", {"cv": 3, "ensemble": False}, "two"), ("temperature", {"cv": 2, "method": "temperature"}, "three"), ("temperature2", {"cv": 2, "method": "temperature"}, "two")],
    "CategoricalNB": [("two", {}, "categories_two"), ("three", {"min_categories": 5}, "categories_three")],
    "ClassifierChain": [("labels", {}, "labels"), ("order", {"order": [2, 0, 1], "cv": 2}, "labels"), ("probabilities", {"chain_method": "predict_proba"}, "labels"), ("decision", {"chain_method": "decision_function", "cv": 2}, "labels"), ("trees", {"estimator": DecisionTreeClassifier(max_depth=3)}, "labels")],
    "ComplementNB": [("three", {}, "counts_three"), ("norm", {"norm": True}, "counts_three")],
    "CountVectorizer": [("plain", {}, "texts"), ("pairs", {"ngram_range": (1, 2), "binary": True}, "texts"), ("chars", {"analyzer": "char", "ngram_range": (2, 3)}, "texts"), ("wb", {"analyzer": "char_wb", "ngram_range": (2, 4), "strip_accents": "ascii"}, "texts"), ("pattern", {"token_pattern": r"(?u)\b[a-zA-Z]+\b"}, "texts"), ("group", {"token_pattern": r"(?u)\b(\w)\w+\b"}, "texts")],
    "DictVectorizer": [("records", {}, "records"), ("dense", {"sparse": False, "sort": False}, "records")],
    "DummyClassifier": [("prior", {}, "three"), ("frequent", {"strategy": "most_frequent"}, "three"), ("constant", {"strategy": "constant", "constant": "good"}, "three"), ("outputs", {"strategy": "most_frequent"}, "outputs"), ("stratified", {"strategy": "stratified", "random_state": 0}, "two"), ("uniform", {"strategy": "uniform", "random_state": 0}, "two")],
    "DummyRegressor": [("mean", {}, "numbers"), ("median", {"strategy": "median"}, "targets"), ("quantile", {"strategy": "quantile", "quantile": 0.8}, "numbers"), ("constant", {"strategy": "constant", "constant": [1.5, 2]}, "targets")],
    "FeatureHasher": [("records", {"n_features": 16}, "records"), ("sets", {"n_features": 16, "input_type": "string", "alternate_sign": False}, "sets")],
    "FrozenEstimator": [("fitted", {"estimator": "frozen"}, "three")],
    "GaussianRandomProjection": [("plain", {"n_components": 3}, "plain")],
    "SparseRandomProjection": [("plain", {"n_components": 3}, "plain")],
    "RadiusNeighborsClassifier": [("two", {"radius": 4.0}, "two"), ("three", {"radius": 4.0, "weights": "distance"}, "three")],
    "Pipeline": [("two", {}, "two"), ("three", {}, "three")],
    "FixedThresholdClassifier": [("probability", {"threshold": 0.3, "response_method": "predict_proba"}, "two"), ("decision", {"threshold": 0.4, "response_method": "decision_function"}, "two"), ("auto", {"pos_label": 0}, "two")],
    "FunctionTransformer": [("log1p", {"func": np.log1p, "inverse_func": np.expm1}, "positive"), ("same", {}, "plain"), ("clip", {"func": np.clip, "kw_args": {"a_min": -0.5, "a_max": 1}}, "plain"), ("nan", {"func": np.nan_to_num}, "missing"), ("round", {"func": np.round, "kw_args": {"decimals": 1}}, "plain"), ("sign", {"func": np.sign, "validate": True}, "plain"), ("logical", {"func": np.isnan}, "missing")],
    "GaussianProcessRegressor": [("plain", {"alpha": 0.1}, "numbers")],
    "GradientBoostingClassifier": [("two", {"n_estimators": 5}, "two"), ("three", {"n_estimators": 5}, "three"), ("init", {"n_estimators": 5, "init": logistic()}, "two"), ("init3", {"n_estimators": 5, "init": logistic()}, "three"), ("zero", {"n_estimators": 5, "init": "zero"}, "three"), ("exponential", {"n_estimators": 5, "init": logistic(), "loss": "exponential"}, "two"), ("tree", {"n_estimators": 4, "init": DecisionTreeClassifier(max_depth=2)}, "three")],
    "GradientBoostingRegressor": [("plain", {"n_estimators": 5, "loss": "huber"}, "numbers"), ("init", {"n_estimators": 5, "init": LinearRegression()}, "numbers"), ("tree", {"n_estimators": 5, "init": DecisionTreeRegressor(max_depth=2)}, "numbers")],
    "GammaRegressor": [("plain", {}, "positive_numbers")],
    "PoissonRegressor": [("plain", {}, "positive_numbers")],
    "TweedieRegressor": [("plain", {"power": 1.5}, "positive_numbers"), ("normal", {}, "numbers")],
    "HashingVectorizer": [("plain", {"n_features": 32}, "texts"), ("chars", {"n_features": 64, "analyzer": "char_wb", "ngram_range": (1, 3), "norm": "l1"}, "texts"), ("default", {}, "texts")],
    "HistGradientBoostingClassifier": [("two", {"max_iter": 5, "min_samples_leaf": 3}, "missing_two"), ("three", {"max_iter": 5, "min_samples_leaf": 3}, "three"), ("categories", {"max_iter": 5, "min_samples_leaf": 3, "categorical_features": [3]}, "two")],
    "HistGradientBoostingRegressor": [("plain", {"max_iter": 5, "min_samples_leaf": 3}, "missing_numbers"), ("gamma", {"max_iter": 5, "loss": "gamma"}, "positive_numbers"), ("quantile", {"max_iter": 5, "loss": "quantile", "quantile": 0.3}, "numbers")],
    "IsolationForest": [("plain", {"n_estimators": 8}, "plain")],
    "IsotonicRegression": [("column", {"out_of_bounds": "clip"}, "column"), ("nan", {"increasing": False}, "column")],
    "IterativeImputer": [("plain", {"random_state": 0}, "missing"), ("order", {"imputation_order": "roman", "max_iter": 3, "min_value": -1, "max_value": [1, 2, 1, 3]}, "missing"), ("ridge", {"estimator": Ridge(), "imputation_order": "arabic", "add_indicator": True, "initial_strategy": "median"}, "missing"), ("tree", {"estimator": DecisionTreeRegressor(max_depth=3, random_state=0), "n_nearest_features": 2, "random_state": 1}, "missing"), ("skip", {"skip_complete": True}, "missing"), ("sample", {"sample_posterior": True, "random_state": 0}, "missing")],
    "KBinsDiscretizer": [("onehot", {"n_bins": 4}, "plain"), ("ordinal", {"n_bins": 3, "encode": "ordinal", "strategy": "uniform"}, "plain"), ("kmeans", {"n_bins": [2, 3, 4, 3], "encode": "onehot-dense", "strategy": "kmeans"}, "plain")],
    "KNNImputer": [("plain", {}, "missing"), ("distance", {"n_neighbors": 3, "weights": "distance", "add_indicator": True}, "missing"), ("one", {"n_neighbors": 1}, "missing")],
    "KNeighborsClassifier": [("two", {}, "two"), ("labels", {"n_neighbors": 3}, "labels"), ("outputs", {"weights": "distance"}, "outputs")],
    "LabelBinarizer": [("codes", {}, "codes"), ("bits", {"neg_label": -1, "pos_label": 2}, "bits")],
    "LabelEncoder": [("codes", {}, "codes"), ("bits", {}, "bits")],
    "LogisticRegression": [("two", {}, "two"), ("three", {"C": 0.3}, "three")],
    "MLPClassifier": [("labels", {"max_iter": 20, "hidden_layer_sizes": (5,)}, "labels"), ("three", {"max_iter": 20, "hidden_layer_sizes": (5, 3)}, "three")],
    "MLPRegressor": [("targets", {"max_iter": 20, "hidden_layer_sizes": (5,)}, "targets")],
    "MissingIndicator": [("plain", {}, "missing"), ("all", {"features": "all"}, "missing")],
    "MultiLabelBinarizer": [("sets", {}, "sets"), ("classes", {"classes": words[::-1]}, "sets")],
    "MultiOutputClassifier": [("labels", {}, "labels"), ("outputs", {}, "outputs"), ("trees", {"estimator": DecisionTreeClassifier(max_depth=3)}, "outputs")],
    "MultiOutputRegressor": [("targets", {}, "targets"), ("trees", {"estimator": DecisionTreeRegressor(max_depth=3)}, "targets")],
    "MultinomialNB": [("three", {}, "counts_three")],
    "OneHotEncoder": [("plain", {}, "categories"), ("first", {"drop": "first"}, "categories"), ("chosen", {"drop": [1.0, 2.0]}, "categories"), ("ignore", {"handle_unknown": "ignore", "categories": [[0, 1, 2], [1, 2]]}, "categories"), ("share", {"min_frequency": 0.3, "handle_unknown": "infrequent_if_exist"}, "categories"), ("most", {"max_categories": 2, "drop": "if_binary", "handle_unknown": "ignore"}, "categories")],
    "OneVsOneClassifier": [("three", {}, "three"), ("two", {}, "two")],
    "OneVsRestClassifier": [("three", {}, "three"), ("two", {}, "two"), ("labels", {}, "labels"), ("trees", {"estimator": DecisionTreeClassifier(max_depth=3)}, "labels")],
    "OrdinalEncoder": [("plain", {}, "categories"), ("unknown", {"handle_unknown": "use_encoded_value", "unknown_value": -2, "categories": [[0, 1, 2], [1, 2]]}, "categories"), ("share", {"min_frequency": 0.3, "handle_unknown": "use_encoded_value", "unknown_value": np.nan}, "categories")],
    "OutputCodeClassifier": [("three", {"random_state": 0}, "three"), ("longer", {"code_size": 3, "random_state": 1}, "three"), ("trees", {"estimator": DecisionTreeClassifier(max_depth=3), "code_size": 2.5, "random_state": 2}, "three")],
    "PowerTransformer": [("boxcox", {"method": "box-cox"}, "positive"), ("plain", {}, "plain")],
    "RFE": [("three", {"n_features_to_select": 2}, "three")],
    "RFECV": [("two", {"cv": 2}, "two")],
    "RegressorChain": [("targets", {}, "targets"), ("order", {"order": [1, 0], "cv": 2}, "targets")],
    "SelectFromModel": [("logistic", {}, "three"), ("forest", {"estimator": "forest", "threshold": "1.25*median"}, "three"), ("tree", {"estimator": DecisionTreeClassifier(max_depth=3)}, "three"), ("lasso", {"estimator": "lasso"}, "numbers"), ("most", {"estimator": "boosting", "max_features": 2, "threshold": -np.inf}, "three"), ("norm", {"norm_order": 2}, "three"), ("l1", {"estimator": LogisticRegression(penalty="l1", solver="saga" if sklearn.__version__ >= "1.8" else "liblinear")}, "two"), ("ada", {"estimator": "ada"}, "two")],
    "SelfTrainingClassifier": [("two", {}, "two")],
    "SequentialFeatureSelector": [("two", {"n_features_to_select": 2, "cv": 2}, "two")],
    "SparseCoder": [("plain", {}, "plain")],
    "StackingClassifier": [("three", {}, "three"), ("passthrough", {"passthrough": True, "stack_method": "predict"}, "two"), ("prefit", {"cv": "prefit", "estimators": "fitted"}, "three"), ("labels", {"estimators": [("a", DecisionTreeClassifier(max_depth=3)), ("b", DecisionTreeClassifier(max_depth=2))], "final_estimator": DecisionTreeClassifier(max_depth=4)}, "labels")],
    "StackingRegressor": [("plain", {}, "numbers"), ("passthrough", {"passthrough": True, "final_estimator": DecisionTreeRegressor(max_depth=3)}, "numbers")],
    "TargetEncoder": [("numbers", {"target_type": "continuous"}, "categories_numbers"), ("two", {}, "categories_two"), ("three", {"smooth": 3.0}, "categories_three")],
    "TfidfTransformer": [("plain", {}, "counts_three"), ("sublinear", {"sublinear_tf": True, "norm": None}, "counts_three")],
    "FeatureUnion": [("plain", {}, "plain")],
    "TfidfVectorizer": [("plain", {}, "texts"), ("stop", {"stop_words": ["red", "blue"], "smooth_idf": False, "norm": "l1"}, "texts"), ("counts", {"use_idf": False, "binary": True}, "texts")],
    "TransformedTargetRegressor": [("log", {"regressor": Ridge(), "func": np.log1p, "inverse_func": np.expm1}, "positive_numbers"), ("targets", {"regressor": Ridge(), "transformer": StandardScaler()}, "targets"), ("default", {}, "numbers")],
    "TunedThresholdClassifierCV": [("two", {"cv": 2}, "two"), ("fixed", {"cv": 2, "scoring": "f1"}, "two")],
    "VotingClassifier": [("hard", {}, "three"), ("soft", {"voting": "soft", "weights": [1, 3]}, "three"), ("flat", {"voting": "soft", "flatten_transform": False}, "two")],
    "VotingRegressor": [("plain", {}, "numbers"), ("weights", {"weights": [1, 3]}, "numbers")],
}
for name in ("HalvingGridSearchCV", "HalvingRandomSearchCV", "GridSearchCV", "RandomizedSearchCV"):
    VARIANTS[name] = [("two", {**({} if "Halving" not in name else {"min_resources": 20}), **({"n_iter": 2} if name == "RandomizedSearchCV" else {}), "cv": 2}, "two")]

def fitted_members():
    return [("a", logistic().fit(A[:ROWS], y3[:ROWS])), ("b", DecisionTreeClassifier(max_depth=3).fit(A[:ROWS], y3[:ROWS]))]

def named(value):
    """Estimators that are chosen by a word, since they are made by what is imported here only."""
    from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LassoCV
    makers = {"forest": lambda: RandomForestClassifier(5, max_depth=4, random_state=0), "lasso": lambda: LassoCV(cv=2), "boosting": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0), "ada": lambda: AdaBoostClassifier(n_estimators=5, random_state=0), "fitted": fitted_members, "frozen": lambda: logistic().fit(A[:ROWS], y3[:ROWS])}
    return makers[value]() if isinstance(value, str) and value in makers else value

def make(name, made, settings):
    """An object of a class, with what it needs and few trees."""
    given = {key: named(value) for key, value in settings.items()}
    known = inspect.signature(made.__init__).parameters
    for key, parameter in known.items():
        if key == "self" or key in given or key not in ARGUMENTS:
            continue
        if key == "base_estimator" and "estimator" in known:
            continue
        if parameter.default is inspect.Parameter.empty or (key in ("estimator", "base_estimator") and name in NEEDS_ESTIMATOR):
            given[key] = ARGUMENTS[key](name)
    if "estimator" in given and "estimator" not in known:
        given["base_estimator"] = given.pop("estimator")
    if "random_state" in known and "random_state" not in given:
        given["random_state"] = 0
    if "n_estimators" in known and "n_estimators" not in given:
        given["n_estimators"] = 4
    if "max_depth" in known and "max_depth" not in given:
        given["max_depth"] = 4
    return made(**given)

NEEDS_ESTIMATOR = {"CalibratedClassifierCV", "SelfTrainingClassifier", "ClassifierChain", "RegressorChain"}

def usual(kind):
    """What a class is fitted on that has no variants of its own."""
    if kind == "classifier":
        return ["two", "three", "labels", "outputs"]
    if kind == "regressor":
        return ["numbers", "targets"]
    return ["plain", "positive"] if kind == "cluster" else ["plain", "missing", "positive_two", "numbers"]

def part(values, rows):
    return None if values is None else values[rows]

def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    value = value.toarray() if sparse.issparse(value) else np.asarray(value)
    return cells(value.tolist())

def cells(value):
    if isinstance(value, list):
        return [cells(item) for item in value]
    return None if isinstance(value, float) and value != value else value

def answers(model, X):
    out = {}
    for method in ("predict", "predict_proba", "decision_function", "score_samples", "transform"):
        try:
            value = getattr(model, method)(X)
            # What is a million columns wide is no file for a test.
            if getattr(value, "ndim", 1) == 2 and value.shape[1] > 5000:
                continue
            out[method] = plain(value)
        except (AttributeError, NotImplementedError):
            continue
    return out

def rows_of(X):
    if isinstance(X, np.ndarray):
        return plain(X) if X.ndim == 2 else [[v] for v in plain(X)] if X.dtype.kind != "U" else plain(X)
    if isinstance(X[0], dict):
        return [json.dumps(record) for record in X]
    return [json.dumps(list(item)) for item in X] if isinstance(X[0], tuple) else X

def main():
    folder = os.path.join(sys.argv[1], "sklearn", ".".join(sklearn.__version__.split(".")[:3]))
    os.makedirs(folder, exist_ok=True)
    kinds = {name: kind for kind in ("classifier", "regressor", "cluster") for name, _ in all_estimators(type_filter=kind)}
    done, left = 0, []
    for name, made in all_estimators():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        variants = VARIANTS.get(name) or [(data, {}, data) for data in usual(kinds.get(name))]
        for variant, settings, data in variants:
            X, y = DATA[data]
            try:
                model = make(name, made, settings)
                train, test = slice(0, ROWS), slice(ROWS, None)
                model.fit(X[train]) if y is None else model.fit(X[train], part(y, train))
                out = answers(model, X[test])
                if not out:
                    continue
                out.update({"class": name, "X": rows_of(X[test])})
                stem = os.path.join(folder, f"{name}.{variant}")
                with open(stem + ".pkl", "wb") as file:
                    pickle.dump(model, file, protocol=2 + done % 4)
                with open(stem + ".json", "w") as file:
                    json.dump(out, file)
                done += 1
            except Exception as error:
                left.append(f"{name}.{variant}: {type(error).__name__} {str(error).splitlines()[0][:100] if str(error) else ''}")
    print("\n".join(left))
    print(sklearn.__version__, done, "models", len(left), "left out")

main()
