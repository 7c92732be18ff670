"""The batch-aware proxy: utilities of new queries in every state, learned from measured ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.recorded import check_askable
from robatch.proxies.utility.crossfit import cross_fit, deal, left_out
from robatch.proxies.utility.decomposition import Decomposition, Layout
from robatch.proxies.utility.estimators import DENSE, make_router, router_scores
from robatch.proxies.utility.features import Features, as_rows, check_source
from robatch.proxies.utility.fit_context import Facts, sample
from robatch.proxies.utility.scaling import SCALINGS
from robatch.proxies.utility.token_counts import TokenCounts, characters, looks
from robatch.proxies.utility.uncertainty import Answers, Total, Uncertainty
from robatch.proxies.utility.validation import as_measured, as_tokens, validated

if TYPE_CHECKING:
    from robatch.instances.model import Model
    from robatch.instances.problem import Problem
    from robatch.proxies.profiling.measurements import Measurements


_BLOCK = 16_384  # queries predicted at a time, so that features need little memory


class UtilityProxy(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts the utility of queries in every state.

    ``u(i, (k, b)) = calibrate[k, b](floor[k] + (base[k](x_i) - floor[k]) * retention[k](b))``, where the base utility
    comes from a router per model, the retention from a scaling function of log2 b, and the calibration per state
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
        None: a router per state instead of a router per model, fitted to that state's measurements alone.
    calibration
        ``"platt"``, ``"isotonic"`` or None.
    features
        ``"tfidf"``, ``"given"`` (X is numbers), a callable from texts to an array, ``"sentence-transformers:NAME"`` or
        ``"endpoint:URL#MODEL"`` (see `robatch.proxies.utility.features.Features`).
    floor
        Utility of guessing, from 0 to below 1, which no batch size takes away; ``"estimate"`` fits one per model.
    folds
        Parts into which the queries are split, so that calibration and intervals learn from predictions of queries
        that their routers did not see.
    random_state
        Seed of the split and of the routers.

    Attributes
    ----------
    layout_
        The states, and which router predicts which.
    decomposition_
        Base utilities, scaling functions and calibrators.
    uncertainty_
        What the intervals are made of.
    facts_
        Models, prompt template and task where `from_measurements` made the proxy, else None.

    Notes
    -----
    The router of a model is fitted to each query's mean over all measured batch sizes (see `router_targets`): more
    answers a query tell more about its difficulty than the one at the smallest batch size. The level at each batch
    size is left to retention and calibration, which are fitted to the routers' scores of queries they did not see.

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
            N texts, or an array (N, F) with ``features="given"``.
        y
            Measured utilities in [0, 1], NaN where a query was not measured in a state: (N, S).
        groups
            N labels, or None: queries of one group are never split between router and calibration. Equal texts
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
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if rows != len(measured):
            raise InputError(f"X has {rows} queries and y {len(measured)}: as many are needed")
        dense = self.router in DENSE if isinstance(self.router, str) else not isinstance(self.router, type(None))
        fitting = (self.scaling, self.calibration, self.floor)
        with threadpool_limits(limits=1):  # sums in another order are other sums
            self.features_ = Features(self.features, dense=dense, random_state=self.random_state)
            fold = deal(X, groups, rows, whole("folds", self.folds, 2), self.random_state)
            seen, views = self.features_.fit_folded(X, fold)
            fitted = cross_fit(self._make, layout, seen, views, measured, fold)
            self.routers_ = fitted.routers
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
            self.output_tokens_ = TokenCounts.of_outputs(looks(self.features, X), known)
        self.facts_: Facts | None = None
        return self

    def _given(self) -> bool:
        return isinstance(self.features, str) and self.features == "given"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        given = self._given()
        tags.input_tags.two_d_array = tags.input_tags.sparse = given
        tags.input_tags.string = not given
        tags.target_tags.required = tags.target_tags.multi_output = True
        return tags

    def _make(self, weight: FloatArray) -> Any:
        return make_router(self.router, int((weight > 0).sum()), self.random_state)

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

    # ---- predicting

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the utility of each query in each state: (N, S), in [0, 1]."""
        check_is_fitted(self)
        return np.concatenate([self.decomposition_.predict(self.layout_, scores) for scores in self._scores(X)])

    def predict_base(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the base utility of each query by router, before retention and calibration: (N, K)."""
        check_is_fitted(self)
        return np.concatenate([self.decomposition_.base(scores) for scores in self._scores(X)])

    def predict_lower(self, X: Any, level: float = 0.9) -> FloatArray:  # noqa: N803
        """Predict a lower bound of the utility of each query in each state: (N, S), in [0, 1].

        The bound is of the mean utility of all queries that get a similar prediction, with confidence `level` (one
        sided, from 0.5 to below 1). It is not one of this query's own utility, which what no feature tells moves
        further, nor of its answer, which may always be wrong.

        It is a normal approximation: the prediction less a multiple of its standard error. Two errors are in that: of
        the measured mean among similar predictions, and of the router's score, by the jackknife over the folds. It
        says where measurements are few; planning on it instead of the prediction makes a plan cautious there, and
        need not make it better.
        """
        check_is_fitted(self)
        wide = float(norm.ppf(number("level", level, 0.5, 1.0 - 1e-9, "a number from 0.5 to below 1")))
        parts = []
        for scores in self._scores(X):
            fitted = self.decomposition_.predict(self.layout_, scores)
            error = self.uncertainty_.standard_errors(fitted, self._shifted(scores, fitted))
            parts.append(np.clip(fitted - wide * error, 0.0, 1.0))
        return np.concatenate(parts)

    def _shifted(self, scores: FloatArray, fitted: FloatArray) -> FloatArray:
        """Predict with each router's score less by its standard error."""
        shifted = fitted.copy()
        for unit in range(self.layout_.n_units):
            columns = self.layout_.columns(unit)
            lower = scores.copy()
            lower[:, unit] -= self.uncertainty_.router[columns[0]]
            shifted[:, columns] = self.decomposition_.predict(self.layout_, lower)[:, columns]
        return shifted

    def predict_total(
        self,
        X: Any,  # noqa: N803
        assignment: Any,
        level: float = 0.9,
        objective: Any = None,
    ) -> Total:
        """Predict the total utility of a plan, with an interval.

        Parameters
        ----------
        X
            n queries that were not fitted to.
        assignment
            The column of the state that answers each query: (n,).
        level
            Probability that the true total lies in the interval, above 0 and below 1.
        objective
            What the plan maximized for each query and state, (n, S): its utilities less shadow price times cost. It
            tells how much of the plan's choice is luck in the states' means, which is taken off the total. None for
            plans that were not made by these predictions.

        Returns
        -------
        Total
            ``mean``, ``low`` and ``high``, of one execution of the plan. The mean is the sum of the predictions less
            what is luck: a plan prefers states predicted too high (see `Uncertainty`).
        """
        check_is_fitted(self)
        level = number("level", level, 0.0, 1.0 - 1e-9, "a number above 0 and below 1", above=True)
        predicted = self.predict(X)
        chosen = np.asarray(assignment)
        states = len(self.layout_.states)
        if chosen.shape != (len(predicted),) or not np.issubdtype(chosen.dtype, np.integer):
            raise InputError(
                f"assignment has shape {chosen.shape}: a whole number for each of {len(predicted)} queries is needed"
            )
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < states):
            raise InputError(
                f"assignment holds {chosen.min()} to {chosen.max()}: columns from 0 to {states - 1} are needed"
            )
        given = None if objective is None else np.asarray(objective, dtype=np.float64)
        if given is not None and given.shape != predicted.shape:
            raise InputError(f"objective has shape {given.shape}: {predicted.shape} is needed")
        return self.uncertainty_.total(predicted, chosen.astype(np.int64), level, given)

    def predict_output_tokens(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the output tokens of each query by model: (N, K)."""
        check_is_fitted(self)
        if self.output_tokens_ is None:
            raise InputError("output_tokens were not given to fit: the proxy cannot predict them")
        if self._given():
            X = validated(self, X, reset=False)  # noqa: N806
        tokens = self.output_tokens_(looks(self.features, X))
        unknown = np.flatnonzero(np.isnan(tokens).any(axis=0))
        if len(unknown):
            raise InputError(
                f"no output tokens of model {self.layout_.models[unknown[0]]!r} were measured: "
                "the proxy cannot predict what its answers cost"
            )
        return tokens

    def predict_input_tokens(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the tokens of each query's own input by model, from its characters: (N, K)."""
        check_is_fitted(self)
        if self.input_tokens_ is None:
            raise InputError("input_tokens were not given to fit: the proxy cannot predict them")
        return self.input_tokens_(characters(X)[:, None])

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the negative Brier score over what was measured: 0 is perfect, more is better."""
        return -float(np.nanmean((as_measured(y) - self.predict(X)) ** 2))

    def _scores(self, X: Any) -> Iterator[FloatArray]:  # noqa: N803
        X = validated(self, X, reset=False) if self._given() else as_rows(X)  # noqa: N806
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if rows == 0:
            raise InputError("X is empty: at least one query is needed")
        for start in range(0, rows, _BLOCK):
            seen = self.features_.transform(X[start : start + _BLOCK])
            yield np.column_stack([router_scores(router, seen) for router in self.routers_])

    # ---- measurements in, problems out, files

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

    def pool(self) -> tuple[Model, ...]:
        """Return the models of the measurements, as a problem has them.

        Raises
        ------
        InputError
            If the proxy was not made from measurements.
        """
        return self._facts().pool(self.layout_.states)

    def texts(self, queries: Sequence[Query]) -> list[str]:
        """Return the texts of queries as the proxy takes them: what `predict` needs.

        Raises
        ------
        InputError
            If the proxy was not made from measurements, or its task's prompt does not ask one of the queries.
        """
        facts = self._facts()
        check_askable(queries, facts.task)
        return [facts.text(query) for query in queries]

    def to_problem(self, queries: Sequence[Query], robust: float | None = None, **fields: Any) -> Problem:
        """Make a problem of new queries.

        Parameters
        ----------
        queries
            N queries of the proxy's task, with or without answers.
        robust
            None: utilities are the predicted ones. Otherwise their lower bounds at this level (see `predict_lower`).
        **fields
            Further fields of the problem, such as `groups`, `forbidden` and `window_margin`.

        Raises
        ------
        InputError
            If the proxy was not made from measurements, its task's prompt does not ask one of the queries, an id
            stands twice, or no output tokens of a model were measured.
        """
        from robatch.instances.problem import Problem

        utility, inputs, outputs = self.vectors(queries, robust)
        return Problem(
            models=self.pool(),
            input_tokens=inputs,
            output_tokens=outputs,
            utility=utility,
            query_ids=[query.id for query in queries],
            **fields,
        )

    def vectors(
        self, queries: Sequence[Query], robust: float | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predict what a problem is made of, without making one: utilities (N, S), input and output tokens (N, K).

        Raises
        ------
        InputError
            If the proxy was not made from measurements, its task's prompt does not ask one of the queries, or no
            output tokens of a model were measured.
        """
        texts = self.texts(queries)
        utility = self.predict(texts) if robust is None else self.predict_lower(texts, robust)
        return utility, self.predict_input_tokens(texts), self.predict_output_tokens(texts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted proxy to one file, whole or not at all, without pickle.

        Raises
        ------
        InputError
            If its features are a callable, or its router is another estimator than files hold (see
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

    def _facts(self) -> Facts:
        check_is_fitted(self)
        if self.facts_ is None:
            raise InputError(
                "the proxy knows no prices and no prompt: UtilityProxy.from_measurements makes one that does"
            )
        return self.facts_
