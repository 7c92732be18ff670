"""The page about a job: one HTML file without scripts or links to elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robatch.instances.display.html import table
from robatch.instances.files import write_text

if TYPE_CHECKING:
    from robatch.job.result import JobResult

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:right}"
    "td:first-child,th:first-child{text-align:left}"
)


def write_page(made: JobResult, path: Path) -> None:
    """Write the page about a job."""
    write_text(path, page(made))


def page(made: JobResult) -> str:
    """Return the page about a job: what was spent and answered, what was said, and predicted against actual."""
    parts = [
        _heading("Spent"),
        _table(("step", "USD"), [*made.spent.items(), ("total", made.total), ("budget", made.budget)]),
    ]
    if made.lost:
        parts.append(_text(f"Of the total, {made.lost:.4g} USD are what tries of unknown bill may have cost."))
    parts += [_heading("Rows"), _table(("status", "rows"), sorted(made.statuses.items()))]
    if made.judge is not None:
        parts.append(
            _text(f"No true answers were given: utility is agreement with the answers of {made.judge}, asked alone.")
        )
    if made.curve:
        rows = [
            (
                f"{100 * one.of_best:g} %",
                one.cost,
                one.mean,
                ", ".join(f"{name} {n:,}" for name, n in one.models.items()),
            )
            for one in made.curve
        ]
        parts += [
            _heading("How little is enough"),
            _table(("of the best", "USD", "mean utility", "queries by model"), rows),
        ]
    if made.report is not None:
        parts += _report(made)
    parts += [_heading("Notes"), "<ul>", *(f"<li>{escape(note)}</li>" for note in made.notes), "</ul>"]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>RoBatch job</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>RoBatch job</h1>\n{body}\n</body></html>\n"
    )


def _report(made: JobResult) -> list[str]:
    report = made.report
    assert report is not None
    keys = ("model", "batch_size", "queries", "calls", "predicted_utility", "actual_utility", "billed")
    titles = ("model", "batch size", "queries", "calls", "predicted", "actual", "billed USD")
    parts = [_heading("The last execution"), _table(titles, [[row[key] for key in keys] for row in report.states])]
    seen = report.executed
    if seen.low is not None and seen.high is not None:
        parts.append(
            _text(f"Predicted for what was executed: {seen.utility:.4g}, 90 % from {seen.low:.4g} to {seen.high:.4g}.")
        )
    if report.actual is not None:
        parts.append(_text(f"Graded answers: {report.graded:,}, with a utility of {report.actual:.4g}."))
    return parts


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _text(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return table(titles, [map(_shown, row) for row in rows], most=len(rows))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
