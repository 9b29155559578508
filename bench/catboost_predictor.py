"""CatBoost's own predictor, for bench/catboost.ts: one JSON line in, one JSON line out.

{"train": path to save to, "trees": n, "depth": n, "rows": path of raw float32, "features": n}   -> {"version": "..."}
{"predict": count}                      -> {"margins": base64 of the raw scores of the first rows}
{"rows": count, "milliseconds": n}      -> {"microseconds": processor time of one call}

Arrays are made outside of what is timed; CatBoost makes its pool of them inside, as it does for every caller.
"""

import base64
import json
import sys
import time

import catboost
import numpy

table = None
model = None


def train(request):
    global table, model
    table = numpy.fromfile(request["rows"], dtype=numpy.float32).reshape(-1, request["features"])
    some = table[:4000]
    labels = (numpy.sin(some * 3).sum(axis=1) > 0).astype(int)
    model = catboost.CatBoost(
        dict(loss_function="Logloss", iterations=request["trees"], depth=request["depth"], learning_rate=0.1, random_seed=1,
             thread_count=1, allow_writing_files=False, logging_level="Silent")
    )
    model.fit(some, labels)
    model.save_model(request["train"])
    return {"version": catboost.__version__}


def call(rows):
    return model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)


def predict(request):
    margins = numpy.ascontiguousarray(call(table[: request["predict"]]), dtype=numpy.float64)
    return {"margins": base64.b64encode(margins.tobytes()).decode()}


def measure(request):
    """Goes through different rows, so that the processor cannot learn one by heart."""
    count = request["rows"]
    batches = [numpy.ascontiguousarray(table[i * count : (i + 1) * count]) for i in range(min(32, len(table) // count))]
    used, done = 0.0, 0
    end = time.perf_counter() + request["milliseconds"] / 1000
    while time.perf_counter() < end or done == 0:
        begun = time.process_time()
        for rows in batches:
            call(rows)
        used += time.process_time() - begun
        done += len(batches)
    return {"microseconds": used / done * 1e6}


for line in sys.stdin:
    request = json.loads(line)
    answer = train(request) if "train" in request else predict(request) if "predict" in request else measure(request)
    print(json.dumps(answer), flush=True)
