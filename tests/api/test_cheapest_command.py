"""`robatch cheapest`: what it prints and writes, and that every bad input ends in one sentence and exit code 2."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import robatch as package
from robatch.cli import main
from robatch.instances import Problem, generate
from robatch.solvers import Plan, cheapest, verify


@pytest.fixture(autouse=True)
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Run every test in a folder that holds one problem."""
    monkeypatch.chdir(tmp_path)
    made = generate("realistic", queries=40, models=3, batch_sizes=(1, 4), seed=1)
    made.write("p.parquet")
    return made


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["cheapest", *(str(argument) for argument in arguments)])


def done(*arguments: object) -> Result:
    result = robatch(*arguments)
    assert result.exit_code == 0, result.output
    return result


def test_json_is_what_the_function_returns(problem: Problem) -> None:
    for arguments, asked in (
        (("--of-best", 0.9), {"of_best": 0.9}),
        (("--mean", 0.6, "--solver", "greedy"), {"mean": 0.6, "solver": "greedy"}),
        (("--utility", 24, "--cost", "amortized", "--threads", 1), {"utility": 24.0, "cost": "amortized"}),
    ):
        found = json.loads(done("p.parquet", *arguments, "--json").stdout)
        expected = cheapest(problem, **asked).summary()  # type: ignore[arg-type]
        for name in ("target", "cost", "bound", "gap", "status", "limit", "shadow_price", "solver", "message"):
            assert found[name] == expected[name], name
        assert found["plan"]["budget"] == found["cost"]
        assert found["plan"]["utility"] >= found["target"]
        assert sum(state["queries"] for state in found["states"]) == 40


def test_the_plan_is_written_and_shown(problem: Problem) -> None:
    billed = done("p.parquet", "--of-best", 0.9, "-o", "plan.parquet")
    assert f"{Plan.read('plan.parquet').realized_cost:.9g} USD, realized cost" in billed.stdout
    result = done("p.parquet", "--of-best", 0.9, "--cost", "amortized", "-o", "plan.parquet")
    plan = Plan.read("plan.parquet")
    verify(problem, plan)
    for words in ("status", "optimal", "target", "cost", "bound", "gap 0", "batch size", "written to plan.parquet"):
        assert words in result.stdout
    assert f"{plan.amortized_cost:.9g} USD, amortized cost" in result.stdout


def test_the_bundled_problem_and_programs() -> None:
    asked = ("measured", "--mean", 0.6, "--cost", "amortized", "--json")
    found = json.loads(done(*asked).stdout)
    assert found["status"] == "optimal"
    program = json.loads(done(*asked, "--solver", "highs", "--gap", 1e-6).stdout)
    assert program["cost"] == pytest.approx(found["cost"], rel=1e-6)


def test_targets_out_of_reach_end_with_exit_code_1(problem: Problem) -> None:
    most = problem.total_utility(problem.best_assignment)
    result = robatch("p.parquet", "--mean", 1, "-o", "plan.parquet")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: utility 40 is out of reach: the greatest that any plan reaches is {most:.12g}\n"
    )  # fmt: skip
    assert not os.path.exists("plan.parquet")
    result = robatch("p.parquet", "--mean", 1, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["status"], found["cost"], found["plan"], found["states"]) == ("infeasible", None, None, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "exactly one of --utility, --mean and --of-best is needed"),
        (["--mean", "0.5", "--of-best", "0.5"], "exactly one of"),
        (["--mean", "1.5"], "mean is 1.5"),
        (["--mean", "nan"], "mean is nan"),
        (["--utility", "-1"], "utility is -1.0"),
        (["--of-best", "95"], "of_best is 95.0"),
        (["--of-best", "x"], "--of-best"),
        (["--mean", "0.5", "--solver", "pareto"], "solver is 'pareto'"),
        (["--mean", "0.5", "--cost", "free"], "--cost"),
        (["--mean", "0.5", "--gap", "-1"], "gap is -1.0"),
        (["--mean", "0.5", "--time-limit", "0"], "time_limit is 0.0"),
        (["--mean", "0.5", "--threads", "0"], "threads is 0"),
        (["--mean", "0.5", "--seed", "-1"], "seed is -1"),
        (["--mean", "0.5", "-o", "missing/plan.parquet"], "cannot write 'missing/plan.parquet'"),
        (["--mean", "0.5", "-o", "."], "it is a directory"),
        (["--nix"], "--nix"),
    ],
)
def test_bad_input(arguments: Sequence[str], words: str) -> None:
    outputs = [] if "-o" in arguments else ["-o", "plan.parquet"]
    result = robatch("p.parquet", *arguments, *outputs)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert result.stdout == ""
    assert os.listdir() == ["p.parquet"]


def test_missing_problems() -> None:
    result = robatch("missing.parquet", "--mean", 0.5)
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr


def test_public_names() -> None:
    assert package.cheapest is cheapest
    assert {"cheapest", "Cheapest", "verify_cheapest"} <= set(package.__all__)
