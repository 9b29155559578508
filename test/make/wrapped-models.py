"""Pickled estimators of XGBoost, LightGBM and CatBoost, alone and inside scikit-learn, for test/wrapped-models.spec.ts.

    python test/make/wrapped-models.py FOLDER [NAME…]

Writes FOLDER/NAME.pkl (or another suffix) and NAME.json: format, X (rows; null is a missing value), columns where the model
was fitted on a data frame, and predict, predict_proba, margin … as the estimator answers them in Python. What the installed
releases cannot make is said and left out.
"""
import json
import os
import pickle
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import *
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import *
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

warnings.filterwarnings("ignore")


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


xgb, lgb, cat = optional("xgboost"), optional("lightgbm"), optional("catboost")


def release(library):
    return tuple(int(part) for part in library.__version__.split(".")[:2]) if library else (0, 0)


XGB, LGB, CAT, SKL = release(xgb), release(lgb), release(cat), release(sklearn)

random = np.random.RandomState(20)
ROWS, TESTS = 160, 24


def numbers(rows):
    table = random.normal(size=(rows, 5))
    table[:, 3] = random.randint(0, 5, rows)
    return table


A, T = numbers(ROWS), numbers(TESTS)
A32, T32 = A.astype(np.float32), T.astype(np.float32)
y2 = (A[:, 0] - A[:, 2] + random.normal(0, 0.3, ROWS) > 0).astype(int)
y3 = (A[:, 0] + A[:, 1] > 0.5).astype(int) + (A[:, 2] > 0.8)
z = A @ [1.5, -2, 0.7, 0.3, 0] + random.normal(0, 0.1, ROWS)
words = np.array(["bad", "good", "über"])
with_holes = lambda table: np.where(random.rand(*table.shape) < 0.15, np.nan, table)
M, MT = with_holes(A), with_holes(T)
named = lambda table: pd.DataFrame(table, columns=["age", "fare", "a b", "code", "x[1]"][: table.shape[1]])
plain_names = lambda table: pd.DataFrame(table, columns=["age", "fare", "size", "code", "left"])
zeros = lambda table: np.where(random.rand(*table.shape) < 0.3, 0, table)
groups = [40, 40, 40, 40]
rank = np.clip(np.round(z), 0, 3).astype(int)


def frame(rows):
    return pd.DataFrame({
        "age": random.randint(18, 90, rows).astype(float),
        "fare": random.gamma(2, 20, rows).round(2),
        "sex": random.choice(["male", "female"], rows),
        "port": random.choice(["S", "C", "Q"], rows),
        "deck": random.choice([3, 5, 9], rows),
    })


F, FT = frame(ROWS), frame(TESTS)
F.loc[random.rand(ROWS) < 0.1, "age"] = np.nan
FT.loc[random.rand(TESTS) < 0.2, "age"] = np.nan
yf = ((F["sex"] == "female") ^ (F["fare"] > 40)).astype(int).to_numpy()
documents = [" ".join(random.choice(["red", "green", "blue", "yellow"], random.randint(1, 6))) for _ in range(ROWS)]

models = {}


def add(name, make, X, y, test, kind="pkl", **fit):
    models[name] = (make, X, y, test, kind, fit)


