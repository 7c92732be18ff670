"""What a search has done, and what ends it."""

from __future__ import annotations

import math
import time

from robatch.solvers.plan.plan import Limit

SUMS = ("nodes", "branches")


def deadline_in(time_limit: float | None) -> float:
    """Return the time of `time.perf_counter` some seconds from now; inf for no limit."""
    return math.inf if time_limit is None else time.perf_counter() + time_limit


class Work:
    """Counts and limits of a search.

    Parameters
    ----------
    time_limit
        Seconds from now, None for no limit.
    threads
        Threads of each pass over the utilities.

    Attributes
    ----------
    limit
        What stopped the search, None if nothing did.
    counts
        Sizes and steps by name; of a size, the greatest.
    """

    def __init__(self, time_limit: float | None, threads: int) -> None:
        self.deadline = deadline_in(time_limit)
        self.threads = threads
        self.limit: Limit | None = None
        self.counts: dict[str, int] = {}

    def add(self, **counts: int) -> None:
        """Count what was done."""
        for name, count in counts.items():
            before = self.counts.get(name, 0)
            self.counts[name] = before + count if name in SUMS else max(before, count)

    @property
    def left(self) -> float | None:
        """Seconds that are left, None without a limit."""
        return None if self.deadline == math.inf else max(self.deadline - time.perf_counter(), 0.0)

    @property
    def late(self) -> bool:
        """Whether the search has to end."""
        if self.limit is None and time.perf_counter() > self.deadline:
            self.limit = "time"
        return self.limit is not None
