"""Trains models of the installed XGBoost with every objective and booster, and records what it answers:

    python test/make/xgboost-models.py FOLDER [RANDOM_MODELS]

Then SLIPWAY_FIXTURES=FOLDER makes test/tree-models.spec.ts compare them all.
"""

import os
import sys

import numpy as np
import xgboost as xgb

from models import make_label, make_rows, make_table, out_folder, write_expected

VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])
FOLDER = out_folder("xgboost", xgb.__version__)

#: objective, label, parameters, first version
OBJECTIVES = [
    ("reg:squarederror" if VERSION > (0, 90) else "reg:linear", "any", {}, (0, 0)),
    ("reg:squaredlogerror", "positive", {}, (1, 0)),
    ("reg:logistic", "unit", {}, (0, 0)),
    ("reg:pseudohubererror", "any", {}, (1, 3)),
    ("reg:absoluteerror", "any", {}, (1, 7)),
    ("reg:quantileerror", "any", {"quantile_alpha": 0.3, "tree_method": "hist"}, (2, 0)),
    ("reg:quantileerror", "any", {"quantile_alpha": [0.2, 0.5, 0.9], "tree_method": "hist"}, (2, 0)),
    ("reg:expectileerror", "any", {"expectile_alpha": 0.3, "tree_method": "hist"}, (3, 2)),
    ("reg:gamma", "positive", {}, (0, 0)),
    ("reg:tweedie", "positive", {"tweedie_variance_power": 1.3}, (0, 0)),
    ("count:poisson", "count", {}, (0, 0)),
    ("survival:cox", "positive", {}, (0, 0)),
    ("survival:aft", "positive", {"aft_loss_distribution": "normal"}, (1, 2)),
    ("survival:aft", "positive", {"aft_loss_distribution": "extreme"}, (1, 2)),
    ("binary:logistic", "binary", {}, (0, 0)),
    ("binary:logitraw", "binary", {}, (0, 0)),
    ("binary:hinge", "binary", {}, (0, 0)),
    ("multi:softprob", "class", {"num_class": 3}, (0, 0)),
    ("multi:softmax", "class", {"num_class": 4}, (0, 0)),
    ("rank:pairwise", "relevance", {}, (0, 0)),
    ("rank:ndcg", "relevance", {}, (0, 0)),
    ("rank:map", "binary", {}, (0, 0)),
]