def xgb_models():
    small = dict(n_estimators=6, max_depth=3, learning_rate=0.4)
    if (1, 3) <= XGB < (1, 6):
        small["use_label_encoder"] = True
    small["verbosity"] = 0
    C = lambda **more: xgb.XGBClassifier(**{**small, **more})
    R = lambda **more: xgb.XGBRegressor(**{**small, **more})
    add("xgb_binary", C, M, y2, MT)
    add("xgb_multi", C, M, y3, MT, "p2")
    add("xgb_float32", R, A32, z, T32, "p5")
    add("xgb_named", C, plain_names(A), y3, plain_names(T), "joblib")
    add("xgb_holes_as_number", lambda: R(missing=-1.0), np.where(np.isnan(M), -1, M), z, np.where(np.isnan(MT), -1, MT), "z.joblib")
    add("xgb_zero_missing", lambda: R(missing=0), zeros(A), z, zeros(T))
    add("xgb_regressor", R, A, z, T, "p3")
    add("xgb_poisson", lambda: R(objective="count:poisson"), A, np.abs(z), T)
    add("xgb_base_score", lambda: C(base_score=0.3), A, y2, T)
    add("xgb_logitraw", lambda: C(objective="binary:logitraw"), A, y2, T)
    add("xgb_hinge", lambda: C(objective="binary:hinge"), A, y2, T)
    add("xgb_dart", lambda: C(booster="dart", rate_drop=0.3), A, y3, T)
    add("xgb_linear", lambda: C(booster="gblinear"), A, y2, T)
    add("xgb_linear_reg", lambda: R(booster="gblinear"), A, z, T)
    add("xgb_forest", lambda: xgb.XGBRFClassifier(n_estimators=5, max_depth=3), A, y2, T)
    add("xgb_forest_multi", lambda: xgb.XGBRFClassifier(n_estimators=5, max_depth=3), A, y3, T)
    add("xgb_forest_reg", lambda: xgb.XGBRFRegressor(n_estimators=5, max_depth=3), A, z, T)
    add("xgb_parallel", lambda: C(num_parallel_tree=3, subsample=0.7), A, y3, T)
    if XGB >= (1, 0):
        add("xgb_ranker", lambda: xgb.XGBRanker(**small) if XGB < (1, 3) else xgb.XGBRanker(**{k: v for k, v in small.items() if k != "use_label_encoder"}), A, rank, T, group=groups)
    early = {"eval_set": [(A[:60], y3[::-1][:60])], "verbose": False}
    if XGB >= (1, 6):
        add("xgb_early", lambda: C(n_estimators=30, early_stopping_rounds=2, num_parallel_tree=2), A, y3, T, **early)
        add("xgb_early_dart", lambda: C(n_estimators=30, early_stopping_rounds=2, booster="dart"), A, y3, T, **early)
    else:
        add("xgb_early", lambda: C(n_estimators=30, num_parallel_tree=2), A, y3, T, early_stopping_rounds=2, **early)
    if XGB < (1, 6):
        add("xgb_labels", C, A, words[y3], T)
        add("xgb_labels_2", C, A, words[y2], T, "p4")
    if XGB >= (1, 6):
        add("xgb_softmax", lambda: C(objective="multi:softmax"), A, y3, T)
    if XGB >= (1, 7):
        add("xgb_several_labels", C, A, np.c_[y2, y3 > 0, y3 > 1], T)
        add("xgb_several_targets", R, A, np.c_[z, -z], T)
    if XGB >= (2, 0):
        add("xgb_vector_leaves", lambda: R(multi_strategy="multi_output_tree", n_estimators=20, early_stopping_rounds=3), A, np.c_[z, -z], T, eval_set=[(A[:50], np.c_[z, z][:50])], verbose=False)
        add("xgb_quantiles", lambda: R(objective="reg:quantileerror", quantile_alpha=[0.2, 0.8]), A, z, T)
    if XGB >= (1, 3):
        add("xgb_booster", lambda: Trained(lambda: xgb.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 3}, xgb.DMatrix(A, y3), 5)), A, y3, T)
        add("xgb_booster_early", lambda: Trained(lambda: xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(A, y2), 30, evals=[(xgb.DMatrix(A[:50], y2[::-1][:50]), "v")], early_stopping_rounds=2, verbose_eval=False)), A, y2, T)
    codes = lambda table: table[["age", "fare", "port"]].astype({"port": pd.CategoricalDtype(["C", "Q", "S"])})
    if XGB >= (3, 1):
        add("xgb_categories", lambda: C(enable_categorical=True, tree_method="hist"), codes(F), yf, codes(FT))
        add("xgb_pipeline_categories", lambda: make_pipeline(ColumnTransformer([("n", SimpleImputer(), ["age"])], remainder="passthrough", verbose_feature_names_out=False).set_output(transform="pandas"), C(enable_categorical=True, tree_method="hist")), codes(F), yf, codes(FT))
    mixed = lambda last, **encoder: make_pipeline(ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "fare"]),
        ("c", OneHotEncoder(handle_unknown="ignore", **encoder), ["sex", "port"])], remainder="passthrough", sparse_threshold=0.3), last)
    compositions("xgb", C, R, mixed)
    # One-hot columns of many levels make the table sparse, and zeros missing.
    add("xgb_sparse", lambda: make_pipeline(ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["sex", "port", "deck"]), ("n", MaxAbsScaler(), ["fare"])], sparse_threshold=1.0), C()), F, yf, FT)
    add("xgb_sparse_union", lambda: make_pipeline(FeatureUnion([("a", OneHotEncoder(handle_unknown="ignore")), ("b", FunctionTransformer(np.abs))]), R()), A[:, 3:], z, T[:, 3:])
    add("xgb_text", lambda: make_pipeline(TfidfVectorizer(), C()), documents, y3, documents[:TESTS])


