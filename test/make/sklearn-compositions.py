"""Models of scikit-learn made of others, and the corners of encoders, with the answers of their library.

    python test/make/sklearn-compositions.py FOLDER [NAME…]

Writes FOLDER/sklearn/RELEASE/NAME.pkl and .json in the form of test/make/sklearn-models.py. What a release does not have is
left out and said.
"""
import json, os, pickle, sys, warnings

import numpy as np
import pandas as pd
import sklearn
from scipy import sparse
from sklearn.experimental import enable_iterative_imputer
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import *
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import *
from sklearn.feature_selection import *
from sklearn.impute import *
from sklearn.linear_model import *
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import *
from sklearn.multioutput import *
from sklearn.naive_bayes import *
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import *
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import *

warnings.filterwarnings("ignore")
release = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
r = np.random.RandomState(23)
ROWS, TESTS = 100, 30
n = ROWS + TESTS
A = r.normal(size=(n, 5)).round(3)
A[:, 4] = r.randint(0, 4, n)
y2 = (A[:, 0] - A[:, 2] > 0).astype(int)
y3 = np.array(["a", "b", "ç"])[(A[:, 0] + A[:, 1] > 0.3).astype(int) + (A[:, 2] > 0.7)]
odd = np.array([10, 20, 35])[(A[:, 0] + A[:, 1] > 0.3).astype(int) + (A[:, 2] > 0.7)]
z = (A @ [1.5, -2, 0.7, 0.3, 0.1]).round(4)
labels = np.c_[y2, A[:, 1] > 0, A[:, 4] > 1].astype(int)
M = A.copy()
M[r.rand(*A.shape) < 0.15] = np.nan
constant = M.copy()
constant[:, 3] = np.nan
frame = pd.DataFrame({
    "age": r.randint(18, 90, n).astype(float), "sex": r.choice(["male", "female"], n), "port": r.choice(["S", "C", "Q"], n, p=[0.7, 0.25, 0.05]),
    "class": r.randint(1, 4, n), "deck": r.choice(["A", "B", "C", "D", "E"], n, p=[0.5, 0.3, 0.1, 0.06, 0.04]), "text": [" ".join(r.choice(["red", "green", "blue", "Straße"], 4)) for _ in range(n)]})
frame.loc[r.rand(n) < 0.1, "port"] = np.nan
frame.loc[r.rand(n) < 0.1, "age"] = np.nan
nones = frame[["port", "deck"]].astype(object).where(frame[["port", "deck"]].notna(), None)
as_categories = frame[["sex", "deck"]].astype("category")
yf = ((frame["sex"] == "female") ^ (frame["class"] > 2)).astype(int).to_numpy()
numbers = np.c_[r.randint(0, 5, n), r.choice([0.5, 1.5, np.nan], n)]
models = {}

def add(name, make, X, y=None, since=(0, 22)):
    if release >= since:
        models[name] = (make, X, y)

tree = lambda depth=3: DecisionTreeClassifier(max_depth=depth, random_state=0)
boosted = lambda init, **more: GradientBoostingClassifier(n_estimators=4, init=init, random_state=0, **more)

