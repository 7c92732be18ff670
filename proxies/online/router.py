"""Queries that arrive one by one: a state for each at once, from the shadow price, within a budget."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.scalars import number, whole
from robatch.proxies.online.call_buffer import OnlineCall
from robatch.proxies.online.deciding import Decider, Predicts, output_limit_of
from robatch.proxies.online.pacing import Unit
from robatch.proxies.online.saved_state import SavedState
from robatch.proxies.online.settings import RouterSettings


class OnlineRouter(Decider):
    """Decides the state of each query as it arrives, fills calls, and keeps a budget.

    A query's state is that of greatest ``utility - price * amortized cost``. With a fixed `shadow_price` the price
    stays; with `budget` and `horizon` it is adapted after every query (see `robatch.proxies.online.pacing`). The
    amortized cost is the signal; what is held against the budget is the bill: each call's whole shared prompt from the
    moment it is opened, and each query's own tokens.

    The bill never exceeds the budget. A query that no state is affordable for is refused: `add` returns None, nothing
    is billed, and a later, cheaper query may still be taken. Pacing keeps back what the queries still expected need
    in their cheapest states, as far as the mean of those seen tells; a query whose state would touch that gets the
    affordable state of least amortized cost.

    Until `settle` is told what a call billed, each of its queries counts with the most output tokens that it may have:
    `output_limit`, or the task's ``max_output_tokens`` where a `UtilityProxy` predicts. Where only expected tokens are
    known, the budget holds for those.

    Where queries are of several groups, calls of a rare group stay empty: a state's share of the shared prompt is then
    that of a call with at most a third of the queries that are expected of the group.

    One thread at a time: nothing is locked.

    Parameters
    ----------
    pool
        A fitted proxy, such as a `UtilityProxy` (what it needs: `pool` and `to_problem`), or the models, where the
        vectors of each query are given.
    shadow_price
        Utility per USD: of an offline plan (`Plan.shadow_price`), or of a sample (`sample_price`). With a budget and
        a horizon the price to start from; None to guess it from the first query.
    budget
        USD; None for no limit.
    horizon
        Queries expected, or seconds from the first query, over which the budget is to last. None: no pacing.
        After the horizon the price stays.
    unit
        What the horizon counts: ``"queries"`` or ``"seconds"``.
    max_wait
        Seconds after which a call is due though it is not full; inf for never.
    learn_fill
        Whether a state's share of the shared prompt is that of a call as full as its calls were so far, on the mean,
        instead of a full call. Where calls are often due before they are full, this moves queries to states that fill.
    step
        Length of the pacing's steps, above 0.
    window_margin
        Part of every context window that calls leave free, as in `Problem`.

    Attributes
    ----------
    states
        The (model, batch size) of each of the S columns.

    Raises
    ------
    InputError
        If an argument is not allowed.
    """

    def __init__(  # wide: one parameter for each choice of its user
        self,
        pool: Predicts | Sequence[Model],
        shadow_price: float | None = None,
        *,
        budget: float | None = None,
        horizon: float | None = None,
        unit: Unit = "queries",
        max_wait: float = math.inf,
        learn_fill: bool = False,
        step: float = 1.0,
        window_margin: float = 0.0,
    ) -> None:
        settings = RouterSettings(shadow_price, budget, horizon, unit, max_wait, step, window_margin)
        super().__init__(pool, settings)
        self._learn_fill = learn_fill

    # ---- queries and calls

    def add(
        self,
        query: Any,
        now: float,
        *,
        utilities: npt.ArrayLike | None = None,
        input_tokens: npt.ArrayLike | None = None,
        output_tokens: npt.ArrayLike | None = None,
        output_limit: npt.ArrayLike | None = None,
        group: Hashable = None,
    ) -> int | None:
        """Take an arriving query: decide its state, put it into a call, and bill it.

        Calls that are due by then are closed before; `due` hands them out.

        Parameters
        ----------
        query
            What is kept in the call: a `Query`, or anything where the vectors are given.
        now
            Seconds on a clock that does not go back, the same one for `add` and `due`.
        utilities, input_tokens, output_tokens
            As for `decide`; None for all three to let the proxy predict them.
        output_limit
            The most output tokens that the query may have, one number or one a model: what is held against the budget
            until the call is settled. None: the proxy's task's, where the proxy predicts; else `output_tokens`.
        group
            Only queries of the same group share a call.

        Returns
        -------
        int or None
            The state as a column; None if the query was refused, for which nothing is billed.
        """
        given = (utilities, input_tokens, output_tokens)
        if utilities is None or input_tokens is None or output_tokens is None:
            if any(vector is not None for vector in given):
                raise InputError("utilities, input_tokens and output_tokens belong together: give all three or none")
            vectors, limit = self._predict(query), output_limit_of(self._proxy)
        else:
            vectors, limit = self._table.vectors(utilities, input_tokens, output_tokens), None
        if output_limit is not None:
            limit = self._table.shaped("output_limit", output_limit)
            if not (np.isfinite(limit).all() and (limit >= 0.0).all()):
                raise InputError(f"output_limit is {output_limit!r}: finite numbers of at least 0 are needed")
        self._tick(now)
        pacer, buffer = self._pacer, self._buffer
        state, token_cost, least, cost, more = self._chooser.choose(vectors, group, limit, self._now)
        if pacer is not None:
            # A query without a choice tells no price: the next one is asked.
            pacer.start(pacer.price or self._table.guess(vectors) or None, now)
        self._chooser.count += 1
        self._chooser.groups.add(group)
        if state < 0:
            self._refused += 1
            if pacer is not None:
                pacer.count += 1
            return None
        call = buffer.place(query, state, token_cost, group, now, more)
        if len(call.queries) == call.state.batch_size:
            self._learn(call)
        if pacer is not None:
            pacer.observe(cost, least, buffer.expected, now)
        return state

    def due(self, now: float) -> list[OnlineCall]:
        """Return the calls to be sent: full, or with a query that waited `max_wait` seconds. Each comes once."""
        self._tick(now)
        return self._buffer.take()

    def next_due(self) -> float | None:
        """Return when `due` should be asked next though no query arrives; None if there is no such time."""
        when = self._buffer.next_due()
        return when if math.isfinite(when) else None

    def flush(self) -> list[OnlineCall]:
        """Close all open calls and return all calls that were not handed out yet."""
        self._account(self._buffer.close_all())
        return self._buffer.take()

    def settle(self, call: OnlineCall | int, usd: float) -> None:
        """Replace what a call was expected to bill at most by what it billed in fact, once it is answered.

        `spent` may then exceed the budget, if calls are dearer than their tokens told; no query is taken any more.

        Parameters
        ----------
        call
            A call that this router handed out, or its id: that of a call that was handed out before the router was
            restored, too.
        usd
            What it billed.

        Raises
        ------
        InputError
            If the amount is not at least 0, or the call was settled before, is open, or is of another router.
        """
        usd = number("usd", usd)
        if isinstance(call, OnlineCall):
            if call.billed is not None:
                raise InputError(f"the call was settled before, at {call.billed} USD: each call is settled once")
            if call.owner is not self._buffer:
                raise InputError(
                    "the call is not one that this router handed out: only those are settled; after restore give its id"
                )
            expected = self._buffer.settle(call.id, usd)
            call.billed = usd
        else:
            expected = self._buffer.settle(whole("call", call), usd)
        if self._pacer is not None:
            self._pacer.charge(usd - expected, self._buffer.expected, self._now)

    # ---- saving

    def state(self) -> dict[str, Any]:
        """Return price, spending, counts and the calls that are not settled as plain values for JSON.

        Open calls count as billed, but their queries are not in it: `flush` before the last save. Save after `due` and
        before its calls are sent, so that each call that was sent is known once restored. A call that is never settled
        stays in it. For a horizon in seconds the clock must go on across the restart, as `time.time` does.
        """
        pacing = None if self._pacer is None else self._pacer.state()
        fill = self._table.fill.tolist()
        opened, unsettled = self._buffer.opened, self._buffer.unsettled
        saved = SavedState(
            self.price, self.spent, self.count, self._refused, self._now, fill, opened, unsettled, pacing
        )
        return saved.to_dict(self.states)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what `state` returned, on a router that saw no query yet; budget and horizon stay its own.

        Calls that were not settled then can be by their ids; until then they count with what they bill at most.

        Raises
        ------
        InputError
            If queries were added before, or the saved state is not one, or of other states.
        """
        if self.count:
            raise InputError(f"the router has seen {self.count} queries: only a new one is restored")
        found = SavedState.from_dict(saved, self.states)
        if self._pacer is not None:
            self._pacer.restore(found.pacing, found.price, found.count)
        elif found.price is not None:
            self._chooser.fixed_price = found.price
        self._table.set_fill(found.fill)
        self._buffer.restore(found.spent, found.opened, found.unsettled)
        self._chooser.count, self._refused, self._now = found.count, found.refused, found.now

    # ---- inside

    def _tick(self, now: float) -> None:
        self._now = self._time(now)
        if self._buffer.next_due() <= now:
            self._account(self._buffer.expire(now))

    def _account(self, calls: Sequence[OnlineCall]) -> None:
        """Learn from calls that were closed before they were full, and charge their empty seats to the price."""
        for call in calls:
            missing = float(self._buffer.call_price[call.column] - self._table.share[call.column] * len(call.queries))
            self._learn(call)
            if self._pacer is not None:
                self._pacer.charge(max(missing, 0.0), self._buffer.expected, self._now)

    def _learn(self, call: OnlineCall) -> None:
        if self._learn_fill:
            self._table.learn(call.column, len(call.queries))
