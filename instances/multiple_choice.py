"""Multiple-choice knapsacks as problems, their text files, and Pisinger's random classes.

A class is a query, an item one of its options: a model of batch size 1, whose prices are 0, at a cost of its own. Take
one item of every class, within the capacity, so that the profits add up to the most.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robatch.instances.arrays import FloatArray, IntArray
from robatch.instances.errors import InputError
from robatch.instances.files import read_text
from robatch.instances.model import Model
from robatch.instances.own_costs import MOST_USD
from robatch.instances.scalars import number, shown

LARGEST = 1000  # of the random profits and weights, R


class Classes(NamedTuple):
    """Profits and weights of ragged classes: those of class i stand from ``first[i]`` to ``first[i + 1]``."""

    profits: FloatArray
    weights: FloatArray
    first: IntArray

    @classmethod
    def of(cls, profits: Any, weights: Any) -> Classes:
        """Check profits and weights, a sequence of numbers for each class."""
        (flat_p, first), (flat_w, widths) = (_flattened(*one) for one in (("profits", profits), ("weights", weights)))
        if len(first) != len(widths):
            raise InputError(
                f"profits has {len(first) - 1} classes and weights has {len(widths) - 1}: as many are needed"
            )
        if (first != widths).any():
            i = int(np.argmax(np.diff(first) != np.diff(widths)))
            raise InputError(
                f"profits[{i}] has {first[i + 1] - first[i]} items and weights[{i}] has {widths[i + 1] - widths[i]}: "
                "one of each is needed for every item"
            )
        return cls(flat_p, flat_w, first)

    def fields(self, capacity: float | None) -> dict[str, Any]:
        """Return the fields of the problem; profits are divided by a power of two, which rounds nothing."""
        counts = np.diff(self.first)
        n, width = len(counts), int(counts.max())
        top = float(self.profits.max())
        scale = 2.0 ** max(math.ceil(math.log2(top)), -1000) if top > 0.0 else 1.0
        scale = scale if top <= scale else 2.0 * scale
        filled = np.arange(width) < counts[:, None]
        utility, costs = np.zeros((n, width)), np.zeros((n, width))
        utility[filled], costs[filled] = self.profits / scale, self.weights
        return {
            "models": [Model(f"option-{j + 1}", 0.0, 0.0, batch_sizes=(1,)) for j in range(width)],
            "utility": utility,
            "costs": costs,
            "forbidden": None if filled.all() else ~filled,
            "capacity": None if capacity is None else number("capacity", capacity),
            "profit_scale": scale,
        }


def _flattened(name: str, given: Any) -> tuple[FloatArray, IntArray]:
    """Return the numbers of all classes, and where each class begins."""
    try:
        if isinstance(given, np.ndarray) and given.ndim == 2:
            flat, counts = given.astype(np.float64).ravel(), np.full(len(given), given.shape[1])
        else:
            rows = [np.asarray(row) for row in given]
            wrong = next((i for i, row in enumerate(rows) if row.ndim != 1 or row.dtype.kind not in "fiub"), None)
            if wrong is not None and rows[wrong].size:
                raise InputError(f"{name}[{wrong}] is {shown(given[wrong])}: a sequence of numbers is needed")
            counts = np.array([len(row) for row in rows], dtype=np.int64)
            flat = np.concatenate([row.astype(np.float64) for row in rows]) if rows else np.empty(0)
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(f"{name} is {shown(given)}: a sequence of numbers for each class is needed") from None
    if not len(counts):
        raise InputError(f"{name} is empty: a knapsack needs at least one class")
    if counts.min() == 0:
        raise InputError(f"{name}[{int(np.argmin(counts))}] is empty: every class needs at least one item")
    first: IntArray = np.concatenate([[0], np.cumsum(counts)])
    high = MOST_USD if name == "weights" else 1e300
    wrong_ = ~((flat >= 0.0) & (flat <= high))
    if wrong_.any():
        at = int(np.argmax(wrong_))
        i = int(np.searchsorted(first, at, side="right")) - 1
        raise InputError(f"{name}[{i}][{at - first[i]}] is {flat[at]:g}: a finite number from 0 to {high:g} is needed")
    return flat, first


def read_mckp(path: str | os.PathLike[str]) -> tuple[Classes, float | None]:
    """Read a multiple-choice knapsack from a text file, and its capacity if there is one.

    The text holds numbers with blanks or line ends between them, and remarks from ``#`` to the end of a line: first the
    number of classes; then, for each class, the number of its items, followed by profit and weight of each item; then
    the capacity, which may be left out.

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    what = f"multiple-choice knapsack {os.fspath(path)!r}"
    words = [
        word
        for line in read_text(path, "multiple-choice knapsack").splitlines()
        for word in line.partition("#")[0].split()
    ]
    numbers: list[float] = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            raise InputError(f"{what} holds {shown(word)}: only numbers and remarks after # are allowed") from None

    def count(place: int, of: str) -> int:
        value = numbers[place] if place < len(numbers) else math.nan
        if not 1 <= value <= 2**31 - 1 or value != int(value):
            held = f"is {value:g}" if place < len(numbers) else "is missing"
            raise InputError(f"the number of {of} in {what} {held}: a whole number of at least 1 is needed")
        return int(value)

    place, profits, weights = 1, [], []
    for i in range(count(0, "classes")):
        end = place + 1 + 2 * count(place, f"items of class {i + 1}")
        if end > len(numbers):
            raise InputError(f"{what} ends within class {i + 1}: profit and weight of each of its items are needed")
        profits.append(numbers[place + 1 : end : 2])
        weights.append(numbers[place + 2 : end : 2])
        place = end
    if len(numbers) > place + 1:
        raise InputError(
            f"{what} holds {len(numbers) - place} numbers after its classes: at most the capacity is allowed"
        )
    return Classes.of(profits, weights), numbers[place] if place < len(numbers) else None


