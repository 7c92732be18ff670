"""Study the proxy on the recorded profile, and record its tables in results/proxy; some minutes.

usage: python -m paper_repro.proxy.study     (then `python -m paper_repro.pages proxy` writes the page)

Reads results/profile_tasks.parquet, which `robatch profile paper_repro/configs/profile_tasks.toml` wrote, and
results/profile_tasks_features.parquet, which `python -m paper_repro.record.profile_tasks_features` wrote. The same
files give the same tables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any

from paper_repro.common.csv_tables import Table, as_csv
from paper_repro.common.paths import FEATURES, PROFILE, RESULTS
from paper_repro.common.profile_data import TaskData, read_tasks
from paper_repro.proxy import tables
from paper_repro.proxy.checks import PRECISIONS, diagnoses, replay
from paper_repro.proxy.splits import ESTIMATORS, compare, run_split
from robatch.instances.files import write_text
from robatch.proxies.profiling.measurements import Measurements

SPLITS = 20
"""Splits of each task into queries trained on and held out."""

COMPARED = 5
"""Those among them on which designs and estimators are compared."""


def main() -> None:
    """Run the study and record its tables."""
    measurements = Measurements.read(PROFILE)
    folder = RESULTS / "proxy"
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        recorded = study(measurements, read_tasks(measurements, FEATURES), pool)
    for name, table in recorded.items():
        write_text(folder / f"{name}.csv", as_csv(table))


def study(
    measurements: Measurements,
    tasks: Sequence[TaskData],
    pool: Executor,
    splits: int = SPLITS,
    compared: int = COMPARED,
    estimators: tuple[str, ...] = ESTIMATORS,
) -> dict[str, Table]:
    """Give every table of the study by name, from so many splits of each task.

    On the first `compared` of them designs and `estimators` are compared; the default estimator must be among these.
    """
    jobs = list(product(tasks, range(splits)))
    pairs = list(product(tasks, range(compared)))
    compared_later = [pool.submit(compare, task, seed, estimators) for task, seed in pairs]
    split_later = [pool.submit(run_split, task, seed) for task, seed in jobs]
    checks = pool.submit(diagnoses, tuple(tasks))
    figures = _by_task(pairs, [later.result() for later in compared_later])
    halves = _by_task(jobs, [later.result() for later in split_later])
    found = checks.result()
    return {
        "curves": tables.curve_rows(halves),
        "areas": tables.area_rows(halves),
        "coverage": tables.coverage_rows(halves),
        "billed": tables.billed_rows(halves),
        "ablation": tables.ablation_rows(figures),
        "routers": tables.estimator_rows(figures, estimators),
        "diagnostics": tables.diagnosis_rows(found),
        "reliability": tables.reliability_rows(found),
        "sampling": [replay(measurements, precision) for precision in PRECISIONS],
    }


def _by_task(jobs: Sequence[tuple[TaskData, int]], results: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for (task, _), result in zip(jobs, results, strict=True):
        found.setdefault(task.name, []).append(result)
    return found


if __name__ == "__main__":
    main()
