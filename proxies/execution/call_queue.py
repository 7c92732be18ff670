"""The calls to send: by number, and by model and size, with what they are expected to take in sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping

from robatch.proxies.execution.calls import Waiting


class CallQueue(MutableMapping[int, Waiting]):
    """Waiting calls by number; a choice among the calls of a model looks at those of that model alone.

    Parameters
    ----------
    model_of
        Gives the position of a call's model.
    expected
        Gives a call's input and output tokens as predicted.
    """

    def __init__(self, model_of: Callable[[Waiting], int], expected: Callable[[Waiting], tuple[float, float]]) -> None:
        self._model_of, self._expected = model_of, expected
        self._calls: dict[int, Waiting] = {}
        self._sizes: dict[tuple[int, bool], dict[int, dict[int, None]]] = {}  # by model and failure, then by size
        self._sums: dict[int, list[float]] = {}  # of the models' waiting calls
        self.planned = 0  # calls that were never sent, nor are parts of such

    def __getitem__(self, number: int) -> Waiting:
        return self._calls[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __setitem__(self, number: int, call: Waiting) -> None:
        if number in self._calls:
            del self[number]
        self._calls[number] = call
        self._bucket(call).setdefault(len(call.queries), {})[number] = None
        self._count(call, 1.0)

    def __delitem__(self, number: int) -> None:
        call = self._calls.pop(number)
        bucket, size = self._bucket(call), len(call.queries)
        del bucket[size][number]
        if not bucket[size]:
            del bucket[size]
        self._count(call, -1.0)

    def _bucket(self, call: Waiting) -> dict[int, dict[int, None]]:
        return self._sizes.setdefault((self._model_of(call), call.tries > 0), {})

    def _count(self, call: Waiting, sign: float) -> None:
        self.planned += 0 if call.again else int(sign)
        sums = self._sums.setdefault(self._model_of(call), [0.0, 0.0])
        for place, tokens in enumerate(self._expected(call)):
            sums[place] += sign * tokens

    @property
    def models(self) -> set[int]:
        """The models with waiting calls."""
        return {model for (model, _), sizes in self._sizes.items() if sizes}

    def of(self, model: int, failed: bool, largest_first: bool) -> Iterator[Waiting]:
        """Yield the calls of a model that failed before, or did not, by size; the queue must not change meanwhile."""
        sizes = self._sizes.get((model, failed), {})
        for size in sorted(sizes, reverse=largest_first):
            yield from (self._calls[number] for number in sizes[size])

    def expected(self, model: int) -> tuple[float, float]:
        """Return the input and output tokens that the calls of a model are predicted to take in sum."""
        sums = self._sums.get(model) if model in self.models else None
        return (0.0, 0.0) if sums is None else (max(0.0, sums[0]), max(0.0, sums[1]))

    def rest(self) -> Iterator[Waiting]:
        """Yield the calls of the plan, without halves and calls that failed."""
        return (call for call in self._calls.values() if not call.again)
