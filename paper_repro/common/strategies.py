"""The strategies that are compared: RoBatch, its peers and baselines.

Every strategy sees the same queries, costs and budgets. The cascade alone learns its costs from the training queries,
as it cannot know which answers it will accept. Budgets hold for amortized cost, which favours all strategies that
batch; "as billed" keeps the budget in fact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter

import numpy as np

from paper_repro.common.arena import Arena, random_mix
from paper_repro.common.curves import Curve
from robatch.bench.common.field_metrics import non_decreasing_hull
from robatch.bench.common.heap_baseline import registered
from robatch.instances.arrays import FloatArray
from robatch.proxies.utility.answer_scorer import AnswerScorer
from robatch.proxies.utility.cascade import fit_cascade
from robatch.solvers.plan.plan import Cost
from robatch.solvers.reference.peers import online_duals, window_ilp
from robatch.solvers.registry import Solver

LOWER_LEVEL = 0.8
"""Level of the lower bounds on which the robust strategies plan."""

ROUNDING = 1e-9

MAX_SMALL_STREAM = 1000
"""With fewer queries, windows are of 32 queries, not 256, and a quarter is observed online, not 2.5 %."""

SMALL_WINDOWS = Solver("window-ilp-32", "window-ilp in windows of 32", partial(window_ilp.run, window=32))
MORE_OBSERVED = Solver(
    "online-duals-quarter",
    "online-duals, a quarter observed",
    partial(online_duals.run, observed_share=0.25),
    costs=("amortized",),
)

Strategy = Callable[[Arena], Curve]
Utilities = Callable[[Arena], FloatArray]
"""What a strategy takes the utilities of the queries held out for: (n, S)."""


def predicted(router: str = "logistic", calibration: str | None = "platt") -> Utilities:
    """Take a proxy's predictions."""
    return lambda arena: arena.predictions(router, calibration).utilities


def _lower(arena: Arena) -> FloatArray:
    return arena.predictions().lower(LOWER_LEVEL)


def _means(arena: Arena) -> FloatArray:
    return np.broadcast_to(arena.means, arena.truth.shape)  # all queries are alike


def solved_for(
    utilities: Utilities,
    solver: str = "exact",
    *,
    alone: bool = False,
    cost: Cost = "amortized",
    small: Solver | None = None,
) -> Strategy:
    """Return the strategy that solves for some utilities, with all states or every query alone.

    `small` is the solver for fewer than `MAX_SMALL_STREAM` queries, by default the same.
    """

    def strategy(arena: Arena) -> Curve:
        guess = arena.guessed(utilities(arena), arena.dataset.smallest if alone else None)
        if small is None or len(arena.test) >= MAX_SMALL_STREAM:
            return arena.solved(guess, solver, cost)
        with registered(small):
            return arena.solved(guess, small.name, cost)

    return strategy


def _one_model(alone: bool) -> Strategy:
    """One model, by the training means the best at each budget; at any of its batch sizes, or every query alone."""

    def strategy(arena: Arena) -> Curve:
        means = np.append(arena.means, 0.0)
        columns = [
            np.flatnonzero(arena.problem.state_model == k) if not alone else arena.dataset.smallest[[k]]
            for k in range(arena.problem.n_models)
        ]
        plans = np.array([arena.planned(arena.guessed(_means(arena), states), "exact") for states in columns])
        silent = (plans == arena.problem.n_states).any(axis=2)
        silent &= ~silent.all(axis=0)  # a plan that answers all queries comes first
        best = np.where(silent, -1.0, means[plans].mean(axis=2)).argmax(axis=0)
        return arena.curve(plans[best, np.arange(len(arena.budgets))])

    return strategy


def _random(arena: Arena) -> Curve:
    truth, cost = random_mix(arena.problem, arena.budgets)
    unknown = np.full(len(cost), np.nan)  # a mean over draws is no plan
    return Curve(truth, np.ones(len(cost)), unknown, cost, unknown)


def _cascade(arena: Arena) -> Curve:
    """Cheap models first; a scorer of answers says when to ask the next.

    Cascades are fitted for several budgets. A budget is spent on a mix of two of them, each query by a coin, along the
    hull of what they cost and reach on the training queries. Where it does not pay for the cheapest model, one of the
    two is no answer. New queries may cost more than those trained on: then some are left out.
    """
    columns = arena.dataset.smallest
    train, test = arena.train, arena.test
    utility = np.asarray(arena.dataset.problem.utilities(), dtype=np.float64)[:, columns]
    costs = arena.dataset.problem.amortized_costs()[:, columns]
    answers = arena.dataset.answers
    scorer = AnswerScorer(features="given", random_state=arena.seed)
    scorer.fit(arena.features[train], utility[train], answers[train])
    learned, scores = scorer.cross_fitted_, scorer.predict(arena.features[test], answers[test])
    each = arena.budgets / len(test)
    cheapest = float(costs[train].mean(axis=0).min())
    corners = {0.0: (0.0, np.zeros(len(test)), 0.0)}  # cost on training: utility there; utility and cost on the others
    for budget in [cheapest, *each[each > cheapest]]:
        fitted = fit_cascade(learned, utility[train], costs[train], float(budget))
        known = fitted.run(learned, utility[train], costs[train])
        done = fitted.run(scores, utility[test], costs[test])
        corners[float(known.cost.mean())] = float(known.utility.mean()), done.utility, float(done.cost.mean())
    reached = [utility for utility, _, _ in corners.values()]
    hulls = [non_decreasing_hull(list(corners)[first:], reached[first:])[0] for first in (0, 1)]
    truth, spent, answered = [], [], []
    for budget in each:
        hull = hulls[int(budget >= cheapest)]
        last = min(int(np.searchsorted(hull, budget, side="right")), len(hull) - 1)
        (_, less, low), (_, more, high) = corners[hull[max(last - 1, 0)]], corners[hull[last]]
        share = float(np.clip((budget - hull[last - 1]) / (hull[last] - hull[last - 1]), 0, 1)) if last else 1.0
        cost = (1 - share) * low + share * high
        paid = min(1.0, budget / cost) if cost > 0 else 1.0
        truth.append(paid * ((1 - share) * less + share * more))
        spent.append(paid * cost * len(test))
        answered.append(paid * ((1 - share) * (low > 0) + share * (high > 0)))
    unknown = np.full(len(each), np.nan)  # a mix by coins is no plan
    bill = np.array(spent)  # every query goes alone
    return Curve(np.array(truth), np.array(answered), unknown, bill, bill)


