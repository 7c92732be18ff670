"""The recorded profile by task: features, answers, what they cost, and from where on they get worse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.proxies.profiling.measurements import Measurements
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
    keys = list(zip(table["task"].to_pylist(), table["query_id"].to_pylist(), strict=True))
    place = {key: i for i, key in enumerate(keys)}
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
                _scores(measurements, name),
                single_answers(measurements, name, ids),
                measurements.to_problem(name),
                _billed(measurements, name),
            )
        )
    return tuple(tasks)


def _scores(measurements: Measurements, task: str) -> FloatArray:
    """Return scores by repeat, query and state."""
    found = np.full((measurements.provenance["repeats"], *measurements.utilities(task)[1].shape), np.nan)
    for repeat, row, column, (score,) in _cells(measurements, task, ("score",)):
        found[repeat, row, column] = score
    return found


def _billed(measurements: Measurements, task: str) -> FloatArray:
    """Return USD by query and state: an even share of each call's bill, summed over the repeats."""
    prices = {model["name"]: (model["price_in"], model["price_out"]) for model in measurements.provenance["models"]}
    found = np.zeros(measurements.utilities(task)[1].shape)
    names = ("call_input_tokens", "call_output_tokens", "call_size")
    for _, row, column, (inputs, outputs, size) in _cells(measurements, task, names):
        price_in, price_out = prices[measurements.states[column][0]]
        found[row, column] += (inputs * price_in + outputs * price_out) / 1e6 / size
    return found


def _cells(measurements: Measurements, task: str, names: tuple[str, ...]) -> Iterator[tuple[int, int, int, list[Any]]]:
    """Yield repeat, query, state and the named columns of every row of a task."""
    rows = {id: i for i, id in enumerate(measurements.query_ids(task))}
    columns = {state: s for s, state in enumerate(measurements.states)}
    wanted = ("task", "repeat", "query_id", "model", "batch_size", *names)
    for where, repeat, id, model, size, *rest in zip(
        *(measurements.table[name].to_pylist() for name in wanted), strict=True
    ):
        if where == task:
            yield repeat, rows[id], columns[model, size], rest


def first_loss(utility: FloatArray) -> int | None:
    """Return from which batch size on accuracy is below that of the first, beyond a paired 95 % interval.

    Parameters
    ----------
    utility
        Mean scores by query and ascending batch size: (N, B).

    Returns
    -------
    int or None
        The place of the batch size; None where the largest shows no loss.
    """
    loss = utility[:, :1] - utility[:, 1:]
    error = loss.std(axis=0, ddof=1) / np.sqrt(len(loss))
    beyond = loss.mean(axis=0) > 1.96 * error
    place = len(beyond)
    while place > 0 and beyond[place - 1]:
        place -= 1
    return None if place == len(beyond) else place + 1
