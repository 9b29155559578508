"""Small scikit-learn models with the answers of their library, for test/sklearn-models.spec.ts.

    python test/make/sklearn-models.py FOLDER [NAME…]

Writes FOLDER/RELEASE/NAME.pkl (or .joblib) and NAME.json: X (rows; null is a missing value), columns where the model was
fitted on a data frame, class, and predict, predict_proba, decision_function, transform and score_samples where there are.
"""
import os
# Which of equally near points count depends on the number of threads: one is what is promised.
os.environ["OMP_NUM_THREADS"] = "1"
import fnmatch, json, pickle, sys, warnings

import numpy as np
import pandas as pd
import sklearn
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import *
from sklearn.ensemble import *
from sklearn.feature_extraction.text import *
from sklearn.feature_selection import *
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import *
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import *
from sklearn.neighbors import *
from sklearn.neural_network import *
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import *
from sklearn.svm import *
from sklearn.tree import *

from spaces_models import SPACES_WITH_BOTH, add_spaces

warnings.filterwarnings("ignore")
release = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
r = np.random.RandomState(7)
n = 120
A = r.normal(size=(n, 5)).round(3)
A[:, 3] = r.randint(0, 4, n)
y3 = (A[:, 0] + A[:, 1] > 0.5).astype(int) + (A[:, 2] > 0.8)
y2 = (A[:, 0] - A[:, 2] + r.normal(0, 0.3, n) > 0).astype(int)
names = np.array(["bad", "good", "über"])
z = (A @ [1.5, -2, 0.7, 0.3, 0] + r.normal(0, 0.1, n)).round(4)
M = A.copy()
M[r.rand(*A.shape) < 0.15] = np.nan
T = r.normal(size=(40, 5)).round(3)
T[:, 3] = r.randint(0, 5, 40)
TM = T.copy()
TM[r.rand(*T.shape) < 0.15] = np.nan
def frame(size, random):
    return pd.DataFrame({
        "age": random.randint(18, 90, size).astype(float),
        "fare": random.gamma(2, 20, size).round(2),
        "sex": random.choice(["male", "female"], size),
        "port": random.choice(["S", "C", "Q"], size, p=[0.7, 0.2, 0.1]),
        "deck": random.choice(["A", "B", "C", "D", "E"], size, p=[0.5, 0.3, 0.1, 0.06, 0.04]),
        "name": ["n%d" % i for i in range(size)],
    })
F, FT = frame(n, r), frame(40, r)
F.loc[r.rand(n) < 0.1, "age"] = np.nan
FT.loc[r.rand(40) < 0.2, "age"] = np.nan
F.loc[r.rand(n) < 0.1, "port"] = np.nan
FT.loc[r.rand(40) < 0.2, "port"] = np.nan
yf = ((F["sex"] == "female") ^ (F["fare"] > 60)).astype(int).to_numpy()
numeric = F[["age", "fare"]].fillna(30.0)
words = ["red", "green", "blue", "straße", "Ñandú", "it's", "42nd", "a", "zebra", "x_y"]
docs = [" ".join(r.choice(words, r.randint(1, 12))) for _ in range(n)]
models = {}
def add(name, model, X, y=None, test=None):
    models[name] = (model, X, y, test)
log = "log_loss" if release >= (1, 1) else "log"

add("dt_labels", lambda: DecisionTreeClassifier(max_depth=4), A, names[y3], T)
add("dt_bool", lambda: DecisionTreeClassifier(max_depth=4), A, y2 > 0, T)
add("dt_float", lambda: DecisionTreeClassifier(max_depth=4), A, y3.astype(float), T)
add("dt_multi", lambda: DecisionTreeClassifier(max_depth=4), A, np.c_[y3, y2], T)
add("dt_multi_reg", lambda: DecisionTreeRegressor(max_depth=4), A, np.c_[z, -z, y2], T)
add("et_tree", lambda: ExtraTreeRegressor(max_depth=4, random_state=0), A, z, T)
add("rf_multi", lambda: RandomForestClassifier(5, max_depth=4, random_state=0), A, np.c_[y3, y2], T)
add("rf_named", lambda: RandomForestClassifier(5, max_depth=4, random_state=0), pd.DataFrame(A, columns=list("abcde")), names[y3], pd.DataFrame(T, columns=list("abcde")))
add("rf_reg", lambda: RandomForestRegressor(5, max_depth=4, random_state=0), A, z, T)
add("et_cls", lambda: ExtraTreesClassifier(5, max_depth=4, random_state=0, bootstrap=True, class_weight="balanced"), A, y3, T)
add("et_reg", lambda: ExtraTreesRegressor(5, max_depth=4, random_state=0), A, z, T)
if release >= (1, 4):
    add("rf_missing", lambda: RandomForestClassifier(5, max_depth=5, random_state=0), M, y3, TM)
