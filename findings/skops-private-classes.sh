#!/usr/bin/env bash
# skops 0.16.0 with scikit-learn 1.9.1: to read back its own file of a forest, a boosted model, neighbours, a spline
# or bins, private classes of scikit-learn, SciPy and numpy.dtype must be named as trusted; neighbours need two or
# none, by the number of rows alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q skops==0.16.0 scikit-learn==1.9.1
venv/bin/python -I - <<'PYTHON'
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, SplineTransformer
from skops import io

rng = np.random.default_rng(0)
X = rng.random((200, 5))
y = X.sum(axis=1)


def untrusted(estimator, rows=200):
    target = y > 2.5 if isinstance(estimator, LogisticRegression) else y
    return io.get_untrusted_types(data=io.dumps(estimator.fit(X[:rows], target[:rows])))


tree = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
kd_tree = ["sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._kd_tree.KDTree"]
spline = ["scipy._lib.array_api_compat.numpy._aliases.asarray", "scipy.interpolate._bsplines.BSpline"]
seen = {
    "Ridge": untrusted(Ridge()),
    "LogisticRegression": untrusted(LogisticRegression()),
    "RandomForestRegressor": untrusted(RandomForestRegressor(2)),
    "HistGradientBoostingRegressor": untrusted(HistGradientBoostingRegressor(max_iter=2)),
    "KNeighborsRegressor": untrusted(KNeighborsRegressor()),
    "KNeighborsRegressor of 8 rows": untrusted(KNeighborsRegressor(), 8),
    "SplineTransformer": untrusted(make_pipeline(SplineTransformer(), Ridge())),
    "KBinsDiscretizer": untrusted(make_pipeline(KBinsDiscretizer(4), Ridge())),
}
for name, classes in seen.items():
    print(name, classes)
if list(seen.values()) != [[], [], ["sklearn.tree._tree.Tree"], [tree], kd_tree, [], spline, ["numpy.dtype"]]:
    sys.exit("the classes that skops must be told to trust are no longer these")
PYTHON
