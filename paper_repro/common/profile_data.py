"""The recorded profile by task: features, answers, what they cost, and from where on they get worse."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.tasks.queries import Query, generate_task
from robatch.proxies.utility.fit_context import single_answers
from robatch.proxies.utility.uncertainty import Answers
from robatch.proxies.utility.utility_proxy import UtilityProxy


@dataclass(frozen=True)
class TaskData:
    """One task of the recorded profile: N queries, S states, R repeats.

    Attributes
    ----------
    name
        The task.
    states
        (model, batch size) of each column.
    features, common
        Numbers of each query's text, made for its task, and made for all tasks together: (N, F) each.
    scores
        The measured score of each query, state and repeat: (R, N, S).
    answers
        The single answers, with their calls.
    problem
        The queries with their measured tokens; its utilities are the means over the repeats.
    billed
        USD that one query cost in one state, all repeats together, as its share of what its calls billed: (N, S).
    """

    name: str
    states: tuple[tuple[str, int], ...]
    features: FloatArray
    common: FloatArray
    scores: FloatArray
    answers: Answers
    problem: Problem
    billed: FloatArray

    @property
    def utility(self) -> FloatArray:
        """Mean scores over the repeats: (N, S)."""
        return np.asarray(self.scores.mean(axis=0), dtype=np.float64)

    def fit(self, proxy: UtilityProxy, rows: IntArray, measured: npt.NDArray[np.bool_] | None = None) -> UtilityProxy:
        """Fit a proxy to some queries, in all states or those that `measured` (S,) names."""
        here = np.ones(len(self.states), dtype=bool) if measured is None else measured
        known = np.where(here, self.utility[rows], np.nan)
        return proxy.fit(self.features[rows], known, answers=part(self.answers, rows, here))


def part(answers: Answers, rows: IntArray, columns: npt.NDArray[np.bool_]) -> Answers:
    """Return the answers of some queries, numbered as `rows` orders them, in some states."""
    place = np.full(int(answers.row.max()) + 1, -1)
    place[rows] = np.arange(len(rows))
    kept = (place[answers.row] >= 0) & columns[answers.column]
    return Answers(place[answers.row[kept]], answers.column[kept], answers.score[kept], answers.call[kept])


def read_tasks(measurements: Measurements, features: str | os.PathLike[str]) -> tuple[TaskData, ...]:
    """Bring measurements together with their queries' features.

    Raises
    ------
    InputError
        If a measured query has no features, or was not measured in every state.
    """
    table = pq.read_table(features)
    place = {(row["task"], row["query_id"]): i for i, row in enumerate(table.select(["task", "query_id"]).to_pylist())}
    columns = {name: np.array(table[name].to_pylist(), dtype=np.float64) for name in ("counts", "own", "common")}
    tasks = []
    for name in measurements.tasks:
        ids = measurements.query_ids(name)
        missing = [id for id in ids if (name, id) not in place]
        if missing:
            raise InputError(f"query {missing[0]!r} of task {name!r} has no row in {str(features)!r}: one is needed")
        rows = [place[name, id] for id in ids]
        tasks.append(
            TaskData(
                name,
                measurements.states,
                np.hstack([columns["counts"], columns["own"]])[rows],
                np.hstack([columns["counts"], columns["common"]])[rows],
                pivot(measurements, name, "score").astype(np.float64),
                single_answers(measurements, name, ids),
                measurements.to_problem(name),
                _billed(measurements, name),
            )
        )
    return tuple(tasks)


def pivot(measurements: Measurements, task: str, column: str) -> npt.NDArray[Any]:
    """Return a column of a task's measurements by repeat, query and state: (R, N, S)."""
    rows = {id: i for i, id in enumerate(measurements.query_ids(task))}
    states = {state: s for s, state in enumerate(measurements.states)}
    found = np.full((measurements.provenance["repeats"], len(rows), len(states)), None, dtype=object)
    keys = ("task", "repeat", "query_id", "model", "batch_size", column)
    for name, repeat, id, model, size, value in zip(
        *(measurements.table[key].to_pylist() for key in keys), strict=True
    ):
        if name == task:
            found[repeat, rows[id], states[model, size]] = value
    return found


def _billed(measurements: Measurements, task: str) -> FloatArray:
    """Return USD by query and state: an even share of each call's bill, summed over the repeats."""
    models = {model["name"]: model for model in measurements.provenance["models"]}
    price_in, price_out = (
        np.array([models[name][price] for name, _ in measurements.states]) for price in ("price_in", "price_out")
    )
    inputs, outputs, size = (
        pivot(measurements, task, f"call_{name}").astype(np.float64)
        for name in ("input_tokens", "output_tokens", "size")
    )
    return np.asarray(((inputs * price_in + outputs * price_out) / 1e6 / size).sum(axis=0), dtype=np.float64)


def measured_queries(measurements: Measurements, task: str) -> tuple[Query, ...]:
    """Write the texts of a generated task's queries again, as they were measured."""
    (described,) = (entry["described"] for entry in measurements.provenance["tasks"] if entry["name"] == task)
    name, count, seed = described.split(", ")
    return generate_task(name, int(count.split()[0]), int(seed.split()[1]))


def first_loss(utility: FloatArray) -> int | None:
    """Return the place of the batch size from which on accuracy is below that of the first; None where it never is.

    Below is beyond a paired 95 % interval. `utility` has mean scores by query and ascending batch size: (N, B).
    """
    loss = utility[:, :1] - utility[:, 1:]
    error = loss.std(axis=0, ddof=1) / np.sqrt(len(loss))
    beyond = loss.mean(axis=0) > 1.96 * error
    place = len(beyond)
    while place > 0 and beyond[place - 1]:
        place -= 1
    return None if place == len(beyond) else place + 1
