"""Which calls go next, at which worst case, and what to do when the rest of the plan no longer fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robatch.instances.problem import Problem
from robatch.proxies.engines.engine import ModelCall
from robatch.proxies.execution.meter import FRAME_BYTES
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.state import Execution, Waiting
from robatch.proxies.tasks.prompts import model_call
from robatch.proxies.tasks.queries import Query
from robatch.solvers.solve import solve

OVERRUN = 1.02  # expected cost of the rest by money left, from which the rest is planned again: less is noise
ROOM_TOKENS = 2  # output tokens beyond those expected that a call must be allowed where the budget ends


@dataclass(frozen=True)
class Ready:
    """A call with its prompt and its cost.

    Attributes
    ----------
    call, message
        The call.
    worst
        USD that it is not expected to exceed, by what calls of its model took so far.
    bound
        USD that it cannot exceed: a token for every byte of its prompt.
    bound_in
        The input tokens of `bound`.
    """

    call: Waiting
    message: ModelCall
    worst: float
    bound: float
    bound_in: int


class Dispatcher:
    """Chooses calls for an execution; changes nothing itself.

    Parameters
    ----------
    routed
        The plan.
    queries
        Its queries.
    state
        Where the execution stands; read at every choice.
    """

    def __init__(self, routed: RoutedPlan, queries: Sequence[Query], state: Execution) -> None:
        self.routed, self.queries, self.state = routed, queries, state
        self._shared_bytes = len(routed.template.render([]).encode())

    def model_of(self, call: Waiting) -> int:
        """Return the position of a call's model."""
        return int(self.routed.problem.state_model[call.column])

    def ready(self, call: Waiting, money: float | None = None) -> Ready | None:
        """Prepare a call; None where not even its least worst case fits the money.

        Parameters
        ----------
        call
            The call.
        money
            USD that it may cost at worst; None for any. Where its full output allowance does not fit, it is cut
            down to what does, if that leaves room for more output than expected.
        """
        model = self.routed.pool[self.model_of(call)]
        batch = [self.queries[i] for i in call.queries]
        prompt = self.routed.template.render(batch)
        tokens = self.state.meter.of(model)
        expected_in, expected_out = self.state.expected(call)
        shared = self.routed.problem.models[self.model_of(call)].shared_tokens
        template = max(0, math.ceil(shared) - self._shared_bytes)
        bound_in = self.state.meter.bound_in(model, len(prompt.encode()), template)
        worst_in = self.state.meter.worst_in(model, expected_in, bound_in)
        allowed = self.routed.max_output_tokens * len(batch)
        least = min(allowed, math.ceil(expected_out * tokens.room_out) + ROOM_TOKENS)
        if model.context_window is not None and tokens.calls:
            allowed = max(least, min(allowed, model.context_window - worst_in))
        if money is not None and model.cost(worst_in, allowed) > money:
            if model.cost(worst_in, least) > money:
                return None
            left = money - model.cost(worst_in, 0)
            allowed = max(least, min(allowed, math.floor(left * 1e6 / model.price_out))) if model.price_out else allowed
        message = model_call(self.routed.template, batch, allowed, chat=model.chat, structured=model.structured)
        return Ready(call, message, model.cost(worst_in, allowed), model.cost(bound_in, allowed), bound_in)

    def wave(self, model: int, most: int) -> list[Ready]:
        """Return waiting calls of a model that fit the money left together, at what they cannot exceed.

        Where not even one does, one call goes alone that fits at what it is not expected to exceed. Before a call of
        the model is measured, its smallest goes alone: it tells how the model counts. Then twice as many as are known,
        so that a model dearer than predicted is found out early.
        """
        calls = [call for call in self.state.queue.values() if self.model_of(call) == model]
        known = self.state.meter.of(self.routed.pool[model]).calls
        if not known:
            calls.sort(key=lambda call: len(call.queries))
        most = min(most, max(1, 2 * known))
        left, chosen, alone = self.state.meter.left, list[Ready](), None
        for call in calls:
            if len(chosen) == most:
                break
            ready = self.ready(call)
            assert ready is not None
            if ready.bound <= left:
                chosen.append(ready)
                left -= ready.bound
            elif not chosen and alone is None:
                alone = self.ready(call, left)
        return chosen or ([] if alone is None else [alone])

    def overruns(self) -> bool:
        """Tell whether the rest of the plan, at the tokens that calls really take, exceeds the money left."""
        state = self.state
        if not state.done or (state.replans and state.replans[-1]["after"] == len(state.done)):
            return False
        if all(call.depth for call in state.queue.values()):
            return False
        return sum(map(self._expected_cost, state.queue.values())) > state.meter.left * OVERRUN

    def _expected_cost(self, call: Waiting) -> float:
        """Return the USD of a call at the tokens that the model's calls really take."""
        model = self.routed.pool[self.model_of(call)]
        tokens = self.state.meter.of(model)
        expected_in, expected_out = self.state.expected(call)
        return model.cost(expected_in * tokens.ratio_in, expected_out * tokens.ratio_out)

    def replan(self, cautious: bool) -> dict[str, Any]:
        """Plan all queries without an answer or a call in flight again, with the money left: an event.

        Parameters
        ----------
        cautious
            False: at the tokens expected of each model by what its calls took so far. True: at the most that calls
            may take, so that every call planned can be sent.
        """
        state = self.state
        rows = sorted(state.unplanned + [query for call in state.rest() for query in call.queries])
        problem = self._corrected(rows, cautious)
        halves = sum(self._expected_cost(call) for call in state.queue.values() if call.depth)
        left = max(0.0, state.meter.left - halves)
        kept, columns = affordable(problem, left, self.routed.settings.get("seed", 0))
        calls: list[list[Any]] = []
        if len(kept):
            from robatch.solvers.packing import pack

            part = problem.take(kept)
            groups = None if part.groups is None else part.group_codes
            for call in pack(columns, part.states, groups, part.conflicts):
                column = part.states.index(call.state)
                calls.append([column, [rows[kept[i]] for i in call.queries.tolist()]])
        planned = {rows[i] for i in kept.tolist()}
        return {
            "event": "replanned",
            "cautious": cautious,
            "left": state.meter.left,
            "ratios": {
                model.name: [round(state.meter.of(model).ratio_in, 4), round(state.meter.of(model).ratio_out, 4)]
                for model in self.routed.pool
            },
            "calls": calls,
            "unplanned": [row for row in rows if row not in planned],
        }

    def _corrected(self, rows: list[int], cautious: bool) -> Problem:
        """Return the problem of some queries at corrected token counts; what fits a window stays as it was.

        A state whose calls come back unread is worth less, by the share of its slots that could be read.
        """
        problem = self.routed.problem.take(rows)
        meters = [self.state.meter.of(model) for model in self.routed.pool]
        factor_in = np.array([m.ratio_in for m in meters])
        factor_out = np.array([m.ratio_out for m in meters])
        more = np.zeros(len(meters))  # input tokens of each call
        if cautious:
            # Before any call is measured, input is bounded by bytes: some four a token.
            factors = [self.state.meter.safety_in(model) for model in self.routed.pool]
            factor_in = np.array([5.0 if factor is None else factor for factor in factors])
            factor_out = np.array([m.room_out for m in meters])
            # What is rounded up and allowed beyond, in input tokens of the same price.
            room = [(ROOM_TOKENS + 1) * m.price_out / m.price_in if m.price_in else 0.0 for m in self.routed.pool]
            more = np.array(room) + (float(FRAME_BYTES) if None in factors else 2.0)
        allowed = problem.allowed()
        models = [
            model.replace(shared_tokens=model.shared_tokens * factor + extra, context_window=None)
            for model, factor, extra in zip(problem.models, factor_in, more, strict=True)
        ]
        return problem.replace(
            models=models,
            input_tokens=problem.input_tokens.astype(float) * factor_in,
            output_tokens=problem.output_tokens.astype(float) * factor_out,
            utility=problem.utilities().astype(float) * self.state.read_shares(),
            base_utility=None,
            retention=None,
            forbidden=~allowed,
            constraints=None,
        )