def lgb_models():
    small = dict(n_estimators=6, num_leaves=6, min_child_samples=5, learning_rate=0.3, verbose=-1, n_jobs=1)
    C = lambda **more: lgb.LGBMClassifier(**{**small, **more})
    R = lambda **more: lgb.LGBMRegressor(**{**small, **more})
    add("lgb_binary", C, M, y2, MT)
    add("lgb_multi", C, M, words[y3], MT, "p2")
    add("lgb_float_labels", C, A, y2 * 2.0, T, "p5")
    add("lgb_bool_labels", C, A, y2 > 0, T)
    add("lgb_regressor", R, A, z, T, "joblib")
    add("lgb_float32", R, A32, z, T32, "p3")
    add("lgb_named", C, named(A) if LGB < (2, 0) else plain_names(A), y3, plain_names(T), "xz.joblib")
    add("lgb_forest", lambda: C(boosting_type="rf", subsample=0.7, subsample_freq=1), A, y3, T)
    add("lgb_dart", lambda: R(boosting_type="dart"), A, z, T)
    add("lgb_linear", lambda: R(linear_tree=True), A, z, T)
    add("lgb_poisson", lambda: R(objective="poisson"), A, np.abs(z), T)
    add("lgb_quantile", lambda: R(objective="quantile", alpha=0.7), A, z, T)
    add("lgb_ova", lambda: C(objective="multiclassova"), A, y3, T)
    add("lgb_zero_missing", lambda: R(zero_as_missing=True), zeros(A), z, zeros(T))
    add("lgb_categorical", R, A, z, T, categorical_feature=[3])
    add("lgb_ranker", lambda: lgb.LGBMRanker(**small), A, rank, T, group=groups)
    stop = dict(eval_set=[(A[:60], y3[::-1][:60])])
    stop.update(callbacks=[lgb.early_stopping(2, verbose=False)]) if LGB >= (3, 3) else stop.update(early_stopping_rounds=2, verbose=False)
    add("lgb_early", lambda: C(n_estimators=40), A, y3, T, **stop)
    add("lgb_early_forest", lambda: C(n_estimators=40, boosting_type="rf", subsample=0.7, subsample_freq=1), A, y3, T, **stop)
    kinds = {"sex": "category", "port": pd.CategoricalDtype(["S", "C", "Q", "none"]), "deck": pd.CategoricalDtype([9, 5, 3])}
    codes = lambda table: table[["age", "sex", "port", "deck", "fare"]].astype(kinds)
    add("lgb_categories", C, codes(F), words[yf], codes(FT))
    add("lgb_number_categories", C, codes(F)[["age", "deck"]], yf, codes(FT)[["age", "deck"]])
    add("lgb_booster", lambda: Trained(lambda: lgb.train({"objective": "binary", "verbose": -1, "num_leaves": 6}, lgb.Dataset(A, y2), 5)), A, y2, T)
    mixed = lambda last, **encoder: make_pipeline(ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "fare"]),
        ("c", OneHotEncoder(handle_unknown="ignore", **encoder), ["sex", "port"])]), last)
    compositions("lgb", C, R, mixed)
    add("lgb_text", lambda: make_pipeline(TfidfVectorizer(), C()), documents, y3, documents[:TESTS])
    if SKL >= (1, 2):
        add("lgb_pipeline_categories", lambda: make_pipeline(ColumnTransformer([("n", SimpleImputer(), ["age", "fare"])], remainder="passthrough", verbose_feature_names_out=False).set_output(transform="pandas"), C()), codes(F), yf, codes(FT))


