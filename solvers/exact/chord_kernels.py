"""Numba kernels of a multiple-choice knapsack of whole numbers: its load, exact shadow price, and lattice bound.

Profits and weights stand turned, (items, classes), so that classes are vector lanes. All numbers are whole and kept in
float64, where their sums are exact.

* Scale: of about 200 utilities, continued fractions find the least number of parts of 1 of which all are multiples;
  every one is checked while it is loaded.
* Price: a sample of the classes sets a bracket around the price; from there, the price of the chord between the sums at
  both ends replaces one of them until no class lies above the chord: the exact price of the linear relaxation.
* Lattice: all differences of weight and profit within classes lie on a two-dimensional lattice, and so do weight and
  profit of every plan, counted from one of them. The line at the price caps profit at every weight of the lattice;
  lowered to the lattice there, the greatest of these caps bounds every plan. Where profits are weights plus a constant
  for each step, that is the optimum itself.

Sources: Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European Journal of Operational
Research 83, 1995, and "A fast algorithm for strongly correlated knapsack problems", Discrete Applied Mathematics 89,
1998; Dyer, Mathematical Programming 29, 1984; Kellerer, Pferschy and Pisinger, "Knapsack Problems", 2004, chapter 11.
They stand in one file, though it is long, as a kernel calls only helpers of its own file.
"""

from __future__ import annotations

import math

import numpy as np

from robatch.instances.arrays import Array
from robatch.instances.compilation import njit

TILE = 256
SAMPLED, EVERY = 6000, 24  # classes from which on a sample of one in so many sets the bracket of the price
ROWS = 64  # that are turned at a time
NEAR = 1e-14  # relative: what a multiple of a part may err by
MOST_STEPS = 20_000  # of the lattice, that the cap is looked for at
LARGEST = 2.0**40  # number that is taken for whole
OPTIMAL, OPEN, INFEASIBLE = 0, 1, 2


@njit(cache=True, nogil=True, inner=True)
def gcd(a: int, b: int) -> int:
    """Return the greatest common divisor, of two zeros 0."""
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def denominator(x: float, most: int) -> int:
    """Return the least denominator up to `most` of a fraction near a number, by its continued fraction; 0 without."""
    tolerance = NEAR * max(1.0, abs(x))
    q0, q1, p0, p1 = 0.0, 1.0, 1.0, np.floor(x)
    y = x - p1
    while abs(p1 - x * q1) > tolerance * q1:
        if y < 1e-12:
            return 0
        y = 1.0 / y
        a = np.floor(y)
        y -= a
        q0, q1 = q1, a * q1 + q0
        p0, p1 = p1, a * p1 + p0
        if q1 > most:
            return 0
    return int(q1)


