"""CatBoost models of kinds that random parameters seldom meet, with every kind of answer that CatBoost itself gives:

    python test/make/catboost-cases.py FOLDER [NAME…]

Then SLIPWAY_FIXTURES=FOLDER makes test/catboost-models.spec.ts compare them. Each case is a function that fits a model and
says what to ask it; a case that the installed release refuses is left out, with a note.
"""

import os
import sys

import catboost as cb
import numpy as np
import pandas as pd

from models import out_folder, write_expected

FOLDER = out_folder("catboost", cb.__version__)
QUIET = dict(iterations=8, depth=4, learning_rate=0.3, random_seed=7, thread_count=1, allow_writing_files=False, logging_level="Silent")
COLOURS = ["red", "green", "blue", "été", "日本", "", "0", "-1", "nan", "a\tb", "x" * 70, "🙂"]
TYPES = {
    "predict_raw": "RawFormulaVal", "class": "Class", "probability": "Probability", "predict_log_proba": "LogProbability",
    "exponent": "Exponent", "rmse_with_uncertainty": "RMSEWithUncertainty",
}
cases = {}


def case(function):
    cases[function.__name__] = function
    return function


def numbers(rng, rows=300, columns=5, missing=0.05):
    table = (rng.randn(rows, columns) * 3).round(2).astype(np.float32)
    table[rng.uniform(size=table.shape) < missing] = np.nan
    return table


def signal(table):
    return np.sin(np.nan_to_num(table.astype(float))).sum(axis=1)


def near_borders(model, table, rng):
    """Rows on borders, one float32 beside them, and what is no ordinary number."""
    rows = [list(map(float, row)) for row in table[:40]]
    for feature, borders in model.get_borders().items():
        for border in rng.permutation(np.asarray(borders, dtype=np.float32))[:6]:
            for value in (border, np.nextafter(border, np.float32(np.inf)), np.nextafter(border, np.float32(-np.inf))):
                row = list(map(float, table[rng.randint(len(table))]))
                row[feature] = float(value)
                rows.append(row)
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, 1e39, -1e39):
        rows.append([value] * table.shape[1])
    return rows


def fitted(loss, y, table, kind=cb.CatBoost, **params):
    extra = {key: params.pop(key) for key in ("group_id", "pairs") if key in params}
    model = kind(dict(QUIET, loss_function=loss, **params)) if kind is cb.CatBoost else kind(loss_function=loss, **{**QUIET, **params})
    return model.fit(cb.Pool(table, y, **extra))


def loss_case(name, loss, make_y, **params):
    def run(rng):
        table = numbers(rng)
        given = dict(params)
        if given.pop("grouped", False):
            given["group_id"] = np.repeat(np.arange(30), 10)
        model = fitted(loss, make_y(signal(table), rng), table, **given)
        return model, near_borders(model, table, rng), {}
    cases[name] = run


def labels(values, kind=object):
    return lambda s, rng: np.array(values, dtype=kind)[np.digitize(s, np.linspace(-1.5, 1.5, len(values) + 1)[1:-1])]


def units(s, rng):
    return 1 / (1 + np.exp(-s))


def counts(s, rng):
    return np.floor(np.abs(s) * 2)


def several(s, rng):
    return np.stack([s, -2 * s, s * s], axis=1)


def flags(s, rng):
    return np.stack([s > 0, s > 1, s < -1], axis=1).astype(int)


def grades(s, rng):
    return np.clip(np.floor(np.abs(s)), 0, 4)


def survival(s, rng):
    return np.where(rng.uniform(size=len(s)) < 0.2, -1, 1) * (np.abs(s) + 0.1)


def intervals(s, rng):
    low = np.abs(s) + 0.1
    return np.stack([low, np.where(rng.uniform(size=len(s)) < 0.2, -1, low + 1)], axis=1)