add("gb_cls2", lambda: GradientBoostingClassifier(n_estimators=6, random_state=0), A, y2, T)
add("gb_cls3", lambda: GradientBoostingClassifier(n_estimators=6, random_state=0), A, names[y3], T)
add("gb_reg", lambda: GradientBoostingRegressor(n_estimators=6, random_state=0), A, z, T)
add("gb_quantile", lambda: GradientBoostingRegressor(n_estimators=6, random_state=0, loss="quantile", alpha=0.8), A, z, T)
add("hgb_cls2", lambda: HistGradientBoostingClassifier(max_iter=6, min_samples_leaf=5), M, y2, TM)
add("hgb_cls3", lambda: HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=5), M, names[y3], TM)
add("hgb_reg", lambda: HistGradientBoostingRegressor(max_iter=6, min_samples_leaf=5), M, z, TM)
add("hgb_poisson", lambda: HistGradientBoostingRegressor(max_iter=6, min_samples_leaf=5, loss="poisson"), A, np.abs(z), T)
add("hgb_cat", lambda: HistGradientBoostingClassifier(max_iter=6, min_samples_leaf=2, categorical_features=[3]), A, y2, T)
if release >= (1, 4):
    G, GT = (f[["age", "fare", "deck", "sex"]].astype({"deck": "category", "sex": "category"}) for f in (F, FT))
    add("hgb_frame", lambda: HistGradientBoostingClassifier(max_iter=6, min_samples_leaf=2, categorical_features="from_dtype"), G, yf, GT)

onehot = {"handle_unknown": "ignore"}
add("frame", lambda: Pipeline([("pre", ColumnTransformer([
    ("num", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "fare"]),
    ("cat", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**onehot)), ["sex", "port", "deck"])])),
    ("clf", LogisticRegression())]), F, names[yf], FT)
add("frame_rest", lambda: make_pipeline(ColumnTransformer([
    ("drop", "drop", ["name"]), ("port", OneHotEncoder(**onehot), ["port"]), ("deck", OrdinalEncoder(), [4]),
    ("sex", OneHotEncoder(drop="if_binary"), slice("sex", "sex"))], remainder="passthrough"),
    SimpleImputer(add_indicator=True), RandomForestClassifier(5, max_depth=4, random_state=0)), F, yf, FT)
add("frame_selector", lambda: make_pipeline(ColumnTransformer([
    ("num", SimpleImputer(), make_column_selector(dtype_include=float)),
    ("mask", OrdinalEncoder(), [False, False, True, False, True, False])], transformer_weights={"num": 0.5}), Ridge()), F, yf, FT)
add("transform_union", lambda: make_union(StandardScaler(), make_pipeline(PCA(2), MinMaxScaler(clip=True)) if release >= (0, 24) else PCA(2)), A, None, T)
add("pipeline_passthrough", lambda: Pipeline([("a", "passthrough"), ("b", StandardScaler()), ("c", "passthrough"), ("d", Ridge())]), A, z, T)
add("search", lambda: GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=2), A, names[y3], T)
add("random_search", lambda: RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1, 2]}, n_iter=2, cv=2, random_state=0), A, z, T)
add("target_log", lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), A, np.abs(z), T)
add("target_scaled", lambda: TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), A, z, T)
add("function_log", lambda: make_pipeline(FunctionTransformer(np.abs), FunctionTransformer(np.log1p), LinearRegression()), A, z, T)

