"""Trains models of the installed YDF of every kind, and records what it answers:

    python test/make/ydf-models.py FOLDER

Then SLIPWAY_FIXTURES=FOLDER makes test/ydf-models.spec.ts compare them all.
"""

import os
import shutil

import numpy as np
import pandas as pd
import ydf

from models import make_label, make_table, out_folder, write_expected

FOLDER = out_folder("ydf", ydf.__version__)
COLOURS = np.array(["red", "green", "blue", "été", "light blue", "grey"], dtype=object)


def make_frame(rng, rows, label, texts, classes):
    table, whole = make_table(rng, rows, 5)
    frame = pd.DataFrame(table.astype("float32"), columns=["n%d" % i for i in range(5)])
    if texts:
        codes = rng.randint(len(COLOURS), size=rows)
        whole[:, 4] = np.sin(codes * 2.3) * 2
        frame["colour"] = COLOURS[codes]
        frame.loc[rng.uniform(size=rows) < 0.05, "colour"] = ""
        frame["flag"] = rng.uniform(size=rows) < 0.4
    y = make_label(rng, whole, label, classes)
    return frame, np.array(["a", "b", "c", "d"])[y] if label in ("binary", "class") else y


def thresholds_of(model):
    found = []

    def walk(node):
        condition = getattr(node, "condition", None)
        if condition is None:
            return
        if hasattr(condition, "threshold") and hasattr(condition, "attribute"):
            found.append((model.data_spec().columns[condition.attribute].name, float(condition.threshold)))
        walk(node.pos_child)
        walk(node.neg_child)

    for i in range(min(model.num_trees(), 8)):
        walk(model.get_tree(i).root)
    return found


def train(name, learner, label, seed, rows=400, texts=True, classes=3, **settings):
    rng = np.random.RandomState(seed)
    frame, y = make_frame(rng, rows, label, texts, classes)
    whole = frame.assign(y=y)
    if settings.get("ranking_group"):
        whole["group"] = np.array(["g%d" % (i // 20) for i in range(rows)], dtype=object)
    model = learner(label="y", random_seed=seed, num_threads=1, **settings).train(whole)
    path = os.path.join(FOLDER, name)
    shutil.rmtree(path, ignore_errors=True)
    model.save(path)
    asked = frame.iloc[:80].copy()
    if texts:
        asked.loc[asked.index[0], "colour"] = "never seen"
        asked.loc[asked.index[1], "colour"] = ""
    for i, column in enumerate(["n0", "n1", "n2"]):
        asked.loc[asked.index[2 + i], column] = np.nan
    for i, (column, threshold) in enumerate(thresholds_of(model)[:60]):
        if column.startswith("n"):
            asked.loc[asked.index[10 + i], column] = np.float32(threshold)
    used = model.input_feature_names()
    cells = [[None if pd.isna(v) else v for v in row] for row in asked[used].astype(object).values]
    write_expected(FOLDER, name, [[float(v) if isinstance(v, np.floating) else v for v in row] for row in cells],
                   dtype="float32", feature_names=used, predict=model.predict(asked.assign(group="g0")),
                   leaf=model.predict_leaves(asked.assign(y=y[:80], group="g0"))[:20])


def attempt(name, *given, **more):
    """A combination that this release refuses is none of its models."""
    try:
        train(name, *given, **more)
    except Exception as error:
        print("no", name, "-", type(error).__name__, str(error).strip().split("\n")[0][-160:])


def main():
    ydf.verbose(0)
    boosted, forest = ydf.GradientBoostedTreesLearner, ydf.RandomForestLearner
    regression = {"task": ydf.Task.REGRESSION}
    tasks = {"binary": {}, "class": {}, "any": regression, "positive": regression, "count": regression}
    for texts in (True, False):
        for label, task in tasks.items():
            end = "%s_%s" % (label, "texts" if texts else "numbers")
            attempt("boosted_" + end, boosted, label, 1, num_trees=12, max_depth=4, texts=texts, **task)
            attempt("boosted_deep_" + end, boosted, label, 2, rows=3000, num_trees=9, max_depth=12, min_examples=1, texts=texts, **task)
            attempt("forest_" + end, forest, label, 3, num_trees=7, max_depth=6, texts=texts, **task)
            attempt("forest_deep_" + end, forest, label, 4, rows=2000, num_trees=11, max_depth=16, texts=texts, **task)
            attempt("forest_shares_" + end, forest, label, 5, num_trees=7, winner_take_all=False, texts=texts, **task)
            attempt("cart_" + end, ydf.CartLearner, label, 6, texts=texts, **task)
        attempt("classes4_%s" % texts, boosted, "class", 7, num_trees=6, classes=4, texts=texts)
        attempt("classes4_forest_%s" % texts, forest, "class", 7, num_trees=6, classes=4, texts=texts)
    for weights in ("BINARY", "CONTINUOUS"):
        for missing in ("GLOBAL_IMPUTATION", "LOCAL_IMPUTATION"):
            for learner, kind in ((boosted, "boosted"), (forest, "forest")):
                attempt("oblique_%s_%s_%s" % (kind, weights, missing), learner, "binary", 8, num_trees=8, texts=False,
                        split_axis="SPARSE_OBLIQUE", sparse_oblique_weights=weights, missing_value_policy=missing)
    for missing in ("LOCAL_IMPUTATION", "RANDOM_LOCAL_IMPUTATION"):
        attempt("missing_" + missing, boosted, "binary", 9, num_trees=8, missing_value_policy=missing)
        attempt("missing_forest_" + missing, forest, "class", 9, num_trees=8, missing_value_policy=missing)
    attempt("discretized", boosted, "binary", 10, num_trees=8, discretize_numerical_columns=True)
    attempt("discretized_forest", forest, "any", 10, num_trees=8, discretize_numerical_columns=True, **regression)
    attempt("best_first", boosted, "binary", 11, num_trees=8, growing_strategy="BEST_FIRST_GLOBAL", max_num_nodes=100, rows=2000)
    attempt("onehot", boosted, "binary", 12, num_trees=8, categorical_algorithm="ONE_HOT")
    attempt("focal", boosted, "binary", 13, num_trees=8, loss="BINARY_FOCAL_LOSS")
    attempt("absolute", boosted, "any", 14, num_trees=8, loss="MEAN_AVERAGE_ERROR", **regression)
    attempt("poisson", boosted, "count", 15, num_trees=8, loss="POISSON", **regression)
    attempt("ranking", boosted, "relevance", 16, num_trees=8, task=ydf.Task.RANKING, ranking_group="group")
    attempt("dart", boosted, "binary", 17, num_trees=8, dart_dropout=0.3)
    attempt("logits", boosted, "binary", 18, num_trees=8, apply_link_function=False)


main()
