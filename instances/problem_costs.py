"""What an assignment of a problem's queries is worth and costs, and the budgets that make sense."""

from __future__ import annotations

from functools import cached_property
from operator import mul
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import IntArray, read_only
from robatch.instances.errors import InputError
from robatch.instances.money import Whole, times
from robatch.instances.problem_arrays import ProblemArrays
from robatch.instances.scalars import number
from robatch.instances.tiers import Tiers

CostModel = Literal["amortized", "realized"]


class Evaluation(NamedTuple):
    """What an assignment is worth, its USD under both cost models, and its calls: (groups, S)."""

    utility: float
    amortized_cost: float
    realized_cost: float
    calls: IntArray

    def cost(self, cost: CostModel) -> float:
        """Return its USD under one of the two cost models."""
        return self.amortized_cost if cost == "amortized" else self.realized_cost


class ProblemCosts(ProblemArrays):
    """The part of a `robatch.Problem` that evaluates assignments."""

    def check_assignment(self, assignment: npt.ArrayLike) -> IntArray:
        """Return `assignment` as an (N,) array of allowed states, or say what is wrong with it.

        Raises
        ------
        InputError
            If its shape is wrong, or a state is unknown or not allowed for its query.
        """
        states = self._whole_numbers(assignment)
        if self.tiers is None:
            self._tally(states)
        else:
            self._within_tiers(states, self.tiers)
        return states

    def _whole_numbers(self, assignment: npt.ArrayLike) -> IntArray:
        states = np.asarray(assignment)
        if states.shape != (self.n_queries,) or states.dtype.kind not in "iu":
            raise InputError(
                f"assignment has shape {states.shape} and type {states.dtype}: "
                f"{self.n_queries} whole numbers are needed, one state a query"
            )
        return np.ascontiguousarray(states, dtype=np.int64)

    def _tally(self, states: IntArray) -> tuple[float, Whole, IntArray]:
        """Return utility, token cost in units of `money`, and the queries of each group and state: (groups, S)."""
        from robatch.instances import kernels

        queries = np.zeros((self.n_groups, self.n_states), dtype=np.int64)
        codes = np.empty(0, dtype=np.int64) if self.groups is None else self.group_codes
        wrong, utility, sent, received = kernels.tally(read_only(states), codes, queries, kernels.flat(self))
        if wrong >= 0:
            raise self._wrong_state(wrong, int(states[wrong]))
        token_cost = times(self.money.price_in, sent.tolist()) + times(self.money.price_out, received.tolist())
        return utility, token_cost, queries

    def _within_tiers(self, states: IntArray, tiers: Tiers) -> IntArray:
        """Return an assignment, checked, as one of the problem without tiers."""
        wrong = (states < 0) | (states >= self.n_states)
        for rows in self.blocks() if not wrong.any() else ():
            wrong[rows] = ~self.allowed(rows)[np.arange(len(states[rows])), states[rows]]
        if wrong.any():
            query = int(np.argmax(wrong))
            raise self._wrong_state(query, int(states[query]))
        return tiers.inward(states)

    def _wrong_state(self, query: int, state: int) -> InputError:
        where = f"assignment of query {self.query_name(query)} is"
        if not 0 <= state < self.n_states:
            return InputError(f"{where} state {state}: states go from 0 to {self.n_states - 1}")
        return InputError(
            f"{where} the state {self.states[state]}, "
            "which is not allowed: it is forbidden, or a batch of such queries does not fit the context window"
        )

    def evaluate(self, assignment: npt.ArrayLike) -> Evaluation:
        """Return what an assignment (N,) of states is worth and costs, in one pass over it.

        Raises
        ------
        InputError
            If its shape is wrong, or a state is unknown or not allowed for its query.
        """
        states = self._whole_numbers(assignment)
        if self.tiers is not None:
            inner: Evaluation = self.tiers.problem.evaluate(self._within_tiers(states, self.tiers))
            return inner._replace(calls=self.tiers.calls(inner.calls))
        utility, token_cost, queries = self._tally(states)
        calls = -(-queries // self.state_batch_size)
        if self.conflicts is not None:
            from robatch.instances.conflicts import conflict_calls

            codes = None if self.groups is None else self.group_codes
            found = conflict_calls(self.conflicts, states, codes, self.state_batch_size, queries)
            if found is not None:
                calls[found.groups, found.states] = found.calls
        shares = sum(map(mul, self.money.share, queries.sum(axis=0).tolist()))
        prompts = sum(map(mul, self.money.call, calls.sum(axis=0).tolist()))
        if self.write_charge.any():
            prompts += sum(map(mul, self.money.write, self.writes(calls).sum(axis=0).tolist()))
        amortized, realized = self.money.usd(token_cost + shares), self.money.usd(token_cost + prompts)
        return Evaluation(utility, amortized, realized, calls)

    def writes(self, calls: IntArray) -> IntArray:
        """Return how often each group writes each model's shared prompt to a cache, given its calls: (groups, K).

        That is once where it sends the model calls of any batch size, and the model's prompt is cached.
        """
        first = np.flatnonzero(np.diff(self.state_model, prepend=-1))
        used = np.logical_or.reduceat(calls > 0, first, axis=1)
        return np.asarray(used & (self.write_charge > 0.0), dtype=np.int64)

    def total_utility(self, assignment: npt.ArrayLike) -> float:
        """Return the total utility of an assignment (N,) of states, summed in float64."""
        return self.evaluate(assignment).utility

    def amortized_cost(self, assignment: npt.ArrayLike) -> float:
        """Return the amortized USD of an assignment (N,): every call counted as full."""
        return self.evaluate(assignment).amortized_cost

    def call_counts(self, assignment: npt.ArrayLike) -> IntArray:
        """Return the calls of each group in each state: (groups, S).

        Without conflicts ``ceil(queries / b)``; with conflicts as many as `robatch.Plan.calls` forms, see
        `robatch.instances.conflicts` for when that is proven to be the fewest.
        """
        return self.evaluate(assignment).calls

    def realized_cost(self, assignment: npt.ArrayLike) -> float:
        """Return what an assignment (N,) really bills in USD: every call pays the whole shared prompt."""
        return self.evaluate(assignment).realized_cost

    def cost(self, assignment: npt.ArrayLike, cost: CostModel) -> float:
        """Return the USD of an assignment (N,) under one of the two cost models."""
        return self.evaluate(assignment).cost(cost)

    # ---- budgets that make sense

    @cached_property
    def cheapest_assignment(self) -> IntArray:
        """Every query in its state of least amortized cost, of greatest utility among equals: (N,)."""
        return self._extreme(dearest=False)

    @cached_property
    def best_assignment(self) -> IntArray:
        """Every query in its state of greatest utility, of least amortized cost among equals: (N,)."""
        return self._extreme(dearest=True)

    def _extreme(self, dearest: bool) -> IntArray:
        from robatch.instances import kernels

        if self.tiers is not None:
            inner = self.tiers.problem
            return read_only(self.tiers.outward(inner.best_assignment if dearest else inner.cheapest_assignment))
        states: IntArray = kernels.extreme(dearest, kernels.flat(self))
        return read_only(states)

    @cached_property
    def cheapest_budget(self) -> float:
        """Least amortized USD that pays for an answer to every query."""
        return self.amortized_cost(self.cheapest_assignment)

    @cached_property
    def dearest_budget(self) -> float:
        """Amortized USD of the greatest utility: more buys nothing."""
        return self.amortized_cost(self.best_assignment)

    def budget_at(self, fraction: float) -> float:
        """Return the budget in USD at a fraction between the cheapest (0) and the dearest (1), as if calls were full.

        Few queries may bill more than a budget near the cheapest one: `solve` then says by how much it is too small.

        Raises
        ------
        InputError
            If the fraction is not within [0, 1].
        """
        fraction = number("budget fraction", fraction, most=1.0)
        low, high = self.cheapest_budget, self.dearest_budget
        return high if fraction == 1.0 else low + fraction * (high - low)
