"""Solvers of one's own: from modules, files and entry points, their versions, and what they may return."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.instances import InputError, InputWarning, generate
from robatch.solvers import Answer, Solver, register, registry, solve, solvers
from robatch.solvers.own import register_from

PROBLEM = generate("uncorrelated", queries=5, models=2, batch_sizes=(1, 2), seed=0)
BUDGET = PROBLEM.budget_at(0.5)
CHEAPEST = PROBLEM.cheapest_assignment

MODULE = '''
from robatch import Answer, Solver
__version__ = "7.3"

def cheap(request):
    """Always the cheapest plan."""
    return Answer(request.problem.cheapest_assignment)

best = Solver("the-best", "the cheapest after all", cheap)
number = 3
'''


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_solvers", dict(registry._solvers))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_7.py").write_text(MODULE)
    yield
    sys.modules.pop("mine_7", None)


@pytest.mark.parametrize(("text", "name"), [("mine_7:cheap", "cheap"), ("mine_7.py:best", "the-best")])
def test_a_solver_is_registered_by_name(text, name, tmp_path):
    solver = register_from(text)
    assert (solver.name, solver.package, solver.version) == (name, "mine_7", "7.3")
    plan = solve(PROBLEM, BUDGET, name)
    assert (plan.solver, plan.solver_version) == (name, "7.3")
    assert register_from(text).name == name  # again, as a notebook does
    (tmp_path / "mine_7.py").write_text(MODULE.replace('__version__ = "7.3"', ""))
    sys.modules.pop("mine_7")
    assert register_from(text).version.startswith("source ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("mine_7", "MODULE:NAME or FILE.py:NAME"), ("mine_7:", "MODULE:NAME"), (":cheap", "MODULE:NAME"),
     ("mine_7:none", "has no 'none'; its solvers are best"), ("mine_7:number", "is of type int: a robatch.Solver"),
     ("no_such:x", "cannot be imported .ModuleNotFoundError"), ("none.py:x", "there is no file 'none.py'"),
     ("broken.py:x", r"cannot be imported \(SyntaxError"), ("mine_7:Answer", "is of type type")],
)  # fmt: skip
def test_what_is_no_solver_is_named(text, complaint, tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(InputError, match=complaint):
        register_from(text)
    done = CliRunner().invoke(main, ["bench", "gap", "--register", text])
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [(CHEAPEST, "returned a ndarray: a robatch.Answer is needed"), (None, "returned nothing: a robatch.Answer"),
     ((CHEAPEST, 1.0), "returned a tuple"), (Answer(CHEAPEST * 1.0), r"shape \(5,\) and type float64: 5 whole"),
     (Answer(CHEAPEST[:3]), r"shape \(3,\)"), (Answer([0, 1]), r"shape \(2,\)"),
     (Answer(CHEAPEST, bound="1"), "the bound '1'"),
     (Answer(CHEAPEST, bound=float("nan")), "the bound nan"), (Answer(CHEAPEST, bound=True), "the bound True"),
     (Answer(CHEAPEST, infeasible=None), "infeasible=None"),
     (Answer(CHEAPEST, limit="tired"), "the limit 'tired': time, gap"),
     (Answer(CHEAPEST, message=3), "the message 3"), (Answer(CHEAPEST, statistics={"nodes": 0.5}), "the statistics"),
     (Answer(CHEAPEST, shadow_price=[1]), r"the shadow_price \[1\]"), (Answer(CHEAPEST + 99), "states go from 0 to 3")],
)  # fmt: skip
def test_a_wrong_answer_is_named_in_a_sentence(answer, complaint):
    register(Solver("mine", "wrong", lambda request: answer))
    with pytest.raises(InputError, match=complaint):
        solve(PROBLEM, BUDGET, "mine")


@pytest.mark.parametrize("states", [CHEAPEST.tolist(), CHEAPEST.astype(np.int32), tuple(CHEAPEST)])
def test_lists_are_assignments(states):
    register(
        Solver("mine", "right", lambda request: Answer(states, bound=np.float32(5.0), statistics={"n": np.int64(1)}))
    )
    assert solve(PROBLEM, BUDGET, "mine").assignment.tolist() == CHEAPEST.tolist()


def test_installed_packages_announce_solvers(monkeypatch):
    def cheap(request):
        return Answer(request.problem.cheapest_assignment)

    points = [
        SimpleNamespace(name="theirs", value="theirs:run", load=lambda: cheap),
        SimpleNamespace(name="lost", value="lost:run", load=lambda: importlib.import_module("lost")),
        SimpleNamespace(name="greedy", value="theirs:greedy", load=lambda: cheap),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == "robatch.solvers" else [])
    registry._discover.cache_clear()
    with pytest.warns(InputWarning) as warned:
        assert solve(PROBLEM, BUDGET, "theirs").solver == "theirs"
    assert [str(one.message)[:70] for one in warned] == [
        "solver 'lost' of an installed package is left out: ModuleNotFoundError",
        "solver 'greedy' of an installed package is left out: solver 'greedy' i",
    ]
    assert "theirs" in [one.name for one in solvers()]
    registry._discover.cache_clear()


def test_the_gap_benchmark_takes_own_solvers_and_budgets_in_usd(tmp_path):
    PROBLEM.write("problem.parquet")
    usd = PROBLEM.budget_at(0.5)
    words = ["bench", "gap", "--instance", "problem.parquet", "--budgets", f"{usd!r},1", "--register", "mine_7.py:best"]
    done = CliRunner().invoke(main, [*words, "--solvers", "greedy,the-best", "--json", "-o", "gap"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [(row["solver"], row["budget"]) for row in rows] == [
        ("greedy", usd), ("the-best", usd), ("greedy", 1.0), ("the-best", 1.0),
    ]  # fmt: skip
    assert {row["solver_version"] for row in rows if row["solver"] == "the-best"} == {"7.3"}
    assert rows[0]["budget_fraction"] == pytest.approx(0.5)
    again = CliRunner().invoke(main, [*words, "--solvers", "greedy,the-best", "--json", "-o", "gap"])
    assert json.loads(again.stdout)["rows"] == rows
    both = CliRunner().invoke(main, [*words, "--fractions", "0.3", "--solvers", "the-best", "--json", "-o", "both"])
    assert len(json.loads(both.stdout)["rows"]) == 3
    wrong = CliRunner().invoke(main, ["bench", "gap", "--budgets", "-1", "--instance", "problem.parquet", "-o", "x"])
    assert (wrong.exit_code, "budget is -1" in wrong.output) == (2, True)


def test_solve_takes_an_own_solver():
    PROBLEM.write("problem.parquet")
    words = ["solve", "problem.parquet", "--budget", "1", "--register", "mine_7:cheap", "--json"]
    assert json.loads(CliRunner().invoke(main, words).stdout)["solver"] == "cheap"
    assert json.loads(CliRunner().invoke(main, [*words, "--solver", "greedy"]).stdout)["solver"] == "greedy"
