"""Short warm-ups, and a solver whose behaviour tests choose by size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from robatch.bench.common import compilation
from robatch.bench.common.compilation import WARM_UP_S
from robatch.solvers import Answer, Request, Solver, register, registry


@pytest.fixture(autouse=True)
def short_warm_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warm up on two queries alone: no test asserts times, and test_compilation.py tests the warm-ups."""
    monkeypatch.setattr(compilation, "SMALL_SIZES", (2,))
    monkeypatch.setattr(compilation, "HARD", ())


@pytest.fixture
def sized() -> Iterator[dict[str, Any]]:
    """Give a third party's solver that does what a test wants at some sizes; it keeps the sizes it was asked."""
    state: dict[str, Any] = {"sizes": [], "do": {}}

    def run(request: Request) -> Answer:
        n = request.problem.n_queries
        if request.time_limit != WARM_UP_S:
            state["sizes"].append(n)
            if n in state["do"]:
                return state["do"][n](request)
        return Answer(request.problem.cheapest_assignment)

    register(Solver("fake", "for a test", run))
    yield state
    registry.unregister("fake")