for policy in ("SymmetricTree", "Depthwise", "Lossguide"):
    end = policy.lower()
    grow = dict(grow_policy=policy)
    loss_case("binary_" + end, "Logloss", labels([0, 1], int), **grow)
    loss_case("binary_texts_" + end, "Logloss", labels(["nein", "été"]), **grow)
    loss_case("classes_texts_" + end, "MultiClass", labels(["a", "ß", "10", "9"]), **grow)
    loss_case("classes_ints_" + end, "MultiClass", labels([-5, 3, 10**12], np.int64), **grow)
    loss_case("ova_floats_" + end, "MultiClassOneVsAll", labels([0.0, 1.0, 2.5], float), **grow)
    loss_case("uncertainty_" + end, "RMSEWithUncertainty", lambda s, rng: s, **grow)
    loss_case("poisson_" + end, "Poisson", counts, **grow)
    loss_case("many_quantiles_" + end, "MultiQuantile:alpha=0.1,0.5,0.9", lambda s, rng: s, **grow)
    loss_case("several_" + end, "MultiRMSE", several, **grow)
    loss_case("flags_" + end, "MultiLogloss", flags, **grow)
loss_case("binary_bools", "Logloss", labels([False, True], bool))
loss_case("binary_floats", "Logloss", labels([0.0, 1.0], float))
loss_case("binary_names_given", "Logloss", labels(["b", "a"]), class_names=["b", "a"])
loss_case("classes_names_given", "MultiClass", labels(["b", "a", "c"]), class_names=["c", "b", "a"])
loss_case("classes_count", "MultiClass", labels([0, 2], int), classes_count=4)
loss_case("classes_names_unseen", "MultiClass", labels(["b", "c"]), class_names=["c", "z", "b", "a"])
loss_case("ova_count", "MultiClassOneVsAll", labels([3, 1], int), classes_count=5)
loss_case("binary_border", "Logloss", units, target_border=0.4)
loss_case("cross_entropy", "CrossEntropy", units)
loss_case("cross_entropy_flags", "MultiCrossEntropy", lambda s, rng: np.stack([units(s, rng), units(-s, rng)], axis=1))
loss_case("weights_by_class", "Logloss", labels([0, 1], int), auto_class_weights="Balanced")
loss_case("focal", "Focal:focal_alpha=0.4;focal_gamma=2", labels([0, 1], int))
loss_case("tweedie", "Tweedie:variance_power=1.3", counts)
loss_case("cox", "Cox", survival)
loss_case("aft", "SurvivalAft:dist=Normal;scale=1.1", intervals)
loss_case("several_missing", "MultiRMSEWithMissingValues", several)
for loss in ("MAE", "Quantile:alpha=0.3", "LogLinQuantile:alpha=0.4", "Expectile:alpha=0.4", "MAPE", "Lq:q=3", "Huber:delta=1", "LogCosh", "GroupQuantile:alpha=0.5"):
    group = {"grouped": True} if "Group" in loss else {}
    loss_case("loss_" + loss.split(":")[0].lower(), loss, lambda s, rng: np.abs(s), **group)
for loss in ("QueryRMSE", "QuerySoftMax", "QueryCrossEntropy", "PairLogit", "PairLogitPairwise", "YetiRank", "YetiRankPairwise", "LambdaMart", "StochasticRank:metric=NDCG", "StochasticFilter"):
    make = units if loss == "QueryCrossEntropy" else (lambda s, rng: (s > 0).astype(int)) if loss in ("QuerySoftMax", "StochasticFilter") else grades
    loss_case("rank_" + loss.split(":")[0].lower(), loss, make, grouped=True)
loss_case("many_borders", "RMSE", lambda s, rng: s, border_count=2000, iterations=40, depth=6)
loss_case("deepest", "RMSE", lambda s, rng: s, depth=14, iterations=2)
loss_case("one_tree_no_split", "RMSE", lambda s, rng: s, iterations=1, min_data_in_leaf=1000, grow_policy="Depthwise")
loss_case("nan_max", "RMSE", lambda s, rng: s, nan_mode="Max", grow_policy="Lossguide", max_leaves=40)
loss_case("dart_like", "RMSE", lambda s, rng: s, model_shrink_rate=0.2, langevin=True, posterior_sampling=False)
loss_case("ordered", "Logloss", labels([0, 1], int), boosting_type="Ordered")
loss_case("quantised_by_feature", "RMSE", lambda s, rng: s, per_float_feature_quantization=["0:border_count=700", "1:border_count=2"])
loss_case("ignored_middle", "RMSE", lambda s, rng: s, ignored_features=[1, 2])
loss_case("ignored_last", "RMSE", lambda s, rng: s, ignored_features=[3, 4])
loss_case("classifier_default", None, labels(["x", "y"]), kind=cb.CatBoostClassifier)
loss_case("regressor_default", "RMSE", lambda s, rng: s, kind=cb.CatBoostRegressor)
loss_case("ranker_default", "YetiRank", grades, kind=cb.CatBoostRanker, grouped=True)


