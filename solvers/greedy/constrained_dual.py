"""The Lagrangian dual of coupled constraints: multipliers, a proven bound, and whether there is any plan.

With a multiplier of at least 0 for each row, every query is by itself best served in the state of greatest
reduced profit: utility less what it uses at these prices. Their sum, and what the right-hand sides are worth, bounds
the utility of every plan. This dual function is convex and piecewise linear; it is minimized by Newton's method on
a softened one (Nesterov, "Smooth minimization of non-smooth functions", Mathematical Programming 103, 2005), whose
temperature falls step by step, projected onto multipliers of at least 0 (Bertsekas, "Projected Newton methods for
optimization problems with simple constraints", SIAM Journal on Control and Optimization 20, 1982) and damped
(Levenberg and Marquardt). Bounds are always those of the function itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import BoolArray, FloatArray, IntArray
from robatch.instances.kernels import Flat
from robatch.solvers.bounds.relaxation import DUAL_ROUNDING, sample
from robatch.solvers.bounds.threads import over_ranges
from robatch.solvers.greedy import constrained_kernels as kernels
from robatch.solvers.greedy.constrained_kernels import Multipliers, Sides

PARTS = 16  # ranges of queries at most: they do not depend on the threads
TEMPERATURE = 0.05  # the first one, in utility
COOLING = 0.25  # factor from one temperature to the next
COLDEST = 1e-9
DAMPING = 1e-3  # the first at each temperature; above it, rows without curvature are damped too
STUCK = 1e6  # damping beyond which a step is so short that the next temperature is better
PASSES = 200  # over all queries, at most
TOLERANCE = 1e-7  # of the bound: what the temperature may still cost
SAMPLED = 16_384  # queries above which a sample comes first
WARM = 1.5e-3  # temperature down to which a sample is solved, and at which all queries go on
SAMPLED_PER_GROUP = 64  # queries of a constrained group that a sample has on average, at least


@dataclass(frozen=True, eq=False)
class Point:
    """The dual function at some multipliers.

    Attributes
    ----------
    x
        The multipliers times the rows' scales: (rows,).
    value
        A bound on the utility of every plan, rounding included.
    soft, loss, utility
        The softened dual function; by how much the fractional assignment falls short of their sum; its utility.
    slope
        Derivative of the softened function by x: (rows,).
    outer, cross, inner
        Second derivatives: of the rows before the groups', between these and the groups', within each group.
    """

    x: FloatArray
    value: float
    soft: float
    loss: float
    utility: float
    slope: FloatArray
    outer: FloatArray
    cross: FloatArray
    inner: FloatArray


class Dual:
    """The dual function of a problem, or of a sample of it.

    Parameters
    ----------
    flat, sides
        The problem.
    most, scale
        Right-hand sides and scales of the rows, see `robatch.solvers.greedy.constrained_rows`.
    threads
        Threads of each pass.
    """

    def __init__(self, flat: Flat, sides: Sides, most: FloatArray, scale: FloatArray, threads: int = 1) -> None:
        self.flat, self.sides, self.most, self.scale, self.threads = flat, sides, most, scale, threads
        self.active = np.isfinite(most)
        self.right = np.where(self.active, most, 0.0)
        self.models = flat.prices.shape[1]
        self.first = 1 + 3 * self.models
        self.groups = (len(most) - self.first) // 2
        self.passes = 0

    def multipliers(self, x: FloatArray) -> Multipliers:
        """Return unscaled multipliers as the kernels take them."""
        prices = x / self.scale
        by_model = np.ascontiguousarray(prices[1 : self.first].reshape(3, self.models))
        by_group = np.ascontiguousarray(prices[self.first :].reshape(2, self.groups).T)
        return Multipliers(prices[:1], by_model, by_group)

    def at(self, x: FloatArray, temperature: float) -> Point:
        """Evaluate at scaled multipliers of at least 0."""
        nothing, none = np.empty(0, dtype=np.int64), np.empty(0)
        return self._pass(x, temperature, nothing, none)

    def best_states(self, x: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return each query's best state at scaled multipliers, and by how much it beats the next: (N,)."""
        states, margin = np.empty(self.flat.n_queries, dtype=np.int64), np.empty(self.flat.n_queries)
        self._pass(x, 0.0, states, margin)
        return states, margin

    def _pass(self, x: FloatArray, temperature: float, states: IntArray, margin: FloatArray) -> Point:
        self.passes += 1
        multipliers, rows = self.multipliers(x), self.flat.n_queries
        count = min(PARTS, max(rows // 1024, 1))
        ranges = [(rows * j // count, rows * (j + 1) // count) for j in range(count)]
        parts = over_ranges(
            lambda begin, end: kernels.dual(
                begin, end, temperature, multipliers, states, margin, self.flat, self.sides
            ),
            ranges,
            self.threads,
        )
        best = math.fsum(float(part[0][j]) for part in parts for j in (0, 1))
        above, loss, utility, mass = (math.fsum(float(part[0][j]) for part in parts) for j in range(2, 6))
        use, by_group, outer, cross, inner = (sum(part[j] for part in parts) for j in range(1, 6))
        sides = x / self.scale * self.right
        right = math.fsum(sides)
        value = right + best
        value += DUAL_ROUNDING * (mass + float(np.abs(sides).sum()) + abs(value))
        scale, hot = self.scale, max(temperature, COLDEST)
        head, tail = scale[: self.first], scale[self.first :].reshape(2, self.groups).T
        slope = np.where(self.active, (self.right - np.concatenate([use, by_group.T.ravel()])) / scale, 0.0)
        return Point(
            x, value, right + best + above, loss, utility, slope,
            outer / (hot * np.outer(head, head)),
            cross / (hot * head[:, None] * tail[:, None, :]),
            inner / (hot * tail[:, :, None] * tail[:, None, :]),
        )  # fmt: skip

    def sampled(self, rows: IntArray) -> Dual:
        """Return the dual of some of the queries, with the right-hand sides that are their due."""
        codes = self.sides.codes
        part = len(rows) / self.flat.n_queries
        due = np.full(len(self.most), part)
        if self.groups:
            slot = self.sides.slot
            all_, some = (np.bincount(slot[of] + 1, minlength=self.groups + 1)[1:] for of in (codes, codes[rows]))
            due[self.first :] = np.tile(some / all_, 2)
        most = np.where(due > 0.0, self.most * np.where(due > 0.0, due, 1.0), np.inf)
        sides = self.sides._replace(codes=codes[rows] if len(codes) else codes)
        scale = self.scale * np.where(due > 0.0, due, 1.0)
        return Dual(self.flat.take(rows), sides, most, scale, self.threads)


def newton_step(point: Point, free: BoolArray, damping: float, reach: float) -> FloatArray:
    """Return the damped Newton step in the free rows, 0 in the others: (rows,).

    Groups do not touch each other, so that their part of the matrix is in blocks of two and is eliminated first.

    Parameters
    ----------
    damping
        Part of the diagonal that is added to it.
    reach
        Greatest step where there is no curvature, beside the multiplier itself.
    """
    first = len(point.outer)
    ridge = np.abs(point.slope) / (point.x + reach) * max(1.0, damping / DAMPING)
    slope = np.where(free, point.slope, 0.0)
    head, groups = free[:first], (len(free) - first) // 2
    outer = np.where(np.outer(head, head), point.outer, 0.0)
    diagonal = np.diagonal(outer) * (1.0 + damping) + ridge[:first]
    outer[np.arange(first), np.arange(first)] = np.where(head & (diagonal > 0.0), diagonal, 1.0)
    if not groups:
        return -_solve(outer, slope)
    tail = free[first:].reshape(2, groups).T
    inner = np.where(tail[:, :, None] & tail[:, None, :], point.inner, 0.0)
    diagonals = np.einsum("gaa->ga", inner) * (1.0 + damping) + ridge[first:].reshape(2, groups).T
    for a in (0, 1):
        inner[:, a, a] = np.where(tail[:, a] & (diagonals[:, a] > 0.0), diagonals[:, a], 1.0)
    limit = (1.0 - 1e-9) * np.sqrt(inner[:, 0, 0] * inner[:, 1, 1])  # rounding must not make a block singular
    inner[:, 0, 1] = inner[:, 1, 0] = np.clip(inner[:, 0, 1], -limit, limit)
    inverse = np.linalg.inv(inner)
    cross = np.where(head[None, :, None] & tail[:, None, :], point.cross, 0.0)
    across = cross @ inverse
    right = slope[first:].reshape(2, groups).T
    outer -= np.einsum("gpa,gqa->pq", across, cross)
    front = -_solve(outer, slope[:first] - np.einsum("gpa,ga->p", across, right))
    back = -np.einsum("gab,gb->ga", inverse, right + np.einsum("gpa,p->ga", cross, front))
    return np.where(free, np.concatenate([front, back.T.ravel()]), 0.0)


def _solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve a symmetric system whose diagonal may span many orders of magnitude."""
    size = np.sqrt(np.maximum(np.diagonal(matrix), 1e-300))
    scaled = matrix / np.outer(size, size)
    scaled[np.arange(len(size)), np.arange(len(size))] += 1e-13
    try:
        found: FloatArray = np.linalg.solve(scaled, right / size) / size
    except np.linalg.LinAlgError:
        found = right / np.maximum(np.diagonal(matrix), 1e-300)
    return found if np.isfinite(found).all() else right / np.maximum(np.diagonal(matrix), 1e-300)


def descend(dual: Dual, x: FloatArray, hot: float, cold: float, passes: int = PASSES) -> Iterator[Point]:
    """Yield each point that Newton's method reaches while the temperature falls from `hot` to `cold`.

    Ends when what the temperature costs is below `TOLERANCE` of the bound, or a bound below 0 shows that there is
    no plan.
    """
    temperature, damping, reach = hot, DAMPING, 0.1 * dual.flat.n_queries
    last = dual.passes + passes
    point = dual.at(x, temperature)
    yield point
    while dual.passes < last and point.value >= 0.0:
        free = dual.active & ((point.x > 0.0) | (point.slope < 0.0))
        step = newton_step(point, free, damping, reach)
        to = np.maximum(point.x + step, 0.0)
        hoped = -float(point.slope @ (to - point.x))
        settled = not hoped > 0.1 * point.loss + 1e-12 * abs(point.value)
        if not settled:
            tried = dual.at(to, temperature)
            yield tried
            if tried.soft < point.soft - 1e-4 * hoped:
                damping = max(damping / 8.0, 1e-9)
                point = tried
                continue
            damping *= 8.0
            settled = damping > STUCK
        if settled:
            done = damping < STUCK and point.loss <= TOLERANCE * abs(point.value)
            if done or temperature <= cold:
                return
            temperature, damping = max(temperature * COOLING, cold), DAMPING
            point = dual.at(point.x, temperature)
            yield point


@dataclass(frozen=True, eq=False)
class Minimum:
    """The least value of the dual function that was found.

    Attributes
    ----------
    x
        Scaled multipliers: (rows,).
    value
        The bound there.
    infeasible
        Whether the bound proves that there is no plan.
    """

    x: FloatArray
    value: float
    infeasible: bool


def minimize(dual: Dual, price: float) -> Minimum:
    """Minimize the dual function, from a price of the budget, in utility per USD."""
    x = np.zeros(len(dual.most))
    x[0] = price * dual.scale[0]
    hot, rows = TEMPERATURE, dual.flat.n_queries
    count = max(SAMPLED // 2, SAMPLED_PER_GROUP * dual.groups)
    if rows > SAMPLED and 2 * count <= rows:
        part = dual.sampled(sample(rows, count))
        *_, last = descend(part, x * part.scale / dual.scale, TEMPERATURE, WARM)
        x, hot = last.x * dual.scale / part.scale, 2.0 * WARM
    best = Minimum(x, math.inf, False)
    for point in descend(dual, x, hot, COLDEST):
        if point.value < best.value:
            best = Minimum(point.x, point.value, point.value < 0.0)
    return best


def restricted(dual: Dual, most: FloatArray) -> Dual:
    """Return the dual with other right-hand sides."""
    return Dual(dual.flat, dual.sides, most, dual.scale, dual.threads)
