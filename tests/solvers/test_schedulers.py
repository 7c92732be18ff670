"""The compiled schedulers against naive ones written straight from their definitions."""

from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np
import pytest

from robatch.instances import FAMILIES, Model, Problem, generate
from robatch.instances.kernels import flat
from robatch.solvers import solve
from robatch.solvers.bounds.relaxation import find_steps


def frontier(problem, query):
    """States of a query that no other beats in both cost and utility, cheapest first."""
    costs, utilities = problem.amortized_costs()[query], problem.utilities()[query].astype(float)
    allowed = np.flatnonzero(problem.allowed()[query])
    points = []
    for state in sorted(allowed, key=lambda s: (costs[s], -utilities[s])):
        if not points or utilities[state] > points[-1][1]:
            points.append((costs[state], utilities[state], int(state)))
    return points


def hull(points):
    """Corners of the concave hull: no point lies on or below a line between two others."""
    kept = []
    for a, point in enumerate(points):
        under = any(
            (right[0] - left[0]) * (point[1] - left[1]) <= (right[1] - left[1]) * (point[0] - left[0])
            for left in points[:a]
            for right in points[a + 1 :]
        )
        if not under:
            kept.append(point)
    return kept


def linear_bound(problem, budget):
    """Best fractional utility: hull steps by utility per USD, the last one in part."""
    hulls = [hull(frontier(problem, query)) for query in range(problem.n_queries)]
    left = budget - sum(points[0][0] for points in hulls)
    worth = sum(points[0][1] for points in hulls)
    steps = [(b[0] - a[0], b[1] - a[1]) for points in hulls for a, b in pairwise(points)]
    for cost, utility in sorted(steps, key=lambda step: -step[1] / step[0]):
        part = min(1.0, left / cost)
        worth += part * utility
        left -= part * cost
        if left <= 0:
            break
    return worth


def naive_pareto(problem, budget):
    """A heap over the next steps of the raw frontiers."""
    frontiers = [frontier(problem, query) for query in range(problem.n_queries)]
    at = [0] * problem.n_queries
    spent = sum(points[0][0] for points in frontiers)

    def push(query):
        points, j = frontiers[query], at[query] + 1
        if j < len(points):
            (c0, u0, _), (c1, u1, _) = points[j - 1], points[j]
            heapq.heappush(heap, (-(u1 - u0) / (c1 - c0), query))

    heap = []
    for query in range(problem.n_queries):
        push(query)
    while heap:
        _, query = heapq.heappop(heap)
        points, j = frontiers[query], at[query] + 1
        extra = points[j][0] - points[j - 1][0]
        if spent + extra <= budget:
            spent += extra
            at[query] = j
            push(query)
    return np.array([points[j][2] for points, j in zip(frontiers, at, strict=True)])


def problems(family):
    for seed in range(6):
        problem = generate(family, queries=25, models=3, batch_sizes=(1, 2, 8), seed=seed)
        if seed % 2:
            problem = problem.replace(models=[m.replace(context_window=10_000_000) for m in problem.models])
        for fraction in (0.05, 0.4, 0.9):
            yield problem, max(problem.budget_at(fraction), 1e-12)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_greedy_bound_is_the_linear_relaxation(family):
    for problem, budget in problems(family):
        plan = solve(problem, budget, "greedy", cost="amortized")
        assert plan.bound == pytest.approx(linear_bound(problem, budget), rel=1e-9, abs=1e-12)
        assert plan.shadow_price is not None
        assert plan.shadow_price >= 0


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_greedy_bound_follows_from_its_shadow_price(family):
    for problem, budget in problems(family):
        plan = solve(problem, budget, "greedy", cost="amortized")
        price = plan.shadow_price
        scores = np.where(problem.allowed(), problem.utilities() - price * problem.amortized_costs(), -np.inf)
        dual = scores.max(axis=1).sum() + price * budget
        assert dual == pytest.approx(plan.bound, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_greedy_loses_at_most_one_step(family):
    for problem, budget in problems(family):
        plan = solve(problem, budget, "greedy", cost="amortized")
        steps = [np.diff([p[1] for p in hull(frontier(problem, query))]) for query in range(problem.n_queries)]
        largest = max((step.max() for step in steps if len(step)), default=0.0)
        assert plan.utility >= plan.bound - largest - 1e-9


# where many steps have equal ratios, rounding decides which comes first: there only the figures are compared
TIED = {"ties", "subset-sum", "adversarial"}


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - TIED))
def test_pareto_equals_the_naive_heap(family):
    for problem, budget in problems(family):
        plan = solve(problem, budget, "pareto", cost="amortized")
        assert np.array_equal(plan.assignment, naive_pareto(problem, budget))


