"""Calls that fill up as queries arrive, and what they bill."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.model import Model, State


class Unsettled(NamedTuple):
    """What a call that was not settled yet is known to bill, in USD: at most, and as expected."""

    usd: float
    expected: float


@dataclass(slots=True, eq=False)
class OnlineCall:
    """One invocation of a model, made of queries that arrived one by one.

    Attributes
    ----------
    id
        Its number among the router's calls, which a restored router goes on with.
    state
        The model, and the batch size that was chosen; the call may hold fewer queries.
    column
        The state as a column.
    queries
        The queries in the order of their arrival, as they were given.
    group
        Their group.
    opened
        When the first of them arrived, in seconds.
    usd
        What the call bills at most by the tokens that were told: the whole shared prompt and its queries.
    expected
        The same with the expected output tokens in place of their limits.
    billed
        What it billed in fact, once `OnlineRouter.settle` was told; None before.
    closed
        Whether it takes no query any more.
    owner
        What filled it.
    """

    id: int
    state: State
    column: int
    group: Hashable
    opened: float
    usd: float
    expected: float
    owner: CallBuffer = field(repr=False)
    queries: list[Any] = field(default_factory=list)
    billed: float | None = None
    closed: bool = False


class RunningSum:
    """A sum of many floats that keeps its last digits (Neumaier 1974)."""

    def __init__(self, start: float = 0.0) -> None:
        self._sum, self._lost = start, 0.0

    def add(self, value: float) -> None:
        """Add a number."""
        total = self._sum + value
        if abs(self._sum) >= abs(value):
            self._lost += (self._sum - total) + value
        else:
            self._lost += (value - total) + self._sum
        self._sum = total

    @property
    def value(self) -> float:
        """The sum."""
        return self._sum + self._lost


class CallBuffer:
    """Puts queries into calls: one open call at a time of each group and state.

    A call is closed when it is full, or when its first query has waited `max_wait` seconds. The shared prompt is billed
    when a call is opened, so that closing a call that is not full never costs more.

    Attributes
    ----------
    states
        The (model, batch size) of each of the S columns.
    call_price, batch_size
        USD of the shared prompt of a call, and batch size, of each state: (S,).
    opened
        Number of calls that were ever opened: the id of the next one.
    held
        USD by which calls that are not settled may bill more than expected.
    """

    def __init__(self, models: Sequence[Model], max_wait: float = math.inf) -> None:
        self.max_wait = max_wait
        self.states = tuple(State(model.name, size) for model in models for size in model.batch_sizes)
        self.call_price = np.array([model.call_price for model in models for _ in model.batch_sizes])
        self.batch_size = np.array([state.batch_size for state in self.states], dtype=np.int64)
        self._prices, self._sizes = self.call_price.tolist(), self.batch_size.tolist()
        self._open: dict[tuple[Hashable, int], OnlineCall] = {}  # in the order in which they were opened
        self._call_costs: dict[Hashable, FloatArray] = {}  # of the groups that have an open call
        self._closed: list[OnlineCall] = []
        self._unsettled: dict[int, Unsettled] = {}  # of the closed calls
        self._spent = RunningSum()
        self.opened = 0
        self.held = 0.0

    @property
    def spent(self) -> float:
        """USD that all calls bill, open ones with their whole shared prompt."""
        return self._spent.value

    @property
    def expected(self) -> float:
        """The same with what is expected of the calls that are not settled, in place of what they bill at most."""
        return self.spent - self.held

    @property
    def open_calls(self) -> int:
        """Number of calls that have a free seat."""
        return len(self._open)

    def call_costs(self, group: Hashable = None, now: float = -math.inf) -> FloatArray:
        """Return the USD of shared prompt that a query of a group would bill in each state: (S,), 0 in open calls.

        Calls that are due by `now` count as closed.
        """
        costs = self._call_costs.get(group, self.call_price)
        if self.next_due() > now:
            return costs
        costs = costs.copy()
        for call in self._open.values():
            if call.opened + self.max_wait > now:
                break
            if call.group == group:
                costs[call.column] = self._prices[call.column]
        return costs

    @property
    def unsettled(self) -> dict[int, Unsettled]:
        """The calls that are not settled, open ones with the queries that they have now, by id."""
        return self._unsettled | {call.id: Unsettled(call.usd, call.expected) for call in self._open.values()}

    def settle(self, call: int, usd: float) -> float:
        """Replace what a closed call was to bill by what it billed, and return what was expected of it."""
        known = self._unsettled.pop(call, None)
        if known is None:
            if not 0 <= call < self.opened:
                raise InputError(f"call is {call}: there is no such call, {self.opened} were opened so far")
            if any(one.id == call for one in self._open.values()):
                raise InputError(f"call {call} is open: only calls that were handed out are settled")
            raise InputError(f"call {call} was settled before: each call is settled once")
        self._spent.add(usd - known.usd)
        self.held -= known.usd - known.expected
        return known.expected

    def restore(self, spent: float, opened: int, unsettled: Mapping[int, Unsettled]) -> None:
        """Take over what another buffer spent, and the calls that it left to settle, before any query."""
        self._spent.add(spent)
        self.opened = opened
        self._unsettled = dict(unsettled)
        self.held = math.fsum(known.usd - known.expected for known in unsettled.values())

    def place(
        self, query: Any, column: int, token_cost: float, group: Hashable, now: float, more: float = 0.0
    ) -> OnlineCall:
        """Put a query into the open call of its group and state, or into a new one, and return that call.

        `token_cost` is the USD of its own tokens as expected, `more` the USD that its output may bill beyond that. The
        seconds `now` do not go back.
        """
        key = (group, column)
        call = self._open.get(key)
        if call is None:
            price = self._prices[column]
            call = OnlineCall(self.opened, self.states[column], column, group, now, price, price, self)
            self.opened += 1
            self._spent.add(price)
            if self._sizes[column] > 1:
                self._open[key] = call
                if group not in self._call_costs:
                    self._call_costs[group] = self.call_price.copy()
                self._call_costs[group][column] = 0.0
        call.queries.append(query)
        call.expected += token_cost
        call.usd += token_cost + more
        self._spent.add(token_cost)
        self._spent.add(more)
        self.held += more
        if len(call.queries) == self._sizes[column]:
            self._close(key, call)
        return call

    def next_due(self) -> float:
        """Return when the next call must be closed, inf if there is no such time."""
        first = next(iter(self._open.values()), None)
        return math.inf if first is None else first.opened + self.max_wait

    def expire(self, now: float) -> list[OnlineCall]:
        """Close the calls whose first query has waited long enough, and return them; `take` has them, too."""
        expired = []
        while self.next_due() <= now:
            key, call = next(iter(self._open.items()))
            self._close(key, call)
            expired.append(call)
        return expired

    def close_all(self) -> list[OnlineCall]:
        """Close all open calls, and return them; `take` has them, too."""
        calls = list(self._open.values())
        for key, call in list(self._open.items()):
            self._close(key, call)
        return calls

    def take(self) -> list[OnlineCall]:
        """Return the calls that were closed since the last time, each once."""
        closed, self._closed = self._closed, []
        return closed

    def _close(self, key: tuple[Hashable, int], call: OnlineCall) -> None:
        self._closed.append(call)
        self._unsettled[call.id] = Unsettled(call.usd, call.expected)
        call.closed = True
        if self._open.pop(key, None) is None:
            return  # a call of one seat is never open
        costs = self._call_costs.get(call.group)
        if costs is None:
            return  # all its other calls are closed, and this one's shared prompt is free
        costs[call.column] = self._prices[call.column]
        if np.array_equal(costs, self.call_price):
            del self._call_costs[call.group]  # groups come and go
