"""Plans, calls, problems, frontiers and results as tables of pandas, polars and Arrow, and as pages of a notebook."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from robatch.bench import gap_benchmark
from robatch.instances import InputError, Problem, generate
from robatch.solvers import Plan, frontier, plan_from, solve

KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


@pytest.fixture(scope="module", params=["plain", "named", "conflicts", "costs", "cached", "float32"])
def case(request: pytest.FixtureRequest) -> tuple[Problem, Plan]:
    problem = generate("realistic", queries=40, models=2, batch_sizes=(1, 4), seed=3)
    if request.param == "named":
        problem = problem.replace(query_ids=[f"q{i}" for i in range(40)], groups=[f"<g{i % 3}>" for i in range(40)])
    elif request.param == "conflicts":
        problem = problem.replace(conflicts=[(0, 1), (1, 2), (0, 2)])
    elif request.param == "costs":
        problem = problem.replace(costs=problem.amortized_costs() * 2)
    elif request.param == "cached":
        models = [one.replace(cache_read=one.price_in / 10, call_fee=1e-4) for one in problem.models]
        problem = problem.replace(models=models, groups=[i % 3 for i in range(40)])
    elif request.param == "float32":
        problem = generate("realistic", queries=40, models=2, batch_sizes=(1, 4), seed=3, dtype="float32")
    states = np.where(np.arange(40) % 3 == 0, problem.best_assignment, problem.cheapest_assignment)
    return problem, plan_from(problem, states)


@pytest.mark.parametrize("library", KINDS)
def test_a_plan_is_a_table_of_its_queries(case, library):
    problem, plan = case
    frame = plan.to_frame(problem, library)
    assert isinstance(frame, KINDS[library])
    table = pa.table(frame) if library != "pyarrow" else frame
    columns = {name: table[name].to_pylist() for name in table.column_names}
    assert sum(columns["utility"]) == pytest.approx(plan.utility, rel=1e-9)
    assert sum(columns["amortized_cost"]) == pytest.approx(plan.amortized_cost, rel=1e-9)
    assert sum(columns["realized_cost"]) == pytest.approx(plan.realized_cost, rel=1e-9)
    states = list(zip(columns["model"], columns["batch_size"], strict=True))
    assert states == [tuple(problem.states[s]) for s in plan.assignment]
    for number, call in enumerate(plan.calls()):
        assert {columns["call"][i] for i in call.queries} == {number}
    ids = range(40) if problem.query_ids is None else problem.query_ids.tolist()
    assert columns["query_id"] == list(ids)
    assert columns.get("group") == (None if problem.groups is None else problem.groups.tolist())


def test_a_plan_speaks_arrow(case):
    problem, plan = case
    assert pl.DataFrame(plan).columns == plan.to_frame(library="polars").columns
    assert pa.table(plan).num_rows == problem.n_queries
    assert np.shares_memory(pa.table({"x": plan.assignment})["x"].chunk(0).to_numpy(), plan.assignment)


def test_what_no_table_is_made_of_is_named(case):
    problem, plan = case
    with pytest.raises(InputError, match="library is 'excel': 'pandas', 'polars' or 'pyarrow' is needed"):
        plan.to_frame(library="excel")
    with pytest.raises(InputError, match="queries or states differ"):
        plan.to_frame(problem.take(range(39)) if problem.conflicts is None else problem.take(range(3, 40)))
    none = solve(problem, 1e-9)
    with pytest.raises(InputError, match="only a plan with an assignment has calls"):
        none.to_frame()


@pytest.mark.parametrize("library", KINDS)
def test_calls_problems_and_frontiers_are_tables(case, library):
    problem, plan = case
    calls = plan.calls()
    assert isinstance(calls.to_frame(library), KINDS[library])
    table = pa.table(calls)
    assert table["queries"].to_pylist() == [call.queries.tolist() for call in calls]
    assert table["size"].to_pylist() == calls.sizes.tolist()
    assert isinstance(problem.to_frame(library), KINDS[library])
    table = pa.table(problem)
    assert table.num_rows == problem.n_queries * problem.n_states
    assert table["utility"].to_numpy().tolist() == problem.utilities().ravel().tolist()
    assert table["model"].to_pylist()[: problem.n_states] == [state.model for state in problem.states]
    if problem.conflicts is None and problem.utilities().dtype == np.float64:
        assert isinstance(frontier(problem, cost="amortized").to_frame(library), KINDS[library])


def test_pages_of_a_notebook_escape_what_they_show(case):
    problem, _ = case
    named = problem.replace(models=[problem.models[0].replace(name="<b>&x"), problem.models[1]])
    plan = plan_from(named, named.best_assignment)
    for shown in (plan, plan.calls(), named, solve(named, 1e-9)):
        html = shown._repr_html_()
        assert "<b>&x" not in html
        assert html.count("<table") == html.count("</table>") >= 1
    assert "&lt;b&gt;&amp;x" in named._repr_html_()


def test_results_are_a_table():
    problem = generate("uncorrelated", queries=6, models=2, batch_sizes=(1, 2), seed=0)
    results = gap_benchmark({"one": problem}, (0.3, 0.7), ("greedy", "pareto"))
    frame = results.to_frame()
    assert frame["solver"].tolist() == ["greedy", "pareto"] * 2
    assert frame["utility"].tolist() == [row.utility for row in results.rows]
    assert pl.DataFrame(results).height == 4
    assert results._repr_html_().count("<tr>") == 5
    assert json.loads(frame.to_json())  # plain values throughout
