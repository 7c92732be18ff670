"""Each peer against a naive version of it, written straight from its definition."""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations, pairwise

import numpy as np
import pytest

from robatch.instances import FAMILIES, InputError, generate
from robatch.instances.kernels import flat
from robatch.solvers import registry, solve, verify
from robatch.solvers.reference.frontier_kernels import frontiers, rebuild
from robatch.solvers.reference.peers import online_duals, window_ilp
from robatch.solvers.registry import Request, Solver, register

# where many steps have equal ratios, rounding decides which of them a lambda takes
UNTIED = sorted(set(FAMILIES) - {"ties", "subset-sum", "adversarial"})


def problems(family, queries=25):
    """Problems with and without forbidden pairs, and budgets."""
    for seed in range(4):
        problem = generate(family, queries=queries, models=3, batch_sizes=(1, 2, 8), seed=seed)
        if seed % 2:
            forbidden = np.random.default_rng(seed).random((queries, problem.n_states)) < 0.3
            forbidden[:, 0] = False
            problem = problem.replace(forbidden=forbidden)
        for fraction in (0.0, 0.05, 0.4, 0.9, 1.0):
            yield problem, max(problem.budget_at(fraction), 1e-12)


def tables(problem):
    """Costs and utilities (N, S): inf and -inf where a pair is not allowed."""
    allowed = problem.allowed()
    costs = np.where(allowed, problem.amortized_costs(), np.inf)
    return costs, np.where(allowed, problem.utilities().astype(float), -np.inf)


def cheapest(costs, utilities):
    return np.array([min(range(len(c)), key=lambda s: (c[s], -u[s])) for c, u in zip(costs, utilities, strict=True)])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_no_other_lambda_within_the_budget_is_better(family):
    for problem, budget in problems(family):
        costs, utilities = tables(problem)
        rows = np.arange(len(costs))
        lambdas = {0.0}
        for c, u in zip(costs, utilities, strict=True):
            for a, b in combinations(np.flatnonzero(np.isfinite(c)), 2):
                if c[a] != c[b]:
                    lambdas.add(max((u[a] - u[b]) / (c[a] - c[b]), 0.0))
        ordered = sorted(lambdas)
        best = utilities[rows, cheapest(costs, utilities)].sum()
        tried = [(a + b) / 2 for a, b in pairwise(ordered) if b - a > 1e-9 * b] + [2 * ordered[-1] + 1]
        states = [np.where(np.isinf(costs), -np.inf, utilities - x * np.where(np.isinf(costs), 0, costs)).argmax(1)
                  for x in tried] + [problem.best_assignment]  # fmt: skip
        for some in states:
            if problem.amortized_cost(some) <= budget:
                best = max(best, utilities[rows, some].sum())
        plan = solve(problem, budget, "tradeoff", cost="amortized")
        assert plan.utility >= best * (1 - 1e-9)
        if family in UNTIED and family != "strongly-correlated":  # there, many slopes differ by rounding alone
            assert plan.utility == pytest.approx(best, rel=1e-9)


def uniform_plans(problem, budget):
    """Uniform plans on the hull of their totals, by looking at every pair around each; the cheapest if none fits."""
    costs, utilities = tables(problem)
    rows, least = np.arange(len(costs)), cheapest(costs, utilities)
    plans = [np.where(np.isfinite(costs[:, s]), s, least) for s in range(costs.shape[1])]
    if min(costs[rows, plan].sum() for plan in plans) > budget:
        plans.append(least)
    points = [(float(costs[rows, plan].sum()), float(utilities[rows, plan].sum()), plan) for plan in plans]

    def below(p):
        beaten = any(o[:2] != p[:2] and o[0] <= p[0] and o[1] >= p[1] for o in points)
        return beaten or any(
            a[0] < p[0] < b[0] and (p[1] - a[1]) * (b[0] - a[0]) < (b[1] - a[1]) * (p[0] - a[0])
            for a in points
            for b in points
        )

    return sorted((p for p in points if not below(p)), key=lambda p: p[0])


