"""The batch-aware proxy: utilities of new queries in every state, learned from measured ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.proxies.tasks.queries import Query
from robatch.proxies.utility.decomposition import Decomposition, Layout, router_targets
from robatch.proxies.utility.facts import Facts, sample
from robatch.proxies.utility.features import Features, as_rows, surface
from robatch.proxies.utility.routers import DENSE, fit_router, make_router, router_scores
from robatch.proxies.utility.scaling import SCALINGS
from robatch.proxies.utility.token_counts import TokenCounts
from robatch.proxies.utility.uncertainty import Answers, Total, Uncertainty

if TYPE_CHECKING:
    from robatch.instances.problem import Problem
    from robatch.proxies.profiling.measurements import Measurements

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

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
        measured = as_measured(y)
        states = [(f"model {s + 1}", 1) for s in range(measured.shape[1])] if self.states is None else self.states
        layout = Layout.of(states, self.scaling is None)
        self._check(layout, measured)
        X = as_rows(X)  # noqa: N806
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if rows != len(measured):
            raise InputError(f"X has {rows} queries and y {len(measured)}: as many are needed")
        dense = self.router in DENSE if isinstance(self.router, str) else not isinstance(self.router, type(None))
        with threadpool_limits(limits=1):  # sums in another order are other sums
            self.features_ = Features(self.features, dense=dense, random_state=self.random_state)
            seen = self.features_.fit_transform(X)
            fold = deal(X, groups, rows, whole("folds", self.folds, 2), self.random_state)
            self.routers_, scores, errors = self._fit_routers(layout, seen, measured, fold)
            fitting = (self.scaling, self.calibration, self.floor)
            self.decomposition_ = Decomposition.fit(layout, scores, measured, *fitting)
            left_out = np.empty_like(measured)
            for part in np.unique(fold):
                mine = fold == part
                rest = Decomposition.fit(layout, scores[~mine], np.where(mine[:, None], np.nan, measured)[~mine],
                                         *fitting)  # fmt: skip
                left_out[mine] = rest.predict(layout, scores[mine])
        self.layout_ = layout
        self.uncertainty_ = Uncertainty.of(left_out, measured, errors[layout.unit], answers)
        self.cross_fitted_ = left_out
        self.input_tokens_ = self.output_tokens_ = None
        if input_tokens is not None:
            self.input_tokens_ = TokenCounts.of_inputs(
                _characters(X), _tokens("input_tokens", input_tokens, layout, rows)
            )
        if output_tokens is not None:
            counts = _tokens("output_tokens", output_tokens, layout, rows)
            self.output_tokens_ = TokenCounts.of_outputs(self._looks(X), counts)
        self.facts_: Facts | None = None
        return self

    def _fit_routers(
        self, layout: Layout, seen: Any, measured: FloatArray, fold: IntArray
    ) -> tuple[list[Any], FloatArray, FloatArray]:
        """Return the routers, their scores of queries they did not see (N, U), and those scores' errors (U,)."""
        routers: list[Any] = []
        scores = np.empty((len(measured), layout.n_units))
        errors = np.empty(layout.n_units)
        parts = np.unique(fold)
        for unit in range(layout.n_units):
            target, weight = router_targets(measured[:, layout.columns(unit)])
            routers.append(fit_router(self._make(weight), seen, target, weight))
            every = []
            for part in parts:
                rest = np.where(fold == part, 0.0, weight)
                fitted = fit_router(self._make(rest), seen, target, rest) if len(parts) > 1 else routers[-1]
                every.append(router_scores(fitted, seen))
                scores[fold == part, unit] = every[-1][fold == part]
            # The jackknife by groups, averaged over the queries.
            errors[unit] = np.sqrt((len(parts) - 1) * np.var(every, axis=0).mean())
        return routers, scores, errors

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

        The bound is of the mean utility of queries that look like this one to the proxy, with confidence `level` (one
        sided, from 0.5 to below 1); not of the single answer, which may always be wrong. Its error joins
        that of the measured mean among similar predictions and that of the router's score.
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

    def predict_total(self, X: Any, assignment: Any, level: float = 0.9) -> Total:  # noqa: N803
        """Predict the total utility of a plan, with an interval.

        Parameters
        ----------
        X
            n queries that were not fitted to.
        assignment
            The column of the state that answers each query: (n,).
        level
            Probability that the true total lies in the interval, above 0 and below 1.

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
        return self.uncertainty_.total(predicted, chosen.astype(np.int64), level)

    def predict_output_tokens(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the output tokens of each query by model: (N, K)."""
        check_is_fitted(self)
        if self.output_tokens_ is None:
            raise InputError("output_tokens were not given to fit: the proxy cannot predict them")
        return self.output_tokens_(self._looks(X))

    def predict_input_tokens(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the tokens of each query's own input by model, from its characters: (N, K)."""
        check_is_fitted(self)
        if self.input_tokens_ is None:
            raise InputError("input_tokens were not given to fit: the proxy cannot predict them")
        return self.input_tokens_(_characters(X)[:, None])

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the negative Brier score over what was measured: 0 is perfect, more is better."""
        return -float(np.nanmean((as_measured(y) - self.predict(X)) ** 2))

    def _scores(self, X: Any) -> Iterator[FloatArray]:  # noqa: N803
        X = as_rows(X)  # noqa: N806
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if rows == 0:
            raise InputError("X is empty: at least one query is needed")
        for start in range(0, rows, _BLOCK):
            seen = self.features_.transform(X[start : start + _BLOCK])
            yield np.column_stack([router_scores(router, seen) for router in self.routers_])

    def _looks(self, X: Any) -> FloatArray:  # noqa: N803
        """Return what output tokens are predicted from: counts of texts, or up to 50 given numbers."""
        if self.features != "given":
            looks = surface(list(X))
            return np.hstack([looks, np.expm1(looks)])
        width = X.shape[1] if hasattr(X, "shape") else len(X[0])
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if width > 50 or sp.issparse(X):
            return np.zeros((rows, 1))
        return np.asarray(X, dtype=np.float64)

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

    def texts(self, queries: Sequence[Query]) -> list[str]:
        """Return the texts of queries as the proxy takes them: what `predict` needs."""
        return [self._facts().text(query) for query in queries]

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
            If the proxy was not made from measurements, or an id stands twice.
        """
        from robatch.instances.problem import Problem

        models = self._facts().pool(self.layout_.states)
        texts = self.texts(queries)
        return Problem(
            models=models,
            input_tokens=self.predict_input_tokens(texts),
            output_tokens=self.predict_output_tokens(texts),
            utility=self.predict(texts) if robust is None else self.predict_lower(texts, robust),
            query_ids=[query.id for query in queries],
            **fields,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted proxy to one file, whole or not at all, without pickle.

        Raises
        ------
        InputError
            If its features are a callable, or its router is another estimator than files hold (see
            `robatch.proxies.utility.router_parts.CLASSES`).
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


def as_measured(y: Any) -> FloatArray:
    """Return measured utilities as an array (N, S), or say what is wrong with them."""
    try:
        measured = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("y is not an array of numbers (N, S)") from None
    measured = measured[:, None] if measured.ndim == 1 else measured
    if measured.ndim != 2 or 0 in measured.shape:
        raise InputError(f"y has shape {measured.shape}: (N, S) is needed, with at least one query and state")
    with np.errstate(invalid="ignore"):
        wrong = ~np.isnan(measured) & ~((measured >= 0.0) & (measured <= 1.0))
    if wrong.any():
        raise InputError(f"y holds {measured[wrong][0]:g}: utilities from 0 to 1 are needed, NaN where not measured")
    return measured


def _tokens(name: str, tokens: Any, layout: Layout, rows: int) -> FloatArray:
    array = np.asarray(tokens, dtype=np.float64)
    shape = (rows, len(layout.models))
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}: {shape} is needed")
    if (array < 0).any() or np.isinf(array).any():
        raise InputError(f"{name} holds a value that is negative or not finite")
    return array


def _characters(X: Any) -> FloatArray:  # noqa: N803
    return np.array([len(text) for text in X], dtype=np.float64)


def deal(X: Any, groups: Any, rows: int, folds: int, seed: int) -> IntArray:  # noqa: N803
    """Deal the queries out to folds, equal texts and groups together: (N,)."""
    X = as_rows(X)  # noqa: N806
    codes = np.arange(rows)
    if isinstance(X, list) and all(isinstance(text, str) for text in X):
        numbers: dict[str, int] = {}
        alike = np.array([numbers.setdefault(text, len(numbers)) for text in X])
        codes = alike if alike.max() > 0 else codes  # all alike: there is nothing to keep together
    if groups is not None:
        labels = np.asarray(groups)
        if labels.shape != (rows,):
            raise InputError(f"groups has shape {labels.shape}: {rows} labels are needed")
        named = np.unique(labels, return_inverse=True)[1]
        # A text of two groups binds them: what hangs together is one part.
        edges = sp.coo_array((np.ones(rows), (codes, codes.max() + 1 + named)), shape=(2 * rows, 2 * rows))
        bound = connected_components(edges, directed=False)[1][codes]
        joined = np.unique(bound, return_inverse=True)[1]
        codes = joined if joined.max() > 0 else codes
    order = np.random.default_rng(seed).permutation(int(codes.max()) + 1)
    return np.asarray(order[codes] % folds, dtype=np.int64)
