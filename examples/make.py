"""Trains the example models and writes them with inputs and the answers of the libraries that trained them.

    pip install scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.31.1 xgboost==3.2.0 lightgbm==4.7.0
    python examples/make.py

Seeds are fixed, the data sets ship inside scikit-learn. Libraries promise no identical trees on every machine, so a
model and its expected answers are always written together.
"""

import hashlib
import json
import re
from pathlib import Path

import lightgbm as lgb
import numpy as np
import onnxruntime as ort
import sklearn
import xgboost as xgb
from onnx.helper import make_opsetid
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
ROWS = 5


def tensor(name, datatype, array):
    # The shortest decimals that read back to the same float32 or float64.
    data = [json.loads(str(v)) if v == v else None for v in np.asarray(array).ravel()]
    return {"name": name, "datatype": datatype, "shape": list(np.shape(array)), "data": data}


def dataset(name, X, y):
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes() + np.ascontiguousarray(y).tobytes()).hexdigest()
    source = f"sklearn.datasets.load_{name} (scikit-learn {sklearn.__version__})"
    return {"name": name, "digest": f"sha256:{digest}", "source": source}


def folder(model, version):
    path = HERE / model / str(version)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(model, version, file, *, inputs, expected, rtol, atol=0, metrics, params, description, data):
    lineage = {"datasets": [data]}
    if version > 1:
        lineage["parents"] = [{"model": model, "version": version - 1}]
    example = {
        "file": file,
        "description": description,
        "metrics": {key: round(float(value), 4) for key, value in metrics.items()},
        "params": {key: str(value) for key, value in params.items()},
        "tags": {"example": "slipway"},
        "lineage": lineage,
        "inputExample": {"inputs": inputs, "expected": expected, "tolerance": {"rtol": rtol, "atol": atol}},
    }
    text = json.dumps(example, indent=2)
    # Arrays of numbers in one line.
    text = re.sub(r"\[[-\d\s.,enul]*\]", lambda match: re.sub(r"\s+", " ", match[0]), text)
    (folder(model, version) / "example.json").write_text(text + "\n")


def iris():
    """An ONNX graph: a scaler and a logistic regression."""
    X, y = load_iris(return_X_y=True)
    X = X.astype(np.float32)
    train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.3, random_state=7, stratify=y)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, random_state=7)).fit(train_X, train_y)
    options = {id(model): {"zipmap": False}}
    graph = to_onnx(model, [("x", _float_rows(4))], options=options, target_opset=17)
    graph.doc_string = "Species of iris flowers"
    # skl2onnx 1.20 lists the standard operator set twice.
    opsets = {opset.domain: opset.version for opset in graph.opset_import}
    del graph.opset_import[:]
    graph.opset_import.extend(make_opsetid(domain, version) for domain, version in sorted(opsets.items()))
    (folder("iris", 1) / "model.onnx").write_bytes(graph.SerializeToString())

    rows = test_X[:ROWS]
    label, probabilities = ort.InferenceSession(graph.SerializeToString()).run(None, {"x": rows})
    assert (label == model.predict(rows)).all()
    write(
        "iris", 1, "model.onnx",
        inputs=[tensor("x", "FP32", rows)],
        expected=[tensor("label", "INT64", label), tensor("probabilities", "FP32", probabilities)],
        rtol=1e-5,
        atol=1e-6,
        metrics={"accuracy": accuracy_score(test_y, model.predict(test_X))},
        params={"C": 10.0, "scaler": "standard", "solver": "lbfgs"},
        description="Species of an iris (0 setosa, 1 versicolor, 2 virginica) from sepal length, sepal width, petal length and petal width in cm.",
        data=dataset("iris", X, y),
    )


def _float_rows(features):
    from skl2onnx.common.data_types import FloatTensorType

    return FloatTensorType([None, features])


def tumour():
    """Two versions of an XGBoost classifier; the second is the better one."""
    X, y = load_breast_cancer(return_X_y=True)
    X = X.astype(np.float32)
    train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.3, random_state=7, stratify=y)
    settings = [
        {"max_depth": 2, "eta": 0.3, "rounds": 4},
        {"max_depth": 4, "eta": 0.3, "rounds": 30},
    ]
    for version, params in enumerate(settings, start=1):
        rounds = params["rounds"]
        learner = {"objective": "binary:logistic", "max_depth": params["max_depth"], "eta": params["eta"], "seed": 7}
        booster = xgb.train(learner, xgb.DMatrix(train_X, train_y), num_boost_round=rounds)
        booster.save_model(folder("tumour", version) / "model.json")
        scores = booster.predict(xgb.DMatrix(test_X))
        rows = test_X[:ROWS].copy()
        rows[1, 3] = np.nan  # a missing value takes each tree's default branch
        write(
            "tumour", version, "model.json",
            inputs=[tensor("X", "FP32", rows)],
            expected=[tensor("predict", "FP32", booster.predict(xgb.DMatrix(rows)))],
            rtol=1e-6,
            metrics={"auc": roc_auc_score(test_y, scores), "accuracy": accuracy_score(test_y, scores > 0.5)},
            params=params,
            description="Probability that a breast tumour is benign, from 30 measurements of cell nuclei.",
            data=dataset("breast_cancer", X, y),
        )


def progression():
    """A LightGBM regressor in its text format."""
    X, y = load_diabetes(return_X_y=True)
    train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.3, random_state=7)
    params = {"objective": "regression", "num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 10}
    fixed = {"seed": 7, "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1}
    booster = lgb.train({**params, **fixed}, lgb.Dataset(train_X, train_y), num_boost_round=40)
    booster.save_model(folder("progression", 1) / "model.txt")
    rows = test_X[:ROWS]
    write(
        "progression", 1, "model.txt",
        inputs=[tensor("X", "FP64", rows)],
        expected=[tensor("predict", "FP64", booster.predict(rows))],
        rtol=1e-9,
        metrics={
            "r2": r2_score(test_y, booster.predict(test_X)),
            "mae": mean_absolute_error(test_y, booster.predict(test_X)),
        },
        params={**params, "rounds": 40},
        description="Progression of diabetes one year after baseline, from age, sex, body mass index, blood pressure and six blood measurements (centred and scaled).",
        data=dataset("diabetes", X, y),
    )


if __name__ == "__main__":
    iris()
    tumour()
    progression()
