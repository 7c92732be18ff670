"""The calls of a plan that were not sent yet, in flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from robatch.instances.arrays import BoolArray, IntArray
from robatch.proxies.execution.calls import Waiting


@dataclass(eq=False)
class PlannedCalls:
    """Calls that were planned together; each is made when it is asked for.

    Attributes
    ----------
    first
        Number of the first call; the others follow.
    columns, starts, order
        As `robatch.solvers.plan.packing.Calls` has them.
    models
        The model of each state.
    blamed
        Positions of the calls with a query of a call that failed before.
    waiting
        Which calls were not taken yet: (calls,).
    """

    first: int
    columns: IntArray
    starts: IntArray
    order: IntArray
    models: IntArray
    blamed: frozenset[int] = frozenset()
    waiting: BoolArray = field(init=False)
    count: int = field(init=False)  # of those that wait
    _sorted: IntArray = field(init=False)  # calls by model and size
    _spans: dict[tuple[int, int], tuple[int, int]] = field(init=False)  # by model and size, in `_sorted`

    def __post_init__(self) -> None:
        self.waiting, self.count = np.ones(len(self.columns), dtype=np.bool_), len(self.columns)
        sizes, models = np.diff(self.starts), self.models[self.columns]
        self._sorted = np.lexsort((sizes, models))
        key = np.stack((models[self._sorted], sizes[self._sorted]))
        begins = np.flatnonzero(np.any(np.diff(key, prepend=-1), axis=0))
        ends = np.append(begins[1:], len(self.columns))
        self._spans = {
            (model, size): (begin, end)
            for (model, size), begin, end in zip(
                key[:, begins].T.tolist(), begins.tolist(), ends.tolist(), strict=False
            )
        }

    def __contains__(self, number: int) -> bool:
        return 0 <= number - self.first < len(self.waiting) and bool(self.waiting[number - self.first])

    def __iter__(self) -> Iterator[int]:
        return iter((self.first + np.flatnonzero(self.waiting)).tolist())

    def call(self, number: int) -> Waiting:
        """Return a call."""
        place = number - self.first
        queries = self.order[self.starts[place] : self.starts[place + 1]].tolist()
        return Waiting(number, int(self.columns[place]), tuple(queries), blamed=place in self.blamed)

    def take(self, number: int) -> Waiting:
        """Return a call, which waits no more."""
        self.waiting[number - self.first] = False
        self.count -= 1
        return self.call(number)

    def models_and_sizes(self) -> list[tuple[int, int]]:
        """Return the models with calls that wait, and these calls' sizes."""
        return [key for key in self._spans if self._begin(*key) is not None]

    def of(self, model: int, size: int) -> Iterator[int]:
        """Yield the calls of a model and size that wait; they must not change meanwhile."""
        begin = self._begin(model, size)
        if begin is not None:
            places = self._sorted[begin : self._spans[model, size][1]]
            yield from (self.first + int(place) for place in places if self.waiting[place])

    def queries(self) -> IntArray:
        """Return the queries of the calls that wait."""
        return self.order[np.repeat(self.waiting, np.diff(self.starts))]

    def _begin(self, model: int, size: int) -> int | None:
        """Return where the first call of a model and size waits in `_sorted`, None where none does."""
        if (model, size) not in self._spans:
            return None
        begin, end = self._spans[model, size]
        while begin < end and not self.waiting[self._sorted[begin]]:
            begin += 1
        self._spans[model, size] = (begin, end)
        return begin if begin < end else None
