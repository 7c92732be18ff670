"""Metrics of the field: worked by hand, against dense sampling, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robatch.bench import aiq, apgr, cost_at_quality, non_decreasing_hull, peak, pgr
from robatch.instances import InputError

# The cheapest point first; (2, 0.5) lies under the line from (1, 0.4) to (3, 0.8), (5, 0.7) falls.
COST = (3.0, 1.0, 5.0, 2.0, 4.0)
QUALITY = (0.8, 0.4, 0.7, 0.5, 0.9)


def naive_hull(cost: np.ndarray, quality: np.ndarray, at: float) -> float:
    """Best quality that a point, or a coin between two points, has for at most this much; 0 for none."""
    best = 0.0
    for c1, q1 in zip(cost, quality, strict=True):
        if c1 <= at:
            best = max(best, q1)
        for c2, q2 in zip(cost, quality, strict=True):
            if c1 <= at < c2:
                best = max(best, q1 + (q2 - q1) * (at - c1) / (c2 - c1))
    return best


def naive_mean(cost: np.ndarray, quality: np.ndarray, low: float, high: float, steps: int = 1500) -> float:
    middles = low + (high - low) * (np.arange(steps) + 0.5) / steps
    return float(np.mean([naive_hull(cost, quality, at) for at in middles]))


def test_hull_by_hand() -> None:
    cost, quality = non_decreasing_hull(COST, QUALITY)
    assert cost.tolist() == [1.0, 3.0, 4.0]
    assert quality.tolist() == [0.4, 0.8, 0.9]


@pytest.mark.parametrize(
    ("cost", "quality", "corners"),
    [
        ([2.0], [0.3], [(2.0, 0.3)]),
        ([1.0, 1.0, 1.0], [0.2, 0.5, 0.4], [(1.0, 0.5)]),
        ([1.0, 2.0, 3.0], [0.5, 0.4, 0.5], [(1.0, 0.5)]),
        ([0.0, 1.0, 2.0], [0.0, 0.5, 1.0], [(0.0, 0.0), (2.0, 1.0)]),
        ([0.0, 1.0, 2.0, 3.0], [0.0, 0.9, 0.8, 0.9], [(0.0, 0.0), (1.0, 0.9)]),
    ],
    ids=["one point", "one cost", "falling", "in a line", "rising again"],
)
def test_hull_corner_cases(cost: list[float], quality: list[float], corners: list[tuple[float, float]]) -> None:
    assert list(zip(*non_decreasing_hull(cost, quality), strict=True)) == corners


@pytest.mark.parametrize("seed", range(6))
def test_hull_and_aiq_against_dense_sampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, quality = rng.uniform(0.5, 4.0, 6), rng.uniform(0.0, 1.0, 6)
    corners, heights = non_decreasing_hull(cost, quality)
    assert (np.diff(corners) > 0).all()
    assert (np.diff(heights) > 0).all()
    assert (np.diff(np.diff(heights) / np.diff(corners)) < 0).all()
    for at in rng.uniform(corners[0], 5.0, 40):
        assert np.interp(at, corners, heights) == pytest.approx(naive_hull(cost, quality, at), abs=1e-12)
    for low, high in ((0.0, 6.0), (1.0, 2.0), (3.0, 3.5), (4.5, 5.0), (0.1, 0.4)):
        assert aiq(cost, quality, low, high) == pytest.approx(naive_mean(cost, quality, low, high), abs=2e-3)


def test_aiq_by_hand() -> None:
    # 0 up to 1, then trapezoids of 1.2 and 0.85, then flat at 0.9.
    assert aiq(COST, QUALITY, 0.0, 6.0) == pytest.approx((1.2 + 0.85 + 1.8) / 6.0)
    assert aiq(COST, QUALITY, 2.0, 3.0) == pytest.approx(0.7)
    assert aiq(COST, QUALITY, 4.0, 9.0) == pytest.approx(0.9)
    assert aiq(COST, QUALITY, 0.0, 1.0) == 0.0


def test_pgr() -> None:
    assert pgr(0.6, 0.4, 0.8) == pytest.approx(0.5)
    assert isinstance(pgr(1, 0, 2), float)
    assert pgr([0.4, 0.8, 1.0, 0.2], 0.4, 0.8) == pytest.approx([0.0, 1.0, 1.5, -0.5])


def test_apgr_by_hand() -> None:
    weak, strong = (1.0, 0.4), (5.0, 0.8)
    assert apgr([1.0, 5.0], [0.4, 0.8], weak, strong) == pytest.approx(0.5)  # a coin
    assert apgr([1.0], [0.4], weak, strong) == 0.0
    assert apgr([1.0], [0.8], weak, strong) == pytest.approx(1.0)
    # PGR 0 up to 3, then from 0.5 to 1 at 4, then 1.
    assert apgr([3.0, 4.0], [0.6, 0.8], weak, strong) == pytest.approx((0.75 + 1.0) / 4.0)
    assert apgr([0.5, 9.0], [0.8, 0.8], weak, strong) == pytest.approx(1.0)
    assert apgr([7.0], [0.9], weak, strong) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_apgr_against_dense_sampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, quality = rng.uniform(1.5, 4.0, 7), rng.uniform(0.3, 0.9, 7)
    weak, strong = (1.0, 0.35), (3.5, 0.8)
    middles = 1.0 + 2.5 * (np.arange(1500) + 0.5) / 1500
    mean = np.mean([(naive_hull(cost, quality, at) - 0.35) / 0.45 if at >= cost.min() else 0.0 for at in middles])
    assert apgr(cost, quality, weak, strong) == pytest.approx(mean, abs=2e-3)


def test_cost_at_quality() -> None:
    assert cost_at_quality(COST, QUALITY, 1.0, 0.6) == pytest.approx(2.0)
    assert cost_at_quality(COST, QUALITY, 0.95, 0.9) == pytest.approx(3.55)
    assert cost_at_quality(COST, QUALITY, 1.0, 0.9) == 4.0
    assert cost_at_quality(COST, QUALITY, 0.5, 0.2) == 1.0  # below the first point: that point
    assert cost_at_quality(COST, QUALITY, 0.99, 0.95) is None


@pytest.mark.parametrize("seed", range(4))
def test_cost_at_quality_is_the_least(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, quality = rng.uniform(0.5, 4.0, 8), rng.uniform(0.2, 1.0, 8)
    found = cost_at_quality(cost, quality, 0.95, float(quality.max()))
    assert found is not None
    assert naive_hull(cost, quality, found) >= 0.95 * quality.max() - 1e-12
    assert found == cost.min() or naive_hull(cost, quality, found - 1e-6) < 0.95 * quality.max()


def test_peak() -> None:
    assert peak(QUALITY) == 0.9


@pytest.mark.parametrize(
    ("cost", "quality", "words"),
    [
        ([1.0, 2.0], [0.5], "cost has 2 entries and quality 1"),
        ([1.0, math.nan], [0.5, 0.5], "cost holds nan"),
        ([1.0, 2.0], [0.5, math.inf], "quality holds inf"),
        ([1.0, -2.0], [0.5, 0.5], "cost holds -2"),
        ([], [], "cost has shape"),
        ([[1.0]], [[0.5]], "cost has shape"),
        (["a"], [0.5], "cost is not a sequence of numbers"),
    ],
)
def test_bad_points(cost: list[float], quality: list[float], words: str) -> None:
    for call in (
        lambda: non_decreasing_hull(cost, quality),
        lambda: aiq(cost, quality, 0.0, 1.0),
        lambda: apgr(cost, quality, (1.0, 0.2), (2.0, 0.8)),
        lambda: cost_at_quality(cost, quality, 0.95, 0.8),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_bad_numbers() -> None:
    for low, high in ((1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(InputError, match="low must be below high"):
            aiq(COST, QUALITY, low, high)
    with pytest.raises(InputError, match=r"low is -1"):
        aiq(COST, QUALITY, -1.0, 1.0)
    with pytest.raises(InputError, match="high is nan"):
        aiq(COST, QUALITY, 0.0, math.nan)
    with pytest.raises(InputError, match=r"strong is 0\.4: a quality above"):
        pgr(0.5, 0.4, 0.4)
    with pytest.raises(InputError, match="quality is nan"):
        pgr(math.nan, 0.4, 0.8)
    with pytest.raises(InputError, match="strong costs 1: more than"):
        apgr(COST, QUALITY, (1.0, 0.4), (1.0, 0.8))
    with pytest.raises(InputError, match="pair"):
        apgr(COST, QUALITY, 0.4, (1.0, 0.8))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="share is 0"):
        cost_at_quality(COST, QUALITY, 0.0, 0.8)
    with pytest.raises(InputError, match="best is 0"):
        cost_at_quality(COST, QUALITY, 0.95, 0.0)
    with pytest.raises(InputError, match="at least one point"):
        peak([])
