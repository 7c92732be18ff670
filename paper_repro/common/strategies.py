"""Plans of queries held out, by RoBatch and by its peers, at every budget.

Every strategy sees the same queries, costs and budgets. Costs are amortized and taken as known, so that strategies
differ by what they know about utilities and by how they choose. Where a budget does not pay for a strategy's cheapest
plan, that plan answers as large a share of the queries as the budget does pay for, chosen without regard to what they
are; a query without an answer is worth 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

import robatch
from paper_repro.common.curves import Curve, area
from paper_repro.common.datasets import Dataset, Predictions
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.proxies.utility.answer_scorer import AnswerScorer
from robatch.proxies.utility.cascade import fit_cascade

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LOWER_LEVEL = 0.8
"""Level of the lower bounds on which the robust strategies plan."""

ROUNDING = 1e-9


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
    def predicted(self) -> FloatArray:
        """Utilities of the queries held out by the default proxy: (n, S)."""
        return np.clip(self.predictions().test, 0.0, 1.0)

    def guessed(self, utility: FloatArray, states: IntArray | None = None) -> Problem:
        """Return the problem with other utilities, all states or those of `states` allowed."""
        problem = self.problem.replace(utility=np.clip(utility, 0.0, 1.0), base_utility=None, retention=None)
        if states is None:
            return problem
        forbidden = np.ones(self.truth.shape, dtype=bool)
        forbidden[:, states] = False
        return problem.replace(forbidden=forbidden)

    def curve(self, assignments: IntArray, answered: FloatArray) -> Curve:
        """Return the curve of assignments (G, n), of which each budget pays for the share `answered` (G,)."""
        rows = np.arange(len(self.test))
        costs = self.problem.amortized_costs()
        truth = self.truth[rows, assignments] * answered[:, None]
        predicted = self.predicted[rows, assignments].sum(axis=1) * answered
        cost = np.array([costs[rows, states].sum() for states in assignments]) * answered
        return Curve(truth, predicted, cost)

    def solved(self, guess: Problem, solver: str) -> Curve:
        """Return the curve of a solver's plans for a problem with guessed utilities."""
        chosen, answered = [], []
        cheapest = guess.cheapest_assignment
        for budget in self.budgets:
            states = None
            if budget >= guess.cheapest_budget:
                states = robatch.solve(guess, float(budget), solver, seed=self.seed).assignment
            chosen.append(cheapest if states is None else states)
            answered.append(min(1.0, budget / guess.cheapest_budget))
        return self.curve(np.array(chosen, dtype=np.int64), np.array(answered))


Strategy = Callable[[Arena], Curve]


def solver_strategy(
    solver: str, alone: bool = False, router: str = "logistic", calibration: str | None = "platt"
) -> Strategy:
    """Return the strategy that solves for a proxy's predictions, with all states or every query alone."""

    def strategy(arena: Arena) -> Curve:
        predicted = arena.predictions(router, calibration).test
        return arena.solved(arena.guessed(predicted, arena.dataset.smallest if alone else None), solver)

    return strategy


def _means(solver: str, alone: bool = False) -> Strategy:
    def strategy(arena: Arena) -> Curve:
        alike = np.broadcast_to(arena.means, arena.truth.shape)
        return arena.solved(arena.guessed(alike, arena.dataset.smallest if alone else None), solver)

    return strategy


def _robust(arena: Arena) -> Curve:
    lower = arena.predictions().lower(arena.test, LOWER_LEVEL, arena.problem.state_model)
    return arena.solved(arena.guessed(lower), "window-ilp")


def _oracle(arena: Arena) -> Curve:
    return arena.solved(arena.guessed(arena.truth), "exact")


def _batch_only(arena: Arena) -> Curve:
    """One model, that of the best curve on the training means, at any of its batch sizes."""
    alike = np.broadcast_to(arena.means, arena.truth.shape)
    columns = [np.flatnonzero(arena.problem.state_model == k) for k in range(arena.problem.n_models)]
    curves = [arena.solved(arena.guessed(alike, states), "exact") for states in columns]
    best = int(np.argmax([_by_means(arena, states) for states in columns]))
    return curves[best]


def _by_means(arena: Arena, states: IntArray) -> float:
    """Area of the curve of the plans with some states by the training means."""
    alike = np.broadcast_to(arena.means, arena.truth.shape)
    guess = arena.guessed(alike, states)
    reached = []
    for budget in arena.budgets:
        share = min(1.0, budget / guess.cheapest_budget)
        plan = robatch.solve(guess, float(budget), "exact") if share == 1.0 else None
        reached.append(plan.utility if plan is not None and plan.utility is not None else
                       share * guess.total_utility(guess.cheapest_assignment))  # fmt: skip
    return float(area(np.array(reached)))


def _single(arena: Arena) -> Curve:
    """Send every query alone to the model of the best training mean among those that the budget pays."""
    price, alone = arena.problem.amortized_costs().sum(axis=0), arena.dataset.smallest
    chosen, answered = [], []
    for budget in arena.budgets:
        paid = [int(s) for s in alone if price[s] <= budget * (1 + ROUNDING)]
        state = max(paid, key=lambda s: arena.means[s]) if paid else int(alone[np.argmin(price[alone])])
        chosen.append(np.full(len(arena.test), state))
        answered.append(min(1.0, budget / price[state]))
    return arena.curve(np.array(chosen), np.array(answered))