STRATEGIES: dict[str, Strategy] = {
    "exact": solved_for(predicted()),
    "greedy": solved_for(predicted(), "greedy"),
    "pareto": solved_for(predicted(), "pareto"),
    "greedy, as billed": solved_for(predicted(), "greedy", cost="realized"),
    "threshold": solved_for(predicted(), "threshold"),
    "tradeoff": solved_for(predicted(), "tradeoff"),
    "destroy-rebuild": solved_for(predicted(), "destroy-rebuild"),
    "window-ilp": solved_for(predicted(), "window-ilp", small=SMALL_WINDOWS),
    "window-ilp, robust": solved_for(_lower, "window-ilp", small=SMALL_WINDOWS),
    "online-duals": solved_for(predicted(), "online-duals", small=MORE_OBSERVED),
    "router-only": solved_for(predicted(), alone=True),
    "router-only, kNN": solved_for(predicted("knn"), alone=True),
    "router-only, MLP": solved_for(predicted("mlp"), alone=True),
    "threshold, no batching": solved_for(predicted(), "threshold", alone=True),
    "tradeoff, no batching": solved_for(predicted(), "tradeoff", alone=True),
    "cascade, no batching": _cascade,
    "hull-mix, no batching": solved_for(_means, "hull-mix", alone=True),
    "hull-mix": solved_for(_means, "hull-mix"),
    "state means": solved_for(_means),
    "batch-only": _one_model(alone=False),
    "single model": _one_model(alone=True),
    "random": _random,
    "oracle": solved_for(attrgetter("truth")),
}
"""By name. The first four are RoBatch: the proxy, and schedulers of its problem, the fourth for realized cost.

Those of the proxy's predictions: ``threshold`` (RouteLLM), ``tradeoff`` (CARROT), ``destroy-rebuild`` (OptLLM),
``window-ilp`` (batch-level ILP; ``robust``: on lower bounds), ``online-duals`` (PORT), with all states, which gives
these peers batch prompting for nothing; ``no batching`` is closer to what they published. ``router-only`` plans
exactly at the smallest batch sizes. ``cascade`` is FrugalGPT's. Without predictions, by the training means of states:
``hull-mix`` (RouterBench's NDCH interpolation), ``state means`` (planned exactly), ``batch-only``, ``single model``,
``random``. ``oracle`` solves for the truth: it is hindsight.
"""

EXACT, ALONE = "exact", "router-only"
"""The strategies that no other can beat on predicted utility: with batching, and without."""

ROBATCH = ("exact", "greedy", "pareto")
"""RoBatch: the proxy, and a scheduler of its problem; `pareto` is the paper's, as reconstructed."""

BASELINES = ("router-only", "router-only, kNN", "router-only, MLP", "batch-only", "single model")
"""Routing alone, batching alone, neither."""

PEERS = ("threshold", "tradeoff", "destroy-rebuild", "window-ilp", "window-ilp, robust", "online-duals", "hull-mix")
"""What others published, with batch prompting given to it."""

LONE_PEERS = ("threshold, no batching", "tradeoff, no batching", "cascade, no batching", "hull-mix, no batching")
"""What others published, every query alone."""

LONE = (*BASELINES[1:3], "single model", *LONE_PEERS)
"""Strategies that ask every query alone, other than ``router-only``."""


def check_predicted(curves: dict[str, Curve]) -> None:
    """Raise AssertionError if a plan is worth more by the predictions than the optimum is proven to be: a bug.

    Plans that answer all queries are held against the exact one, those without batching (`LONE`) against
    ``router-only``, too.
    """
    for name, curve in curves.items():
        whole = ~np.isnan(curve.predicted)
        for yardstick in (EXACT, ALONE) if name in LONE else (EXACT,):
            best = np.nan_to_num(curves[yardstick].predicted, nan=-np.inf)[whole]  # no plan where another found one
            if (curve.predicted[whole] > best + ROUNDING * (1 + np.abs(curve.predicted[whole]))).any():
                ahead = (curve.predicted[whole] - best).max()
                raise AssertionError(f"{name} beats {yardstick} on predicted utility by {ahead:.3g}")
