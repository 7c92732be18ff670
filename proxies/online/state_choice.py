"""The state of one query: what it costs now, what may be spent on it, and the best state at the price of now."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple, cast

from robatch.instances.arrays import FloatArray
from robatch.proxies.online.call_buffer import CallBuffer
from robatch.proxies.online.pacing import Pacer
from robatch.proxies.online.state_table import GroupCounts, StateTable, Vectors

_STATE_SHARE = 1.0 / 3.0  # of a group's queries that one state is expected to get: they spread over several


class Choice(NamedTuple):
    """A query's state, and USD."""

    state: int  # the column; below 0 where there is none
    token_cost: float  # what is expected of the query's own tokens there
    least: float  # its least amortized cost in any state
    cost: float  # its amortized cost in its state
    more: float  # what its output may bill beyond what is expected


class Chooser:
    """Chooses states, and knows what that needs: the states, the open calls, the groups seen, and the price.

    Without a pacer, which adapts it, the price is fixed. All calls together may bill `limit` USD. Of the queries seen,
    `count` is their number, and `groups` how many were of each group.
    """

    def __init__(
        self, table: StateTable, buffer: CallBuffer, pacer: Pacer | None, price: float | None, limit: float
    ) -> None:
        self._table, self._buffer, self._pacer, self._limit = table, buffer, pacer, limit
        self.fixed_price = price
        self.count = 0
        self.groups = GroupCounts()

    @property
    def price(self) -> float | None:
        """Utility per USD; None before the first query where it is to be guessed."""
        return self.fixed_price if self._pacer is None else self._pacer.price

    def terms(self, vectors: Vectors, now: float) -> tuple[float, float, float]:
        """Return the price, the USD that a query may bill, and those it may bill at most."""
        slack = self._limit - self._buffer.spent
        if self._pacer is None:
            return cast(float, self.fixed_price), slack, slack
        price = self._pacer.price
        return self._table.guess(vectors) if price is None else price, slack - self._pacer.reserve(now), slack

    def choose(self, vectors: Vectors, group: Hashable, limit: FloatArray | None, now: float) -> Choice:
        """Choose the state of a query of a group, of which `vectors` are predicted, at the time `now` in seconds.

        `limit` is the most output tokens that it may have, one number or one a model; None for those expected. What
        outputs may bill beyond what is expected counts for what is affordable, not for what is best.
        """
        from robatch.proxies.online import kernels

        table, model, share = self._table.arrays
        call_costs, more = self._buffer.call_costs(group, now), None
        seen = self.groups.seen
        if len(seen) > 1 or (seen and group not in seen):
            left = None if self._pacer is None else self._pacer.remaining(now)
            left = float(self.count) if left is None else left
            share = self._table.share_at(_STATE_SHARE * (1.0 + (self.count + left) * self.groups.share(group)))
        if limit is not None:
            more = self._table.may_exceed(limit, vectors.output_tokens)
            call_costs = call_costs + more
        state, token_cost, least = kernels.choose(*vectors, table, model, share, call_costs, *self.terms(vectors, now))
        if state < kernels.NONE:
            self._table.refuse(state, vectors)
        cost = token_cost + float(share[state]) if state >= 0 else 0.0
        return Choice(state, token_cost, least, cost, 0.0 if more is None or state < 0 else float(more[state]))
