"""Treelite models of every frontend and postprocessor, with what GTIL answers:

    python test/make/treelite-cases.py FOLDER

Then SLIPWAY_FIXTURES=FOLDER makes test/tree-models.spec.ts compare them. Needs treelite 4, scikit-learn, XGBoost and LightGBM;
what the installed releases refuse is left out, with a note.
"""

import os

import numpy as np
import treelite
import treelite.sklearn
from sklearn import ensemble as sk
from treelite import gtil
from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

from models import out_folder, write_expected

FOLDER = out_folder("treelite", treelite.__version__)
OPERATORS = ["<", "<=", ">", ">="]


def thresholds_of(model):
    import json
    found = []
    for tree in json.loads(model.dump_as_json())["trees"]:
        found += [(node["split_feature_id"], node["threshold"]) for node in tree["nodes"] if "threshold" in node]
    return found


def rows_for(model, table, rng, missing):
    rows = [row.copy() for row in table[:30].astype(float)]
    found = thresholds_of(model)
    for i in rng.permutation(len(found))[:30]:
        feature, threshold = found[i]
        for value in (threshold, np.nextafter(np.float32(threshold), np.float32(9e9)), np.nextafter(threshold, -9e9)):
            row = table[rng.randint(len(table))].astype(float)
            row[feature] = value
            rows.append(row)
    for value in ([np.nan] if missing else []) + [np.inf, -np.inf, 0.0, -0.0, -1.0, 0.5, 2.9, 31.0, 32.0, 1e10, -1e30]:
        rows.append(np.full(table.shape[1], value))
    return np.array(rows)


def save(name, model, table, seed=0, missing=True):
    rng = np.random.RandomState(seed)
    rows = rows_for(model, table, rng, missing)
    kind = np.float64 if "float64" in str(model.input_type) else np.float32
    asked = rows.astype(kind)
    model.serialize(os.path.join(FOLDER, name + ".treelite"))
    with open(os.path.join(FOLDER, name + ".json"), "w") as file:
        file.write(model.dump_as_json(pretty_print=False))
    flat = lambda values: np.asarray(values)[:, 0, 0] if np.asarray(values).shape[1:] == (1, 1) else np.asarray(values)
    write_expected(FOLDER, name, rows, dtype=str(kind.__name__), feature_names=[str(i) for i in range(table.shape[1])],
                   predict=flat(gtil.predict(model, asked)), margin=flat(gtil.predict(model, asked, pred_margin=True)),
                   leaf=gtil.predict_leaf(model, asked).astype(int))


def attempt(name, make, table, **more):
    try:
        save(name, make(), table, **more)
    except Exception as error:
        print("no", name, "-", type(error).__name__, str(error).strip().replace("\n", " ")[-200:])


def grow(builder, rng, depth, features, leaf, categories):
    """A tree of random tests: every operator, some of them on categories."""
    builder.start_tree()
    waiting, made = [(0, depth)], 1
    while waiting:
        key, left = waiting.pop()
        builder.start_node(key)
        if left == 0 or (key > 0 and rng.uniform() < 0.2):
            builder.leaf(leaf(rng))
        else:
            children = dict(default_left=bool(rng.randint(2)), left_child_key=made, right_child_key=made + 1)
            feature = int(rng.randint(features))
            if categories and rng.uniform() < 0.4:
                chosen = sorted(set(rng.randint(0, 70, size=8).tolist()))
                builder.categorical_test(feature, category_list=chosen, category_list_right_child=bool(rng.randint(2)), **children)
            else:
                builder.numerical_test(feature, threshold=float(np.float32(rng.randn())), opname=OPERATORS[rng.randint(4)], **children)
            waiting += [(made + 1, left - 1), (made, left - 1)]
            made += 2
        builder.end_node()
    builder.end_tree()


