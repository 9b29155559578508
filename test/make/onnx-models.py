"""Exports models to ONNX (ai.onnx.ml), writes some by hand, and records what the library and ONNX Runtime (one thread) answer:

    python test/make/onnx-models.py FOLDER

XGBoost, LightGBM and CatBoost are exported where they are installed.
"""

import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from models import make_label, make_rows, make_table, plain

FOLDER = os.path.join(sys.argv[1], "trees", "onnx", "made")
os.makedirs(FOLDER, exist_ok=True)


def sessions_answers(model, rows):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    dtype = np.float64 if inputs[0].type == "tensor(double)" else np.float32
    given = {inputs[0].name: rows.astype(dtype)}
    if len(inputs) > 1:
        given = {one.name: rows[:, i : i + 1].astype(dtype) for i, one in enumerate(inputs)}
    answers = {}
    for output, value in zip(session.get_outputs(), session.run(None, given)):
        if isinstance(value, list):
            value = np.array([[row[key] for key in row] for row in value])
        answers[output.name] = value
    return answers


def record(name, model, rows, **answers):
    try:
        answers["onnxruntime"] = sessions_answers(model, rows)
    except Exception as error:
        answers["onnxruntime_error"] = str(error)[:200]
        print("  ", name, "-", answers["onnxruntime_error"])
    onnx.save(model, os.path.join(FOLDER, name + ".onnx"))
    body = {"X": rows, **{key: value for key, value in answers.items() if value is not None}}
    with open(os.path.join(FOLDER, name + ".expected.json"), "w") as file:
        json.dump(plain(body), file, allow_nan=False)


def asked_rows(rng, table, model, missing):
    """Ordinary rows, rows on the thresholds of the exported trees and next to them, and far ones."""
    thresholds = []
    for node in model.graph.node:
        given = {a.name: a for a in node.attribute}
        values = given.get("nodes_values") and given["nodes_values"].floats
        if values:
            modes = given["nodes_modes"].strings
            thresholds += [(f, v) for f, v, m in zip(given["nodes_featureids"].ints, values, modes) if m != b"LEAF"]
    rows = make_rows(rng, table, sorted(set(thresholds)))
    return rows if missing else rows[~np.isnan(rows).any(axis=1)]


def export_sklearn(name, estimator, label, seed, classes=3, missing=False, double=False, named=False, texts=False, options=None, opset=None):
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    rng = np.random.RandomState(seed)
    table, whole = make_table(rng, 240, 5, missing=0.05 if missing else 0)
    y = make_label(rng, whole, label, classes)
    if texts:
        y = np.array(["zero", "one", "zwei ü", "three"])[y]
    estimator.fit(table.astype(np.float32), y)
    kind = DoubleTensorType if double else FloatTensorType
    types = [("c%d" % i, kind([None, 1])) for i in range(5)] if named else [("X", kind([None, 5]))]
    given = {id(estimator): options} if options else None
    model = convert_sklearn(estimator, initial_types=types, options=given, target_opset=opset)
    rows = asked_rows(rng, table, model, missing)
    with np.errstate(all="ignore"):
        proba = estimator.predict_proba(rows.astype(np.float32)) if hasattr(estimator, "predict_proba") else None
        record(name, model, rows, predict=estimator.predict(rows.astype(np.float32)), predict_proba=proba)


def export_booster(name, estimator, label, seed, library, classes=3, missing=True):
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    rng = np.random.RandomState(seed)
    table, whole = make_table(rng, 240, 5, missing=0.05 if missing else 0)
    estimator.fit(table, make_label(rng, whole, label, classes))
    convert = getattr(onnxmltools, "convert_" + library)
    model = convert(estimator, initial_types=[("X", FloatTensorType([None, 5]))])
    rows = asked_rows(rng, table, model, missing)
    proba = estimator.predict_proba(rows) if hasattr(estimator, "predict_proba") else None
    record(name, model, rows, predict=np.asarray(estimator.predict(rows)).ravel(), predict_proba=proba)


def make_tree(rng, tree, depth, modes, classes, per_leaf, tracks):
    """The nodes of one tree as rows of (tree, node, feature, value, mode, yes, no, track) and its leaves as (tree, node, class, weight)."""
    nodes, leaves = [], []

    def add(level):
        node = len(nodes)
        nodes.append(None)
        if level == depth or (level > 0 and rng.uniform() < 0.2):
            nodes[node] = (tree, node, 0, 0.0, "LEAF", 0, 0, 0)
            chosen = rng.choice(classes, per_leaf, replace=False) if per_leaf < classes else range(classes)
            if per_leaf == 1 and classes > 1:
                chosen = [tree % classes]
            for one in chosen:
                leaves.append((tree, node, int(one), float(np.float32(rng.normal()))))
            return node
        value = float(np.float32(rng.choice([rng.normal(), float(rng.randint(-3, 9)), 0.0, -0.0])))
        yes = add(level + 1)
        no = add(level + 1)
        nodes[node] = (tree, node, int(rng.randint(5)), value, modes[rng.randint(len(modes))], yes, no, int(rng.randint(2)) if tracks else 0)
        return node

    add(0)
    return nodes, leaves


