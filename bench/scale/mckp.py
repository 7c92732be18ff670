"""What `exact` takes for multiple-choice knapsacks of whole numbers: Pisinger's five classes by size and range.

``python -m robatch.bench.scale.mckp`` prints the median CPU time over several seeds, on one thread, each the best of a
few runs: of the search, from a problem's arrays to the plan (`robatch.solvers.exact.knapsack`), and of the whole call
of `solve`, which evaluates and checks the plan. With ``--before FOLDER`` the same problems are solved by another build,
whose folder holds the package `robatch`, beside it; their weights are then tokens at 1 USD each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.files import write_text
from robatch.instances.kernels import flat
from robatch.instances.multiple_choice import KNAPSACK_FAMILIES, random_classes
from robatch.instances.problem import Problem
from robatch.solvers.exact.knapsack import Knapsack
from robatch.solvers.search_limits import Work
from robatch.solvers.solve import solve

SIZES, RANGES, ITEMS, SEEDS = (100, 1000, 10_000, 100_000), (1000, 10_000), 10, 9
SECONDS = 20.0  # that another build may take for one problem
BEFORE = """
import json, sys, time
import numpy as np
from robatch import Model, Problem, solve
found = []
for path in json.loads(sys.argv[1]):
    data = np.load(path)
    w, p, c = data["weights"].astype(float), data["profits"].astype(float), float(data["capacity"])
    models = [Model(f"m{j}", 1e6, 0.0, batch_sizes=(1,)) for j in range(w.shape[1])]
    problem = Problem(models, w, np.zeros(len(w)), utility=p / p.max())
    best = float("inf")
    if not found:
        solve(problem, c, "exact", "amortized", time_limit=60.0, threads=1)  # compiles
    for _ in range(3):
        begin = time.process_time()
        plan = solve(problem, c, "exact", "amortized", time_limit=float(sys.argv[2]), threads=1)
        best = min(best, time.process_time() - begin)
        if best > 1.0:
            break
    found.append((best, plan.status == "optimal"))
print(json.dumps(found))
"""


class Cell(NamedTuple):
    """A row: family, classes, largest number; ms of search and call; proofs; ms and proofs of another build."""

    family: str
    classes: int
    largest: int
    search: float
    call: float
    proven: int
    before: float | None = None
    before_proven: int | None = None


def best_of(run: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Return the least CPU milliseconds of a few runs, and what the last one returned."""
    best, found = float("inf"), None
    for _ in range(times):
        begin = time.process_time()
        found = run()
        best = min(best, time.process_time() - begin)
    return 1e3 * best, found


def measure(family: str, classes: int, largest: int, seeds: int, before: Path | None = None) -> Cell:
    """Measure one cell."""
    drawn = [random_classes(family, classes, ITEMS, np.random.default_rng(seed), largest) for seed in range(seeds)]
    search, call, proven = [], [], 0
    for profits, weights, capacity in drawn:
        problem = Problem.from_mckp(profits, weights, capacity)
        arrays, most = flat(problem), problem.money.most(capacity)

        def search_alone(problem: Problem = problem, arrays: Any = arrays, most: Any = most) -> None:
            found = Knapsack.of(arrays, problem.money, most)
            assert found is not None
            found.solve(Work(None, 1))

        times = 5 if classes <= 10_000 else 2
        search.append(best_of(search_alone, times)[0])
        spent, plan = best_of(lambda problem=problem: solve(problem, threads=1), times)  # type: ignore[misc]
        call.append(spent)
        proven += plan.status == "optimal"
    cell = Cell(family, classes, largest, statistics.median(search), statistics.median(call), proven)
    return cell if before is None else cell._replace(**measured_before(drawn, before))


def measured_before(drawn: list[tuple[IntArray, IntArray, int]], folder: Path) -> dict[str, Any]:
    """Return the median of another build, and how many problems it proved."""
    with tempfile.TemporaryDirectory() as place:
        paths = []
        for number, (profits, weights, capacity) in enumerate(drawn):
            paths.append(str(Path(place, f"{number}.npz")))
            np.savez(paths[-1], profits=profits, weights=weights, capacity=capacity)
        told = subprocess.run(
            [sys.executable, "-c", BEFORE, json.dumps(paths), str(SECONDS)],
            env={**os.environ, "PYTHONPATH": str(folder.resolve())}, cwd=place, check=True, capture_output=True,
            text=True,
        )  # fmt: skip
    found = json.loads(told.stdout)
    return {
        "before": 1e3 * statistics.median(seconds for seconds, _ in found),
        "before_proven": sum(done for _, done in found),
    }


def table(cells: list[Cell], seeds: int) -> str:
    """Return the cells as a table in Markdown."""
    beside = any(cell.before is not None for cell in cells)
    titles = ["class", "classes", "R", "search, ms", "call, ms", "proven"]
    titles += ["before, ms", "before, proven"] if beside else []
    lines = [titles, ["---"] * len(titles)]
    for cell in cells:
        row = [cell.family.removeprefix("mckp-"), f"{cell.classes:,}", f"{cell.largest:,}"]
        row += [f"{cell.search:.3g}", f"{cell.call:.3g}", f"{cell.proven} of {seeds}"]
        if cell.before is not None:
            row += [f"{cell.before:.3g}", f"{cell.before_proven} of {seeds}"]
        lines.append(row)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Print the table, and write it with what it means to a page if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="classes")
    parser.add_argument("--ranges", type=int, nargs="+", default=RANGES, help="R, the largest profit and weight")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--before", type=Path, help="folder of another build, as it stands in PYTHONPATH")
    parser.add_argument("-o", "--output", type=Path, help="page to write, in Markdown")
    parser.add_argument("--quick", action="store_true", help="few classes, which shows only that it runs")
    given = parser.parse_args()
    sizes, seeds = ((20,), 2) if given.quick else (given.sizes, given.seeds)
    for family in KNAPSACK_FAMILIES:  # compiles, and loads what is compiled
        for size in (20, *sizes[:1]):
            measure(family, size, given.ranges[0], 1)
    cells = []
    for largest in given.ranges:
        for size in sizes:
            for family in KNAPSACK_FAMILIES:
                cells.append(measure(family, size, largest, seeds, given.before))
                print(table(cells[-1:], seeds).splitlines()[-1], flush=True)
    if given.output is not None:
        write_text(given.output, PAGE.format(seeds=seeds, items=ITEMS, table=table(cells, seeds)))


PAGE = """# Multiple-choice knapsacks of whole numbers

What `exact` takes for Pisinger's random classes of {items} items each, profits and weights whole numbers up to R:
medians of CPU milliseconds over {seeds} seeds, one thread, each the best of a few runs, compiled before. *search* is
from a problem's arrays to the plan, *call* the whole of `solve`, which evaluates and checks it. Made by
`python -m robatch.bench.scale.mckp -o paper_repro/reports/KNAPSACK.md`; times of a shared machine, to be compared
within one run.

{table}"""

if __name__ == "__main__":
    main()