# ---- Pisinger's random classes

Pair = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _uncorrelated(rng: np.random.Generator, shape: tuple[int, int], largest: int) -> Pair:
    return rng.integers(1, largest, shape, endpoint=True), rng.integers(1, largest, shape, endpoint=True)


def _weakly(rng: np.random.Generator, shape: tuple[int, int], largest: int) -> Pair:
    weights = rng.integers(1, largest, shape, endpoint=True)
    return np.maximum(weights + rng.integers(-10, 10, shape, endpoint=True), 1), weights


def _strongly(rng: np.random.Generator, shape: tuple[int, int], largest: int) -> Pair:
    steps = np.sort(rng.integers(1, max(2 * largest // shape[1], 1), shape, endpoint=True), axis=1)
    return np.cumsum(steps + 10, axis=1), np.cumsum(steps, axis=1)


def _subset_sum(rng: np.random.Generator, shape: tuple[int, int], largest: int) -> Pair:
    weights = rng.integers(1, largest, shape, endpoint=True)
    return weights, weights


def _zig_zag(rng: np.random.Generator, shape: tuple[int, int], largest: int) -> Pair:
    profits, weights = _uncorrelated(rng, shape, largest)
    return np.sort(profits, axis=1), np.sort(weights, axis=1)


_MAKERS: dict[str, Callable[[np.random.Generator, tuple[int, int], int], Pair]] = {
    "mckp-uncorrelated": _uncorrelated,
    "mckp-weakly-correlated": _weakly,
    "mckp-strongly-correlated": _strongly,
    "mckp-subset-sum": _subset_sum,
    "mckp-zig-zag": _zig_zag,
}
KNAPSACK_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "mckp-uncorrelated": "multiple-choice knapsack of whole numbers: profits and weights from 1 to R",
        "mckp-weakly-correlated": "multiple-choice knapsack: a profit is its weight, give or take 10, at least 1",
        "mckp-strongly-correlated": "multiple-choice knapsack: items add up steps w from 1 to 2 R / n, and w + 10",
        "mckp-subset-sum": "multiple-choice knapsack: a profit is its weight",
        "mckp-zig-zag": "multiple-choice knapsack: profits and weights from 1 to R, each sorted (Sinha, Zoltners 1979)",
    }
)
"""Pisinger's classes (European Journal of Operational Research 83, 1995), with a short description of each."""


def random_classes(
    family: str, classes: int, items: int, rng: np.random.Generator, largest: int = LARGEST
) -> tuple[IntArray, IntArray, int]:
    """Return profits and weights (classes, items) of a random knapsack, whole numbers to `largest`, and its capacity.

    The capacity is half of the sum of the least weight of each class and the weight of its item of most profit, of
    these the lightest, rounded down. Sources of the classes: Pisinger, "A minimal algorithm for the multiple-choice
    knapsack problem", European Journal of Operational Research 83, 1995; Sinha and Zoltners, Operations Research 27,
    1979.
    """
    profits, weights = _MAKERS[family](rng, (classes, items), largest)
    best = np.lexsort((weights, -profits), axis=1)[:, 0]
    dearest = int(weights[np.arange(classes), best].sum())
    return profits, weights, (int(weights.min(axis=1).sum()) + dearest) // 2