@pytest.mark.parametrize("family", UNTIED)
def test_threshold_is_the_best_pair_and_prefix(family):
    for problem, budget in problems(family):
        costs, utilities = tables(problem)
        rows = np.arange(len(costs))
        plans = uniform_plans(problem, budget)
        best = max((u for c, u, _ in plans if c <= budget), default=0.0)
        for (_, _, weak), (_, _, strong) in combinations(plans, 2):
            gain = utilities[rows, strong] - utilities[rows, weak]
            extra = costs[rows, strong] - costs[rows, weak]
            order = sorted(rows[gain > 0], key=lambda i: (-gain[i], extra[i], i))
            for length in range(len(order) + 1 if problem.amortized_cost(weak) <= budget else 0):
                states = weak.copy()
                states[order[:length]] = strong[order[:length]]
                if problem.amortized_cost(states) <= budget:
                    best = max(best, utilities[rows, states].sum())
        plan = solve(problem, budget, "threshold", cost="amortized")
        assert plan.utility == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("family", UNTIED)
def test_hull_mix_sends_a_share_of_queries_to_the_dearer_state(family):
    for problem, budget in problems(family, queries=60):
        plans = uniform_plans(problem, budget)
        plan = solve(problem, budget, "hull-mix", seed=3, cost="amortized")
        below = [p for p in plans if p[0] <= budget * (1 + 1e-12)]
        low, high = below[-1], (plans[len(below)] if len(below) < len(plans) else below[-1])
        share = (budget - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
        differ = low[2] != high[2]
        moved = differ & (plan.assignment == high[2])
        assert (moved | (plan.assignment == low[2])).all()
        assert moved.sum() <= share * problem.n_queries + 1e-6


def test_hull_mix_lies_on_the_line_on_average():
    problem = generate("realistic", queries=2000, models=4, batch_sizes=(1, 4, 16), seed=2)
    budget = problem.budget_at(0.4)
    plans = uniform_plans(problem, budget)
    line = np.interp(budget, [p[0] for p in plans], [p[1] for p in plans])
    found = [solve(problem, budget, "hull-mix", seed=seed, cost="amortized").utility for seed in range(20)]
    assert np.mean(found) == pytest.approx(line, rel=0.005)
    assert (
        line
        < solve(problem, budget, "threshold", cost="amortized").utility
        < solve(problem, budget, "exact", cost="amortized").utility
    )


def naive_rebuild(chosen, room, points, at):
    """Rebuild by looking at every jump of every chosen query each time."""
    new = at.copy()
    for i in chosen:
        room += points[i][at[i]][0] - points[i][0][0]
        new[i] = 0
    while True:
        jumps = [
            ((u - points[i][new[i]][1]) / (c - points[i][new[i]][0]), -place, c, i, j)
            for place, i in enumerate(chosen)
            for j, (c, u) in enumerate(points[i])
            if j > new[i] and c - points[i][new[i]][0] <= room
        ]
        if not jumps:
            return new
        _, _, _, i, j = max(jumps)
        room -= points[i][j][0] - points[i][new[i]][0]
        new[i] = j


@pytest.mark.parametrize("family", UNTIED)
def test_rebuilding_equals_the_naive_search(family):
    rng = np.random.default_rng(5)
    for problem, budget in problems(family):
        first, _, costs, utilities = frontiers(flat(problem))
        n = problem.n_queries
        points = [list(zip(costs[a:b].tolist(), utilities[a:b].tolist(), strict=True)) for a, b in pairwise(first)]
        point = first[:-1].copy()
        room = budget - costs[point].sum()
        for count in (n, 5, 5, 9):
            chosen = rng.choice(n, count, replace=False)
            expected = naive_rebuild(chosen, room, points, point - first[:-1])
            before = utilities[point].sum()
            naive = sum(points[i][j][1] for i, j in enumerate(expected))
            room, gain = rebuild(chosen, room, first, costs, utilities, point)
            assert utilities[point].sum() == pytest.approx(max(naive, before), rel=1e-12)
            assert gain == pytest.approx(utilities[point].sum() - before, abs=1e-12)
            assert room == pytest.approx(budget - costs[point].sum(), abs=1e-12 * budget)


def test_rounds_end_at_the_time_limit_and_say_so():
    problem = generate("realistic", queries=2000, models=3, batch_sizes=(1, 4), seed=1)
    budget = problem.budget_at(0.3)
    whole, short = (
        solve(problem, budget, "destroy-rebuild", cost="amortized"),
        solve(problem, budget, "destroy-rebuild", time_limit=1e-9, cost="amortized"),
    )
    assert (whole.limit, whole.statistics["rounds"]) == (None, 200)
    assert short.limit == "time"
    assert short.utility < whole.utility
    assert whole.utility >= 0.999 * solve(problem, budget, cost="amortized").utility


@pytest.mark.parametrize("family", UNTIED)
def test_one_window_is_solved_to_the_optimum(family):
    for problem, budget in problems(family, queries=12):
        assert solve(problem, budget, "window-ilp", cost="amortized").utility == pytest.approx(
            solve(problem, budget, cost="amortized").utility, rel=1e-9
        )


@pytest.mark.parametrize("backend", ["exact", "highs", "cpsat"])
def test_windows_hand_on_what_they_leave(monkeypatch, backend):
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))
    register(Solver("window-ilp-10", "windows of 10", partial(window_ilp.run, window=10, solver=backend)))
    for family in ("realistic", "uncorrelated"):
        problem = generate(family, queries=35, models=3, batch_sizes=(1, 4), seed=6)
        budget = problem.budget_at(0.3)
        part, left, utility = (budget - problem.cheapest_budget) / 4, 0.0, 0.0
        for begin in range(0, 35, 10):
            window = problem.take(np.arange(begin, min(begin + 10, 35)))
            best = solve(window, window.cheapest_budget + part + left, "highs", cost="amortized")
            left += part - (best.amortized_cost - window.cheapest_budget)
            utility += best.utility
        plan = solve(problem, budget, "window-ilp-10", cost="amortized")
        verify(problem, plan)
        assert plan.statistics["windows"] == 4
        assert plan.utility == pytest.approx(utility, rel=1e-6 if backend == "cpsat" else 1e-9)
        late = solve(problem, budget, "window-ilp-10", time_limit=1e-9, cost="amortized")
        assert late.limit == "time"
        assert late.utility == problem.total_utility(problem.cheapest_assignment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"solver": "greedy"}, "'greedy': one that proves optima"),
        ({"solver": "x"}, "'x'"),
    ],
)
def test_windows_that_are_none_and_solvers_that_prove_nothing_are_refused(arguments, message):
    problem = generate("realistic", queries=5, models=2, batch_sizes=(1, 2), seed=0)
    with pytest.raises(InputError, match=message):
        window_ilp.run(Request(problem, problem.budget_at(0.5), "amortized"), **arguments)