add("multi_pipeline", lambda: make_pipeline(StandardScaler(), MultiOutputClassifier(RandomForestClassifier(3, max_depth=3, random_state=0))), A, labels)
add("multi_inner_pipeline", lambda: MultiOutputClassifier(make_pipeline(StandardScaler(), LogisticRegression())), frame[["age", "class"]].fillna(3), labels)
add("multi_texts", lambda: MultiOutputClassifier(tree()), A, np.c_[y3, y3[::-1]])
add("multi_svr", lambda: MultiOutputRegressor(LinearRegression()), A, np.c_[z, z * 2, -z])
add("multi_hgb", lambda: MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=3)), M, np.c_[z, -z], (1, 0))
add("chain_pipeline", lambda: make_pipeline(MinMaxScaler(), ClassifierChain(LogisticRegression(), order=[1, 2, 0])), A, labels)
add("chain_forest", lambda: ClassifierChain(RandomForestClassifier(3, max_depth=3, random_state=0), cv=2, order="random", random_state=1), A, labels)
add("chain_reg", lambda: make_pipeline(StandardScaler(), RegressorChain(Ridge(), order=[2, 0, 1])), A, np.c_[z, z ** 2, -z])
add("chain_reg_tree", lambda: RegressorChain(DecisionTreeRegressor(max_depth=3)), A, np.c_[z, -z])
add("ovr_labels_svc", lambda: OneVsRestClassifier(LinearSVC(random_state=0)), A, labels)
add("ovr_labels_constant", lambda: OneVsRestClassifier(LogisticRegression()), A, np.c_[labels, np.ones(n, int), np.zeros(n, int)])
add("ovr_two_labels", lambda: OneVsRestClassifier(LogisticRegression()), A, labels[:, :2])
add("output_codes", lambda: make_pipeline(StandardScaler(), OutputCodeClassifier(SVC(), code_size=2, random_state=3)), A, odd)
add("mlp_labels", lambda: make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=20, random_state=0)), A, labels)
add("ridge_labels", lambda: make_pipeline(StandardScaler(), RidgeClassifier()), A, labels, (1, 1))
add("stack_final_boosting", lambda: StackingClassifier([("a", make_pipeline(StandardScaler(), LogisticRegression())), ("b", tree()), ("c", "drop")], final_estimator=GradientBoostingClassifier(n_estimators=4, random_state=0), passthrough=True, cv=2), A, y3)
add("stack_decision", lambda: StackingClassifier([("a", SVC(random_state=0)), ("b", RidgeClassifier())], stack_method="decision_function", cv=2), A, odd)
add("stack_prefit", lambda: StackingClassifier([("a", LogisticRegression().fit(A[:ROWS], y3[:ROWS])), ("b", tree().fit(A[:ROWS], y3[:ROWS]))], cv="prefit"), A, y3, (1, 1))
add("stack_of_stacks", lambda: StackingRegressor([("a", StackingRegressor([("x", Ridge()), ("y", DecisionTreeRegressor(max_depth=2))], final_estimator=Ridge(), cv=2)), ("b", Lasso(0.01))], cv=2), A, z)
add("vote_of_votes", lambda: VotingClassifier([("a", VotingClassifier([("x", tree()), ("y", GaussianNB())], voting="soft")), ("b", LogisticRegression()), ("c", "drop")], voting="soft", weights=[1, 2, 3]), A, y3)
add("vote_hard_odd", lambda: VotingClassifier([("a", tree()), ("b", RidgeClassifier()), ("c", Perceptron(random_state=0))]), A, odd)
add("bagging_pipelines", lambda: BaggingClassifier(make_pipeline(StandardScaler(), LogisticRegression()), n_estimators=3, max_features=3, random_state=0), A, odd)
add("bagging_boosting", lambda: BaggingRegressor(GradientBoostingRegressor(n_estimators=3, random_state=0), n_estimators=3, random_state=0), A, z)
add("bagging_knn_perceptron", lambda: BaggingClassifier(Perceptron(random_state=0), n_estimators=3, random_state=0), A, y3)
add("ada_logistic", lambda: AdaBoostClassifier(LogisticRegression(), n_estimators=3, random_state=0), A, odd)
add("calibrated_forest_iso", lambda: CalibratedClassifierCV(RandomForestClassifier(4, max_depth=3, random_state=0), method="isotonic", cv=2), A, y3)
add("calibrated_svc", lambda: CalibratedClassifierCV(LinearSVC(random_state=0), cv=2), A, odd)
add("calibrated_pipeline", lambda: CalibratedClassifierCV(make_pipeline(StandardScaler(), tree()), cv=2), A, y2)
add("calibrated_prefit", lambda: CalibratedClassifierCV(tree().fit(A[:ROWS], y3[:ROWS]), cv="prefit"), A, y3)
add("calibrated_temperature", lambda: CalibratedClassifierCV(RandomForestClassifier(4, max_depth=3, random_state=0), method="temperature", cv=2), A, y3, (1, 8))
add("calibrated_temperature_svc", lambda: CalibratedClassifierCV(LinearSVC(random_state=0), method="temperature", cv=2), A, y3, (1, 8))
add("self_training", lambda: SelfTrainingClassifier(tree(2), threshold=0.6), A, np.where(r.rand(n) < 0.3, -1, y2), (0, 24))
add("boosted_forest", lambda: boosted(RandomForestClassifier(3, max_depth=2, random_state=0)), A, y3)
add("boosted_pipeline", lambda: boosted(make_pipeline(StandardScaler(), LogisticRegression())), A, y2)
add("boosted_dummy", lambda: boosted(DummyClassifier(strategy="most_frequent")), A, y3)
add("boosted_reg_forest", lambda: GradientBoostingRegressor(n_estimators=4, init=RandomForestRegressor(3, max_depth=2, random_state=0), random_state=0), A, z)
add("boosted_zero", lambda: GradientBoostingRegressor(n_estimators=4, init="zero", random_state=0), A, z)
add("from_pipeline", lambda: make_pipeline(SelectFromModel(Pipeline([("s", StandardScaler()), ("m", RandomForestClassifier(5, random_state=0, max_depth=3))]), importance_getter="named_steps.m.feature_importances_"), LogisticRegression()), A, y2, (0, 24))
add("from_extra", lambda: make_pipeline(SelectFromModel(ExtraTreesClassifier(6, max_depth=4, random_state=0), threshold="mean"), tree()), A, y3)
add("from_prefit", lambda: SelectFromModel(LogisticRegression().fit(A[:ROWS], y2[:ROWS]), prefit=True, threshold=0.5), A, y2)
add("rfe_forest", lambda: RFE(RandomForestClassifier(3, max_depth=3, random_state=0), n_features_to_select=3), A, y3)
add("rfecv_reg", lambda: RFECV(Ridge(), cv=2), A, z)
add("sequential", lambda: make_pipeline(SequentialFeatureSelector(Ridge(), n_features_to_select=2, direction="backward", cv=2), Ridge()), A, z, (0, 24))
add("univariate", lambda: GenericUnivariateSelect(mode="k_best", param=3), A, y3)
add("percentile", lambda: GenericUnivariateSelect(mode="percentile", param=60), A, y3)

