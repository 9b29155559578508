"""What the makers of models share: tables, rows to ask for, and the writing of what a library answers."""

import json
import math
import os
import sys

import numpy as np


def out_folder(library, version):
    folder = os.path.join(sys.argv[1], "trees", library, version)
    os.makedirs(folder, exist_ok=True)
    return folder


def make_table(rng, rows, features, missing=0.05, zeros=0.0):
    """Columns that are normal, skewed, small integers and wide, by turns."""
    columns = [
        lambda: rng.normal(size=rows),
        lambda: rng.exponential(2.0, size=rows),
        lambda: rng.randint(-3, 12, size=rows).astype(float),
        lambda: rng.uniform(-100, 100, size=rows),
    ]
    table = np.stack([columns[i % 4]() for i in range(features)], axis=1).round(3)
    if zeros:
        table[rng.uniform(size=table.shape) < zeros] = 0.0
    whole = table.copy()
    table[rng.uniform(size=table.shape) < missing] = np.nan
    return table, whole


def make_label(rng, whole, kind, classes=3):
    score = (whole - whole.mean(0)) / (whole.std(0) + 1e-9) @ rng.normal(size=whole.shape[1])
    score = score / (score.std() + 1e-9) + 0.3 * rng.normal(size=len(whole))
    return {
        "any": lambda: 3 + 2 * score,
        "unit": lambda: 1 / (1 + np.exp(-score)),
        "binary": lambda: (score > 0.2).astype(int),
        "class": lambda: np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])),
        "count": lambda: rng.poisson(np.exp(0.5 + 0.5 * score)),
        "positive": lambda: rng.gamma(2.0, np.exp(0.4 * score)) + 0.01,
        "relevance": lambda: np.clip(np.round(score + 2), 0, 4).astype(int),
    }[kind]()


def make_rows(rng, table, thresholds, categorical=()):
    """Ordinary rows, rows on thresholds and next to them, zeros, missing values and large numbers."""
    rows = [table[i].copy() for i in rng.choice(len(table), 40, replace=False)]
    for i in rng.choice(len(thresholds), min(30, len(thresholds)), replace=False) if thresholds else []:
        feature, threshold = thresholds[i]
        near = np.float32(threshold)
        for value in (threshold, near, np.nextafter(near, np.float32(9e9)), np.nextafter(threshold, -9e9)):
            row = table[rng.randint(len(table))].copy()
            row[feature] = value
            rows.append(row)
    width = table.shape[1]
    free = [i for i in range(width) if i not in categorical]
    for value in (0.0, -0.0, 1e-36, -1e-20, 1e30, -1e30):
        row = np.zeros(width)
        row[free] = value
        rows.append(row)
    rows.append(np.full(width, np.nan))
    for feature in categorical:
        for value in (-1.0, -0.5, 1.7, 31.0, 32.0, 64.0, 1000.0, np.nan):
            row = table[rng.randint(len(table))].copy()
            row[feature] = value
            rows.append(row)
    return np.array(rows)


def make_far_rows(rng, table, thresholds, categorical=(), infinite=False):
    """Rows beyond ordinary ones: doubles around a threshold that a float32 cannot tell apart, integers that a float32 or a
    double cannot hold, the smallest numbers, categories that no model has, and infinities where the library takes them."""
    rows = []

    def row_with(feature, value):
        row = table[rng.randint(len(table))].copy()
        row[feature] = value
        rows.append(row)

    for i in rng.choice(len(thresholds), min(12, len(thresholds)), replace=False) if thresholds else []:
        feature, threshold = thresholds[i]
        near = float(np.float32(threshold))
        for value in (np.nextafter(near, 9e99), np.nextafter(near, -9e99), np.nextafter(threshold, 9e99), (near + threshold) / 2, -threshold):
            row_with(feature, value)
    width = table.shape[1]
    free = [i for i in range(width) if i not in categorical]
    numbers = [2.0**24 + 1, -(2.0**24) - 1, 2.0**31, -(2.0**31), 2.0**53 + 2, 1e-45, -1e-45, 5e-324, 1e-35, -1.0000001e-35, 9.9e-36, 3e38]
    for value in numbers + ([np.inf, -np.inf] if infinite else []):
        if free:
            row_with(free[rng.randint(len(free))], value)
    for feature in categorical:
        for value in (0.5, -0.0, 0.9999999, -0.9999999, -1.5, -2.0, 63.99, 2.0**24 - 1, 2.0**24, 2.0**24 + 3, 2.0**31 - 1, 2.0**31, 2.0**32 + 1, 1e10, -1e10, 1e30):
            row_with(feature, value)
        for value in (np.inf, -np.inf) if infinite else ():
            row_with(feature, value)
    return np.array(rows).reshape(-1, width)


def plain(value):
    """JSON values that read back to the same numbers."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value] if value.ndim else plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return None if math.isnan(number) else number if math.isfinite(number) else str(number).replace("inf", "Infinity")
    return value


def write_expected(folder, name, rows, **answers):
    body = {"X": rows, **{key: value for key, value in answers.items() if value is not None}}
    with open(os.path.join(folder, name + ".expected.json"), "w") as file:
        json.dump(plain(body), file, allow_nan=False)