def naive_online(problem, budget, seed):
    """Serve one query after the other."""
    costs, utilities = tables(problem)
    n, least = len(costs), costs.min(axis=1)
    order = np.random.default_rng(seed).permutation(n)
    count = math.ceil(online_duals.OBSERVED_SHARE * n)
    room = budget - least.sum()
    part = room / n
    sample = problem.take(order[:count])
    price = solve(sample, sample.cheapest_budget + part * count, "greedy", cost="amortized").shadow_price
    states = np.empty(n, dtype=np.int64)
    for place, i in enumerate(order):
        weight, most = (0.0, part) if place < count else (price, room)
        fitting = [s for s in range(costs.shape[1]) if costs[i, s] - least[i] <= most]
        states[i] = max(fitting, key=lambda s: (utilities[i, s] - weight * costs[i, s], -costs[i, s]))
        room -= costs[i, states[i]] - least[i]
    return states


@pytest.mark.parametrize("family", UNTIED)
def test_online_equals_the_naive_queue(family):
    for problem, budget in problems(family, queries=90):
        if budget in (problem.cheapest_budget, problem.dearest_budget):
            continue  # where rounding decides what fits
        plan = solve(problem, budget, "online-duals", seed=2, cost="amortized")
        assert np.array_equal(plan.assignment, naive_online(problem, budget, 2))


def test_online_decisions_do_not_know_the_future():
    problem = generate("realistic", queries=400, models=3, batch_sizes=(1, 4), seed=1)
    problem = problem.replace(utility=problem.utilities(), base_utility=None, retention=None)
    order = np.random.default_rng(0).permutation(400)
    changed = np.array(problem.utility)
    changed[order[200:]] = changed[order[200:]][:, ::-1]
    budget = problem.budget_at(0.3)
    plans = [
        solve(some, budget, "online-duals", cost="amortized") for some in (problem, problem.replace(utility=changed))
    ]
    same = plans[0].assignment == plans[1].assignment
    assert same[order[:200]].all()
    assert not same.all()
