"""Whether a failure is the call's own or its model's: as the other calls of the model tell."""

from __future__ import annotations

from robatch.proxies.engines.engine import Fault
from robatch.proxies.execution.calls import Waiting

TRIES: dict[Fault, int] = {"call": 2, "passing": 3}
"""Tries of a call that fails, before it is taken for its own fault: the later ones behind all other calls."""
DRY_WAVES: dict[Fault, int] = {"call": 12, "passing": 4}
"""Waves of a model without any answer, each after the first of a single call, after which the model is given up: more
where the last was refused, which costs nothing."""
MANY = 3
"""Calls of a model that works that must fail since its last answer, before this is its fault and not theirs."""


class Health:
    """Follows the calls of the model that is open.

    Attributes
    ----------
    dry
        Waves without an answer since the model's last one.
    failing
        Calls that failed since then, and not provably by their own fault.
    """

    def __init__(self) -> None:
        self.dry = 0
        self.failing: set[int] = set()

    def take(self, call: Waiting, fault: Fault | None, answered: int) -> None:
        """Count a call's answer or failure; `answered` is how many calls its model has answered so far."""
        if fault is None:
            self.dry = 0
            self.failing.clear()
        elif not self._proven(call, answered):
            self.failing.add(call.number)

    def end_wave(self, answered: bool) -> None:
        """Count a wave that was sent."""
        self.dry = 0 if answered else self.dry + bool(self.failing)

    def own(self, call: Waiting, fault: Fault, answered: int) -> bool:
        """Tell whether a call that failed once more is at the end of its tries, by its own fault."""
        return call.tries + 1 >= TRIES[fault] and (self._proven(call, answered) or self._few(answered))

    def gone(self, answered: int, last: Fault | None) -> bool:
        """Tell whether the model is to be given up, after waves of which the last call ended as given."""
        return last is not None and self.dry >= DRY_WAVES[last] and not self._few(answered)

    def _few(self, answered: int) -> bool:
        """Tell whether so few calls of a model that works failed that it is their own fault."""
        return answered > 0 and len(self.failing) < MANY

    @staticmethod
    def _proven(call: Waiting, answered: int) -> bool:
        """Tell whether a call's failures are its own: its model answered others since the first of them."""
        return call.blamed or (call.tries > 0 and answered > call.since)