@pytest.mark.parametrize("family", sorted(TIED))
def test_pareto_comes_near_the_naive_heap_among_ties(family):
    for problem, budget in problems(family):
        plan = solve(problem, budget, "pareto", cost="amortized")
        assert plan.utility == pytest.approx(problem.total_utility(naive_pareto(problem, budget)), rel=0.1)


# points of subset-sum lie on a line, where rounding decides which are corners
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"subset-sum"}))
def test_steps_lead_to_the_corners_of_the_hulls(family):
    problem = generate(family, queries=30, models=3, batch_sizes=(1, 4), seed=5)
    steps = find_steps(flat(problem), np.inf, 0.0)
    for query in range(problem.n_queries):
        first = problem.utilities()[query, steps.states[query]]
        utilities = [first, *(first + steps.utility_above[steps.query == query])]
        corners = hull(frontier(problem, query))
        assert utilities == pytest.approx([corner[1] for corner in corners], rel=1e-12)


def test_factored_and_dense_give_the_same_plan():
    factored = generate("realistic", queries=500, seed=2)
    assert factored.utility is None
    dense = factored.replace(utility=factored.utilities(), base_utility=None, retention=None)
    budget = factored.budget_at(0.3)
    for solver in ("greedy", "pareto"):
        assert np.array_equal(
            solve(factored, budget, solver, cost="amortized").assignment,
            solve(dense, budget, solver, cost="amortized").assignment,
        )


def test_router_only_never_batches_and_batch_only_never_mixes():
    problem = generate("realistic", queries=200, seed=4)
    budget = problem.dearest_budget
    routed = solve(problem, budget, "router-only", cost="amortized")
    assert {problem.states[state].batch_size for state in routed.assignment} == {1}
    assert len(set(routed.assignment.tolist())) > 1
    batched = solve(problem, budget, "batch-only", cost="amortized")
    assert len(set(batched.assignment.tolist())) == 1


def test_router_only_keeps_realized_budgets_without_batching():
    model = Model("a", 1, 1, 1000, batch_sizes=(1, 2))
    problem = Problem([model], [10, 10], [10, 10], utility=[[0.2, 0.9], [0.2, 0.9]])
    assert solve(problem, 1.0, "router-only", cost="realized").utility == pytest.approx(0.4)


def test_upgrades_that_cost_next_to_nothing_are_taken():
    models = [Model("a", 1e-303, 0), Model("b", 2e-303, 0)]
    plan = solve(Problem(models, [1], [0], utility=[[0.1] * 6 + [0.9] * 6]), 1.0, "greedy", cost="amortized")
    assert plan.utility == pytest.approx(0.9)


@pytest.mark.parametrize("solver", ["greedy", "pareto"])
def test_realized_plans_use_most_of_the_budget(solver):
    problem = generate("realistic", queries=2000, seed=1)
    budget = problem.budget_at(0.3)
    amortized, realized = (
        solve(problem, budget, solver, cost="amortized"),
        solve(problem, budget, solver, cost="realized"),
    )
    assert realized.realized_cost <= budget
    assert realized.realized_cost >= 0.97 * budget
    assert realized.utility >= 0.98 * amortized.utility
