"""What the first plans cost after an installation, when no kernel is compiled: CPU seconds, each in a new process.

``python -m robatch.bench.scale.cold_start`` solves a generated problem of 100 queries in processes whose kernel cache
is empty, under each cost, and prints what the first call and the second one took; then what processes take from their
start to an amortized plan where the cache is kept. ``--before COMMAND`` names the Python of another build to measure
beside this one, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from statistics import median

SOLVES = {
    "amortized": {"solver": "exact", "cost": "amortized"},
    "as billed, `greedy`": {"solver": "greedy", "cost": "realized"},
    "as billed, `auto`": {"solver": "auto", "cost": "realized"},
    "as billed, `exact`": {"solver": "exact", "cost": "realized"},
}
SCRIPT = """
import json, sys, time
import robatch
queries, options = json.loads(sys.argv[1])
problem = robatch.generate("realistic", queries=queries, seed=0)
took = []
for _ in range(2):
    begin = time.process_time()
    robatch.solve(problem, problem.budget_at(0.5), **options)
    took.append(time.process_time() - begin)
print(json.dumps([*took, time.process_time()]))
"""


def measured(python: Sequence[str], folder: str, queries: int, options: dict[str, str]) -> list[float]:
    """Return the CPU seconds of the first call, of the second, and of all of a process with its kernels in a folder."""
    command = [*python, "-P", "-W", "ignore", "-c", SCRIPT, json.dumps([queries, options])]
    environment = os.environ | {"NUMBA_CACHE_DIR": folder}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def cold(python: Sequence[str], queries: int, options: dict[str, str]) -> list[float]:
    """Measure with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        return measured(python, folder, queries, options)


def warm(python: Sequence[str], queries: int, repeats: int) -> float:
    """Return the CPU seconds from a process's start to an amortized plan, the median, where kernels are compiled."""
    options = SOLVES["amortized"]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            measured(python, folder, queries, options)
        took = [measured(python, folder, queries, options) for _ in range(repeats)]
    return median(whole - second for _, second, whole in took)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="a command that starts the Python of another build")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5, help="processes that find compiled kernels")
    parser.add_argument("--quick", action="store_true", help="few queries, which shows only that it runs")
    given = parser.parse_args()
    queries, repeats = (20, 1) if given.quick else (given.queries, given.repeats)
    builds = {"now": [sys.executable]} if given.before is None else {
        "before": shlex.split(given.before), "now": [sys.executable]
    }  # fmt: skip
    print(f"CPU seconds, {queries} queries; first call in an empty cache / second call in the same process")
    for name, options in SOLVES.items():
        if given.quick and name != "amortized":
            continue
        found = {build: cold(python, queries, options) for build, python in builds.items()}
        print(
            f"  {name:<22}", *(f"{build} {took[0]:7.2f} / {took[1]:.4f}  " for build, took in found.items()), flush=True
        )
    took = {build: warm(python, queries, repeats) for build, python in builds.items()}
    print("  start to amortized plan, warm ", *(f"{build} {seconds:.2f}  " for build, seconds in took.items()))


if __name__ == "__main__":
    main()
