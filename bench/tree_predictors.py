"""XGBoost's and LightGBM's own predictors, for bench/forest.ts: one JSON line in, one JSON line out.

{"load": path, "library": "xgboost" | "lightgbm", "rows": path of raw float32, "features": n}   -> {"ways": [...], "version": "..."}
{"predict": count}                      -> {"margins": base64 of the margins of the first rows}
{"way": name, "rows": count, "milliseconds": n}  -> {"microseconds": processor time of one call}

Arrays are made outside of what is timed. A DMatrix keeps the predictions that were made of it, so each is asked once.
"""

import base64
import ctypes
import json
import sys
import time

import numpy

table = None
ways = {}


def load_xgboost(path):
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(path)
    booster.set_param({"nthread": 1})

    def inplace(rows):
        return lambda: booster.inplace_predict(
            rows, predict_type="margin", validate_features=False
        )

    def matrix(rows):
        made = iter(())

        def call():
            matrix = next(made, None)
            return booster.predict(matrix, output_margin=True)

        def prepare(count):
            nonlocal made
            made = iter([xgboost.DMatrix(rows, nthread=1) for _ in range(count)])

        call.prepare = prepare
        return call

    return {"inplace_predict": inplace, "predict": matrix}, xgboost.__version__


def load_lightgbm(path):
    import lightgbm

    booster = lightgbm.Booster(model_file=path)
    library = lightgbm.basic._LIB

    def predict(rows):
        return lambda: booster.predict(rows, raw_score=True, num_threads=1)

    def predict64(rows):
        wide = numpy.ascontiguousarray(rows, dtype=numpy.float64)
        return lambda: booster.predict(wide, raw_score=True, num_threads=1)

    def fast(rows):
        """The C API for one row at a time, with all that Python does about it done before."""
        if len(rows) != 1:
            return None
        wide = numpy.ascontiguousarray(rows, dtype=numpy.float64)
        config = ctypes.c_void_p()
        raw, double = ctypes.c_int(1), ctypes.c_int(1)
        lightgbm.basic._safe_call(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle, raw, ctypes.c_int(0), ctypes.c_int(-1), double,
                ctypes.c_int32(rows.shape[1]), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(config),
            )
        )
        length = ctypes.c_int64()
        out = numpy.zeros(1)
        data = wide.ctypes.data_as(ctypes.c_void_p)
        pointer = out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        call = library.LGBM_BoosterPredictForMatSingleRowFast

        def once():
            call(config, data, ctypes.byref(length), pointer)
            return out

        once.keep = (wide, booster)
        return once

    return {"predict": predict, "predict float64": predict64, "C API, single row": fast}, lightgbm.__version__


def load(request):
    global table, ways
    library = request["library"]
    ways, version = load_xgboost(request["load"]) if library == "xgboost" else load_lightgbm(request["load"])
    table = numpy.fromfile(request["rows"], dtype=numpy.float32).reshape(-1, request["features"])
    return {"ways": list(ways), "version": version}


def first_rows(count, offset=0):
    return numpy.ascontiguousarray(table[offset : offset + count])


def predict(request):
    name = next(iter(ways))
    margins = numpy.ascontiguousarray(ways[name](first_rows(request["predict"]))())
    return {"margins": base64.b64encode(margins.tobytes()).decode()}


def measure(request):
    """Goes through different rows, so that the processor cannot learn one by heart."""
    count = request["rows"]
    batches = min(32, len(table) // count)
    calls = [ways[request["way"]](first_rows(count, i * count)) for i in range(batches)]
    if calls[0] is None:
        return {"microseconds": None}
    used, done = 0.0, 0
    end = time.perf_counter() + request["milliseconds"] / 1000
    while time.perf_counter() < end or done == 0:
        for call in calls:
            if hasattr(call, "prepare"):
                call.prepare(1)
        begun = time.process_time()
        for call in calls:
            call()
        used += time.process_time() - begun
        done += len(calls)
    return {"microseconds": used / done * 1e6}


for line in sys.stdin:
    request = json.loads(line)
    answer = load(request) if "load" in request else predict(request) if "predict" in request else measure(request)
    print(json.dumps(answer), flush=True)
