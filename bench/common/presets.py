"""What every preset does: it takes the solvers that are installed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from robatch.solvers.registry import solvers


def installed(names: Iterable[str], baselines: Collection[str] = ()) -> tuple[str, ...]:
    """Return the solvers that are installed here, and the baselines, which are registered while a benchmark runs."""
    found = {solver.name for solver in solvers() if solver.installed}.union(baselines)
    return tuple(name for name in names if name in found)
