"""Queries as the bytes of their file: each is made when it is asked for, so that a million need little more."""

from __future__ import annotations

import codecs
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from robatch.instances.errors import InputError
from robatch.instances.files import UTF16, parse_json
from robatch.proxies.tasks.queries import Query, query_of

MOST_KEPT = 4096  # queries that need not be made again: those of the calls under way


class QueryFile(Sequence[Query]):
    """The queries of a file that `robatch.proxies.read_queries` reads, in as much memory as the file and 8 bytes each.

    Parameters
    ----------
    content
        The file.
    name
        Its name, for messages. A query that is wrong is found when it is asked for.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self._name = name
        self._kept: dict[int, Query] = {}
        try:
            if content.startswith(UTF16):
                content = content.decode("utf-16").encode()
            self._content = _as_lines(content.removeprefix(codecs.BOM_UTF8))
            self._starts = array("q", _starts(self._content))
        except ValueError as error:
            raise InputError(f"cannot read the queries {name!r}: {error}") from None

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Query: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Query, ...]: ...

    def __getitem__(self, index: int | slice) -> Query | tuple[Query, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        found = self._kept.get(index)
        if found is None:
            found = self._made(self._starts[index])
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[index] = found
        return found

    def __iter__(self) -> Iterator[Query]:
        return map(self._made, self._starts)

    def _made(self, start: int) -> Query:
        end = self._content.find(b"\n", start)
        try:
            return query_of(parse_json(self._content[start : None if end < 0 else end].decode()))
        except ValueError as error:
            raise InputError(f"{self._name!r} holds a query that cannot be read: {error}") from error


def _as_lines(content: bytes) -> bytes:
    """Return JSON lines, whichever of the two forms the content has."""
    if content[:1] == b"[" or content[:1].isspace():
        text = content.decode()
        if text.lstrip().startswith("["):
            try:
                rows = parse_json(text)
            except ValueError:
                return content
            if all(isinstance(row, Mapping) for row in rows):
                return "".join(json.dumps(row) + "\n" for row in rows).encode()
    return content


def _starts(content: bytes) -> Iterator[int]:
    """Yield where each line begins that is not blank."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        if content[start : start + 1] == b"{" or content[start:end].decode().strip():
            yield start
        start = end + 1