def cat_models():
    small = dict(iterations=5, depth=3, learning_rate=0.4, logging_level="Silent", allow_writing_files=False, thread_count=1, random_seed=1)
    C = lambda **more: cat.CatBoostClassifier(**{**small, **more})
    R = lambda **more: cat.CatBoostRegressor(**{**small, **more})
    add("cat_binary", C, M, y2, MT)
    add("cat_multi", C, M, words[y3], MT, "p2")
    add("cat_labels", C, A, words[y2], T, "joblib")
    add("cat_float_labels", C, A, y2 + 0.5, T)
    add("cat_regressor", R, A, z, T, "p5")
    add("cat_named", R, plain_names(A), z, plain_names(T), "z.joblib")
    add("cat_poisson", lambda: R(loss_function="Poisson"), A, np.abs(z), T)
    add("cat_tweedie", lambda: R(loss_function="Tweedie:variance_power=1.5"), A, np.abs(z), T)
    add("cat_uncertainty", lambda: R(loss_function="RMSEWithUncertainty"), A, z, T)
    add("cat_targets", lambda: R(loss_function="MultiRMSE"), A, np.c_[z, -z], T)
    add("cat_ova", lambda: C(loss_function="MultiClassOneVsAll"), A, y3, T)
    add("cat_several_labels", lambda: C(loss_function="MultiLogloss"), A, np.c_[y2, y3 > 0].astype(int), T)
    add("cat_lossguide", lambda: C(grow_policy="Lossguide"), A, y2, T)
    add("cat_early", lambda: R(iterations=60, early_stopping_rounds=3), A, z, T, eval_set=(A[:50], z[::-1][:50]))
    add("cat_ranker", lambda: cat.CatBoostRanker(**small), A, rank, T, group_id=np.repeat([0, 1, 2, 3], 40))
    add("cat_base", lambda: cat.CatBoost({**small, "loss_function": "Logloss"}), A, y2, T)
    add("cat_categories", lambda: C(cat_features=["sex", "port", "deck"], one_hot_max_size=2), F, yf, FT)
    plain = lambda table: table[["sex", "fare", "port"]]
    add("cat_pipeline", lambda: Pipeline([("s", "passthrough"), ("m", C(cat_features=["sex", "port"]))]), plain(F), words[yf], plain(FT))
    mixed = lambda last, **encoder: make_pipeline(ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "fare"]),
        ("c", OneHotEncoder(handle_unknown="ignore", **encoder), ["sex", "port"])]), last)
    compositions("cat", C, R, mixed)


def compositions(library, C, R, mixed):
    """The same estimator in every place that scikit-learn has for one."""
    tree = lambda: DecisionTreeClassifier(max_depth=3)
    depth = "depth" if library == "cat" else "max_depth"
    add(library + "_pipeline", lambda: make_pipeline(StandardScaler(), C()), A, y3, T)
    add(library + "_frame", lambda: mixed(C()), F.drop(columns="deck"), yf, FT.drop(columns="deck"), "joblib")
    add(library + "_frame_reg", lambda: mixed(R()), F.drop(columns="deck"), F["fare"] + 1, FT.drop(columns="deck"))
    add(library + "_voting", lambda: VotingClassifier([("a", C()), ("b", tree())], voting="soft"), A, y3, T)
    add(library + "_voting_all", lambda: VotingClassifier([("a", C()), ("b", C(**{depth: 2}))], voting="soft"), A, y3, T)
    add(library + "_voting_hard", lambda: VotingClassifier([("a", C()), ("b", tree()), ("c", C(**{depth: 2}))]), A, words[y2], T)
    add(library + "_voting_reg", lambda: VotingRegressor([("a", R()), ("b", Ridge())], weights=[1, 2]), A, z, T)
    add(library + "_voting_reg_all", lambda: VotingRegressor([("a", R()), ("b", R(**{depth: 2})), ("c", R(**{depth: 4}))]), A, z, T)
    add(library + "_stacking", lambda: StackingClassifier([("a", C()), ("b", tree())], cv=2), A, words[y3], T)
    add(library + "_stacking_last", lambda: StackingClassifier([("a", tree()), ("b", LogisticRegression())], final_estimator=C(), cv=2, passthrough=True), A, y2, T)
    add(library + "_stacking_reg", lambda: StackingRegressor([("a", R()), ("b", Ridge())], cv=2), A, z, T)
    add(library + "_calibrated", lambda: CalibratedClassifierCV(C(), cv=2), A, y3, T)
    add(library + "_calibrated_2", lambda: CalibratedClassifierCV(C(), cv=2, method="isotonic"), A, y2, T)
    add(library + "_ovr", lambda: OneVsRestClassifier(C()), A, words[y3], T)
    add(library + "_ovo", lambda: OneVsOneClassifier(C()), A, y3, T)
    add(library + "_search", lambda: GridSearchCV(C(), {depth: [2, 3]}, cv=2), plain_names(A), y3, plain_names(T))
    add(library + "_random_search", lambda: RandomizedSearchCV(make_pipeline(StandardScaler(), R()), {"standardscaler__with_mean": [True, False]}, n_iter=1, cv=2), A, z, T)
    add(library + "_target_log", lambda: TransformedTargetRegressor(R(), func=np.log1p, inverse_func=np.expm1), A, np.abs(z), T)
    add(library + "_target_scaled", lambda: TransformedTargetRegressor(R(), transformer=StandardScaler()), A, z, T)
    add(library + "_multi_output", lambda: MultiOutputRegressor(R()), A, np.c_[z, -z], T)
    add(library + "_multi_labels", lambda: MultiOutputClassifier(C()), A, np.c_[y3, y2], T)
    add(library + "_chain", lambda: ClassifierChain(C()), A, np.c_[y2, y3 > 0].astype(int), T)
    add(library + "_bagging", lambda: BaggingClassifier(C(), n_estimators=2, random_state=0), A, y3, T)
    add(library + "_bagging_reg", lambda: BaggingRegressor(R(), n_estimators=3, random_state=0), A, z, T)
    add(library + "_select", lambda: make_pipeline(SelectFromModel(C()), LogisticRegression()), A, y3, T)
    if library != "cat":
        add(library + "_ada", lambda: AdaBoostClassifier(C(), n_estimators=2, random_state=0, **({"algorithm": "SAMME"} if SKL < (1, 6) else {})), A, y3, T)


