"""Which calls go next, what each may cost at worst, and what to do when the rest of the plan no longer fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.problem import Problem
from robatch.proxies.engines.engine import ModelCall
from robatch.proxies.execution.bounds import InputBounds
from robatch.proxies.execution.calls import Waiting
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.state import Execution
from robatch.proxies.tasks.prompts import model_call
from robatch.proxies.tasks.queries import Query
from robatch.solvers.bounds.fit_to_budget import within
from robatch.solvers.bounds.shared import Bounds
from robatch.solvers.registry import Request
from robatch.solvers.solve import solve

MAX_DRIFT = 1.02
"""Expected cost of the rest by money left, above which the rest is planned again: less is noise."""

PRIOR_READ_SLOTS = 4.0  # slots of each state that count as read, so that one bad call does not condemn it

SMALL_REST = 0.02
"""Part of all queries up to which the rest is planned without a search: of its utility little can be gained."""

GOLDEN_RATIO = 0.618033988749895
"""Part of the calls between one trial and the next: wherever they stop, trials are spread over all."""

WINDOW_MARGIN = 1.05
"""Factor on the most input tokens that calls took so far, where an answer must be held to the context window."""


@dataclass(frozen=True)
class Ready:
    """A call with its prompt and what it may cost."""

    call: Waiting
    message: ModelCall
    worst: float  # USD that it cannot exceed
    bound_in: int  # the input tokens of `worst`; its output tokens are those that `message` allows
    least_in: int  # input tokens that it cannot have fewer of


class Dispatcher:
    """Chooses the calls of a plan for an execution, whose `state` it reads at every choice; changes nothing itself."""

    def __init__(self, routed: RoutedPlan, queries: Sequence[Query], state: Execution) -> None:
        self.routed, self.queries, self.state = routed, queries, state
        self._bounds = InputBounds(routed, queries)

    def model_of(self, call: Waiting) -> int:
        """Return the position of a call's model."""
        return int(self.routed.problem.state_model[call.column])

    def ready(self, call: Waiting) -> Ready:
        """Prepare a call."""
        model = self.routed.pool[self.model_of(call)]
        batch = [self.queries[i] for i in call.queries]
        worst, bound_in, allowed = self._worst(call)
        message = model_call(self.routed.template, batch, allowed, chat=model.chat, structured=model.structured)
        return Ready(call, message, worst, bound_in, self._bounds.least_of_call(self.model_of(call), call.queries))

    def worst(self, call: Waiting) -> float:
        """Return the USD that a call cannot exceed."""
        return self._worst(call)[0]

    def _worst(self, call: Waiting) -> tuple[float, int, int]:
        """Return the USD that a call cannot exceed, the bound on its input tokens and the output tokens allowed it.

        The allowance is cut to what a context window leaves beside the input tokens, as far as these can be foreseen.
        """
        model = self.routed.pool[self.model_of(call)]
        tokens = self.state.meter.of(model)
        bound_in = self._bounds.of_call(self.model_of(call), call.queries) + tokens.beyond
        allowed = model.allowed(self.routed.max_output_tokens * len(call.queries))
        if model.context_window is not None:
            expected_in, expected_out = self.state.expected(call)
            foreseen = min(bound_in, math.ceil(expected_in * tokens.most_in * WINDOW_MARGIN))
            allowed = min(allowed, max(math.ceil(expected_out), model.context_window - foreseen, 1))
        worst = self.routed.bills[self.model_of(call)].worst(bound_in, math.ceil(allowed * tokens.most_out))
        return worst, bound_in, allowed

    def wave(self, model: int, most: int, again: bool = False, small: bool = False, dry: int = 0) -> list[Ready]:
        """Return waiting calls of a model whose worst cases fit the money left together; with `again`, failed ones.

        Before a call of the model is measured, its smallest goes alone: it tells how the model counts. Then twice as
        many as are known, so that a model dearer than predicted is found out early. The largest go first, as large
        calls are those that do not fit when little is left; with `small` the smallest do. After `dry` waves without any
        answer a call from another part of the plan goes alone: those that fail may stand beside each other.
        """
        known = self.state.meter.of(self.routed.pool[model]).calls
        most = 1 if dry else min(most, max(1, 2 * known))
        return self.fitting(model, most, again, known > 0 and not small, dry * GOLDEN_RATIO % 1.0)

    def fitting(self, model: int, most: int, again: bool, largest_first: bool = True, turn: float = 0.0) -> list[Ready]:
        """Return at most so many waiting calls of a model whose worst cases fit the money left together.

        They come in the order of `CallQueue.of`.
        """
        slack, chosen = max(0.0, self.state.meter.slack), list[Ready]()  # what is free is sent whatever was spent
        for call in self.state.queue.of(model, again, largest_first, turn):
            if len(chosen) == most:
                break
            worst = self.worst(call)
            if worst <= slack:
                chosen.append(self.ready(call))
                slack -= worst
        return chosen

    def exceeds(self) -> bool:
        """Tell whether the rest of the plan, at the tokens that calls really take, exceeds the money left."""
        state = self.state
        if not state.done or not state.moved or not state.queue.planned:
            return False
        rest = 0.0
        for position, model in enumerate(self.routed.pool):
            (expected_in, expected_out), tokens = state.queue.expected(position), state.meter.of(model)
            rest += model.cost(expected_in * tokens.ratio_in, expected_out * tokens.ratio_out)
            rest += state.queue.waiting(position) * self.routed.bills[position].extra(tokens.found_share)
        return rest > max(0.0, state.meter.left) * MAX_DRIFT

    def replan(self) -> dict[str, Any]:
        """Plan all queries without an answer or a call in flight again, with the money left: an event.

        States cost what the calls of their models took so far. Only states are taken whose calls fit the money at
        worst, so that each call can be sent, if need be one after another.
        """
        state, meter = self.state, self.state.meter
        rows = np.sort(np.concatenate([np.array(state.unplanned, int), state.queue.rest()]))
        fits = self._fits(rows)
        sendable = fits.any(axis=1)
        left = np.zeros(self.routed.problem.n_queries, dtype=np.bool_)  # without a call
        left[rows] = True
        rows, fits = rows[sendable], fits[sendable]
        calls: list[list[Any]] = []
        if len(rows):
            from robatch.solvers.plan.packing import pack

            problem = self._corrected(rows, fits)
            kept, columns = self._chosen(problem)
            part = problem.take(kept) if len(kept) else problem
            groups = None if part.groups is None else part.group_codes
            for call in pack(columns, part.states, groups, part.conflicts) if len(kept) else ():
                queries = rows[kept[call.queries]]
                left[queries] = False
                calls.append([part.states.index(call.state), queries.tolist()])
        return {
            "event": "replanned",
            "left": meter.left,
            "ratios": {
                model.name: [round(meter.of(model).ratio_in, 4), round(meter.of(model).ratio_out, 4)]
                for model in self.routed.pool
            },
            "calls": calls,
            "unplanned": np.flatnonzero(left).tolist(),
        }

    def _chosen(self, problem: Problem) -> tuple[IntArray, IntArray]:
        """Choose states within the budget; where it does not pay for all, within what it may be exceeded by too."""
        meter, seed = self.state.meter, self.routed.settings.get("seed", 0)
        halves = [call for call in self.state.queue.values() if call.again and self._worst(call)[0] <= meter.slack]
        taken = sum(map(self.state.expected_cost, halves))
        quick = problem.n_queries <= SMALL_REST * self.routed.problem.n_queries
        kept, columns = affordable(problem, max(0.0, meter.left - taken), seed, quick)
        if len(kept) < problem.n_queries and meter.overrun:
            kept, columns = affordable(problem, max(0.0, meter.slack - taken), seed, quick)
        return kept, columns

    def _fits(self, rows: IntArray) -> BoolArray:
        """Tell where a full call of queries like each one fits the money left at worst: (n, S)."""
        problem, slack = self.routed.problem, max(0.0, self.state.meter.slack)
        fits = problem.take(rows).allowed() if len(rows) else np.zeros((0, problem.n_states), dtype=np.bool_)
        for column, (position, size) in enumerate(zip(problem.state_model, problem.state_batch_size, strict=True)):
            model = self.routed.pool[int(position)]
            if model.name in self.state.out:
                fits[:, column] = False
                continue
            shared, slots = self._bounds.of_parts(int(position))
            most = shared + self.state.meter.of(model).beyond + slots[rows] * int(size)
            output = model.allowed(self.routed.max_output_tokens * int(size)) * self.state.meter.of(model).most_out
            fits[:, column] &= self.routed.bills[int(position)].worst(most, output) <= slack
        return fits

    def _read_shares(self) -> FloatArray:
        """Return the share of slots that could be read in calls of each state, near 1 while few are known: (S,)."""
        asked, read = (self.state.slots[:, i] + PRIOR_READ_SLOTS for i in (0, 1))
        shares: FloatArray = read / asked
        return shares

    def _corrected(self, rows: IntArray, fits: BoolArray) -> Problem:
        """Return the problem of some queries at corrected token counts, in the states that fit.

        A state whose calls come back unread is worth less, by the share of its slots that could be read.
        """
        problem = self.routed.problem.take(rows)
        meters = [self.state.meter.of(model) for model in self.routed.pool]
        factor_in = np.array([tokens.ratio_in for tokens in meters])
        factor_out = np.array([tokens.ratio_out for tokens in meters])
        models = [
            bill.found(tokens.found_share).replace(shared_tokens=model.shared_tokens * factor, context_window=None)
            for bill, tokens, model, factor in zip(self.routed.bills, meters, problem.models, factor_in, strict=True)
        ]
        return problem.replace(
            models=models,
            input_tokens=problem.input_tokens.astype(float) * factor_in,
            output_tokens=problem.output_tokens.astype(float) * factor_out,
            utility=problem.utilities().astype(float) * self._read_shares(),
            base_utility=None,
            retention=None,
            forbidden=~fits,
            constraints=None,
        )