def built(kind, postprocessor, targets=1, classes=(1,), shape=(1, 1), places=((0, 0),), trees=6, task="kRegressor", averaged=False, categories=True, alpha=1.0, ratio=1.0, base=None):
    rng = np.random.RandomState(len(postprocessor) + trees)
    spots = [places[i % len(places)] for i in range(trees)]
    columns = targets * max(classes)
    builder = ModelBuilder(
        threshold_type=kind, leaf_output_type=kind,
        metadata=Metadata(num_feature=5, task_type=task, average_tree_output=averaged, num_target=targets, num_class=list(classes), leaf_vector_shape=shape),
        tree_annotation=TreeAnnotation(num_tree=trees, target_id=[t for t, _ in spots], class_id=[c for _, c in spots]),
        postprocessor=PostProcessorFunc(name=postprocessor, sigmoid_alpha=alpha, ratio_c=ratio),
        base_scores=base or [round(float(x), 2) for x in rng.randn(columns)])
    width = shape[0] * shape[1]
    leaf = (lambda r: float(np.float32(r.randn()))) if width == 1 else (lambda r: [float(np.float32(x)) for x in r.randn(width)])
    for _ in range(trees):
        grow(builder, rng, 4, 5, leaf, categories)
    return builder.commit()


def from_scikit(table, label, y, y2):
    many = (label, (label > 0).astype(int) + 3, np.stack([label, -label], 1))
    for name, model, target in (
        ("forest", sk.RandomForestRegressor(5, max_depth=6), y), ("forest_two", sk.RandomForestClassifier(5, max_depth=5), label > 0),
        ("forest_five", sk.RandomForestClassifier(5, max_depth=5), label), ("extra", sk.ExtraTreesRegressor(5, max_depth=6), y),
        ("extra_five", sk.ExtraTreesClassifier(5, max_depth=5), label), ("boosted", sk.GradientBoostingRegressor(n_estimators=8), y),
        ("boosted_two", sk.GradientBoostingClassifier(n_estimators=8), label > 0), ("boosted_five", sk.GradientBoostingClassifier(n_estimators=4), label),
        ("hist", sk.HistGradientBoostingRegressor(max_iter=8), y), ("hist_two", sk.HistGradientBoostingClassifier(max_iter=8), label > 0),
        ("hist_five", sk.HistGradientBoostingClassifier(max_iter=3), label), ("isolation", sk.IsolationForest(n_estimators=8, random_state=1), None),
        ("forest_targets", sk.RandomForestRegressor(4, max_depth=4), np.stack([y, -y, y2], 1)),
        ("forest_labels", sk.RandomForestClassifier(4, max_depth=4), np.stack([label > 0, label > 1], 1).astype(int)),
        ("forest_labels_uneven", sk.RandomForestClassifier(4, max_depth=4), np.stack([label, label > 1], 1).astype(int)),
        ("forest_init_zero", sk.GradientBoostingRegressor(n_estimators=5, init="zero"), y),
    ):
        attempt("sk_" + name, lambda m=model, t=target: treelite.sklearn.import_model(m.fit(np.nan_to_num(table), t)), table, missing="hist" in name)


