"""Answers by people: a table to fill in, and what was filled in."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from robatch.instances.arrow_tables import Table
from robatch.instances.errors import InputError
from robatch.instances.files import write_text
from robatch.proxies.tasks.queries import Query

COLUMNS = ("id", "text", "choices", "answer")
BETWEEN = " | "  # choices in a cell


def fill_table(queries: Sequence[Query], path: str | os.PathLike[str], count: int | None = None, seed: int = 0) -> int:
    """Write a CSV file in which people fill in the column ``answer``; nothing in it tells what anybody answered.

    Parameters
    ----------
    queries
        Queries, labelled or not.
    path
        The file.
    count
        How many of them, drawn by `seed`; None for all.

    Returns
    -------
    int
        How many there are in it.

    Raises
    ------
    InputError
        If there are fewer, or the file cannot be written.
    """
    if count is not None and not 1 <= count <= len(queries):
        raise InputError(f"queries to fill in are {count}: a whole number from 1 to {len(queries)} is needed")
    rows = sorted(np.random.default_rng(seed).permutation(len(queries))[:count].tolist())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((queries[row].id, queries[row].text, BETWEEN.join(queries[row].choices), "") for row in rows)
    write_text(path, "\ufeff" + text.getvalue())  # with the mark by which spreadsheets know UTF-8
    return len(rows)


def filled(queries: Sequence[Query], path: str | os.PathLike[str]) -> tuple[Query, ...]:
    """Return the queries that people answered in a table, with their answers; rows without one are left out.

    Raises
    ------
    InputError
        If the table has no columns ``id`` and ``answer``, names a query that there is not, or holds an answer that
        the query cannot have: a choice may differ in case and by spaces around it.
    """
    table = Table.of(path, "the answers", None)
    known = {query.id: query for query in queries}
    ids, answers = _texts(table, "id"), _texts(table, "answer")
    found: dict[str, Query] = {}
    for row, (id, answer) in enumerate(zip(ids, answers, strict=True)):
        where = f"{table.row_name(row)} of {table.name}"
        given = (answer or "").strip()
        if id is None or id not in known:
            raise InputError(f"{where} has the id {id!r}, which no query has")
        if id in found:
            raise InputError(f"{where} has the id {id!r} for a second time")
        if given:
            found[id] = _answered(known[id], given, where)
    if not found:
        raise InputError(f"{table.name} holds no answer: fill in its column 'answer'")
    return tuple(found[query.id] for query in queries if query.id in found)


def _answered(query: Query, given: str, where: str) -> Query:
    """Return a query with a person's answer."""
    if query.kind == "choice":
        match = next((choice for choice in query.choices if choice.casefold() == given.casefold()), None)
        if match is None:
            raise InputError(f"{where} has the answer {given!r}: one of {', '.join(query.choices)} is needed")
        given = match
    elif query.kind == "number":
        given = given.replace(",", "")
    try:
        return replace(query, answer=given, by=None)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _texts(table: Table, name: str) -> list[str | None]:
    """Return a column as texts; None where it is empty."""
    table.require(name)
    data = table.source.get(table.columns.index(name))
    values = data if isinstance(data, list) else data.to_pylist()
    return [None if value is None else str(value).strip() for value in values]
