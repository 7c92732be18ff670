"""The queries that are finished, in flat arrays: there may be millions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping

import numpy as np

from robatch.proxies.execution.calls import Waiting

Final = tuple[Waiting, str | None, str | None]
"""The call of a finished query, its answer (None where unread), and why there is none."""

NO_CALL = -1
MOST_SHARED = 64  # characters of answers that are kept once, however many queries have them


class Finished(MutableMapping[int, Final]):
    """Finished queries by position, of so many in all."""

    def __init__(self, queries: int) -> None:
        self._number = np.full(queries, NO_CALL)  # of each query's call
        self._answers: list[str | None] = [None] * queries
        self._errors: dict[int, str] = {}
        self._calls: dict[int, Waiting] = {}
        self._count = 0

    def __getitem__(self, query: int) -> Final:
        if query not in self:
            raise KeyError(query)
        return self._calls[int(self._number[query])], self._answers[query], self._errors.get(query)

    def __contains__(self, query: object) -> bool:
        return isinstance(query, int | np.integer) and bool(self._number[query] != NO_CALL)

    def __setitem__(self, query: int, final: Final) -> None:
        call, answer, error = final
        self._count += query not in self
        self._calls[call.number] = call
        self._number[query] = call.number
        shared = answer is not None and len(answer) <= MOST_SHARED
        self._answers[query] = sys.intern(answer) if shared and type(answer) is str else answer
        if error is not None:
            self._errors[query] = error

    def __delitem__(self, query: int) -> None:
        if query not in self:
            raise KeyError(query)
        self._count -= 1
        self._number[query], self._answers[query] = NO_CALL, None
        self._errors.pop(query, None)

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._number != NO_CALL).tolist())

    def __len__(self) -> int:
        return self._count

    def unread(self) -> list[int]:
        """Return the queries that were asked and have no answer."""
        return [query for query in self if self._answers[query] is None]
