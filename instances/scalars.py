"""Checks of single values.

Each returns the value in its plain form, or raises an `InputError` that names it, its value and what is `needed`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
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
    raise InputError(f"{name} is {shown(value)}: {needed or finite_range(least, most)} is needed")


def finite_range(least: float, most: float) -> str:
    """Return how messages name the finite numbers from `least` to `most`."""
    return "a finite number " + (f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}")


def shown(value: Any) -> str:
    """Return a value as messages show it: shortened where it is long."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).splitlines())
    except ValueError:  # one with a whole number of very many digits within
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


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
    raise InputError(f"{name} is {shown(value)}: {needed or f'a whole number of at least {least}'} is needed")


def batch_sizes(value: Any, owner: str = "") -> tuple[int, ...]:
    """Return batch sizes in ascending order; `owner` follows the field in messages, such as " of model 'm'"."""
    try:
        given = tuple(value)
    except TypeError:
        raise InputError(f"batch_sizes{owner} is {value!r}: whole numbers are needed") from None
    name = f"a batch size{owner}" if owner else "a size in batch_sizes"
    sizes = tuple(whole(name, size, 1) for size in given)
    if not sizes:
        raise InputError(f"batch_sizes{owner} is empty: at least one batch size is needed")
    if repeated(sizes) is not None:
        raise InputError(f"batch_sizes{owner} is {sizes}: each batch size may stand only once")
    return tuple(sorted(sizes))


def repeated(values: Sequence[Hashable]) -> Any:
    """Return the first value that stands there more than once, or None if all differ."""
    return next((value for value, count in Counter(values).items() if count > 1), None)
