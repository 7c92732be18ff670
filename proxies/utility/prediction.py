"""What a fitted proxy predicts: utilities, their lower bounds, tokens, and the total of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.instances.scalars import number
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.recorded import check_askable
from robatch.proxies.utility.blocks import over_blocks
from robatch.proxies.utility.decomposition import Decomposition, Layout
from robatch.proxies.utility.estimator_parts import CLASSES
from robatch.proxies.utility.estimators import all_scores
from robatch.proxies.utility.features import Features, as_rows, as_texts
from robatch.proxies.utility.fit_context import FitContext
from robatch.proxies.utility.token_counts import TokenCounts, characters, text_features
from robatch.proxies.utility.uncertainty import Total, Uncertainty
from robatch.proxies.utility.validation import as_measured, validated


class QueryPredictions(NamedTuple):
    """What is predicted of N queries in S states of K models.

    Attributes
    ----------
    mean
        Predicted utility: (N, S).
    utility
        What is planned on, (N, S): `mean`, or its lower bound.
    input_tokens, output_tokens
        Tokens by model: (N, K).
    """

    mean: FloatArray
    utility: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray


class Predictor(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The part of `UtilityProxy` that predicts; all its methods need what ``fit`` learned.

    Where queries are given as `Query` objects, the proxy must have been made from measurements, and the prompt of its
    task must ask queries of their kind and choices; an `InputError` says which one it does not.
    """

    features: Any
    layout_: Layout
    features_: Features
    estimators_: list[Any]
    decomposition_: Decomposition
    uncertainty_: Uncertainty
    input_tokens_: TokenCounts | None
    output_tokens_: TokenCounts | None
    facts_: FitContext | None

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the utility of each query in each state: (N, S), in [0, 1]."""
        check_is_fitted(self)
        return self._over(X, lambda part: self._seen(part)[1:], len(self.layout_.states))[0]

    def predict_base(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the base utility of each query by estimator, before retention and calibration: (N, K)."""
        check_is_fitted(self)
        return self._over(X, lambda part: (self.decomposition_.base(self._seen(part)[0]),), self.layout_.n_units)[0]

    def predict_lower(self, X: Any, level: float = 0.9) -> FloatArray:  # noqa: N803
        """Predict a lower bound of the utility of each query in each state: (N, S), in [0, 1].

        The bound is of the mean utility of all queries that get a similar prediction, with confidence `level` (one
        sided, from 0.5 to below 1). It is not one of this query's own utility, which what no feature tells moves
        further, nor of its answer, which may always be wrong.

        It is a normal approximation: the prediction less a multiple of its standard error. Two errors are in that: of
        the measured mean among similar predictions, and of the estimator's score, by the jackknife over the folds. It
        says where measurements are few; planning on it instead of the prediction makes a plan cautious there, and
        need not make it better.
        """
        check_is_fitted(self)
        quantile = _quantile(level)
        states = len(self.layout_.states)
        return self._over(X, lambda part: (self._lower(*self._seen(part), quantile),), states)[0]

    def _lower(self, scores: FloatArray, fitted: FloatArray, quantile: float) -> FloatArray:
        shifted = fitted.copy()  # predicted with the score of each state's estimator less by its standard error
        for unit in range(self.layout_.n_units):
            columns = self.layout_.columns(unit)
            lower = scores.copy()
            lower[:, unit] -= self.uncertainty_.score_error[columns[0]]
            shifted[:, columns] = self.decomposition_.predict(self.layout_, lower, columns)
        return np.clip(fitted - quantile * self.uncertainty_.standard_errors(fitted, shifted), 0.0, 1.0)

    def predict_total(self, X: Any, assignment: Any, level: float = 0.9, objective: Any = None) -> Total:  # noqa: N803
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
        return self.total_of(self.predict(X), assignment, level, objective)

    def total_of(self, predicted: FloatArray, assignment: Any, level: float = 0.9, objective: Any = None) -> Total:
        """Give the total of a plan as `predict_total` does, of utilities (n, S) that `predict` has given already."""
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
        predict = self._output_tokens()
        if self._given():
            X = validated(self, X, reset=False)  # noqa: N806
        return predict(text_features(self.features, X))

    def _output_tokens(self) -> TokenCounts:
        check_is_fitted(self)
        if self.output_tokens_ is None:
            raise InputError("output_tokens were not given to fit: the proxy cannot predict them")
        unknown = np.flatnonzero(np.isnan(self.output_tokens_.intercept))
        if len(unknown):
            raise InputError(
                f"no output tokens of model {self.layout_.models[unknown[0]]!r} were measured: "
                "the proxy cannot predict what its answers cost"
            )
        return self.output_tokens_

    def predict_input_tokens(self, X: Any) -> FloatArray:  # noqa: N803
        """Predict the tokens of each query's own input by model, from its characters: (N, K)."""
        return self._input_tokens()(characters(X)[:, None])

    def _input_tokens(self) -> TokenCounts:
        check_is_fitted(self)
        if self.input_tokens_ is None:
            raise InputError("input_tokens were not given to fit: the proxy cannot predict them")
        return self.input_tokens_

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the negative Brier score over what was measured: 0 is perfect, more is better."""
        return -float(np.nanmean((as_measured(y) - self.predict(X)) ** 2))

    def _over(self, X: Any, run: Callable[[Any], tuple[FloatArray, ...]], *widths: int) -> list[FloatArray]:  # noqa: N803
        """Return what `run` finds in blocks of the queries: arrays (N, W), one for each of the widths."""
        X = validated(self, X, reset=False) if self._given() else as_texts(as_rows(X))  # noqa: N806
        # Only what is RoBatch's or scikit-learn's own is asked by several threads at once.
        own = self.features in ("tfidf", "given") and all(
            isinstance(one, float) or type(one) in CLASSES.values() for one in self.estimators_
        )
        return over_blocks(X, run, widths, None if own else 1)

    def _seen(self, part: Any) -> tuple[FloatArray, FloatArray]:
        """Return the scores (n, U) and the utilities (n, S) of a block of queries."""
        scores = all_scores(self.estimators_, self.features_.transform(part))
        return scores, self.decomposition_.predict(self.layout_, scores)

    def _given(self) -> bool:
        return isinstance(self.features, str) and self.features == "given"

    # ---- queries in, problems out

    def pool(self) -> tuple[Model, ...]:
        """Return the models of the measurements, as a problem has them.

        Raises
        ------
        InputError
            If the proxy was not made from measurements.
        """
        return self._context().pool(self.layout_.states)

    def texts(self, queries: Sequence[Query]) -> list[str]:
        """Return the texts of queries as the proxy takes them: what `predict` needs.

        Raises
        ------
        InputError
            If the proxy was not made from measurements, or its task's prompt does not ask one of the queries.
        """
        context = self._context()
        check_askable(queries, context.task)
        return [context.text(query) for query in queries]

    def predict_queries(self, queries: Sequence[Query], robust: float | None = None) -> QueryPredictions:
        """Predict what a problem is made of, with a single look at each query.

        Parameters
        ----------
        queries
            N queries of the proxy's task, with or without answers.
        robust
            None to plan on predicted utilities; otherwise on their lower bounds at this level (see `predict_lower`).

        Raises
        ------
        InputError
            If the proxy cannot ask one of the queries, or no output tokens of a model were measured.
        """
        texts = self.texts(queries)
        quantile = None if robust is None else _quantile(robust)
        inputs, outputs = self._input_tokens(), self._output_tokens()

        def look(part: list[str]) -> tuple[FloatArray, ...]:
            scores, mean = self._seen(part)
            planned = mean if quantile is None else self._lower(scores, mean, quantile)
            tokens = inputs(characters(part)[:, None]), outputs(text_features(self.features, part))
            return (*tokens, planned, mean)[: 3 if quantile is None else 4]

        states, models = len(self.layout_.states), len(self.layout_.models)
        found = self._over(texts, look, models, models, *[states] * (1 if quantile is None else 2))
        return QueryPredictions(found[-1], found[2], *found[:2])

    def vectors(
        self, queries: Sequence[Query], robust: float | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predict what `predict_queries` does but for its mean: utilities (N, S), input and output tokens (N, K)."""
        texts = self.texts(queries)
        utility = self.predict(texts) if robust is None else self.predict_lower(texts, robust)
        return utility, self.predict_input_tokens(texts), self.predict_output_tokens(texts)

    def to_problem(self, queries: Sequence[Query], robust: float | None = None, **fields: Any) -> Problem:
        """Make a problem of new queries.

        Parameters
        ----------
        queries, robust
            As for `predict_queries`; ids are unique.
        **fields
            Further fields of the problem, such as `groups`, `forbidden` and `window_margin`.

        Raises
        ------
        InputError
            If the proxy was not made from measurements, its task's prompt does not ask one of the queries, an id
            stands twice, or no output tokens of a model were measured.
        """
        return self.problem_of(queries, *self.vectors(queries, robust), **fields)

    def problem_of(
        self,
        queries: Sequence[Query],
        utility: FloatArray,
        input_tokens: FloatArray,
        output_tokens: FloatArray,
        **fields: Any,
    ) -> Problem:
        """Make a problem of new queries as `to_problem` does, of what `vectors` has given already."""
        ids = [query.id for query in queries]
        return Problem(self.pool(), input_tokens, output_tokens, utility, query_ids=ids, **fields)

    def _context(self) -> FitContext:
        check_is_fitted(self)
        if self.facts_ is None:
            raise InputError(
                "the proxy knows no prices and no prompt: UtilityProxy.from_measurements makes one that does"
            )
        return self.facts_


def _quantile(level: float) -> float:
    """Return the standard normal quantile of a confidence level, checked."""
    return float(norm.ppf(number("level", level, 0.5, 1.0 - 1e-9, "a number from 0.5 to below 1")))
