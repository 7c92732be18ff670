"""Rows of a table as queries: ids, texts and true answers from its columns, and each text as one query."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError, InputWarning
from robatch.proxies.sources.table import read_table
from robatch.proxies.sources.template import TextTemplate, as_text
from robatch.proxies.tasks.queries import Kind, Query, read_queries

Empty = Literal["error", "skip"]
NO_QUERY = -1
"""Of a row whose text is empty."""
_FILES_OF_QUERIES = (".jsonl", ".json", ".ndjson")


@dataclass(frozen=True)
class RowRules:
    r"""How rows become queries.

    Attributes
    ----------
    id
        Column of the ids; None for the column ``id``, or the number of the row where there is none.
    text
        Column of the texts, or a template such as ``"Subject: {subject}\n{body}"``; None for ``text`` or ``question``.
    answer
        Column of the true answers; None for the column ``answer``, if there is one.
    choices
        The admissible answers of every query; empty to take those of a column ``choices``, if there is one.
    kind
        ``"choice"``, ``"number"`` or ``"text"``; None for the column ``kind``, or else ``"choice"`` where there are
        choices and ``"text"`` where there are none.
    empty
        What a row without a text is: an ``"error"``, or to ``"skip"``.
    """

    id: str | None = None
    text: str | None = None
    answer: str | None = None
    choices: tuple[str, ...] = ()
    kind: Kind | None = None
    empty: Empty = "error"

    def __post_init__(self) -> None:
        if self.empty not in ("error", "skip"):
            raise InputError(f"empty is {self.empty!r}: 'error' or 'skip' is needed")

    @property
    def given(self) -> bool:
        """Whether any of them is."""
        return self != RowRules()


@dataclass(frozen=True, eq=False)
class QueryRows:
    """A table, and its queries.

    Attributes
    ----------
    table
        All rows and columns, as a `pyarrow.Table`.
    queries
        One for each text (with its kind and choices), by its first row.
    ids
        The id of each row; texts.
    query
        The position of each row's query, `NO_QUERY` where its text is empty: (rows,).
    """

    table: Any
    queries: tuple[Query, ...]
    ids: tuple[str, ...]
    query: IntArray
    plain: bool = False  # whether they come from a file of queries as it is

    @property
    def empty(self) -> int:
        """Rows without a text."""
        return int((self.query == NO_QUERY).sum())

    @property
    def copies(self) -> int:
        """Rows whose text stands in a row before."""
        return len(self.query) - self.empty - len(self.queries)

    @property
    def as_file(self) -> bool:
        """Whether the file that they come from is one of these queries."""
        return self.plain and len(self.queries) == len(self.ids)

    def copied_ids(self) -> dict[str, tuple[str, ...]]:
        """Return the other ids of the rows that repeat a query's text, by the query's id."""
        found: dict[str, dict[str, None]] = {}
        for row, place in enumerate(self.query.tolist()):
            if place != NO_QUERY and self.ids[row] != self.queries[place].id:
                found.setdefault(self.queries[place].id, {})[self.ids[row]] = None
        return {id: tuple(rows) for id, rows in found.items()}

    def rows_of(self) -> list[list[int]]:
        """Return the rows of each query, in their order."""
        found: list[list[int]] = [[] for _ in self.queries]
        for row, query in enumerate(self.query.tolist()):
            if query != NO_QUERY:
                found[query].append(row)
        return found


def read_rows(source: Any, rules: RowRules | None = None) -> QueryRows:
    """Read queries from a table: see `robatch.proxies.sources.table.read_table` and `RowRules`.

    A JSON or JSONL file is read by `robatch.proxies.read_queries`, which takes no other fields than those of queries,
    where no rule is given.

    Raises
    ------
    InputError
        If the table, a rule or a row is not what is needed. Rows are numbered from 1.
    """
    rules = rules or RowRules()
    path = isinstance(source, str | os.PathLike)
    if path and not rules.given and Path(source).suffix.lower() in _FILES_OF_QUERIES and Path(source).is_file():
        return replace(rows_of(read_queries(source)), plain=True)
    table = read_table(source)
    name = repr(os.fspath(source)) if path else "the queries"
    columns = table.column_names
    template = TextTemplate.of(_text_rule(rules, columns, name), columns)
    ids = _ids(table, rules, name)
    texts = _texts(table, template)
    answers = _answers(table, rules, name)
    kinds = [rules.kind] * len(ids) if rules.kind else _optional(table, None, "kind", name)
    choices = _choices(table, rules, name)
    queries: list[Query | None] = []
    for row, text in enumerate(texts):
        if text is None:
            if rules.empty == "error":
                raise InputError(
                    f"{name}, row {row + 1}: the text is empty, --empty skip (empty='skip') leaves such rows out"
                )
            queries.append(None)
            continue
        given = choices[row]
        kind: Any = kinds[row] or ("choice" if given else "text")
        try:
            queries.append(Query(ids[row], text, answers[row] or None, kind, given if kind == "choice" else ()))
        except InputError as error:
            raise InputError(f"{name}, row {row + 1}: {error}") from None
    return _once(table, ids, queries, name)


def rows_of(queries: Sequence[Query]) -> QueryRows:
    """Return queries as rows, each text once."""
    import pyarrow as pa

    ids = [query.id for query in queries]
    table = pa.table({"id": ids, "text": [query.text for query in queries]})
    return _once(table, ids, queries, "the queries")


def _once(table: Any, ids: Sequence[str], queries: Sequence[Query | None], name: str) -> QueryRows:
    """Keep the first query of each text; InputError where an id has two texts."""
    places: dict[tuple[Any, ...], int] = {}
    owner: dict[str, tuple[int, int]] = {}
    kept: list[Query] = []
    query = np.full(len(ids), NO_QUERY, dtype=np.int64)
    contradicted: dict[int, int] = {}
    for row, each in enumerate(queries):
        if each is None:
            continue
        key = (each.text, each.kind, each.choices)
        place = places.setdefault(key, len(kept))
        first = owner.setdefault(each.id, (place, row))
        if first[0] != place:
            raise InputError(f"{name}, row {row + 1}: id {each.id!r} is that of row {first[1] + 1}, whose text differs")
        if place == len(kept):
            kept.append(each)
        elif kept[place].answer is None and each.answer is not None:  # the true answer may stand in a later row
            kept[place] = replace(kept[place], answer=each.answer, by=each.by)
        elif each.answer is not None and each.answer != kept[place].answer:
            contradicted.setdefault(place, row)
        query[row] = place
    if contradicted:
        such = next(iter(contradicted.values()))
        warnings.warn(
            f"{len(contradicted)} texts of {name} have different true answers, such as that of row {such + 1}: the "
            "first of each counts",
            InputWarning, stacklevel=3,
        )  # fmt: skip
    if not kept:
        raise InputError(f"{name} holds no query: the texts of all rows are empty")
    return QueryRows(table, tuple(kept), tuple(ids), query)


def _text_rule(rules: RowRules, columns: Sequence[str], name: str) -> str:
    if rules.text is not None:
        return rules.text
    for known in ("text", "question"):
        if known in columns:
            return known
    raise InputError(
        f"{name} has no column 'text': --text (text=) names one, or makes a text of several; the columns are "
        f"{', '.join(columns)}"
    )


def _ids(table: Any, rules: RowRules, name: str) -> list[str]:
    column = rules.id if rules.id is not None else "id"
    if column not in table.column_names:
        if rules.id is None:
            return [str(row) for row in range(1, table.num_rows + 1)]
        raise InputError(f"id is {column!r}: {name} has the columns {', '.join(table.column_names)}")
    ids = [as_text(value) for value in table[column].to_pylist()]
    for row, one in enumerate(ids):
        if not one.strip():
            raise InputError(f"{name}, row {row + 1}: the id, column {column!r}, is empty")
    return ids


def _texts(table: Any, template: TextTemplate) -> list[str | None]:
    columns = {name: [as_text(value) for value in table[name].to_pylist()] for name in template.columns}
    names = list(columns)
    return [template.fill(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _optional(table: Any, column: str | None, usual: str, name: str) -> list[str]:
    """Return the texts of a column, which are empty where it is only the usual one and not there."""
    wanted = usual if column is None else column
    if wanted in table.column_names:
        return [as_text(value).strip() for value in table[wanted].to_pylist()]
    if column is None:
        return [""] * int(table.num_rows)
    raise InputError(f"{usual} is {column!r}: {name} has the columns {', '.join(table.column_names)}")


def _answers(table: Any, rules: RowRules, name: str) -> list[str]:
    """Return the true answers; those that an earlier run wrote are none unless they are named."""
    if rules.answer is None and {"answer", "answer_status"} <= set(table.column_names):
        warnings.warn(
            f"the column 'answer' of {name} was written by a run, as 'answer_status' beside it says: it is not taken "
            "for true answers; --answer answer (answer='answer') takes it",
            InputWarning, stacklevel=3,
        )  # fmt: skip
        return [""] * int(table.num_rows)
    return _optional(table, rules.answer, "answer", name)


def _choices(table: Any, rules: RowRules, name: str) -> list[tuple[str, ...]]:
    if rules.choices or "choices" not in table.column_names:
        return [tuple(rules.choices)] * int(table.num_rows)
    found = []
    for row, value in enumerate(table["choices"].to_pylist()):
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else ()
            except ValueError:
                value = None
        if value is not None and not (isinstance(value, Sequence) and not isinstance(value, str | Mapping)):
            value = None
        if value is None and table["choices"][row].as_py() is not None:
            raise InputError(f'{name}, row {row + 1}: choices is no JSON list of texts, such as ["yes", "no"]')
        found.append(tuple(as_text(one) for one in value or ()))
    return found
