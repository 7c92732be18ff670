"""One self-contained HTML page of a benchmark: sums, plots, every cell, settings and machine."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, TypeVar

from robatch.bench.common.results import Results
from robatch.bench.common.rows import Row, grouped
from robatch.bench.common.terminal import Column
from robatch.instances.display import wording

R = TypeVar("R", bound=Row)


def page(template: str, results: Results[R], plots: Mapping[str, bytes], **values: Any) -> str:
    """Return the page that a template of this package makes.

    Parameters
    ----------
    template
        Its path in ``robatch.bench``.
    results
        What was measured.
    plots
        PNG images by name, which the page holds inline.
    values
        What else the template speaks of.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("robatch.bench")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(*name.split("/")).read_text(encoding="utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    images = {name: base64.b64encode(image).decode() for name, image in plots.items()}
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    messages = [row for row in results.rows if row.message]
    return environment.get_template(template).render(
        results=results, images=images, date=date, word=wording, messages=messages, **values
    )


def panels(rows: Sequence[R], columns: Sequence[Column[R]], heading: Callable[[R], str]) -> list[dict[str, Any]]:
    """Return one table of every cell for each heading, a list of rows of words."""
    made = []
    for title, members in grouped(rows, heading).items():
        lines = [
            {
                "cells": [column.text(row).strip() for column in columns],
                "first": i == 0 or members[i - 1].budget_fraction != row.budget_fraction,
                "kind": row.kind,
            }
            for i, row in enumerate(members)
        ]
        made.append({"heading": title, "row": members[0], "lines": lines})
    return made
