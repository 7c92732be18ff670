"""A module that runs in a process of its own: it can be ended when it does not end, and its memory is its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class SolverDiedError(RuntimeError):
    """The process did not survive."""


class OverranError(RuntimeError):
    """The solver did not end long after its time limit, and its process was ended."""


def run_module(module: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """Give a task to a module in a process of its own, and return what it found.

    Parameters
    ----------
    module
        Its name. Run as a program, it calls `serve`.
    task
        Plain values for JSON; ``limit_s`` are the seconds after which the module lets itself end, by `end_after`.

    Raises
    ------
    SolverDiedError
        If the process died, as it does when the machine has no memory left.
    OverranError
        If it was ended by `end_after`.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(task)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        if name == "SIGALRM":
            raise OverranError(f"ignored its time limit: ended after {task['limit_s']:.0f} s")
        why = ": no memory was left" if name == "SIGKILL" else ""
        raise SolverDiedError(f"its process was ended by {name}{why}")
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    if done.returncode or not last.startswith("{"):
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SolverDiedError(f"its process failed: {why}")
    found: dict[str, Any] = json.loads(last)
    return found


def end_after(seconds: float) -> None:
    """Let the system end this process after a time, even in compiled code that does not let Python run.

    Where the system has no such timer, solvers are trusted.
    """
    with suppress(AttributeError):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def serve(work: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Do the task that this process was started with, and print what was found."""
    with suppress(OSError):  # where memory runs out, this process goes and no other
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    print(json.dumps(work(json.loads(sys.argv[1])), allow_nan=False))
