"""What is recorded of a task's queries: to know them again, and to tell which others its prompt can ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.tasks.queries import Query


def query_hash(query: Query) -> str:
    """Hash what a model is asked, its true answer left out: 16 hexadecimal digits."""
    return _sha256([query.text, query.kind, query.choices])[:16]


def queries_sha256(queries: Iterable[Query]) -> str:
    """Hash queries, ids and answers included, in their order."""
    return _sha256([plain(query) for query in queries])


def plain(query: Query) -> dict[str, Any]:
    """Return the fields of a query as they are hashed: without `by` where an answer is the truth."""
    fields = asdict(query)
    return fields if query.by is not None else {name: value for name, value in fields.items() if name != "by"}


def reference_of(queries: Iterable[Query]) -> str | None:
    """Return the models whose answers the queries have as references; None where all answers are true."""
    return " and ".join(sorted({query.by for query in queries if query.by is not None})) or None


def measure_of(reference: str | None) -> str:
    """Return what scores are a mean of: accuracy, or agreement with whose answers stand for the truth."""
    return "accuracy" if reference is None else f"agreement with {reference}"


def check_measured(queries: Sequence[Query], record: Mapping[str, Any], measured: Collection[str]) -> None:
    """Refuse queries that have the ids of measured ones and are others.

    A part of the measured queries, more queries than these, and any order are allowed. Measurements made before each
    query had a hash in their `record` of the task have one of all queries together. It is compared where the measured
    queries are all given with their answers; they must then stand in the order in which they were measured, or in that
    of their ids.
    """
    task, hashes = record["name"], record.get("query_hashes")
    given = [query for query in queries if query.id in measured]
    if isinstance(hashes, Mapping):
        for query in given:
            if hashes.get(query.id) != query_hash(query):
                raise InputError(
                    f"query {query.id!r} is not the one that was measured for task {task!r} under this id: "
                    "the measured queries are needed, text, kind and choices unchanged"
                )
        return
    known = record.get("queries_sha256")
    if known is None or not len(given) == len(measured) == record["queries"]:
        return
    if any(query.answer is None for query in given):
        return
    if known not in (queries_sha256(given), queries_sha256(sorted(given, key=lambda query: query.id))):
        raise InputError(
            f"the queries are not those that were measured for task {task!r}, though they have the same ids: "
            "the measured ones are needed, unchanged and in the order in which they were measured"
        )


def check_askable(queries: Iterable[Query], record: Mapping[str, Any]) -> None:
    """Refuse queries that a task's prompt does not ask: of another kind, or with choices that it does not name.

    What the measurements' `record` of the task does not tell, or tells to differ between the measured queries, is not
    compared, and choices are not where the prompt shows those of each query.
    """
    task, kind, choices = record.get("name"), record.get("kind"), record.get("choices")
    if record["template"].get("show_choices"):
        choices = None
    for query in queries:
        if kind is not None and query.kind != kind:
            raise InputError(f"query {query.id!r} is of kind {query.kind!r}: task {task!r} has the kind {kind!r}")
        if choices is not None and set(query.choices) != set(choices):
            raise InputError(
                f"query {query.id!r} has the choices {list(query.choices)}: the prompt of task {task!r} is made for "
                f"{list(choices)} and shows no others"
            )


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
