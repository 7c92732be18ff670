"""The scaling benchmark on tiny problems: cells, what stops a solver, resuming, files, the command."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from robatch.bench import Series, scale_benchmark, series_of
from robatch.bench.common import machine
from robatch.bench.common.heap_baseline import registered
from robatch.bench.scale import memory_limit
from robatch.bench.scale.memory_limit import MemoryLimit
from robatch.bench.scale.results import ScaleResults
from robatch.bench.scale.rows import ScaleRow
from robatch.solvers import Answer, Request, registry

SERIES = series_of(("realistic", "ties"), shapes=("2x2",), forms=("dense", "factored"))
SIZES = (5, 20)
QUICK = {"time_limit": 5.0, "repeats": 1}


def fail(_: Request) -> Answer:
    raise RuntimeError("boom\nand more")


def stop(_: Request) -> Answer:
    raise KeyboardInterrupt


# ---- cells, rows, files


def test_series_of() -> None:
    assert [series.title for series in SERIES] == [
        "realistic · 2x2 · dense float64 · 1 thread",
        "realistic · 2x2 · factored float64 · 1 thread",
        "ties · 2x2 · dense float64 · 1 thread",
    ]
    many = series_of(("realistic",), ("4x6", "12x8"), ("dense", "factored"), ("float64", "float32"), (1, 2))
    assert len(many) == 16


def test_series_make_the_problems_they_name() -> None:
    problem = Series("realistic", 3, 4, "factored", "float32").problem(7, seed=2)
    assert (problem.n_queries, problem.n_models, problem.n_states, problem.dtype) == (7, 3, 12, "float32")
    assert problem.base_utility is not None
    assert Series("realistic", 3, 4, "dense").problem(7, seed=2).utility is not None


def test_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "new" / "results"
    solvers = ("exact", "greedy", "python-heap", "highs")
    results = scale_benchmark(SERIES, (20, 5), solvers, output=out, command="robatch bench scale --quick", **QUICK)
    keys = [(series, size, solver) for series in SERIES for size in SIZES for solver in solvers]
    assert [row.key for row in results.rows] == keys
    assert results.contradictions() == []
    for row in results.rows:
        assert row.status in ("optimal", "feasible"), row.message
        assert row.gap is not None
        assert row.gap >= 0
        assert row.time_to_pass is not None
        assert row.wall_to_pass is not None
        assert len(row.runtimes) == len(row.walls) == len(row.passes) - 1 >= 1
        assert not row.pass_scaled
        if row.solver == "exact":
            assert row.proven
    assert sorted(path.name for path in out.iterdir()) == sorted([*ScaleResults.FILES, "rows.jsonl"])
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == ScaleRow.COLUMNS
    assert [float(line["utility"]) for line in table] == [row.utility for row in results.rows]
    assert [json.loads(line["runtimes"]) for line in table] == [row.runtimes for row in results.rows]
    for name in ("time.png", "gap.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page = (out / "scale.md").read_text(encoding="utf-8")
    for text in (
        machine.cpu_model(),
        "- Command: `robatch bench scale --quick`",
        "- Date: 2",
        *(s.title for s in SERIES),
    ):
        assert text in page
    commit = machine.commit()
    assert commit is None or re.search(rf"commit {commit}\b", page)
    json.dumps(results.to_json(), allow_nan=False)


def test_the_baseline_is_registered_only_while_the_benchmark_runs() -> None:
    scale_benchmark((Series(),), (3,), ("python-heap",), **QUICK)
    assert "python-heap" not in registry._solvers


def test_what_a_solver_counted_is_kept(sized: dict[str, Any], tmp_path: Path) -> None:
    counts = {"core_queries": 3, "nodes": 12, "passes": 2}
    sized["do"] = {5: lambda request: Answer(request.problem.cheapest_assignment, statistics=counts)}
    (row,) = scale_benchmark(SERIES[:1], (5,), ("fake",), output=tmp_path, **QUICK).rows
    assert (row.core, row.nodes, row.statistics) == (3, 12, counts)
    assert "| `fake` | 3 / 12 |" in (tmp_path / "scale.md").read_text(encoding="utf-8")


def test_bounds_count_for_the_same_problem_with_any_threads() -> None:
    results = scale_benchmark(series_of(threads=(1, 2)), (30,), ("greedy", "exact"), **QUICK)
    assert len({row.best_bound for row in results.rows}) == 1


# ---- what stops a solver


def test_a_solver_stopped_by_its_time_limit_is_not_run_at_larger_sizes(sized: dict[str, Any], tmp_path: Path) -> None:
    sized["do"] = {5: lambda request: Answer(request.problem.cheapest_assignment, limit="time")}
    results = scale_benchmark((SERIES[0],), (3, 5, 8, 20), ("fake", "greedy"), output=tmp_path, **QUICK)
    mine = [row for row in results.rows if row.solver == "fake"]
    assert [(row.queries, row.status, row.limit) for row in mine] == [
        (3, "feasible", None), (5, "feasible", "time"), (8, "skipped", None), (20, "skipped", None)
    ]  # fmt: skip
    assert {row.message for row in mine[2:]} == {"stopped by its time limit at 5 queries"}
    assert set(sized["sizes"]) == {3, 5}
    assert sized["sizes"].count(5) == 1  # not repeated
    assert all(row.status == "feasible" for row in results.rows if row.solver == "greedy")
    page = (tmp_path / "scale.md").read_text(encoding="utf-8")
    assert "- `fake` not run from 8 queries on: stopped by its time limit at 5 queries" in page


def test_a_solver_that_fails_or_is_late_is_not_run_at_larger_sizes(sized: dict[str, Any]) -> None:
    sized["do"] = {5: fail}
    results = scale_benchmark((SERIES[0],), (5, 8), ("fake", "greedy"), **QUICK)
    failed, skipped = (row for row in results.rows if row.solver == "fake")
    assert (failed.status, failed.message) == ("error", "RuntimeError: boom")
    assert (skipped.status, skipped.message) == ("skipped", "failed at 5 queries")
    sized["do"] = {5: lambda request: time.sleep(0.02) or Answer(request.problem.cheapest_assignment)}
    results = scale_benchmark((SERIES[0],), (5, 8), ("fake",), time_limit=0.01, repeats=1)
    assert results.rows[1].message == "took longer than its time limit at 5 queries"


def test_the_rule_is_for_each_series(sized: dict[str, Any]) -> None:
    sized["do"] = {5: lambda request: Answer(request.problem.cheapest_assignment, limit="time")}
    results = scale_benchmark(SERIES[:2], (5, 8), ("fake",), **QUICK)
    assert [row.status for row in results.rows] == ["feasible", "skipped"] * 2


def test_sizes_that_do_not_fit_the_memory_are_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed = max(SERIES[0].making_bytes(50), SERIES[0].input_bytes(50) + 50 * 4 * memory_limit.STATE_BYTES["own"])
    monkeypatch.setattr(machine, "available_bytes", lambda: needed / memory_limit.MEMORY_SHARE)
    results = scale_benchmark((SERIES[0],), (50, 51), ("greedy", "exact"), output=tmp_path, **QUICK)
    assert [row.status == "skipped" for row in results.rows] == [False, False, True, True]
    assert all(re.fullmatch("needs about .*, more than 60 % of the .* of available memory", str(row.message))
               for row in results.rows[2:])  # fmt: skip
    assert results.rows[2].message in (tmp_path / "scale.md").read_text(encoding="utf-8")


def test_the_pass_is_scaled_where_its_array_does_not_fit() -> None:
    assert MemoryLimit(None).pass_rows(Series(form="factored"), 10**7) == 10**7
    assert MemoryLimit(10**9).pass_rows(Series(form="factored"), 10**7) == memory_limit.PASS_ROWS
    assert MemoryLimit(10**9).pass_rows(Series(), 10**7) == 10**7
    assert MemoryLimit(10**9).pass_rows(Series(form="factored"), 10**5) == 10**5


def test_the_heap_in_python_is_for_small_sizes() -> None:
    reason = memory_limit.refusal(Series(), 100_001, "greedy", [], 1.0, MemoryLimit(None))
    assert reason is None
    with registered():
        assert "100,000" in str(memory_limit.refusal(Series(), 100_001, "python-heap", [], 1.0, MemoryLimit(None)))


# ---- resuming


def test_resumes_after_an_interruption(sized: dict[str, Any], tmp_path: Path) -> None:
    sized["do"] = {20: stop}
    with pytest.raises(KeyboardInterrupt):
        scale_benchmark(SERIES[:1], SIZES, ("greedy", "fake"), output=tmp_path, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    kept = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(kept) == 1 + 3
    sized.update(do={}, sizes=[])
    results = scale_benchmark(SERIES[:1], SIZES, ("greedy", "fake"), output=tmp_path, **QUICK)
    assert set(sized["sizes"]) == {20}
    assert (tmp_path / "rows.jsonl").read_text().splitlines()[:4] == kept
    sized["sizes"] = []
    again = scale_benchmark(SERIES[:1], SIZES, ("greedy", "fake"), output=tmp_path, **QUICK)
    assert again == results
    assert sized["sizes"] == []


def test_survives_a_kill(tmp_path: Path) -> None:
    sizes = ",".join(str(size) for size in range(1, 400))
    arguments = ["bench", "scale", "--sizes", sizes, "--solvers", "greedy", "-o", str(tmp_path)]
    running = subprocess.Popen([sys.executable, "-m", "robatch", *arguments], stdout=subprocess.DEVNULL)
    path = tmp_path / "rows.jsonl"
    while running.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 4):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    left = path.read_bytes().splitlines(keepends=True)
    lines = [line for line in left if line.endswith(b"\n")]
    assert len(lines) >= 4
    assert all(json.loads(line) for line in lines)
