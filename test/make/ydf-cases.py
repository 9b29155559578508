"""YDF models of kinds that test/make/ydf-models.py does not train, with what YDF itself answers:

    python test/make/ydf-cases.py FOLDER

Then SLIPWAY_FIXTURES=FOLDER makes test/ydf-models.spec.ts compare them. What the installed release refuses is left out, with
a note; models whose name begins with "refused" are of kinds that are not served.
"""

import os
import shutil

import numpy as np
import pandas as pd
import ydf

from models import out_folder, write_expected

FOLDER = out_folder("ydf", ydf.__version__)
NAMES = ["alter", "größe", "a b", "日本"]


def table(rng, rows, texts=False, bools=False):
    frame = pd.DataFrame(rng.randn(rows, 4).round(2).astype("float32") * 3, columns=NAMES)
    frame = frame.mask(rng.uniform(size=frame.shape) < 0.04)
    if texts:
        frame["stadt"] = np.array(["Köln", "東京", "", "NA", "x" * 60, "Rio", "0", "-1"], dtype=object)[rng.randint(8, size=rows)]
        frame["rare"] = np.array(["r%d" % i for i in range(120)], dtype=object)[np.minimum(rng.geometric(0.05, size=rows), 119)]
    if bools:
        frame["wahr"] = rng.uniform(size=rows) < 0.5
    return frame


def signal(frame):
    found = np.sin(np.nan_to_num(frame[NAMES].values.astype(float))).sum(axis=1)
    if "stadt" in frame:
        found = found + frame["stadt"].map(len).values % 3 + frame["rare"].map(lambda t: int(t[1:]) % 5).values
    return found + (frame["wahr"].values * 1.5 if "wahr" in frame else 0)


def ask(frame, rng):
    """Some rows, with missing, infinite, enormous and unknown values, and none at all."""
    asked = frame.iloc[:90].copy()
    for i in range(20, 70):
        name = asked.columns[i % len(asked.columns)]
        if name in NAMES:
            asked.loc[i, name] = np.float32([np.nan, np.inf, -np.inf, 3e38, -1e-40, 0.0, -0.0][i % 7])
        elif name != "wahr":
            asked.loc[i, name] = ["never seen", "", "köln"][i % 3]
    asked.loc[70, NAMES] = np.nan
    return asked


def save(name, model, asked):
    path = os.path.join(FOLDER, name)
    shutil.rmtree(path, ignore_errors=True)
    model.save(path)
    used = model.input_feature_names()
    cells = [[None if pd.isna(v) else v for v in row] for row in asked[used].astype(object).values]
    try:
        leaf = model.predict_leaves(asked)[:20]
    except Exception:
        leaf = None
    write_expected(FOLDER, name, cells, dtype="float32", feature_names=used, predict=model.predict(asked), leaf=leaf)


def case(name, learner, make_y, seed=1, rows=500, texts=False, bools=False, change=None, **settings):
    try:
        rng = np.random.RandomState(seed)
        frame = table(rng, rows, texts, bools)
        more = make_y(signal(frame), rng) if make_y else {}
        data = frame.assign(**more)
        model = learner(**({"label": "y"} if make_y else {}), random_seed=seed, num_threads=1, **settings).train(data)
        if change:
            change(model)
        asked = ask(frame, rng)
        save(name, model, asked.assign(**{key: values[: len(asked)] for key, values in more.items()}))
    except Exception as error:
        print("no", name, "-", type(error).__name__, str(error).strip().replace("\n", " ")[:200])


def number(s, rng):
    return {"y": s}


def classes(values):
    return lambda s, rng: {"y": np.array(values, dtype=object)[np.digitize(s, np.quantile(s, np.linspace(0, 1, len(values) + 1)[1:-1]))]}


def treated(s, rng):
    return {"y": np.where(s > 0, "1", "0").astype(object), "t": rng.randint(1, 3, size=len(s)).astype(str).astype(object)}


def lived(s, rng):
    return {"y": np.abs(s) + 0.1, "event": rng.uniform(size=len(s)) < 0.7}