for name, scaler in {"standard": StandardScaler(), "standard_mean": StandardScaler(with_std=False), "minmax": MinMaxScaler((-1, 2)), "maxabs": MaxAbsScaler(), "robust": RobustScaler(), "l1": Normalizer("l1"), "l2": Normalizer(), "max": Normalizer("max"), "binarizer": Binarizer(threshold=0.3), "poly": PolynomialFeatures(3), "poly_once": PolynomialFeatures(2, interaction_only=True, include_bias=False), "poly_range": PolynomialFeatures((2, 3)) if release >= (1, 0) else PolynomialFeatures(2), "kbins": KBinsDiscretizer(4, encode="ordinal"), "kbins_onehot": KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"), "quantile": QuantileTransformer(n_quantiles=20), "quantile_normal": QuantileTransformer(n_quantiles=20, output_distribution="normal"), "power": PowerTransformer(), "power_plain": PowerTransformer(standardize=False), "spline": SplineTransformer(), "variance": VarianceThreshold(0.9), "pca": PCA(3), "pca_white": PCA(3, whiten=True), "ipca": IncrementalPCA(2), "svd": TruncatedSVD(2), "ica": FastICA(2, random_state=0)}.items():
    add("t_" + name, (lambda scaler: lambda: scaler)(scaler), A, None, T)
add("t_power_boxcox", lambda: PowerTransformer(method="box-cox"), np.abs(A) + 0.1, None, np.abs(T) + 0.1)
add("t_onehot", lambda: OneHotEncoder(handle_unknown="ignore"), A[:, 3:4], None, T[:, 3:4])
add("t_ordinal", lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), A[:, 3:4], None, T[:, 3:4])
if release >= (1, 1):
    add("t_infrequent", lambda: OneHotEncoder(min_frequency=15, handle_unknown="infrequent_if_exist"), F[["deck", "sex", "port"]], None, FT[["deck", "sex", "port"]])
    add("t_infrequent_drop", lambda: OneHotEncoder(max_categories=3, drop="first", handle_unknown="ignore"), F[["deck", "sex"]], None, FT[["deck", "sex"]])
if release >= (1, 3):
    add("t_target", lambda: TargetEncoder(random_state=0), F[["deck", "sex"]], yf, FT[["deck", "sex"]])
    add("t_target3", lambda: TargetEncoder(random_state=0), F[["deck", "sex"]], y3 if release >= (1, 4) else yf, FT[["deck", "sex"]])
    add("t_ordinal_infrequent", lambda: OrdinalEncoder(max_categories=3, handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=-2), F[["deck", "port"]], None, FT[["deck", "port"]])
add("t_imputer", lambda: SimpleImputer(strategy="constant", fill_value=-1, add_indicator=True), M, None, TM)
add("t_imputer_minus", lambda: SimpleImputer(missing_values=-1), np.where(np.isnan(M), -1, M), None, np.where(np.isnan(TM), -1, TM))
add("t_indicator", lambda: MissingIndicator(error_on_new=False), M, None, TM)
for name, selector in {"kbest": SelectKBest(k=2), "percentile": SelectPercentile(percentile=50), "fpr": SelectFpr(alpha=0.3), "fwe": SelectFwe(), "fdr": SelectFdr(), "rfe": RFE(LogisticRegression(), n_features_to_select=2), "from_model": SelectFromModel(LogisticRegression())}.items():
    add("t_" + name, (lambda selector: lambda: selector)(selector), A, y3, T)

for name, model in {"linreg": LinearRegression(), "ridge": Ridge(), "ridgecv": RidgeCV(), "lasso": Lasso(0.01), "lassocv": LassoCV(cv=2), "enet": ElasticNet(0.01), "enetcv": ElasticNetCV(cv=2), "sgdreg": SGDRegressor(random_state=0), "lars": Lars(), "lassolars": LassoLars(0.01), "lassolarsic": LassoLarsIC(), "omp": OrthogonalMatchingPursuit(), "bayesian": BayesianRidge(), "ard": ARDRegression(), "huber": HuberRegressor(), "ransac": RANSACRegressor(random_state=0), "theil": TheilSenRegressor(random_state=0), "quantile_reg": QuantileRegressor(alpha=0.01), "tweedie0": TweedieRegressor(power=0), "passive_reg": PassiveAggressiveRegressor(random_state=0), "linsvr": LinearSVR(random_state=0), "svr": SVR(), "nusvr": NuSVR(kernel="poly", degree=2), "knn_reg": KNeighborsRegressor(3, weights="distance"), "knn_man": KNeighborsRegressor(4, metric="manhattan"), "mlp_reg": MLPRegressor(hidden_layer_sizes=(6,), activation="tanh", max_iter=30, random_state=0), "bag_reg": BaggingRegressor(n_estimators=4, random_state=0, max_features=0.6), "ada_reg": AdaBoostRegressor(n_estimators=4, random_state=0), "vote_reg": VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))], weights=[1, 2]), "stack_reg": StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))], passthrough=True)}.items():
    add(name, (lambda model: lambda: model)(model), A, z, T)