frames = [("age", make_pipeline(IterativeImputer(max_iter=2, random_state=0), StandardScaler()), ["age", "class"]), ("cat", OneHotEncoder(handle_unknown="ignore"), ["sex", "deck"]), ("text", TfidfVectorizer(), "text")]
add("frame_all", lambda: make_pipeline(ColumnTransformer(frames), LogisticRegression()), frame, yf)
add("frame_svd", lambda: make_pipeline(ColumnTransformer([("t", make_pipeline(CountVectorizer(ngram_range=(1, 2)), TruncatedSVD(3, random_state=0)), "text"), ("n", SimpleImputer(), ["age"])]), RandomForestClassifier(4, max_depth=3, random_state=0)), frame, yf)
add("frame_grid", lambda: GridSearchCV(make_pipeline(ColumnTransformer(frames), tree()), {"decisiontreeclassifier__max_depth": [2, 3]}, cv=2), frame, np.array(["no", "yes"])[yf])
add("frame_text_forest", lambda: make_pipeline(ColumnTransformer([("t", HashingVectorizer(n_features=2 ** 12), "text"), ("k", KBinsDiscretizer(3), ["class"])]), ExtraTreesClassifier(4, max_depth=4, random_state=0)), frame, yf)
add("frame_knn_imputer", lambda: make_pipeline(ColumnTransformer([("k", KNNImputer(n_neighbors=4, add_indicator=True), ["age", "class"])], remainder="drop"), LogisticRegression()), frame, yf)
add("hot_nan", lambda: OneHotEncoder(handle_unknown="ignore"), frame[["port", "deck"]].astype(object), None, (0, 24))
add("hot_none", lambda: OneHotEncoder(), nones, None, (0, 24))
add("hot_numbers_nan", lambda: OneHotEncoder(handle_unknown="ignore"), numbers, None, (0, 24))
add("hot_categories", lambda: OneHotEncoder(drop="first"), as_categories)
add("hot_drop_array", lambda: OneHotEncoder(drop=["female", "B"]), frame[["sex", "deck"]])
add("hot_mixed", lambda: OneHotEncoder(drop="if_binary"), frame[["sex", "class", "deck"]])
add("hot_dense", lambda: OneHotEncoder(**{"sparse_output" if release >= (1, 2) else "sparse": False, "categories": [["male", "female"], list("EDCBA")]}), frame[["sex", "deck"]])
add("hot_share", lambda: OneHotEncoder(min_frequency=0.12, handle_unknown="infrequent_if_exist"), frame[["deck", "sex"]], None, (1, 1))
add("hot_share_drop", lambda: OneHotEncoder(max_categories=3, drop="first"), frame[["deck", "sex"]], None, (1, 1))
add("hot_share_nan", lambda: OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"), frame[["port", "deck"]].astype(object), None, (1, 1))
add("hot_warn", lambda: OneHotEncoder(min_frequency=20, handle_unknown="warn"), frame[["deck"]], None, (1, 6))
add("ordinal_nan", lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **({"encoded_missing_value": -2} if release >= (1, 1) else {})), frame[["port", "deck"]].astype(object), None, (1, 0))
add("ordinal_categories", lambda: OrdinalEncoder(categories=[["male", "female"], list("EDCBA")]), frame[["sex", "deck"]])
add("ordinal_share", lambda: OrdinalEncoder(min_frequency=0.12, handle_unknown="use_encoded_value", unknown_value=99), frame[["deck", "sex"]], None, (1, 3))
add("target_auto", lambda: TargetEncoder(random_state=0), frame[["deck", "port", "class"]].astype(object), z, (1, 3))
add("target_texts", lambda: make_pipeline(TargetEncoder(random_state=0, smooth=2.0), LogisticRegression()), frame[["deck", "sex"]], y3, (1, 4))
add("target_binary", lambda: TargetEncoder(random_state=0, categories=[list("ABCDE")]), frame[["deck"]], np.array(["no", "yes"])[yf], (1, 3))
add("bins_quantile", lambda: KBinsDiscretizer(5, encode="ordinal", strategy="quantile"), A)
add("bins_few", lambda: make_pipeline(KBinsDiscretizer([3, 4, 2, 5, 2]), LogisticRegression()), A, y3)
add("knn_imputer_empty", lambda: KNNImputer(n_neighbors=3), constant)
add("knn_imputer_number", lambda: KNNImputer(missing_values=-1), np.where(np.isnan(M), -1, M))
add("knn_imputer_keep", lambda: KNNImputer(keep_empty_features=True, add_indicator=True), constant, None, (1, 2))
add("iterative_empty", lambda: IterativeImputer(random_state=0, max_iter=3), constant)
add("iterative_keep", lambda: IterativeImputer(random_state=0, max_iter=3, keep_empty_features=True), constant, None, (1, 2))
add("iterative_constant", lambda: IterativeImputer(random_state=0, max_iter=3, initial_strategy="constant", fill_value=0.5), M, None, (1, 3))
add("iterative_forest", lambda: make_pipeline(IterativeImputer(ExtraTreesRegressor(3, max_depth=3, random_state=0), max_iter=2, imputation_order="descending", random_state=0), Ridge()), M, z)
add("iterative_number", lambda: IterativeImputer(missing_values=-1, random_state=0, max_iter=2, min_value=0), np.where(np.isnan(M), -1, np.abs(M)))
add("indicator_strict", lambda: make_union(SimpleImputer(), MissingIndicator()), M)
add("dummy_frame", lambda: make_pipeline(StandardScaler(), DummyClassifier(strategy="prior")), A, y3)
add("dummy_reg", lambda: make_pipeline(StandardScaler(), DummyRegressor(strategy="quantile", quantile=0.3)), A, np.c_[z, -z])
add("target_chain", lambda: TransformedTargetRegressor(make_pipeline(StandardScaler(), Ridge()), func=np.log, inverse_func=np.exp), A, np.abs(z) + 1)
add("target_quantile", lambda: TransformedTargetRegressor(Ridge(), transformer=MinMaxScaler()), A, z)
add("union_functions", lambda: make_pipeline(make_union(FunctionTransformer(np.abs), FunctionTransformer(np.square), FunctionTransformer()), StandardScaler(), PCA(3), Ridge()), A, z)

