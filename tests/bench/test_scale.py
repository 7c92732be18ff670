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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from robatch.bench import (
    Series,
    default_scale_preset,
    full_scale_preset,
    machine,
    quick_scale_preset,
    scale_benchmark,
    scale_measure,
    scale_room,
    series_of,
)
from robatch.bench import scale as scale_module
from robatch.bench.apart import OverranError, SolverDiedError, measure_apart
from robatch.bench.scale_presets import ScalePreset
from robatch.bench.scale_results import FILES
from robatch.bench.scale_room import Room
from robatch.bench.scale_rows import COLUMNS
from robatch.cli import main
from robatch.instances import InputError
from robatch.solvers import Answer, Request, Solver, register, registry

SERIES = series_of(("realistic", "ties"), shapes=("2x2",), forms=("dense", "factored"))
SIZES = (5, 20)
QUICK = {"time_limit": 5.0, "repeats": 1}
SETTINGS = {"budget_fraction": 0.3, "time_limit": 5.0, "seed": 0, "repeats": 1}


@pytest.fixture
def fake() -> Iterator[dict[str, Any]]:
    """Give a third party's solver that does what a test wants at some sizes; it keeps the sizes it was asked."""
    state: dict[str, Any] = {"sizes": [], "do": {}}

    def run(request: Request) -> Answer:
        n = request.problem.n_queries
        if request.time_limit != scale_measure.WARM_UP_S:
            state["sizes"].append(n)
            if n in state["do"]:
                return state["do"][n](request)
        return Answer(request.problem.cheapest_assignment)

    register(Solver("fake", "for a test", run))
    yield state
    del registry._solvers["fake"]


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
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "rows.jsonl"])
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
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


def test_the_oracle_is_registered_only_while_the_benchmark_runs() -> None:
    scale_benchmark((Series(),), (3,), ("python-heap",), **QUICK)
    assert "python-heap" not in registry._solvers


def test_what_a_solver_counted_is_kept(fake: dict[str, Any], tmp_path: Path) -> None:
    counts = {"core_queries": 3, "nodes": 12, "passes": 2}
    fake["do"] = {5: lambda request: Answer(request.problem.cheapest_assignment, statistics=counts)}
    (row,) = scale_benchmark(SERIES[:1], (5,), ("fake",), output=tmp_path, **QUICK).rows
    assert (row.core, row.nodes, row.statistics) == (3, 12, counts)
    assert "| `fake` | 3 / 12 |" in (tmp_path / "scale.md").read_text(encoding="utf-8")


def test_bounds_count_for_the_same_problem_with_any_threads() -> None:
    results = scale_benchmark(series_of(threads=(1, 2)), (30,), ("greedy", "exact"), **QUICK)
    assert len({row.best_bound for row in results.rows}) == 1


# ---- what stops a solver


def test_a_solver_stopped_by_its_time_limit_is_not_run_at_larger_sizes(fake: dict[str, Any], tmp_path: Path) -> None:
    fake["do"] = {5: lambda request: Answer(request.problem.cheapest_assignment, limit="time")}
    results = scale_benchmark((SERIES[0],), (3, 5, 8, 20), ("fake", "greedy"), output=tmp_path, **QUICK)
    mine = [row for row in results.rows if row.solver == "fake"]
    assert [(row.queries, row.status, row.limit) for row in mine] == [
        (3, "feasible", None), (5, "feasible", "time"), (8, "skipped", None), (20, "skipped", None)
    ]  # fmt: skip
    assert {row.message for row in mine[2:]} == {"stopped by its time limit at 5 queries"}
    assert set(fake["sizes"]) == {3, 5}
    assert fake["sizes"].count(5) == 1  # not repeated
    assert all(row.status == "feasible" for row in results.rows if row.solver == "greedy")
    page = (tmp_path / "scale.md").read_text(encoding="utf-8")
    assert "- `fake` not run from 8 queries on: stopped by its time limit at 5 queries" in page


def test_a_solver_that_fails_or_is_late_is_not_run_at_larger_sizes(fake: dict[str, Any]) -> None:
    fake["do"] = {5: fail}
    results = scale_benchmark((SERIES[0],), (5, 8), ("fake", "greedy"), **QUICK)
    failed, skipped = (row for row in results.rows if row.solver == "fake")
    assert (failed.status, failed.message) == ("error", "RuntimeError: boom")
    assert (skipped.status, skipped.message) == ("skipped", "failed at 5 queries")
    fake["do"] = {5: lambda request: time.sleep(0.02) or Answer(request.problem.cheapest_assignment)}
    results = scale_benchmark((SERIES[0],), (5, 8), ("fake",), time_limit=0.01, repeats=1)
    assert results.rows[1].message == "took longer than its time limit at 5 queries"


