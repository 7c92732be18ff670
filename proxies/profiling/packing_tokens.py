"""Input tokens of calls by how many queries they pack: not the sum of a prompt and its queries counted apart.

A tokenizer merges what stands side by side, such as the ends of two lines, and a template may number its queries. Both
add or save about as many tokens at each query, so that a call of n queries has ``shared + n * seam`` tokens beside
those of its queries asked alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class CallTokens(NamedTuple):
    """One answered call: how many queries it packed, its input tokens, and the sum of its queries' own tokens."""

    size: int
    input_tokens: float
    apart: float


class Packing(NamedTuple):
    """What calls have beside the tokens of their queries as these were measured in the smallest calls.

    Attributes
    ----------
    shared
        Tokens of every call, not negative.
    seam
        Tokens more (or, below 0, fewer) for every query.
    """

    shared: float
    seam: float


def calls_of(cell: pa.Table, own: npt.NDArray[np.float64]) -> Iterator[CallTokens]:
    """Give the answered calls of a cell of measurements; `own` are its rows' tokens in the smallest calls: (R,)."""
    columns = (cell[name].to_pylist() for name in ("repeat", "call", "call_input_tokens", "error"))
    calls: dict[tuple[int, int], CallTokens] = {}
    for repeat, call, whole, error, apart in zip(*columns, own.tolist(), strict=True):
        if error is None:  # queries that a call was asked without have their error
            so_far = calls.get((repeat, call), CallTokens(0, whole, 0.0))
            calls[repeat, call] = CallTokens(so_far.size + 1, whole, so_far.apart + apart)
    yield from calls.values()


def fit_packing(calls: Iterable[CallTokens], probed: float, own: npt.NDArray[np.float64]) -> Packing:
    """Fit the tokens that calls have beside their queries' own to a line in their size, by least squares.

    Parameters
    ----------
    calls
        Calls whose queries' own tokens are all known.
    probed
        Tokens of the shared prompt sent alone: the answer where all calls are of one size.
    own
        Tokens of every query, NaN where not known: no seam takes more than the shortest has.
    """
    rows: npt.NDArray[np.float64] = np.array(list(calls), dtype=np.float64).reshape(-1, 3)
    size, beside = rows[:, 0], rows[:, 1] - rows[:, 2]
    if len(np.unique(size)) < 2:
        return Packing(float(probed), 0.0)
    centre = size - size.mean()
    seam = float(centre @ beside / (centre @ centre))
    shared = float(beside.mean() - seam * size.mean())
    if shared < 0:
        shared, seam = 0.0, float(size @ beside / (size @ size))
    # Whole counts fit to the last digit where the tokens are a line, but for the sums' rounding.
    return Packing(round(shared, 6), round(max(seam, -float(np.nanmin(own))), 6))