def _random(arena: Arena) -> Curve:
    """As many queries as the budget pays to a state drawn evenly, the others to the cheapest: the mean over draws."""
    costs, rows = arena.problem.amortized_costs(), np.arange(len(arena.test))
    cheap = arena.problem.cheapest_assignment
    least, even = costs[rows, cheap].sum(), costs.mean(axis=1).sum()
    share = np.clip((arena.budgets - least) / max(even - least, 1e-300), 0.0, 1.0)[:, None]
    values = [(1 - share) * utility[rows, cheap] + share * utility.mean(axis=1)
              for utility in (arena.truth, arena.predicted)]  # fmt: skip
    return Curve(values[0], values[1].sum(axis=1), least + share[:, 0] * (even - least))


def _cascade(arena: Arena) -> Curve:
    """Cheap models first; a scorer of answers says when to ask the next. Fitted anew for each budget per query."""
    columns = arena.dataset.smallest
    train, test = arena.train, arena.test
    utility = np.asarray(arena.dataset.problem.utilities(), dtype=np.float64)[:, columns]
    costs = arena.dataset.problem.amortized_costs()[:, columns]
    looks = arena.dataset.answers
    scorer = AnswerScorer(features="given", random_state=arena.seed)
    scorer.fit(arena.features[train], utility[train], looks[train])
    learned, scores = scorer.cross_fitted_, scorer.predict(arena.features[test], looks[test])
    truth, cost = [], []
    for budget in arena.budgets:
        each = float(budget) / len(test)
        try:
            fitted = fit_cascade(learned, utility[train], costs[train], each)
        except InputError:  # not even the cheapest model is paid for
            k = int(np.argmin(costs[test].sum(axis=0)))
            share = min(1.0, budget / costs[test, k].sum())
            truth.append(utility[test, k] * share)
            cost.append(costs[test, k].sum() * share)
            continue
        done = fitted.run(scores, utility[test], costs[test])
        share = min(1.0, budget / done.cost.sum())  # new queries may cost more than those trained on
        truth.append(done.utility * share)
        cost.append(done.cost.sum() * share)
    return Curve(np.array(truth), np.full(len(arena.budgets), np.nan), np.array(cost))


STRATEGIES: dict[str, Strategy] = {
    "exact": solver_strategy("exact"),
    "greedy": solver_strategy("greedy"),
    "pareto": solver_strategy("pareto"),
    "threshold": solver_strategy("threshold"),
    "tradeoff": solver_strategy("tradeoff"),
    "destroy-rebuild": solver_strategy("destroy-rebuild"),
    "window-ilp": solver_strategy("window-ilp"),
    "window-ilp, robust": _robust,
    "online-duals": solver_strategy("online-duals"),
    "router-only": solver_strategy("exact", alone=True),
    "router-only, kNN": solver_strategy("exact", alone=True, router="knn"),
    "router-only, MLP": solver_strategy("exact", alone=True, router="mlp"),
    "threshold, no batching": solver_strategy("threshold", alone=True),
    "tradeoff, no batching": solver_strategy("tradeoff", alone=True),
    "cascade, no batching": _cascade,
    "hull-mix, no batching": _means("hull-mix", alone=True),
    "hull-mix": _means("hull-mix"),
    "state means": _means("exact"),
    "batch-only": _batch_only,
    "single model": _single,
    "random": _random,
    "oracle": _oracle,
}
"""By name. The first three are RoBatch: the proxy, and the three schedulers of its problem.

Those of the proxy's predictions: ``threshold`` (RouteLLM), ``tradeoff`` (CARROT), ``destroy-rebuild`` (OptLLM),
``window-ilp`` (batch-level ILP; ``robust``: on lower bounds), ``online-duals`` (PORT), with all states, which gives
these peers batch prompting for nothing; ``no batching`` is closer to what they published. ``router-only`` plans
exactly at the smallest batch sizes. ``cascade`` is FrugalGPT's. Without predictions, by the training means of states:
``hull-mix`` (RouterBench's NDCH interpolation), ``state means`` (planned exactly), ``batch-only``, ``single model``,
``random``. ``oracle`` solves for the truth: it is hindsight.
"""

EXACT = "exact"
"""The strategy that no other can beat on predicted utility."""

UNBOUND = ("random", "oracle", "cascade, no batching")
"""Those that make no plan of one state a query by predictions."""


def check_predicted(curves: dict[str, Curve]) -> None:
    """Fail if a plan is worth more by the predictions than the exact one: that would be a bug.

    Raises
    ------
    AssertionError
        If one is.
    """
    best = curves[EXACT].predicted
    for name, curve in curves.items():
        if not np.isnan(curve.predicted).any() and (curve.predicted > best * (1 + ROUNDING) + ROUNDING).any():
            raise AssertionError(f"{name} beats {EXACT} on predicted utility by {np.max(curve.predicted - best):.3g}")
