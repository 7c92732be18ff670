"""Measurements in a process of their own: it can be ended when a solver does not end, and its memory is its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robatch.bench.common import heap_baseline as oracle
from robatch.bench.scale.cells import Series
from robatch.bench.scale.measure import Bench, warm_up
from robatch.bench.scale.memory_limit import Room

GRACE_S = 60.0  # besides the runs, to import, compile and make the problem ...
GRACE_PER_QUERY_S = 20e-6  # ... and this for each query
TIME_LIMITS = 3  # runs end when they took more than one time limit together; the last may take another


class SolverDiedError(RuntimeError):
    """The process did not survive."""


class OverranError(RuntimeError):
    """The solver did not end long after its time limit, and its process was ended."""


def measure_apart(
    series: Series, queries: int, solver: str, settings: Mapping[str, Any], room: Room, memory_only: bool
) -> dict[str, Any]:
    """Measure a solver in a cell, its peak memory included.

    The process makes the problem and runs the solver once on a small problem of the same kind before it measures.

    Parameters
    ----------
    series, queries, solver
        What is solved by whom.
    settings
        Of the scaling benchmark.
    room
        The memory there is.
    memory_only
        Whether to run the solver once, and only for its memory.

    Returns
    -------
    dict
        The measured fields of a row, see `Bench.measure`.

    Raises
    ------
    SolverDiedError
        If the process died, as it does when the machine has no memory left.
    OverranError
        If it did not end.
    """
    task = {
        "series": asdict(series), "queries": queries, "solver": solver, "settings": dict(settings),
        "available": room.available, "memory_only": memory_only,
    }  # fmt: skip
    limit = TIME_LIMITS * settings["time_limit"] + GRACE_S + GRACE_PER_QUERY_S * queries
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(task)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OverranError(f"ignored its time limit: ended after {limit:.0f} s") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise SolverDiedError(
            f"its process was ended by {name}" + (": no memory was left" if name == "SIGKILL" else "")
        )
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    if done.returncode or not last.startswith("{"):
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SolverDiedError(f"its process failed: {why}")
    fields: dict[str, Any] = json.loads(last)
    return fields


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    with suppress(OSError):  # where memory runs out, this process goes and no other
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    series, queries, solver, settings = Series(**task["series"]), task["queries"], task["solver"], task["settings"]
    with oracle.registered():
        bench = Bench(series, queries, settings, Room(task["available"]), with_pass=not task["memory_only"])
        warm_up(series, queries, solver, settings["seed"])
        return bench.measure(solver, memory=True, once=task["memory_only"])


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1])), allow_nan=False))
