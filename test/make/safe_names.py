"""Lists the classes of an installed scikit-learn that are data when a pickle names them.

Run it under each release that is to be known and give it the file to add to:
    python test/make/safe_names.py libs/formats/pickle/sklearn-names.ts
What is listed: estimators, kernels, and the plain and C classes that estimators hold. Functions are not, nor anything of
sklearn.datasets, sklearn.externals, tests and what talks to files, processes or the network.
"""
import importlib
import inspect
import pkgutil
import re
import sys
import warnings

warnings.simplefilter("ignore")
import sklearn
from sklearn.base import BaseEstimator
from sklearn.gaussian_process.kernels import Kernel

SKIPPED = ("sklearn.datasets", "sklearn.externals", "sklearn.utils._testing", "sklearn.utils.parallel",
           "sklearn.conftest", "sklearn.experimental", "sklearn.callback", "sklearn.utils._mocking", "sklearn._build_utils")
# Parts of fitted estimators that are not estimators themselves.
PARTS = ("_loss", "calibration", "_tree", "_criterion", "_splitter", "_binning", "predictor", "_dist_metrics", "_kd_tree", "_ball_tree",
         "_quad_tree", "_bunch", "_bayesian_mixture", "_scorer", "_sgd_fast", "_gb_losses", "loss", "link",
         "_stochastic_optimizers", "_birch", "_bisect_k_means", "_label", "_polynomial", "_encoders", "_plot_utils", "_split",
         "_hashing_fast", "_glm", "_classification_threshold", "_unsupervised", "_isotonic", "grower", "common", "_param_validation")
PARTS_SKIPPED = ("_param_validation", "grower", "common")


def modules():
    for info in pkgutil.walk_packages(sklearn.__path__, "sklearn."):
        if ".tests" in info.name or info.name.startswith(SKIPPED):
            continue
        try:
            yield importlib.import_module(info.name)
        except Exception:
            continue


def listed(module, made):
    if made.__module__ != module.__name__ or made.__name__.startswith("__"):
        return False
    if issubclass(made, (BaseEstimator, Kernel)):
        return True
    last = module.__name__.rsplit(".", 1)[-1]
    return last in PARTS and last not in PARTS_SKIPPED and not issubclass(made, (Exception, Warning))


HEAD = """/** Classes of scikit-learn that are data, by module, of all releases that test/make/safe_names.py was run under. */
export const sklearnNames: Readonly<Record<string, string>> = {
"""

path = sys.argv[1]
names = {}
try:
    with open(path) as known:
        for module, classes in re.findall(r"'(sklearn[^']*)':\s*'([^']*)'", known.read()):
            names[module] = set(classes.split())
except FileNotFoundError:
    pass
for module in modules():
    for _, made in inspect.getmembers(module, inspect.isclass):
        if listed(module, made):
            names.setdefault(module.__name__, set()).add(made.__name__)
with open(path, "w") as out:
    out.write(HEAD)
    for module in sorted(names):
        out.write(f"  '{module}':\n    '{' '.join(sorted(names[module]))}',\n")
    out.write("};\n")
print(sklearn.__version__, sum(map(len, names.values())))
