"""Figures and tables as HTML, for notebooks and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

MOST_ROWS = 20  # of a table in a notebook


def facts(title: str, values: Mapping[str, str | None]) -> str:
    """Return a title and a table of what is known: names and texts."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in values.items()
        if text is not None
    )
    return f"<div><b>{escape(title)}</b><table>{rows}</table></div>"


def table(head: Sequence[str], rows: Sequence[Iterable[Any]], most: int = MOST_ROWS) -> str:
    """Return a table of at most so many rows, and how many it leaves out."""
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>" for row in rows[:most])
    more = f"<p>and {len(rows) - most:,} more</p>" if len(rows) > most else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more}"
