"""Kernels as Python: what stands in for arrays of records, and how a call that takes too long is given up.

Records of NumPy are slow, and their fields are attributes in compiled code only. A kernel that runs as Python sees
objects instead, made when it first looks at a record, and what it changed is written at the end.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np


class Impatient(BaseException):
    """Raised within a kernel that has run as Python for as long as it may."""


class Here(threading.local):
    """What runs as Python in this thread.

    Attributes
    ----------
    deadline
        Of `time.thread_time`, until which it may run; None where nothing does.
    """

    deadline: float | None = None

    def check(self) -> None:
        """Give up when it is time; kernels that only kernels call do so first of all."""
        if self.deadline is not None and time.thread_time() > self.deadline:
            raise Impatient


here = Here()


class Records(dict[Any, Any]):
    """The records of an array by their place, as objects, with the array's size and shape."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        super().__init__()
        self.array, self.shape, self.size = array, array.shape, array.size
        self.kind = record_type(array.dtype)

    def __missing__(self, place: Any) -> Any:
        made = self[place] = self.kind(self.array[place].item())
        return made

    def write(self) -> None:
        """Write what has changed."""
        for place, one in self.items():
            now = self.kind.fields(one)
            if now != one._was:
                self.array[place] = now


@cache
def record_type(dtype: np.dtype[Any]) -> Any:
    """Return a class of objects with the fields of a record, and what these were before."""
    names = dtype.names or ()

    def make(self: Any, values: tuple[Any, ...]) -> None:
        self._was = values
        for name, value in zip(names, values, strict=True):
            setattr(self, name, value)

    fields = staticmethod(attrgetter(*names))
    return type("Record", (), {"__slots__": (*names, "_was"), "__init__": make, "fields": fields})


def run(function: Callable[..., Any], args: tuple[Any, ...], patience: float = math.inf) -> Any:
    """Run a kernel's function as Python, and return what compiled code does: Python's numbers, but arrays.

    Raises
    ------
    Impatient
        If it takes longer than so many seconds. Its arguments are then as they were.
    """
    records: dict[int, Records] = {}
    arrays: dict[int, tuple[Any, Any]] = {}

    def seen(value: Any) -> Any:
        if isinstance(value, tuple):
            parts = [seen(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if isinstance(value, np.ndarray) and value.dtype.names:
            return records.setdefault(id(value), Records(value))
        if isinstance(value, np.ndarray) and value.flags.writeable and patience < math.inf:
            arrays[id(value)] = value, value.copy()
        return value

    given = [seen(one) for one in args]
    before, here.deadline = here.deadline, time.thread_time() + patience
    try:
        with np.errstate(all="ignore"):
            result = plain(function(*given))
    except Impatient:
        for array, kept in arrays.values():
            array[...] = kept
        raise
    finally:
        here.deadline = before
    for one in records.values():
        one.write()
    return result


def plain(value: Any) -> Any:
    """Return a result with Python's numbers, alone or in tuples, in place of NumPy's."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


def numbers_in(value: Any) -> int:
    """Count the elements of arrays, alone or in tuples."""
    if isinstance(value, np.ndarray):
        return value.size
    return sum(map(numbers_in, value)) if isinstance(value, tuple) else 1
