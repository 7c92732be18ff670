"""The relaxations of one problem, each made when first asked for, and handed on to all that one solve runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from robatch.instances.kernels import flat
from robatch.instances.problem import Problem
from robatch.solvers.bounds.relaxation import Relaxation, Relaxer
from robatch.solvers.bounds.threads import thread_count
from robatch.solvers.bounds.whole_call_dual import Candidates, Dual, Fixing, strengthened
from robatch.solvers.registry import Request

NEAR = 0.005  # relative width, to each side, of a bracket around a known shadow price


@dataclass
class Bounds:
    """What is known of a problem's relaxations.

    Attributes
    ----------
    problem
        The problem.
    relaxer
        Its linear relaxation under amortized cost, at any budget.
    """

    problem: Problem
    relaxer: Relaxer
    _at: dict[float, Relaxation] = field(default_factory=dict)
    _duals: dict[tuple[float, float, float], Dual] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> Bounds:
        """Return those that a request brings, or new ones."""
        if request.bounds is not None:
            return request.bounds
        price = request.price
        prices = None if price is None or not 0.0 < price < math.inf else (price * (1 + NEAR), price * (1 - NEAR))
        return cls(request.problem, Relaxer(flat(request.problem), thread_count(request.threads), prices))

    @classmethod
    def carried(cls, request: Request) -> Request:
        """Return a request with its bounds, so that every solver that it is handed on to finds them."""
        return replace(request, bounds=cls.of(request))

    @cached_property
    def tightened(self) -> Relaxer:
        """The linear relaxation under realized cost: no call is fuller than the largest group can make it."""
        return Relaxer(strengthened(self.problem), self.relaxer.threads)

    @cached_property
    def candidates(self) -> Candidates:
        """Every query in every state, for the dual of whole calls."""
        return Candidates.of(self.problem, self.relaxer.flat)

    def release(self) -> None:
        """Forget all but the relaxer: before a long search, which would keep it in memory."""
        self._at, self._duals = {}, {}
        for made in ("tightened", "candidates"):
            self.__dict__.pop(made, None)

    def realized(self, budget: float) -> Relaxation:
        """Return the tightened relaxation at a budget in USD, solved once as long as it is the same budget."""
        if budget not in self._at:
            self._at = {budget: self.tightened.at(budget)}
        return self._at[budget]

    def whole_calls(self, budget: float, price: float, reached: float) -> Dual:
        """Return the dual of whole calls at a budget in USD, minimized once in a row; arguments as for `Candidates`."""
        key = budget, price, reached
        if key not in self._duals:
            self._duals = {key: self.candidates.minimize(*key)}
        return self._duals[key]

    def fixing(self, budget: float, price: float, reached: float) -> Fixing:
        """Return what each candidate loses at least against the bounds; arguments as in `Candidates.minimize`."""
        linear = self.candidates.minimize(budget, price, reached, steps=1)
        return Fixing.of(self.candidates, linear.bound, price, self.whole_calls(budget, price, reached))
