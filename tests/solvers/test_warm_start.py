"""Starting from an earlier plan: what is taken over, that it changes no result, and that it saves the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from robatch.instances import InputError, Problem, generate
from robatch.solvers import Answer, Request, Solver, register, registry, solve
from robatch.solvers.bounds import relaxation_kernels

ROWS = 3000  # more than are sorted at once


def made(rows: int = ROWS, seed: int = 0) -> Problem:
    problem = generate("realistic", rows, models=3, batch_sizes=(1, 2, 8), seed=seed)
    return problem.replace(query_ids=[f"q{i}" for i in range(rows)])


def rescored(problem: Problem) -> Problem:
    base = problem.base_utility * np.random.default_rng(1).uniform(0.8, 1.0, problem.base_utility.shape)
    return problem.replace(base_utility=base)


def removed(problem: Problem) -> Problem:
    return problem.take(np.flatnonzero(np.arange(problem.n_queries) % 10))


def added(problem: Problem) -> Problem:
    """Put queries that no plan knows between the others."""
    new = made(problem.n_queries + 200, seed=5)
    ids = [*problem.query_ids, *(f"new{i}" for i in range(200))]
    return new.replace(query_ids=ids).take(np.random.default_rng(2).permutation(len(ids)))


def turned(problem: Problem) -> Problem:
    return problem.take(np.random.default_rng(3).permutation(problem.n_queries))


def windowed(problem: Problem) -> Problem:
    """Forbid the larger batches to the longer queries."""
    tokens = problem.input_tokens + problem.output_tokens
    most = max(3 * float(np.median(tokens)), float(tokens.max()))
    return problem.replace(
        models=[model.replace(context_window=int(model.shared_tokens + most)) for model in problem.models]
    )


def other_states(problem: Problem) -> Problem:
    return problem.replace(models=[model.replace(name=model.name + "!") for model in problem.models])


def nameless(problem: Problem) -> Problem:
    return problem.replace(query_ids=None)


CHANGES = {
    "same": lambda problem: problem,
    "rescored": rescored,
    "removed": removed,
    "added": added,
    "turned": turned,
    "all": lambda problem: rescored(turned(added(removed(problem)))),
    "windows": windowed,
    "other states": other_states,
    "without ids": nameless,
}


@pytest.fixture
def requests() -> Iterator[list[Request]]:
    """Register a solver, `spy`, that keeps what it is asked."""
    seen: list[Request] = []

    def run(request: Request) -> Answer:
        seen.append(request)
        return Answer(request.problem.cheapest_assignment)

    register(Solver("spy", "for a test", run))
    yield seen
    registry.unregister("spy")


@pytest.mark.parametrize("change", CHANGES)
def test_states_are_taken_over_by_id(requests: list[Request], change: str) -> None:
    problem = made(400)
    plan = solve(problem, problem.budget_at(0.6), "greedy", cost="amortized")
    new = CHANGES[change](problem)
    solve(new, new.budget_at(0.5), "spy", initial_plan=plan, cost="amortized")
    (request,) = requests
    assert request.price == plan.shadow_price
    if change == "other states":
        assert request.initial is None
        return
    known = dict(zip(problem.query_ids.tolist(), plan.assignment.tolist(), strict=True))
    names = problem.query_ids if new.query_ids is None else new.query_ids
    allowed, cheapest = new.allowed(), new.cheapest_assignment.tolist()
    wanted = [known.get(name, cheapest[i]) for i, name in enumerate(names.tolist())]
    wanted = [state if allowed[i, state] else cheapest[i] for i, state in enumerate(wanted)]
    assert request.initial.tolist() == wanted
    changed = sum(known.get(name) != state for name, state in zip(names.tolist(), wanted, strict=True))
    assert (changed > 0) == (change in ("added", "all", "windows"))


def test_plans_without_ids_need_as_many_queries(requests: list[Request]) -> None:
    problem = nameless(made(50))
    plan = solve(problem, problem.budget_at(0.6), "greedy", cost="amortized")
    fewer = problem.take(np.arange(40))
    solve(fewer, fewer.budget_at(0.5), "spy", initial_plan=plan, cost="amortized")
    solve(made(50), problem.budget_at(0.5), "spy", initial_plan=plan, cost="amortized")
    assert [request.initial is None for request in requests] == [True, False]


def test_numbers_and_texts_are_different_ids(requests: list[Request]) -> None:
    numbers, texts = (made(50).replace(query_ids=[kind(i) for i in range(50)]) for kind in (int, str))
    plan = solve(numbers, numbers.budget_at(0.6), "greedy", cost="amortized")
    solve(texts, texts.budget_at(0.5), "spy", initial_plan=plan, cost="amortized")
    assert np.array_equal(requests[0].initial, texts.cheapest_assignment)


def test_a_plan_that_is_none_gives_nothing(requests: list[Request]) -> None:
    problem = made(50)
    nothing = solve(problem, problem.cheapest_budget / 2, "greedy", cost="amortized")
    solve(problem, problem.budget_at(0.5), "spy", initial_plan=nothing, cost="amortized")
    assert (requests[0].initial, requests[0].price) == (None, None)


@pytest.mark.parametrize("rows", [500, ROWS])
@pytest.mark.parametrize("change", CHANGES)
def test_the_result_is_that_of_a_cold_start(change: str, rows: int) -> None:
    problem = made(rows)
    new = CHANGES[change](problem)
    for solver in ("greedy", "exact"):
        plan = solve(problem, problem.budget_at(0.31), solver, cost="amortized")
        for fraction in (0.3, 0.9, 0.02):
            budget = new.budget_at(fraction)
            cold, warm = (
                solve(new, budget, solver, cost="amortized"),
                solve(new, budget, solver, initial_plan=plan, cost="amortized"),
            )
            assert warm.shadow_price == pytest.approx(cold.shadow_price, rel=1e-9)
            if solver == "exact":
                assert (warm.status, cold.status) == ("optimal", "optimal")
                assert warm.utility == pytest.approx(cold.utility, rel=1e-9)
            else:
                assert warm.bound == pytest.approx(cold.bound, rel=1e-12)
                # how far greedy looks beyond the budget for steps that fit depends on where it looked
                assert warm.utility == pytest.approx(cold.utility, abs=0.0 if rows == 500 else 0.5)


@pytest.mark.parametrize("price", [0.0, 1e-300, 1e300, np.inf, np.nan, None])
def test_a_wrong_shadow_price_changes_nothing(price: float | None) -> None:
    problem = made()
    budget = problem.budget_at(0.3)
    cold = solve(problem, budget, "exact", cost="amortized")
    plan = replace(solve(problem, budget, "cheapest", cost="amortized"), shadow_price=price)
    warm = solve(problem, budget, "exact", initial_plan=plan, cost="amortized")
    assert warm.status == "optimal"
    assert warm.utility == pytest.approx(cold.utility, rel=1e-9)
    assert warm.shadow_price == cold.shadow_price


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float, float]]:
    """Count the rows that each pass for steps looks at, with its prices."""
    seen: list[tuple[int, float, float]] = []
    kernel = relaxation_kernels.steps

    def steps(begin, end, high, low, *rest):
        seen.append((end - begin, high, low))
        return kernel(begin, end, high, low, *rest)

    monkeypatch.setattr(relaxation_kernels, "steps", steps)
    return seen


@pytest.mark.parametrize("solver", ["greedy", "exact"])
def test_a_near_shadow_price_saves_the_sample(solver: str, passes: list[tuple[int, float, float]]) -> None:
    problem = made()
    plan = solve(problem, problem.budget_at(0.3), solver, cost="amortized")
    assert passes[0][0] < ROWS  # the sample
    assert passes[1][0] == ROWS
    passes.clear()
    solve(removed(problem), removed(problem).budget_at(0.3), solver, initial_plan=plan, cost="amortized")
    rows, high, low = passes[0]
    assert rows == ROWS * 9 // 10
    assert 0.9 * plan.shadow_price < low < plan.shadow_price < high < 1.1 * plan.shadow_price
    passes.clear()
    warm = solve(problem, problem.budget_at(0.301), "greedy", initial_plan=plan, cost="amortized")
    assert [rows for rows, _, _ in passes] == [ROWS]  # one look at every query is enough
    assert warm.shadow_price != plan.shadow_price


def test_a_far_shadow_price_is_left_behind(passes: list[tuple[int, float, float]]) -> None:
    problem = made()
    plan = solve(problem, problem.budget_at(0.05), "greedy", cost="amortized")
    passes.clear()
    warm = solve(problem, problem.budget_at(0.9), "greedy", initial_plan=plan, cost="amortized")
    assert len(passes) > 1
    assert {rows for rows, _, _ in passes} == {ROWS}
    assert warm.shadow_price < plan.shadow_price / 2


@pytest.mark.parametrize("solver", ["greedy", "exact"])
def test_initial_assignments(solver: str) -> None:
    problem = made(500)
    budget = problem.budget_at(0.4)
    cold = solve(problem, budget, solver, cost="amortized")
    for start in (cold.assignment, cold.assignment.tolist(), problem.cheapest_assignment, problem.best_assignment):
        warm = solve(problem, budget, solver, initial_plan=start, cost="amortized")
        assert warm.utility == pytest.approx(cold.utility, rel=1e-9)
    for bad in (cold.assignment[1:], np.full(500, 99), cold.assignment + 0.5):
        with pytest.raises(InputError, match="assignment"):
            solve(problem, budget, solver, initial_plan=bad, cost="amortized")


def test_exact_begins_with_an_assignment_that_is_better_than_greedy() -> None:
    problem = generate("adversarial", 40, models=2, batch_sizes=(1, 2), seed=1)
    budget = problem.budget_at(0.7)
    best = solve(problem, budget, "exact", cost="amortized")
    cold = solve(problem, budget, "exact", gap=1.0, cost="amortized")
    assert cold.utility < 0.9 * best.utility
    for start in (best, best.assignment):
        warm = solve(problem, budget, "exact", gap=1.0, initial_plan=start, cost="amortized")
        assert warm.utility == best.utility
