"""What a user who names no cost, no solver and no effort gets: plans that keep their budget as billed."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import click
import numpy as np
import pytest

from robatch.cli import main
from robatch.instances import FAMILIES, Constraints, InputError, generate
from robatch.solvers import Answer, Plan, Request, explain, registry, solve
from robatch.solvers.infeasible import least_realized_cost

PACKAGES = ("robatch", "robatch.instances", "robatch.solvers", "robatch.proxies", "robatch.bench")
SMALL = generate("realistic", queries=12, models=2, batch_sizes=(1, 4, 8), seed=3)
GROUPED = SMALL.replace(groups=["a", "b", "c"] * 4)


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every public function, and every public method of a public class, by name."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                for member, method in inspect.getmembers(thing, inspect.isroutine):
                    if member == "__init__" or not member.startswith("_"):
                        yield f"{package}.{name}.{member}", method
            elif callable(thing):
                yield f"{package}.{name}", thing


def with_a_cost() -> dict[str, Any]:
    """Return the default of every public parameter that is a cost model, by the name of its function."""
    found = {}
    for name, function in functions():
        if ".Solver." in name:  # whose costs are those that it can keep
            continue
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            continue
        for parameter in ("cost", "costs"):
            kind = parameters[parameter].annotation if parameter in parameters else ""
            if "Cost" in str(kind) and parameters[parameter].default is not inspect.Parameter.empty:
                found[name] = parameters[parameter].default
    return found


def options(command: click.Command, name: str) -> Iterator[tuple[str, click.Parameter]]:
    """Yield every option of a command and of those below it that takes a cost model."""
    if isinstance(command, click.Group):
        for below, one in command.commands.items():
            yield from options(one, f"{name} {below}")
    for one in command.params:
        if isinstance(one.type, click.Choice) and set(one.type.choices) >= {"amortized", "realized"}:
            yield name, one


def test_every_public_function_takes_realized_cost_by_itself() -> None:
    found = with_a_cost()
    named = {"solve", "cheapest", "frontier", "explain", "bench.gap_benchmark", "solvers.export"}
    assert {f"robatch.{name}" for name in named} <= set(found)
    assert {name: cost for name, cost in found.items() if cost not in ("realized", ("realized",))} == {}


def test_every_command_takes_realized_cost_by_itself() -> None:
    found = dict(options(main, "robatch"))
    assert {f"robatch {name}" for name in ("solve", "cheapest", "frontier", "bench gap")} <= set(found)
    found.pop("robatch bench gap")  # whose own instances are the paper's problem: tested with its command
    assert {name: one.default for name, one in found.items() if one.default != "realized"} == {}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_plan_without_a_cost_keeps_its_budget_call_by_call(family: str) -> None:
    for seed in range(6):
        models = 2 if family == "from-knapsack" else 3
        problem = generate(family, queries=9, models=models, batch_sizes=(1, 3, 5), seed=seed)
        least, _ = least_realized_cost(problem)
        budget = least * (1.0, 1.001, 1.02, 1.1, 1.4, 2.0)[seed]
        plan = solve(problem, budget)
        assert plan.cost == "realized"
        assert plan.assignment is not None
        own = problem.query_costs()
        bill = 0.0
        for call in plan.calls():
            model = [one.name for one in problem.models].index(call.state.model)
            bill += problem.models[model].price_in * problem.models[model].shared_tokens / 1e6
            bill += sum(own[query, model] for query in call.queries)
        assert bill <= budget * (1 + 1e-12)
        assert plan.realized_cost == pytest.approx(bill)
        paper = solve(problem, budget, cost="amortized")
        assert paper.cost == "amortized"
        assert paper.utility >= plan.utility - 1e-9  # type: ignore[operator]  # what is billed is never less


# ---- what "auto" stands for


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Request]]:
    """Return a list that fills with the solvers that were asked, each with its request; none finds a plan."""
    requests: list[tuple[str, Request]] = []

    def spy(name: str) -> Callable[[Request], Answer]:
        def run(request: Request) -> Answer:
            requests.append((name, request))
            return Answer(message="none was looked for")

        return run

    spied = {name: replace(entry, run=spy(name)) for name, entry in registry._solvers.items()}
    monkeypatch.setattr(registry, "_solvers", spied)
    return requests


@pytest.mark.parametrize(
    ("change", "cost", "name"),
    [
        ({}, "realized", "greedy"),
        ({"groups": ["a", "b"] * 6}, "realized", "greedy"),
        ({"conflicts": [(0, 1)]}, "realized", "greedy"),
        ({"conflicts": [(0, 1)]}, "amortized", "exact"),
        ({}, "amortized", "exact"),
        ({"constraints": Constraints(max_queries={SMALL.models[0].name: 9})}, "realized", "greedy"),
        ({"constraints": Constraints(max_queries={SMALL.models[0].name: 9})}, "amortized", "greedy"),
        ({"models": [model.replace(shared_tokens=0) for model in SMALL.models]}, "realized", "exact"),
        ({"models": [model.replace(price_in=0.0) for model in SMALL.models]}, "realized", "exact"),
    ],
)
def test_auto(asked: list[tuple[str, Request]], change: dict[str, Any], cost: Any, name: str) -> None:
    solve(SMALL.replace(**change), 1.0, cost=cost)
    assert {found for found, _ in asked} == {name}
    assert asked[0][1].cost == cost


@pytest.mark.parametrize(
    ("queries", "effort", "used"), [(1, 1.0, 10.0), (200, 3.0, 30.0), (201, 1.0, 1.0), (201, 3.0, 3.0)]
)
def test_auto_begins_with_more_effort_where_queries_are_few(
    asked: list[tuple[str, Request]], queries: int, effort: float, used: float
) -> None:
    problem = generate("ties", queries=queries, models=2, batch_sizes=(1, 4))
    solve(problem, 1.0, effort=effort)
    solve(problem, 1.0, "greedy", effort=effort)
    assert {request.effort for _, request in asked[:-1]} == {used}
    assert asked[-1][1].effort == effort


DECIDED = {
    "plain": SMALL,
    "groups": GROUPED,
    "conflicts": SMALL.replace(conflicts=[(0, 1), (1, 2), (3, 4)]),
    "windows": SMALL.replace(window_margin=0.3),
    "forbidden": SMALL.restrict(forbidden=[(0, (SMALL.models[0].name, 8)), (5, (SMALL.models[0].name, 4))]),
}


@pytest.mark.parametrize("kind", DECIDED)
def test_auto_decides_where_the_search_finds_nothing(asked: list[tuple[str, Request]], kind: str) -> None:
    problem = DECIDED[kind]
    least, proven = least_realized_cost(problem)
    assert proven
    plan = solve(problem, least)
    assert plan.realized_cost == pytest.approx(least)
    assert plan.realized_cost <= least  # type: ignore[operator]
    assert plan.status == "feasible"
    assert plan.solver == "greedy"
    short = solve(problem, least * (1 - 1e-6))
    assert short.status == "infeasible"
    assert "below the cheapest plan, which bills" in str(short.message)
    assert solve(problem, least, "greedy").status == "no_solution"  # by name it stays what the solver said
    assert solve(problem, least, time_limit=1e-9).status == "no_solution"
    assert solve(problem, least, cost="amortized").status == "no_solution"


def test_auto_goes_on_from_the_cheapest_plan(asked: list[tuple[str, Request]]) -> None:
    problem = generate("realistic", queries=20, models=3, batch_sizes=(1, 4, 8), seed=2)
    least, _ = least_realized_cost(problem)

    def finds_only_what_it_is_given(request: Request) -> Answer:
        return Answer(message="none was looked for") if request.initial is None else run(request)

    run = registry.get("greedy").load()
    found = replace(registry.get("greedy"), run=finds_only_what_it_is_given)
    registry._solvers["greedy"] = found
    plan = solve(problem, 2 * least)
    assert plan.message == "the search found no plan: this is the cheapest one that a mixed-integer program found"
    assert [request.initial is None for _, request in asked] == [False]
    assert problem.realized_cost(asked[0][1].initial) == pytest.approx(least)


# ---- effort


@pytest.mark.parametrize("cost", ["realized", "amortized"])
@pytest.mark.parametrize("name", [entry.name for entry in registry.solvers()])
def test_solvers_without_a_use_for_effort_refuse_it(asked: list[tuple[str, Request]], name: str, cost: Any) -> None:
    entry = registry.get(name)
    if cost not in entry.costs:
        return
    solve(SMALL, 1.0, name, cost, effort=1)
    if cost in entry.effort:
        assert name in ("greedy", "exact")
        solve(SMALL, 1.0, name, cost, effort=2.5)
        assert [request.effort for _, request in asked] == [1.0, 2.5]
        return
    others = ", exact and greedy take more" if cost == "realized" else ""
    with pytest.raises(InputError, match=f"^effort is 2.5: solver '{name}' takes only 1 under {cost} cost{others}$"):
        solve(SMALL, 1.0, name, cost, effort=2.5)


def test_effort_with_constraints_is_refused() -> None:
    limited = SMALL.replace(constraints=Constraints(max_queries={SMALL.models[0].name: 9}))
    for name, words in (
        ("auto", "'greedy', which 'auto' stands for with constraints, takes only 1"),
        ("greedy", "'greedy' takes only 1 with constraints"),
    ):
        told = f"^effort is 2: solver {words}; a solver that proves optima, such as 'highs', may find a better plan$"
        with pytest.raises(InputError, match=told):
            solve(limited, 1.0, name, effort=2)


@pytest.mark.parametrize("effort", [0, 0.99, -1, math.nan, math.inf, 2e9, "much", None, True])
def test_bad_efforts(effort: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"effort is {effort!r}: a finite number from 1 to 1e+09 is needed")):
        solve(SMALL, 1.0, effort=effort)


@pytest.mark.parametrize("change", [{}, {"groups": ["a", "b"] * 40}, {"conflicts": [(0, 1), (3, 4)]}])
def test_a_time_limit_ends_the_search_and_is_named(change: dict[str, Any]) -> None:
    problem = generate("strongly-correlated", queries=80, models=4, seed=1).replace(**change)
    budget = problem.budget_at(0.3)
    for effort in (1.0, 1e6):
        plan = solve(problem, budget, effort=effort, time_limit=1e-6)
        assert (plan.status, plan.limit) == ("feasible", "time")
    done = solve(problem, budget, "greedy")
    assert (done.status, done.limit) == ("feasible", None)  # at its share of work


def gap(plan: Plan) -> float:
    return math.inf if plan.gap is None else plan.gap


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "strongly-correlated", "ties"])
def test_more_effort_never_buys_less(family: str) -> None:
    for seed in range(3):
        problem = generate(family, queries=40, models=3, batch_sizes=(1, 2, 4, 8), seed=seed)
        budget = 1.3 * problem.budget_at(0.3)
        plans = [solve(problem, budget, "greedy", effort=effort) for effort in (1, 3, 9)]
        gaps = [gap(plan) for plan in plans]
        assert gaps == sorted(gaps, reverse=True)
        utilities = [plan.utility or 0.0 for plan in plans]
        assert utilities == sorted(utilities)
        auto = solve(problem, budget)
        assert auto.status == "optimal" or gap(auto) <= gaps[2]


# ---- a plan to start from


@pytest.mark.parametrize("family", ["realistic", "uncorrelated", "adversarial", "ties"])
def test_an_earlier_plan_is_not_lost(family: str) -> None:
    problem = generate(family, queries=30, models=3, batch_sizes=(1, 4, 8), seed=7)
    budget = 1.2 * problem.budget_at(0.2)
    best = solve(problem, budget, "exact", time_limit=20.0)
    again = solve(problem, budget, "greedy", initial_plan=best)
    assert again.utility >= best.utility  # type: ignore[operator]
    # a start that bills more than the budget helps to nothing, and harms nothing
    dear = solve(problem, budget, "greedy", initial_plan=problem.best_assignment)
    assert dear.utility == solve(problem, budget, "greedy").utility


def test_explanations_count_what_is_billed() -> None:
    limited = GROUPED.replace(constraints=Constraints(min_group_utility={"a": 0.01}))
    paper, billed = limited.cheapest_budget, least_realized_cost(limited.replace(constraints=None))[0]
    assert billed > paper * 1.001
    between = float(np.sqrt(billed * paper))
    assert explain(limited, between).feasible is False
    assert "(realized cost)" in explain(limited, between).message


@pytest.mark.parametrize("effort", [1, 3])
def test_effort_is_spent_only_where_there_may_be_a_plan(asked: list[tuple[str, Request]], effort: float) -> None:
    problem = generate("realistic", queries=12, models=2, batch_sizes=(1, 4, 16), seed=0)
    plan = solve(problem, problem.budget_at(0.0), effort=effort)
    assert plan.status == "infeasible"
    assert "below the cheapest plan" in str(plan.message)
    assert [request.effort for _, request in asked] == [1.0]
