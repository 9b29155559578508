"""Models of every library and the libraries' own predictors, for bench/formats.ts: one JSON line in, one JSON line out.

{"list": true}                          -> {"models": [names], "versions": {...}}
{"train": name, "folder": path}         -> {"file": path, "format": ..., "rows": path of raw numbers, "dtype": ..., "features": n,
                                            "output": what of the program "predict" answers, "ways": {name: goals}, "onnx": path or null}
{"predict": count}                      -> {"answer": base64 of float64, what the first way says of the first rows}
{"way": name, "rows": count, "milliseconds": n} -> {"microseconds": processor time of one call}

All on one thread. Arrays are made outside of what is timed. A way is a function from rows to a function without arguments, or
to None where it does not take so many rows.
"""

import base64
import ctypes
import json
import os
import sys
import time
import warnings

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
warnings.filterwarnings("ignore")

import joblib
import numpy

ROWS = 20_000
FEATURES = 20
TRAINED = 4_000

random = numpy.random.RandomState(11)
plain = numpy.round(random.randn(ROWS, FEATURES), 3)
# The first columns of this one hold categories.
mixed = plain.copy()
mixed[:, :4] = random.randint(0, 40, size=(ROWS, 4))
score = numpy.sin(plain * 3).sum(axis=1) + plain[:, 0] * plain[:, 1]
mixed_score = score + numpy.sin(mixed[:, 0] * 7.7) * 4 + numpy.cos(mixed[:, 1] * 3.3) * 3


def classes(values, count):
    """Equally large classes of numbers."""
    return numpy.digitize(values, numpy.quantile(values, numpy.arange(1, count) / count))


binary, three, five = (classes(score, count) for count in (2, 3, 5))
mixed_binary = classes(mixed_score, 2)

TREES = {1: 5, 10_000: 1}
BOOSTED = {1: 5, 10_000: 1}
SINGLE_ROW = {1: 1}
CATBOOST = {1: 5, 10_000: 0.5}
DENSE = {1: 0.5, 100: 0.5, 10_000: 0.5}


def xgboost_model(table=plain, labels=binary, features=None, **options):
    def make(path):
        import xgboost

        given = dict(nthread=1, seed=3, max_depth=6, eta=0.2, tree_method="hist", **options)
        rounds = given.pop("rounds", 100)
        narrow = table.astype(numpy.float32)
        kinds = None if features is None else ["c"] * features + ["q"] * (FEATURES - features)
        matrix = lambda rows: xgboost.DMatrix(rows, feature_types=kinds, enable_categorical=kinds is not None, nthread=1)
        train = matrix(narrow[:TRAINED])
        train.set_label(labels[:TRAINED])
        booster = xgboost.train(given, train, rounds)
        booster.set_param({"nthread": 1})
        booster.save_model(path + ".json")

        def inplace(rows):
            return lambda: booster.inplace_predict(rows, predict_type="margin", validate_features=False)

        def of_matrix(rows):
            """A DMatrix keeps the predictions that were made of it, so each is asked once."""
            made = iter(())

            def call():
                return booster.predict(next(made, None), output_margin=True)

            def prepare():
                nonlocal made
                made = iter([matrix(rows)])

            call.prepare = prepare
            return call

        ways = {"XGBoost predict": (of_matrix, BOOSTED)}
        if kinds is None:
            ways = {"XGBoost inplace_predict": (inplace, BOOSTED), **ways}
        onnx = onnx_of_booster(path, booster, "xgboost") if kinds is None and labels.ndim == 1 else None
        return dict(file=path + ".json", format="xgboost", rows=narrow, output="margin", ways=ways, onnx=onnx)

    return make


