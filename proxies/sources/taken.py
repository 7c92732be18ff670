"""The file of the queries that a plan is made for: the one that is given, or a new one of the different texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.sources.rows import RowRules, read_rows
from robatch.proxies.tasks.queries import Query, write_queries


def take(
    source: Any, rules: RowRules | None, queries_to: str | os.PathLike[str] | None
) -> tuple[Path, tuple[Query, ...], dict[str, tuple[str, ...]]]:
    """Return the file of some queries, the queries, and the ids of the rows that repeat a text, by the query's id.

    Raises
    ------
    InputError
        If they cannot be read, or a file has to be written for them and none is named.
    """
    rows = read_rows(source, rules)
    copies = rows.copied_ids()
    if isinstance(source, str | os.PathLike) and rows.as_file:
        return Path(source).resolve(), rows.queries, {}
    if queries_to is None:
        raise InputError("queries_to is needed: a table, or texts that occur twice, are written there as queries")
    write_queries(queries_to, rows.queries)
    return Path(queries_to).resolve(), rows.queries, copies
