"""The calls to send: by number, and by model and size, with what they are expected to take in sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from itertools import chain

import numpy as np

from robatch.instances.arrays import IntArray
from robatch.proxies.execution.calls import Waiting
from robatch.proxies.execution.planned_calls import PlannedCalls


class CallQueue(MutableMapping[int, Waiting]):
    """Waiting calls by number; a choice among the calls of a model looks at those of that model alone.

    Calls of the plan that were never sent are held as arrays, all others as they are.

    Parameters
    ----------
    model_of
        Gives the position of a call's model.
    expected
        Gives a call's input and output tokens as predicted.
    """

    def __init__(self, model_of: Callable[[Waiting], int], expected: Callable[[Waiting], tuple[float, float]]) -> None:
        self._model_of, self._expected = model_of, expected
        self._planned: PlannedCalls | None = None
        self._calls: dict[int, Waiting] = {}
        self._sizes: dict[tuple[int, bool], dict[int, dict[int, None]]] = {}  # by model and failure, then by size
        self._sums: dict[int, list[float]] = {}  # of the models' waiting calls, and how many these are
        self._rest = 0  # calls of `_calls` that were never sent, nor are parts of such

    def __getitem__(self, number: int) -> Waiting:
        if self._planned is not None and number in self._planned:
            return self._planned.call(number)
        return self._calls[number]

    def __iter__(self) -> Iterator[int]:
        return chain(self._planned or (), self._calls)

    def __len__(self) -> int:
        return len(self._calls) + (0 if self._planned is None else self._planned.count)

    def __setitem__(self, number: int, call: Waiting) -> None:
        if number in self:
            del self[number]
        self._calls[number] = call
        self._bucket(call).setdefault(len(call.queries), {})[number] = None
        self._count(call, 1.0)
        self._rest += not call.again

    def __delitem__(self, number: int) -> None:
        self.take(number)

    def __contains__(self, number: object) -> bool:
        return number in self._calls or (
            self._planned is not None and isinstance(number, int) and number in self._planned
        )

    def take(self, number: int) -> Waiting:
        """Remove a call, and return it."""
        if self._planned is not None and number in self._planned:
            call = self._planned.take(number)
        else:
            call = self._calls.pop(number)
            bucket, size = self._bucket(call), len(call.queries)
            del bucket[size][number]
            if not bucket[size]:
                del bucket[size]
            self._rest -= not call.again
        self._count(call, -1.0)
        return call

    def plan(self, calls: PlannedCalls, expected: dict[int, tuple[float, float]]) -> None:
        """Take the calls of a plan, in place of all that were not sent; `expected` tokens in sum by model."""
        self.drop_rest()
        self._planned = calls
        for model, tokens in expected.items():
            sums = self._sums.setdefault(model, [0.0, 0.0, 0.0])
            for place in (0, 1):
                sums[place] += tokens[place]
            sums[2] += int(np.count_nonzero(calls.models[calls.columns] == model))

    def drop_rest(self) -> None:
        """Remove the calls of the plan, without halves and calls that failed."""
        again = [call for call in self._calls.values() if call.again]
        self.clear()
        self.update((call.number, call) for call in again)

    def clear(self) -> None:
        """Remove all calls."""
        self._planned, self._rest = None, 0
        for held in (self._calls, self._sizes, self._sums):
            held.clear()

    def _bucket(self, call: Waiting) -> dict[int, dict[int, None]]:
        return self._sizes.setdefault((self._model_of(call), call.tries > 0), {})

    def _count(self, call: Waiting, sign: float) -> None:
        sums = self._sums.setdefault(self._model_of(call), [0.0, 0.0, 0.0])
        for place, amount in enumerate((*self._expected(call), 1.0)):
            sums[place] += sign * amount

    @property
    def planned(self) -> int:
        """The number of calls that were never sent, nor are parts of such."""
        return self._rest + (0 if self._planned is None else self._planned.count)

    @property
    def models(self) -> set[int]:
        """The models with waiting calls."""
        of_plan = () if self._planned is None else self._planned.models_and_sizes()
        return {model for model, _ in chain(of_plan, (key for key, sizes in self._sizes.items() if sizes))}

    def of(self, model: int, failed: bool, largest_first: bool, turn: float = 0.0) -> Iterator[Waiting]:
        """Yield the calls of a model that failed before, or did not, by size; the queue must not change meanwhile.

        With a `turn` from 0 to 1 the first of them, that part of all, come last.
        """
        of_plan = None if failed else self._planned
        others = self._sizes.get((model, failed), {})
        sizes = {*others, *(size for at, size in (of_plan.models_and_sizes() if of_plan else ()) if at == model)}
        numbers = chain.from_iterable(
            chain(() if of_plan is None else of_plan.of(model, size), others.get(size, ()))
            for size in sorted(sizes, reverse=largest_first)
        )
        if turn:
            whole = list(numbers)
            start = int(len(whole) * turn)
            numbers = chain(whole[start:], whole[:start])
        return map(self.__getitem__, numbers)

    def expected(self, model: int) -> tuple[float, float]:
        """Return the input and output tokens that the calls of a model are predicted to take in sum."""
        sums = self._sums.get(model) if model in self.models else None
        return (0.0, 0.0) if sums is None else (max(0.0, sums[0]), max(0.0, sums[1]))

    def waiting(self, model: int) -> int:
        """Return how many calls of a model wait."""
        return round(self._sums[model][2]) if model in self.models else 0

    def rest(self) -> IntArray:
        """Return the queries of the calls of the plan, without halves and calls that failed."""
        others = np.array([i for call in self._calls.values() if not call.again for i in call.queries], np.int64)
        return others if self._planned is None else np.concatenate([self._planned.queries(), others])
