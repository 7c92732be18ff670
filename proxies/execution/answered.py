"""What calls took, in sums: those that were answered, with the tokens of each by its number, and failed tries."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray
from robatch.proxies.execution.calls import AnsweredCall, Waiting
from robatch.proxies.execution.pool import PoolModel

_UNKNOWN = -1


class FailedTries:
    """Tries of calls that gave no answer, in sum by state: (S,).

    Attributes
    ----------
    tries
        How many.
    cost, lost
        USD by the tokens that the server counted; and of the bounds of those that may be billed uncounted.
    """

    def __init__(self, states: int) -> None:
        self.tries: IntArray = np.zeros(states, dtype=np.int64)
        self.cost, self.lost = np.zeros(states), np.zeros(states)

    def __len__(self) -> int:
        return int(self.tries.sum())

    def add(self, column: int, cost: float, lost: float) -> None:
        """Count a try."""
        self.tries[column] += 1
        self.cost[column] += cost
        self.lost[column] += lost


@dataclass
class Answered:
    """What the answered calls took, of so many states.

    Attributes
    ----------
    retries, splits
        Tries that engines repeated; calls that were parts of others.
    split_cost
        USD of these parts.
    as_planned, more_in, more_out, more_cached
        USD of the other calls: as predicted, with every prompt found where it is cached; by which their input and
        output tokens exceed this; and by which caches gave less, or writes cost more.
    calls, billed
        Calls and USD of each state: (S,).
    """

    states: int
    retries: int = 0
    splits: int = 0
    split_cost: float = 0.0
    as_planned: float = 0.0
    more_in: float = 0.0
    more_out: float = 0.0
    more_cached: float = 0.0
    calls: IntArray = field(init=False)
    billed: FloatArray = field(init=False)
    _count: int = 0
    _input: array[int] = field(default_factory=lambda: array("q"))  # tokens by the call's number
    _output: array[int] = field(default_factory=lambda: array("q"))

    def __post_init__(self) -> None:
        self.calls, self.billed = np.zeros(self.states, dtype=np.int64), np.zeros(self.states)

    def __len__(self) -> int:
        return self._count

    def add(self, call: Waiting, model: PoolModel, took: AnsweredCall, extra: float = 0.0) -> None:
        """Count an answered call of a model, which was planned to cost so much `extra` beside tokens at full price."""
        missing = call.number + 1 - len(self._input)
        for tokens in (self._input, self._output):
            tokens.extend([_UNKNOWN] * missing)
        self._input[call.number], self._output[call.number] = took.input_tokens, took.output_tokens
        self._count += 1
        self.retries += took.retries
        self.calls[call.column] += 1
        self.billed[call.column] += took.cost
        if call.depth:
            self.splits += 1
            self.split_cost += took.cost
            return
        self.more_in += model.cost(took.input_tokens - took.expected_in, 0)
        self.more_out += model.cost(0, took.output_tokens - took.expected_out)
        self.as_planned += model.cost(took.expected_in, took.expected_out) + extra
        self.more_cached += took.cost - model.cost(took.input_tokens, took.output_tokens) - extra

    def tokens(self, number: int) -> tuple[int, int] | None:
        """Return the input and output tokens of a call, None where it was not answered."""
        known = number < len(self._input) and self._input[number] != _UNKNOWN
        return (self._input[number], self._output[number]) if known else None