def affordable(problem: Problem, budget: float, seed: int = 0) -> tuple[Any, Any]:
    """Choose states within a realized budget, for as many queries as it pays for.

    Where it does not pay for all, those whose cheapest answer is cheapest are kept.

    Returns
    -------
    kept, columns
        Positions of the queries kept and their states: (n,) each.
    """
    cheapest = problem.cheapest_assignment
    rows = np.arange(problem.n_queries)
    prices = np.array([[m.price_in, m.price_out] for m in problem.models])[problem.state_model[cheapest]] * 1e-6
    model = problem.state_model[cheapest]
    tokens_in = problem.input_tokens[rows, np.minimum(model, problem.input_tokens.shape[1] - 1)]
    tokens_out = problem.output_tokens[rows, np.minimum(model, problem.output_tokens.shape[1] - 1)]
    costs = prices[:, 0] * tokens_in + prices[:, 1] * tokens_out
    costs = costs + problem.call_price[cheapest] / problem.state_batch_size[cheapest]
    order = np.argsort(costs, kind="stable")
    count = int(np.searchsorted(np.cumsum(costs[order]), budget * (1 + 1e-12), side="right"))
    while count > 0 and budget > 0:
        kept = np.sort(order[:count])
        plan = solve(problem.take(kept), budget, "greedy", "realized", seed=seed)
        if plan.assignment is not None:
            return kept, plan.assignment
        count = min(count - 1, int(count * 0.95))
    return rows[:0], rows[:0]
