"""Plans of queries held out, by RoBatch and by its peers, at every budget.

Every strategy sees the same queries, costs and budgets. Costs are taken as known, so that strategies differ by what
they know about utilities and by how they choose; only the cascade learns its costs from the training queries, as it
cannot know which answers it will accept. Budgets hold for amortized cost, as in the paper: calls that are not full bill
more than planned, which is recorded, and which favours all strategies that batch; "as billed" keeps the budget in fact.

Where a budget does not pay for a strategy's cheapest plan, that plan answers as large a share of the queries as the
budget does pay for, chosen without regard to what they are; a query without an answer is worth 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

import robatch
from paper_repro.common.curves import Curve
from paper_repro.common.datasets import Dataset, Predictions
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.proxies.utility.answer_scorer import AnswerScorer
from robatch.proxies.utility.cascade import fit_cascade
from robatch.solvers.peers import online_duals, window_ilp
from robatch.solvers.plan import Cost
from robatch.solvers.registry import Solver

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LOWER_LEVEL = 0.8
"""Level of the lower bounds on which the robust strategies plan."""

ROUNDING = 1e-9

FEW = 1000
"""Queries below which windows are of 32 queries, not 256, and a quarter is observed online, not 2.5 %."""

SMALL_WINDOWS, MORE_OBSERVED = "window-ilp-32", "online-duals-quarter"
robatch.register(Solver(SMALL_WINDOWS, "window-ilp in windows of 32", partial(window_ilp.run, window=32)), replace=True)
robatch.register(
    Solver(
        MORE_OBSERVED,
        "online-duals, a quarter observed",
        partial(online_duals.run, observed_share=0.25),
        costs=("amortized",),
    ),
    replace=True,
)


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
        predicted = np.where(answered < 1, np.nan, self.predicted[rows, assignments].sum(axis=1))
        cost = np.array([costs[rows, states].sum() for states in assignments]) * answered
        billed = np.array([self.problem.realized_cost(states) for states in assignments]) * answered
        return Curve(truth, predicted, cost, billed)

    def planned(self, guess: Problem, solver: str, cost: Cost = "amortized") -> tuple[IntArray, FloatArray]:
        """Return a solver's plans for a problem with guessed utilities, (G, n), and the share they answer: (G,).

        Under realized cost the share is that of the cheapest plan known.
        """
        cheapest = guess.cheapest_assignment
        least = guess.cheapest_budget
        if cost == "realized":
            found = [
                robatch.solve(guess, float(budget), solver, cost, seed=self.seed).assignment for budget in self.budgets
            ]
            known = [states for states in found if states is not None]
            cheapest = min([cheapest, *known], key=guess.realized_cost)
            least = guess.realized_cost(cheapest)
            chosen = [cheapest if states is None else states for states in found]
        else:
            chosen = [
                cheapest if budget < least else self._one(guess, solver, float(budget)) for budget in self.budgets
            ]
        return np.array(chosen, dtype=np.int64), np.minimum(1.0, self.budgets / least)

    def _one(self, guess: Problem, solver: str, budget: float) -> IntArray:
        states = robatch.solve(guess, budget, solver, seed=self.seed).assignment
        assert states is not None, f"{solver} found no plan within {budget} USD, which pays for the cheapest one"
        return states

    def solved(self, guess: Problem, solver: str, cost: Cost = "amortized") -> Curve:
        """Return the curve of a solver's plans for a problem with guessed utilities."""
        return self.curve(*self.planned(guess, solver, cost))


Strategy = Callable[[Arena], Curve]


def solver_strategy(
    solver: str,
    alone: bool = False,
    router: str = "logistic",
    calibration: str | None = "platt",
    cost: Cost = "amortized",
) -> Strategy:
    """Return the strategy that solves for a proxy's predictions, with all states or every query alone."""

    def strategy(arena: Arena) -> Curve:
        predicted = arena.predictions(router, calibration).test
        return arena.solved(arena.guessed(predicted, arena.dataset.smallest if alone else None), solver, cost)

    return strategy


def _means(solver: str, alone: bool = False) -> Strategy:
    def strategy(arena: Arena) -> Curve:
        alike = np.broadcast_to(arena.means, arena.truth.shape)
        return arena.solved(arena.guessed(alike, arena.dataset.smallest if alone else None), solver)

    return strategy


