"""Trains models of the installed XGBoost with every objective and booster, and records what it answers:

    python test/make/xgboost-models.py FOLDER [RANDOM_MODELS]

Then SLIPWAY_FIXTURES=FOLDER makes test/tree-models.spec.ts compare them all.
"""

import os
import sys

import numpy as np
import xgboost as xgb

from models import make_far_rows, make_label, make_rows, make_table, out_folder, write_expected

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
    ("reg:expectileerror", "any", {"expectile_alpha": 0.3, "tree_method": "hist"}, (3, 3)),
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


def train(name, objective, label, parameters, rng, rounds=6, features=7, rows=240, categories=None, targets=0, after=None, **training):
    """`after` makes another booster of the one that was trained; `training` goes to xgboost.train."""
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
    if "feature_weights" in parameters:
        matrix.set_info(feature_weights=parameters.pop("feature_weights"))
    if "weights" in parameters:
        matrix.set_weight(parameters.pop("weights"))
    if "base_margin" in parameters:
        matrix.set_base_margin(parameters.pop("base_margin"))
    if "early_stopping_rounds" in training:
        training["evals"] = [(matrix, "train")]
    booster = xgb.train({**settings, **parameters}, matrix, rounds, **training)
    if after:
        booster = after(booster, matrix, {**settings, **parameters})
    thresholds = [] if linear else thresholds_of(booster)
    chosen = sorted(categories or {})
    asked = make_rows(rng, table, thresholds, chosen)
    # Later releases refuse infinities.
    far = make_far_rows(rng, table, thresholds, chosen, infinite=VERSION < (1, 4))
    record(booster, name, np.concatenate([asked, far]), linear, types)


def attempt(name, *given, **more):
    """A combination that this release refuses is none of its models."""
    try:
        train(name, *given, **more)
    except (xgb.core.XGBoostError, ValueError, TypeError, AttributeError) as error:
        print("no", name, "-", str(error).strip().split("\n")[0][-120:])


def own_objective(margin, matrix):
    return margin - matrix.get_label(), np.ones(len(margin))


def more_rounds(booster, matrix, settings):
    return xgb.train(settings, matrix, 3, xgb_model=booster)


def middle_rounds(booster, matrix, settings):
    return booster[1:4]


def without_a_round(booster, matrix, settings):
    return xgb.train(settings, matrix, 0)


def settled(booster, matrix, settings):
    """The same trees with leaves made anew."""
    return xgb.train({**settings, "process_type": "update", "updater": "refresh", "refresh_leaf": True, "lambda": 5.0}, matrix, 6, xgb_model=booster)


