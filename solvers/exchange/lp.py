"""The LP format of CPLEX, in the part of it that every reader takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from robatch.solvers.exchange.program import Program, figure

WIDTH = 200  # of a line: some readers end one at 255 characters


def lp_lines(program: Program) -> Iterator[str]:
    """Yield the lines of a program in LP format.

    The objective names every column, also where it costs nothing: readers number columns as they meet them. Sections
    have their long names, as CBC takes ``bin`` and ``gen`` for columns.
    """
    yield from (f"\\ {line}" for line in program.comments())
    yield "Minimize"
    yield from _sum("negative_utility", zip(program.columns, program.costs.tolist(), strict=True))
    yield "Subject To"
    for name, terms, equation, right in program.entries():
        yield from _sum(name, terms or [(program.columns[0], 0.0)], f" {'=' if equation else '<='} {figure(right)}")
    yield "Bounds"
    uppers = np.asarray(program.model.upper).tolist()
    yield from (f" 0 <= {name} <= {figure(upper)}" for name, upper in zip(program.columns, uppers, strict=True))
    yield "Generals"
    yield from (f" {line}" for line in _lines(program.columns))
    yield "End"


def _sum(name: str, terms: Iterable[tuple[str, float]], end: str = "") -> Iterator[str]:
    """Yield the lines of a named sum, and what ends it."""
    texts = [f"{'-' if value < 0 else '+'} {figure(abs(value))} {column}" for column, value in terms]
    lines = [f" {line}" for line in _lines(texts)]
    lines[0] = f" {name}:{lines[0]}"
    yield from lines[:-1]
    yield f"{lines[-1]}{end}"


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield texts with blanks between them, in lines that are not too long."""
    line = ""
    for text in texts:
        if line and len(line) + len(text) >= WIDTH:
            yield line
            line = ""
        line += f" {text}" if line else text
    yield line
