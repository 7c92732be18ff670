"""Metrics of the LLM-routing field over a curve of (cost, quality) points, one point a budget or setting.

The points of a curve are of one method on one set of queries: mean or total USD, and mean quality. All integrals are
exact: the hull is piecewise linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.instances.errors import InputError
from robatch.instances.scalars import number

Floats = Sequence[float] | FloatArray


def non_decreasing_hull(cost: Floats, quality: Floats) -> tuple[FloatArray, FloatArray]:
    """Give the corners of the non-decreasing convex hull of a curve's points.

    Parameters
    ----------
    cost
        USD, not negative: (P,), in any order.
    quality
        (P,).

    Returns
    -------
    cost, quality : ndarray
        Corners of the upper hull, both strictly ascending, from the cheapest point (the best of several) to the
        cheapest of those of best quality: (H,) each. Between corners the hull is a line, beyond the last one flat;
        below the first one it does not exist.

    Raises
    ------
    InputError
        If there are no points, as many costs as qualities are not given, or a value is not allowed.

    Notes
    -----
    RouterBench (Hu et al., 2024, arXiv 2403.12031): a line between two points is reached by a coin that sends each
    query by one or the other, and nobody pays more for less.
    """
    points = _points(cost, quality)
    corners: list[tuple[float, float]] = []
    for c, q in sorted(points, key=lambda point: (point[0], -point[1])):
        if corners and q <= corners[-1][1]:
            continue
        while len(corners) > 1:
            (first, low), (middle, high) = corners[-2:]
            if (high - low) * (c - middle) > (q - high) * (middle - first):
                break
            corners.pop()
        corners.append((c, q))
    found = np.array(corners)
    return found[:, 0].copy(), found[:, 1].copy()


def aiq(cost: Floats, quality: Floats, low: float, high: float) -> float:
    """Give the average quality over a range of costs, known as average improvement in quality (AIQ).

    Parameters
    ----------
    cost, quality
        The curve's points: (P,) each.
    low, high
        The range, in the unit of `cost`; the same for all curves that are compared.

    Returns
    -------
    float
        Area under `non_decreasing_hull` from `low` to `high`, divided by ``high - low``.

    Raises
    ------
    InputError
        If a value is not allowed, or `low` is not below `high`.

    Notes
    -----
    RouterBench (Hu et al., 2024, arXiv 2403.12031). Beyond the last corner the hull stays flat. Below the first corner
    quality counts as 0: nothing can be answered for so little. RouterBench's published code does both, for a range
    from 0 to the greatest cost of all curves: it adds no area below a curve's first point, and divides by the whole.
    """
    low, high = _range(low, high)
    return _area(*non_decreasing_hull(cost, quality), low, high) / (high - low)


@overload
def pgr(quality: float, weak: float, strong: float) -> float: ...
@overload
def pgr(quality: Floats, weak: float, strong: float) -> FloatArray: ...
def pgr(quality: float | Floats, weak: float, strong: float) -> float | FloatArray:
    """Give the performance gap recovered (PGR): 0 is as good as the weak model, 1 as the strong one.

    Parameters
    ----------
    quality
        One number, or (P,).
    weak, strong
        Quality of the two models; the strong one's is greater.

    Returns
    -------
    float or ndarray
        ``(quality - weak) / (strong - weak)``, in the form of `quality`; below 0 or above 1 where it is beyond both.

    Raises
    ------
    InputError
        If a value is not finite, or `strong` is not above `weak`.

    Notes
    -----
    RouteLLM (Ong et al., 2024, arXiv 2406.18665).
    """
    weak = number("weak", weak, -np.inf, needed="a finite number")
    strong = number("strong", strong, -np.inf, needed="a finite number")
    if not strong > weak:
        raise InputError(f"strong is {strong:g}: a quality above that of the weak model, {weak:g}, is needed")
    if np.ndim(quality) == 0:
        return (number("quality", quality, -np.inf, needed="a finite number") - weak) / (strong - weak)
    return (_column("quality", quality) - weak) / (strong - weak)


def apgr(cost: Floats, quality: Floats, weak: tuple[float, float], strong: tuple[float, float]) -> float:
    """Give the average performance gap recovered (APGR) over the costs between the weak and the strong model's.

    Parameters
    ----------
    cost, quality
        The curve's points: (P,) each.
    weak, strong
        (cost, quality) of the two models, each asked alone for all queries; the strong one has more of both.

    Returns
    -------
    float
        Mean of `pgr` of `non_decreasing_hull` over all costs from the weak to the strong model's: 0 as good as the
        weak model throughout, about 1/2 for a coin, 1 as good as the strong model at once.

    Raises
    ------
    InputError
        If a value is not allowed, or the strong model does not have more of both.

    Notes
    -----
    RouteLLM (Ong et al., 2024, arXiv 2406.18665), with three differences. Theirs is the mean over the share of calls
    that go to the strong model, ours over cost: several models and batch sizes have no such share. Theirs follows the
    measured points, ours their hull. Their curves reach from one model to the other by construction; where ours begins
    above the weak model's cost, queries are sent to the weak model up to there (PGR 0), and beyond its end it stays
    flat. Points of the two models are not added to the curve.
    """
    weak_cost, weak_quality = _pair("weak", weak)
    strong_cost, strong_quality = _pair("strong", strong)
    if not strong_cost > weak_cost:
        raise InputError(f"strong costs {strong_cost:g}: more than the weak model, {weak_cost:g}, is needed")
    costs, qualities = non_decreasing_hull(cost, quality)
    recovered = pgr(qualities, weak_quality, strong_quality)
    return _area(costs, recovered, weak_cost, strong_cost) / (strong_cost - weak_cost)


def cost_at_quality(cost: Floats, quality: Floats, share: float, best: float) -> float | None:
    """Give the least cost at which a share of the best single model's quality is reached.

    Parameters
    ----------
    cost, quality
        The curve's points: (P,) each.
    share
        Above 0, such as 0.95 or 0.99.
    best
        Quality of the best single model, above 0.

    Returns
    -------
    float or None
        The cost on `non_decreasing_hull`; None where it never reaches ``share * best``.

    Raises
    ------
    InputError
        If a value is not allowed.

    Notes
    -----
    RouteLLM (Ong et al., 2024, arXiv 2406.18665) asks the like for its call-performance threshold, there the share of
    calls to the strong model that recovers a share of the performance gap.
    """
    share = number("share", share, above=True, needed="a finite number above 0")
    best = number("best", best, above=True, needed="a finite number above 0")
    costs, qualities = non_decreasing_hull(cost, quality)
    target = share * best
    if target > qualities[-1]:
        return None
    return float(np.interp(target, qualities, costs))


def peak(quality: Floats) -> float:
    """Give the best quality of a curve's points (P,), at whatever cost.

    Raises
    ------
    InputError
        If there are no points, or one is not finite.
    """
    return float(_column("quality", quality).max())


def _area(cost: FloatArray, quality: FloatArray, low: float, high: float) -> float:
    """Integrate a hull from `low` to `high`: 0 below its first corner, flat beyond its last."""
    low = max(low, float(cost[0]))
    if low >= high:
        return 0.0
    inside = cost[(cost > low) & (cost < high)]
    at = np.concatenate([[low], inside, [high]])
    return float(np.trapezoid(np.interp(at, cost, quality), at))


def _points(cost: Floats, quality: Floats) -> list[tuple[float, float]]:
    costs, qualities = _column("cost", cost), _column("quality", quality)
    if len(costs) != len(qualities):
        raise InputError(f"cost has {len(costs)} entries and quality {len(qualities)}: as many are needed")
    if costs.min() < 0.0:
        raise InputError(f"cost holds {costs.min():g}: costs of at least 0 are needed")
    return list(zip(costs.tolist(), qualities.tolist(), strict=True))


def _column(name: str, values: object) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is not a sequence of numbers") from None
    if array.ndim != 1 or len(array) == 0:
        raise InputError(f"{name} has shape {array.shape}: (P,) is needed, with at least one point")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds {array[~np.isfinite(array)][0]}: finite numbers are needed")
    return array


def _range(low: float, high: float) -> tuple[float, float]:
    low, high = number("low", low), number("high", high)
    if not low < high:
        raise InputError(f"low is {low:g} and high {high:g}: low must be below high")
    return low, high


def _pair(name: str, pair: tuple[float, float]) -> tuple[float, float]:
    try:
        cost, quality = pair
    except (TypeError, ValueError):
        raise InputError(f"{name} is {pair!r}: a pair (cost, quality) is needed") from None
    return number(f"cost of {name}", cost), number(f"quality of {name}", quality, -np.inf, needed="a finite number")
