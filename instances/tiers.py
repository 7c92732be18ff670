"""Tiers: calls of more input tokens than a threshold pay more for all of their tokens.

Which tier a query of a state is billed in follows from its own length, as with context windows: that of a full call of
queries like it, ``shared_tokens + b * input``. Queries of one state that are billed in different tiers share no call.
So each call is billed in the tier of its queries or, where it is the last one of a tier above the first and not full,
perhaps below: a plan counts no less than the bill. A problem with tiers is thus one without, in which each tier of a
model is a model of its own, whose prompt is written to the cache by itself: a query is allowed in just one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from robatch.instances.arrays import IntArray, read_only
from robatch.instances.errors import InputError
from robatch.instances.model import Model

if TYPE_CHECKING:
    from robatch.instances.problem_arrays import ProblemArrays

OF_MODELS, OF_MONEY = ("max_queries", "max_calls"), ("max_cost", "group_budget")


@dataclass(frozen=True, eq=False)
class Tiers:
    """How a problem with tiers is read as one without.

    Attributes
    ----------
    given
        The problem with tiers, S states.
    state, tier
        State and tier of each state without tiers: (Z,).
    """

    given: ProblemArrays
    state: IntArray
    tier: IntArray

    @classmethod
    def of(cls, problem: ProblemArrays) -> Tiers:
        """Return the tiers that some query can be billed in, model by model."""
        used = np.zeros((problem.n_states, 1 + max(len(model.tiers) for model in problem.models)), dtype=np.bool_)
        for rows in problem.blocks():
            queries, states = np.nonzero(problem.allowed(rows))
            used[states, tiers_of(problem, rows)[queries, states]] = True
        pairs = [
            (int(s), tier)
            for k in range(problem.n_models)
            for tier in range(used.shape[1])
            for s in np.flatnonzero(problem.state_model == k)
            if used[s, tier]
        ]
        found = np.array(pairs, dtype=np.int64)
        return cls(problem, found[:, 0], found[:, 1])

    @cached_property
    def models(self) -> list[tuple[int, int]]:
        """Model and tier of each model without tiers."""
        return list(dict.fromkeys(zip(self.given.state_model[self.state].tolist(), self.tier.tolist(), strict=True)))

    @cached_property
    def crossed(self) -> list[int]:
        """The models that have calls in more than one tier."""
        kept = [k for k, _ in self.models]
        return sorted({k for k in kept if kept.count(k) > 1})

    @cached_property
    def problem(self) -> Any:
        """The problem without tiers.

        Raises
        ------
        InputError
            If it limits a model that is billed in more than one tier, or has costs of its own.
        """
        given, changes = self.given, dict[str, Any]()
        if given.costs is not None:
            raise InputError("the problem has costs of its own and tiers: costs by query and state say what tiers cost")
        for kind in OF_MONEY if given.constraints else ():
            if getattr(given.constraints, kind):
                raise InputError(f"{kind} cannot be kept where calls are billed in tiers above the first")
        for kind in OF_MODELS if given.constraints else ():
            for k in self.crossed:
                if given.models[k].name in getattr(given.constraints, kind):
                    name = given.models[k].name
                    raise InputError(
                        f"{kind} of {name!r} cannot be kept: the model's calls are billed in several tiers"
                    )
        of_model = [k for k, _ in self.models]
        changes["models"] = [self._model(k, tier) for k, tier in self.models]
        for name in ("input_tokens", "output_tokens", "base_utility"):
            array = getattr(given, name)
            if array is not None and (array.shape[1] > 1 or name == "base_utility"):
                changes[name] = read_only(array[:, of_model])
        for name in ("utility", "retention"):
            if getattr(given, name) is not None:
                changes[name] = read_only(getattr(given, name)[:, self.state])
        forbidden = None if given.forbidden is None else given.forbidden[:, self.state]
        if self.crossed:
            other = np.empty((given.n_queries, len(self.state)), dtype=np.bool_)
            for rows in given.blocks():
                other[rows] = tiers_of(given, rows)[:, self.state] != self.tier
            forbidden = other if forbidden is None else other | forbidden
        changes["forbidden"] = forbidden
        return given.replace(**changes)  # type: ignore[attr-defined]

    def _model(self, k: int, tier: int) -> Model:
        """Return a model at the prices of a tier, with the batch sizes that reach it."""
        model = self.given.models[k]
        here = (self.given.state_model[self.state] == k) & (self.tier == tier)
        sizes = tuple(self.given.state_batch_size[self.state[here]].tolist())
        name = model.name if k not in self.crossed or tier == 0 else f"{model.name} above {model.tiers[tier - 1].above}"
        return model.at_tier(tier).replace(name=name, batch_sizes=sizes)

    @cached_property
    def _column(self) -> IntArray:
        column = np.full((self.given.n_states, int(self.tier.max()) + 1), -1)
        column[self.state, self.tier] = np.arange(len(self.state))
        return column

    def inward(self, assignment: IntArray) -> IntArray:
        """Return an assignment (N,) of allowed states as one of the problem without tiers."""
        columns: IntArray = self._column[assignment, chosen_tiers(self.given, assignment)]
        return columns

    def outward(self, assignment: IntArray) -> IntArray:
        """Return an assignment (N,) of the problem without tiers as one of the problem with them."""
        states: IntArray = self.state[assignment]
        return states

    def calls(self, calls: IntArray) -> IntArray:
        """Return calls (groups, Z) of the problem without tiers by state of the one with them: (groups, S)."""
        found = np.zeros((len(calls), self.given.n_states), dtype=np.int64)
        np.add.at(found.T, self.state, calls.T)
        return found


def tiers_of(problem: ProblemArrays, rows: slice) -> IntArray:
    """Return in which tier each query is billed in each state: (N, S)."""
    tiers = np.zeros((rows.stop - rows.start, problem.n_states), dtype=np.int64)
    for s, (k, size) in enumerate(zip(problem.state_model.tolist(), problem.state_batch_size.tolist(), strict=True)):
        model, column = problem.models[k], k if problem.input_tokens.shape[1] > 1 else 0
        tokens = model.shared_tokens + size * problem.input_tokens[rows, column].astype(np.float64)
        for tier in model.tiers:
            tiers[:, s] += tokens > tier.above
    return tiers


def chosen_tiers(problem: ProblemArrays, assignment: IntArray) -> IntArray:
    """Return in which tier each query is billed in its state: (N,)."""
    chosen = np.empty(len(assignment), dtype=np.int64)
    for rows in problem.blocks():
        here = assignment[rows]
        chosen[rows] = tiers_of(problem, rows)[np.arange(len(here)), here]
    return chosen
