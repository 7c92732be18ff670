"""The meter: what is spent, what is set aside for calls in flight, and what models' calls really take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from robatch.proxies.execution.pool import PoolModel

Charge = Literal["worst", "expected"]
"""What tries are charged whose bill is not known."""

PRIOR_CALLS = 2.0  # average calls that count as predicted, so that a first call does not overturn the plan


@dataclass
class Tokens:
    """Tokens of one model's answered calls against those predicted."""

    calls: int = 0  # calls answered
    expected_in: float = 0.0  # as predicted when the plan was made
    expected_out: float = 0.0
    actual_in: int = 0  # as the engine counted them
    actual_out: int = 0
    most_in: float = 1.0  # the greatest ratio of actual to predicted input tokens of a single call, at least 1
    uncounted: int = 0  # of the answered calls, those whose tokens the engine did not count, or not possibly so
    uncounted_cost: float = 0.0  # USD that these were charged
    most_out: float = 1.0  # the greatest ratio of a call's output tokens to those it was allowed, at least 1
    beyond: int = 0  # input tokens by which a call exceeded its bound: the model's template, not measured, adds these

    found: float = 0.0  # input tokens that caches gave, up to the shared prompt of each call
    cacheable: float = 0.0  # tokens of the shared prompts of these calls

    def cache(self, found: float, shared: float) -> None:
        """Count what a cache gave of the shared prompt of one answered call."""
        self.found += min(found, shared)
        self.cacheable += shared

    @property
    def found_share(self) -> float:
        """Part of the shared prompts' tokens that caches give, drawn towards 1 while few calls are known."""
        if self.cacheable <= 0.0:
            return 1.0
        prior = PRIOR_CALLS * self.cacheable / max(self.calls, 1)
        return (self.found + prior) / (self.cacheable + prior)

    def add(self, expected_in: float, expected_out: float, actual_in: int, actual_out: int) -> None:
        """Count one answered call."""
        self.calls += 1
        self.expected_in += expected_in
        self.expected_out += expected_out
        self.actual_in += actual_in
        self.actual_out += actual_out
        self.most_in = max(self.most_in, actual_in / max(expected_in, 1.0))

    def learn(self, counted: bool, beyond: int, of_allowed: float) -> None:
        """Learn from an answered call by what it exceeded its bound, and its part of the output that it was allowed."""
        self.uncounted += not counted
        self.beyond += max(0, beyond)
        self.most_out = max(self.most_out, of_allowed)

    @property
    def ratio_in(self) -> float:
        """Actual by predicted input tokens, drawn towards 1 while few calls are known."""
        return self._ratio(self.actual_in, self.expected_in)

    @property
    def ratio_out(self) -> float:
        """Actual by predicted output tokens, drawn towards 1 while few calls are known."""
        return self._ratio(self.actual_out, self.expected_out)

    def _ratio(self, actual: float, expected: float) -> float:
        if not self.calls or expected <= 0:
            return 1.0
        prior = PRIOR_CALLS * expected / self.calls
        return (actual + prior) / (expected + prior)


@dataclass
class Meter:
    """Real money: a call is sent only if what it cannot exceed fits beside what is spent and set aside.

    Attributes
    ----------
    allowed
        USD that any run of this execution was allowed to spend at worst.
    charge
        What a try whose bill is not known is charged: ``"worst"``, its bound; ``"expected"``, what calls of its model
        are expected to cost, and nothing where the server answered with an error.
    lost, lost_worst
        USD that such tries were charged, and their bounds: in flight when a run was ended, timed out, broken off.
    reserved
        USD that each call in flight cannot exceed, by its number.
    """

    budget: float  # USD
    overrun: float = 0.0  # USD by which the budget may be exceeded at worst
    spent: float = 0.0  # USD of answered calls, by the engines' token counts
    charge: Charge = "worst"
    allowed: float = 0.0
    lost: float = 0.0
    lost_worst: float = 0.0
    reserved: dict[int, float] = field(default_factory=dict)
    tokens: dict[str, Tokens] = field(default_factory=dict)  # actual against predicted tokens by model name

    @property
    def left(self) -> float:
        """USD of the budget that are neither spent, lost nor set aside; below 0 where it is exceeded."""
        return self.budget - self.spent - self.lost - sum(self.reserved.values())

    @property
    def slack(self) -> float:
        """USD that calls about to be sent may cost at worst."""
        return self.left + self.overrun

    def reserve(self, call: int, worst: float) -> None:
        """Set aside what a call that is about to be sent cannot exceed."""
        self.reserved[call] = worst

    def settle(self, call: int, cost: float) -> None:
        """Replace a call's bound by its bill."""
        self.reserved.pop(call, None)
        self.spent += cost

    def limit(self, budget: float, overrun: float, charge: Charge) -> None:
        """Set what may be spent from now on, and what lost tries are charged."""
        self.budget, self.overrun, self.charge = budget, overrun, charge
        self.allowed = max(self.allowed, budget + overrun)

    def lose(self, call: int, expected: float) -> float:
        """Charge a call in flight that may be billed and gave no count, of which so many USD are expected."""
        worst = self.reserved.pop(call)
        charged = worst if self.charge == "worst" else min(expected, worst)
        self.lost += charged
        self.lost_worst += worst
        return charged

    def release(self, calls: Iterable[int]) -> None:
        """Give back what is set aside for calls in flight."""
        for call in calls:
            self.reserved.pop(call, None)

    def dearest(self, calls: Iterable[int], most: int) -> list[int]:
        """Return those of some calls in flight that may cost the most."""
        return sorted(calls, key=lambda call: -self.reserved[call])[:most]

    def of(self, model: PoolModel | str) -> Tokens:
        """Return a model's tokens."""
        name = model if isinstance(model, str) else model.name
        return self.tokens.setdefault(name, Tokens())
