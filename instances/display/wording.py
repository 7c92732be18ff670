"""How figures are written, the same in the terminal, in plots and on the page."""

from __future__ import annotations

from robatch.instances.errors import InputError

PROVEN = 1e-9  # a relative gap up to this counts as none: the plan is proven best
NONE = "–"  # noqa: RUF001 (a dash for a missing figure)


def gap(value: float | None) -> str:
    """Write a relative gap in percent: "0" only where it is proven to be none."""
    if value is None:
        return NONE
    if abs(value) <= PROVEN:
        return "0"
    percent = 100 * value
    if 0 < percent < 1e-4:
        return "<0.0001 %"
    return f"{percent:.{_decimals(percent, 2)}f} %"


def utility(value: float | None) -> str:
    """Write a utility or a bound with six significant digits, at least two decimals."""
    return NONE if value is None else f"{value:.{max(2, _decimals(value, 6))}f}"


def usd(value: float | None) -> str:
    """Write a cost with four significant digits."""
    return NONE if value is None else f"{value:.{_decimals(value, 4)}f}" if value >= 1e-6 else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """Write a time in s, ms or µs."""
    if value is None:
        return NONE
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * scale >= 1 or unit == "µs":
            return f"{value * scale:.{_decimals(value * scale, 3)}f} {unit}"
    raise AssertionError


def ratio(value: float | None) -> str:
    """Write how many times as much as something else it is."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 10 else f"{value:.{_decimals(value, 2)}f}"


def fraction(value: float) -> str:
    """Write a budget fraction in percent."""
    return f"{100 * value:.4g} %"


def size(value: float | None) -> str:
    """Write bytes in KiB, MiB or GiB."""
    if value is None:
        return NONE
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale or unit == "KiB":
            return f"{value / scale:.{_decimals(value / scale, 3)}f} {unit}"
    raise AssertionError


def count(value: float | None) -> str:
    """Write a whole number."""
    return NONE if value is None else f"{value:,.0f}"


def failure(error: Exception) -> str:
    """Write what went wrong as one sentence."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return first if isinstance(error, InputError) else f"{type(error).__name__}: {first}"


def _decimals(value: float, digits: int) -> int:
    """Return the decimals that show so many significant digits."""
    if value == 0:
        return 0
    power = int(f"{value:.{digits - 1}e}".split("e")[1])  # after rounding: 0.999 is 1.0
    return max(0, digits - 1 - power)
