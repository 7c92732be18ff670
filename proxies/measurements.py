"""Measurements: what a profiling run found, with where it came from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from robatch.instances.errors import InputError
from robatch.instances.files import replacing
from robatch.instances.problem_file import KEY, read_table

if TYPE_CHECKING:
    from robatch.instances.problem import Problem

"""The key of the provenance in the Parquet schema's metadata."""

SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("model", pa.string()),
        ("batch_size", pa.int32()),
        ("call", pa.int32()),
        ("call_size", pa.int32()),
        ("position", pa.int32()),
        ("correct", pa.bool_()),
        ("parsed", pa.bool_()),
        ("answer", pa.string()),
        ("input_tokens", pa.float64()),
        ("output_tokens", pa.float64()),
        ("call_input_tokens", pa.int32()),
        ("call_output_tokens", pa.int32()),
        ("shared_tokens", pa.int32()),
        ("seconds", pa.float64()),
        ("finish_reason", pa.string()),
        ("error", pa.string()),
    ]
)
"""One row per query, model and batch size; see `Measurements` for the columns."""

_MODEL_FIELDS = ("name", "price_in", "price_out", "context_window", "batch_sizes", "shared_tokens")


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measured answers of every query by every model at every batch size.

    Attributes
    ----------
    table
        One row per query, model and batch size. ``call`` numbers the calls of a model and batch size, ``call_size``
        is how many queries the call held, ``position`` the query's place in it from 0. ``correct`` and ``parsed``
        are the grade and whether an answer could be read, ``answer`` the answer that was read. ``input_tokens`` is
        the query's even share of what the call's prompt had beyond the shared prompt, ``output_tokens`` its even
        share of the output (both exact where ``call_size`` is 1). ``call_input_tokens``, ``call_output_tokens`` and
        ``seconds`` are the call's. Seconds are throughput for the offline engine (the call's even share of the wall
        time of the calls that ran side by side) and latency for a server. ``error`` says why there was no answer.
    provenance
        Where the measurements came from: models with their prices, weights' SHA-256, engine and device, the task,
        the prompt template, seeds, versions and the date.
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
        if provenance.get("format") != 1:
            raise InputError(
                f"{name!r} has format {provenance.get('format')!r}: this version of robatch reads format 1"
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
        metadata = {KEY: json.dumps(self.provenance, ensure_ascii=False).encode()}
        with replacing(path) as temporary:
            pq.write_table(self.table.replace_schema_metadata(metadata), temporary, compression="zstd")

    def check(self) -> None:
        """Check that every query was measured once in every state.

        Raises
        ------
        InputError
            If not, or if the provenance does not describe the models.
        """
        models = self.provenance.get("models")
        if not isinstance(models, list) or not models:
            raise InputError("the provenance names no models")
        for model in models:
            missing = [field for field in _MODEL_FIELDS if field not in model]
            if missing:
                raise InputError(f"the provenance of a model lacks {', '.join(missing)}")
        states = {(model["name"], size): i for i, (model, size) in enumerate(self._model_states())}
        pairs = zip(self.table["model"].to_pylist(), self.table["batch_size"].to_pylist(), strict=True)
        columns = [states.get(pair, -1) for pair in pairs]
        if -1 in columns:
            raise InputError("rows belong to a model or a batch size that the provenance does not name")
        cells = np.bincount(self._query_rows * len(states) + np.array(columns, dtype=np.int64))
        if len(self.query_ids) == 0 or len(cells) != len(self.query_ids) * len(states) or (cells != 1).any():
            raise InputError("every query must have exactly one row per model and batch size")

    @cached_property
    def query_ids(self) -> tuple[str, ...]:
        """The queries' ids, sorted."""
        return tuple(sorted(set(self.table["query_id"].to_pylist())))

    @property
    def states(self) -> tuple[tuple[str, int], ...]:
        """The (model name, batch size) pairs, by model, then ascending batch size."""
        return tuple((model["name"], size) for model, size in self._model_states())

    def summary(self) -> list[dict[str, Any]]:
        """Give one record per state.

        Returns
        -------
        list of dict
            ``model``, ``batch_size``, ``queries``, ``correct``, ``accuracy`` with its Wilson 95 % interval ``low`` to
            ``high``, ``parsed`` (share of queries), ``input_tokens`` and ``output_tokens`` (billed per query, the
            shared prompt included), ``cost`` (USD per query as billed), ``shared_cost_share`` (the shared prompt's
            part of that cost), ``seconds`` (per query) and ``errors`` (queries in calls without an answer).
        """
        records = []
        for model, size in self._model_states():
            rows = self._rows_of(model["name"], size)
            calls = {call["call"]: call for call in rows}.values()
            queries, correct = len(rows), sum(row["correct"] for row in rows)
            inputs = sum(call["call_input_tokens"] for call in calls)
            outputs = sum(call["call_output_tokens"] for call in calls)
            shared = sum(call["shared_tokens"] for call in calls if call["error"] is None)
            cost = (inputs * model["price_in"] + outputs * model["price_out"]) / 1e6
            low, high = wilson(correct, queries)
            records.append(
                {
                    "model": model["name"],
                    "batch_size": size,
                    "queries": queries,
                    "correct": correct,
                    "accuracy": correct / queries,
                    "low": low,
                    "high": high,
                    "parsed": sum(row["parsed"] for row in rows) / queries,
                    "input_tokens": inputs / queries,
                    "output_tokens": outputs / queries,
                    "cost": cost / queries,
                    "shared_cost_share": shared * model["price_in"] / 1e6 / cost if cost else None,
                    "seconds": sum(call["seconds"] for call in calls) / queries,
                    "errors": sum(row["error"] is not None for row in rows),
                }
            )
        return records

    def accuracy(self) -> pa.Table:
        """Give accuracy by model and batch size, with counts and Wilson 95 % intervals, as an Arrow table."""
        columns = ("model", "batch_size", "queries", "correct", "accuracy", "low", "high", "parsed")
        return pa.Table.from_pylist([{name: record[name] for name in columns} for record in self.summary()])

    def cost_shares(self) -> pa.Table:
        """Give the shared prompt's part of the billed cost by model and batch size, as an Arrow table."""
        columns = ("model", "batch_size", "cost", "shared_cost_share")
        return pa.Table.from_pylist([{name: record[name] for name in columns} for record in self.summary()])

    def to_problem(self) -> Problem:
        """Make a problem whose utilities are the measured 0/1 correctness of every query in every state.

        Token counts are those of the smallest batch size at which the call had an answer: exact where that is 1.
        Prices, context windows and batch sizes are those of the provenance. The queries are in the order of
        `query_ids`.
        """
        from robatch.instances.model import Model
        from robatch.instances.problem import Problem

        described = self.provenance["models"]
        shape = (len(self.query_ids), len(described))
        utility = np.zeros((shape[0], len(self.states)))
        tokens = np.full((2, *shape), np.nan)
        position = {query: i for i, query in enumerate(self.query_ids)}
        names = [model["name"] for model in described]
        for state, (name, size) in enumerate(self.states):
            for row in self._rows_of(name, size):
                i, k = position[row["query_id"]], names.index(name)
                utility[i, state] = row["correct"]
                if np.isnan(tokens[0, i, k]) and row["error"] is None:
                    tokens[:, i, k] = row["input_tokens"], row["output_tokens"]
        if np.isnan(tokens).any():
            i, k = np.argwhere(np.isnan(tokens[0]))[0]
            raise InputError(f"query {self.query_ids[i]!r} got no answer from model {names[k]!r} at any batch size")
        models = [
            Model(
                name=model["name"],
                price_in=model["price_in"],
                price_out=model["price_out"],
                shared_tokens=model["shared_tokens"],
                context_window=model["context_window"],
                batch_sizes=tuple(model["batch_sizes"]),
            )
            for model in described
        ]
        return Problem(
            models=tuple(models),
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            utility=utility,
            query_ids=list(self.query_ids),
        )

    @cached_property
    def _query_rows(self) -> npt.NDArray[np.int64]:
        position = {query: i for i, query in enumerate(self.query_ids)}
        return np.array([position[query] for query in self.table["query_id"].to_pylist()], dtype=np.int64)

    def _model_states(self) -> list[tuple[Mapping[str, Any], int]]:
        return [(model, size) for model in self.provenance["models"] for size in sorted(model["batch_sizes"])]

    def _rows_of(self, model: str, batch_size: int) -> list[dict[str, Any]]:
        mask = pc.and_(pc.equal(self.table["model"], model), pc.equal(self.table["batch_size"], batch_size))
        rows: list[dict[str, Any]] = self.table.filter(mask).to_pylist()
        return rows


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Give the Wilson 95 % interval of a share.

    Parameters
    ----------
    successes
        From 0 to `trials`.
    trials
        At least 1.
    """
    z = 1.959963984540054
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
