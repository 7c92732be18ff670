"""Queries held out, and plans for them at every budget.

Costs are taken as known, so that strategies differ by what they know about utilities and by how they choose. Budgets
hold for amortized cost, as in the paper: calls that are not full bill more than planned, which is recorded.

Where a budget does not pay for a strategy's cheapest plan, the strategy may leave queries without an answer, which
costs nothing and is worth nothing, and chooses which. Elsewhere every query is answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

import robatch
from paper_repro.common.curves import Curve, budget_range, divide
from paper_repro.common.datasets import Dataset, Predictions
from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.solvers.plan.plan import Cost


@dataclass
class Arena:
    """Queries held out, what is known of them, and the budgets.

    Attributes
    ----------
    dataset, train, test
        All queries; the rows trained on, and held out.
    budgets
        USD for the queries held out: (G,).
    seed
        Seed of the proxies and of the strategies that draw.
    """

    dataset: Dataset
    train: IntArray
    test: IntArray
    budgets: FloatArray
    seed: int = 0
    _predictions: dict[tuple[str, str | None], Predictions] = field(default_factory=dict)

    @cached_property
    def problem(self) -> Problem:
        """The queries held out, with the truth."""
        return self.dataset.problem.take(self.test)

    @cached_property
    def truth(self) -> FloatArray:
        """True utilities of the queries held out: (n, S)."""
        return np.asarray(self.problem.utilities(), dtype=np.float64)

    @cached_property
    def features(self) -> FloatArray:
        """Numbers of all queries: (N, F)."""
        return self.dataset.features(self.train, seed=self.seed)

    @cached_property
    def means(self) -> FloatArray:
        """Mean utility of each state over the queries trained on: (S,)."""
        return np.asarray(self.dataset.problem.take(self.train).utilities().mean(axis=0), dtype=np.float64)

    def predictions(self, router: str = "logistic", calibration: str | None = "platt") -> Predictions:
        """Return what a proxy predicts; each is fitted once."""
        key = (router, calibration)
        if key not in self._predictions:
            params = {"router": router, "calibration": calibration, "random_state": self.seed}
            self._predictions[key] = self.dataset.predict(self.features, self.train, self.test, **params)
        return self._predictions[key]

    @cached_property
    def alone_price(self) -> float:
        """USD for all queries held out, each alone, with the model that is best by the training means."""
        smallest = self.dataset.smallest
        prices = self.problem.amortized_costs().sum(axis=0)[smallest]
        return float(prices[np.argmax(self.means[smallest])])

    @cached_property
    def predicted(self) -> FloatArray:
        """Utilities of the queries held out by the default proxy: (n, S)."""
        return np.clip(self.predictions().utilities, 0.0, 1.0)

    def guessed(self, utility: FloatArray, states: IntArray | None = None) -> Problem:
        """Return the problem with other utilities, all states or those of `states` allowed."""
        return guessed(self.problem, utility, states)

    @cached_property
    def silent(self) -> Problem:
        """The queries held out with one more state, the last: no answer."""
        return with_no_answer(self.problem)

    def curve(self, assignments: IntArray) -> Curve:
        """Return the curve of assignments (G, n) to states, or to none: the number of states."""
        rows, silent = np.arange(len(self.test)), self.silent
        costs, truth = silent.amortized_costs(), np.asarray(silent.utilities(), dtype=np.float64)
        answered = (assignments < self.problem.n_states).mean(axis=1)
        believed = self.predicted[rows, np.minimum(assignments, self.problem.n_states - 1)].sum(axis=1)
        return Curve(
            truth[rows, assignments],
            answered,
            np.where(answered == 1.0, believed, np.nan),
            np.array([costs[rows, states].sum() for states in assignments]),
            np.array([silent.realized_cost(states) for states in assignments]),
        )

    def planned(self, guess: Problem, solver: str, cost: Cost = "amortized") -> IntArray:
        """Return a solver's plans for a problem with guessed utilities, (G, n): states, or no answer."""
        silent = with_no_answer(guess)
        chosen = []
        for budget in map(float, self.budgets):
            states = None
            if budget >= guess.cheapest_budget:
                states = robatch.solve(guess, budget, solver, cost, seed=self.seed).assignment
            if states is None:
                states = robatch.solve(silent, budget, solver, cost, seed=self.seed).assignment
            assert states is not None, f"{solver} found no plan within {budget} USD, though no answer costs nothing"
            chosen.append(states)
        return np.array(chosen, dtype=np.int64)

    def solved(self, guess: Problem, solver: str, cost: Cost = "amortized") -> Curve:
        """Return the curve of a solver's plans for a problem with guessed utilities."""
        return self.curve(self.planned(guess, solver, cost))


def arenas(dataset: Dataset, settings: Mapping[str, Any]) -> Iterator[Arena]:
    """Yield an arena a split, as the settings say: half of the queries to train on, the others held out."""
    for seed in range(settings["splits"]):
        train, test = divide(dataset.problem.n_queries, seed)
        yield Arena(dataset, train, test, budget_range(dataset.problem.take(test), settings["budgets"]), seed)


def guessed(problem: Problem, utility: FloatArray, states: IntArray | None = None) -> Problem:
    """Return a problem with other utilities (n, S), all states or those of `states` allowed."""
    other = problem.replace(utility=np.clip(utility, 0.0, 1.0), base_utility=None, retention=None)
    if states is None:
        return other
    forbidden = np.ones((problem.n_queries, problem.n_states), dtype=bool)
    forbidden[:, states] = False
    return other.replace(forbidden=forbidden)


def random_mix(problem: Problem, budgets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Send as many queries as the budget pays for to a state drawn evenly, the others to the cheapest.

    Return the mean over the draws of each query's utility (G, n), and of the plan's cost (G,).
    """
    costs, rows = problem.amortized_costs(), np.arange(problem.n_queries)
    truth, cheap = np.asarray(problem.utilities(), dtype=np.float64), problem.cheapest_assignment
    least, even = costs[rows, cheap].sum(), costs.mean(axis=1).sum()
    share = np.clip((budgets - least) / max(even - least, 1e-300), 0.0, 1.0)[:, None]
    mean = (1.0 - share) * truth[rows, cheap] + share * truth.mean(axis=1)
    return mean, least + share[:, 0] * (even - least)


def with_no_answer(problem: Problem) -> Problem:
    """Return a problem with one more state, the last: no answer, for nothing, worth nothing."""
    shape, none = (problem.n_queries, problem.n_models), ((0, 0), (0, 1))
    return problem.replace(
        models=[*problem.models, Model("no answer", 0.0, 0.0, batch_sizes=(1,))],
        input_tokens=np.pad(np.broadcast_to(problem.input_tokens, shape), none),
        output_tokens=np.pad(np.broadcast_to(problem.output_tokens, shape), none),
        utility=np.pad(problem.utilities(), none),
        base_utility=None,
        retention=None,
        forbidden=np.pad(~problem.allowed(), none),
    )
