"""The calls of an execution: waiting, answered, failed; and models that were given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
"""A line of an execution's journal; `robatch.proxies.execution.state` lists the kinds."""


@dataclass(frozen=True)
class Waiting:
    """A call that is to be sent."""

    number: int  # its number in the execution; never used twice
    column: int  # its state, as a column of the problem
    queries: tuple[int, ...]  # positions of its queries
    depth: int = 0  # 0 for a call of a plan; above for the halves of a call whose slots could not be read
    tries: int = 0  # that failed
    why: str | None = None  # the last of them failed, or the call was not read whose half this is
    blamed: bool = False  # whether the call whose half this is failed by its own fault
    since: int = 0  # calls that its model had answered when it first failed

    @property
    def again(self) -> bool:
        """Whether it was sent before, whole or as a part of another: such a call is not planned again."""
        return self.depth > 0 or self.tries > 0


@dataclass(frozen=True)
class AnsweredCall:
    """A call that was answered."""

    call: Waiting
    expected_in: float
    expected_out: float
    input_tokens: int
    output_tokens: int
    cost: float
    seconds: float
    retries: int


@dataclass(frozen=True)
class FailedTry:
    """A try of a call that gave no answer, and what the server counted for it."""

    call: Waiting
    cost: float


@dataclass(frozen=True)
class Outage:
    """A model that was given up, and the queries that were planned for it then."""

    model: str
    why: str
    queries: tuple[int, ...]
