"""The meter: what is spent, what is reserved for calls in flight, and what a call may cost at worst."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from robatch.proxies.execution.pool import PoolModel

PRIOR_CALLS = 2.0  # average calls that count as predicted, so that a first call does not overturn the plan
CAUTION = 0.5  # safety margin on input tokens after one call; it falls with the square root of their number
LEAST_CAUTION = 0.05
ROOM = 1.25  # of the output tokens expected, at most, that a call must be allowed where the budget ends
UNKNOWN = 2.0  # safety factor for a model of which no call is measured, on the greatest excess of the others
FRAME_BYTES = 128  # tokens that a chat template may add to a prompt, beyond those that are measured


@dataclass
class Tokens:
    """Tokens of one model's answered calls against those predicted.

    Attributes
    ----------
    calls
        Calls answered.
    expected_in, expected_out
        As predicted when the plan was made.
    actual_in, actual_out
        As the engine counted them.
    most_in
        The greatest ratio of actual to predicted input tokens of a single call, at least 1.
    most_out
        The same of output tokens, which may be below 1.
    frame
        Input tokens by which a call exceeded what its bytes allow: the model's template adds these.
    """

    calls: int = 0
    expected_in: float = 0.0
    expected_out: float = 0.0
    actual_in: int = 0
    actual_out: int = 0
    most_in: float = 1.0
    most_out: float = 0.0
    frame: int = 0

    def add(self, expected_in: float, expected_out: float, actual_in: int, actual_out: int) -> None:
        """Count one answered call."""
        self.calls += 1
        self.expected_in += expected_in
        self.expected_out += expected_out
        self.actual_in += actual_in
        self.actual_out += actual_out
        self.most_in = max(self.most_in, actual_in / max(expected_in, 1.0))
        self.most_out = max(self.most_out, actual_out / max(expected_out, 1.0))

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

    @property
    def room_out(self) -> float:
        """Factor on predicted output tokens that a call must be allowed, where the budget does not allow it more."""
        return max(self.ratio_out, min(self.most_out, self.ratio_out * ROOM))

    @property
    def safety_in(self) -> float:
        """Factor on predicted input tokens that no call is expected to exceed."""
        return self.most_in * (1.0 + max(LEAST_CAUTION, CAUTION / math.sqrt(max(self.calls, 1))))


@dataclass
class Meter:
    """Real money: a call is sent only if its worst case fits beside what is spent and reserved.

    Attributes
    ----------
    budget
        USD.
    spent
        USD of answered calls, by the engines' token counts.
    lost
        USD, at worst, of tries whose bill is not known: in flight when a run was ended, timed out, broken off.
    reserved
        USD, at worst, of each call in flight, by its number.
    tokens
        Actual against predicted tokens by model name.
    """

    budget: float
    spent: float = 0.0
    lost: float = 0.0
    reserved: dict[int, float] = field(default_factory=dict)
    tokens: dict[str, Tokens] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """USD that are neither spent nor reserved."""
        return self.budget - self.spent - self.lost - sum(self.reserved.values())

    def reserve(self, worst: Mapping[int, float]) -> None:
        """Set worst cases aside for calls that are about to be sent."""
        self.reserved.update(worst)

    def settle(self, call: int, cost: float) -> None:
        """Replace a call's worst case by its bill."""
        self.reserved.pop(call, None)
        self.spent += cost

    def lose(self, calls: Iterable[int]) -> None:
        """Charge some of the calls in flight at worst, and release the money of all others."""
        self.lost += sum(self.reserved[call] for call in calls)
        self.reserved.clear()

    def dearest(self, most: int) -> list[int]:
        """Return the calls in flight that may cost the most."""
        return sorted(self.reserved, key=lambda call: -self.reserved[call])[:most]

    def safety_in(self, model: PoolModel) -> float | None:
        """Return the factor on predicted input tokens that no call of a model is expected to exceed; None if unknown.

        Of a model without a measured call, twice the greatest excess of the others.
        """
        if self.of(model).calls:
            return self.of(model).safety_in
        known = [tokens.most_in for tokens in self.tokens.values() if tokens.calls]
        return UNKNOWN * max(known) if known else None

    def bound_in(self, model: PoolModel, prompt_bytes: int, template: int) -> int:
        """Return input tokens that no call can exceed: one a byte of its prompt, and what the chat template adds.

        Parameters
        ----------
        model
            The model.
        prompt_bytes
            Bytes of the prompt.
        template
            Measured tokens of the shared prompt beyond its bytes.
        """
        return prompt_bytes + FRAME_BYTES + template + self.of(model).frame

    def worst_in(self, model: PoolModel, expected_in: float, bound: int) -> int:
        """Return the most input tokens that a call is expected to take: its bound until any call is measured."""
        factor = self.safety_in(model)
        return bound if factor is None else min(bound, math.ceil(expected_in * factor) + 1)

    def of(self, model: PoolModel | str) -> Tokens:
        """Return a model's tokens."""
        name = model if isinstance(model, str) else model.name
        return self.tokens.setdefault(name, Tokens())
