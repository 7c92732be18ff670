"""Predictions block by block, on all cores; what is asked twice is predicted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from robatch.instances.arrays import FloatArray, IntArray
from robatch.proxies.utility.features import n_rows
from robatch.solvers.bounds.threads import over_ranges, thread_count

_ROWS = 4096  # queries predicted at a time, so that features need little memory
_CHARACTERS = 2**21  # of the texts of a block, on average
_STEP = 64  # a block has a multiple of so many queries: matrix products round the last few rows in another way


def over_blocks(
    X: Any,  # noqa: N803
    run: Callable[[Any], Sequence[FloatArray]],
    widths: Sequence[int],
    threads: int | None,
) -> list[FloatArray]:
    """Return what `run` finds for each query, in one array (N, W) for each of the `widths`.

    `X` is a list of texts, or an array by rows; `run` gets parts of it, on as many threads as there are cores where
    `threads` is None. The blocks do not depend on how many there are, and so no result does.
    """
    asked, place = _distinct(X) if isinstance(X, list) else (X, None)
    rows = n_rows(asked)
    found = [np.empty((rows, width)) for width in widths]

    def fill(begin: int, end: int) -> None:
        for array, part in zip(found, run(asked[begin:end]), strict=True):
            array[begin:end] = part

    size = _block_rows(asked)
    ranges = [(begin, min(begin + size, rows)) for begin in range(0, rows, size)]
    if len(ranges) == 1:
        fill(0, rows)
    else:
        with threadpool_limits(limits=1):  # the cores have blocks of their own
            over_ranges(fill, ranges, thread_count(threads))
    return found if place is None else [array[place] for array in found]


def _distinct(texts: list[str]) -> tuple[list[str], IntArray | None]:
    """Return every text once, and the place of each query's among them; None where all differ."""
    numbers = dict.fromkeys(texts, 0)
    if len(numbers) == len(texts):
        return texts, None
    numbers = {text: i for i, text in enumerate(numbers)}
    return list(numbers), np.fromiter(map(numbers.__getitem__, texts), dtype=np.int64, count=len(texts))


def _block_rows(X: Any) -> int:  # noqa: N803
    if not isinstance(X, list):
        return _ROWS
    rows = _CHARACTERS * len(X) // (1 + sum(map(len, X)))
    return max(_STEP, min(_ROWS, rows // _STEP * _STEP))
