"""Peak memory of a solver beyond its input, measured in a process of its own.

The process makes the problem, runs the solver once on a small problem of the same kind, computes the budget, resets the
kernel's high-water mark of its memory, and solves. Linux only: elsewhere nothing is measured.
"""

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

from robatch.bench.scale_cells import Series

PROC = Path("/proc/self")
GRACE_S = 600.0  # besides ten time limits: to import, make the problem and compile

WARM_UP_QUERIES = 300
WARM_UP_S = 1.0


class SolverDiedError(RuntimeError):
    """The process in which memory was measured did not survive."""


def peak_of_solve(series: Series, queries: int, solver: str, settings: Mapping[str, Any]) -> int | None:
    """Return the bytes that a run of `solve` takes at most beyond what is in use before it.

    Parameters
    ----------
    series, queries, solver
        What is solved by whom.
    settings
        Of the scaling benchmark: ``budget_fraction``, ``time_limit`` and ``seed``.

    Returns
    -------
    int or None
        None where the system does not tell, or the solver fails.

    Raises
    ------
    SolverDiedError
        If the process was ended, as it is when the machine has no memory left, or did not end.
    """
    if not (PROC / "clear_refs").exists():
        return None
    wanted = {name: settings[name] for name in ("budget_fraction", "time_limit", "seed")}
    task = json.dumps({"series": asdict(series), "queries": queries, "solver": solver, **wanted})
    limit = GRACE_S + 10 * settings["time_limit"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, task],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=limit,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SolverDiedError(f"did not end within {limit:.0f} s while its memory was measured") from None
    if done.returncode in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if done.returncode < 0:
        raise SolverDiedError(
            f"its process was ended by signal {-done.returncode} while its memory was measured: "
            "most likely no memory was left"
        )
    found = done.stdout.splitlines()[-1:] if done.returncode == 0 else []
    try:
        return None if not found else int(found[0])
    except ValueError:
        return None


def warm_up(series: Series, queries: int, solver: str, seed: int) -> None:
    """Run a solver once on a small problem of a series, so that compilation and imports are not measured."""
    from robatch.solvers.solve import solve

    with suppress(Exception):  # a failure shows when it counts
        few = series.problem(min(queries, WARM_UP_QUERIES), seed)
        budget = few.budget_at(0.5)
        solve(few, budget, solver, time_limit=WARM_UP_S, seed=seed, threads=series.threads)


def _measure(task: Mapping[str, Any]) -> int:
    from robatch.bench import oracle
    from robatch.solvers.solve import solve

    with suppress(OSError):
        (PROC / "oom_score_adj").write_text("1000")  # where memory runs out, this process goes and no other
    series, seed = Series(**task["series"]), task["seed"]
    with oracle.registered():
        problem = series.problem(task["queries"], seed)
        warm_up(series, task["queries"], task["solver"], seed)
        budget = problem.budget_at(task["budget_fraction"])
        (PROC / "clear_refs").write_text("5")
        before = _status("VmRSS")
        limit, threads = task["time_limit"], series.threads
        solve(problem, budget, task["solver"], time_limit=limit, seed=seed, threads=threads)
        return max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    """Return a figure of this process in bytes."""
    for line in (PROC / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the system does not tell {name}")


if __name__ == "__main__":
    print(_measure(json.loads(sys.argv[1])))
