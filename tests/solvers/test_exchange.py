"""What goes to other solvers comes back: models through every reader, solutions in every style, and as plans."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import highspy
import numpy as np
import pandas as pd
import polars as pl
import pulp
import pyarrow as pa
import pyscipopt
import pytest
import swiglpk as glpk
from ortools.linear_solver.python import model_builder

from robatch.instances import Constraints, InputError, Problem, generate
from robatch.solvers import VerificationError, export, plan_from, read_solution, solve, verify
from robatch.solvers.exchange.names import column_names, row_names
from robatch.solvers.mip.formulation import build

COSTS = ("realized", "amortized")


@pytest.fixture(scope="module", params=COSTS)
def case(request: pytest.FixtureRequest) -> tuple[Problem, float, str, float]:
    """A problem with groups, ids, awkward names and limits; a budget, the cost model and the optimum."""
    problem = generate("realistic", queries=14, models=2, batch_sizes=(1, 4), seed=2)
    problem = problem.replace(
        query_ids=[f"bin {i}/gen" for i in range(14)],
        groups=["end"] * 7 + ["free"] * 7,
        models=[problem.models[0].replace(name="e9-x:y"), problem.models[1].replace(name="1st.model")],
    )
    problem = problem.replace(constraints=Constraints(max_queries={"1st.model": 9}, min_group_utility={"free": 0.1}))
    budget = problem.budget_at(0.5)
    optimum = solve(problem, budget, "highs", request.param, gap=0.0)
    assert optimum.status == "optimal"
    return problem, budget, request.param, optimum.utility


def by_highs(path: Path, form: int = 0, relaxed: bool = False) -> Path:
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("threads", 1)
    if relaxed:
        highs.setOptionValue("solve_relaxation", True)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    worker = threading.Thread(target=highs.run)  # whose scheduler ends with it
    worker.start()
    worker.join()
    highs.writeSolution(str(path.with_suffix(".sol")), form)
    return path.with_suffix(".sol")


def by_cbc(path: Path) -> Path:
    solution = path.with_suffix(".sol")
    command = [pulp.PULP_CBC_CMD().path, str(path), "-ratio", "0", "-solve", "-solution", str(solution)]
    subprocess.run(command, check=True, capture_output=True)
    return solution


def by_scip(path: Path) -> Path:
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(str(path))
    model.optimize()
    model.writeBestSol(str(path.with_suffix(".sol")))
    return path.with_suffix(".sol")


def by_glpk(path: Path, printed: bool = False) -> Path:
    glpk.glp_term_out(glpk.GLP_OFF)
    model = glpk.glp_create_prob()
    if path.suffix == ".mps":
        assert glpk.glp_read_mps(model, glpk.GLP_MPS_FILE, None, str(path)) == 0
    else:
        assert glpk.glp_read_lp(model, None, str(path)) == 0
    settings = glpk.glp_iocp()
    glpk.glp_init_iocp(settings)
    settings.presolve = glpk.GLP_ON
    assert glpk.glp_intopt(model, settings) == 0
    (glpk.glp_print_mip if printed else glpk.glp_write_mip)(model, str(path.with_suffix(".sol")))
    return path.with_suffix(".sol")


def named(path: Path, values: dict[str, float]) -> Path:
    """Write a solution as Gurobi does."""
    lines = ["# Solution for model robatch", *(f"{name} {value!r}" for name, value in values.items())]
    path.with_suffix(".sol").write_text("\n".join(lines))
    return path.with_suffix(".sol")


def by_ortools(path: Path) -> Path:
    model = model_builder.Model()
    assert model.import_from_mps_file(str(path))
    solver = model_builder.Solver("scip")
    assert solver.solve(model) == model_builder.SolveStatus.OPTIMAL
    every = [model.var_from_index(i) for i in range(model.num_variables)]
    return named(path, {one.name: solver.value(one) for one in every})


def by_pulp(path: Path) -> Path:
    every, model = pulp.LpProblem.fromMPS(str(path))
    assert model.solve(pulp.PULP_CBC_CMD(msg=False, options=["ratio 0"])) == pulp.LpStatusOptimal
    return named(path, {name: one.value() for name, one in every.items()})


READERS: dict[str, Callable[[Path], Path]] = {
    "HiGHS .mps": by_highs, "HiGHS .lp": by_highs, "CBC .mps": by_cbc, "CBC .lp": by_cbc, "SCIP .mps": by_scip,
    "SCIP .lp": by_scip, "GLPK .mps": by_glpk, "GLPK .lp": by_glpk, "OR-Tools .mps": by_ortools, "PuLP .mps": by_pulp,
}  # fmt: skip


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_the_optimum(reader, scale, case, tmp_path):
    problem, budget, cost, optimum = case
    path = tmp_path / f"model{reader.split()[1]}"
    export(problem, budget, path, cost, scale=scale)
    plan = plan_from(problem, READERS[reader](path), budget, cost, bound=optimum, solver=reader)
    assert (plan.status, plan.solver) == ("optimal", reader)
    assert plan.utility == pytest.approx(optimum, rel=1e-12)


def test_ortools_and_pulp_read_no_lp_files(case, tmp_path):  # what docs/exchange.md says of OR-Tools 9.15 and PuLP 3.3
    problem, budget, cost, _ = case
    export(problem, budget, tmp_path / "model.lp", cost)
    assert not model_builder.Model().import_from_lp_file(str(tmp_path / "model.lp"))
    assert not hasattr(pulp.LpProblem, "fromLP")


def test_numbers_read_back_as_they_were(case, tmp_path):
    problem, budget, cost, _ = case
    model = build(problem, budget, cost, scaled=False)
    export(problem, budget, tmp_path / "model.mps", cost, scale=False)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("small_matrix_value", 1e-12)
    highs.readModel(str(tmp_path / "model.mps"))
    read = highs.getLp()
    assert list(read.col_cost_) == (-model.objective).tolist()
    assert list(read.col_names_) == column_names(model.columns)
    assert list(read.row_names_) == row_names(model)
    assert read.row_upper_[list(read.row_names_).index("budget")] == budget
    text = (tmp_path / "model.mps").read_text()
    assert "MINIMIZATION" in text
    assert "OBJSENSE" not in text
    assert max(map(len, text.splitlines())) < 255


@pytest.mark.parametrize(
    ("ids", "shown"),
    [(None, "x_0_"), (["a b", "a-b", "c"], "x_q0_"), (["x" * 60, "b", "c"], "x_q0_"), (["é", "?", "c"], "x_q0_"),
     ([7, -7, 8], "x_q0_"), (["t_1", "t_2", "T_1"], "x_t.1_")],
)  # fmt: skip
def test_names_are_plain_and_different(ids, shown):
    problem = generate("uncorrelated", queries=3, models=2, batch_sizes=(1, 2), seed=0).replace(query_ids=ids)
    names = column_names(build(problem, problem.dearest_budget, "realized").columns)
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.replace("_", "").replace(".", "").isalnum() for name in names)
    assert names[0].startswith(shown)


# ---- solutions


STYLES = {
    **{f"HiGHS {form}": lambda path, form=form: by_highs(path, form) for form in range(5)},
    "GLPK printed": lambda path: by_glpk(path, printed=True),
}


@pytest.mark.parametrize("style", STYLES)
def test_solutions_are_read_in_every_style(style, case, tmp_path):
    problem, budget, cost, optimum = case
    export(problem, budget, tmp_path / "model.mps", cost)
    states = read_solution(problem, STYLES[style](tmp_path / "model.mps"))
    assert problem.total_utility(states) == pytest.approx(optimum, rel=1e-12)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_solution_of_cplex_is_read(quote, case, tmp_path):
    problem, *_ = case
    states = problem.cheapest_assignment
    names = column_names(build(problem, 1.0, "amortized").columns)
    chosen = [names[i * problem.n_states + s] for i, s in enumerate(states)]  # every state is allowed
    rows = "".join(f"<variable index={quote}3{quote} name={quote}{x}{quote} value={quote}1{quote}/>" for x in chosen)
    (tmp_path / "cplex.sol").write_text(f'<?xml version="1.0"?><CPLEXSolution><variables>{rows}</variables>')
    assert read_solution(problem, tmp_path / "cplex.sol").tolist() == states.tolist()


def test_a_relaxation_is_no_plan(tmp_path):
    problem = generate("realistic", queries=20, models=2, batch_sizes=(1, 4), seed=2)
    export(problem, problem.budget_at(0.3), tmp_path / "model.mps", "amortized")
    solution = by_highs(tmp_path / "model.mps", relaxed=True)
    with pytest.raises(InputError, match=r"gives query number \d+ 0\.\d+ of .*: one state a query is needed"):
        read_solution(problem, solution)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "it says 'nothing'"), ("Model status\nInfeasible\n", "it says 'Infeasible'"),
     ("no solution available", "no solution"), ("x_99_a_1 1", "gives no column of this problem"),
     ("x_0_{}_1 1", "gives query number 1 no state"), ("<xml/>", "gives no column")],
)  # fmt: skip
def test_what_is_no_solution_is_named(text, complaint, tmp_path):
    problem = generate("uncorrelated", queries=3, models=2, batch_sizes=(1, 2), seed=0)
    (tmp_path / "one.sol").write_text(text.format(problem.models[0].name.replace("-", ".")))
    with pytest.raises(InputError, match=complaint):
        plan_from(problem, tmp_path / "one.sol")


# ---- plans of assignments


@pytest.fixture(scope="module")
def small():
    problem = generate("uncorrelated", queries=5, models=2, batch_sizes=(1, 2), seed=0).replace(query_ids=list("abcde"))
    return problem, np.array([0, 1, 2, 3, 0])


def shuffled(problem, states):
    order = [3, 0, 4, 1, 2]
    chosen = [problem.states[s] for s in states[order]]
    return {
        "query_id": [problem.query_ids[i].item() for i in order],
        "model": [one.model for one in chosen],
        "batch_size": [one.batch_size for one in chosen],
    }


FORMS = {
    "array": lambda problem, states: states,
    "list": lambda problem, states: states.tolist(),
    "polars series": lambda problem, states: pl.Series(states),
    "pairs": lambda problem, states: [tuple(problem.states[s]) for s in states],
    "columns": shuffled,
    "pandas": lambda *given: pd.DataFrame(shuffled(*given)),
    "polars": lambda *given: pl.DataFrame(shuffled(*given)),
    "arrow": lambda *given: pa.table(shuffled(*given)),
    "rows": lambda *given: pa.table(shuffled(*given)).to_pylist(),
    "states": lambda problem, states: pl.DataFrame({"state": states}),
    "plan": lambda problem, states: plan_from(problem, states),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_plan_is_made_of_any_form(form, small):
    problem, states = small
    plan = plan_from(problem, FORMS[form](problem, states))
    assert plan.assignment.tolist() == states.tolist()
    assert plan.status == "feasible"
    assert plan.budget == plan.realized_cost
    verify(problem, plan)


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [([0, 1], r"shape \(2,\)"), ([0.0] * 5, "5 whole numbers are needed"), ([9] * 5, "query 'a' is state 9"),
     ([("x", 1)] * 5, r"the state of row 1 is \('x', 1\)"), ({"state": [0, 0, 0, 0, 0.5]}, "a whole number is needed"),
     ({"query_id": list("abcdd"), "state": [0] * 5}, "lacks query 'e'"), ({"x": [1]}, "no column 'state'"),
     ({"query_id": list("abcdee"), "state": [0] * 6}, "more than one row")],
)  # fmt: skip
def test_what_is_no_assignment_is_named(assignment, complaint, small):
    with pytest.raises(InputError, match=complaint):
        plan_from(small[0], assignment)


def test_a_plan_over_its_budget_is_none(small):
    problem, states = small
    cost = problem.realized_cost(states)
    with pytest.raises(VerificationError, match="over its budget"):
        plan_from(problem, states, cost / 2)
    with pytest.raises(VerificationError, match="below the utility"):
        plan_from(problem, states, bound=0.01)
    with pytest.raises(InputError, match="cost is 'paid'"):
        plan_from(problem, states, cost="paid")


def test_verify_takes_an_array(small):
    problem, states = small
    found = verify(problem, states.tolist())
    assert found.utility == pytest.approx(problem.total_utility(states))
    assert found.dual_bound is None
    with pytest.raises(VerificationError, match="over its budget"):
        verify(problem, states, budget=found.amortized_cost / 2, cost="amortized")
    with pytest.raises(InputError, match="a plan has its own"):
        verify(problem, plan_from(problem, states), budget=1.0)
    limited = problem.replace(constraints=Constraints(max_queries={problem.models[0].name: 1}))
    with pytest.raises(VerificationError, match="answers 3 queries, over its 1"):
        verify(limited, states)