def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    value = value.toarray() if sparse.issparse(value) else np.asarray(value)
    return cells(value.tolist())

def cells(value):
    if isinstance(value, list):
        return [cells(item) for item in value]
    return None if value is None or (isinstance(value, float) and value != value) else value

def main():
    folder = os.path.join(sys.argv[1], "sklearn", ".".join(sklearn.__version__.split(".")[:3]))
    os.makedirs(folder, exist_ok=True)
    done = 0
    for name, (make, X, y) in models.items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        train, test = (X.iloc[:ROWS], X.iloc[ROWS:]) if hasattr(X, "iloc") else (X[:ROWS], X[ROWS:])
        try:
            model = make()
            model.fit(train) if y is None else model.fit(train, y[:ROWS])
            out = {"class": type(model).__name__, "X": cells((test.to_numpy(dtype=object) if hasattr(test, "to_numpy") else test).tolist())}
            if hasattr(test, "columns"):
                out["columns"] = list(test.columns)
            for method in ("predict", "predict_proba", "decision_function", "transform"):
                try:
                    out[method] = plain(getattr(model, method)(test))
                except (AttributeError, NotImplementedError):
                    continue
        except Exception as error:
            print(sklearn.__version__, name, "left out:", type(error).__name__, str(error).split("\n")[0][:120])
            continue
        with open(os.path.join(folder, name + ".pkl"), "wb") as file:
            pickle.dump(model, file, protocol=2 + done % 4)
        with open(os.path.join(folder, name + ".json"), "w") as file:
            json.dump(out, file)
        done += 1
    print(sklearn.__version__, done, "models")

main()