for name, model in {"poisson": PoissonRegressor(), "gamma": GammaRegressor(), "tweedie": TweedieRegressor(power=1.5)}.items():
    add(name, (lambda model: lambda: model)(model), A, np.abs(z) + 0.1, T)
for name, model in {"linreg_multi": LinearRegression(), "ridge_multi": Ridge(), "multitask": MultiTaskLasso(0.01), "knn_multi": KNeighborsRegressor(3)}.items():
    add(name, (lambda model: lambda: model)(model), A, np.c_[z, -z + 1], T)
add("linreg_column", lambda: LinearRegression(), A, z[:, None], T)

classifiers = {"logistic": LogisticRegression(), "logistic_liblinear": LogisticRegression(solver="liblinear"), "logisticcv": LogisticRegressionCV(Cs=2, cv=2), "sgd_log": SGDClassifier(loss=log, random_state=0), "sgd_hinge": SGDClassifier(random_state=0), "sgd_huber": SGDClassifier(loss="modified_huber", random_state=0), "ridgecls": RidgeClassifier(), "ridgeclscv": RidgeClassifierCV(), "perceptron": Perceptron(random_state=0), "passive": PassiveAggressiveClassifier(random_state=0), "linsvc": LinearSVC(random_state=0), "svc": SVC(), "svc_poly": SVC(kernel="poly", probability=True, random_state=0), "svc_sigmoid": SVC(kernel="sigmoid", decision_function_shape="ovo"), "svc_ties": SVC(break_ties=True), "nusvc": NuSVC(nu=0.2), "knn": KNeighborsClassifier(3), "knn_distance": KNeighborsClassifier(4, weights="distance", p=1), "centroid": NearestCentroid(), "gnb": GaussianNB(), "bnb": BernoulliNB(), "lda": LinearDiscriminantAnalysis(), "lda_eigen": LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"), "qda": QuadraticDiscriminantAnalysis(), "mlp": MLPClassifier((6, 4), max_iter=30, random_state=0), "mlp_logistic": MLPClassifier((6,), activation="logistic", max_iter=30, random_state=0), "ada": AdaBoostClassifier(n_estimators=4, random_state=0), "bag": BaggingClassifier(n_estimators=4, random_state=0, max_features=0.6), "bag_svc": BaggingClassifier(LinearSVC(random_state=0), n_estimators=3, random_state=0), "vote_soft": VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], voting="soft", weights=[2, 1]), "vote_hard": VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3)), ("c", GaussianNB())]), "stack": StackingClassifier([("a", LinearSVC(random_state=0)), ("b", DecisionTreeClassifier(max_depth=3)), ("c", Perceptron())]), "calib": CalibratedClassifierCV(LinearSVC(random_state=0), cv=2), "calib_iso": CalibratedClassifierCV(GaussianNB(), cv=2, method="isotonic"), "calib_tree": CalibratedClassifierCV(RandomForestClassifier(3, max_depth=3, random_state=0), cv=2), "ovr": OneVsRestClassifier(LogisticRegression()), "ovr_svc": OneVsRestClassifier(LinearSVC(random_state=0)), "ovo": OneVsOneClassifier(LogisticRegression()), "ovo_tree": OneVsOneClassifier(DecisionTreeClassifier(max_depth=3))}
for name, model in classifiers.items():
    if not (release >= (1, 8) and name == "logistic_liblinear"):
        add(name + "_3", (lambda model: lambda: sklearn.base.clone(model))(model), A, names[y3], T)
    add(name + "_2", (lambda model: lambda: sklearn.base.clone(model))(model), A, y2, T)
for name, model in {"mnb": MultinomialNB(), "cnb": ComplementNB(), "catnb": CategoricalNB(min_categories=6)}.items():
    add(name, (lambda model: lambda: model)(model), np.abs(A).round(), names[y3], np.abs(T).round())
if release < (1, 6):
    add("ada_samme_r", lambda: AdaBoostClassifier(n_estimators=4, random_state=0, algorithm="SAMME.R"), A, y3, T)
add("logistic_named", lambda: LogisticRegression(), numeric, yf, FT[["age", "fare"]].fillna(20.0))
add("one_class", lambda: OneClassSVM(nu=0.2), A, None, T)
add("isolation", lambda: IsolationForest(n_estimators=5, max_samples=32, random_state=0), A, None, T)
add("kmeans", lambda: KMeans(3, n_init=1, random_state=0), A, None, T)
add("minibatch", lambda: MiniBatchKMeans(3, n_init=1, random_state=0), A, None, T)
add("count", lambda: make_pipeline(CountVectorizer(), MultinomialNB()), docs, names[y3], docs[:40] + [""])
add("count_bigrams", lambda: make_pipeline(CountVectorizer(ngram_range=(1, 2), binary=True, stop_words=["red", "blue"]), LogisticRegression()), docs, y2, docs[:40])
add("count_chars", lambda: make_pipeline(CountVectorizer(analyzer="char_wb", ngram_range=(2, 3), min_df=3), LogisticRegression()), docs, y2, docs[:40])
add("count_english", lambda: make_pipeline(CountVectorizer(stop_words="english", strip_accents="unicode"), LogisticRegression()), docs, y2, docs[:40])
add("tfidf", lambda: make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), LogisticRegression()), docs, names[y3], docs[:40])
add("tfidf_svc", lambda: make_pipeline(CountVectorizer(lowercase=False), TfidfTransformer(norm="l1"), LinearSVC(random_state=0)), docs, y2, docs[:40])
add("hashing", lambda: make_pipeline(HashingVectorizer(n_features=64), LogisticRegression()), docs, y2, docs[:40])
add("frame_text", lambda: make_pipeline(ColumnTransformer([("t", TfidfVectorizer(), "text"), ("n", StandardScaler(), ["fare"])]), LogisticRegression()), pd.DataFrame({"text": docs, "fare": F["fare"]}), y2, pd.DataFrame({"text": docs[:40], "fare": FT["fare"]}))

