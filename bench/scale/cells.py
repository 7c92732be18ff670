"""What the scaling benchmark solves: series of generated problems of growing size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

from robatch.instances.errors import InputError
from robatch.instances.families import FAMILIES, generate
from robatch.instances.problem import Problem
from robatch.instances.scalars import whole

Form = Literal["dense", "factored"]
Dtype = Literal["float64", "float32"]

FACTORED = ("realistic",)
"""Families whose utilities can be held as factors."""

MOST_BATCH_SIZES = 20
"""Batch sizes 1, 2, 4 and so on of a model."""


@dataclass(frozen=True, slots=True)
class Series:
    """Problems of one kind, to be solved at every size.

    Parameters
    ----------
    family
        A family of `robatch.instances.generate`.
    models, batch_sizes
        Number of models, and of batch sizes 1, 2, 4 ... of each.
    form
        How utilities are held: ``"dense"`` or ``"factored"``.
    dtype
        ``"float64"`` or ``"float32"``.
    threads
        Threads of every solver.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    family: str = "realistic"
    models: int = 4
    batch_sizes: int = 6
    form: Form = "dense"
    dtype: Dtype = "float64"
    threads: int = 1

    def __post_init__(self) -> None:
        families = [name for name in FAMILIES if name != "from-knapsack"]  # its shape is always the same
        for name, allowed in (("family", families), ("form", get_args(Form)), ("dtype", get_args(Dtype))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}: one of {', '.join(allowed)} is needed")
        if self.form == "factored" and self.family not in FACTORED:
            raise InputError(f"form is 'factored' for family {self.family!r}: only {', '.join(FACTORED)} has factors")
        whole("models", self.models, 2 if self.family == "adversarial" else 1)
        whole("batch_sizes", self.batch_sizes, 1, most=MOST_BATCH_SIZES)
        whole("threads", self.threads, 1, most=1024)

    @property
    def shape(self) -> str:
        """Models times batch sizes, such as ``"4x6"``."""
        return f"{self.models}x{self.batch_sizes}"

    @property
    def states(self) -> int:
        """Number of states."""
        return self.models * self.batch_sizes

    @property
    def held(self) -> str:
        """How utilities are held, and the number of threads, in words."""
        return f"{self.form} {self.dtype} · {self.threads} thread{'s' if self.threads > 1 else ''}"

    @property
    def title(self) -> str:
        """The series in words."""
        return f"{self.family} · {self.shape} · {self.held}"

    def problem(self, queries: int, seed: int) -> Problem:
        """Return the problem of a size."""
        sizes = tuple(2**power for power in range(self.batch_sizes))
        factored = self.form == "factored"
        return generate(self.family, queries, self.models, sizes, seed, self.dtype, factored)

    def input_bytes(self, queries: int) -> int:
        """Return about how many bytes the problem's arrays take."""
        width = (self.models if self.form == "factored" else self.states) + 1 + self.models
        return queries * width * (8 if self.dtype == "float64" else 4)

    def making_bytes(self, queries: int) -> int:
        """Return about how many bytes are in use at most while the problem is made.

        Families are made in float64: about 1.8 times as much as they take then, 3 times for factors.
        """
        width = (self.models if self.form == "factored" else self.states) + 1 + self.models
        return round(queries * width * 8 * (3.0 if self.form == "factored" else 1.8))


def input_bytes(problem: Problem) -> int:
    """Return how many bytes a problem's arrays take."""
    arrays: tuple[Any, ...] = (
        problem.utility, problem.base_utility, problem.retention, problem.input_tokens, problem.output_tokens,
    )  # fmt: skip
    return sum(array.nbytes for array in arrays if array is not None)


def series_of(
    families: Sequence[str] = ("realistic",),
    shapes: Sequence[str] = ("4x6",),
    forms: Sequence[str] = ("dense",),
    dtypes: Sequence[str] = ("float64",),
    threads: Sequence[int] = (1,),
) -> tuple[Series, ...]:
    """Return every combination; the form ``"factored"`` only for families that have it.

    Raises
    ------
    InputError
        If a value is not allowed, or nothing is left.
    """
    made: list[Series] = []
    for family, shape, form, dtype, count in product(families, shapes, forms, dtypes, threads):
        if form == "factored" and family in FAMILIES and family not in FACTORED:
            continue
        models, sizes = parse_shape(shape)
        made.append(Series(family, models, sizes, form, dtype, count))  # type: ignore[arg-type]  # Series checks them
    if not made:
        raise InputError("nothing to solve: of these families none can be held as factors, or a list is empty")
    return tuple(dict.fromkeys(made))


def parse_shape(text: str) -> tuple[int, int]:
    """Return the numbers of models and of batch sizes of a shape such as ``"4x6"``.

    Raises
    ------
    InputError
        If it is none.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        raise InputError(f"shape is {text!r}: MODELSxSIZES is needed, such as 4x6 for 4 models of 6 batch sizes")
    return int(parts[0]), int(parts[1])


def sizes_of(least: int, most: int) -> tuple[int, ...]:
    """Return the powers of ten from one to another."""
    return tuple(10**power for power in range(round(math.log10(least)), round(math.log10(most)) + 1))
