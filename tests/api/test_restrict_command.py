"""``robatch restrict``: what it writes, what `solve` and `verify` make of it, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import robatch
from robatch.cli import main
from robatch.instances import Constraints, Problem, generate, read

SMALL, LARGE = "small,fast", "large"  # an odd name on purpose


@pytest.fixture(autouse=True)
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Run every test in a folder with one problem."""
    monkeypatch.chdir(tmp_path)
    made = generate("uncorrelated", queries=8, models=2, batch_sizes=(1, 4), seed=1)
    models = [
        model.replace(name=name, context_window=100_000)
        for model, name in zip(made.models, (SMALL, LARGE), strict=True)
    ]
    made = made.replace(models=models, groups=["x", "y"] * 4, query_ids=[f"q{i}" for i in range(7)] + ["q,7"])
    made.write("p.parquet")
    return made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def restrict(*options: object) -> Problem:
    result = run("restrict", "p.parquet", *options, "-o", "out.parquet")
    assert result.exit_code == 0, result.output
    assert "8 queries, 2 models, 4 states" in result.output
    return read("out.parquet")


def test_limits_of_models_and_groups():
    made = restrict(
        "--max-queries", f"{LARGE}=3", "--max-queries", f"{SMALL}=7", "--max-calls", f"{LARGE}=2",
        "--max-cost", f"{LARGE}=0.25", "--min-group-utility", "x=0.5", "--group-budget", "y=1e-2",
    )  # fmt: skip
    assert made.constraints == Constraints(
        max_queries={LARGE: 3, SMALL: 7}, max_calls={LARGE: 2}, max_cost={LARGE: 0.25}, min_group_utility={"x": 0.5},
        group_budget={"y": 0.01},
    )  # fmt: skip


def test_a_second_run_adds_and_replaces():
    restrict("--max-queries", f"{LARGE}=3", "--max-cost", f"{LARGE}=1", "--forbid", f"q0,{LARGE},1")
    result = run(
        "restrict", "out.parquet", "--max-queries", f"{LARGE}=5", "--forbid", f"q1,{LARGE},1", "-o", "2.parquet"
    )
    assert result.exit_code == 0
    made = read("2.parquet")
    assert made.constraints == Constraints(max_queries={LARGE: 5}, max_cost={LARGE: 1.0})
    assert (~made.allowed()).sum() == 2


def test_pairs_conflicts_and_margins(problem):
    Path("apart.csv").write_text('query,other\nq0,q1\n"q,7",q0\n\n', encoding="utf-8")
    made = restrict(
        "--forbid", f"q,7,{SMALL.replace(SMALL, LARGE)},4", "--force", f"q2,{LARGE},1", "--min-utility", 0.001,
        "--conflicts", "apart.csv", "--window-margin", 0.5,
    )  # fmt: skip
    assert made.conflicts.tolist() == [[0, 1], [0, 7]]
    assert made.window_margin == 0.5
    wanted = problem.utilities() >= 0.001
    wanted[7, 3] = False
    wanted[2] = [False, False, True, False]
    assert np.array_equal(made.allowed(), wanted)


def test_positions_and_whole_numbers_where_there_are_no_names(problem):
    problem.replace(query_ids=None, groups=[1, 2] * 4).write("p.parquet")
    Path("apart.csv").write_text("query,other\n0,1\n", encoding="utf-8")
    made = restrict("--forbid", f"3,{LARGE},4", "--group-budget", "2=0.5", "--conflicts", "apart.csv")
    assert made.constraints == Constraints(group_budget={2: 0.5})
    assert made.conflicts.tolist() == [[0, 1]]
    assert not made.allowed()[3, 3]


def test_solve_and_verify_keep_what_was_asked():
    made = restrict("--max-queries", f"{LARGE}=2", "--min-group-utility", "x=0.1")
    result = run("solve", "out.parquet", "--budget-fraction", 1, "--solver", "highs", "-o", "plan.parquet")
    assert result.exit_code == 0, result.output
    plan = robatch.Plan.read("plan.parquet")
    assert sum(made.states[s].model == LARGE for s in plan.assignment) <= 2
    assert run("verify", "out.parquet", "plan.parquet").exit_code == 0
    free = run("solve", "p.parquet", "--budget", 1000, "--solver", "highs", "-o", "free.parquet")
    assert free.exit_code == 0
    result = run("verify", "out.parquet", "free.parquet")
    assert result.exit_code == 1
    assert f"model '{LARGE}' answers" in result.stderr


