"""The queries that are finished, in flat arrays: there may be millions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from typing import NamedTuple

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.proxies.execution.calls import Waiting

NOT_ASKED = -1
"""In place of the state of a query that was not asked."""
MOST_SHARED = 64  # characters of answers that are kept once, however many queries have them


class Asked(NamedTuple):
    """The call in which a query was asked last: its number, its state, and how many queries it held."""

    number: int
    column: int
    size: int

    @classmethod
    def of(cls, call: Waiting) -> Asked:
        """Return what is kept of a call."""
        return cls(call.number, call.column, len(call.queries))


Final = tuple[Asked, str | None, str | None]
"""The call of a finished query, its answer (None where unread), and why there is none."""


class Finished(MutableMapping[int, Final]):
    """Finished queries by position, of so many in all.

    Attributes
    ----------
    columns
        State of the call in which each query was asked last, `NOT_ASKED` where it is not finished: (N,).
    """

    def __init__(self, queries: int) -> None:
        self.columns: IntArray = np.full(queries, NOT_ASKED)
        self._number = np.zeros(queries, dtype=np.int64)
        self._size = np.zeros(queries, dtype=np.int32)
        self._answers: list[str | None] = [None] * queries
        self._errors: dict[int, str] = {}
        self._count = 0

    def __getitem__(self, query: int) -> Final:
        if query not in self:
            raise KeyError(query)
        asked = Asked(int(self._number[query]), int(self.columns[query]), int(self._size[query]))
        return asked, self._answers[query], self._errors.get(query)

    def __contains__(self, query: object) -> bool:
        return isinstance(query, int | np.integer) and bool(self.columns[query] != NOT_ASKED)

    def __setitem__(self, query: int, final: Final) -> None:
        asked, answer, error = final
        self._count += query not in self
        self._number[query], self.columns[query], self._size[query] = asked
        shared = answer is not None and len(answer) <= MOST_SHARED
        self._answers[query] = sys.intern(answer) if shared and type(answer) is str else answer
        if error is not None:
            self._errors[query] = sys.intern(error)

    def __delitem__(self, query: int) -> None:
        if query not in self:
            raise KeyError(query)
        self._count -= 1
        self.columns[query], self._answers[query] = NOT_ASKED, None
        self._errors.pop(query, None)

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.columns != NOT_ASKED).tolist())

    def __len__(self) -> int:
        return self._count

    def unread(self) -> list[int]:
        """Return the queries that were asked and have no answer."""
        return [query for query in self if self._answers[query] is None]

    def errors(self) -> Iterator[str]:
        """Yield why queries have no answer."""
        return iter(self._errors.values())
