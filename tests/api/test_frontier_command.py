"""`robatch frontier`: what it writes, and that every bad input ends in one sentence, exit code 2, and no file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from robatch.cli import main
from robatch.instances import Model, Problem, generate, load
from robatch.solvers import frontier

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def problem(here: Path) -> Problem:
    made = generate("realistic", queries=40, models=3, batch_sizes=(1, 4), seed=1)
    made.write("p.parquet")
    return made


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["frontier", *(str(argument) for argument in arguments)])


def on_paper(*arguments: object) -> Result:
    """Run it under amortized cost."""
    return done(*arguments, "--cost", "amortized")


def done(*arguments: object) -> Result:
    result = robatch(*arguments)
    assert result.exit_code == 0, result.output
    return result


def rows_of(text: str) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def test_plans_as_billed_are_written_with_bounds(problem: Problem) -> None:
    result = done("p.parquet")
    rows = rows_of(result.stdout)
    curve = frontier(problem)
    assert list(rows[0]) == ["budget", "utility", "bound", "gap", "shadow_price"]
    assert [row["budget"] for row in rows] == curve.budgets.tolist()
    assert [row["utility"] for row in rows] == curve.utilities.tolist()
    assert [row["bound"] for row in rows] == pytest.approx(curve.bounds.tolist())
    assert "200 budgets" in result.stderr
    assert "as billed" in result.stderr
    few = rows_of(done("p.parquet", "--points", 5, "--plot", "p.png", "-o", "few.csv") and Path("few.csv").read_text())
    assert few[-1]["budget"] == problem.realized_cost(problem.best_assignment)
    assert len(few) == 5
    assert Path("p.png").read_bytes().startswith(PNG)


def test_budgets_as_billed_and_optima(problem: Problem) -> None:
    problem = problem.take(range(39))  # whose last calls are not full
    problem.write("p.parquet")
    given = [problem.budget_at(0.9), problem.budget_at(0.5), problem.cheapest_budget]
    asked = ("p.parquet", "--budgets", ",".join(map(repr, given)))
    found = json.loads(done(*asked, "--exact", "--time-limit", 60, "--json").stdout)
    assert (found["cost"], found["budgets"]) == ("realized", 3)
    assert [row["budget"] for row in found["rows"]] == given
    for row in found["rows"][:2]:
        assert row["utility"] <= row["optimum"] <= row["bound"]
        assert row["gap"] <= 1e-6
    assert found["rows"][2]["utility"] is None  # no plan bills as little as the cheapest one costs on paper
    assert robatch("p.parquet", "--resolution", 0.1).stderr.startswith(
        "Error: resolution is 0.1: it is for cost='amort"
    )


def test_the_curve_is_written_as_csv(problem: Problem) -> None:
    result = on_paper("p.parquet")
    rows = rows_of(result.stdout)
    assert len(rows) == 101
    assert list(rows[0]) == ["budget", "utility", "shadow_price"]
    assert (rows[0]["budget"], rows[-1]["budget"]) == (problem.cheapest_budget, problem.dearest_budget)
    curve = frontier(problem, cost="amortized")
    for row in rows:
        assert row["utility"] == curve.utility(row["budget"])
        assert row["shadow_price"] == curve.shadow_price(row["budget"])
    assert f"{len(curve.budgets)} breakpoints" in result.stderr
    assert "error at most 0" in result.stderr
    filed = on_paper("p.parquet", "-o", "curve.csv")
    assert Path("curve.csv").read_text() == result.stdout
    assert "budget,utility" not in filed.stdout
    assert filed.stdout.endswith("written to curve.csv\n")


def test_points_and_budgets(problem: Problem) -> None:
    budgets = [row["budget"] for row in rows_of(on_paper("p.parquet", "--points", 5).stdout)]
    assert budgets == pytest.approx(np.linspace(problem.cheapest_budget, problem.dearest_budget, 5))
    given = [problem.budget_at(0.5), problem.budget_at(0.25), 10 * problem.dearest_budget, problem.cheapest_budget]
    rows = rows_of(on_paper("p.parquet", "--budgets", ",".join(map(repr, given))).stdout)
    assert [row["budget"] for row in rows] == given
    curve = frontier(problem, cost="amortized")
    assert [row["utility"] for row in rows] == pytest.approx(curve.utility(given).tolist())
    assert [row["shadow_price"] for row in rows] == pytest.approx(curve.shadow_price(given).tolist())
    assert rows[2]["shadow_price"] == 0.0


def test_json_and_resolution(problem: Problem) -> None:
    curve = frontier(problem, resolution=0.01, cost="amortized")
    assert curve.error > 0.0
    found = json.loads(on_paper("p.parquet", "--resolution", 0.01, "--points", 3, "--threads", 1, "--json").stdout)
    assert (found["breakpoints"], found["error"]) == (len(curve.budgets), curve.error)
    assert [row["utility"] for row in found["rows"]] == [curve.utility(row["budget"]) for row in found["rows"]]
    assert len(found["rows"]) == 3
    every = json.loads(on_paper("p.parquet", "--resolution", 0, "--points", 3, "--json").stdout)
    assert every["error"] == 0.0
    assert every["breakpoints"] > found["breakpoints"]


@pytest.mark.parametrize("family", ["realistic", "ties", "adversarial", "from-knapsack"])
def test_exact_adds_what_is_proven(family: str) -> None:
    batch_sizes = (1,) if family == "from-knapsack" else (1, 4)
    made = generate(family, queries=40, models=2, batch_sizes=batch_sizes, seed=2)
    made.write("p.parquet")
    rows = rows_of(on_paper("p.parquet", "--points", 6, "--exact", "--time-limit", 60).stdout)
    assert list(rows[0]) == ["budget", "utility", "shadow_price", "optimum", "bound", "gap"]
    for row in rows:
        assert row["optimum"] <= row["utility"] * (1 + 1e-12)
        assert row["optimum"] <= row["bound"]
        assert row["gap"] <= 1e-9
    assert any(row["optimum"] < row["utility"] * (1 - 1e-7) for row in rows)
    assert rows[0]["optimum"] == pytest.approx(made.total_utility(made.cheapest_assignment))
    assert rows[-1]["optimum"] == pytest.approx(made.total_utility(made.best_assignment))


def test_the_bundled_problem() -> None:
    budgets = [load("measured").budget_at(fraction) for fraction in (0.0, 0.5)]
    given = ",".join(map(repr, budgets))
    found = json.loads(on_paper("measured", "--budgets", given, "--exact", "--json").stdout)
    assert [row["budget"] for row in found["rows"]] == budgets
    for row in found["rows"]:
        assert 0 < row["optimum"] <= row["utility"] * (1 + 1e-12)
        assert row["gap"] <= 1e-9


def test_plots(problem: Problem) -> None:
    result = on_paper("p.parquet", "--plot", "plain.png", "-o", "curve.csv")
    assert "written to curve.csv\nwritten to plain.png\n" in result.stdout
    on_paper("p.parquet", "--plot", "proven.png", "--points", 5, "--exact")
    plain, proven = Path("plain.png").read_bytes(), Path("proven.png").read_bytes()
    assert plain.startswith(PNG)
    assert proven.startswith(PNG)
    assert plain != proven
    assert sorted(os.listdir()) == ["curve.csv", "p.parquet", "plain.png", "proven.png"]


@pytest.mark.parametrize("price", [0, 2])
def test_one_state_and_models_that_cost_nothing(price: float) -> None:
    model = Model("a", price, price, batch_sizes=(1,))
    Problem([model], [10, 20], [1, 2], utility=[[0.5], [0.25]]).write("p.parquet")
    found = json.loads(on_paper("p.parquet", "--points", 2, "--exact", "--plot", "p.png", "--json").stdout)
    assert found["breakpoints"] == 1
    for row in found["rows"]:
        assert row["budget"] == pytest.approx(33e-6 * price)
        assert (row["utility"], row["optimum"], row["shadow_price"], row["gap"]) == (0.75, 0.75, 0.0, 0.0)
    assert Path("p.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budgets", "1e-9"], "budgets is (1e-09,): finite numbers from "),
        (["--budgets", "-1"], "budgets is (-1.0,)"),
        (["--budgets", "nan"], "budgets is (nan,)"),
        (["--budgets", "1,inf"], "budgets is (1.0, inf)"),
        (["--budgets", ","], "budgets is empty"),
        (["--budgets", "a,b"], "--budgets"),
        (["--points", "1"], "points is 1: "),
        (["--points", "-5"], "points is -5: "),
        (["--points", "99999999999"], "points is 99999999999: "),
        (["--points", "nan"], "--points"),
        (["--resolution", "nan", "--cost", "amortized"], "resolution is nan: "),
        (["--resolution", "-0.1", "--cost", "amortized"], "resolution is -0.1: "),
        (["--resolution", "2", "--cost", "amortized"], "resolution is 2.0: "),
        (["--resolution", "0.1"], "resolution is 0.1: "),
        (["--cost", "both"], "--cost"),
        (["--resolution", "x"], "--resolution"),
        (["--threads", "0"], "threads is 0: "),
        (["--exact", "--time-limit", "-1"], "time_limit is -1.0: "),
        (["--exact", "--time-limit", "nan"], "time_limit is nan: "),
        (["-o", "missing/curve.csv"], "cannot write 'missing/curve.csv'"),
        (["-o", "."], "it is a directory"),
        (["--plot", "missing/curve.png"], "cannot write 'missing/curve.png'"),
        (["--plot", "."], "it is a directory"),
        (["--nix"], "--nix"),
    ],
)
@pytest.mark.usefixtures("problem")
def test_bad_input(arguments: Sequence[str], words: str) -> None:
    outputs = [] if "-o" in arguments else ["-o", "curve.csv"]
    refused(["p.parquet", *arguments, *outputs], words)


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.parquet", "there is no such file"), ("text.parquet", "text.parquet"), (".", "directory")],
)
def test_bad_problems(name: str, words: str) -> None:
    Path("text.parquet").write_text("budget,utility\n")
    refused([name, "-o", "curve.csv", "--plot", "curve.png"], words)


def refused(arguments: Sequence[object], words: str) -> None:
    """Check that a command ends in one sentence with `words`, exit code 2, no traceback and no new file."""
    before = sorted(os.listdir())
    result = robatch(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert result.stdout == ""
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("problem")
def test_a_plot_that_fails_leaves_no_half_written_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    Path("curve.png").write_bytes(b"old")
    monkeypatch.setattr("robatch.bench.common.frontier_plot.frontier_plot", broken)
    assert robatch("p.parquet", "--plot", "curve.png").exit_code != 0
    assert Path("curve.png").read_bytes() == b"old"
    assert sorted(os.listdir()) == ["curve.png", "p.parquet"]
