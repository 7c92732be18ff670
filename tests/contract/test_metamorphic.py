"""Every solver on a problem and on a change of it whose effect on the optimum is known without solving anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from robatch.instances import FAMILIES, Problem
from robatch.solvers import Plan, solve, solvers, verify
from tests.problems import case

PAIRS = [(entry.name, cost) for entry in solvers() for cost in entry.costs]
PROVERS = {entry.name for entry in solvers() if entry.proves == "optimum"}
LINEAR = {("lp", "amortized"), ("lp", "realized"), ("greedy", "amortized")}  # their bound is that of a linear program
CASES = [(family, (1, 6, 8, 10)[i % 4]) for i, family in enumerate(sorted(FAMILIES))]  # plain, windows, groups, float32


class Changed(NamedTuple):
    """A changed problem: its budget, and what its optimum is above that of the problem before."""

    problem: Problem
    budget: float
    gain: float = 0.0
    same: bool = True  # its optimum is that much above; else at least that much


def permuted(problem: Problem, budget: float, cost: str) -> Changed:
    order = np.random.default_rng(problem.n_queries).permutation(problem.n_queries)
    return Changed(problem.take(order), budget)


def prices_scaled(factor: float) -> Callable[[Problem, float, str], Changed]:
    def change(problem: Problem, budget: float, cost: str) -> Changed:
        models = [m.replace(price_in=factor * m.price_in, price_out=factor * m.price_out) for m in problem.models]
        return Changed(problem.replace(models=models), factor * budget)

    return change


def budget_raised(problem: Problem, budget: float, cost: str) -> Changed:
    return Changed(problem, 1.1 * budget, same=False)


def dominated_state_added(problem: Problem, budget: float, cost: str) -> Changed:
    """Add a model in all like the first one, but dearer and worse."""
    first = problem.models[0]
    worse = first.replace(name="worse", price_in=1.5 * first.price_in + 0.1, price_out=1.5 * first.price_out + 0.1)
    width, utility = len(first.batch_sizes), problem.utilities()
    tokens = {
        name: np.concatenate([array, array[:, :1]], axis=1) if array.shape[1] > 1 else array
        for name in ("input_tokens", "output_tokens")
        for array in [getattr(problem, name)]
    }
    utility = np.concatenate([utility, utility[:, :width] * utility.dtype.type(0.9)], axis=1)
    factors = {"base_utility": None, "retention": None}
    return Changed(problem.replace(models=[*problem.models, worse], utility=utility, **factors, **tokens), budget)


def query_duplicated(problem: Problem, budget: float, cost: str) -> Changed:
    """Pay for a second query like the first, in a call of its own."""
    copy = problem.take([0])
    state = copy.cheapest_assignment
    price = copy.cost(state, cost)  # type: ignore[arg-type]
    twice = problem.take([*range(problem.n_queries), 0])
    return Changed(twice, (budget + price) * (1 + 1e-12), copy.total_utility(state), same=False)


CHANGES = {
    "queries permuted": permuted,
    "prices doubled": prices_scaled(2.0),
    "prices times 0.3": prices_scaled(0.3),
    "budget raised": budget_raised,
    "a dominated state added": dominated_state_added,
    "a query duplicated": query_duplicated,
}


@cache
def solved(solver: str, cost: str, family: str, seed: int) -> Plan:
    return solve(*case(family, seed), solver, cost=cost, threads=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_the_optimum_moves_as_it_must(change: str, solver: str, cost: str) -> None:
    """No plan of one problem is above the other's bound; what is proven best moves just as much as it must."""
    compared = 0
    for family, seed in CASES:
        before = solved(solver, cost, family, seed)
        problem, budget, gain, same = CHANGES[change](*case(family, seed), cost)
        after = solve(problem, budget, solver, cost=cost, threads=1)  # type: ignore[arg-type]
        verify(problem, after)
        assert not (after.status == "infeasible" and before.utility is not None), family
        assert not (same and before.status == "infeasible" and after.utility is not None), family
        if before.utility is not None and after.bound is not None:
            compared += 1
            assert after.bound >= (before.utility + gain) * (1 - 1e-12), family
        if same and before.bound is not None and after.utility is not None:
            assert before.bound >= (after.utility - gain) * (1 - 1e-12), family
        if solver in PROVERS:
            assert after.status == before.status or not same, family
            if before.utility is not None:
                assert after.status == "optimal"
                assert after.utility >= (before.utility + gain) * (1 - 2e-9), family
                assert not same or after.utility == pytest.approx(before.utility + gain, rel=2e-9), family
        if (solver, cost) in LINEAR and before.bound is not None:
            compared += 1
            assert after.bound >= (before.bound + gain) * (1 - 1e-9), family
            assert not same or after.bound == pytest.approx(before.bound + gain, rel=1e-9), family
    assert compared >= len(CASES) // 2 or (solver not in PROVERS and (solver, cost) not in LINEAR)


@pytest.mark.parametrize(("solver", "cost"), PAIRS)
def test_the_same_question_has_the_same_answer(solver: str, cost: str) -> None:
    for family, seed in CASES:
        before = solved(solver, cost, family, seed)
        after = solve(*case(family, seed), solver, cost=cost, threads=1)  # type: ignore[arg-type]
        assert np.array_equal(after.assignment, before.assignment), family
        assert (after.status, after.utility, after.bound) == (before.status, before.utility, before.bound), family
