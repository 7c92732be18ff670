"""How long scheduling takes, which the paper names as its dominant overhead.

The schedulers take turns in one process on generated problems (`realistic`, float32, factored), and the median over
the rounds counts, of which there is one beyond five million queries. `python-heap` is the reconstructed scheduler once
more, in plain Python, for up to 100,000 queries. Times of other machines are others: what compares are the ratios to
`pareto`, the reconstruction compiled, in the same run, and how time grows with the number of queries. Beside them
stands what the proxy takes to predict utilities from texts, on the same core.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import robatch
from paper_repro.common.csv_tables import Table, by_table
from paper_repro.common.figures import Axis, panels
from paper_repro.common.paths import PROFILE
from paper_repro.common.profile_data import measured_queries
from paper_repro.common.settings import Settings
from robatch.bench.common import heap_baseline as oracle
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import generate_task
from robatch.proxies.utility.utility_proxy import UtilityProxy

TASK = "reviews"
NEW_SEED = 2  # of queries that were not measured
MAX_QUERIES_TIMED = 5_000_000  # queries times rounds; there is one round beyond


def cells(settings: Settings) -> Table:
    """Give one cell a number of queries to schedule, and one a number of texts to predict."""
    return [{"queries": count} for count in settings["queries"]] + [{"texts": settings["texts"]}]


def compute(settings: Settings, cell: dict[str, Any]) -> Table:
    """Time the schedulers on one problem, or the proxy."""
    return _predicting(settings, cell["texts"]) if "texts" in cell else _scheduling(settings, cell["queries"])


def _predicting(settings: Settings, count: int) -> Table:
    """Time the prediction of utilities from texts by the default proxy, and recall how long the models took."""
    measurements = Measurements.read(PROFILE)
    measured = measured_queries(measurements, TASK)
    proxy = UtilityProxy.from_measurements(measurements, measured, TASK)
    texts = proxy.texts(generate_task(TASK, count, seed=NEW_SEED))
    seconds = []
    with threadpool_limits(limits=1):
        for _ in range(settings["rounds"] + 1):  # the first warms up
            began = time.perf_counter()
            proxy.predict(texts)
            seconds.append(time.perf_counter() - began)
    median = float(np.median(seconds[1:]))
    fastest = min(row["seconds"] for row in measurements.summary(TASK))
    return [
        {"table": "parts", "part": "predict utilities from texts", "queries": count,
         "us_per_query": 1e6 * median / count},
        {"table": "parts", "part": "answer, the fastest state recorded (CPU)", "queries": len(measured),
         "us_per_query": 1e6 * fastest},
    ]  # fmt: skip


def _scheduling(settings: Settings, count: int) -> Table:
    common = {"models": settings["models"], "batch_sizes": settings["batch_sizes"], "seed": 0, "dtype": "float32"}
    small = robatch.generate("realistic", queries=100, **common)
    problem = robatch.generate("realistic", queries=count, **common)
    budget = problem.budget_at(settings["fraction"])
    solvers = [name for name in settings["solvers"] if name != oracle.NAME or count <= oracle.MOST_QUERIES]
    seconds: dict[str, list[float]] = {solver: [] for solver in solvers}
    reached: dict[str, float] = {}
    bounds = []
    with oracle.registered():
        for solver in solvers:  # kernels are compiled or loaded before anything counts
            robatch.solve(small, small.budget_at(settings["fraction"]), solver, "amortized", threads=1)
        for _ in range(max(1, min(settings["rounds"], MAX_QUERIES_TIMED // count))):
            for solver in solvers:
                began = time.perf_counter()
                plan = robatch.solve(problem, budget, solver, "amortized", threads=1)
                seconds[solver].append(time.perf_counter() - began)
                assert plan.utility is not None
                reached[solver] = plan.utility
                bounds += [] if plan.bound is None else [plan.bound]
    medians = {solver: float(np.median(times)) for solver, times in seconds.items()}
    return [
        {"table": "times", "queries": count, "states": problem.n_states, "solver": solver, "seconds": median,
         "us_per_query": 1e6 * median / count, "ratio_to_pareto": median / medians["pareto"],
         "gap": max(0.0, (min(bounds) - reached[solver]) / min(bounds))}
        for solver, median in medians.items()
    ]  # fmt: skip


def tables(settings: Settings, rows: Table) -> dict[str, Table]:
    """Give the times of the schedulers, and of what goes before and after."""
    return by_table(rows, ("times", "parts"))


def draw(tables: dict[str, Table], folder: Path) -> None:
    """Draw seconds against the number of queries."""
    rows = [row | {"all": "whole call of solve, one thread"} for row in tables["times"]]
    panels(rows, folder / "times.png", Axis("queries", "queries", log=True), Axis("seconds", "seconds", log=True),
           by="all", line="solver")  # fmt: skip