def test_the_rule_is_for_each_series(fake: dict[str, Any]) -> None:
    fake["do"] = {5: lambda request: Answer(request.problem.cheapest_assignment, limit="time")}
    results = scale_benchmark(SERIES[:2], (5, 8), ("fake",), **QUICK)
    assert [row.status for row in results.rows] == ["feasible", "skipped"] * 2


def test_sizes_that_do_not_fit_the_memory_are_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed = max(SERIES[0].making_bytes(50), SERIES[0].input_bytes(50) + 50 * 4 * scale_room.STATE_BYTES["own"])
    monkeypatch.setattr(machine, "available_bytes", lambda: needed / scale_room.MEMORY_SHARE)
    results = scale_benchmark((SERIES[0],), (50, 51), ("greedy", "exact"), output=tmp_path, **QUICK)
    assert [row.status == "skipped" for row in results.rows] == [False, False, True, True]
    assert all(re.fullmatch("needs about .*, more than 60 % of the .* of available memory", str(row.message))
               for row in results.rows[2:])  # fmt: skip
    assert results.rows[2].message in (tmp_path / "scale.md").read_text(encoding="utf-8")


def test_the_pass_is_scaled_where_its_array_does_not_fit() -> None:
    assert Room(None).pass_rows(Series(form="factored"), 10**7) == 10**7
    assert Room(10**9).pass_rows(Series(form="factored"), 10**7) == scale_room.PASS_ROWS
    assert Room(10**9).pass_rows(Series(), 10**7) == 10**7
    assert Room(10**9).pass_rows(Series(form="factored"), 10**5) == 10**5


def test_the_heap_in_python_is_for_small_sizes() -> None:
    reason = scale_room.refusal(Series(), 100_001, "greedy", [], 1.0, Room(None))
    assert reason is None
    with scale_module.oracle.registered():
        assert "100,000" in str(scale_room.refusal(Series(), 100_001, "python-heap", [], 1.0, Room(None)))


# ---- other processes


def test_memory_is_measured_in_another_process() -> None:
    results = scale_benchmark((Series(),), (2000,), ("pareto",), memory_from=1000, **QUICK)
    (row,) = results.rows
    if Path("/proc/self/clear_refs").exists():
        assert row.memory_bytes is not None
        assert 0 < row.memory_bytes < 10**9
        assert row.memory_to_input == row.memory_bytes / row.input_bytes
    assert scale_benchmark((Series(),), (2000,), ("pareto",), memory_from=None, **QUICK).rows[0].memory_bytes is None


def test_solvers_of_others_run_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_module, "APART_FROM", 20)
    results = scale_benchmark((SERIES[0],), (20,), ("highs", "greedy"), **QUICK)
    highs, greedy = results.rows
    assert highs.status == "optimal"
    assert len(highs.passes) == len(highs.runtimes) + 1
    assert greedy.gap is not None
    monkeypatch.setattr("robatch.bench.apart.GRACE_S", -14.9)
    results = scale_benchmark((SERIES[0],), (20, 30), ("highs",), **QUICK)
    assert (results.rows[0].status, results.rows[0].limit) == ("no_solution", "time")
    assert "ignored its time limit" in str(results.rows[0].message)
    assert results.rows[1].status == "skipped"


def test_a_process_that_dies_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -signal.SIGKILL, "", "")

    monkeypatch.setattr(subprocess, "run", killed)
    with pytest.raises(SolverDiedError, match="SIGKILL: no memory was left"):
        measure_apart(Series(), 5, "greedy", SETTINGS, Room(None), memory_only=True)


def test_another_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robatch.bench.apart.GRACE_S", -14.99)
    with pytest.raises(OverranError):
        measure_apart(Series(), 5, "greedy", SETTINGS, Room(None), memory_only=True)


def test_a_failure_in_another_process_is_told() -> None:
    fields = measure_apart(Series(), 5, "nix", SETTINGS, Room(None), memory_only=True)
    assert fields["status"] == "error"
    assert "solver is 'nix'" in fields["message"]


# ---- resuming