@njit(cache=True, nogil=True, error_model="numpy")
def find_parts(utility: Array, most: int) -> int:
    """Return the least number of parts of 1, up to `most`, of which a sample of (N, S) utilities is whole, or 0."""
    n = utility.shape[1]
    count = utility.shape[0] * n
    step = max(count // 199, 1) | 1
    parts = 1
    for i in range(0, count, step):
        x = utility[i // n, i % n]
        if x < 0.0:  # not allowed
            continue
        y = x * parts
        if abs(y - np.rint(y)) > NEAR * max(y, 1.0):
            q = denominator(x, most)
            if q == 0:
                return 0
            parts = parts // gcd(parts, q) * q
            if parts > most:
                return 0
    return parts


@njit(cache=True, nogil=True, error_model="numpy")
def load(  # wide: fields of a problem, as kernels take them
    utility: Array, banned: Array, inputs: Array, outputs: Array, column: Array,
    prices: Array, share: Array, parts: int, profit: Array, weight: Array,
) -> bool:  # fmt: skip
    """Write profits, utilities in parts, and weights, both (S, N); return whether all are whole and not too large.

    What is `banned`, (N, S) or (0, 0), stands as a copy of the query's first state that is not.
    """
    n, width = utility.shape
    scale = np.float64(parts)
    direct = inputs.shape[1] == width and outputs.shape[1] == 1 and prices[0, 0] == 1.0
    for s in range(width):
        direct = direct and share[s] == 0.0 and prices[0, column[s]] == 1.0 and prices[1, column[s]] == 0.0
    p, w = np.empty((ROWS, width)), np.empty((ROWS, width))
    off = top = wide = 0.0
    for begin in range(0, n, ROWS):
        rows = min(ROWS, n - begin)
        u_, in_ = utility[begin : begin + rows], inputs[begin : begin + rows]
        if direct:
            for r in range(rows):
                for s in range(width):
                    p[r, s] = u_[r, s] * scale
                    w[r, s] = in_[r, s]
        else:
            for r in range(rows):
                for s in range(width):
                    k = column[s]
                    t_in = np.float64(inputs[begin + r, k if inputs.shape[1] > 1 else 0])
                    t_out = np.float64(outputs[begin + r, k if outputs.shape[1] > 1 else 0])
                    p[r, s] = u_[r, s] * scale
                    w[r, s] = t_in * prices[0, k] + t_out * prices[1, k] + share[s]
        if banned.shape[0] > 0:
            for r in range(rows):
                first = 0
                while banned[begin + r, first]:
                    first += 1
                for s in range(width):
                    if banned[begin + r, s]:
                        p[r, s], w[r, s] = p[r, first], w[r, first]
        for r in range(rows):
            for s in range(width):
                x, y = p[r, s], np.rint(p[r, s])
                off = max(off, abs(x - y) - NEAR * x)
                off = max(off, abs(w[r, s] - np.rint(w[r, s])))
                top, wide = max(top, y), max(wide, w[r, s])
                p[r, s] = y
        if off > 0.0 or not (top < LARGEST and wide < LARGEST):
            return False
        for s in range(width):
            p_, w_ = profit[s, begin : begin + rows], weight[s, begin : begin + rows]
            for r in range(rows):
                p_[r] = p[r, s]
                w_[r] = w[r, s]
    return bool(n * max(top, wide) < 2.0**52)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"}, inner=True)
def total(numbers: Array) -> float:
    """Return the sum of whole numbers."""
    found = 0.0
    for r in range(numbers.size):
        found += numbers[r]
    return found


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"}, inner=True)
def best_at(profits: Array, weights: Array, price: float, bp: Array, bw: Array) -> tuple[float, float]:
    """Write profit and weight of every class's best item at a price; return their sums."""
    k = profits.shape[1]
    total_p = total_w = 0.0
    top = np.empty(TILE)
    for b in range(0, k, TILE):
        m = min(TILE, k - b)
        xp, xw = bp[b : b + m], bw[b : b + m]
        p_, w_ = profits[0, b : b + m], weights[0, b : b + m]
        for r in range(m):
            xp[r], xw[r] = p_[r], w_[r]
            top[r] = p_[r] - price * w_[r]
        for s in range(1, profits.shape[0]):
            p_, w_ = profits[s, b : b + m], weights[s, b : b + m]
            for r in range(m):
                v = p_[r] - price * w_[r]
                better = v > top[r]
                xp[r] = p_[r] if better else xp[r]
                xw[r] = w_[r] if better else xw[r]
                top[r] = v if better else top[r]
        for r in range(m):
            total_p += xp[r]
            total_w += xw[r]
    return total_p, total_w


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"}, inner=True)
def ends(profits: Array, weights: Array, ends_: Array, sums: Array) -> None:
    """Write profit and weight of each class's lightest item and of its best one (4, k), and their sums (4,)."""
    hp, hw, lp, lw = ends_[0], ends_[1], ends_[2], ends_[3]
    k = profits.shape[1]
    for r in range(k):
        hp[r] = lp[r] = profits[0, r]
        hw[r] = lw[r] = weights[0, r]
    for s in range(1, profits.shape[0]):
        p_, w_ = profits[s], weights[s]
        for r in range(k):
            p, w = p_[r], w_[r]
            light = (w < hw[r]) | ((w == hw[r]) & (p > hp[r]))
            hp[r] = p if light else hp[r]
            hw[r] = w if light else hw[r]
            good = (p > lp[r]) | ((p == lp[r]) & (w < lw[r]))
            lp[r] = p if good else lp[r]
            lw[r] = w if good else lw[r]
    for j in range(4):
        sums[j] = total(ends_[j, :k])


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def undecided(profits: Array, weights: Array, at: Array) -> tuple[Array, Array, int, float, float]:
    """Keep the classes whose items at the two prices differ; return these, and profit and weight of the others."""
    n, m = profits.shape
    hp, hw, lp, lw = at[0], at[1], at[2], at[3]
    q = 0
    for r in range(m):
        q += 1 if (hw[r] != lw[r]) | (hp[r] != lp[r]) else 0
    if 2 * q > m:
        return profits, weights, m, 0.0, 0.0
    where = np.empty(q, np.int32)
    q = 0
    fixed_p = fixed_w = 0.0
    for r in range(m):
        if hw[r] != lw[r] or hp[r] != lp[r]:
            where[q] = r
            hp[q], hw[q], lp[q], lw[q] = hp[r], hw[r], lp[r], lw[r]
            q += 1
        else:
            fixed_p += hp[r]
            fixed_w += hw[r]
    some_p, some_w = np.empty((n, q)), np.empty((n, q))
    for s in range(n):
        for i in range(q):
            some_p[s, i] = profits[s, where[i]]
            some_w[s, i] = weights[s, where[i]]
    return some_p, some_w, q, fixed_p, fixed_w


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def chords(profits: Array, weights: Array, c: float, fixed_p: float, fixed_w: float, sums: Array, at: Array) -> float:
    """Replace an end of the bracket by the items at the chord's price until no class lies above it: that is the price.

    `sums` (4,) and `at` (6, k) hold profit and weight at the high and the low price, and space for those in between.
    """
    high, low, mid = 0, 2, 4  # rows of `at` with the items at the two prices, and in between
    high_p, high_w, low_p, low_w = sums[0], sums[1], sums[2], sums[3]
    price = 0.0
    for step in range(100):
        price = (low_p - high_p) / (low_w - high_w)
        p, w = best_at(profits, weights, price, at[mid], at[mid + 1])
        p += fixed_p
        w += fixed_w
        if p - price * w <= max(low_p - price * low_w, high_p - price * high_w) + 1e-13 * (abs(p) + price * abs(w)):
            break
        if w <= c:
            high_p, high_w = p, w
            high, mid = mid, high
        else:
            low_p, low_w = p, w
            low, mid = mid, low
        m = profits.shape[1]
        if m > 256 and step >= 1:
            left = 0
            hp, hw, lp, lw = at[high], at[high + 1], at[low], at[low + 1]
            for r in range(m):
                left += 1 if (hw[r] != lw[r]) | (hp[r] != lp[r]) else 0
            if left * 3 < m:
                for r in range(m):  # `undecided` reads the first four rows
                    x0, x1, x2, x3 = hp[r], hw[r], lp[r], lw[r]
                    at[0, r], at[1, r], at[2, r], at[3, r] = x0, x1, x2, x3
                high, low, mid = 0, 2, 4
                profits, weights, m, more_p, more_w = undecided(profits, weights, at)
                fixed_p += more_p
                fixed_w += more_w
    return price


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def sampled_bracket(profits: Array, weights: Array, c: float, sums: Array, at: Array) -> bool:
    """Bracket the price by that of a sample, give or take four standard deviations; return whether it is bracketed."""
    n, k = profits.shape
    m = k // EVERY
    some_p, some_w = np.empty((n, m)), np.empty((n, m))
    for s in range(n):
        for r in range(m):
            some_p[s, r], some_w[s, r] = profits[s, r * EVERY], weights[s, r * EVERY]
    ends(some_p, some_w, at, sums)
    target = c * (m / k)
    if not sums[1] < target < sums[3]:
        return False
    guess = chords(some_p, some_w, target, 0.0, 0.0, sums, at)
    _, less = best_at(some_p, some_w, guess * 0.98, at[4], at[5])
    _, more = best_at(some_p, some_w, guess * 1.02, at[4], at[5])
    mean, variance = more / m, 0.0
    for r in range(m):
        variance += (at[5, r] - mean) ** 2
    width = min(max(0.04 * 4.0 * math.sqrt(variance) / max(less - more, 1e-300), 1e-6), 0.5)
    sums[0], sums[1] = best_at(profits, weights, guess * (1 + width), at[0], at[1])
    sums[2], sums[3] = best_at(profits, weights, guess * (1 - width), at[2], at[3])
    return bool(sums[1] <= c < sums[3])


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def losses(profits: Array, weights: Array, price: float, tie: float, base: Array, heaviest: Array) -> None:
    """Write, of every class, its worth at a price and profit and weight of the lightest best item.

    Then the least loss of its other items: (4, k); and the weight of the `heaviest` best one: (k,).
    """
    n, k = profits.shape
    for b in range(0, k, TILE):
        m = min(TILE, k - b)
        v, xp, xw = base[0, b : b + m], base[1, b : b + m], base[2, b : b + m]
        z, yw = base[3, b : b + m], heaviest[b : b + m]
        for r in range(m):
            v[r] = yw[r] = -np.inf
            xw[r] = z[r] = np.inf
            xp[r] = 0.0
        for s in range(n):
            p_, w_ = profits[s, b : b + m], weights[s, b : b + m]
            for r in range(m):
                v[r] = max(v[r], p_[r] - price * w_[r])
        for s in range(n):
            p_, w_ = profits[s, b : b + m], weights[s, b : b + m]
            for r in range(m):
                p, w = p_[r], w_[r]
                loss = v[r] - (p - price * w)
                ties = loss <= tie
                light = ties & (w < xw[r])
                xp[r] = p if light else xp[r]
                xw[r] = w if light else xw[r]
                yw[r] = w if ties & (w > yw[r]) else yw[r]
                z[r] = loss if (not ties) & (loss < z[r]) else z[r]


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def fill_ties(  # wide: what `losses` wrote
    profits: Array,
    weights: Array,
    price: float,
    tie: float,
    base: Array,
    heaviest: Array,
    room: float,
) -> None:
    """Of what is best alike, take the heaviest item of each class that fits, class by class."""
    n, k = profits.shape
    for r in range(k):
        if heaviest[r] == base[2, r]:
            continue
        base[3, r] = 0.0
        at, to = -1, base[2, r]
        for s in range(n):
            w = weights[s, r]
            if w > to and w - base[2, r] <= room and base[0, r] - (profits[s, r] - price * w) <= tie:
                at, to = s, w
        if at >= 0:
            room -= to - base[2, r]
            base[1, r], base[2, r] = profits[at, r], to


@njit(cache=True, nogil=True, inner=True)
def insert(a: int, b: int, d: int, x: int, y: int) -> tuple[int, int, int]:
    """Return the Hermite normal form (a, b), (0, d) of a lattice and one vector (x, y) more."""
    while x != 0:
        q = a // x
        a, b, x, y = x, y, a - q * x, b - q * y
    if a < 0:
        a, b = -a, -b
    d = gcd(d, y)
    if d > 0:
        b %= d
    return a, b, d


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def lattice(profits: Array, weights: Array, bp: Array, bw: Array) -> tuple[int, int, int]:
    """Return the basis (a, b), (0, d) of all differences of weight and profit within classes."""
    n, k = profits.shape
    a = b = d = 0
    for q in range(0, k, TILE):
        e = min(q + TILE, k)
        off = 1.0
        if q > 0:
            fa, fb, fd = float(max(a, 1)), float(b), float(max(d, 1))
            ia, id_ = 1.0 / fa, (1.0 / fd if d > 0 else 0.0)
            off = 0.0
            for s in range(n):
                p_, w_ = profits[s], weights[s]
                for r in range(q, e):
                    x, y = w_[r] - bw[r], p_[r] - bp[r]
                    t = np.rint(x * ia)
                    y -= t * fb
                    off = max(off, abs(x - t * fa) + abs(y - np.rint(y * id_) * fd))
        if off > 0.0:
            for r in range(q, e):
                for s in range(n):
                    a, b, d = insert(a, b, d, int(weights[s, r] - bw[r]), int(profits[s, r] - bp[r]))
                if a == 1 and d == 1:
                    return a, b, d
    return a, b, d


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def target(  # wide: a basis, a point on it, and a line
    a: int, b: int, d: int, p: float, w: float, c: float, bound: float, price: float, slack: float
) -> float:
    """Return the greatest profit of a lattice point of weight at most c below ``bound + price * (weight - c)``.

    The lattice has the basis (a, b), (0, d) and goes through (w, p); `slack` is what that line may err by.
    """
    if a == 0:
        return p if d == 0 else p + d * math.floor((bound + slack - p) / d)
    begin = math.floor((c - w) / a)
    best = -np.inf
    for j in range(MOST_STEPS):
        i = begin - j
        line = bound + price * (w + i * a - c) + slack
        if line < best + 1.0:
            return best
        here = p + i * b
        if d == 0:
            if here <= line:
                best = max(best, here)
        else:
            best = max(best, here + d * np.floor((line - here) / d))
    return float(math.floor(bound + slack))


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def swap(profits: Array, weights: Array, bp: Array, bw: Array, room: float) -> tuple[float, int, int]:
    """Return the greatest gain of one item in another's place that fits the room, and item and class, or -1."""
    n, k = profits.shape
    best, item, tile = 0.0, -1, -1
    for s in range(n):
        p_, w_ = profits[s], weights[s]
        for b in range(0, k, TILE):
            e = min(b + TILE, k)
            most = 0.0
            for r in range(b, e):
                gain = p_[r] - bp[r]
                most = max(most, gain if w_[r] - bw[r] <= room else 0.0)
            if most > best:
                best, item, tile = most, s, b
    if item >= 0:
        for r in range(tile, min(tile + TILE, k)):
            if weights[item, r] - bw[r] <= room and profits[item, r] - bp[r] == best:
                return best, item, r
    return 0.0, -1, -1


# places in the figures that `relax` writes
PRICE, BOUND, BASE_P, BASE_W, CAPACITY, TARGET, PLAN_P, GRAIN, UNIT, SLACK = range(10)


@njit(cache=True, nogil=True, error_model="numpy")
def relax(profits: Array, weights: Array, c: float, base: Array, plan: Array, out: Array) -> int:
    """Solve the linear relaxation, bound all plans, and make one: `OPTIMAL` if it is proven, `OPEN`, or `INFEASIBLE`.

    Parameters
    ----------
    profits, weights
        Profits and weights, whole: (items, classes).
    c
        The capacity, whole.
    base
        Receives, of each class, its worth at the price, profit and weight of its item, the base, and the least loss of
        another item: (4, classes).
    plan
        Receives profit and weight of each class's item: (2, classes).
    out
        Receives the figures that are named above: the price; the linear bound at the capacity, which is lowered to the
        lattice; profit and weight of the bases; the greatest profit that a plan can have; that of the plan; the step of
        weights of the lattice, and that of profits; and what the bound may err by.
    """
    k = profits.shape[1]
    at, sums = np.empty((6, k)), np.empty(4)
    fixed_p = fixed_w = 0.0
    some_p, some_w = profits, weights
    if k > SAMPLED and sampled_bracket(profits, weights, c, sums, at):
        some_p, some_w, _, fixed_p, fixed_w = undecided(profits, weights, at)
    else:
        ends(profits, weights, at, sums)
        if sums[1] > c:
            return INFEASIBLE
        if sums[3] <= c:
            for r in range(k):
                plan[0, r], plan[1, r] = at[2, r], at[3, r]
            out[PRICE], out[BOUND], out[TARGET], out[PLAN_P] = 0.0, sums[2], sums[2], sums[2]
            return OPTIMAL
    top = wide = 0.0
    for r in range(k):
        top, wide = max(top, at[2, r]), max(wide, at[3, r])
    price = chords(some_p, some_w, c, fixed_p, fixed_w, sums, at)
    tie = 1.6e-15 * (top + price * wide)  # what worths can err: some units in the last place
    slack = 2.0 * tie * k + 1e-9
    for attempt in range(60):
        losses(profits, weights, price, tie, base, at[4])
        if total(base[2]) <= c:
            break
        price *= 1 + 1e-15 * 4.0**attempt
    fill_ties(profits, weights, price, tie, base, at[4], c - total(base[2]))
    bp, bw = base[1], base[2]
    p, w = total(bp), total(bw)
    bound = p + price * (c - w)
    for r in range(k):
        bound += base[0, r] - (bp[r] - price * bw[r])
        plan[0, r], plan[1, r] = bp[r], bw[r]
    out[PRICE], out[BASE_P], out[BASE_W], out[PLAN_P], out[SLACK] = price, p, w, p, slack
    out[BOUND], out[CAPACITY], out[TARGET], out[GRAIN], out[UNIT] = bound, c, np.floor(bound + slack), 1.0, 1.0
    if w == c or p >= out[TARGET]:
        out[TARGET] = p
        return OPTIMAL
    a, b, d = lattice(profits, weights, bp, bw)
    out[TARGET] = min(out[TARGET], target(a, b, d, p, w, c, bound, price, slack))
    out[UNIT] = float(max(gcd(b, d), 1))
    if a > 0:
        out[GRAIN], out[CAPACITY] = float(a), w + a * np.floor((c - w) / a)
        out[BOUND] -= price * (c - out[CAPACITY])
    if p < out[TARGET]:
        gain, s, r = swap(profits, weights, bp, bw, out[CAPACITY] - w)
        if s >= 0:
            plan[0, r], plan[1, r] = profits[s, r], weights[s, r]
            out[PLAN_P] = p + gain
    return OPTIMAL if out[PLAN_P] >= out[TARGET] else OPEN


@njit(cache=True, nogil=True, error_model="numpy")
def choose(profits: Array, weights: Array, plan: Array, banned: Array, choice: Array) -> None:
    """Write the item of each class that has the profit and the weight of the plan, and is not banned: (classes,)."""
    n, k = profits.shape
    for b in range(0, k, TILE):
        m = min(TILE, k - b)
        c_, x, y = choice[b : b + m], plan[0, b : b + m], plan[1, b : b + m]
        for s in range(n):
            p_, w_ = profits[s, b : b + m], weights[s, b : b + m]
            if banned.shape[0] == 0:
                for r in range(m):
                    c_[r] = s if (p_[r] == x[r]) & (w_[r] == y[r]) else c_[r]
            else:
                for r in range(m):
                    if p_[r] == x[r] and w_[r] == y[r] and not banned[b + r, s]:
                        c_[r] = s