def _windows(robust: bool) -> Strategy:
    def strategy(arena: Arena) -> Curve:
        predictions = arena.predictions()
        lower = predictions.lower(arena.test, LOWER_LEVEL, arena.problem.state_model) if robust else predictions.test
        return arena.solved(arena.guessed(lower), SMALL_WINDOWS if len(arena.test) < FEW else "window-ilp")

    return strategy


def _online(arena: Arena) -> Curve:
    guess = arena.guessed(arena.predictions().test)
    return arena.solved(guess, MORE_OBSERVED if len(arena.test) < FEW else "online-duals")


def _oracle(arena: Arena) -> Curve:
    return arena.solved(arena.guessed(arena.truth), "exact")


def _batch_only(arena: Arena) -> Curve:
    """One model at any of its batch sizes, planned by the training means: the best model by them at each budget."""
    alike = np.broadcast_to(arena.means, arena.truth.shape)
    rows = np.arange(len(arena.test))
    plans = [
        arena.planned(arena.guessed(alike, np.flatnonzero(arena.problem.state_model == k)), "exact")
        for k in range(arena.problem.n_models)
    ]
    worth = np.array([alike[rows, states].mean(axis=1) * answered for states, answered in plans])
    best, places = worth.argmax(axis=0), np.arange(len(arena.budgets))
    states, answered = (np.array([plan[part] for plan in plans])[best, places] for part in (0, 1))
    return arena.curve(states, answered)


def _single(arena: Arena) -> Curve:
    """Send every query alone to the model of the best training mean among those that the budget pays."""
    price, alone = arena.problem.amortized_costs().sum(axis=0), arena.dataset.smallest
    chosen, answered = [], []
    for budget in arena.budgets:
        paid = [int(s) for s in alone if price[s] <= budget]
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
    truth = (1 - share) * arena.truth[rows, cheap] + share * arena.truth.mean(axis=1)
    unknown = np.full(len(share), np.nan)  # a mean over draws is no plan
    return Curve(truth, unknown, least + share[:, 0] * (even - least), unknown)


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
    spent = np.array(cost)
    return Curve(np.array(truth), np.full(len(arena.budgets), np.nan), spent, spent)  # every query goes alone


STRATEGIES: dict[str, Strategy] = {
    "exact": solver_strategy("exact"),
    "greedy": solver_strategy("greedy"),
    "pareto": solver_strategy("pareto"),
    "greedy, as billed": solver_strategy("greedy", cost="realized"),
    "threshold": solver_strategy("threshold"),
    "tradeoff": solver_strategy("tradeoff"),
    "destroy-rebuild": solver_strategy("destroy-rebuild"),
    "window-ilp": _windows(robust=False),
    "window-ilp, robust": _windows(robust=True),
    "online-duals": _online,
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
"""By name. The first four are RoBatch: the proxy, and schedulers of its problem.

Those of the proxy's predictions: ``threshold`` (RouteLLM), ``tradeoff`` (CARROT), ``destroy-rebuild`` (OptLLM),
``window-ilp`` (batch-level ILP; ``robust``: on lower bounds), ``online-duals`` (PORT), with all states, which gives
these peers batch prompting for nothing; ``no batching`` is closer to what they published. ``router-only`` plans
exactly at the smallest batch sizes. ``cascade`` is FrugalGPT's. Without predictions, by the training means of states:
``hull-mix`` (RouterBench's NDCH interpolation), ``state means`` (planned exactly), ``batch-only``, ``single model``,
``random``. ``oracle`` solves for the truth: it is hindsight.
"""

EXACT = "exact"
"""The strategy that no other can beat on predicted utility."""

PEERS = (
    "threshold", "tradeoff", "destroy-rebuild", "window-ilp", "window-ilp, robust", "online-duals",
    "threshold, no batching", "tradeoff, no batching", "cascade, no batching", "hull-mix, no batching", "hull-mix",
)  # fmt: skip
"""What others published, as far as it can be done here."""


def check_predicted(curves: dict[str, Curve]) -> None:
    """Fail if a plan that answers all queries is worth more by the predictions than the exact one: a bug.

    Raises
    ------
    AssertionError
        If one is.
    """
    best = curves[EXACT].predicted
    for name, curve in curves.items():
        ahead = np.nan_to_num(curve.predicted - best, nan=-np.inf)
        if (ahead > ROUNDING * (1 + best)).any():
            raise AssertionError(f"{name} beats {EXACT} on predicted utility by {ahead.max():.3g}")
