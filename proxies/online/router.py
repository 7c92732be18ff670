"""Queries that arrive one by one: a state for each at once, from the shadow price, within a budget."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from robatch.instances import checks
from robatch.instances.arrays import IntArray
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.scalars import number, whole
from robatch.proxies.online.call_buffer import Filler, OnlineCall
from robatch.proxies.online.pacing import Pacer, Unit
from robatch.proxies.online.predicting import Predicts, output_limit_of, predicted
from robatch.proxies.online.saved_state import SavedState
from robatch.proxies.online.state_choice import Chooser
from robatch.proxies.online.state_table import StateTable, Vectors

ROUNDING = 1e-12  # part of the budget that is never spent: the bills' rounding in float64 stays below it


class OnlineRouter:
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

    def __init__(
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
        self._proxy = cast(Predicts, pool) if hasattr(pool, "to_problem") else None
        if self._proxy is not None and not hasattr(pool, "pool"):
            raise InputError(f"pool is a {type(pool).__name__} without the method pool: models or a proxy are needed")
        models = checks.models(cast(Sequence[Model], pool) if self._proxy is None else self._proxy.pool())
        above = "a finite number above 0"
        if shadow_price is not None:
            shadow_price = number("shadow_price", shadow_price)
        if budget is not None:
            budget = number("budget", budget, needed=above, above=True)
        if unit not in ("queries", "seconds"):
            raise InputError(f"unit is {unit!r}: 'queries' or 'seconds' is needed")
        if horizon is not None:
            if unit == "queries":
                horizon = whole("horizon", horizon, 1, most=2**53)
            else:
                horizon = number("horizon", horizon, needed=above, above=True)
            if budget is None:
                raise InputError(f"horizon is {horizon} and budget is None: a horizon needs a budget to pace")
        elif shadow_price is None:
            raise InputError("shadow_price and horizon are None: give a shadow price, or a budget and its horizon")
        if not (isinstance(max_wait, (int, float, np.number)) and max_wait >= 0.0):
            raise InputError(f"max_wait is {max_wait!r}: seconds of at least 0, or inf, are needed")
        max_wait = float(max_wait)
        step = number("step", step, needed=above, above=True)
        margin = number("window_margin", window_margin, needed="a number from 0 to below 1", most=1.0 - 1e-9)
        limit = math.inf if budget is None else budget * (1.0 - ROUNDING)
        self._pacer = None if horizon is None else Pacer(limit, horizon, unit, step, shadow_price)
        self._filler = Filler(models, max_wait)
        self.states = self._filler.states
        self._learn_fill = learn_fill
        self._table = StateTable(models, margin)
        self._chooser = Chooser(self._table, self._filler, self._pacer, shadow_price, limit)
        self._refused = 0
        self._now = -math.inf

    # ---- how things stand

    @property
    def price(self) -> float | None:
        """Utility per USD at which the next query is decided; None before the first where it is to be guessed."""
        return self._chooser.price

    @property
    def spent(self) -> float:
        """USD billed so far: all calls, open ones with their whole shared prompt, at what `settle` was told."""
        return self._filler.spent

    @property
    def count(self) -> int:
        """Queries that `add` saw, refused ones included."""
        return self._chooser.count

    @property
    def refused(self) -> int:
        """Queries that `add` refused."""
        return self._refused

    @property
    def open_calls(self) -> int:
        """Calls with a free seat that wait for queries."""
        return self._filler.open_calls

    # ---- deciding

    def route(self, query: Any, group: Hashable = None, now: float | None = None) -> int | None:
        """Predict with the proxy and return the state that the query would get now, as `decide` does."""
        state = self._chooser.choose(self._predict(query), group, output_limit_of(self._proxy), self._time(now)).state
        return None if state < 0 else state

    def decide(
        self,
        utilities: npt.ArrayLike,
        input_tokens: npt.ArrayLike,
        output_tokens: npt.ArrayLike,
        group: Hashable = None,
        now: float | None = None,
    ) -> int | None:
        """Return the state that a query would get now, as a column; None if it would be refused.

        Nothing is spent and no price is changed: `add` does that.

        Parameters
        ----------
        utilities
            Utility in each state (S,), in [0, 1]; NaN or -inf where the state is not allowed.
        input_tokens, output_tokens
            One number each, or one a model (K,).
        group
            Its group, which tells what open calls it could join.
        now
            Seconds, on the clock of `add`: calls that are due by then cannot be joined. None: the last time that
            `add` or `due` was told.

        Raises
        ------
        InputError
            If a vector has another shape, or a number that is not allowed.
        """
        vectors = self._table.vectors(utilities, input_tokens, output_tokens)
        state = self._chooser.choose(vectors, group, None, self._time(now)).state
        return None if state < 0 else state

    def decide_many(
        self, utilities: npt.ArrayLike, input_tokens: npt.ArrayLike, output_tokens: npt.ArrayLike
    ) -> IntArray:
        """Return the state of each query of a block, -1 where it would be refused: (N,).

        Each is decided by itself, as by `decide`: at the price of now, and as if it alone were to be paid.

        Parameters
        ----------
        utilities
            (N, S), as for `decide`.
        input_tokens, output_tokens
            (N,), or (N, K).
        """
        from robatch.proxies.online import kernels as choosing

        block = np.ascontiguousarray(utilities, dtype=np.float64)
        if block.ndim != 2 or block.shape[1] != len(self.states):
            raise InputError(f"utilities has shape {block.shape}: (queries, {len(self.states)}) is needed")
        rows = len(block)
        tokens = [
            self._table.shaped(name, given if np.ndim(given) != 1 else np.reshape(given, (-1, 1)), rows)
            for name, given in (("input_tokens", input_tokens), ("output_tokens", output_tokens))
        ]
        states = np.empty(rows, dtype=np.int64)
        if rows == 0:
            return states
        price, free, room = self._chooser.terms(Vectors(block[0], tokens[0][0], tokens[1][0]), self._now)
        choosing.choose_many(block, *tokens, *self._table.arrays, self._filler.entry(), price, free, room, states)
        if states.min() < choosing.NONE:
            worst = int(np.argmax(states < choosing.NONE))
            self._table.refuse(int(states[worst]), Vectors(block[worst], tokens[0][worst], tokens[1][worst]))
        return states

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
        pacer, filler = self._pacer, self._filler
        state, own, least, cost, more = self._chooser.choose(vectors, group, limit, self._now)
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
        call = filler.place(query, state, own, group, now, more)
        if len(call.queries) == call.state.batch_size:
            self._learn(call)
        if pacer is not None:
            pacer.observe(cost, least, filler.expected, now)
        return state

    def due(self, now: float) -> list[OnlineCall]:
        """Return the calls to be sent: full, or with a query that waited `max_wait` seconds. Each comes once."""
        self._tick(now)
        return self._filler.take()

    def next_due(self) -> float | None:
        """Return when `due` should be asked next though no query arrives; None if there is no such time."""
        when = self._filler.next_due()
        return when if math.isfinite(when) else None

    def flush(self) -> list[OnlineCall]:
        """Close all open calls and return all calls that were not handed out yet."""
        self._account(self._filler.close_all())
        return self._filler.take()

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
            if call.owner is not self._filler:
                raise InputError(
                    "the call is not one that this router handed out: only those are settled; after restore give its id"
                )
            expected = self._filler.settle(call.id, usd)
            call.billed = usd
        else:
            expected = self._filler.settle(whole("call", call), usd)
        if self._pacer is not None:
            self._pacer.charge(usd - expected, self._filler.expected, self._now)

    # ---- saving

    def state(self) -> dict[str, Any]:
        """Return price, spending, counts and the calls that are not settled as plain values for JSON.

        Open calls count as billed, but their queries are not in it: `flush` before the last save. Save after `due` and
        before its calls are sent, so that each call that was sent is known once restored. A call that is never settled
        stays in it. For a horizon in seconds the clock must go on across the restart, as `time.time` does.
        """
        pacing = None if self._pacer is None else self._pacer.state()
        fill = self._table.fill.tolist()
        opened, unsettled = self._filler.opened, self._filler.unsettled
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
        self._filler.restore(found.spent, found.opened, found.unsettled)
        self._chooser.count, self._refused, self._now = found.count, found.refused, found.now

    # ---- inside

    def _predict(self, query: Any) -> Vectors:
        if self._proxy is None:
            raise InputError("the router has models and no proxy: give utilities, input_tokens and output_tokens")
        if isinstance(query, str):
            raise InputError(f"query is the text {query!r:.60}: the proxy needs a robatch.proxies.Query")
        return self._table.vectors(*predicted(self._proxy, query))

    def _time(self, now: float | None) -> float:
        """Return a time that was told, or the last one."""
        if now is None:
            return self._now
        if not now >= self._now or math.isinf(now):
            raise InputError(f"now is {now!r}: a finite number of seconds not before {self._now} is needed")
        return now

    def _tick(self, now: float) -> None:
        self._now = self._time(now)
        if self._filler.next_due() <= now:
            self._account(self._filler.expire(now))

    def _account(self, calls: Sequence[OnlineCall]) -> None:
        """Learn from calls that were closed before they were full, and charge their empty seats to the price."""
        for call in calls:
            missing = float(self._filler.call_price[call.column] - self._table.share[call.column] * len(call.queries))
            self._learn(call)
            if self._pacer is not None:
                self._pacer.charge(max(missing, 0.0), self._filler.expected, self._now)

    def _learn(self, call: OnlineCall) -> None:
        if self._learn_fill:
            self._table.learn(call.column, len(call.queries))
