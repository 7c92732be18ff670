"""``robatch solve --write-model`` and ``robatch plan-from``: out to another solver, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from robatch.cli import main
from robatch.instances import generate
from robatch.solvers import Plan


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    made = generate("uncorrelated", queries=6, models=2, batch_sizes=(1, 2), seed=0)
    made.write(tmp_path / "problem.parquet")
    return tmp_path / "problem.parquet"


@pytest.mark.parametrize("scaled", [True, False])
def test_a_model_goes_out_and_a_solution_comes_back(problem, tmp_path, scaled):
    model, plan = tmp_path / "model.lp", tmp_path / "plan.parquet"
    words = ["solve", problem, "--budget-fraction", "0.5", "--write-model", model, "-o", tmp_path / "own.parquet"]
    assert run(*words, *([] if scaled else ["--unscaled"])).exit_code == 0
    assert " budget:" in model.read_text()
    assert ("<= 6.00" in model.read_text()) == scaled
    own = Plan.read(tmp_path / "own.parquet")
    names = [f"{state.model.replace('-', '.')}_{state.batch_size}" for state in own.states]
    lines = [f"x_{i}_{names[s]}  1  (obj:-1)\n" for i, s in enumerate(own.assignment.tolist())]
    (tmp_path / "scip.sol").write_text("solution status: optimal\nobjective value: -1\n" + "".join(lines))
    words = ["plan-from", problem, tmp_path / "scip.sol", "--budget", own.budget, "--solver", "SCIP", "-o", plan]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "feasible" in done.output
    made = Plan.read(plan)
    assert (made.solver, made.utility, made.assignment.tolist()) == ("SCIP", own.utility, own.assignment.tolist())
    assert run("verify", problem, plan).exit_code == 0
    shown = json.loads(run(*words, "--bound", own.utility, "--json").output)
    assert (shown["status"], shown["bound"]) == ("optimal", own.utility)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [(["--budget", "1e-9"], 1, "over its budget"), (["--budget", "1", "--budget-fraction", "1"], 2, "at most one of"),
     (["-o", "problem.parquet"], 2, "is an input of this command"), (["--bound", "-1"], 2, "bound is -1"),
     (["--budget", "nan"], 2, "budget is nan")],
)  # fmt: skip
def test_what_cannot_be_is_refused(problem, tmp_path, monkeypatch, words, code, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "states.csv").write_text("state\n" + "0\n" * 6)
    done = run("plan-from", "problem.parquet", "states.csv", *words)
    assert done.exit_code == code
    assert complaint in done.output
    assert "Traceback" not in done.output
    assert run("plan-from", "problem.parquet", "states.csv").exit_code == 0
