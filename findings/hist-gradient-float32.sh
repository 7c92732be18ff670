#!/usr/bin/env bash
# scikit-learn 1.9.1: boosted trees by histograms, fitted on more than 255 rows, split at values of the rows
# themselves. The same rows stored as float32 fall on the other side: a fifth of the predictions change, by up to 0.2.
# With 255 rows or fewer none does, nor do nearest neighbours or ridge regression.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q scikit-learn==1.9.1 numpy==2.3.5
venv/bin/python -I - <<'PYTHON'
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor


def moved(estimator, rows):
    """Return the greatest change of a prediction, and the part of the rows with one above 0.001."""
    X = np.random.default_rng(0).random((rows, 4))
    estimator.fit(X, X.sum(axis=1))
    change = np.abs(estimator.predict(X) - estimator.predict(X.astype(np.float32)))
    return float(change.max()), float((change > 1e-3).mean())


seen = {rows: moved(HistGradientBoostingRegressor(max_iter=20), rows) for rows in (255, 300)}
others = [moved(estimator, 300) for estimator in (Ridge(), KNeighborsRegressor(weights="distance"))]
print("boosted trees, by rows:", seen)
print("ridge regression, neighbours:", others)
if seen[255] != (0.0, 0.0) or max(most for most, _ in others) > 1e-5:
    sys.exit("predictions of few rows, or of other estimators, change now too")
if seen[300][0] < 0.05 or seen[300][1] < 0.05:
    sys.exit("predictions of more than 255 rows no longer change with the same rows as float32")
PYTHON