def write_by_hand(name, seed, kind="regressor", trees=5, modes=("BRANCH_LEQ",), classes=1, per_leaf=None, tracks=False, base=None, double=False, positive=False, depth=4, **attributes):
    """A TreeEnsembleRegressor or TreeEnsembleClassifier of version 1, or of version 3 where `as_tensor` is given."""
    rng = np.random.RandomState(seed)
    nodes, leaves = [], []
    for tree in range(trees):
        more, ends = make_tree(rng, tree, depth, modes, classes, per_leaf or classes, tracks)
        nodes += more
        leaves += ends
    as_tensor = attributes.pop("as_tensor", False)
    labels = attributes.pop("labels", None)
    prefix = "target" if kind == "regressor" else "class"
    weights = [abs(w) if positive else w for _, _, _, w in leaves]

    def numbers(key, values):
        if not as_tensor:
            return {key: values}
        return {key + "_as_tensor": numpy_helper.from_array(np.array(values, np.float64), key)}

    given = {
        "nodes_treeids": [n[0] for n in nodes],
        "nodes_nodeids": [n[1] for n in nodes],
        "nodes_featureids": [n[2] for n in nodes],
        **numbers("nodes_values", [n[3] for n in nodes]),
        "nodes_modes": [n[4] for n in nodes],
        "nodes_truenodeids": [n[5] for n in nodes],
        "nodes_falsenodeids": [n[6] for n in nodes],
        "nodes_hitrates": [1.0 for _ in nodes],
        prefix + "_treeids": [x[0] for x in leaves],
        prefix + "_nodeids": [x[1] for x in leaves],
        prefix + "_ids": [x[2] for x in leaves],
        **numbers(prefix + "_weights", weights),
        **attributes,
    }
    if as_tensor:
        given.pop("nodes_hitrates")
    if tracks:
        given["nodes_missing_value_tracks_true"] = [n[7] for n in nodes]
    if base is not None:
        given.update(numbers("base_values", base))
    number = TensorProto.DOUBLE if double else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("X", number, [None, 5])]
    if kind == "regressor":
        node = helper.make_node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=classes, **given)
        outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, classes])]
    else:
        labels = labels or list(range(10, 10 + classes))
        key = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
        given[key] = labels
        node = helper.make_node("TreeEnsembleClassifier", ["X"], ["label", "probabilities"], domain="ai.onnx.ml", **given)
        element = TensorProto.STRING if isinstance(labels[0], str) else TensorProto.INT64
        outputs = [helper.make_tensor_value_info("label", element, [None]), helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(labels)])]
    graph = helper.make_graph([node], "trees", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3 if as_tensor else 1)], ir_version=8)
    table, _ = make_table(rng, 60, 5, missing=0.1)
    rows = asked_rows(rng, table, model, True)
    record("hand_" + name, model, rows)