BOOSTERS = {
    "gbtree": {},
    "base": {"base_score": 0.3},
    "dart": {"booster": "dart", "rate_drop": 0.4, "skip_drop": 0.1},
    "gblinear": {"booster": "gblinear"},
    "forest": {"num_parallel_tree": 3, "subsample": 0.7, "colsample_bynode": 0.6},
    "exact": {"tree_method": "exact", "gamma": 0.5},
    "lossguide": {"tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 12, "max_depth": 0},
}


def thresholds_of(booster):
    found = []
    for line in "\n".join(booster.get_dump()).split("\n"):
        test = line.partition("[")[2].partition("]")[0].partition("<")
        if test[1] and test[0].startswith("f"):
            found.append((int(test[0][1:]), float(test[2])))
    return sorted(set(found))


def save(booster, name):
    endings = [".json"] if VERSION >= (1, 0) else []
    endings += [".ubj"] if VERSION >= (1, 6) else []
    for ending in endings:
        booster.save_model(os.path.join(FOLDER, name + ending))
    if VERSION < (2, 2):
        written = os.path.join(FOLDER, name + ".deprecated")
        try:
            booster.save_model(written)
            os.rename(written, os.path.join(FOLDER, name + ".model"))
        except xgb.core.XGBoostError as error:
            print("  not as binary:", name, str(error).split("\n")[0][-80:])
        if VERSION < (1, 6):
            with open(os.path.join(FOLDER, name + ".raw"), "wb") as file:
                file.write(booster.save_raw())


def record(booster, name, rows, linear, types=None):
    save(booster, name)
    given = {"feature_types": types, "enable_categorical": True} if types else {}
    matrix = xgb.DMatrix(rows, **given)
    # Before 1.3 a dart booster drops trees as it predicts, unless it is told how many to use.
    dropping = VERSION < (1, 3) and name.find("dart") >= 0
    limit = {"ntree_limit": 10**6} if dropping else {}
    leaf = None if linear else booster.predict(matrix, pred_leaf=True, **limit)[:20]
    if leaf is not None and leaf.ndim > 2:
        leaf = leaf.reshape(len(leaf), -1)
    write_expected(
        FOLDER,
        name,
        rows,
        dtype="float64",
        feature_names=["f%d" % i for i in range(rows.shape[1])],
        predict=booster.predict(matrix, **limit),
        margin=booster.predict(matrix, output_margin=True, **limit),
        leaf=leaf,
    )


def train(name, objective, label, parameters, rng, rounds=6, features=7, rows=240, categories=None, targets=0):
    linear = parameters.get("booster") == "gblinear"
    table, whole = make_table(rng, rows, features, zeros=0.1)
    for feature, levels in (categories or {}).items():
        table[:, feature] = rng.randint(levels, size=rows)
    labels = [make_label(rng, whole, label, parameters.get("num_class", 3)) for _ in range(max(targets, 1))]
    y = np.stack(labels, axis=1) if targets else labels[0]
    given = {}
    types = None
    if categories:
        types = ["c" if i in categories else "q" for i in range(features)]
        given = {"feature_types": types, "enable_categorical": True}
    if objective == "survival:aft":
        matrix = xgb.DMatrix(table, **given)
        matrix.set_float_info("label_lower_bound", y)
        matrix.set_float_info("label_upper_bound", np.where(rng.uniform(size=rows) < 0.3, np.inf, y))
    else:
        matrix = xgb.DMatrix(table, label=y, **given)
    if objective.startswith("rank:"):
        matrix.set_group([20] * (rows // 20))
    settings = {"objective": objective, "max_depth": 4, "eta": 0.3, "nthread": 1, "seed": 1, "verbosity": 0}
    booster = xgb.train({**settings, **parameters}, matrix, rounds)
    thresholds = [] if linear else thresholds_of(booster)
    asked = make_rows(rng, table, thresholds, sorted(categories or {}))
    record(booster, name, asked, linear, types)


def attempt(name, *given, **more):
    """A combination that this release refuses is none of its models."""
    try:
        train(name, *given, **more)
    except (xgb.core.XGBoostError, ValueError, TypeError) as error:
        print("no", name, "-", str(error).strip().split("\n")[0][-120:])


def main():
    seed = 0
    for objective, label, parameters, since in OBJECTIVES:
        if VERSION < since:
            continue
        for kind, more in BOOSTERS.items():
            seed += 1
            name = "%s_%s_%d" % (objective.replace(":", "_"), kind, seed)
            attempt(name, objective, label, {**parameters, **more}, np.random.RandomState(seed))
    if VERSION >= (1, 7):
        hist = {"tree_method": "hist"}
        for i, onehot in enumerate((64, 2)):
            for kind in ("reg:squarederror", "binary:logistic", "multi:softprob"):
                label = {"r": "any", "b": "binary", "m": "class"}[kind[0]]
                classes = {"num_class": 3} if label == "class" else {}
                attempt("categories_%s_%d" % (label, i), kind, label, {**hist, **classes, "max_cat_to_onehot": onehot},
                        np.random.RandomState(900 + i), categories={1: 40, 4: 6})
        for objective, label in (("reg:squarederror", "any"), ("binary:logistic", "binary"), ("reg:absoluteerror", "any")):
            for strategy in ("one_output_per_tree", "multi_output_tree") if VERSION >= (2, 0) else ("",):
                more = {"multi_strategy": strategy} if strategy else {}
                for booster in ("gbtree", "dart"):
                    attempt("targets_%s_%s_%s" % (objective.replace(":", "_"), strategy, booster), objective, label,
                            {**hist, **more, "booster": booster}, np.random.RandomState(950), targets=3)
    for i in range(int(sys.argv[2]) if len(sys.argv) > 2 else 0):
        rng = np.random.RandomState(5000 + i)
        objective, label, parameters, since = OBJECTIVES[rng.randint(len(OBJECTIVES))]
        kind = sorted(BOOSTERS)[rng.randint(len(BOOSTERS))]
        if VERSION < since:
            continue
        more = {"max_depth": int(rng.randint(1, 9)), "eta": float(rng.uniform(0.05, 1)), "lambda": float(rng.uniform(0, 3))}
        attempt("random_%s_%d" % (kind, i), objective, label, {**parameters, **more, **BOOSTERS[kind]}, rng,
                rounds=int(rng.randint(1, 20)), features=int(rng.randint(1, 15)), rows=20 * int(rng.randint(3, 40)))


main()