def lightgbm_model(table=plain, labels=binary, categories=None, **options):
    def make(path):
        import lightgbm

        given = dict(num_threads=1, verbose=-1, seed=3, num_leaves=63, learning_rate=0.1, **options)
        rounds = given.pop("rounds", 100)
        train = lightgbm.Dataset(table[:TRAINED], labels[:TRAINED], categorical_feature=categories or "auto", free_raw_data=False)
        booster = lightgbm.train(given, train, rounds)
        booster.save_model(path + ".txt")
        booster = lightgbm.Booster(model_file=path + ".txt")
        predict = lambda rows: lambda: booster.predict(rows, raw_score=True, num_threads=1)
        ways = {
            "LightGBM predict": (predict, BOOSTED),
            "LightGBM C API": (lightgbm_rows(lightgbm, booster), BOOSTED),
            "LightGBM C API, single row fast": (lightgbm_row(lightgbm, booster), SINGLE_ROW),
        }
        onnx = onnx_of_booster(path, booster, "lightgbm") if categories is None else None
        return dict(file=path + ".txt", format="lightgbm", rows=table, output="margin", ways=ways, onnx=onnx)

    return make


def lightgbm_rows(lightgbm, booster):
    """The C API, with all that Python does about it done before."""

    def way(rows):
        length, out = ctypes.c_int64(), numpy.zeros(len(rows) * booster.num_model_per_iteration())
        call = lightgbm.basic._LIB.LGBM_BoosterPredictForMat
        given = (
            booster._handle, rows.ctypes.data_as(ctypes.c_void_p), ctypes.c_int(1), ctypes.c_int32(len(rows)),
            ctypes.c_int32(rows.shape[1]), ctypes.c_int(1), ctypes.c_int(1), ctypes.c_int(0), ctypes.c_int(-1),
            ctypes.c_char_p(b"num_threads=1"), ctypes.byref(length), out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )

        def once():
            call(*given)
            return out

        once.keep = (rows, booster)
        return once

    return way


def lightgbm_row(lightgbm, booster):
    def way(rows):
        if len(rows) != 1:
            return None
        config = ctypes.c_void_p()
        raw, double = ctypes.c_int(1), ctypes.c_int(1)
        lightgbm.basic._safe_call(
            lightgbm.basic._LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle, raw, ctypes.c_int(0), ctypes.c_int(-1), double,
                ctypes.c_int32(rows.shape[1]), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(config),
            )
        )
        length, out = ctypes.c_int64(), numpy.zeros(booster.num_model_per_iteration())
        given = (config, rows.ctypes.data_as(ctypes.c_void_p), ctypes.byref(length), out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
        call = lightgbm.basic._LIB.LGBM_BoosterPredictForMatSingleRowFast

        def once():
            call(*given)
            return out

        once.keep = (rows, booster)
        return once

    return way


def onnx_of_booster(path, booster, library):
    """The same model as ONNX, or None where the converter is not there or does not know it."""
    try:
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType

        convert = getattr(onnxmltools, "convert_" + library)
        options = dict(initial_types=[("X", FloatTensorType([None, FEATURES]))], target_opset=15)
        if library == "lightgbm":
            options["zipmap"] = False
        made = convert(booster, **options)
    except Exception as error:  # a converter fails in many ways
        print(f"no ONNX of {os.path.basename(path)}: {str(error)[:200]}", file=sys.stderr)
        return None
    with open(path + ".onnx", "wb") as file:
        file.write(made.SerializeToString())
    return path + ".onnx"


def onnx_of_estimator(path, estimator):
    try:
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType

        options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
        made = skl2onnx.convert_sklearn(
            estimator, initial_types=[("X", FloatTensorType([None, FEATURES]))], target_opset=15, options={id(estimator): options}
        )
    except Exception as error:
        print(f"no ONNX of {os.path.basename(path)}: {str(error)[:200]}", file=sys.stderr)
        return None
    with open(path + ".onnx", "wb") as file:
        file.write(made.SerializeToString())
    return path + ".onnx"


def catboost_model(**options):
    def make(path):
        import catboost

        given = dict(thread_count=1, random_seed=1, learning_rate=0.1, allow_writing_files=False, logging_level="Silent", **options)
        labels = given.pop("labels", binary)
        narrow = plain.astype(numpy.float32)
        model = catboost.CatBoost(given).fit(narrow[:TRAINED], labels[:TRAINED])
        model.save_model(path + ".cbm")
        predict = lambda rows: lambda: model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)
        return dict(file=path + ".cbm", format="catboost", rows=narrow, output="margin", ways={"CatBoost predict": (predict, CATBOOST)})

    return make


