"""The sums of the benchmark of realized cost in words and figures: in the terminal, as Markdown, on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from robatch.bench.common.sheets import Sheet
from robatch.bench.realized.rows import RealizedRow
from robatch.bench.realized.sums import against_backends, losses, overspends, times
from robatch.instances.display import wording

Record = dict[str, Any]
Figure = tuple[str, Callable[[Record], str]]
"""The title of a column, and what it shows of a record."""

ALL = "all"

BILLED = (
    "Plans of exact for amortized cost. Over: what is billed exceeds the budget. No plan possible: some solver proved "
    "that no plan at all keeps the budget as billed; these count as over too. Mean and worst overspend are those of "
    "the plans that are over, relative to the budget."
)
LOST = (
    "Under realized cost, against the best utility of the cell where it is proven best; ≤: some of the losses "
    "are against the least proven bound instead, so the figure is an upper bound. Cells of which it is proven that no "
    "plan keeps the budget count in their column only. No plan: the solver found none in any other cell; such cells "
    "have no loss."
)
TIMES = (
    "Under realized cost. Proven: the solver itself proved its plan best, or that there is none. Stopped: by the time "
    "limit, and a proof would have taken longer. x greedy, x exact: median ratio of the times in the same cell."
)
AGAINST = (
    "How many times as long as exact the first mixed-integer solver took to the proof, in the cells that exact proved; "
    "≥: in some of them all were stopped by the time limit, so the figure is a lower bound."
)


def _count(name: str) -> Callable[[Record], str]:
    return lambda record: wording.count(record[name])


def _share(name: str) -> Callable[[Record], str]:
    return lambda record: wording.NONE if record[name] is None else f"{100 * record[name]:.0f} %"


def _seconds(name: str) -> Callable[[Record], str]:
    return lambda record: wording.seconds(record[name])


def _gap(name: str, bounds: str | None = None) -> Callable[[Record], str]:
    return lambda record: _bounded("≤ " if bounds and record[bounds] else "", wording.gap(record[name]))


def _ratio(name: str, bounds: str | None = None) -> Callable[[Record], str]:
    return lambda record: _bounded("≥ " if bounds and record[bounds] else "", wording.ratio(record[name]))


def _bounded(sign: str, text: str) -> str:
    """Write a figure that is a bound; a loss of at most 0 is none."""
    return text if text in (wording.NONE, "0") else sign + text


BY: dict[str, Figure] = {
    "queries": ("queries", _count("queries")),
    "budget_fraction": ("budget", lambda record: wording.fraction(record["budget_fraction"])),
    "family": ("family", lambda record: str(record["family"])),
}
"""The fields that sums are made by."""

OVERSPENDS: tuple[Figure, ...] = (
    ("cells", _count("cells")),
    ("proven optimum", _count("proven")),
    ("over", _count("over")),
    ("no plan possible", _count("infeasible")),
    ("share over", _share("share")),
    ("mean overspend", _gap("mean")),
    ("worst overspend", _gap("worst")),
)
LOSSES: tuple[Figure, ...] = (
    ("cells", _count("cells")),
    ("no plan possible", _count("infeasible")),
    ("optimum proven", _share("share_proven")),
    ("no plan", _count("no_plan")),
    *((f"{name} loss", _gap(name, "at_most")) for name in ("median", "mean", "worst")),
)
SECONDS: tuple[Figure, ...] = (
    *((name, _count(name)) for name in ("cells", "proven", "stopped", "errors")),
    ("median time", _seconds("median_s")),
    ("worst time", _seconds("worst_s")),
    ("x greedy", _ratio("to_greedy")),
    ("x exact", _ratio("to_exact")),
)
PROOFS: tuple[Figure, ...] = (
    ("queries", _count("queries")),
    ("cells", _count("cells")),
    ("both prove", _count("both")),
    ("only exact", _count("only_exact")),
    ("only mixed-integer", _count("only_backends")),
    ("neither", _count("neither")),
    ("median ratio", _ratio("median", "only_exact")),
    ("least ratio", _ratio("least", "only_exact")),
    ("greatest ratio", _ratio("most", "only_exact")),
)


def sheets(rows: Sequence[RealizedRow], backends: Sequence[str] = ()) -> list[Sheet]:
    """Return the sheets of all rows; those that compare with mixed-integer solvers only where these are named."""
    solvers = list(dict.fromkeys(row.solver for row in rows if row.cost == "realized"))
    rows = sorted(rows, key=lambda row: row.queries)  # stable: budgets and solvers stay in their order
    size_and_budget, family = ("queries", "budget_fraction"), ("family",)
    over, lost = partial(overspends, rows), partial(losses, rows, "greedy")
    made = [
        _sums("The amortized optimum, billed: by size and budget", BILLED, OVERSPENDS, over, size_and_budget),
        _sums("The amortized optimum, billed: by family", BILLED, OVERSPENDS, over, family),
    ]
    if "greedy" in solvers:
        made.append(_sums("Utility lost by greedy: by size and budget", LOST, LOSSES, lost, size_and_budget))
        made.append(_sums("Utility lost by greedy: by family", LOST, LOSSES, lost, family))
    made.append(_losses_by_solver(rows, solvers))
    found = sorted(times(rows, "queries"), key=lambda record: solvers.index(record["solver"]))
    of_solver: Figure = ("solver", lambda record: str(record["solver"]))
    made.append(_sheet("Times: by solver and size", TIMES, (of_solver, BY["queries"], *SECONDS), found, 2))
    against = against_backends(rows, backends)
    made.append(_sheet("exact beside the first mixed-integer solver", AGAINST, PROOFS, against, 1))
    return [sheet for sheet in made if sheet.lines]


def _sheet(title: str, note: str, figures: Sequence[Figure], records: Sequence[Record], words: int) -> Sheet:
    """Return a sheet with one line a record."""
    lines = tuple(tuple(text(record) for _, text in figures) for record in records)
    return Sheet(title, note, tuple(name for name, _ in figures), lines, words)


def _sums(
    title: str, note: str, figures: Sequence[Figure], records: Callable[..., list[Record]], by: Sequence[str]
) -> Sheet:
    """Return a sheet of sums by some fields, those by fewer of them below."""
    lines = []
    for count in range(len(by), -1, -1):
        for record in records(*by[:count]):
            labels = [BY[name][1](record) if name in record else ALL for name in by]
            lines.append((*labels, *(text(record) for _, text in figures)))
    if len(by) > 1:  # each sum below the lines that it sums up
        first = {line[0]: place for place, line in reversed(list(enumerate(lines)))}
        lines.sort(key=lambda line: (line[0] == ALL, first[line[0]]))
    columns = (*(BY[name][0] for name in by), *(name for name, _ in figures))
    return Sheet(title, note, columns, tuple(lines), len(by))


def _losses_by_solver(rows: Sequence[RealizedRow], solvers: Sequence[str]) -> Sheet:
    """Return what each solver loses by size; without its name where there is one alone."""
    sheets = [(name, _sums("", LOST, LOSSES, partial(losses, rows, name), ("queries",))) for name in solvers]
    several = len(solvers) > 1
    columns = ("queries", *(name for name, _ in LOSSES))
    lines = [(name, *line) if several else line for name, sheet in sheets for line in sheet.lines]
    title = "Utility lost: by solver and size"
    return Sheet(title, LOST, ("solver", *columns) if several else columns, tuple(lines), 1 + several)
