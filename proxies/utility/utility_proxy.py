"""The batch-aware proxy: utilities of new queries in every state, learned from measured ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility.crossfit import assign_folds, cross_fit, left_out
from robatch.proxies.utility.decomposition import Decomposition, Layout
from robatch.proxies.utility.estimators import make_estimator, needs_dense
from robatch.proxies.utility.features import Features, as_rows, check_source, n_rows
from robatch.proxies.utility.fit_context import FitContext, sample
from robatch.proxies.utility.prediction import Predictor
from robatch.proxies.utility.scaling import SCALINGS
from robatch.proxies.utility.token_counts import TokenCounts, characters, text_features
from robatch.proxies.utility.uncertainty import Answers, Uncertainty
from robatch.proxies.utility.validation import as_measured, as_tokens, validated

if TYPE_CHECKING:
    from robatch.proxies.profiling.measurements import Measurements


class UtilityProxy(Predictor):
    """Predicts the utility of queries in every state.

    ``u(i, (k, b)) = calibrate[k, b](floor[k] + (base[k](x_i) - floor[k]) * retention[k](b))``, where the base utility
    comes from an estimator per model, the retention from a scaling function of log2 b, and the calibration per state
    draws predictions to what was measured.

    Parameters
    ----------
    states
        The (model name, batch size) of each column of y. None: each column is a model of its own at batch size 1.
    router
        ``"logistic"``, ``"knn"``, ``"mlp"``, ``"boosting"``, ``"constant"`` (every query alike), or a scikit-learn
        classifier or regressor, of which each model gets a clone.
    scaling
        ``"isotonic"``, ``"exponential"``, ``"logistic-drop"`` or ``"table"`` (see `fit_curve` in
        `robatch.proxies.utility.scaling`).
        None: an estimator for each state instead of one for each model, fitted to that state's measurements alone.
    calibration
        ``"platt"``, ``"isotonic"`` or None.
    features
        ``"tfidf"``, ``"given"`` (X is numbers), a callable from texts to an array, ``"sentence-transformers:NAME"`` or
        ``"endpoint:URL#MODEL"`` (see `robatch.proxies.utility.features.Features`).
    floor
        Utility of guessing, from 0 to below 1, which no batch size takes away; ``"estimate"`` fits one per model.
    folds
        Parts into which the queries are split, so that calibration and intervals learn from predictions of queries
        that their estimators did not see.
    random_state
        Seed of the split and of the estimators.

    Attributes
    ----------
    layout_
        The states, and which estimator predicts which.
    decomposition_
        Base utilities, scaling functions and calibrators.
    uncertainty_
        What the intervals are made of.
    facts_
        Models, prompt template and task where `from_measurements` made the proxy, else None.

    Notes
    -----
    The estimator of a model is fitted to each query's mean over all measured batch sizes (see `estimator_targets`):
    more answers a query tell more about its difficulty than the one at the smallest batch size. The level at each batch
    size is left to retention and calibration, which are fitted to the estimators' scores of queries they did not see.

    Calibration draws the mean prediction of each state near its measured mean, not onto it, since measured means hold
    luck: with 250 queries and 10 states they differ by less than 0.05, and by less than 0.01 over all states.
    """

    def __init__(
        self,
        states: Any = None,
        router: Any = "logistic",
        scaling: str | None = "isotonic",
        calibration: str | None = "platt",
        features: Any = "tfidf",
        floor: float | str = 0.0,
        folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.states = states
        self.router = router
        self.scaling = scaling
        self.calibration = calibration
        self.features = features
        self.floor = floor
        self.folds = folds
        self.random_state = random_state

    # ---- fitting

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        groups: Any = None,
        input_tokens: Any = None,
        output_tokens: Any = None,
        answers: Answers | None = None,
    ) -> Self:
        """Learn from measured utilities.

        Parameters
        ----------
        X
            N texts, or an array (N, F) with ``features="given"``. Of numbers, ``"boosting"`` splits at values of the
            rows themselves: keep them in one precision, since rows stored as float32 are predicted otherwise than as
            float64, by up to 0.2.
        y
            Measured utilities in [0, 1], NaN where a query was not measured in a state: (N, S).
        groups
            N labels, or None: queries of one group are never split between estimator and calibration. Equal texts
            never are either; one group that holds all queries counts as none.
        input_tokens, output_tokens
            Measured tokens of each query by model, NaN where not known: (N, K), K in the order of the states' models;
            or None. Input tokens need texts.
        answers
            The single answers behind `y`, where it holds means over repeats or answers came in calls of several;
            `predict_total` then is of one execution, and knows that answers of a call fail together. None: each value
            of y is one answer, independent of the others.

        Raises
        ------
        InputError
            If a parameter or an array is not what it must be, or if a model was not measured at all.
        """
        check_source(self.features)
        X = validated(self, X, reset=True) if self._given() else as_rows(X)  # noqa: N806
        measured = as_measured(y)
        states = [(f"model {s + 1}", 1) for s in range(measured.shape[1])] if self.states is None else self.states
        layout = Layout.of(states, self.scaling is None)
        self._check(layout, measured)
        rows = n_rows(X)
        if rows != len(measured):
            raise InputError(f"X has {rows} queries and y {len(measured)}: as many are needed")
        fitting = (self.scaling, self.calibration, self.floor)
        with threadpool_limits(limits=1):  # sums in another order are other sums
            self.features_ = Features(self.features, dense=needs_dense(self.router), random_state=self.random_state)
            fold = assign_folds(X, groups, rows, whole("folds", self.folds, 2), self.random_state)
            seen, views = self.features_.fit_folded(X, fold)
            fitted = cross_fit(self._make, layout, seen, views, measured, fold)
            self.estimators_ = fitted.estimators
            self.decomposition_ = Decomposition.fit(layout, fitted.scores, measured, *fitting)
            predicted = left_out(layout, fitted.scores, measured, fold, *fitting)
        self.layout_ = layout
        self.uncertainty_ = Uncertainty.of(predicted, measured, fitted.errors[layout.unit], fold, answers)
        self.cross_fitted_ = predicted
        self.input_tokens_ = self.output_tokens_ = None
        if input_tokens is not None:
            known = as_tokens("input_tokens", input_tokens, (rows, len(layout.models)))
            self.input_tokens_ = TokenCounts.of_inputs(characters(X), known)
        if output_tokens is not None:
            known = as_tokens("output_tokens", output_tokens, (rows, len(layout.models)))
            self.output_tokens_ = TokenCounts.of_outputs(text_features(self.features, X), known)
        self.facts_: FitContext | None = None
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        given = self._given()
        tags.input_tags.two_d_array = tags.input_tags.sparse = given
        tags.input_tags.string = not given
        tags.target_tags.required = tags.target_tags.multi_output = True
        return tags

    def _make(self, weight: FloatArray) -> Any:
        return make_estimator(self.router, int((weight > 0).sum()), self.random_state)

    def _check(self, layout: Layout, measured: FloatArray) -> None:
        if self.scaling is not None and self.scaling not in SCALINGS:
            raise InputError(f"scaling is {self.scaling!r}: one of {list(SCALINGS)} or None is needed")
        if self.calibration not in ("platt", "isotonic", None):
            raise InputError(f"calibration is {self.calibration!r}: 'platt', 'isotonic' or None is needed")
        if self.floor != "estimate":
            number("floor", self.floor, needed="a number from 0 to below 1, or 'estimate',", most=1.0 - 1e-9)
        if measured.shape[1] != len(layout.states):
            raise InputError(
                f"y has {measured.shape[1]} columns: one for each of the {len(layout.states)} states is needed"
            )
        for k, model in enumerate(layout.models):
            if np.isnan(measured[:, layout.model_columns(k)]).all():
                raise InputError(f"y holds no measurement of model {model!r}: at least one is needed")

    # ---- measurements in, files in and out

    @classmethod
    def from_measurements(
        cls, measurements: Measurements, queries: Sequence[Query], task: str | None = None, **params: Any
    ) -> Self:
        """Make and fit a proxy.

        Parameters
        ----------
        measurements
            Of a profiling run.
        queries
            The queries measured, or a part of them: only these are fitted to. Others are skipped.
        task
            Needed if the measurements hold several.
        **params
            Parameters of the proxy other than `states`.

        Raises
        ------
        InputError
            If none of the queries was measured, the task is not clear, or a parameter is not allowed.
        """
        known = sorted(set(cls._get_param_names()) - {"states"})
        for name in params:
            if name not in known:
                raise InputError(f"parameter {name!r} is not known: the parameters are {known}")
        if isinstance(params.get("features"), str) and params["features"] == "given":
            raise InputError("features is 'given': measured queries have texts, fit(X, y) takes numbers")
        found = sample(measurements, queries, task)
        proxy = cls(states=tuple(measurements.states), **params)
        proxy.fit(
            found.texts,
            found.utility,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            answers=found.answers,
        )
        proxy.facts_ = found.facts
        return proxy

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted proxy to one file, whole or not at all, without pickle.

        Raises
        ------
        InputError
            If its features are a callable, or its estimators are of a class that files do not hold (see
            `robatch.proxies.utility.estimator_parts.CLASSES`).
        """
        from robatch.proxies.utility.file import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], features: str | None = None) -> UtilityProxy:
        """Read a proxy that `save` wrote. Nothing in the file is run.

        Parameters
        ----------
        path
            The file.
        features
            What the proxy was fitted with. Needed where this is an endpoint or a model to download: a file does not
            decide to whom texts and keys are sent.

        Raises
        ------
        InputError
            If the file is missing, damaged, holds something else, or has other features than those named.
        """
        from robatch.proxies.utility.file import load

        return load(path, features)
