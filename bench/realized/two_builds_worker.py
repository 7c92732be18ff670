"""The half of `two_builds` that each build runs: plans on request, one JSON object a line.

It is run as a file by the Python of the build that is measured, and so uses only what every build has had.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from robatch.bench.common.machine import commit
from robatch.instances import Problem, compilation, generate
from robatch.solvers import solve

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
MODELS = 4
WARMING: dict[str, Any] = {"family": "realistic", "seed": 99, "groups": 0}


def main() -> None:
    """Answer every line of the standard input; the first answer comes after all kernels are compiled."""
    solver = sys.argv[1]
    compilation.PATIENCE = 0.0  # in builds that have it: compile at once
    for queries in (30, 300, 3000):  # what is compiled differs by size
        run({**WARMING, "queries": queries, "fractions": [0.1, 0.5]}, solver if queries < 1000 else "greedy", 1)
    print(json.dumps(commit() or "of no commit"), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(run(task, solver, task["repeats"])), flush=True)


def problem_of(task: dict[str, Any]) -> Problem:
    """Return the problem that a task names."""
    problem = generate(task["family"], task["queries"], MODELS, BATCH_SIZES, task["seed"])
    return problem.replace(groups=[i % task["groups"] for i in range(task["queries"])]) if task["groups"] else problem


def run(task: dict[str, Any], solver: str, repeats: int) -> list[list[Any]]:
    """Solve one problem at each budget; CPU seconds are the least of the repeats."""
    problem, found = problem_of(task), []
    for fraction in task["fractions"]:
        seconds = []
        for _ in range(repeats):
            begin = time.process_time()
            plan = solve(
                problem, problem.budget_at(fraction), solver, cost="realized",
                threads=1, time_limit=task.get("time_limit"),
            )  # fmt: skip
            seconds.append(time.process_time() - begin)
        found.append([plan.utility, plan.bound, plan.status, min(seconds)])
    return found


if __name__ == "__main__":
    main()
