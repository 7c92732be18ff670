"""Peak memory of this process."""

from __future__ import annotations

import numpy as np
import pytest

from robatch.bench.common.peak_memory import PROC, peak_beyond, reset_peak


@pytest.mark.skipif(not (PROC / "clear_refs").exists(), reason="the system tells no peak")
def test_what_was_freed_before_counts_again() -> None:
    pieces = [np.ones(100_000) for _ in range(100)]  # small enough for the allocator to keep what is freed
    del pieces
    for size in (5_000_000, 10_000_000):
        before = reset_peak()
        assert before is not None
        pieces = [np.ones(100_000) for _ in range(size // 100_000)]
        del pieces
        peak = peak_beyond(before)
        assert peak is not None
        assert 0.9 * size * 8 < peak < 1.5 * size * 8 + 2**24


def test_nothing_is_known_where_it_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robatch.bench.common.peak_memory.PROC", PROC / "nowhere")
    assert reset_peak() is None
    assert peak_beyond(None) is None
