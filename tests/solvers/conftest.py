"""A guard: no test of a solver gives HiGHS a program that it does not finish."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from robatch.solvers.mip.highs_watchdog import Watch


@pytest.fixture(autouse=True)
def no_program_stalls_highs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test in which a run of HiGHS really stalls: what is drawn there is no input to keep."""
    watched: list[Watch] = []
    make = Watch.__init__

    def kept(self: Watch) -> None:
        make(self)
        watched.append(self)

    monkeypatch.setattr(Watch, "__init__", kept)
    yield
    assert not any(watch.stalled for watch in watched), "draw another problem: HiGHS does not end on this one"
