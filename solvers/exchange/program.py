"""The program as other solvers are given it: named, and as the minimization of negative utility."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import FloatArray
from robatch.solvers.exchange.names import column_names, row_names
from robatch.solvers.mip.formulation import MipModel


@dataclass(frozen=True, eq=False)
class Program:
    """``minimize costs x`` subject to rows, ``0 <= x <= upper``, x whole.

    Attributes
    ----------
    model
        The program of the mixed-integer backends.
    columns, rows
        Names.
    costs
        Negative utility of each column, scaled as the model's.
    """

    model: MipModel
    columns: list[str]
    rows: list[str]
    costs: FloatArray

    @classmethod
    def of(cls, model: MipModel) -> Program:
        """Name a model's columns and rows, and turn its objective."""
        return cls(model, column_names(model.columns), row_names(model), 0.0 - model.objective)

    def comments(self) -> Iterator[str]:
        """Yield the lines that a file begins with."""
        scale, soft = self.model.objective_scale, not np.isnan(self.model.right).all()
        yield "RoBatch: choose a model and a batch size for every query, within a budget"
        yield f"{self.model.problem.n_queries} queries, budget {self.model.budget!r} USD, {self.model.cost} cost"
        yield "This is a MINIMIZATION of negative utility, since some readers heed no word on the sense:"
        yield "utility = - objective" + ("" if scale == 1.0 else f" / {scale!r}")
        yield "x_<query>_<model>_<batch size> = 1: the query is answered in this state; y_<model>_<batch size>: calls"
        if soft:
            yield "To check a solution and to make a plan of it: robatch plan-from"

    def entries(self) -> Iterator[tuple[str, list[tuple[str, float]], bool, float]]:
        """Yield each row: name, columns and values that are not 0, whether it is an equation, and its right side."""
        for name, (used, values, lower, upper) in zip(self.rows, self.model.rows(), strict=True):
            terms = zip(used, values.tolist(), strict=True)
            yield name, [(self.columns[j], value) for j, value in terms if value], lower == upper, upper


def figure(value: float) -> str:
    """Return a number in the fewest digits that read back as the same float64: at most 17."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
