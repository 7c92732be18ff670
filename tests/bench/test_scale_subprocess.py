"""What the scaling benchmark measures in other processes."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from robatch.bench import (
    Series,
    scale_benchmark,
    series_of,
)
from robatch.bench.common.subprocess_runner import OverranError, SolverDiedError, run_module
from robatch.bench.scale import benchmark as scale_module
from robatch.bench.scale.measure_in_subprocess import TIME_LIMITS, measure_in_subprocess
from robatch.bench.scale.memory_limit import MemoryLimit

SERIES = series_of(("realistic", "ties"), shapes=("2x2",), forms=("dense", "factored"))
QUICK = {"time_limit": 5.0, "repeats": 1}
NO_TIME = 1e-5 - TIME_LIMITS * QUICK["time_limit"]
SETTINGS = {"budget_fraction": 0.3, "time_limit": 5.0, "seed": 0, "repeats": 1}


def test_memory_is_measured_in_another_process() -> None:
    results = scale_benchmark((Series(),), (2000,), ("pareto",), memory_from=1000, **QUICK)
    (row,) = results.rows
    if Path("/proc/self/clear_refs").exists():
        assert row.memory_bytes is not None
        assert 0 < row.memory_bytes < 10**9
        assert row.memory_to_input == row.memory_bytes / row.input_bytes
    assert scale_benchmark((Series(),), (2000,), ("pareto",), memory_from=None, **QUICK).rows[0].memory_bytes is None


def test_solvers_of_others_run_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_module, "SUBPROCESS_FROM", 20)
    results = scale_benchmark((SERIES[0],), (20,), ("highs", "greedy"), **QUICK)
    highs, greedy = results.rows
    assert highs.status == "optimal"
    assert len(highs.passes) == len(highs.runtimes) + 1
    assert greedy.gap is not None
    monkeypatch.setattr("robatch.bench.scale.measure_in_subprocess.GRACE_S", NO_TIME)
    results = scale_benchmark((SERIES[0],), (20, 30), ("highs",), **QUICK)
    assert (results.rows[0].status, results.rows[0].limit) == ("no_solution", "time")
    assert "ignored its time limit" in str(results.rows[0].message)
    assert results.rows[1].status == "skipped"


def test_a_process_that_dies_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -signal.SIGKILL, "", "")

    monkeypatch.setattr(subprocess, "run", killed)
    with pytest.raises(SolverDiedError, match="SIGKILL: no memory was left"):
        measure_in_subprocess(Series(), 5, "greedy", SETTINGS, MemoryLimit(None), memory_only=True)


def test_another_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robatch.bench.scale.measure_in_subprocess.GRACE_S", NO_TIME)
    with pytest.raises(OverranError):
        measure_in_subprocess(Series(), 5, "greedy", SETTINGS, MemoryLimit(None), memory_only=True)


def test_the_limit_counts_from_when_a_process_is_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = """
import time
from robatch.bench.common.subprocess_runner import end_after, serve

def work(task):
    time.sleep(task["before"])
    end_after(task["limit_s"])
    time.sleep(task["after"])
    return {"done": True}

serve(work)
"""
    (tmp_path / "sleeper.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert run_module("sleeper", {"before": 2.0, "limit_s": 1.5, "after": 0.0}) == {"done": True}
    with pytest.raises(OverranError, match="ended after 1 s"):
        run_module("sleeper", {"before": 0.0, "limit_s": 1.0, "after": 60.0})


def test_a_failure_in_another_process_is_told() -> None:
    fields = measure_in_subprocess(Series(), 5, "nix", SETTINGS, MemoryLimit(None), memory_only=True)
    assert fields["status"] == "error"
    assert "solver is 'nix'" in fields["message"]
