"""Measurements: what a profiling run found, with where it came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from robatch.instances.errors import InputError
from robatch.instances.problem_file import read_table, write_table
from robatch.proxies.profiling.cell_sums import cell_record
from robatch.proxies.profiling.measurement_checks import FORMAT, SCHEMA, check_provenance, check_rows
from robatch.proxies.profiling.packing_tokens import Packing, calls_of, fit_packing
from robatch.proxies.tasks.recorded import measure_of

if TYPE_CHECKING:
    from robatch.instances.problem import Problem


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measured answers of queries by models at batch sizes.

    A cell is a task, a model and a batch size. With adaptive sampling, or fewer queries for its batch size, it holds a
    part of the task's queries: the beginning of one order, drawn by the seed.

    Attributes
    ----------
    table
        One row per task, query, model, batch size and repeat. ``call`` numbers the calls of a task, model, batch
        size and repeat; ``call_size`` is how many queries the call held, ``position`` the query's place in it from 0.
        A query that fails alone is left out where its call is asked again: its row says why, and has no tokens.
        ``score`` in [0, 1] and ``parsed`` are the grade and whether an answer could be read, ``answer`` the answer
        that was read (null for queries of kind "text" unless they were asked for). ``input_tokens`` is the query's
        even share of what the call's prompt had beyond the shared prompt, ``output_tokens`` its even share of the
        output (both exact where ``call_size`` is 1). ``call_input_tokens``, ``call_output_tokens`` and ``seconds`` are
        the call's. Seconds are throughput for the offline engine (the call's even share of the wall time of the calls
        that ran side by side) and latency for a server. ``error`` says why there was no answer.
    provenance
        Where the measurements came from: tasks with their templates, models with their prices, weights' SHA-256,
        engine and device, seeds, sampling, versions and the date.
    """

    table: pa.Table
    provenance: Mapping[str, Any]

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], provenance: Mapping[str, Any]) -> Self:
        """Make measurements of rows with the columns of `SCHEMA`."""
        return cls(pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA), dict(provenance))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file that `write` or a profiling run wrote.

        Raises
        ------
        InputError
            If the file is missing, damaged, or holds something else.
        """
        name = str(path)
        table, provenance = read_table(path, "measurements")
        if provenance.get("format") != FORMAT:
            raise InputError(
                f"{name!r} has format {provenance.get('format')!r}: this version of robatch reads format {FORMAT}"
            )
        if not table.schema.remove_metadata().equals(SCHEMA):
            raise InputError(f"{name!r} has other columns than measurements have: {table.column_names}")
        measurements = cls(table.replace_schema_metadata(None), provenance)
        try:
            measurements.check()
        except InputError as error:
            raise InputError(f"{name!r}: {error}") from error
        return measurements

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write one Parquet file, whole or not at all, with the provenance in its metadata."""
        self.check()
        write_table(path, self.table, self.provenance)

    def check(self) -> None:
        """Check that every cell holds queries of its task, each once in every repeat, with scores in [0, 1].

        Raises
        ------
        InputError
            If not, or if the provenance does not describe the models and tasks.
        """
        check_provenance(self.provenance)
        check_rows(self.table, self.tasks, self.states, self.provenance["repeats"])

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(task["name"] for task in self.provenance["tasks"])

    def measure(self, task: str | None = None) -> str:
        """Return what the scores of a task are a mean of: ``"accuracy"``, or ``"agreement with M"``.

        The second where the answers that they are graded by are those of a model M, see `robatch.proxies.labels`.
        """
        name = self._one_task(task)
        record = next(record for record in self.provenance["tasks"] if record["name"] == name)
        return measure_of(record.get("reference"))

    @property
    def states(self) -> tuple[tuple[str, int], ...]:
        """The (model name, batch size) pairs, by model, then ascending batch size."""
        return tuple((m["name"], size) for m in self.provenance["models"] for size in sorted(m["batch_sizes"]))

    def query_ids(self, task: str | None = None) -> tuple[str, ...]:
        """Give the ids of a task's measured queries, sorted; the task must be named if there are several."""
        return self._ids[self._one_task(task)]

    def summary(self, task: str | None = None) -> list[dict[str, Any]]:
        """Give one record per task and state.

        Parameters
        ----------
        task
            The task; None for all.

        Returns
        -------
        list of dict
            ``task``, ``model``, ``batch_size``, ``queries``, ``accuracy`` (the mean score), ``low`` and ``high``
            (its Wilson 95 % interval, with as many trials as queries, whatever the repeats; for scores between 0
            and 1 see `robatch.proxies.profiling.cell_sums.wilson`), ``parsed`` (share of answers that could be read),
            ``input_tokens`` and ``output_tokens`` (billed per query and repeat, the shared prompt included),
            ``cost`` (USD per query and repeat as billed), ``shared_cost_share`` (the shared prompt's part of that
            cost; None where nothing was billed), ``seconds`` (per query and repeat) and ``errors`` (rows in calls
            without an answer).
        """
        names = self.tasks if task is None else (self._one_task(task),)
        return [
            {"task": name, "model": model["name"], "batch_size": size}
            | cell_record(self._cells[name, model["name"], size].to_pylist(), model, self.provenance["repeats"])
            for name in names
            for model in self.provenance["models"]
            for size in sorted(model["batch_sizes"])
        ]

    def accuracy(self) -> pa.Table:
        """Give mean scores by task, model and batch size, with Wilson 95 % intervals, as an Arrow table."""
        columns = ("task", "model", "batch_size", "queries", "accuracy", "low", "high", "parsed")
        return pa.Table.from_pylist([{name: record[name] for name in columns} for record in self.summary()])

    def cost_shares(self) -> pa.Table:
        """Give the shared prompt's part of the billed cost by task, model and batch size, as an Arrow table."""
        columns = ("task", "model", "batch_size", "cost", "shared_cost_share")
        return pa.Table.from_pylist([{name: record[name] for name in columns} for record in self.summary()])

    def utilities(self, task: str | None = None) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
        """Give the measured utility of a task's queries in every state.

        Returns
        -------
        tuple
            The ids of the N queries, and mean scores over the repeats, shape (N, S) in the order of `states`; NaN
            where a query was not measured in a state.
        """
        task = self._one_task(task)
        ids = self._ids[task]
        total = np.zeros((len(ids), len(self.states)))
        count = np.zeros(total.shape)
        for s, state in enumerate(self.states):
            cell = self._cells[(task, *state)]
            rows = self._positions(task, cell)
            np.add.at(total[:, s], rows, cell["score"].to_numpy().astype(np.float64))
            np.add.at(count[:, s], rows, 1.0)
        return ids, np.where(count > 0, total / np.maximum(count, 1.0), np.nan)

    def tokens(self, task: str | None = None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give the tokens of a task's queries for every model.

        They are those of the smallest batch size at which the call had an answer (exact where that is 1), as means
        over the repeats.

        Returns
        -------
        tuple of numpy.ndarray
            Input tokens beyond the shared prompt and output tokens, shape (N, K) each, in the order of `query_ids`;
            NaN where a model answered no call with the query.
        """
        task = self._one_task(task)
        models = [model["name"] for model in self.provenance["models"]]
        found = np.full((2, len(self._ids[task]), len(models)), np.nan)
        for name, size in self.states:  # ascending batch sizes of each model
            cell = self._cells[task, name, size]
            cell = cell.filter(pc.is_null(cell["error"]))
            rows, k = self._positions(task, cell), models.index(name)
            count = np.bincount(rows, minlength=found.shape[1])
            new = (count > 0) & np.isnan(found[0, :, k])
            for i, column in enumerate(("input_tokens", "output_tokens")):
                sums = np.bincount(rows, weights=cell[column].to_numpy(), minlength=found.shape[1])
                found[i, new, k] = sums[new] / count[new]
        return found[0], found[1]

    def packing(self, task: str | None = None) -> tuple[Packing, ...]:
        """Give what calls of each model have in input tokens beside `tokens`: by call, and by query at its seam."""
        task = self._one_task(task)
        own, found = self.tokens(task)[0], []
        for k, model in enumerate(self.provenance["models"]):
            cells = [self._cells[task, model["name"], size] for size in sorted(model["batch_sizes"])]
            calls = [call for cell in cells for call in calls_of(cell, own[self._positions(task, cell), k])]
            found.append(fit_packing(calls, model["shared_tokens"][task], own[:, k]))
        return tuple(found)

    def to_problem(self, task: str | None = None) -> Problem:
        """Make a problem whose utilities are the measured scores of a task's queries in every state.

        Token counts are those of `tokens`. Prices, context windows and batch sizes are those of the provenance. The
        queries are in the order of `query_ids`.

        Parameters
        ----------
        task
            The task; needed if there are several.

        Raises
        ------
        InputError
            If the task is not known, a query was not measured in every state (adaptive sampling, fewer queries for
            a batch size), or a model answered no call with a query.
        """
        from robatch.instances.model import Model
        from robatch.instances.prices.entry import origin_of
        from robatch.instances.problem import Problem

        task = self._one_task(task)
        ids, utility = self.utilities(task)
        if np.isnan(utility).any():
            i, s = np.argwhere(np.isnan(utility))[0]
            raise InputError(
                f"query {ids[i]!r} of task {task!r} was not measured in the state {self.states[s]}: a problem needs "
                "measurements of all queries in every state, and the sampling left some out; a proxy does not"
            )
        inputs, outputs = self.tokens(task)
        models = self.provenance["models"]
        if np.isnan(inputs).any():
            i, k = np.argwhere(np.isnan(inputs))[0]
            raise InputError(f"query {ids[i]!r} got no answer from model {models[k]['name']!r} at any batch size")
        return Problem(
            models=tuple(
                Model(
                    name=model["name"],
                    price_in=model["price_in"],
                    price_out=model["price_out"],
                    shared_tokens=model["shared_tokens"][task],
                    context_window=model["context_window"],
                    batch_sizes=tuple(model["batch_sizes"]),
                    priced=origin_of(model),
                )
                for model in models
            ),
            input_tokens=inputs,
            output_tokens=outputs,
            utility=utility,
            query_ids=list(ids),
        )

    @cached_property
    def _ids(self) -> dict[str, tuple[str, ...]]:
        """The sorted query ids by task."""
        tasks = self.table["task"]
        return {
            task: tuple(sorted(set(self.table.filter(pc.equal(tasks, task))["query_id"].to_pylist())))
            for task in self.tasks
        }

    @cached_property
    def _cells(self) -> dict[tuple[str, str, int], pa.Table]:
        """The rows by task, model and batch size."""
        cells = {}
        for task in self.tasks:
            part = self.table.filter(pc.equal(self.table["task"], task))
            for model, size in self.states:
                mask = pc.and_(pc.equal(part["model"], model), pc.equal(part["batch_size"], size))
                cells[task, model, size] = part.filter(mask)
        return cells

    def _positions(self, task: str, cell: pa.Table) -> npt.NDArray[np.int64]:
        positions = pc.index_in(cell["query_id"], value_set=pa.array(self._ids[task]))
        return positions.to_numpy().astype(np.int64)  # type: ignore[no-any-return]

    def _one_task(self, task: str | None) -> str:
        if task is None:
            if len(self.tasks) > 1:
                raise InputError(f"there are several tasks, name one: {', '.join(self.tasks)}")
            return self.tasks[0]
        if task not in self.tasks:
            raise InputError(f"task is {task!r}: the measurements hold {', '.join(self.tasks)}")
        return task
