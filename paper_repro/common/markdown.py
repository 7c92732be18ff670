"""The parts of pages: tables, paragraphs and lists of names in Markdown, and the pages' templates."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paper_repro.common.paths import REPORTS


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, last_left: bool = False) -> str:
    """Return a table whose first `left` columns, and perhaps the last, hold text, the others numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    if last_left:
        rule[-1] = "---"
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rows))


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of which no column is set as numbers."""
    return table(head, rows, left=len(head))


def wrapped(paragraph: str) -> str:
    """Break a paragraph into lines."""
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def listed(names: Iterable[str]) -> str:
    """Return names with commas and "and", or "none"."""
    names = list(names)
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names) or "none"


def render(template: str, **values: Any) -> str:
    """Return a page: its template, which lies beside it, with values put in."""
    return _templates().get_template(template).render(values)


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(REPORTS), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True,
        autoescape=False,
    )  # fmt: skip
    found.filters["wrapped"] = wrapped
    return found
