"""More CatBoost models than the fixtures, with CatBoost's own answers: python catboost-models.py OUT_FOLDER [MODELS [SEED]].

OUT_FOLDER/catboost/VERSION/NAME.{cbm,json,expected.json} as in the shared fixtures; SLIPWAY_FIXTURES can point to a folder
whose trees/ is OUT_FOLDER. The parameters of each model are drawn at random.
"""
import json
import os
import random
import sys

import catboost as cb
import numpy as np

out = os.path.join(sys.argv[1], "catboost", cb.__version__)
count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
os.makedirs(out, exist_ok=True)

LEVELS = ["red", "green", "blue", "été", "日本", "a longer name of a colour", "x" * 40, "y" * 90, "", "0", "-1", "é" * 64]
LOSSES = [
    "RMSE", "MAE", "Quantile:alpha=0.3", "MultiQuantile:alpha=0.1,0.5,0.9", "LogLinQuantile", "Expectile:alpha=0.4", "MAPE", "Lq:q=3",
    "Huber:delta=1", "LogCosh", "Poisson", "Tweedie:variance_power=1.3", "RMSEWithUncertainty", "Cox", "Logloss", "CrossEntropy",
    "Focal:focal_alpha=0.5;focal_gamma=2", "MultiClass", "MultiClassOneVsAll", "MultiRMSE", "MultiLogloss", "MultiCrossEntropy",
    "QueryRMSE", "QuerySoftMax", "PairLogit", "YetiRank", "LambdaMart", "StochasticRank:metric=DCG",
]


def cell(value):
    if isinstance(value, float):
        if np.isnan(value):
            return None
        if np.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return value


def plain(value):
    value = np.asarray(value)
    if value.ndim == 2 and value.shape[1] == 1:
        value = value[:, 0]
    return value.tolist()


