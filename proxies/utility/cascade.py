"""Cascades in the manner of FrugalGPT: ask a state, judge its answer, and ask the next one where it looks wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.checks import in_range, matrix
from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole

MAX_CANDIDATES = 30
"""States among which `fit_cascade` seeks unless told others."""

_TOLERANCE = 1e-9  # relative: what sums in another order may differ by, and more


class CascadeRun(NamedTuple):
    """What a cascade gives each query: (N,) each.

    Attributes
    ----------
    utility
        Of the accepted answer.
    cost
        USD of all answers asked for.
    asked
        Number of answers asked for.
    column
        State of the accepted answer.
    """

    utility: FloatArray
    cost: FloatArray
    asked: IntArray
    column: IntArray


@dataclass(frozen=True)
class Cascade:
    """States that are asked in turn until an answer is accepted.

    Parameters
    ----------
    columns
        The states in their order, as columns of the arrays given to `run`; each at most once.
    thresholds
        One for each state but the last: an answer is accepted if its score, the probability that it is right, is at
        least this. The last state's answer is always accepted.

    Raises
    ------
    InputError
        If a value is not allowed.

    Notes
    -----
    FrugalGPT (Chen, Zaharia, Zou, 2023, arXiv 2305.05176). An answer at batch size b is billed at its amortized cost.
    That is a simplification: the queries that are passed on are fewer, and may leave the next state's calls unfilled.
    """

    columns: tuple[int, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        columns = tuple(whole("a column", column) for column in self.columns)
        thresholds = tuple(number("a threshold", value, -np.inf, needed="a finite number") for value in self.thresholds)
        if not columns or len(set(columns)) < len(columns):
            raise InputError(f"columns is {columns}: at least one state is needed, and each only once")
        if len(thresholds) != len(columns) - 1:
            raise InputError(f"thresholds is {thresholds}: {len(columns) - 1} are needed, one a state but the last")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "thresholds", thresholds)

    def run(self, scores: npt.ArrayLike, utility: npt.ArrayLike, costs: npt.ArrayLike) -> CascadeRun:
        """Send queries through the cascade.

        Parameters
        ----------
        scores
            Probability that each state's answer is right: (N, S).
        utility
            Utility of each state's answer, in [0, 1]: (N, S).
        costs
            USD of each state's answer: (N, S), or (S,) if the same for all queries.

        Raises
        ------
        InputError
            If an array has another shape or a value that is not allowed, or a state is not among the columns.
        """
        score, gain, price = _arrays(scores, utility, costs)
        if max(self.columns) >= score.shape[1]:
            raise InputError(f"columns is {self.columns}: columns from 0 to {score.shape[1] - 1} are needed")
        order = np.array(self.columns, dtype=np.int64)
        accepted = np.ones((len(score), len(order)), dtype=np.bool_)
        accepted[:, :-1] = score[:, order[:-1]] >= np.array(self.thresholds)
        last = accepted.argmax(axis=1)
        rows = np.arange(len(score))
        column = order[last]
        return CascadeRun(gain[rows, column], price[:, order].cumsum(axis=1)[rows, last], last + 1, column)


def fit_cascade(
    scores: npt.ArrayLike,
    utility: npt.ArrayLike,
    costs: npt.ArrayLike,
    budget: float,
    *,
    length: int = 3,
    grid: int = 20,
    candidates: Sequence[int] | None = None,
) -> Cascade:
    """Choose states and thresholds: the greatest mean utility whose mean cost keeps the budget on these queries.

    Parameters
    ----------
    scores, utility, costs
        As for `Cascade.run`, of N training queries. Scores should be of answers that the scorer did not see
        (`AnswerScorer.cross_fitted_`): others look better than those of new answers.
    budget
        USD per query.
    length
        Most states of the cascade, from 1 to 5.
    grid
        Parts into which quantiles split each state's scores; a threshold lies between two parts. At least 2.
    candidates
        Columns of the states to choose from. None: all, or where there are more than `MAX_CANDIDATES`, so many of
        them, by layers of states that no other of the layer dominates in mean cost and mean utility.

    Returns
    -------
    Cascade
        Its states stand by ascending mean cost. Of equally good cascades, the cheaper.

    Raises
    ------
    InputError
        If a value is not allowed, or if even the cheapest state costs more than the budget.

    Notes
    -----
    FrugalGPT (Chen, Zaharia, Zou, 2023, arXiv 2305.05176) seeks the same: the states' order and the thresholds of
    greatest utility within a budget, also three states at most. What is simpler here: the order is by mean cost alone,
    thresholds are quantiles of all scores of a state, with no refinement between them, and nothing is learned jointly.
    What is stricter: all sequences and thresholds of the grid are compared, where FrugalGPT prunes and interpolates.

    The best of many cascades on N queries is lucky in part: on new queries expect less, and a cost on either side of
    the budget.

    The mean utility and cost at all thresholds of a sequence follow from sums over a histogram of the queries by the
    parts that their scores lie in. Time grows with ``K ** length * (N + grid ** (length - 1))``.
    """
    score, gain, price = _arrays(scores, utility, costs)
    budget = number("budget", budget)
    length, grid = whole("length", length, 1, most=5), whole("grid", grid, 2, most=1000)
    if grid ** (length - 1) > 10**7:
        raise InputError(f"grid is {grid}: too many for cascades of {length} states, at most 10,000,000 thresholds")
    mean_cost, mean_utility = price.mean(axis=0), gain.mean(axis=0)
    chosen = _chosen(candidates, mean_cost, mean_utility)
    cheapest = min(mean_cost[s] for s in chosen)
    if cheapest > budget:
        raise InputError(f"budget is {budget:g}: the cheapest state costs {cheapest:g} USD per query on average")
    order = sorted(chosen, key=lambda s: (mean_cost[s], -mean_utility[s]))
    levels = [np.unique(np.quantile(score[:, s], np.arange(1, grid) / grid)) for s in order]
    search = _Search(score[:, order], gain[:, order], price[:, order], levels, mean_cost[order], budget, length)
    columns, places = search.best()
    thresholds = tuple(float(levels[s][i]) for s, i in zip(columns, places, strict=False))
    return Cascade(tuple(order[s] for s in columns), thresholds)


class _Search:
    """All cascades over columns in their order: mean utility and cost at every choice of thresholds."""

    def __init__(
        self,
        score: FloatArray,
        gain: FloatArray,
        price: FloatArray,
        levels: list[FloatArray],
        single: FloatArray,
        budget: float,
        length: int,
    ) -> None:
        self.gain, self.price = np.ascontiguousarray(gain.T) / len(gain), np.ascontiguousarray(price.T) / len(gain)
        # Part j holds the scores from level j - 1 to below level j: those below threshold i are in parts 0 to i.
        self.part = [np.searchsorted(level, score[:, s], side="right") for s, level in enumerate(levels)]
        self.width = [len(level) for level in levels]
        self.single, self.budget, self.length = single, budget, length
        self.found: tuple[float, float, tuple[int, ...], tuple[int, ...]] = (-1.0, np.inf, (), ())

    def best(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the states and the places of the thresholds among their levels."""
        nowhere = np.zeros(len(self.gain[0]), dtype=np.int64)
        self._extend((), nowhere, np.zeros(()), np.zeros(()))
        return self.found[2], self.found[3]

    def _extend(self, prefix: tuple[int, ...], cell: IntArray, gained: FloatArray, paid: FloatArray) -> None:
        """Compare all cascades that begin with a prefix.

        `cell` is each query's cell in the histogram by the prefix's scores, `gained` and `paid` the mean utility of
        answers accepted and the mean cost within the prefix, an axis for each of its thresholds.
        """
        shape = tuple(self.width[s] + 1 for s in prefix)
        for s in range(prefix[-1] + 1 if prefix else 0, len(self.gain)):
            reached = self._below(cell, self.gain[s], shape)
            cost = paid + self._below(cell, self.price[s], shape)
            self._compare((*prefix, s), gained + reached, cost)
            if len(prefix) + 1 == self.length or s + 1 == len(self.gain) or cost.min() > self.budget * (1 + _TOLERANCE):
                continue
            finer = cell * (self.width[s] + 1) + self.part[s]
            passed = self._below(finer, self.gain[s], (*shape, self.width[s] + 1))
            accepted = (gained + reached)[..., None] - passed
            self._extend((*prefix, s), finer, accepted, np.broadcast_to(cost[..., None], accepted.shape))

    def _below(self, cell: IntArray, values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        """Sum values over the queries below every choice of thresholds."""
        total = np.bincount(cell, values, int(np.prod(shape))).reshape(shape)
        for axis in range(len(shape)):
            total = total.cumsum(axis=axis)
        return np.asarray(total[(slice(None, -1),) * len(shape)])

    def _compare(self, columns: tuple[int, ...], gained: FloatArray, cost: FloatArray) -> None:
        if len(columns) == 1:  # a state alone may cost the budget to the last digit
            allowed = np.asarray(self.single[columns[0]] <= self.budget)
        else:
            allowed = cost <= self.budget * (1 - _TOLERANCE)
        if not allowed.any():
            return
        top = float(gained[allowed].max())
        if top < self.found[0] - _TOLERANCE:
            return
        cheap = np.where(allowed & (gained >= top - _TOLERANCE), cost, np.inf)
        least = float(cheap.min())
        if top > self.found[0] + _TOLERANCE or least < self.found[1] * (1 - _TOLERANCE):
            place = np.unravel_index(int(cheap.argmin()), cheap.shape)
            self.found = (top, least, columns, tuple(int(i) for i in place))


def _arrays(
    scores: npt.ArrayLike, utility: npt.ArrayLike, costs: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    kind = np.dtype(np.float64)
    given = np.shape(scores)
    score = matrix("scores", scores, kind, None, (given[1] if len(given) == 2 else 1,))
    rows, columns = score.shape
    if columns == 0:
        raise InputError(f"scores has shape {score.shape}: at least one state is needed")
    gain = matrix("utility", utility, kind, rows, (columns,))
    price = matrix("costs", costs, kind, rows, (columns,), one_row=True)
    in_range("scores", score, 0.0, 1.0)
    in_range("utility", gain, 0.0, 1.0)
    in_range("costs", price, 0.0, np.inf)
    return score, gain, np.broadcast_to(price, score.shape)


def _chosen(candidates: Sequence[int] | None, mean_cost: FloatArray, mean_utility: FloatArray) -> list[int]:
    """Return the columns of the states to choose from."""
    states = len(mean_cost)
    if candidates is not None:
        given = [whole("a candidate", s, most=states - 1) for s in candidates]
        if not given or len(set(given)) < len(given):
            raise InputError(f"candidates is {given}: at least one state is needed, and each only once")
        return given
    if states <= MAX_CANDIDATES:
        return list(range(states))
    chosen: list[int] = []
    left = sorted(range(states), key=lambda s: (mean_cost[s], -mean_utility[s]))
    while left:  # layers, as in NSGA-II (Deb et al., 2002)
        layer: list[int] = []
        for s in left:
            if not layer or mean_utility[s] > mean_utility[layer[-1]]:
                layer.append(s)
        chosen += layer
        left = [s for s in left if s not in layer]
    return chosen[:MAX_CANDIDATES]
