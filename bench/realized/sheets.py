"""The sums of the benchmark of realized cost in words and figures: in the terminal, as Markdown, on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robatch.bench.realized.rows import RealizedRow
from robatch.bench.realized.sums import against_backends, losses, overspends, times
from robatch.instances.display import wording

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


@dataclass(frozen=True)
class Sheet:
    """A table of words and figures.

    Attributes
    ----------
    title, note
        What it shows and how to read it.
    columns, lines
        Titles, and a list of texts a line.
    words
        How many of the first columns hold words.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    words: int = 1

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---"] * self.words + ["---:"] * (len(self.columns) - self.words)
        lines = [self.columns, rule, *([cell.replace("|", "\\|") for cell in line] for line in self.lines)]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def sheets(rows: Sequence[RealizedRow], backends: Sequence[str] = ()) -> list[Sheet]:
    """Return the sheets of all rows; those that compare with mixed-integer solvers only where these are named."""
    solvers = list(dict.fromkeys(row.solver for row in rows if row.cost == "realized"))
    rows = sorted(rows, key=lambda row: row.queries)  # stable: budgets and solvers stay in their order
    made = [
        _overspend("The amortized optimum, billed: by size and budget", rows, "queries", "budget_fraction"),
        _overspend("The amortized optimum, billed: by family", rows, "family"),
    ]
    if "greedy" in solvers:
        made.append(_loss("Utility lost by greedy: by size and budget", rows, ["greedy"], "queries", "budget_fraction"))
        made.append(_loss("Utility lost by greedy: by family", rows, ["greedy"], "family"))
    made.append(_loss("Utility lost: by solver and size", rows, solvers, "queries"))
    made.append(_times(rows, solvers))
    if against := against_backends(rows, backends):
        made.append(_against(against))
    return [sheet for sheet in made if sheet.lines]


def _overspend(title: str, rows: Sequence[RealizedRow], *by: str) -> Sheet:
    def figures(record: Mapping[str, Any]) -> list[str]:
        return [
            wording.count(record["cells"]),
            wording.count(record["proven"]),
            wording.count(record["over"]),
            wording.count(record["infeasible"]),
            _share(record["share"]),
            wording.gap(record["mean"]),
            wording.gap(record["worst"]),
        ]

    columns = ("cells", "proven optimum", "over", "no plan possible", "share over", "mean overspend", "worst overspend")
    lines = [
        [*_labels(record, by), *figures(record)] for group in _with_sums(by) for record in overspends(rows, *group)
    ]
    return Sheet(title, BILLED, (*_titles(by), *columns), _ordered(lines, len(by)), len(by))


def _loss(title: str, rows: Sequence[RealizedRow], solvers: Sequence[str], *by: str) -> Sheet:
    def figures(record: Mapping[str, Any]) -> list[str]:
        most = "≤ " if record["at_most"] else ""
        return [
            wording.count(record["cells"]),
            wording.count(record["infeasible"]),
            _share(record["share_proven"]),
            wording.count(record["no_plan"]),
            *(_bounded(most, wording.gap(record[name])) for name in ("median", "mean", "worst")),
        ]

    several = len(solvers) > 1
    lines: list[tuple[str, ...]] = []
    for solver in solvers:
        mine = [
            [*_labels(record, by), *figures(record)]
            for group in _with_sums(by)
            for record in losses(rows, solver, *group)
        ]
        lines += [(solver, *line) if several else line for line in _ordered(mine, len(by))]
    columns = ("cells", "no plan possible", "optimum proven", "no plan", "median loss", "mean loss", "worst loss")
    titles = ("solver", *_titles(by)) if several else _titles(by)
    return Sheet(title, LOST, (*titles, *columns), tuple(lines), len(titles))


def _times(rows: Sequence[RealizedRow], solvers: Sequence[str]) -> Sheet:
    columns = ("cells", "proven", "stopped", "errors", "median time", "worst time", "x greedy", "x exact")
    found = {(record["solver"], record["queries"]): record for record in times(rows, "queries")}
    lines = []
    for solver in solvers:
        for record in (found[key] for key in found if key[0] == solver):
            lines.append(
                (
                    solver,
                    wording.count(record["queries"]),
                    *(wording.count(record[name]) for name in ("cells", "proven", "stopped", "errors")),
                    wording.seconds(record["median_s"]),
                    wording.seconds(record["worst_s"]),
                    wording.ratio(record["to_greedy"]),
                    wording.ratio(record["to_exact"]),
                )
            )
    return Sheet("Times: by solver and size", TIMES, ("solver", "queries", *columns), tuple(lines), 2)


def _against(records: Sequence[Mapping[str, Any]]) -> Sheet:
    counts = ("cells", "both", "only_exact", "only_backends", "neither")
    lines = []
    for record in records:
        least = "≥ " if record["only_exact"] else ""
        ratios = (_bounded(least, wording.ratio(record[name])) for name in ("median", "least", "most"))
        lines.append((wording.count(record["queries"]), *(wording.count(record[name]) for name in counts), *ratios))
    columns = (
        "queries", "cells", "both prove", "only exact", "only mixed-integer", "neither",
        "median ratio", "least ratio", "greatest ratio",
    )  # fmt: skip
    return Sheet("exact beside the first mixed-integer solver", AGAINST, columns, tuple(lines))


def _with_sums(by: Sequence[str]) -> list[Sequence[str]]:
    """Return the groupings of a sheet: by all fields, by all but the last, ... by none."""
    return [by[:count] for count in range(len(by), -1, -1)]


def _labels(record: Mapping[str, Any], by: Sequence[str]) -> list[str]:
    words: dict[str, Callable[[Any], str]] = {
        "queries": wording.count,
        "budget_fraction": wording.fraction,
        "family": str,
    }
    return [words[name](record[name]) if name in record else ALL for name in by]


def _titles(by: Sequence[str]) -> tuple[str, ...]:
    return tuple("budget" if name == "budget_fraction" else name for name in by)


def _ordered(lines: Sequence[Sequence[str]], labels: int) -> tuple[tuple[str, ...], ...]:
    """Put each sum below the lines that it sums up."""
    first = {line[0]: place for place, line in reversed(list(enumerate(lines)))}
    seen = [tuple(line) for line in lines]
    if labels == 1:
        return tuple(seen)
    return tuple(sorted(seen, key=lambda line: (line[0] == ALL, first[line[0]])))


def _share(value: float | None) -> str:
    return wording.NONE if value is None else f"{100 * value:.0f} %"


def _bounded(sign: str, text: str) -> str:
    """Write a figure that is a bound; a loss of at most 0 is none."""
    return text if text in (wording.NONE, "0") else sign + text
