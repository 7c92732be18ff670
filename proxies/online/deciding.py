"""The deciding half of an online router: how things stand, and the state that a query would get now."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from robatch.instances import checks
from robatch.instances.arrays import NOT_ALLOWED, FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.model import Model
from robatch.instances.problem import Problem
from robatch.proxies.online.call_buffer import CallBuffer
from robatch.proxies.online.settings import RouterSettings
from robatch.proxies.online.state_choice import Chooser
from robatch.proxies.online.state_table import StateTable, Vectors


class Predicts(Protocol):
    """What is needed of a proxy: `robatch.proxies.UtilityProxy` does it.

    One that has `UtilityProxy.vectors`, too, is asked for those.
    """

    def pool(self) -> Sequence[Model]:
        """Return the models, as the problems have them."""
        ...

    def to_problem(self, queries: Sequence[Any]) -> Problem:
        """Return the problem of some queries: utilities and tokens."""
        ...


class Decider:
    """Decides states and changes nothing: the part of `OnlineRouter` that only looks."""

    def __init__(self, pool: Predicts | Sequence[Model], settings: RouterSettings) -> None:
        self._proxy = cast(Predicts, pool) if hasattr(pool, "to_problem") else None
        if self._proxy is not None and not hasattr(pool, "pool"):
            raise InputError(f"pool is a {type(pool).__name__} without the method pool: models or a proxy are needed")
        models = checks.models(cast(Sequence[Model], pool) if self._proxy is None else self._proxy.pool())
        self._pacer = settings.pacer()
        self._buffer = CallBuffer(models, settings.max_wait)
        self.states = self._buffer.states
        self._table = StateTable(models, settings.window_margin)
        self._chooser = Chooser(self._table, self._buffer, self._pacer, settings.shadow_price, settings.limit)
        self._refused = 0
        self._now = -math.inf

    @property
    def price(self) -> float | None:
        """Utility per USD at which the next query is decided; None before the first where it is to be guessed."""
        return self._chooser.price

    @property
    def spent(self) -> float:
        """USD billed so far: all calls, open ones with their whole shared prompt, at what `settle` was told."""
        return self._buffer.spent

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
        return self._buffer.open_calls

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

        Each is decided by itself, as by `decide`: at the price of now, and as if it alone were to be paid. `utilities`
        are (N, S), tokens (N,) or (N, K).
        """
        from robatch.proxies.online import kernels

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
        price, free, slack = self._chooser.terms(Vectors(block[0], tokens[0][0], tokens[1][0]), self._now)
        kernels.choose_many(block, *tokens, *self._table.arrays, self._buffer.call_costs(), price, free, slack, states)
        if states.min() < kernels.NONE:
            worst = int(np.argmax(states < kernels.NONE))
            self._table.refuse(int(states[worst]), Vectors(block[worst], tokens[0][worst], tokens[1][worst]))
        return states

    def _predict(self, query: Any) -> Vectors:
        if self._proxy is None:
            raise InputError("the router has models and no proxy: give utilities, input_tokens and output_tokens")
        if isinstance(query, str):
            raise InputError(f"query is the text {query!r:.60}: the proxy needs a robatch.proxies.Query")
        return self._table.vectors(*_predicted(self._proxy, query))

    def _time(self, now: float | None) -> float:
        """Return a time that was told, or the last one."""
        if now is None:
            return self._now
        if not now >= self._now or math.isinf(now):
            raise InputError(f"now is {now!r}: a finite number of seconds not before {self._now} is needed")
        return now


def _predicted(proxy: Any, query: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Predict utilities (S,), `NOT_ALLOWED` where a state is forbidden, and input and output tokens of a query."""
    if hasattr(proxy, "vectors"):  # a problem of one query takes longer than the decision
        utility, inputs, outputs = proxy.vectors([query])
        return utility[0], inputs[0], outputs[0]
    problem = proxy.to_problem([query])
    utilities = np.where(problem.allowed()[0], problem.utilities()[0].astype(np.float64), NOT_ALLOWED)
    return utilities, problem.input_tokens[0], problem.output_tokens[0]


def output_limit_of(proxy: Any) -> FloatArray | None:
    """Return the most output tokens of the proxy's task, where it is known."""
    facts = getattr(proxy, "facts_", None)
    limit = None if facts is None else facts.task.get("max_output_tokens")
    return None if limit is None else np.array([float(limit)])
