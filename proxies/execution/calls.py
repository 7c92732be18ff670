"""What an execution is made of: calls, models given up, and the events that its journal holds.

Events, each a line of the journal:

``begin``
    The journal's version, and the plan's hash and budget.
``opened``
    What a model's engine told about itself, where it is not what was known.
``requests``
    What a model's refusals taught: keys of its requests, and its words by the field that it refused.
``sent``
    Calls that are handed to an engine: number, USD and input tokens that it cannot exceed; and the model and its
    address. On the disk before anything is sent.
``batched``
    As ``sent``, of calls that a batch holds: its key, how it is handed over, its file, and of each call the output
    tokens that it is allowed, too. They stay in flight, whatever runs come between, until results are taken in.
``submitted``
    A server's id of a batch.
``returned``
    Calls without a result of a batch that is over: they wait again, those that may be billed are charged as lost.
``lost``
    A later run found calls sent and not answered: as many as may have been under way, those with the greatest bounds,
    are charged at their bound, and all wait to be sent again.
``failed``
    The engine gave up. Calls that may be billed all the same are charged at their bound, those refused or not sent are
    charged nothing; all wait to be sent again.
``faulted``
    One call failed, and others may not. It is charged by the tokens that the server counted, at its bound where it may
    be billed uncounted, and waits behind all others to be tried again; at the end of its tries it comes back in halves,
    and a single query stays unread.
``answered``
    One call's answers, finish, and the tokens that it is charged. Slots that could not be read come back in halves.
``out``
    A model that answers no more: its calls are to be planned again.
``back``
    A later run tries the models that were out again.
``released``
    Calls that failed and that no budget is left for: their queries are planned again, once.
``replanned``
    The calls that take the place of all that were waiting, and the queries that no budget is left for.
``limits``
    Budget, overrun, and what lost tries are charged from here on, where a run is given others than the one before.
``finished``
    Nothing is left that could be sent.
``continued``
    A later run may spend more: what was not sent waits again.
``retry``
    A later run was told to ask queries again that were left unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robatch.instances.arrays import IntArray

Event = dict[str, Any]
"""A line of an execution's journal."""


@dataclass(frozen=True, slots=True)
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


@dataclass
class Batch:
    """Calls that were handed over together, as a file of requests; their answers come later, together."""

    key: str  # in the ids of its requests; never used twice, by any execution
    file: str  # the name of the file
    model: str  # by its name in the pool
    way: str  # how it was handed over: "file" by the user, "api" by a run
    held: dict[int, tuple[int, int]]  # calls without a result: the bound on input tokens, output tokens allowed
    id: str | None = None  # by which its server knows it


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """What an answered call took."""

    expected_in: float
    expected_out: float
    input_tokens: int
    output_tokens: int
    cost: float
    retries: int


@dataclass(frozen=True)
class Outage:
    """A model that was given up, and the queries that were planned for it then, with their states.

    Attributes
    ----------
    cost
        USD of its tries that had failed since it was given up before, with the bounds of those that may be billed.
    """

    model: str
    why: str
    queries: IntArray
    columns: IntArray
    cost: float