@case
def threshold(rng):
    table = numbers(rng)
    model = fitted("Logloss", (signal(table) > 0).astype(int), table, kind=cb.CatBoostClassifier)
    model.set_probability_threshold(0.3)
    return model, near_borders(model, table, rng), {}


@case
def scaled(rng):
    table = numbers(rng)
    model = fitted("MultiRMSE", several(signal(table), rng), table)
    model.set_scale_and_bias(0.37, [1.5, -2.25, 0.1])
    return model, near_borders(model, table, rng), {}


@case
def shrunk(rng):
    table = numbers(rng)
    model = fitted("RMSE", signal(table), table, iterations=20)
    model.shrink(ntree_end=9, ntree_start=3)
    return model, near_borders(model, table, rng), {}


@case
def summed(rng):
    table = numbers(rng)
    parts = [fitted("RMSE", signal(table) * k, table, random_seed=k) for k in (1, 2, 3)]
    model = cb.sum_models(parts, weights=[0.2, 1.0, -0.5])
    return model, near_borders(parts[0], table, rng), {}


@case
def summed_classes(rng):
    table = numbers(rng)
    parts = [fitted("MultiClass", labels(["a", "b", "c"])(signal(table) + k, rng), table, random_seed=k) for k in (0, 1)]
    return cb.sum_models(parts), near_borders(parts[0], table, rng), {}


@case
def continued(rng):
    table = numbers(rng)
    first = fitted("RMSE", signal(table), table)
    model = cb.CatBoost(dict(QUIET, loss_function="RMSE"))
    model.fit(cb.Pool(table, signal(table) ** 2), init_model=first)
    return model, near_borders(model, table, rng), {}


@case
def constant(rng):
    table = numbers(rng)
    return fitted("RMSE", np.full(len(table), 2.5), table, allow_const_label=True, bootstrap_type="No"), [list(map(float, row)) for row in table[:20]], {}


@case
def python_objective(rng):
    class Squared:
        def calc_ders_range(self, approxes, targets, weights):
            return [(t - a, -1.0) for a, t in zip(approxes, targets)]
    table = numbers(rng)
    model = cb.CatBoost(dict(QUIET, loss_function=Squared(), eval_metric="RMSE")).fit(cb.Pool(table, signal(table)))
    return model, near_borders(model, table, rng), {}


@case
def named(rng):
    table = pd.DataFrame(numbers(rng), columns=["alter", "größe (cm)", "a/b", "日本", "1"])
    model = fitted("RMSE", signal(table.values), table)
    return model, near_borders(model, table.values, rng), dict(feature_names=list(table.columns))


def mixed(rng, levels=COLOURS, rows=400, whole=30):
    table = pd.DataFrame(numbers(rng, rows, 3), columns=["n0", "n1", "n2"]).astype(float)
    codes = rng.randint(len(levels), size=rows)
    table.insert(1, "colour", [levels[c] for c in codes])
    table["number"] = [int(c) for c in rng.randint(-whole, whole, size=rows) * 7]
    table["size"] = [["S", "M", "L"][c] for c in rng.randint(3, size=rows)]
    target = np.sin(codes * 2.0) * 2 + np.sin(table["number"].values) + signal(table[["n0", "n1", "n2"]].values)
    return table, target