def main():
    ydf.verbose(0)
    boosted, forest, cart = ydf.GradientBoostedTreesLearner, ydf.RandomForestLearner, ydf.CartLearner
    isolated = getattr(ydf, "IsolationForestLearner", None)
    regression = {"task": ydf.Task.REGRESSION}
    for texts in (False, True):
        end = "_texts" if texts else ""
        case("isolation" + end, isolated, None, num_trees=20, texts=texts)
        case("isolation_small" + end, isolated, None, num_trees=3, subsample_count=8, texts=texts, bools=texts)
        case("isolation_deep" + end, isolated, None, num_trees=5, subsample_ratio=0.9, max_depth=30, rows=3000, texts=texts)
        for label, make in (("two", classes(["no", "yes"])), ("five", classes(["a", "b", "ü", "d", "e"]))):
            case("boosted_%s%s" % (label, end), boosted, make, num_trees=10, texts=texts, bools=texts)
            case("forest_%s%s" % (label, end), forest, make, num_trees=13, texts=texts, bools=texts)
            case("forest_shares_%s%s" % (label, end), forest, make, num_trees=13, texts=texts, winner_take_all=False, max_depth=5)
            case("honest_%s%s" % (label, end), forest, make, num_trees=7, texts=texts, honest=True)
            case("cart_%s%s" % (label, end), cart, make, texts=texts)
        case("forest_number" + end, forest, number, num_trees=12, texts=texts, **regression)
        case("boosted_number" + end, boosted, number, num_trees=12, texts=texts, bools=texts, **regression)
        case("boosted_logits" + end, boosted, classes(["a", "b", "c"]), num_trees=5, texts=texts, apply_link_function=False)
        case("random_splits" + end, forest, number, num_trees=6, texts=texts, categorical_algorithm="RANDOM", **regression)
    case("discretized", boosted, number, num_trees=10, discretize_numerical_columns=True, num_discretized_numerical_bins=20, texts=True, **regression)
    case("discretized_isolation", isolated, None, num_trees=6, discretize_numerical_columns=True)
    for axis in ("SPARSE_OBLIQUE", "MHLD_OBLIQUE"):
        for weights in (["BINARY", "CONTINUOUS", "POWER_OF_TWO", "INTEGER"] if axis == "SPARSE_OBLIQUE" else [None]):
            more = {"sparse_oblique_weights": weights} if weights else {}
            case("%s_%s" % (axis.lower(), weights), boosted, number, num_trees=6, split_axis=axis, **more, **regression)
            case("%s_%s_forest" % (axis.lower(), weights), forest, classes(["a", "b", "c"]), num_trees=6, split_axis=axis, texts=True, **more)
    case("isolation_oblique", isolated, None, num_trees=6, split_axis="SPARSE_OBLIQUE")
    case("best_first", boosted, number, num_trees=6, growing_strategy="BEST_FIRST_GLOBAL", max_num_nodes=200, rows=4000, **regression)
    case("selective", boosted, classes(["no", "yes"]), num_trees=6, sampling_method="GOSS")
    case("weighted", boosted, lambda s, rng: {"y": s, "w": rng.uniform(0.1, 2, size=len(s))}, num_trees=6, weights="w", **regression)
    case("numbers_as_classes", boosted, lambda s, rng: {"y": np.digitize(s, [-1, 1])}, num_trees=6)
    case("flags_as_classes", boosted, lambda s, rng: {"y": s > 0}, num_trees=6)
    case("poisson", boosted, lambda s, rng: {"y": np.floor(np.abs(s))}, num_trees=6, loss="POISSON", **regression)
    case("mae", boosted, number, num_trees=6, loss="MEAN_AVERAGE_ERROR", **regression)
    for loss in ("LAMBDA_MART_NDCG", "XE_NDCG_MART"):
        case("ranked_" + loss.lower(), boosted, lambda s, rng: {"y": np.clip(np.floor(np.abs(s)), 0, 4), "g": np.array(["g%d" % (i // 20) for i in range(len(s))], dtype=object)}, num_trees=6, loss=loss, task=ydf.Task.RANKING, ranking_group="g")
    case("cox", boosted, lived, num_trees=6, task=getattr(ydf.Task, "SURVIVAL_ANALYSIS", None), label_event_observed="event")
    case("refused_uplift", forest, treated, num_trees=4, task=ydf.Task.CATEGORICAL_UPLIFT, uplift_treatment="t")
    case("one_tree", forest, number, num_trees=1, bootstrap_training_dataset=False, **regression)
    case("no_split", boosted, number, num_trees=2, min_examples=10_000, **regression)
    rng = np.random.RandomState(5)
    words = [list(np.array(["w%d" % i for i in range(30)])[rng.randint(30, size=rng.randint(1, 6))]) for _ in range(400)]
    frame = {"words": np.array([np.array(w, dtype=object) for w in words], dtype=object), "n": rng.randn(400).astype("float32")}
    target = np.array([len(set(w)) + ("w3" in w) for w in words], dtype="float32")
    features = [ydf.Feature("words", ydf.Semantic.CATEGORICAL_SET), ydf.Feature("n", ydf.Semantic.NUMERICAL)]
    try:
        boosted(label="y", num_trees=3, features=features, **regression).train({**frame, "y": target}).save(os.path.join(FOLDER, "refused_sets"))
        write_expected(FOLDER, "refused_sets", [], dtype="float32", feature_names=[], predict=[])
    except Exception as error:
        print("no refused_sets -", type(error).__name__, str(error)[:200])


main()