class Trained:
    """A Booster, which is trained by a function and has no fit; never pickled itself."""

    def __init__(self, train):
        self.train = train

    def fit(self, X, y):
        return self.train()


def cells(X):
    if isinstance(X, list):
        return X
    rows = X.astype(object).to_numpy().tolist() if isinstance(X, pd.DataFrame) else X.tolist()
    return [[None if value is pd.NA or value != value else value for value in row] for row in rows]


def said(value):
    if isinstance(value, list):
        return [said(item) for item in value]
    return np.asarray(value).tolist()


def answers(model, X):
    """What the estimator says; margins only of boosters themselves."""
    if xgb and isinstance(model, xgb.Booster):
        rows = xgb.DMatrix(X)
        return {"predict": said(model.predict(rows)), "margin": said(model.predict(rows, output_margin=True))}
    if lgb and isinstance(model, lgb.Booster):
        return {"predict": said(model.predict(X)), "margin": said(model.predict(X, raw_score=True))}
    found = {}
    for method in ("predict", "predict_proba", "decision_function"):
        if method == "predict_proba" and "objective='binary:logitraw'" in str(model):
            continue
        try:
            found[method] = said(getattr(model, method)(X))
        except AttributeError:
            pass
    if xgb and isinstance(model, xgb.XGBModel):
        found["margin"] = said(model.predict(X, output_margin=True))
    if lgb and isinstance(model, lgb.LGBMModel):
        found["margin"] = said(model.predict(X, raw_score=True))
    if cat and isinstance(model, cat.CatBoost) and not isinstance(model, cat.CatBoostRanker):
        found["margin"] = said(model.predict(X, prediction_type="RawFormulaVal"))
        if isinstance(model, cat.CatBoostClassifier) and np.shape(found["predict"])[1:] == (1,):
            found["predict"] = [row[0] for row in found["predict"]]
    return found


def write(path, model, kind):
    if kind == "joblib":
        joblib.dump(model, path)
    elif kind.endswith(".joblib"):
        joblib.dump(model, path, compress=({"z": "zlib", "xz": "xz"}[kind.split(".")[0]], 3))
    else:
        protocol = int(kind[1:]) if kind[1:].isdigit() else 4
        with open(path, "wb") as file:
            pickle.dump(model, file, protocol=protocol)


def format_of(model):
    package = type(model).__module__.split(".")[0]
    return package if package in ("xgboost", "lightgbm", "catboost") else "sklearn"


if xgb:
    xgb_models()
if lgb:
    lgb_models()
if cat:
    cat_models()
folder, *wanted = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
versions = {"sklearn": sklearn.__version__, "numpy": np.__version__}
versions.update({library.__name__: library.__version__ for library in (xgb, lgb, cat) if library})
for name, (make, X, y, test, kind, fit) in models.items():
    if wanted and name not in wanted:
        continue
    try:
        made = make()
        fitted = made.fit(X, y, **fit)
        fitted = fitted if isinstance(made, Trained) else made
        facts = {"format": format_of(fitted), "versions": versions, "X": cells(test)}
        if isinstance(test, pd.DataFrame):
            facts["columns"] = list(test.columns)
        facts.update(answers(fitted, test))
        path = os.path.join(folder, name)
        write(f"{path}.{kind}", fitted, kind)
        with open(f"{path}.json", "w") as file:
            json.dump(facts, file)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error)[:150]!r}")
