"""`robatch calls`: what it writes, and that every bad input ends in one sentence, exit code 2, and no file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from click.testing import CliRunner, Result

from robatch.cli import main
from robatch.instances import Problem, generate
from robatch.solvers import Plan, solve


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plan(here: Path) -> Plan:
    problem = generate("realistic", queries=30, models=2, batch_sizes=(4,), seed=1)
    problem = problem.replace(query_ids=[f"q é {i}" for i in range(30)])
    problem.write("p.parquet")
    made = solve(problem, problem.budget_at(0.4), "greedy", cost="amortized")
    made.write("plan.parquet")
    return made


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["calls", *(str(argument) for argument in arguments)])


def refused(arguments: Sequence[object], words: str) -> None:
    before = sorted(Path().rglob("*"))
    result = robatch(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert sorted(Path().rglob("*")) == before


def expected(plan: Plan, **arguments: object) -> list[dict[str, object]]:
    ids = plan.query_ids
    return [
        {
            "call": number,
            "model": call.state.model,
            "batch_size": call.state.batch_size,
            "queries": call.queries.tolist() if ids is None else ids[call.queries].tolist(),
        }
        for number, call in enumerate(plan.calls(**arguments))  # type: ignore[arg-type]
    ]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_calls_are_printed_and_written(plan: Plan) -> None:
    printed = robatch("plan.parquet")
    assert printed.exit_code == 0, printed.output
    assert lines(printed.stdout) == expected(plan)
    written = robatch("plan.parquet", "-o", "calls.jsonl")
    assert written.exit_code == 0, written.output
    assert written.stdout == f"calls.jsonl: {len(plan.calls())} calls of 30 queries\n"
    assert lines(Path("calls.jsonl").read_text(encoding="utf-8")) == expected(plan)
    assert robatch("plan.parquet", "-o", "calls.csv").exit_code == 0
    with open("calls.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [
        {
            "call": int(row["call"]),
            "model": row["model"],
            "batch_size": int(row["batch_size"]),
            "queries": json.loads(row["queries"]),
        }
        for row in rows
    ] == expected(plan)


def test_every_policy_is_that_of_the_plan(plan: Plan) -> None:
    from robatch.instances import read

    vectors = np.random.default_rng(0).random((30, 4))
    np.save("v.npy", vectors)
    scipy.sparse.save_npz("v.npz", scipy.sparse.csr_matrix(vectors))
    for arguments, same in (
        (("--policy", "random", "--seed", 3), {"policy": "random", "seed": 3}),
        (
            ("--policy", "length", "--problem", "p.parquet"),
            {"policy": "length", "lengths": read("p.parquet").input_tokens},
        ),
        (("--policy", "similarity", "--vectors", "v.npy"), {"policy": "similarity", "similarity": vectors}),
        (
            ("--policy", "similarity", "--vectors", "v.npz"),
            {"policy": "similarity", "similarity": scipy.sparse.csr_matrix(vectors)},
        ),
    ):
        result = robatch("plan.parquet", *arguments)
        assert result.exit_code == 0, result.output
        assert lines(result.stdout) == expected(plan, **same)


def test_queries_without_ids_are_given_by_position(problem_without_ids: Problem) -> None:
    rows = lines(robatch("plain.parquet").stdout)
    assert sorted(query for row in rows for query in row["queries"]) == list(range(9))  # type: ignore[attr-defined]


@pytest.fixture
def problem_without_ids(here: Path) -> Problem:
    problem = generate("ties", queries=9, models=2, batch_sizes=(1, 4), seed=1)
    solve(problem, problem.budget_at(0.4), "greedy", cost="amortized").write("plain.parquet")
    solve(problem, problem.cheapest_budget / 2, "greedy", cost="amortized").write("none.parquet")
    problem.write("other.parquet")
    return problem


def test_bad_input_ends_in_one_sentence(plan: Plan, problem_without_ids: Problem) -> None:
    Path("no.npy").write_text("nothing", encoding="utf-8")
    Path("no.npz").write_text("nothing", encoding="utf-8")
    np.save("few.npy", np.ones((3, 2)))
    np.save("object.npy", np.array([{}, None]))  # numpy pickles these
    Path("v.pkl").write_bytes(Path("few.npy").read_bytes())
    for arguments, words in (
        (("missing.parquet",), "there is no such file"),
        (("p.parquet",), "holds 'problem' data"),
        (("none.parquet",), "only a plan with an assignment has calls"),
        (("plan.parquet", "-o", "calls.txt"), "ends in .jsonl or .csv"),
        (("plan.parquet", "-o", "missing/calls.csv"), "cannot write"),
        (("plan.parquet", "--policy", "best"), "best"),
        (("plan.parquet", "--policy", "random", "--seed", -1), "seed is -1"),
        (("plan.parquet", "--policy", "length"), "--problem is needed with --policy length"),
        (("plan.parquet", "--problem", "p.parquet"), "--problem is needed with --policy length, and only there"),
        (("plan.parquet", "--policy", "similarity"), "--vectors is needed with --policy similarity"),
        (("plan.parquet", "--policy", "length", "--problem", "other.parquet"), "made for another problem"),
        (("plan.parquet", "--policy", "length", "--problem", "missing"), "there is no such file"),
        (("plan.parquet", "--policy", "similarity", "--vectors", "missing.npy"), "there is no such file"),
        (("plan.parquet", "--policy", "similarity", "--vectors", "v.pkl"), "'v.pkl': a file ending in .npy or .npz is"),
        (("plan.parquet", "--policy", "similarity", "--vectors", "object.npy"), "an array of numbers is needed\n"),
        (("plan.parquet", "--policy", "similarity", "--vectors", "no.npy"), "holds no vectors"),
        (("plan.parquet", "--policy", "similarity", "--vectors", "no.npz"), "holds no vectors"),
        (("plan.parquet", "--policy", "similarity", "--vectors", "few.npy"), "holds 3 vectors"),
    ):
        refused(arguments, words)
