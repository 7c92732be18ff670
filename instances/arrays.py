"""The arrays that signatures name, and read-only views of them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
RealArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
NOT_ALLOWED = -np.inf  # stands for the utility of a (query, state) pair that is not allowed

Kind = TypeVar("Kind", bound=np.generic)


def read_only(array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """Return a read-only, C-contiguous view of an array, or of a copy of it."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