def make(number):
    rng = random.Random(seed * 1000 + number)
    np_rng = np.random.RandomState(seed * 1000 + number)
    loss = LOSSES[number % len(LOSSES)]
    name = loss.split(":")[0]
    rows, features = rng.choice([200, 400]), rng.randint(2, 8)
    kinds = [rng.random() < (0.35 if number >= len(LOSSES) else 0) for _ in range(features)]
    table = np.round(np_rng.randn(rows, features) * 3, 2).astype(np.float32)
    signal = np.sin(table).sum(axis=1)
    X = table.astype(object)
    for j, categorical in enumerate(kinds):
        if categorical:
            codes = np_rng.randint(rng.choice([3, 12]), size=rows)
            whole = rng.random() < 0.3
            X[:, j] = [int(c) * 7 - 5 for c in codes] if whole else [LEVELS[c] for c in codes]
            signal += np.cos(codes * 2.0)
        else:
            X[:, j] = [float("nan") if np_rng.rand() < 0.05 else float(v) for v in table[:, j]]
    params = dict(
        loss_function=loss, iterations=rng.randint(1, 30), learning_rate=rng.choice([0.1, 0.3]), depth=rng.randint(1, 9),
        random_seed=number, thread_count=1, allow_writing_files=False, logging_level="Silent",
        border_count=rng.choice([5, 32, 254]), nan_mode=rng.choice(["Min", "Max"]), one_hot_max_size=rng.choice([1, 2, 10]),
        max_ctr_complexity=rng.choice([1, 2, 4]),
    )
    pairwise = name in ("PairLogit",)
    ranked = name in ("QueryRMSE", "QuerySoftMax", "YetiRank", "LambdaMart", "StochasticRank") or pairwise
    if not ranked and not name.startswith("Multi") and rng.random() < 0.3:
        params["grow_policy"] = rng.choice(["Depthwise", "Lossguide"])
        params["depth"] = min(params["depth"], 6)
    if any(kinds) and rng.random() < 0.5:
        kinds_of_ctr = ["Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"]
        params["simple_ctr"] = rng.sample(kinds_of_ctr, rng.randint(1, 4))
    labels = None
    if name in ("Logloss", "Focal"):
        y = (signal > 0).astype(int)
        labels = rng.choice([None, ["no", "yes"], [3, 8]])
    elif name in ("MultiClass", "MultiClassOneVsAll"):
        y = np.digitize(signal, [-1.5, 0, 1.5])
        labels = rng.choice([None, ["a", "b", "c", "été"], [-2, 5, 70, 71]])
    elif name in ("MultiRMSE",):
        y = np.stack([signal, -signal, np_rng.randn(rows)], axis=1)
    elif name in ("MultiLogloss", "MultiCrossEntropy"):
        y = np.stack([(signal > 0), (signal > 1), (table[:, 0] > 0)], axis=1).astype(int)
    elif name in ("CrossEntropy",):
        y = 1 / (1 + np.exp(-signal))
    elif name in ("Poisson", "Tweedie", "QuerySoftMax"):
        y = np.floor(np.abs(signal))
    elif ranked:
        y = np.clip(np.floor(np.abs(signal)), 0, 4)
    elif name == "Cox":
        y = np.where(np_rng.rand(rows) < 0.2, -1, 1) * (np.abs(signal) + 0.1)
    else:
        y = signal
    if labels:
        y = np.array(labels, dtype=object)[y]
    cats = [j for j, categorical in enumerate(kinds) if categorical]
    names = ["column %d" % j for j in range(features)]
    extra = {"group_id": np.repeat(np.arange(rows // 10), 10)} if ranked else {}
    named = rng.random() < 0.5
    pool = dict(cat_features=cats, **({"feature_names": names} if named else {}))
    train = cb.Pool(X.tolist(), y, **pool, **extra)
    classifier = name in ("Logloss", "Focal", "MultiClass", "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy")
    model = cb.CatBoostClassifier(**params) if classifier else cb.CatBoost(params)
    model.fit(train)
    if name == "RMSE" and rng.random() < 0.3:
        model.set_scale_and_bias(0.3, 1.7)
    stem = os.path.join(out, "%03d_%s" % (number, name.lower()))
    model.save_model(stem + ".cbm")
    model.save_model(stem + ".json", format="json", **({"pool": train} if cats else {}))
    probe = [list(row) for row in X[:150].tolist()]
    borders = model.get_borders() if not cats else {}
    for i, row in enumerate(probe):
        for j, categorical in enumerate(kinds):
            if categorical and np_rng.rand() < 0.2:
                row[j] = "never seen" if not isinstance(row[j], int) else 12345
            elif not categorical:
                edges = list(borders.get(j, []))
                if edges and np_rng.rand() < 0.3:
                    row[j] = float(np.float32(edges[np_rng.randint(len(edges))]))
                elif np_rng.rand() < 0.05:
                    row[j] = [float("inf"), float("-inf"), float("nan"), -0.0, 1e30][np_rng.randint(5)]
    asked = cb.Pool(probe, **pool)
    expected = {
        "library": "catboost", "version": cb.__version__, "params": {k: str(v) for k, v in params.items()},
        "X": [[cell(v) for v in row] for row in probe], "dtype": "mixed", "feature_names": names,
        "predict": plain(model.predict(asked)), "predict_raw": plain(model.predict(asked, prediction_type="RawFormulaVal")),
        "leaf": model.calc_leaf_indexes(asked).tolist(),
    }
    if classifier:
        expected["predict_proba"] = plain(model.predict_proba(asked))
    if name in ("Poisson", "Tweedie"):
        expected["exponent"] = plain(model.predict(asked, prediction_type="Exponent"))
    if name == "CrossEntropy":
        expected["probability"] = plain(model.predict(asked, prediction_type="Probability"))
    if name == "RMSEWithUncertainty":
        expected["rmse_with_uncertainty"] = plain(model.predict(asked, prediction_type="RMSEWithUncertainty"))
    with open(stem + ".expected.json", "w", encoding="utf-8") as file:
        json.dump(expected, file, ensure_ascii=False)


for number in range(count):
    try:
        make(number)
    except Exception as error:  # a combination that this version does not train
        print(number, LOSSES[number % len(LOSSES)], type(error).__name__, str(error)[:150].replace("\n", " "))
