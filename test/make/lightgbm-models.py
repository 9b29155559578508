"""Trains models of the installed LightGBM with every objective and kind of boosting, and records what it answers:

    python test/make/lightgbm-models.py FOLDER [RANDOM_MODELS]

Then SLIPWAY_FIXTURES=FOLDER makes test/tree-models.spec.ts compare them all.
"""

import json
import os
import sys

import lightgbm as lgb
import numpy as np

from models import make_label, make_rows, make_table, out_folder, write_expected

VERSION = tuple(int(part) for part in lgb.__version__.split(".")[:2])
FOLDER = out_folder("lightgbm", lgb.__version__)

#: objective, label, parameters
OBJECTIVES = [
    ("regression", "any", {}),
    ("regression", "any", {"reg_sqrt": True}),
    ("regression_l1", "any", {}),
    ("huber", "any", {"alpha": 0.7}),
    ("fair", "any", {}),
    ("quantile", "any", {"alpha": 0.3}),
    ("mape", "positive", {}),
    ("poisson", "count", {}),
    ("gamma", "positive", {}),
    ("tweedie", "positive", {"tweedie_variance_power": 1.3}),
    ("binary", "binary", {}),
    ("binary", "binary", {"sigmoid": 0.7, "is_unbalance": True}),
    ("multiclass", "class", {"num_class": 3}),
    ("multiclassova", "class", {"num_class": 3, "sigmoid": 1.4}),
    ("cross_entropy", "unit", {}),
    ("cross_entropy_lambda", "unit", {}),
    ("lambdarank", "relevance", {}),
    ("rank_xendcg", "relevance", {}),
]

BOOSTINGS = {
    "gbdt": {},
    "dart": {"boosting": "dart", "drop_rate": 0.4},
    "goss": {"boosting": "goss", "top_rate": 0.3, "other_rate": 0.2},
    "rf": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7, "feature_fraction": 0.7},
    "linear": {"linear_tree": True},
    "zero": {"zero_as_missing": True},
    "unaware": {"use_missing": False},
    "categories": {"min_data_per_group": 5, "cat_smooth": 1.0, "max_cat_to_onehot": 2},
}


def thresholds_of(booster):
    found = []

    def walk(node):
        if "split_feature" not in node:
            return
        if node["decision_type"] == "<=":
            found.append((node["split_feature"], node["threshold"]))
        walk(node["left_child"])
        walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return sorted(set(found))


def train(name, objective, label, parameters, rng, rounds=6, features=7, rows=240):
    table, whole = make_table(rng, rows, features, zeros=0.15)
    categorical = [1, 4] if "cat_smooth" in parameters and features > 4 else []
    for feature in categorical:
        table[:, feature] = rng.randint(20 + 30 * feature, size=rows)
    y = make_label(rng, whole, label, parameters.get("num_class", 3))
    settings = {"objective": objective, "num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 5, "num_threads": 1,
                "seed": 1, "verbosity": -1, **parameters}
    given = {"categorical_feature": categorical} if categorical else {}
    if label == "relevance":
        given["group"] = np.full(rows // 20, 20)
    booster = lgb.train(settings, lgb.Dataset(table, y, params=settings, **given), rounds)
    booster.save_model(os.path.join(FOLDER, name + ".txt"))
    with open(os.path.join(FOLDER, name + ".json"), "w") as file:
        json.dump(booster.dump_model(), file)
    asked = make_rows(rng, table, thresholds_of(booster), categorical)
    write_expected(
        FOLDER,
        name,
        asked,
        dtype="float64",
        feature_names=booster.feature_name(),
        predict=booster.predict(asked),
        predict_raw=booster.predict(asked, raw_score=True),
        leaf=booster.predict(asked, pred_leaf=True)[:20],
    )


def attempt(name, *given, **more):
    """A combination that this release refuses is none of its models."""
    try:
        train(name, *given, **more)
    except (lgb.basic.LightGBMError, ValueError, TypeError) as error:
        print("no", name, "-", str(error).strip().split("\n")[0][-120:])


def main():
    seed = 0
    for objective, label, parameters in OBJECTIVES:
        for kind, more in BOOSTINGS.items():
            seed += 1
            if kind == "linear" and VERSION < (3, 2) or objective == "rank_xendcg" and VERSION < (3, 0):
                continue
            attempt("%s_%s_%d" % (objective, kind, seed), objective, label, {**parameters, **more}, np.random.RandomState(seed))
    for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 0):
        rng = np.random.RandomState(5000 + i)
        objective, label, parameters = OBJECTIVES[rng.randint(len(OBJECTIVES))]
        kind = sorted(BOOSTINGS)[rng.randint(len(BOOSTINGS))]
        if kind == "linear" and VERSION < (3, 2) or objective == "rank_xendcg" and VERSION < (3, 0):
            continue
        more = {"num_leaves": int(rng.randint(2, 40)), "lambda_l2": float(rng.uniform(0, 3)), "max_bin": int(rng.randint(5, 200))}
        attempt("random_%d" % i, objective, label, {**parameters, **more, **BOOSTINGS[kind]}, rng,
                rounds=int(rng.randint(1, 20)), features=int(rng.randint(1, 15)), rows=20 * int(rng.randint(3, 40)))


main()