def test_resumes_after_an_interruption(fake: dict[str, Any], tmp_path: Path) -> None:
    fake["do"] = {20: stop}
    with pytest.raises(KeyboardInterrupt):
        scale_benchmark(SERIES[:1], SIZES, ("greedy", "fake"), output=tmp_path, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    kept = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(kept) == 1 + 3
    fake.update(do={}, sizes=[])
    results = scale_benchmark(SERIES[:1], SIZES, ("greedy", "fake"), output=tmp_path, **QUICK)
    assert set(fake["sizes"]) == {20}
    assert (tmp_path / "rows.jsonl").read_text().splitlines()[:4] == kept
    fake["sizes"] = []
    again = scale_benchmark(SERIES[:1], SIZES, ("greedy", "fake"), output=tmp_path, **QUICK)
    assert again == results
    assert fake["sizes"] == []


def test_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    first = scale_benchmark(SERIES[:1], SIZES, ("greedy", "pareto"), output=tmp_path, **QUICK)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    second = scale_benchmark(SERIES[:1], SIZES, ("greedy", "pareto"), output=tmp_path, **QUICK)
    assert second.rows[:3] == first.rows[:3]
    assert [row.utility for row in second.rows] == [row.utility for row in first.rows]
    assert len(path.read_text().splitlines()) == 5


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


def test_other_settings_are_refused_or_start_afresh(tmp_path: Path) -> None:
    scale_benchmark(SERIES[:1], (5,), ("greedy",), output=tmp_path, **QUICK)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="seed was 0, and is 1"):
        scale_benchmark(SERIES[:1], (5,), ("greedy",), output=tmp_path, seed=1, **QUICK)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    scale_benchmark(SERIES[:1], (5,), ("greedy",), output=tmp_path, seed=1, resume=False, **QUICK)


def test_the_record_of_another_benchmark_is_refused(tmp_path: Path) -> None:
    from robatch.bench import gap_benchmark
    from robatch.instances import generate

    gap_benchmark({"ties": generate("ties", 5)}, (0.3,), ("greedy",), output=tmp_path)
    with pytest.raises(InputError, match="no record of"):
        scale_benchmark(SERIES[:1], (5,), ("greedy",), output=tmp_path, **QUICK)


# ---- bad arguments, presets, the command


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"series": ()}, "series is"),
        ({"sizes": ()}, "sizes is"),
        ({"sizes": (0,)}, "size is 0"),
        ({"sizes": (5, 5)}, "only once"),
        ({"solvers": ("nix",)}, "solver is 'nix'"),
        ({"fraction": 1.5}, "budget fraction is 1.5"),
        ({"time_limit": 0.0}, "time_limit is 0.0"),
        ({"repeats": 0}, "repeats is 0"),
        ({"memory_from": 0}, "memory_from is 0"),
    ],
)
def test_bad_arguments(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"series": SERIES, "sizes": (5,), "solvers": ("greedy",), **change}
    with pytest.raises(InputError, match=re.escape(words)):
        scale_benchmark(**arguments, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [quick_scale_preset, default_scale_preset, full_scale_preset])
def test_presets(make: Any) -> None:
    preset: ScalePreset = make()
    assert len(set(preset.series)) == len(preset.series)
    with scale_module.oracle.registered():
        assert all(registry.get(name).installed for name in preset.solvers)
    assert "exact" in preset.solvers
    for series in preset.series:
        series.problem(3, seed=0)


def robatch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "scale", *(str(argument) for argument in arguments)])


def test_command(tmp_path: Path) -> None:
    out = tmp_path / "out"
    chosen = ["--sizes", "100,5", "--shapes", "2x2", "--solvers", "greedy,exact", "--repeats", 1]
    done = robatch(*chosen, "--families", "ties", "-o", out)
    assert done.exit_code == 0, done.output
    assert "ties · 2x2 · dense float64 · 1 thread" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "rows.jsonl"])
    command = "robatch bench scale --sizes 100,5 --families ties --shapes 2x2 --solvers greedy,exact --repeats 1"
    assert f"`{command}`" in (out / "scale.md").read_text(encoding="utf-8")
    again = robatch(*command.split()[3:], "-o", out, "--json")
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert found["command"] == command
    assert len(found["rows"]) == 4


def test_command_counts_failures(fake: dict[str, Any], tmp_path: Path) -> None:
    fake["do"] = {5: fail}
    done = robatch("--sizes", 5, "--families", "ties", "--solvers", "fake", "-o", tmp_path)
    assert done.exit_code == 1
    assert "1 of 1 runs failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "x"], "whole numbers"),
        (["--sizes", "-1"], "size is -1"),
        (["--families", "nix"], "family is 'nix'"),
        (["--families", "from-knapsack"], "family is 'from-knapsack'"),
        (["--families", ","], "nothing to solve"),
        (["--shapes", "4by6"], "shape is '4by6'"),
        (["--shapes", "0x6"], "models is 0"),
        (["--shapes", "4x60"], "batch_sizes is 60"),
        (["--forms", "thin"], "form is 'thin'"),
        (["--forms", "factored", "--families", "ties"], "nothing to solve"),
        (["--dtypes", "int8"], "dtype is 'int8'"),
        (["--threads", "0"], "threads is 0"),
        (["--solvers", "nix"], "solver is 'nix'"),
        (["--fraction", "2"], "budget fraction is 2.0"),
        (["--time-limit", "0"], "time_limit is 0.0"),
        (["--quick", "--full"], "exclude each other"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = robatch(*arguments, "-o", tmp_path / "out")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