def make_unusual(rng):
    """Models whose training or saving is out of the ordinary."""
    hist = {"tree_method": "hist"}
    square = ("reg:squarederror" if VERSION > (0, 90) else "reg:linear", "any")
    binary = ("binary:logistic", "binary")
    classes = ("multi:softprob", "class")
    for name, kind, parameters, more in [
        ("monotone", square, {"monotone_constraints": "(1,-1,0,0,1,0,0)"}, {}),
        ("interaction", square, {**hist, "interaction_constraints": "[[0,1],[2,3,4],[5,6]]"}, {}),
        ("feature_weights", square, {**hist, "colsample_bynode": 0.4, "feature_weights": np.arange(1.0, 8.0)}, {}),
        ("weighted", binary, {"weights": np.linspace(0.1, 3, 240), "scale_pos_weight": 3.0}, {}),
        ("base_margin", square, {"base_margin": np.linspace(-1, 1, 240)}, {}),
        ("own_objective", square, {}, {"obj": own_objective}),
        ("early_stopping", square, {"eta": 1.0, "eval_metric": "mae"}, {"rounds": 40, "early_stopping_rounds": 2}),
        ("continued", binary, {}, {"after": more_rounds}),
        ("continued_dart", square, {"booster": "dart", "rate_drop": 0.5}, {"after": more_rounds}),
        ("sliced", classes, {"num_class": 3}, {"after": middle_rounds}),
        ("sliced_dart", square, {"booster": "dart", "rate_drop": 0.5, "one_drop": 1}, {"after": middle_rounds}),
        ("refreshed", square, {}, {"after": settled}),
        ("no_rounds", binary, {}, {"after": without_a_round}),
        ("no_rounds_base", binary, {"base_score": 0.3}, {"after": without_a_round}),
        ("stumps", square, {"max_depth": 1}, {"rounds": 30}),
        ("leaves_only", square, {"gamma": 1e9}, {}),
        ("one_feature", binary, {}, {"features": 1}),
        ("unbounded_depth", square, {**hist, "max_depth": 0, "max_leaves": 60, "grow_policy": "lossguide", "min_child_weight": 0}, {}),
        ("forest_classes", classes, {"num_class": 4, "num_parallel_tree": 3, "subsample": 0.6}, {}),
        ("forest_dart", square, {"num_parallel_tree": 3, "subsample": 0.6, "booster": "dart", "rate_drop": 0.5, "normalize_type": "forest"}, {}),
        ("dart_classes", classes, {"num_class": 3, "booster": "dart", "rate_drop": 0.5, "sample_type": "weighted"}, {}),
        ("linear_classes", classes, {"num_class": 3, "booster": "gblinear", "updater": "coord_descent"}, {}),
        ("linear_shotgun", binary, {"booster": "gblinear", "updater": "shotgun", "alpha": 0.1}, {}),
        ("linear_base", ("count:poisson", "count"), {"booster": "gblinear", "base_score": 2.5}, {}),
        ("two_classes_softprob", ("multi:softprob", "binary"), {"num_class": 2}, {}),
        ("one_class_softprob", ("multi:softprob", "binary"), {"num_class": 2, "base_score": 0.2}, {}),
        ("approx", binary, {"tree_method": "approx", "max_bin": 16}, {}),
        ("gradient_based", square, {**hist, "subsample": 0.4, "max_bin": 512}, {"rows": 400}),
        ("leafwise_delta", ("count:poisson", "count"), {"max_delta_step": 0.2, "base_score": 0.01}, {}),
        ("zero_eta", square, {"eta": 1e-30}, {}),
    ]:
        attempt("unusual_" + name, *kind, dict(parameters), np.random.RandomState(rng.randint(2**31)), **more)
    if VERSION < (2, 0):
        return
    vector = {**hist, "multi_strategy": "multi_output_tree"}
    for name, kind, parameters, more in [
        ("vector_classes", classes, {**vector, "num_class": 3}, {}),
        ("vector_softmax", ("multi:softmax", "class"), {**vector, "num_class": 4}, {}),
        ("vector_quantiles", ("reg:quantileerror", "any"), {**vector, "quantile_alpha": [0.1, 0.5, 0.9]}, {}),
        ("vector_forest", square, {**vector, "num_parallel_tree": 3, "subsample": 0.5}, {"targets": 3}),
        ("vector_lossguide", square, {**vector, "grow_policy": "lossguide", "max_leaves": 9}, {"targets": 2}),
        ("vector_leaves_only", square, {**vector, "gamma": 1e9}, {"targets": 2}),
        ("vector_base", binary, {**vector, "base_score": 0.3}, {"targets": 2}),
        ("vector_monotone", square, {**vector, "monotone_constraints": "(1,0,0,0,0,0,0)"}, {"targets": 2}),
        ("vector_categories", square, vector, {"targets": 2, "categories": {1: 30, 4: 5}}),
        ("vector_continued", square, vector, {"targets": 3, "after": more_rounds}),
        ("vector_sliced", square, vector, {"targets": 3, "after": middle_rounds}),
        ("targets_forest", binary, {**hist, "num_parallel_tree": 2, "subsample": 0.5}, {"targets": 2}),
        ("targets_poisson", ("count:poisson", "count"), hist, {"targets": 2}),
        ("targets_gamma", ("reg:gamma", "positive"), hist, {"targets": 2}),
        ("targets_linear", square, {"booster": "gblinear"}, {"targets": 2}),
        ("targets_quantile", ("reg:quantileerror", "any"), {**hist, "quantile_alpha": [0.2, 0.8]}, {"rounds": 12}),
    ]:
        attempt("unusual_" + name, *kind, dict(parameters), np.random.RandomState(rng.randint(2**31)), **more)


def main():
    make_unusual(np.random.RandomState(70))
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
