"""Checks of single numbers: each returns the value as a plain one or raises one clear sentence."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from robatch.instances.errors import InputError


def number(
    name: str, value: Any, least: float = 0.0, most: float = math.inf, needed: str = "", above: bool = False
) -> float:
    """Return a finite number from `least` to `most`, or strictly above `least` if `above`.

    Raises
    ------
    InputError
        If it is something else. The message names it, its value and what is `needed`.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            plain = float(value)
        except OverflowError:
            plain = math.inf
        if math.isfinite(plain) and least <= plain <= most and not (above and plain == least):
            return plain
    if not needed:
        span = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"
        needed = f"a finite number {span}"
    raise InputError(f"{name} is {value!r}: {needed} is needed")


def whole(name: str, value: Any, least: int = 0, needed: str = "", most: int = 2**31 - 1) -> int:
    """Return a whole number from `least` to `most`.

    Raises
    ------
    InputError
        If it is something else. The message names it, its value and what is `needed`.
    """
    if not isinstance(value, bool) and isinstance(value, Integral):
        plain = int(value)
        if least <= plain <= most:
            return plain
        if plain > most:
            needed = f"a whole number from {least} to {most}"
    raise InputError(f"{name} is {value!r}: {needed or f'a whole number of at least {least}'} is needed")