def make_sklearn():
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, GradientBoostingRegressor, HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    plain_output = {"zipmap": False}
    forest = {"n_estimators": 7, "max_depth": 5, "random_state": 1}
    for name, estimator, label, more in [
        ("rf_binary", RandomForestClassifier(**forest), "binary", {"options": plain_output}),
        ("rf_binary_zipmap", RandomForestClassifier(**forest), "binary", {}),
        ("rf_texts_zipmap", RandomForestClassifier(**forest), "class", {"texts": True}),
        ("rf_double", RandomForestClassifier(**forest), "class", {"options": plain_output, "double": True}),
        ("rf_two_targets", RandomForestRegressor(**forest), "any", {}),
        ("et_classes", ExtraTreesClassifier(**forest), "class", {"options": plain_output, "classes": 4}),
        ("dt_classes", DecisionTreeClassifier(max_depth=4), "class", {}),
        ("dt_leaf", DecisionTreeRegressor(max_leaf_nodes=2), "any", {}),
        ("gb_classes", GradientBoostingClassifier(n_estimators=5), "class", {"options": plain_output}),
        ("gb_binary", GradientBoostingClassifier(n_estimators=5), "binary", {}),
        ("gb_quantile", GradientBoostingRegressor(n_estimators=5, loss="quantile"), "any", {}),
        ("hgb_binary", HistGradientBoostingClassifier(max_iter=5), "binary", {"missing": True, "options": plain_output}),
        ("hgb_classes", HistGradientBoostingClassifier(max_iter=5), "class", {"missing": True, "options": plain_output}),
        ("hgb_regressor", HistGradientBoostingRegressor(max_iter=5), "any", {"missing": True}),
        ("scaled_forest", make_pipeline(StandardScaler(), RandomForestRegressor(**forest)), "any", {}),
        ("imputed_forest", make_pipeline(SimpleImputer(), RandomForestRegressor(**forest)), "any", {"missing": True}),
        ("named_forest", make_pipeline(StandardScaler(), RandomForestClassifier(**forest)), "class", {"named": True}),
        ("logistic_binary", LogisticRegression(max_iter=500), "binary", {}),
        ("logistic_classes", make_pipeline(StandardScaler(), LogisticRegression()), "class", {}),
        ("logistic_texts", make_pipeline(MinMaxScaler(), LogisticRegression()), "class", {"texts": True}),
        ("linear", make_pipeline(StandardScaler(), LinearRegression()), "any", {}),
        ("ridge_imputed", make_pipeline(SimpleImputer(strategy="median"), Ridge()), "any", {"missing": True, "named": True}),
        ("sgd_log", make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=1)), "class", {}),
    ]:
        try:
            export_sklearn("sk_" + name, estimator, label, sum(map(ord, name)), **more)
        except Exception as error:
            print("no sk_" + name, "-", str(error).strip().split("\n")[0][-160:])


def make_boosters():
    def attempt(name, make, label, library, **more):
        try:
            export_booster(name, make(), label, sum(map(ord, name)), library, **more)
        except Exception as error:
            print("no", name, "-", str(error).strip().split("\n")[0][-160:])

    try:
        import xgboost as xgb

        for objective, label in [("reg:squarederror", "any"), ("reg:logistic", "unit"), ("count:poisson", "count"), ("reg:gamma", "positive")]:
            attempt("xgb_" + objective.replace(":", "_"), lambda o=objective: xgb.XGBRegressor(n_estimators=5, max_depth=4, objective=o, base_score=0.5), label, "xgboost")
        for label in ("binary", "class"):
            attempt("xgb_" + label, lambda: xgb.XGBClassifier(n_estimators=5, max_depth=4, base_score=0.5), label, "xgboost")
    except ImportError:
        print("no XGBoost")
    try:
        import lightgbm as lgb

        settings = {"n_estimators": 5, "num_leaves": 9, "verbosity": -1}
        for objective, label in [("regression", "any"), ("poisson", "count"), ("quantile", "any")]:
            attempt("lgb_" + objective, lambda o=objective: lgb.LGBMRegressor(objective=o, **settings), label, "lightgbm")
        for label in ("binary", "class"):
            attempt("lgb_" + label, lambda: lgb.LGBMClassifier(**settings), label, "lightgbm")
    except ImportError:
        print("no LightGBM")
    try:
        import catboost as cb

        settings = {"iterations": 5, "depth": 3, "verbose": False, "allow_writing_files": False}
        for name, make, label in [("regressor", cb.CatBoostRegressor, "any"), ("binary", cb.CatBoostClassifier, "binary"), ("classes", cb.CatBoostClassifier, "class")]:
            rng = np.random.RandomState(5)
            table, whole = make_table(rng, 240, 5, missing=0)
            estimator = make(**settings).fit(table, make_label(rng, whole, label))
            path = os.path.join(FOLDER, "cat.tmp")
            estimator.save_model(path, format="onnx")
            model = onnx.load(path)
            os.remove(path)
            rows = asked_rows(rng, table, model, False)
            proba = estimator.predict_proba(rows) if label != "any" else None
            record("cat_" + name, model, rows, predict=np.asarray(estimator.predict(rows)).ravel(), predict_proba=proba)
    except ImportError:
        print("no CatBoost")