def affordable(problem: Problem, budget: float, seed: int = 0, quick: bool = False) -> tuple[Any, Any]:
    """Choose states within a realized budget, for as many queries as it pays for.

    Where it does not pay for all, those whose cheapest answer is cheapest are kept. With `quick`, nothing is searched
    for beyond the relaxation's schedule: for a rest that is too small to matter.

    Returns
    -------
    kept, columns
        Positions of the queries kept and their states: (n,) each.
    """
    rows, cheapest = np.arange(problem.n_queries), problem.cheapest_assignment
    costs = problem.query_costs()[rows, problem.state_model[cheapest]]
    costs += problem.call_price[cheapest] / problem.state_batch_size[cheapest]
    order = np.argsort(costs, kind="stable")
    count = int(np.searchsorted(np.cumsum(costs[order]), budget * (1 + 1e-12), side="right"))
    while count > 0:
        kept = np.sort(order[:count])
        part = problem.take(kept)
        if quick and budget > 0.0 and not part.write_charge.any():
            request = Request(part, budget, "realized")
            states = within(request, Bounds.of(request).tightened.schedule).assignment
            if states is not None:
                return kept, states
        plan = solve(part, budget, "greedy", "realized", seed=seed)
        if plan.assignment is not None:
            return kept, plan.assignment
        count = min(count - 1, int(count * 0.95))
    return rows[:0], rows[:0]
