"""The programs about realized cost that no command starts: two builds beside each other, and tiny problems."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robatch.bench.realized import tiny_problems, two_builds
from robatch.instances import Problem, generate
from robatch.solvers import Plan, solve


def run(monkeypatch: pytest.MonkeyPatch, module: object, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    try:
        module.main()  # type: ignore[attr-defined]
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_build_beside_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--sizes", "4,6", "--families", "realistic,ties", "--seeds", "1", "--prove", "5", "-o", str(out)]
    assert run(monkeypatch, two_builds, sys.executable, *options) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| realistic", "| ties"))]
    assert len(lines) == 4
    record = json.loads((out / "answers.json").read_text())
    page = (out / "builds.md").read_text()
    assert all(line in page for line in lines)
    assert "two_builds PYTHON_OF_BEFORE --sizes 4,6" in page
    assert [task["queries"] for task in record] == [4, 4, 6, 6]
    for task in record:
        for before, now in task["answers"]:  # the same build finds the same
            assert before[:3] == now[:3]


def test_losses_are_against_the_best_known_plan() -> None:
    one, other = [8.0, 10.0, "feasible", 2.0], [None, None, "no_solution", 1.0]
    row = two_builds.row_of([one, other], [9.0, 9.0, "optimal", None])
    assert row.losses == pytest.approx((1 / 9, 1.0))
    assert row.gaps == pytest.approx((0.2, 1.0))
    assert row.missing == (False, True)
    assert row.proven
    assert not two_builds.row_of([one, other], None).proven


def test_a_build_that_ends_is_named() -> None:
    with pytest.raises(SystemExit, match="false"):
        two_builds.Build(["/bin/false"], "greedy")


def test_tiny_problems(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, tiny_problems, "--problems", "40", "--first", "100") == 0
    said = capsys.readouterr().out
    assert "0 faults" in said
    assert "exact: " in said


def optimum() -> tuple[Problem, Plan]:
    problem = generate("realistic", 5, 2, (1, 2, 4), seed=3)
    return problem, solve(problem, problem.budget_at(0.4), "brute-force", cost="realized")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bound": 0.1}, "below the optimum"),
        ({"status": "infeasible"}, "called infeasible"),
        ({"budget": 1e-12}, "a bill of"),
        ({"utility": 6.0}, "above the optimum"),
        ({"utility": 0.1}, "where the optimum is"),
        ({"utility": None}, "no plan"),
    ],
)
def test_faults_are_found(change: dict[str, object], said: str) -> None:
    problem, best = optimum()
    assert tiny_problems.faults(problem, best, best, proves=True) == []
    found = tiny_problems.faults(problem, replace(best, **change), best, proves=True)  # type: ignore[arg-type]
    assert any(said in fault for fault in found)
    nothing = replace(best, utility=None, assignment=None)
    assert tiny_problems.faults(problem, best, nothing, proves=True) == ["a plan where there is none"]


def test_bills_are_exact_sums_over_calls() -> None:
    problem, best = optimum()
    assert float(tiny_problems.bill_of(problem, best)) == pytest.approx(best.realized_cost, rel=1e-14)


def test_draws_cover_what_couples_queries() -> None:
    kinds = np.zeros(4, dtype=int)
    for seed in range(60):
        rng = np.random.default_rng([777, seed])
        problem = tiny_problems.coupled(rng, tiny_problems.drawn(rng, seed))
        windows = any(model.context_window is not None for model in problem.models)
        kinds += [problem.n_groups > 1, windows, problem.forbidden is not None, problem.conflicts is not None]
        assert tiny_problems.budget_of(rng, problem) >= 0.0
    assert kinds.min() >= 5