def sklearn_model(build, labels=three, table=plain, method="predict_proba", by_hand=None, goals=TREES, trained=TRAINED, onnx=True):
    """`by_hand(estimator)`: the same in numpy alone, a function of rows."""

    def make(path):
        estimator = build()
        estimator.fit(table[:trained], labels[:trained])
        joblib.dump(estimator, path + ".joblib")
        call = getattr(estimator, method)
        ways = {"scikit-learn " + method: (lambda rows: lambda: call(rows), goals)}
        if by_hand is not None:
            ways = {**ways, "numpy": ((lambda compute: lambda rows: lambda: compute(rows))(by_hand(estimator)), DENSE)}
        return dict(file=path + ".joblib", format="sklearn", rows=table, output=method, ways=ways,
                    onnx=onnx_of_estimator(path, estimator) if onnx else None)

    return make


def treelite_model(build):
    """GTIL, Treelite's own interpreter."""

    def make(path):
        import treelite
        from treelite import gtil

        model, rows = build(treelite, path)
        model.serialize(path + ".tl")
        predict = lambda rows: lambda: gtil.predict(model, rows, nthread=1, pred_margin=True)
        return dict(file=path + ".tl", format="treelite", rows=rows, output="margin", ways={"GTIL": (predict, TREES)})

    return make


def treelite_of_xgboost(treelite, path):
    made = xgboost_model(objective="binary:logistic")(path)
    return treelite.frontend.load_xgboost_model(made["file"]), plain.astype(numpy.float32)


def treelite_of_lightgbm(treelite, path):
    made = lightgbm_model(objective="binary")(path)
    return treelite.frontend.load_lightgbm_model(made["file"]), plain


def network(estimator):
    """The answer of a multi-layer perceptron with tanh or relu, in numpy."""
    layers = list(zip(estimator.coefs_, estimator.intercepts_))

    def compute(rows):
        for i, (weights, intercept) in enumerate(layers):
            rows = rows @ weights
            rows += intercept
            if i < len(layers) - 1:
                if estimator.activation == "relu":
                    numpy.maximum(rows, 0, out=rows)
                else:
                    numpy.tanh(rows, out=rows)
        return softmax(rows)

    return compute