add_spaces(add, release, A, y3, y2, z, T)

def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    value = value.toarray() if sparse.issparse(value) else np.asarray(value)
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        # JSON has no such numbers: null is NaN, the infinities are texts.
        value = np.where(np.isnan(value), None, np.where(np.isinf(value), np.where(value > 0, "Infinity", "-Infinity").astype(object), value.astype(object)))
    return value.tolist()

TRANSFORM_TOO = (KMeans, MiniBatchKMeans, LinearDiscriminantAnalysis) + SPACES_WITH_BOTH

def cell(value):
    return None if value is None or (isinstance(value, float) and value != value) else value

folder = os.path.join(sys.argv[1], ".".join(sklearn.__version__.split(".")[:3]))
os.makedirs(folder, exist_ok=True)
done = 0
for name, (make, X, y, test) in models.items():
    if len(sys.argv) > 2 and not any(fnmatch.fnmatch(name, wanted) for wanted in sys.argv[2:]):
        continue
    try:
        model = make()
        model.fit(X) if y is None else model.fit(X, y)
        if isinstance(test, np.ndarray) and test.ndim == 1:
            test = test[:, None]
        rows = test if isinstance(test, list) else [[cell(v) for v in row] for row in (test.to_numpy(dtype=object) if hasattr(test, "to_numpy") else test).tolist()]
        out = {"class": type(model).__name__, "X": rows}
        if hasattr(test, "columns"):
            out["columns"] = list(test.columns)
        for method in ("predict", "predict_proba", "decision_function", "score_samples", "transform"):
            try:
                function = getattr(model, method)
            except AttributeError:
                continue
            if method == "transform" and "predict" in out and not isinstance(model, TRANSFORM_TOO):
                continue
            try:
                out[method] = plain(function(test))
            except ValueError:
                # One against one has the method, and no probabilities.
                if method != "predict_proba":
                    raise
    except Exception as error:
        print(sklearn.__version__, name, "left out:", str(error).split("\n")[0][:120])
        continue
    with open(os.path.join(folder, name + ".pkl"), "wb") as file:
        pickle.dump(model, file, protocol=2 + done % 4)
    with open(os.path.join(folder, name + ".json"), "w") as file:
        json.dump(out, file)
    done += 1
print(sklearn.__version__, done, "models")
