"""Answers that were paid for, by what was asked, and a table joined to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robatch.instances.errors import InputError
from robatch.instances.files import replacing
from robatch.job.ledger import Entry, Ledger
from robatch.proxies.journal import read_lines
from robatch.proxies.profiling.measurements import Measurements
from robatch.proxies.sources.rows import NO_QUERY, QueryRows
from robatch.proxies.tasks.queries import Query, read_queries
from robatch.proxies.tasks.recorded import query_hash

OUTPUTS = (".csv", ".tsv", ".parquet", ".jsonl")
_FIELDS = ("answer", "status", "model", "batch_size", "cost", "error")


@dataclass(frozen=True)
class Known:
    """The answer of a query; `cost` is None where it was measured with many others."""

    answer: str | None
    status: str
    model: str | None = None
    batch_size: int | None = None
    cost: float | None = None
    error: str | None = None


def known_answers(ledger: Ledger) -> dict[str, Known]:
    """Return the answers that the steps of a job left, by the hash of their query; later steps count more."""
    found: dict[str, Known] = {}
    for entry in ledger.entries:
        if entry.kind == "profile":
            if entry.done:
                found = _measured(ledger, entry) | found  # reference answers come from the best model
        elif ledger.file(entry, ".jsonl").exists():
            found |= _executed(ledger, entry)
    return found


def _executed(ledger: Ledger, entry: Entry) -> dict[str, Known]:
    queries = {query.id: query for query in read_queries(ledger.file(entry, ".queries.jsonl"))}
    found = {}
    for row in read_lines(ledger.file(entry, ".jsonl")):
        if row["status"] != "unanswered":
            rest = (row.get(name) for name in _FIELDS[2:])
            found[query_hash(queries[row["id"]])] = Known(row["answer"], row["status"], *rest)
    return found


def _measured(ledger: Ledger, entry: Entry) -> dict[str, Known]:
    """Return the answer of each measured query in the best state that gave one."""
    measured = Measurements.read(ledger.file(entry, ".parquet"))
    queries = {query.id: query for query in read_queries(ledger.file(entry, ".queries.jsonl"))}
    mean = np.nanmean(measured.utilities()[1], axis=0)
    rank = {state: place for place, state in enumerate(measured.states[s] for s in np.argsort(-mean, kind="stable"))}
    best: dict[str, tuple[int, Known]] = {}
    for row in measured.table.select(["query_id", "model", "batch_size", "answer"]).to_pylist():
        place = rank[row["model"], row["batch_size"]]
        if row["answer"] is not None and place < best.get(row["query_id"], (len(rank), None))[0]:
            best[row["query_id"]] = place, Known(row["answer"], "answered", row["model"], row["batch_size"])
    return {query_hash(queries[id]): known for id, (_, known) in best.items()}


def joined(rows: QueryRows, known: Mapping[str, Known]) -> tuple[Any, dict[str, int]]:
    """Return a table with the columns of the answers, a `pyarrow.Table`, and how many rows have each status.

    The columns are ``answer``, ``answer_status`` (answered, unread, unanswered, empty), ``answer_model``,
    ``answer_batch_size``, ``answer_cost`` (USD; 0 for a copy, null where it was measured), ``answer_error`` and
    ``answer_copy_of`` (the id of the row whose text it repeats). Where a column has one of these names already, theirs
    begin with ``robatch_``, or ``robatch_2_`` and so on where these are there too.
    """
    import pyarrow as pa

    hashes = [query_hash(query) for query in rows.queries]
    answers: list[dict[str, Any]] = []
    seen: set[int] = set()
    for place in rows.query.tolist():
        if place == NO_QUERY:
            answers.append({"status": "empty"})
            continue
        found = known.get(hashes[place], Known(None, "unanswered"))
        row = {name: getattr(found, name) for name in _FIELDS}
        if place in seen:
            row |= {"copy_of": rows.queries[place].id, "cost": 0.0}
        seen.add(place)
        answers.append(row)
    types = {"answer": pa.string(), "status": pa.string(), "model": pa.string(), "batch_size": pa.int64(),
             "cost": pa.float64(), "error": pa.string(), "copy_of": pa.string()}  # fmt: skip
    names = {name: name if name == "answer" else f"answer_{name}" for name in types}
    table, usual, number = rows.table, dict(names), 1
    while set(names.values()) & set(table.column_names):
        prefix = "robatch_" if number == 1 else f"robatch_{number}_"
        names, number = {name: f"{prefix}{text}" for name, text in usual.items()}, number + 1
    for name, kind in types.items():
        table = table.append_column(names[name], pa.array([row.get(name) for row in answers], kind))
    return table, dict(Counter(row["status"] for row in answers))


def check_output(path: Path) -> None:
    """Refuse an output of a kind that is not written."""
    if path.suffix.lower() not in OUTPUTS:
        raise InputError(f"output is {str(path)!r}: a name that ends in {', '.join(OUTPUTS)} is needed")


def write_joined(table: Any, path: Path) -> None:
    """Write a table to a CSV, TSV, Parquet or JSONL file, whole or not at all."""
    import csv
    import json

    import pyarrow.parquet as pq

    kind = path.suffix.lower()
    with replacing(path) as temporary:
        if kind == ".parquet":
            pq.write_table(table, temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            if kind == ".jsonl":
                for row in table.to_pylist():
                    stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
                return
            writer = csv.writer(stream, delimiter="\t" if kind == ".tsv" else ",", lineterminator="\n")
            writer.writerow(table.column_names)
            for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
                writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        import json

        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else value


def unanswered(queries: Sequence[Query], known: Mapping[str, Known], retry_unread: bool) -> tuple[Query, ...]:
    """Return the queries that are to be asked."""
    left = []
    for query in queries:
        found = known.get(query_hash(query))
        if found is None or (retry_unread and found.status == "unread"):
            left.append(query)
    return tuple(left)