def test_why_there_is_no_plan():
    restrict("--max-queries", f"{LARGE}=0", "--max-queries", f"{SMALL}=3")
    result = run("solve", "out.parquet", "--budget", 1000, "--solver", "highs")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no plan keeps together: max_queries of model ")
    assert "5 queries would be enough" in result.stderr
    refused = run("solve", "out.parquet", "--budget", 1000, "--solver", "exact")
    assert refused.exit_code == 2
    assert "solver 'exact' cannot keep max_queries" in refused.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-queries", "large"], "--max-queries is 'large': NAME=NUMBER is needed"),
        (["--max-queries", "=3"], "NAME=NUMBER is needed"),
        (["--max-queries", "large=1.5"], "a whole number is needed after '='"),
        (["--max-cost", "large=much"], "a number is needed after '='"),
        (["--max-cost", "large=-1"], "max_cost of 'large' is -1.0"),
        (["--max-calls", "medium=1"], "max_calls names the model 'medium'"),
        (["--group-budget", "z=1"], "group_budget names the group 'z'"),
        (["--min-group-utility", "x=2"], "min_group_utility of 'x' is 2.0"),
        (["--forbid", "q0"], "--forbid is 'q0': QUERY,MODEL,B is needed"),
        (["--forbid", "q0,large,many"], "the batch size B must be a whole number"),
        (["--forbid", "nobody,large,1"], "forbidden names the query 'nobody'"),
        (["--force", "q0,large,2"], "forced names the state large x 2: the batch sizes of 'large' are 1, 4\n"),
        (["--forbid", "q3,foo,1"], "names the state foo x 1: the problem's models are 'small,fast', 'large'\n"),
        (["--force", "q0,large,1", "--forbid", "q0,large,1"], "that state is not allowed for it"),
        (["--min-utility", "1"], "min_utility is 1.0 for query 'q"),
        (["--window-margin", "1"], "window_margin is 1.0"),
        (["--window-margin", "0.999999"], "fits the context window of no model"),
        (["--conflicts", "none.csv"], "cannot read the conflicts 'none.csv': there is no such file"),
        (["--conflicts", "nul.csv"], "holds a label with a null character: text is needed"),
        (["--conflicts", "huge.csv"], "conflicts names the query 'qqqqq"),
        (["--conflicts", "empty.csv"], "it is not a complete CSV file (Empty CSV file)"),
        (["--conflicts", "long.csv"], "line 3 has 3 cells where 2 are needed: 'q0,q1,q2'"),
        (["--conflicts", "headless.csv"], "the first line of 'headless.csv' names two queries: a header is needed"),
        (["--conflicts", "self.csv"], "cannot conflict with itself"),
        (["--conflicts", "unknown.csv"], "conflicts names the query 'zz'"),
        (["--conflicts", "p.parquet"], "'p.parquet' is no table of conflicts: a header and two columns are needed"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(options: Sequence[str], words: str):
    for name, text in {
        "empty": "",
        "long": "a,b\nq0,q1\nq0,q1,q2\n",
        "headless": "q0,q1\nq2,q3\n",
        "self": "a,b\nq0,q0\n",
        "unknown": "a,b\nq0,zz\n",
        "nul": "a,b\nq0,\0\n",
        "huge": "a,b\nq0," + "q" * 200_000,
    }.items():
        Path(f"{name}.csv").write_text(text, encoding="utf-8")
    result = run("restrict", "p.parquet", *options, "-o", "out.parquet")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not Path("out.parquet").exists()


def test_numbers_are_asked_for_where_ids_are_numbers(problem):
    problem.replace(query_ids=None).write("p.parquet")
    result = run("restrict", "p.parquet", "--forbid", "q0,large,1", "-o", "out.parquet")
    assert (result.exit_code, "a whole number is needed for this problem" in result.stderr) == (2, True)


@pytest.mark.parametrize("label", ["a", "0"])
def test_limits_of_groups_need_groups(problem: Problem, label: str):
    problem.replace(groups=None).write("p.parquet")
    result = run("restrict", "p.parquet", "--group-budget", f"{label}=1", "-o", "out.parquet")
    words = f"Error: group_budget names the group {label!r}: the problem has no groups\n"
    assert (result.exit_code, result.stderr) == (2, words)