def from_boosters(table, label, y):
    import lightgbm as lgb
    import xgboost as xgb
    for objective in ("reg:squarederror", "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson", "reg:gamma", "reg:tweedie", "rank:pairwise", "reg:squaredlogerror", "reg:pseudohubererror", "multi:softmax", "multi:softprob"):
        target = label if "multi" in objective else (label > 0).astype(int) if "binary" in objective else np.abs(y) + 0.1
        params = dict(objective=objective, max_depth=4, **({"num_class": 5} if "multi" in objective else {}))
        attempt("xgb_" + objective.replace(":", "_"), lambda: treelite.frontend.from_xgboost(xgb.train(params, xgb.DMatrix(table, target), 6)), table)
    attempt("xgb_dart", lambda: treelite.frontend.from_xgboost(xgb.train(dict(booster="dart", rate_drop=0.5), xgb.DMatrix(table, y), 6)), table)
    attempt("xgb_forest", lambda: treelite.frontend.from_xgboost(xgb.train(dict(num_parallel_tree=3, subsample=0.5), xgb.DMatrix(table, y), 3)), table)
    attempt("xgb_targets", lambda: treelite.frontend.from_xgboost(xgb.train(dict(tree_method="hist"), xgb.DMatrix(table, np.stack([y, -y], 1)), 4)), table)
    attempt("xgb_vector", lambda: treelite.frontend.from_xgboost(xgb.train(dict(tree_method="hist", multi_strategy="multi_output_tree"), xgb.DMatrix(table, np.stack([y, -y], 1)), 4)), table)
    for objective in ("regression", "regression_l1", "binary", "poisson", "tweedie", "cross_entropy", "cross_entropy_lambda", "lambdarank", "multiclass", "multiclassova", "regression sqrt"):
        target = label if "multi" in objective else (label > 0).astype(int) if objective in ("binary", "lambdarank") or "cross" in objective else np.abs(y) + 0.1
        params = dict(objective=objective.split()[0], verbosity=-1, num_leaves=12, **({"num_class": 5} if "multi" in objective else {}), **({"reg_sqrt": True} if "sqrt" in objective else {}))
        codes = table.copy()
        codes[:, 4] = np.abs(codes[:, 4] * 7) // 1
        group = [len(y) // 10] * 10 if objective == "lambdarank" else None
        attempt("lgb_" + objective.replace(" ", "_"), lambda: treelite.frontend.from_lightgbm(lgb.train(params, lgb.Dataset(codes, target, categorical_feature=[4], group=group), 6)), codes)
    attempt("lgb_rf", lambda: treelite.frontend.from_lightgbm(lgb.train(dict(boosting="rf", bagging_freq=1, bagging_fraction=0.5, verbosity=-1), lgb.Dataset(table, y), 5)), table)


def main():
    rng = np.random.RandomState(3)
    table = rng.randn(300, 5).astype(np.float32)
    y = np.sin(table).sum(axis=1).astype(float)
    y2 = table[:, 0] ** 2
    label = np.digitize(y, [-1.5, -0.5, 0.5, 1.5])
    for kind in ("float32", "float64"):
        for name in ("identity", "signed_square", "hinge", "sigmoid", "exponential", "exponential_standard_ratio", "logarithm_one_plus_exp"):
            attempt("built_%s_%s" % (name, kind), lambda: built(kind, name, alpha=1.7, ratio=2.3), table)
            attempt("built_many_%s_%s" % (name, kind), lambda: built(kind, name, classes=(3,), places=((0, 0), (0, 1), (0, 2)), task="kMultiClf", alpha=1.7), table)
            attempt("built_targets_%s_%s" % (name, kind), lambda: built(kind, name, targets=2, classes=(1, 1), places=((0, 0), (1, 0)), alpha=1.7), table)
        for name in ("identity_multiclass", "softmax", "multiclass_ova"):
            many = dict(classes=(3,), task="kMultiClf", alpha=0.7)
            attempt("built_%s_%s" % (name, kind), lambda: built(kind, name, places=((0, 0), (0, 1), (0, 2)), **many), table)
            attempt("built_vector_%s_%s" % (name, kind), lambda: built(kind, name, shape=(1, 3), places=((0, -1),), averaged=True, **many), table)
            attempt("built_uneven_%s_%s" % (name, kind), lambda: built(kind, name, places=((0, 0), (0, 1), (0, 2), (0, 0)), averaged=True, **many), table)
            more = dict(targets=2, classes=(3, 3), task="kMultiClf", alpha=0.7)
            attempt("built_both_%s_%s" % (name, kind), lambda: built(kind, name, shape=(2, 3), places=((-1, -1),), **more), table)
            attempt("built_target_%s_%s" % (name, kind), lambda: built(kind, name, shape=(1, 3), places=((0, -1), (1, -1)), **more), table)
            attempt("built_class_%s_%s" % (name, kind), lambda: built(kind, name, shape=(2, 1), places=((-1, 0), (-1, 1), (-1, 2)), **more), table)
            attempt("built_cells_%s_%s" % (name, kind), lambda: built(kind, name, places=((0, 0), (1, 1), (0, 2), (1, 0)), **more), table)
            attempt("built_ragged_%s_%s" % (name, kind), lambda: built(kind, name, targets=2, classes=(3, 2), shape=(2, 3), places=((-1, -1),), task="kMultiClf"), table)
    from_scikit(table, label, y, y2)
    from_boosters(table, label, y)


main()
