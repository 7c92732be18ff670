"""One row a solver and cell of the benchmark of realized cost, and what follows from the rows together.

A cell is an instance with a budget: the amortized optimum is billed in it, and every solver asked under realized cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from robatch.bench.common import rows as shared
from robatch.bench.common.rows import Row, gap_to, grouped, is_none

Reference = Literal["optimum", "bound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealizedRow(Row):
    """What one solver did in one cell: a `Row` with two more facts and what is compared.

    Attributes
    ----------
    family, problem_seed
        Family of the problem and the seed that it was drawn by.
    best_bound, best_known, gap
        Under realized cost the amortized optimum of the cell is taken into account, see `compare`.
    overspend
        How much more than its budget a plan bills, relative to the budget; 0 where it keeps it.
    loss
        Under realized cost: the utility lost, relative to what `loss_to` names; None where nothing is known.
    loss_to
        ``"optimum"``: the best utility of the cell, proven best by some solver. ``"bound"``: the least proven bound;
        the loss is then at most this much.
    """

    BENCHMARK: ClassVar[str] = "realized"
    COLUMNS: ClassVar[tuple[str, ...]] = (*Row.COLUMNS, "family", "problem_seed", "overspend", "loss", "loss_to")
    MEASURED: ClassVar[tuple[str, ...]] = (*Row.MEASURED, "family", "problem_seed")

    family: str
    problem_seed: int = 0
    overspend: float | None = None
    loss: float | None = None
    loss_to: Reference | None = None

    @property
    def proven(self) -> bool:
        """Whether the plan is proven best under realized cost."""
        return self.cost == "realized" and self.loss == 0 and self.loss_to == "optimum"


def compare(rows: Iterable[RealizedRow]) -> list[RealizedRow]:
    """Return rows with the fields filled in that follow from all solvers of each cell, in the same order.

    No plan bills less than its amortized cost, so the bound of the amortized optimum holds under realized cost too,
    and its plan counts there where its bill keeps the budget.
    """
    compared = shared.compare(rows)
    billed = {(row.instance, row.budget_fraction): row for row in compared if row.cost == "amortized"}
    return [_compared(row, billed.get((row.instance, row.budget_fraction))) for row in compared]


def _compared(row: RealizedRow, billed: RealizedRow | None) -> RealizedRow:
    over = None
    if row.realized_cost is not None:
        over = row.realized_cost / row.budget - 1 if row.over_budget else 0.0
    if row.cost == "amortized":
        return replace(row, overspend=over)
    bounds, utilities = [row.best_bound], [row.best_known]
    if billed is not None:
        bounds.append(billed.bound)
        if billed.realized_cost is not None and billed.realized_cost <= billed.budget:
            utilities.append(billed.utility)
    bound = min((value for value in bounds if value is not None), default=None)
    known = max((value for value in utilities if value is not None), default=None)
    proven = is_none(gap_to(bound, known))
    loss = gap_to(known if proven else bound, row.utility)
    to: Reference | None = None if loss is None else "optimum" if proven else "bound"
    gap = gap_to(bound, row.utility)
    return replace(row, best_bound=bound, best_known=known, gap=gap, overspend=over, loss=loss, loss_to=to)


def contradictions(rows: Sequence[RealizedRow]) -> list[str]:
    """Say where one solver's proof is against a plan of another: one of them is wrong."""
    found = shared.contradictions(rows)
    for cell in cells(rows):
        proofs = [row.solver for row in cell if row.status == "infeasible"]
        plans = [row.solver for row in cell if row.utility is not None]
        if proofs and plans:
            sentence = f"{plans[0]} has a plan, and {', '.join(proofs)} proved that there is none"
            found.append(f"{cell[0].place}: {sentence}")
    return found


def is_proven(row: RealizedRow) -> bool:
    """Whether the best utility of its cell is proven best, by whichever solver."""
    return is_none(gap_to(row.best_bound, row.best_known))


def cells(rows: Iterable[RealizedRow]) -> list[list[RealizedRow]]:
    """Return the rows of each cell and cost model, wherever they stand."""
    return list(grouped(rows, lambda row: row.cell).values())
