"""Trains models of the installed LightGBM with every objective and kind of boosting, and records what it answers:

    python test/make/lightgbm-models.py FOLDER [RANDOM_MODELS]

Then SLIPWAY_FIXTURES=FOLDER makes test/tree-models.spec.ts compare them all.
"""

import json
import os
import sys

import lightgbm as lgb
import numpy as np

from models import make_far_rows, make_label, make_rows, make_table, out_folder, write_expected

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


def train(name, objective, label, parameters, rng, rounds=6, features=7, rows=240, after=None, dataset=None, **training):
    """`after` makes another booster of the one that was trained, `dataset` goes to Dataset, `training` to lightgbm.train."""
    table, whole = make_table(rng, rows, features, zeros=0.15)
    categorical = [1, 4] if "cat_smooth" in parameters and features > 4 else []
    for feature in categorical:
        table[:, feature] = rng.randint(20 + 30 * feature, size=rows)
    y = make_label(rng, whole, label, parameters.get("num_class", 3))
    settings = {"objective": objective, "num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 5, "num_threads": 1,
                "seed": 1, "verbosity": -1, **parameters}
    given = {**({"categorical_feature": categorical} if categorical else {}), **(dataset or {})}
    if label == "relevance":
        given["group"] = np.full(rows // 20, 20)
    data = lgb.Dataset(table, y, params=settings, free_raw_data=False, **given)
    if "valid" in training:
        del training["valid"]
        training["valid_sets"] = [lgb.Dataset(whole[:80], y[:80] + 1, reference=data)]
    booster = lgb.train(settings, data, rounds, **training)
    if after:
        booster = after(booster, data, settings) or booster
    thresholds = thresholds_of(booster)
    asked = make_rows(rng, table, thresholds, categorical)
    far = make_far_rows(rng, table, thresholds, categorical, infinite=True)
    record(booster, name, np.concatenate([asked, far]))


def record(booster, name, asked, rows=None, **facts):
    """`rows` is what the library is asked, where `asked` cannot be it."""
    plain = asked
    asked = asked if rows is None else rows
    booster.save_model(os.path.join(FOLDER, name + ".txt"))
    # The dumps of 3.2 leave out what is linear, and do not say so.
    if not (VERSION == (3, 2) and "is_linear=1" in booster.model_to_string()):
        with open(os.path.join(FOLDER, name + ".json"), "w") as file:
            json.dump(booster.dump_model(), file)
    write_expected(
        FOLDER,
        name,
        plain,
        **facts,
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
    except (lgb.basic.LightGBMError, ValueError, TypeError, AttributeError, KeyError) as error:
        print("no", name, "-", str(error).strip().split("\n")[0][-120:])


def own_objective(margin, data):
    return margin - data.get_label(), np.ones(len(margin))


def more_rounds(booster, data, settings):
    return lgb.train(settings, data, 3, init_model=booster)


def refitted(booster, data, settings):
    return booster.refit(data.get_data(), data.get_label(), decay_rate=0.3)


def shuffled(booster, data, settings):
    booster.shuffle_models()


def with_a_leaf_set(booster, data, settings):
    booster.set_leaf_output(1, 0, 12.3456789)


def one_less(booster, data, settings):
    again = lgb.Booster(settings, data)
    for _ in range(4):
        again.update()
    again.rollback_one_iter()
    return again


def make_unusual(rng):
    """Models whose training or saving is out of the ordinary."""
    square, binary, classes = ("regression", "any"), ("binary", "binary"), ("multiclass", "class")
    three = {"num_class": 3}
    categories = BOOSTINGS["categories"]
    for name, kind, parameters, more in [
        ("monotone", square, {"monotone_constraints": [1, -1, 0, 0, 1, 0, 0]}, {}),
        ("interaction", square, {"interaction_constraints": [[0, 1], [2, 3, 4], [5, 6]]}, {}),
        ("extra", square, {"extra_trees": True, "path_smooth": 2.0, "feature_fraction_bynode": 0.5}, {}),
        ("weighted", binary, {"scale_pos_weight": 3.0}, {"dataset": {"weight": np.linspace(0.1, 3, 240)}}),
        ("init_score", square, {}, {"dataset": {"init_score": np.linspace(-1, 1, 240)}}),
        ("no_average", square, {"boost_from_average": False}, {}),
        ("own_objective", square, {"objective": own_objective}, {}),
        ("early_stopping", square, {"early_stopping_round": 2, "learning_rate": 1.0}, {"rounds": 40, "valid": True}),
        ("continued", binary, {}, {"after": more_rounds}),
        ("continued_dart", square, {"boosting": "dart", "drop_rate": 0.5}, {"after": more_rounds}),
        ("refitted", square, {}, {"after": refitted}),
        ("refitted_linear", square, {"linear_tree": True}, {"after": refitted}),
        ("shuffled", classes, three, {"after": shuffled}),
        ("leaf_set", square, {}, {"after": with_a_leaf_set}),
        ("rolled_back", square, {}, {"after": one_less}),
        ("stumps", square, {"num_leaves": 2}, {"rounds": 30}),
        ("leaves_only", square, {"min_data_in_leaf": 1000}, {}),
        ("leaves_only_classes", classes, {**three, "min_data_in_leaf": 1000}, {}),
        ("leaves_only_forest", square, {**BOOSTINGS["rf"], "min_data_in_leaf": 1000}, {}),
        ("one_feature", binary, {}, {"features": 1}),
        ("deep", square, {"num_leaves": 120, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0.0}, {}),
        ("forest_classes", classes, {**three, **BOOSTINGS["rf"]}, {}),
        ("forest_ova", ("multiclassova", "class"), {**three, **BOOSTINGS["rf"]}, {}),
        ("forest_binary", binary, BOOSTINGS["rf"], {"rounds": 7}),
        ("forest_poisson", ("poisson", "count"), BOOSTINGS["rf"], {"rounds": 7}),
        ("forest_categories", binary, {**BOOSTINGS["rf"], **categories}, {}),
        ("forest_zero", square, {**BOOSTINGS["rf"], "zero_as_missing": True}, {}),
        ("dart_classes", classes, {**three, "boosting": "dart", "drop_rate": 0.5, "xgboost_dart_mode": True}, {}),
        ("dart_linear", square, {"boosting": "dart", "drop_rate": 0.5, "linear_tree": True}, {}),
        ("linear_categories", square, {"linear_tree": True, **categories}, {}),
        ("linear_classes", classes, {**three, "linear_tree": True, "linear_lambda": 0.1}, {}),
        ("linear_zero", square, {"linear_tree": True, "zero_as_missing": True}, {}),
        ("linear_unaware", square, {"linear_tree": True, "use_missing": False}, {}),
        ("linear_binary", binary, {"linear_tree": True}, {"rounds": 12}),
        ("linear_forest", square, {"linear_tree": True, **BOOSTINGS["rf"]}, {}),
        ("categories_zero", square, {**categories, "zero_as_missing": True}, {}),
        ("categories_unaware", square, {**categories, "use_missing": False}, {}),
        ("categories_one_hot", classes, {**three, **categories, "max_cat_to_onehot": 1000}, {}),
        ("categories_classes", classes, {**three, **categories, "max_cat_threshold": 100}, {}),
        ("quantised", binary, {"use_quantized_grad": True, "num_grad_quant_bins": 8, "quant_train_renew_leaf": True}, {}),
        ("strategy_goss", binary, {"data_sample_strategy": "goss"}, {}),
        ("balanced", binary, {"bagging_freq": 1, "pos_bagging_fraction": 0.5, "neg_bagging_fraction": 0.7}, {}),
        ("class_ova_unbalanced", ("multiclassova", "class"), {**three, "is_unbalance": True, "sigmoid": 2.5}, {}),
        ("root_l1", ("regression_l1", "any"), {"reg_sqrt": True}, {}),
        ("root_huber", ("huber", "any"), {"reg_sqrt": True}, {}),
        ("root_mape", ("mape", "positive"), {"reg_sqrt": True}, {}),
        ("root_quantile", ("quantile", "any"), {"reg_sqrt": True, "alpha": 0.8}, {}),
        ("root_fair", ("fair", "any"), {"reg_sqrt": True}, {}),
        ("root_poisson", ("poisson", "count"), {"reg_sqrt": True}, {}),
        ("names", square, {}, {"dataset": {"feature_name": ["a b", "c=d", "é", "x.y", "Tree", "end", "7"]}}),
        ("few_bins", square, {"max_bin": 3, "min_data_in_bin": 1}, {}),
        ("forced", square, {"max_bin_by_feature": [4, 4, 4, 9, 9, 9, 9], "cegb_tradeoff": 0.9, "cegb_penalty_split": 1e-5}, {}),
        ("constant_label", square, {}, {"after": lambda booster, data, settings: lgb.train(settings, lgb.Dataset(data.get_data(), np.full(240, 4.2)), 3)}),
        ("one_sided", binary, {}, {"after": lambda booster, data, settings: lgb.train(settings, lgb.Dataset(data.get_data(), np.ones(240)), 3)}),
        ("without_a_class", classes, {"num_class": 4}, {}),
    ]:
        linear = parameters.get("linear_tree") and VERSION < (3, 2)
        # LightGBM 4.0 crashes.
        crashes = name == "quantised" and VERSION == (4, 0)
        if not linear and not crashes:
            attempt("unusual_" + name, kind[0], kind[1], dict(parameters), np.random.RandomState(rng.randint(2**31)), **more)


def make_frame(name, rng, kinds, objective, parameters):
    """A model of a pandas frame with columns of categories."""
    import pandas as pd

    rows = 300
    columns, fresh = {}, {}
    for i, kind in enumerate(kinds):
        if kind == "number":
            columns["number %d" % i if name.endswith("spaces") else "number%d" % i] = rng.normal(size=rows).round(3)
            continue
        levels = {
            "texts": ["red", "green", "blue", "Grün", "a b", "", "1", "nan"],
            "integers": [7, -3, 0, 100000, 12],
            "floats": [0.5, -1.25, 3.0, 1e10],
            "booleans": [True, False],
            "many": ["level %03d" % k for k in range(120)],
        }[kind.split("-")[0]]
        drawn = [levels[k] for k in rng.randint(len(levels), size=rows)]
        given = levels if "as given" in kind else sorted(set(drawn))
        values = pd.Series(drawn, dtype=object)
        if len(levels) > 2:
            values[rng.uniform(size=rows) < 0.05] = None
        columns["%s%d" % (kind.split("-")[0], i)] = pd.Categorical(values, categories=given, ordered="ordered" in kind)
    frame = pd.DataFrame(columns)
    score = sum(rng.normal(size=30)[frame[c].cat.codes % 30] if str(frame[c].dtype) == "category" else frame[c].values for c in frame)
    y = {"binary": (score > np.median(score)).astype(int), "multiclass": np.digitize(score, np.quantile(score, [0.3, 0.6])), "regression": score}[objective]
    settings = {"objective": objective, "num_leaves": 8, "min_data_in_leaf": 5, "num_threads": 1, "seed": 1, "verbosity": -1, **BOOSTINGS["categories"], **parameters}
    booster = lgb.train(settings, lgb.Dataset(frame, y, params=settings), 8)
    asked = frame.sample(60, random_state=1).reset_index(drop=True)
    for column in asked:
        if str(asked[column].dtype) != "category":
            continue
        # What is no category of the frame that was trained on.
        unseen = {"str": "unseen", "int": 99, "float": 0.123, "bool": None}[type(asked[column].cat.categories[0]).__name__.replace("int64", "int").replace("float64", "float").replace("bool_", "bool")]
        if unseen is not None:
            asked[column] = asked[column].cat.add_categories([unseen])
            asked.loc[3, column] = unseen
    plain = [[None if pd.isna(value) else value for value in row] for row in asked.astype(object).values.tolist()]
    record(booster, name, plain, rows=asked)


def make_frames():
    try:
        import pandas as pd
    except ImportError:
        print("no pandas: no frames")
        return
    number = "number"
    for i, (name, kinds, objective, parameters) in enumerate([
        ("texts", [number, "texts", number], "regression", {}),
        ("two_texts", ["texts", number, "many"], "binary", {}),
        ("integers", [number, "integers", number], "regression", {}),
        ("floats", ["floats", number], "binary", {}),
        ("booleans", [number, "booleans"], "binary", {}),
        ("mixed", ["texts", "integers", number, "floats", "booleans", "many", number], "multiclass", {"num_class": 3}),
        ("as_given", ["texts-as given", number, "integers-as given"], "regression", {}),
        ("ordered", [number, "texts-ordered", "integers-ordered"], "regression", {}),
        ("ordered_beside", ["texts-ordered", number, "many"], "regression", {}),
        ("linear", ["texts", number, "integers", number], "regression", {"linear_tree": True}),
        ("forest", ["many", number, number], "binary", BOOSTINGS["rf"]),
        ("one_hot", ["texts", number, "integers"], "regression", {"max_cat_to_onehot": 500}),
        ("spaces", [number, "texts", number], "regression", {}),
        ("unused", [number, "texts", number, number, "integers"], "regression", {"min_data_in_leaf": 120}),
    ]):
        if "linear_tree" in parameters and VERSION < (3, 2):
            continue
        try:
            make_frame("frame_" + name, np.random.RandomState(300 + i), kinds, objective, parameters)
        except (lgb.basic.LightGBMError, ValueError, TypeError, AttributeError) as error:
            print("no frame", name, "-", str(error).strip().split("\n")[0][-120:])


def main():
    make_unusual(np.random.RandomState(70))
    make_frames()
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
