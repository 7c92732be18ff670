"""The most memory that `execute` takes, of as many queries as one likes, in a process of its own.

Two runs tell, against a server that answers at once. ``whole`` sends everything, in large calls, so that a million
queries take minutes; its report is made too. ``begun`` has the small calls that plans usually have, and ends after so
many of them: nearly all still wait then, which is when they take the most. What the server and the planning take is not
counted: the plan is read from its file. Linux only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from robatch.bench.common.peak_memory import peak_beyond, reset_peak
from robatch.bench.common.subprocess_runner import run_module, serve
from robatch.bench.scale.made_plan import SIZES, made_plan
from robatch.bench.scale.stub_server import stub_server
from robatch.proxies.execution.run import execute

LARGE_SIZES = (1, 25, 50, 100)
BEGUN_CALLS = 1000
WARM_UP = 200  # queries of a first run, which imports and compiles
LIMIT_S = 1800.0


class EnoughError(Exception):
    """As much is answered as was asked for."""


def measure_memory(queries: int, whole: bool) -> dict[str, Any]:
    """Measure a run, whole or begun.

    Returns
    -------
    dict
        ``calls`` answered, ``replans``, ``seconds``; bytes a query: ``file`` of the queries' file, ``plan`` of what
        reading the plan's file takes at most, ``most`` of everything at most; None where the system does not tell.
    """
    sizes = LARGE_SIZES if whole else SIZES
    with tempfile.TemporaryDirectory() as folder, stub_server() as server:
        for name, count in (("warm", WARM_UP), ("measured", queries)):
            Path(folder, name).mkdir()
            made_plan(Path(folder, name), server, count, sizes).write(Path(folder, name, "plan.parquet"))
        task = {"folder": folder, "queries": queries, "whole": whole, "limit_s": LIMIT_S}
        return run_module(__name__, task)


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    from robatch.proxies.execution.plan import RoutedPlan

    warm, folder, queries = Path(task["folder"], "warm"), Path(task["folder"], "measured"), task["queries"]
    execute(warm / "plan.parquet", warm / "answers.jsonl")
    before = reset_peak()
    plan = RoutedPlan.read(folder / "plan.parquet")
    of_plan = peak_beyond(before)
    began, calls, replans = time.perf_counter(), 0, 0

    def tell(done: int, spent: float) -> None:
        nonlocal calls
        calls += 1
        if not task["whole"] and calls >= BEGUN_CALLS:
            raise EnoughError

    with suppress(EnoughError):
        replans = execute(plan, folder / "answers.jsonl", on_answers=tell).replans
    found = {"file": (folder / "queries.jsonl").stat().st_size, "plan": of_plan, "most": peak_beyond(before)}
    each = {name: None if size is None else size / queries for name, size in found.items()}
    return {"calls": calls, "replans": replans, "seconds": time.perf_counter() - began, **each}


if __name__ == "__main__":
    serve(_measure)