def ask_mixed(table, rng, rows=120):
    asked = table.iloc[:rows].copy().astype(object)
    for i in range(0, rows, 3):
        column = ["colour", "number", "size", "n0", "n1", "n2"][i // 3 % 6]
        value = {"colour": ["never seen", "Red", "red ", "e\u0301te\u0301", "\u0000", "ÿ" * 300][i % 6], "number": [99999, 2**40, -1, 0][i % 4], "size": "XXL"}
        asked.iloc[i, asked.columns.get_loc(column)] = value.get(column, [np.nan, np.inf, -np.inf, 1e30][i % 4])
    return asked.values.tolist()


def mixed_case(name, loss="RMSE", make_y=lambda s, rng: s, **params):
    def run(rng):
        table, target = mixed(rng)
        pool = cb.Pool(table, make_y(target, rng), cat_features=["colour", "number", "size"])
        model = cb.CatBoost(dict(QUIET, loss_function=loss, **params)).fit(pool)
        return model, ask_mixed(table, rng), dict(feature_names=list(table.columns), pool=pool, cats=[1, 4, 5])
    cases[name] = run


EVERY = ["Borders:TargetBorderCount=3:Prior=0.5:Prior=0:Prior=0.7", "Buckets:TargetBorderCount=4:Prior=0.2", "BinarizedTargetMeanValue:Prior=0.1", "Counter:Prior=0.3"]
for policy in ("SymmetricTree", "Depthwise", "Lossguide"):
    end = policy.lower()
    mixed_case("mixed_" + end, grow_policy=policy, iterations=20)
    mixed_case("mixed_onehot_" + end, grow_policy=policy, one_hot_max_size=100)
    mixed_case("mixed_every_ctr_" + end, grow_policy=policy, simple_ctr=EVERY, combinations_ctr=EVERY, max_ctr_complexity=4, iterations=25)
    mixed_case("mixed_classes_" + end, "MultiClass", labels(["p", "q", "r", "s"]), grow_policy=policy, iterations=12)
    mixed_case("mixed_binary_" + end, "Logloss", labels(["p", "q"]), grow_policy=policy, iterations=20)
for kind in ("Borders", "Buckets", "BinarizedTargetMeanValue", "Counter"):
    mixed_case("ctr_" + kind.lower(), simple_ctr=[kind], combinations_ctr=[kind], iterations=20, one_hot_max_size=1)
mixed_case("ctr_by_feature", per_feature_ctr=["1:Borders:TargetBorderCount=5:Prior=0.5", "4:Counter:CtrBorderCount=40:Prior=0"], iterations=20)
mixed_case("ctr_counter_full", simple_ctr=["Counter:CtrBorderCount=50"], counter_calc_method="Full", iterations=20)
mixed_case("ctr_final_default", final_ctr_computation_mode="Default", iterations=20, ctr_target_border_count=4)
mixed_case("ctr_limit", ctr_leaf_count_limit=5, iterations=20)
mixed_case("ctr_history", ctr_history_unit="Sample", fold_permutation_block=4, iterations=20)
mixed_case("ctr_cuts", simple_ctr=["Borders:TargetBorderCount=2", "Borders:TargetBorderCount=6:Prior=0.3"], iterations=20)
mixed_case("ctr_deep", depth=9, iterations=10, max_ctr_complexity=6, one_hot_max_size=4)
mixed_case("ctr_nan_max", nan_mode="Max", depth=7, iterations=30, max_ctr_complexity=3)
mixed_case("ctr_several", "MultiRMSE", several, iterations=10, max_ctr_complexity=1)
mixed_case("ctr_flags", "MultiLogloss", flags, iterations=10, max_ctr_complexity=1)
mixed_case("ctr_unused", iterations=2, depth=1, max_ctr_complexity=1)


@case
def mixed_summed(rng):
    table, target = mixed(rng)
    pools = [cb.Pool(table.iloc[part], target[part], cat_features=["colour", "number", "size"]) for part in (slice(0, 250), slice(150, 400))]
    parts = [cb.CatBoost(dict(QUIET, loss_function="RMSE", random_seed=i)).fit(pool) for i, pool in enumerate(pools)]
    model = cb.sum_models(parts, weights=[0.5, 0.7], ctr_merge_policy="IntersectingCountersAverage")
    return model, ask_mixed(table, rng), dict(feature_names=list(table.columns), cats=[1, 4, 5], json=False)


@case
def mixed_ignored(rng):
    table, target = mixed(rng)
    pool = cb.Pool(table, target, cat_features=["colour", "number", "size"])
    model = cb.CatBoost(dict(QUIET, loss_function="RMSE", ignored_features=["n0", "number"], iterations=20)).fit(pool)
    return model, ask_mixed(table, rng), dict(feature_names=list(table.columns), pool=pool, cats=[1, 4, 5])


@case
def categories_only(rng):
    table, target = mixed(rng)
    table = table[["colour", "size"]]
    pool = cb.Pool(table, target, cat_features=["colour", "size"])
    model = cb.CatBoost(dict(QUIET, loss_function="RMSE", iterations=20)).fit(pool)
    return model, table.values.tolist()[:60] + [["?", "M"], ["red", "?"], ["?", "?"]], dict(feature_names=list(table.columns), pool=pool, cats=[0, 1])


@case
def categories_as_floats(rng):
    table, target = mixed(rng)
    table["number"] = table["number"].astype(float).astype(str)
    pool = cb.Pool(table, target, cat_features=["colour", "number", "size"])
    model = cb.CatBoost(dict(QUIET, loss_function="RMSE", iterations=20)).fit(pool)
    rows = table.values.tolist()[:60]
    return model, rows, dict(feature_names=list(table.columns), pool=pool, cats=[1, 4, 5])


@case
def categories_of_bools(rng):
    table, target = mixed(rng)
    table["size"] = rng.uniform(size=len(table)) < 0.5
    pool = cb.Pool(table, target, cat_features=["colour", "number", "size"])
    model = cb.CatBoost(dict(QUIET, loss_function="RMSE", iterations=20, one_hot_max_size=2)).fit(pool)
    return model, table.values.tolist()[:60], dict(feature_names=list(table.columns), pool=pool, cats=[1, 4, 5])


def answers_of(model, asked):
    """CatBoost dies of some types of answers that a loss function has not, so they are not asked for."""
    loss = str(model._object._get_loss_function_name() or "")
    wanted = ["predict_raw"]
    if loss.split(":")[0] in ("Logloss", "Focal", "MultiClass", "MultiClassOneVsAll", "CrossEntropy"):
        wanted += ["class", "probability", "predict_log_proba"]
    elif loss in ("MultiLogloss", "MultiCrossEntropy"):
        wanted += ["class", "probability"]
    elif loss.startswith(("Poisson", "Tweedie")):
        wanted += ["exponent"]
    elif loss == "RMSEWithUncertainty":
        wanted += ["rmse_with_uncertainty"]
    found = {key: model.predict(asked, prediction_type=TYPES[key]) for key in wanted}
    found["predict"] = found["class"] if "class" in found and not loss.startswith("CrossEntropy") else found["predict_raw"]
    return found


def shaped(values):
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def main():
    for name in sys.argv[2:] or cases:
        try:
            model, rows, more = cases[name](np.random.RandomState(len(name)))
            stem = os.path.join(FOLDER, name)
            model.save_model(stem + ".cbm")
            if more.get("json", True):
                model.save_model(stem + ".json", format="json", **({"pool": more["pool"]} if "pool" in more else {}))
            asked = cb.Pool(rows, cat_features=more.get("cats", []), feature_names=more.get("feature_names"))
            answers = {key: shaped(value) for key, value in answers_of(model, asked).items()}
        except Exception as error:
            print("no", name, "-", type(error).__name__, str(error).strip().replace("\n", " ")[:160])
            continue
        loaded = shaped(cb.CatBoost().load_model(stem + ".cbm").predict(asked))
        if not np.array_equal(loaded, answers["predict_raw"], equal_nan=True):
            print("the saved model of", name, "answers otherwise")
        names = more.get("feature_names") or model.feature_names_
        write_expected(FOLDER, name, rows, dtype="mixed", feature_names=names, leaf=model.calc_leaf_indexes(asked), **answers)


main()
