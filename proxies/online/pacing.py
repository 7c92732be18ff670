"""The shadow price of a budget that is spent query by query.

The price is the dual variable of the budget. It is found by online dual mirror descent (Balseiro, Lu and Mirrokni,
arXiv 2011.10124, whose entropy as reference function makes the steps multiplicative; Agrawal and Devanur, "Fast
algorithms for online stochastic convex programming"), with two changes that are this project's own:
what a query may cost is the budget that is left over the queries that are left, so that errors are made good; and
steps are divided by the root mean square of the gradients seen, so that their size needs no scale.

A price from a sample of queries is the better start: `sample_price`. Keeping such a price without pacing is what PORT
does for routing without batches (Wu and Silwal, arXiv 2509.02718: one optimization over the first queries).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from robatch.instances.errors import InputError
from robatch.instances.problem import Problem
from robatch.instances.scalars import number

Unit = Literal["queries", "seconds"]

MIN_SCALED_PRICE, MAX_SCALED_PRICE = 1e-6, 1e9
"""Bounds of the price times the budget of a query: what lies beyond cannot matter."""

WARM_UP_SHARE = 0.02  # of a horizon in seconds
MAX_LOG_STEP = 0.5  # of the price's logarithm, so that one dear query does not throw it off


def sample_price(sample: Problem, usd_per_query: float) -> float:
    """Return the shadow price of a sample of queries under amortized cost.

    Parameters
    ----------
    sample
        Queries like those that will arrive. More than some thousands gain little.
    usd_per_query
        Budget of a query in USD, such as the budget over the horizon. Where the sample cannot be answered for it,
        the price is that of the least budget at which any query is not in its cheapest state.

    Returns
    -------
    float
        Utility per extra USD at the optimum of the linear relaxation; 0 where more money buys nothing.

    Raises
    ------
    InputError
        If the budget is not above 0, or the sample has constraints that couple queries.
    """
    from robatch.solvers import solve

    budget = number("usd_per_query", usd_per_query, needed="a finite number above 0", above=True) * sample.n_queries
    if sample.constraints is not None:
        raise InputError("the sample has constraints: a shadow price needs a problem without them")
    plan = solve(sample, max(budget, sample.budget_at(1e-3)), "greedy", "amortized", threads=1)
    price = plan.shadow_price
    return price if price is not None and math.isfinite(price) else 0.0


class Pacer:
    """Adapts the price to the budget that is left.

    Parameters
    ----------
    budget
        USD.
    horizon
        Queries that are expected, or seconds from the first of them.
    unit
        What the horizon counts. Seconds are turned into queries at the mean rate since the first query, taken as if
        a part `WARM_UP_SHARE` of the horizon had passed without one: queries that come close together tell no rate.
    step
        Length of the steps: the price changes by about ``exp(step)`` over ``sqrt(queries)`` steps one way.
    price
        The price to start from; None to guess it from the first query.

    Attributes
    ----------
    price
        Utility per USD, now.
    count
        Queries seen.
    """

    def __init__(self, budget: float, horizon: float, unit: Unit, step: float, price: float | None) -> None:
        self.budget, self.horizon, self.unit, self.step = budget, horizon, unit, step
        self.price = price
        self.count = 0
        self.squares = 1.0  # mean square of the gradients
        self.scale: float | None = None  # budget of a query at the start
        self.began: float | None = None
        self.least = 0.0  # mean of the queries' least amortized cost

    def start(self, price: float | None, now: float) -> None:
        """Note the time of the first query, and the guess of a price where none is known."""
        if self.began is None:
            self.began = now
        if not self.price:
            self.price = price

    def remaining(self, now: float) -> float | None:
        """Return how many queries are still expected, 0 beyond the horizon; None before their rate is known.

        That takes a part `WARM_UP_SHARE` of a horizon in seconds.
        """
        if self.unit == "queries":
            return max(0.0, self.horizon - self.count)
        elapsed = 0.0 if self.began is None else now - self.began
        if elapsed >= self.horizon:
            return 0.0
        if elapsed < WARM_UP_SHARE * self.horizon:
            return None
        return (self.horizon - elapsed) * self.count / (elapsed + WARM_UP_SHARE * self.horizon)

    def reserve(self, now: float) -> float:
        """Return the USD to keep for the queries after the next one, so that each can have its cheapest state."""
        remaining = self.remaining(now)
        return 0.0 if remaining is None else max(0.0, remaining - 1.0) * self.least

    def observe(self, cost: float, least: float, spent: float, now: float) -> None:
        """Take one step after a query.

        `cost` and `least` are its amortized USD in its state and in its cheapest one, `spent` the USD billed so far,
        this query included.
        """
        self.count += 1
        self.least += (least - self.least) / self.count
        remaining = self.remaining(now)
        if not remaining or self.price is None:
            return  # no price or rate is known yet, or the horizon is over: the price stays
        self._descend(cost, spent, remaining, True)

    def charge(self, usd: float, spent: float, now: float) -> None:
        """Take one step after USD that counted for no query: empty seats, or a bill dearer than expected."""
        remaining = self.remaining(now)
        if remaining and usd and self.price is not None:
            self._descend(usd, spent, remaining, False)

    def _descend(self, usd: float, spent: float, remaining: float, query: bool) -> None:
        allowance = max(self.budget - spent, 0.0) / remaining
        if self.scale is None:
            self.scale = self.budget / (self.count + remaining)
        allowance = max(allowance, 1e-3 * self.scale)
        gradient = usd / allowance - (1.0 if query else 0.0)
        if query:
            self.squares += (gradient * gradient - self.squares) / (self.count + 1)
        step = self.step * gradient / math.sqrt(self.squares * (self.count + remaining))
        price = (self.price or 0.0) * math.exp(min(max(step, -MAX_LOG_STEP), MAX_LOG_STEP))
        self.price = min(max(price, MIN_SCALED_PRICE / self.scale), MAX_SCALED_PRICE / self.scale)

    def state(self) -> dict[str, float | None]:
        """Return what is not known to the router, as plain values for JSON."""
        return {"squares": self.squares, "scale": self.scale, "began": self.began, "least": self.least}

    def restore(self, saved: Any, price: float | None, count: int) -> None:
        """Take over a saved state; one without pacing gives its price and count alone.

        Raises
        ------
        InputError
            If a value is missing or not allowed.
        """
        if isinstance(saved, Mapping):
            began, scale = saved.get("began"), saved.get("scale")
            self.squares = number("squares", saved.get("squares"))
            self.scale = None if scale is None else number("scale", scale, above=True)
            self.began = None if began is None else number("began", began, -math.inf)
            self.least = number("least", saved.get("least"))
        elif saved is not None:
            raise InputError(f"pacing is {saved!r}: an object is needed")
        self.price, self.count = self.price if price is None else price, count
