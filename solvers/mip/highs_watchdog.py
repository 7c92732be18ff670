"""A watch over HiGHS: a run that no longer makes progress is ended, and begun again with another seed.

Nothing but a time limit ends such a run otherwise (HiGHS issue 1862).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from robatch.solvers.mip.cut_loop import Outcome
from robatch.solvers.registry import Request

# checks of the limits at one node and the same bounds: below 200 in ordinary runs, 8,000 a second in a loop
MAX_CHECKS = 10_000
MAX_ATTEMPTS = 4


class Watch:
    """A callback for HiGHS's checks of its limits. It counts them, so that the same run is ended at the same point."""

    def __init__(self) -> None:
        self.stalled, self._where, self._checks = False, (-1, 0.0, 0.0), 0
        self._stopped = False

    def stop(self) -> None:
        """Order an end at the next check."""
        self._stopped = True

    def __call__(self, kind: int, message: str, state: Any, order: Any, data: object) -> None:
        """Order an end if there is no progress."""
        where = (state.mip_node_count, state.mip_dual_bound, state.mip_primal_bound)
        if where != self._where:
            self._where, self._checks = where, 0
        self._checks += 1
        if self._checks > MAX_CHECKS:
            self.stalled = True
        if self.stalled or self._stopped:
            order.user_interrupt = True


def until_progress(run: Callable[[Request, Watch], Outcome], request: Request) -> Outcome:
    """Run HiGHS under a watch, again with the next seed where it stalls, within the request's time limit."""
    begin, left = time.perf_counter(), request.time_limit
    for attempt in range(MAX_ATTEMPTS):
        watch = Watch()
        outcome = run(replace(request, seed=request.seed + attempt, time_limit=left), watch)
        if not watch.stalled:
            return outcome
        if request.time_limit is not None:
            left = request.time_limit - (time.perf_counter() - begin)
            if left <= 0.0:
                return replace(outcome, limit="time")
    return replace(outcome, limit="other", message="HiGHS stopped making progress, whatever its seed")
