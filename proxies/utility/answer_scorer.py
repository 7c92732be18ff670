"""The scorer of a cascade: the probability that an answer is right, once it is there."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import whole
from robatch.proxies.utility.crossfit import assign_folds, cross_fit
from robatch.proxies.utility.decomposition import Layout
from robatch.proxies.utility.estimators import estimator_scores, make_estimator, needs_dense
from robatch.proxies.utility.features import Features, as_rows, check_source, n_rows
from robatch.proxies.utility.validation import as_measured


class AnswerScorer(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts the probability that an answer is right, from the query and from what the answer looks like.

    Each state has an estimator of its own, fitted to that state's answers.

    Parameters
    ----------
    router
        ``"logistic"``, ``"knn"``, ``"mlp"``, ``"boosting"``, ``"constant"``, or a scikit-learn classifier or regressor,
        of which each state gets a clone.
    features
        Of the query: as for `UtilityProxy`, ``"given"`` where X is numbers.
    folds
        Parts into which the queries are split for `cross_fitted_`.
    random_state
        Seed of the split and of the estimators.

    Attributes
    ----------
    cross_fitted_
        Scores of the queries of the fit, each by estimators that did not see it: (N, S). What `fit_cascade` needs.

    Notes
    -----
    FrugalGPT (Chen, Zaharia, Zou, 2023, arXiv 2305.05176) fine-tunes DistilBERT on the text of query and answer. Here
    the caller says what an answer looks like in a few numbers, such as its output tokens or its label, one column for
    each label; no network reads its text.
    """

    def __init__(
        self, router: Any = "logistic", features: Any = "tfidf", folds: int = 5, random_state: int = 0
    ) -> None:
        self.router = router
        self.features = features
        self.folds = folds
        self.random_state = random_state

    def fit(self, X: Any, y: Any, answers: Any = None, groups: Any = None) -> Self:  # noqa: N803
        """Learn from measured answers.

        Parameters
        ----------
        X
            N texts, or an array (N, F) with ``features="given"``.
        y
            Measured utility of each state's answer, in [0, 1], NaN where not measured: (N, S).
        answers
            Features of each state's answer, finite: (N, S, A); (N, S) for one feature; None for none. Where there is
            no answer, any number does.
        groups
            N labels, or None: queries of one group, and equal texts, are never split between fit and score.

        Raises
        ------
        InputError
            If a parameter or an array is not what it must be, or if a state was not measured at all.
        """
        check_source(self.features)
        X = as_rows(X)  # noqa: N806
        measured = as_measured(y)
        rows = n_rows(X)
        if rows != len(measured):
            raise InputError(f"X has {rows} queries and y {len(measured)}: as many are needed")
        empty = np.flatnonzero(np.isnan(measured).all(axis=0))
        if len(empty):
            raise InputError(f"y holds no measurement in column {empty[0]}: at least one is needed")
        described = _answer_features(answers, measured.shape)
        fold = assign_folds(X, groups, rows, whole("folds", self.folds, 2), self.random_state)
        with threadpool_limits(limits=1):  # sums in another order are other sums
            self.features_ = Features(self.features, dense=needs_dense(self.router), random_state=self.random_state)
            seen, views = self.features_.fit_folded(X, fold)
            self.scalers_, self.estimators_, scores = [], [], []
            for s in range(measured.shape[1]):
                known = ~np.isnan(measured[:, s])
                scaler = StandardScaler().fit(described[known, s]) if described.shape[2] else None
                columns = _scaled(scaler, described[:, s])
                found = cross_fit(
                    self._make,
                    Layout.of([("answer", 1)], per_state=True),
                    _beside(seen, columns),
                    [_beside(view, columns) for view in views],
                    measured[:, [s]],
                    fold,
                )
                self.scalers_.append(scaler)
                self.estimators_ += found.estimators
                scores.append(expit(found.scores[:, 0]))
        self.n_answer_features_ = described.shape[2]
        self.cross_fitted_: FloatArray = np.column_stack(scores)
        return self

    def predict(self, X: Any, answers: Any = None) -> FloatArray:  # noqa: N803
        """Predict the probability that each state's answer is right: (N, S), in [0, 1].

        Parameters
        ----------
        X, answers
            As for `fit`, of new queries.

        Raises
        ------
        InputError
            If an array is not what it must be.
        """
        check_is_fitted(self)
        X = as_rows(X)  # noqa: N806
        rows = n_rows(X)
        described = _answer_features(answers, (rows, len(self.estimators_)))
        if described.shape[2] != self.n_answer_features_:
            raise InputError(
                f"answers has {described.shape[2]} features: the scorer was fitted with {self.n_answer_features_}"
            )
        with threadpool_limits(limits=1):
            seen = self.features_.transform(X)
            columns = [
                expit(estimator_scores(estimator, _beside(seen, _scaled(scaler, described[:, s]))))
                for s, (estimator, scaler) in enumerate(zip(self.estimators_, self.scalers_, strict=True))
            ]
        return np.column_stack(columns)

    def _make(self, weight: FloatArray) -> Any:
        return make_estimator(self.router, int((weight > 0).sum()), self.random_state)


def _answer_features(answers: Any, shape: tuple[int, ...]) -> FloatArray:
    """Return the answers' features: (N, S, A)."""
    if answers is None:
        return np.zeros((*shape, 0))
    try:
        array = np.asarray(answers, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("answers is not an array of numbers (N, S, A)") from None
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[:2] != shape:
        raise InputError(f"answers has shape {np.shape(answers)}: ({shape[0]}, {shape[1]}, A) is needed")
    if not np.isfinite(array).all():
        raise InputError(f"answers holds {array[~np.isfinite(array)][0]}: finite numbers are needed")
    return array


def _scaled(scaler: StandardScaler | None, columns: FloatArray) -> FloatArray:
    # Clipped: an answer of extreme length is no more telling than a long one.
    return columns if scaler is None else np.clip(scaler.transform(columns), -4.0, 4.0)


def _beside(seen: Any, columns: FloatArray) -> Any:
    """Put the features of query and answer side by side."""
    if not columns.shape[1]:
        return seen
    if sp.issparse(seen):
        return sp.csr_array(sp.hstack([seen, sp.csr_array(columns)], format="csr"))
    return np.hstack([seen, columns])
