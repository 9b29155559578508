"""Models of scikit-learn as people save them, with a request and the library's answers, for test/sklearn-journey.spec.ts.

    pip install "scikit-learn==1.5.2" "numpy<2.3" pandas joblib skops lz4 cloudpickle
    python test/make/journey-models.py FOLDER

Writes FOLDER/NAME.SUFFIX, and NAME.json: inputs and outputs as tensors of the Open Inference Protocol V2.
"""
import json
import pickle
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(5)


def tensor(name, values):
    values = np.asarray(values)
    if values.dtype.kind in "OU":
        datatype, data = "BYTES", [None if value is None or value != value else str(value) for value in values.ravel()]
    else:
        datatype = {"f": "FP64", "i": "INT64", "b": "BOOL"}[values.dtype.kind]
        data = [None if value != value else value for value in values.ravel().tolist()]
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": data}


def answers(name, model, X):
    columns = X.columns if isinstance(X, pd.DataFrame) else None
    inputs = [tensor("X", X)] if columns is None else [tensor(column, X[column].to_numpy()) for column in columns]
    methods = ["predict", "predict_proba", "decision_function", "transform"]
    outputs = [tensor(method, getattr(model, method)(X)) for method in methods if hasattr(model, method)]
    (folder / f"{name}.json").write_text(json.dumps({"inputs": inputs, "outputs": outputs}, ensure_ascii=False) + "\n")


def passengers(count):
    frame = pd.DataFrame({
        "age": random.integers(1, 80, count).astype(float),
        "fare": random.gamma(2, 20, count).round(2),
        "sex": random.choice(["female", "male"], count),
        "port": random.choice(["Southampton", "Cherbourg", "Åland"], count),
        "ticket": [f"T{i}" for i in range(count)],
    })
    survived = (frame["sex"] == "female") ^ (frame["fare"] > 70) ^ (random.random(count) < 0.1)
    frame.loc[random.random(count) < 0.15, "age"] = np.nan
    frame.loc[random.random(count) < 0.1, "port"] = np.nan
    return frame, np.where(survived, "überlebt", "gestorben")


# A pipeline of a data frame: numbers and texts, missing values in both, a column that is dropped, labels that are texts.
train, outcome = passengers(150)
rows, _ = passengers(12)
numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
ports = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
columns = ColumnTransformer([
    ("numbers", numbers, ["age", "fare"]),
    ("sex", OrdinalEncoder(), ["sex"]),
    ("port", ports, ["port"]),
])
titanic = make_pipeline(columns, LogisticRegression(C=3)).fit(train, outcome)
answers("titanic", titanic, rows)
for protocol in (2, 5):
    (folder / f"titanic.p{protocol}.pkl").write_bytes(pickle.dumps(titanic, protocol))
joblib.dump(titanic, folder / "titanic.joblib")
for method in ("zlib", "gzip", "bz2", "lzma", "xz", "lz4"):
    joblib.dump(titanic, folder / f"titanic.{method}.joblib", compress=(method, 3))
skops.io.dump(titanic, folder / "titanic.skops", compression=ZIP_DEFLATED, compresslevel=9)

# A forest of columns that are all numbers; labels are integers.
A = pd.DataFrame(random.normal(size=(120, 3)).round(3), columns=["width", "length", "height"])
y = (A["width"] + A["height"] > 0).astype(int).to_numpy() * 10 + (A["length"] > 1)
forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(A, y)
answers("boxes", forest, A.head(12))
(folder / "boxes.pkl").write_bytes(pickle.dumps(forest))

# Texts, a regression that refuses missing values and one that takes them, and a transformer alone.
words = ["good", "bad", "cheap", "broken", "great", "never"]
texts = np.array([" ".join(random.choice(words, 5)) for _ in range(60)], dtype=object)
opinions = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["good" in text for text in texts])
answers("opinions", opinions, texts[:12])
(folder / "opinions.pkl").write_bytes(pickle.dumps(opinions))
B = A.to_numpy()
z = B @ [1, -2, 0.5] + random.normal(0, 0.1, 120)
ridge = Ridge().fit(B, z)
answers("ridge", ridge, B[:12])
(folder / "ridge.pkl").write_bytes(pickle.dumps(ridge))
M = B.copy()
M[random.random(M.shape) < 0.2] = np.nan
boosted = HistGradientBoostingRegressor(max_iter=5, max_leaf_nodes=5).fit(M, z)
answers("boosted", boosted, M[:12])
joblib.dump(boosted, folder / "boosted.joblib", compress=3)
pca = make_pipeline(StandardScaler(), PCA(2)).fit(B)
answers("pca", pca, B[:12])
(folder / "pca.pkl").write_bytes(pickle.dumps(pca))


# Code of their author, which nothing here runs.
def add_length(X):
    return np.c_[X, np.hypot(X[:, 0], X[:, 1])]


class Clipper(BaseEstimator, TransformerMixin):
    def fit(self, X, y=None):
        self.limit_ = np.abs(X).max()
        return self

    def transform(self, X):
        return np.clip(X, -self.limit_, self.limit_)


(folder / "function.pkl").write_bytes(pickle.dumps(make_pipeline(FunctionTransformer(add_length), Ridge()).fit(B, z)))
(folder / "class.pkl").write_bytes(pickle.dumps(make_pipeline(Clipper(), Ridge()).fit(B, z)))
shouting = make_pipeline(FunctionTransformer(lambda X: X * 2), Ridge()).fit(B, z)
(folder / "lambda.pkl").write_bytes(cloudpickle.dumps(shouting))