def softmax(rows):
    rows = numpy.exp(rows - rows.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def in_blocks(compute):
    """Matrices of distances of 10,000 rows to thousands of points would not fit the cache: 256 rows at once."""
    return lambda rows: numpy.concatenate([compute(rows[i : i + 256]) for i in range(0, len(rows), 256)])


def squared_distances(rows, points, norms):
    distances = rows @ points.T
    distances *= -2
    distances += norms
    distances += (rows * rows).sum(axis=1)[:, None]
    return distances


def neighbours(estimator):
    points, labels, count = estimator._fit_X, estimator._y, estimator.n_neighbors
    norms = (points * points).sum(axis=1)
    kinds = numpy.arange(len(estimator.classes_))

    @in_blocks
    def compute(rows):
        nearest = numpy.argpartition(squared_distances(rows, points, norms), count - 1, axis=1)[:, :count]
        return (labels[nearest][:, :, None] == kinds).mean(axis=1)

    return compute


def vectors(estimator):
    """Scores of a support vector machine for two classes with an RBF kernel."""
    points, dual, intercept, gamma = estimator.support_vectors_, estimator.dual_coef_[0], estimator.intercept_[0], estimator._gamma
    norms = (points * points).sum(axis=1)

    @in_blocks
    def compute(rows):
        distances = squared_distances(rows, points, norms)
        distances *= -gamma
        return numpy.exp(distances, out=distances) @ dual + intercept

    return compute


def gaussian(estimator):
    points, alpha = estimator.X_train_, estimator.alpha_
    scale = estimator.kernel_.k1.constant_value
    length = estimator.kernel_.k2.length_scale
    norms = (points * points).sum(axis=1)

    @in_blocks
    def compute(rows):
        distances = squared_distances(rows, points, norms)
        distances *= -0.5 / length**2
        return (numpy.exp(distances, out=distances) * scale) @ alpha * estimator._y_train_std + estimator._y_train_mean

    return compute


def linear(estimator):
    weights, intercept = estimator.coef_.T.copy(), estimator.intercept_
    return lambda rows: softmax(rows @ weights + intercept)


def clusters(estimator):
    points = estimator.cluster_centers_
    norms = (points * points).sum(axis=1)
    return in_blocks(lambda rows: numpy.sqrt(squared_distances(rows, points, norms)))


def components(estimator):
    weights, mean = estimator.components_.T.copy(), estimator.mean_
    return lambda rows: (rows - mean) @ weights


def estimators():
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        ExtraTreesRegressor, GradientBoostingClassifier, HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    multi = numpy.column_stack([score, mixed_score, plain[:, 2]])
    return {
        "sklearn random forest, 3 classes": sklearn_model(lambda: RandomForestClassifier(100, random_state=1)),
        "sklearn random forest, 2 classes": sklearn_model(lambda: RandomForestClassifier(100, random_state=1), binary),
        "sklearn random forest regressor": sklearn_model(lambda: RandomForestRegressor(100, random_state=1), score, method="predict"),
        "sklearn extra trees, 3 outputs": sklearn_model(lambda: ExtraTreesRegressor(100, max_depth=10, random_state=1), multi, method="predict"),
        "sklearn gradient boosting": sklearn_model(lambda: GradientBoostingClassifier(n_estimators=200, max_depth=5, random_state=1), binary),
        "sklearn histogram boosting": sklearn_model(lambda: HistGradientBoostingClassifier(max_iter=100, random_state=1), binary),
        "sklearn histogram boosting, categories": sklearn_model(
            lambda: HistGradientBoostingClassifier(max_iter=100, random_state=1, categorical_features=[0, 1, 2, 3]), mixed_binary, mixed, onnx=False
        ),
        "sklearn isolation forest": sklearn_model(lambda: IsolationForest(n_estimators=100, random_state=1), binary, method="score_samples"),
        "sklearn decision tree": sklearn_model(lambda: DecisionTreeClassifier(random_state=1)),
        "sklearn logistic regression": sklearn_model(LogisticRegression, by_hand=linear),
        "sklearn scaler and logistic regression": sklearn_model(lambda: make_pipeline(StandardScaler(), LogisticRegression())),
        "sklearn network 64, 64": sklearn_model(lambda: MLPClassifier((64, 64), max_iter=20, random_state=1), by_hand=network),
        "sklearn network 256, 256, tanh": sklearn_model(
            lambda: MLPClassifier((256, 256), activation="tanh", max_iter=5, random_state=1), by_hand=network
        ),
        "sklearn nearest neighbours, 2,000 points": sklearn_model(
            lambda: KNeighborsClassifier(5, algorithm="brute"), by_hand=neighbours, trained=2000
        ),
        "sklearn support vectors, RBF": sklearn_model(lambda: SVC(gamma=0.05), binary, method="decision_function", by_hand=vectors, trained=2000),
        "sklearn Gaussian process, 1,000 points": sklearn_model(
            lambda: GaussianProcessRegressor(ConstantKernel(1.0) * RBF(4.0), alpha=0.1, optimizer=None, normalize_y=True), score,
            method="predict", by_hand=gaussian, trained=1000,
        ),
        "sklearn k-means, 50 clusters": sklearn_model(lambda: KMeans(50, n_init=1, random_state=1), method="transform", by_hand=clusters),
        "sklearn principal components, 10 of 20": sklearn_model(lambda: PCA(10, random_state=1), method="transform", by_hand=components),
    }


BOOSTERS = {
    "xgboost 2 classes, 100 trees of depth 6": xgboost_model(objective="binary:logistic"),
    "xgboost 5 classes, 500 trees of depth 6": xgboost_model(labels=five, objective="multi:softprob", num_class=5),
    "xgboost vector leaves, 3 outputs": xgboost_model(
        labels=numpy.column_stack([score, mixed_score, plain[:, 2]]), objective="reg:squarederror", multi_strategy="multi_output_tree"
    ),
    "xgboost categories": xgboost_model(mixed, mixed_binary, 4, objective="binary:logistic"),
    "lightgbm 2 classes, 100 trees of 63 leaves": lightgbm_model(objective="binary"),
    "lightgbm 2 classes, 500 trees of 63 leaves": lightgbm_model(objective="binary", rounds=500),
    "lightgbm 5 classes, 500 trees of 63 leaves": lightgbm_model(labels=five, objective="multiclass", num_class=5),
    "lightgbm categories": lightgbm_model(mixed, mixed_binary, [0, 1, 2, 3], objective="binary"),
    "catboost 2 classes, 500 trees of depth 6": catboost_model(loss_function="Logloss", iterations=500, depth=6),
    "catboost 3 classes, 300 trees of depth 6": catboost_model(loss_function="MultiClass", iterations=300, depth=6, labels=three),
    "catboost lossguide, 200 trees": catboost_model(loss_function="Logloss", iterations=200, grow_policy="Lossguide", max_leaves=31),
    "treelite of xgboost": treelite_model(treelite_of_xgboost),
    "treelite of lightgbm": treelite_model(treelite_of_lightgbm),
}

MODELS = {**BOOSTERS, **estimators()}
current = {}


def train(request):
    global current
    try:
        return trained(request)
    except Exception as error:  # this model is left out, not the others
        return {"error": str(error)[:500]}


def trained(request):
    global current
    path = os.path.join(request["folder"], request["train"].replace(" ", "-").replace(",", ""))
    current = MODELS[request["train"]](path)
    rows = numpy.ascontiguousarray(current["rows"])
    rows.tofile(path + ".rows")
    return {
        "file": current["file"],
        "format": current["format"],
        "rows": path + ".rows",
        "dtype": "FP32" if rows.dtype == numpy.float32 else "FP64",
        "features": rows.shape[1],
        "output": current["output"],
        "ways": {name: goals for name, (_, goals) in current["ways"].items()},
        "onnx": current.get("onnx"),
    }


def first_rows(count, offset=0):
    return numpy.ascontiguousarray(current["rows"][offset : offset + count])


def predict(request):
    way, _ = next(iter(current["ways"].values()))
    call = way(first_rows(request["predict"]))
    getattr(call, "prepare", lambda: None)()
    answer = numpy.ascontiguousarray(call(), dtype=numpy.float64)
    return {"answer": base64.b64encode(answer.tobytes()).decode()}


def measure(request):
    """Goes through different rows, so that the processor cannot learn one by heart."""
    count = request["rows"]
    way, _ = current["ways"][request["way"]]
    calls = [way(first_rows(count, i * count)) for i in range(min(32, ROWS // count))]
    if calls[0] is None:
        return {"microseconds": None}
    used, done = 0.0, 0
    end = time.perf_counter() + request["milliseconds"] / 1000
    while time.perf_counter() < end or done == 0:
        for call in calls:
            getattr(call, "prepare", lambda: None)()
        begun = time.process_time()
        for call in calls:
            call()
        used += time.process_time() - begun
        done += len(calls)
    return {"microseconds": used / done * 1e6}


def versions():
    from importlib import metadata

    names = ["numpy", "scikit-learn", "xgboost", "lightgbm", "catboost", "treelite"]
    return {name: metadata.version(name) for name in names}


for line in sys.stdin:
    request = json.loads(line)
    if "list" in request:
        answer = {"models": list(MODELS), "versions": versions()}
    elif "train" in request:
        answer = train(request)
    else:
        answer = predict(request) if "predict" in request else measure(request)
    print(json.dumps(answer), flush=True)
