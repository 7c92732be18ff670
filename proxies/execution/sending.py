"""How an execution sends its calls: the options of `robatch.proxies.execution.run.execute`, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.proxies.engines.waits import MAX_WAIT, Wait
from robatch.proxies.execution.calls import Event
from robatch.proxies.execution.meter import Charge
from robatch.proxies.execution.outlook import Outlook
from robatch.proxies.execution.state import Execution
from robatch.proxies.tasks.first_calls import MOST_UNREAD

ROUNDING = 1e-12  # relative, of sums of USD
PLANNED_AGAIN = ("continued", "back")  # events of a resumption after which the rest is planned again


@dataclass(frozen=True)
class Sending:
    """How calls are sent and charged: as `execute` takes it."""

    budget: float | None = None
    overrun: float = 0.0
    lost: Charge = "worst"
    concurrency: int = 8
    timeout: float = 120.0
    max_wait: float = MAX_WAIT
    on_wait: Callable[[Wait], None] | None = None
    max_loss: float | None = None
    on_loss: Callable[[Outlook], bool] | None = None
    on_note: Callable[[str], None] | None = None
    retry_unread: bool = False
    max_unread: float = MOST_UNREAD

    def __post_init__(self) -> None:
        number("timeout", self.timeout, needed="a finite number above 0", above=True)
        object.__setattr__(self, "overrun", number("overrun", self.overrun))  # floats, whatever kind of number
        if self.budget is not None:
            budget = number("budget", self.budget, needed="a finite number of USD of at least 0")
            object.__setattr__(self, "budget", budget)
        if self.max_loss is not None:
            number("max_loss", self.max_loss, most=1.0)
        if self.lost not in get_args(Charge):
            raise InputError(f"lost is {self.lost!r}: 'worst' or 'expected' is needed")
        number("max_wait", self.max_wait)
        number("max_unread", self.max_unread, most=1.0)
        whole("concurrency", self.concurrency, 1)

    def resumption(self, state: Execution) -> Iterator[Event]:
        """Yield the events by which an execution goes on, each once the one before it was taken in."""
        limits = self.limits(state)
        if limits is not None:
            yield limits
        if state.loose_calls:
            yield {"event": "lost"}
        if state.extended:
            yield {"event": "continued"}
        unread = state.final.unread() if self.retry_unread else []
        if unread:
            yield {"event": "retry", "queries": unread}
        if state.out and not state.finished and not state.held:
            yield {"event": "back"}

    def limits(self, state: Execution) -> Event | None:
        """Return the event that lets an execution spend what is asked for, None where nothing changes.

        Raises
        ------
        InputError
            If an execution that came to its end has spent more.
        """
        meter = state.meter
        budget = meter.budget if self.budget is None else self.budget
        spent = meter.spent + meter.lost
        if state.finished and budget < meter.budget and budget + self.overrun < spent * (1 - ROUNDING):
            raise InputError(
                f"budget is {budget:g} USD, but the run that ended has spent {spent:.6g}: give at least that, or none"
            )
        changed = (budget, self.overrun, self.lost) != (meter.budget, meter.overrun, meter.charge)
        more = budget + self.overrun > meter.budget + meter.overrun
        if not changed or (state.finished and not more):  # after the end nothing else matters
            return None
        return {"event": "limits", "budget": budget, "overrun": self.overrun, "lost": self.lost}