def write_version_5(name, seed, tracks=False, double=False, **attributes):
    """A TreeEnsemble with every comparison."""
    rng = np.random.RandomState(seed)
    interior, leaves, roots = [], [], []

    def add(level):
        if level == 0:
            leaves.append((int(rng.randint(2)), float(np.float32(rng.normal()))))
            return len(leaves) - 1, 1
        node = len(interior)
        interior.append(None)
        value = float(np.float32(rng.normal()))
        (yes, yes_leaf), (no, no_leaf) = add(level - 1), add(level - 1 if rng.uniform() < 0.8 else 0)
        interior[node] = (int(rng.randint(5)), value, int(rng.randint(4)), yes, yes_leaf, no, no_leaf, int(rng.randint(2)))
        return node, 0

    for _ in range(6):
        roots.append(add(3)[0])
    features, values, modes, yes, yes_leafs, no, no_leafs, missing = (list(column) for column in zip(*interior))
    dtype = np.float64 if double else np.float32
    node = helper.make_node(
        "TreeEnsemble", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=2, tree_roots=roots, nodes_featureids=features,
        nodes_splits=numpy_helper.from_array(np.array(values, dtype), "splits"), nodes_modes=numpy_helper.from_array(np.array(modes, np.uint8), "modes"),
        nodes_truenodeids=yes, nodes_trueleafs=yes_leafs, nodes_falsenodeids=no, nodes_falseleafs=no_leafs,
        **({"nodes_missing_value_tracks_true": missing} if tracks else {}),
        leaf_targetids=[one for one, _ in leaves], leaf_weights=numpy_helper.from_array(np.array([w for _, w in leaves], dtype), "weights"), **attributes)
    kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
    graph = helper.make_graph([node], "trees", [helper.make_tensor_value_info("X", kind, [None, 5])], [helper.make_tensor_value_info("Y", kind, [None, 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)], ir_version=10)
    table, _ = make_table(rng, 60, 5, missing=0.1)
    record("five_" + name, model, make_rows(rng, table, sorted(set(zip(features, values)))))


def make_by_hand():
    write_version_5("mixed", 40)
    write_version_5("missing", 41, tracks=True, aggregate_function=0)
    write_version_5("doubles", 42, tracks=True, double=True)
    write_version_5("softmax", 43, post_transform=1)
    write_version_5("most", 44, aggregate_function=3)
    write_by_hand("lt", 1, modes=["BRANCH_LT"])
    write_by_hand("gt", 2, modes=["BRANCH_GT"], tracks=True)
    write_by_hand("gte", 3, modes=["BRANCH_GTE"], tracks=True)
    write_by_hand("mixed", 4, modes=["BRANCH_LT", "BRANCH_LEQ", "BRANCH_GT", "BRANCH_GTE"], tracks=True, trees=9)
    write_by_hand("equal", 5, modes=["BRANCH_EQ", "BRANCH_LEQ"])
    write_by_hand("average", 6, aggregate_function="AVERAGE", base=[0.25])
    write_by_hand("least", 7, aggregate_function="MIN")
    write_by_hand("targets", 8, classes=3, base=[0.1, 0.2, 0.3], tracks=True)
    write_by_hand("sparse_targets", 9, classes=4, per_leaf=2)
    write_by_hand("a_target_a_tree", 10, classes=3, per_leaf=1, trees=9)
    write_by_hand("softmax_targets", 11, classes=3, post_transform="SOFTMAX")
    write_by_hand("logistic_target", 12, post_transform="LOGISTIC")
    write_by_hand("leaf", 13, depth=0)
    write_by_hand("doubles", 14, double=True, as_tensor=True, base=[0.1])
    write_by_hand("class_doubles", 15, "classifier", classes=3, double=True, as_tensor=True, post_transform="SOFTMAX")
    write_by_hand("classes", 16, "classifier", classes=3, base=[0.1, 0.2, 0.3])
    write_by_hand("classes_softmax", 17, "classifier", classes=4, post_transform="SOFTMAX")
    write_by_hand("classes_logistic", 18, "classifier", classes=3, post_transform="LOGISTIC", labels=["a", "b", "ü"])
    write_by_hand("a_class_a_tree", 19, "classifier", classes=3, per_leaf=1, trees=6)
    write_by_hand("sparse_classes", 20, "classifier", classes=4, per_leaf=2)
    write_by_hand("two_classes", 21, "classifier", classes=2, positive=True)
    write_by_hand("two_classes_mixed", 22, "classifier", classes=2)
    write_by_hand("two_classes_softmax", 23, "classifier", classes=2, post_transform="SOFTMAX")
    write_by_hand("one_weight", 24, "classifier", classes=1, positive=True, labels=[0, 1])
    write_by_hand("one_weight_logistic", 25, "classifier", classes=1, post_transform="LOGISTIC", labels=["no", "yes"], base=[-0.3])
    write_by_hand("one_weight_mixed", 26, "classifier", classes=1, labels=[0, 1])
    write_by_hand("one_weight_positive_logistic", 27, "classifier", classes=1, positive=True, post_transform="LOGISTIC", labels=[0, 1])
    write_by_hand("class_doubles_logistic", 28, "classifier", classes=3, double=True, as_tensor=True, post_transform="LOGISTIC")
    write_by_hand("floats_of_doubles", 29, double=True)


make_by_hand()
make_sklearn()
make_boosters()
