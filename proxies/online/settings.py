"""The settings of an online router, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole
from robatch.proxies.online.pacing import Pacer, Unit

ROUNDING = 1e-12  # part of the budget that is never spent: the bills' rounding in float64 stays below it


@dataclass(frozen=True)
class RouterSettings:
    """The arguments of `OnlineRouter` that are single values, as it documents them."""

    shadow_price: float | None
    budget: float | None
    horizon: float | None
    unit: Unit
    max_wait: float
    step: float
    window_margin: float

    def __post_init__(self) -> None:
        above = "a finite number above 0"
        if self.shadow_price is not None:
            self._set("shadow_price", number("shadow_price", self.shadow_price))
        if self.budget is not None:
            self._set("budget", number("budget", self.budget))
        if self.unit not in ("queries", "seconds"):
            raise InputError(f"unit is {self.unit!r}: 'queries' or 'seconds' is needed")
        if self.horizon is not None:
            if self.unit == "queries":
                self._set("horizon", whole("horizon", self.horizon, 1, most=2**53))
            else:
                self._set("horizon", number("horizon", self.horizon, needed=above, above=True))
            if self.budget is None:
                raise InputError(f"horizon is {self.horizon} and budget is None: a horizon needs a budget to pace")
        elif self.shadow_price is None:
            raise InputError("shadow_price and horizon are None: give a shadow price, or a budget and its horizon")
        if self.budget == 0.0 and self.shadow_price is None:  # only what is free is affordable, at any price
            self._set("shadow_price", 0.0)
        if not (isinstance(self.max_wait, (int, float, np.number)) and self.max_wait >= 0.0):
            raise InputError(f"max_wait is {self.max_wait!r}: seconds of at least 0, or inf, are needed")
        self._set("max_wait", float(self.max_wait))
        self._set("step", number("step", self.step, needed=above, above=True))
        below = "a number from 0 to below 1"
        self._set("window_margin", number("window_margin", self.window_margin, needed=below, most=1.0 - 1e-9))

    def _set(self, name: str, value: float) -> None:
        object.__setattr__(self, name, value)

    @property
    def limit(self) -> float:
        """USD that calls may bill."""
        return math.inf if self.budget is None else self.budget * (1.0 - ROUNDING)

    def pacer(self) -> Pacer | None:
        """Make what adapts the price; None without a horizon, and where there is nothing to pace."""
        if self.horizon is None or self.budget == 0.0:
            return None
        return Pacer(self.limit, self.horizon, self.unit, self.step, self.shadow_price)
