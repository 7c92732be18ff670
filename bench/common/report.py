"""One self-contained HTML page of a gap benchmark: tables, plots, settings, machine."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from robatch.bench.common.rows import by_cell
from robatch.bench.gap import benchmark as gap
from robatch.bench.gap import tables
from robatch.instances.display import wording
from robatch.instances.display.wording import PROVEN

if TYPE_CHECKING:
    from robatch.bench.gap.results import GapResults


def page(results: GapResults, plots: Mapping[str, bytes]) -> str:
    """Return the page.

    Parameters
    ----------
    results
        What was measured.
    plots
        The PNG images ``gap.png`` and ``runtime.png``, which the page holds inline.
    """
    return render(
        "gap/report.html.jinja",
        plots,
        results=results,
        panels=_panels(results),
        columns=[title for title, _ in tables.COLUMNS],
        summary=[tables.summary_cells(record) for record in results.summary()],
        summary_columns=tables.SUMMARY_COLUMNS,
        messages=[row for row in results.rows if row.message],
        enough_ms=round(1000 * gap.ENOUGH_S),
        most_repeats=gap.MOST_REPEATS,
    )


def render(template: str, plots: Mapping[str, bytes], **values: Any) -> str:
    """Return the page that a template of this folder makes of some values and of images, which it holds inline."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("robatch.bench")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(*name.split("/")).read_text(encoding="utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    images = {name: base64.b64encode(image).decode() for name, image in plots.items()}
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template(template).render(images=images, date=date, word=wording, **values)


def _panels(results: GapResults) -> list[dict[str, object]]:
    """Return one table an instance and cost model, each a list of rows of words."""
    panels: dict[tuple[str, str], dict[str, object]] = {}
    lines: dict[tuple[str, str], list[dict[str, object]]] = {}
    for cell in by_cell(results.rows):
        first = cell[0]
        key = (first.instance, first.cost)
        panels.setdefault(key, {"row": first, "lines": lines.setdefault(key, [])})
        for i, row in enumerate(cell):
            proven = row.gap is not None and row.gap <= PROVEN
            lines[key].append(
                {
                    "cells": [cell_text.strip() for cell_text in tables.cells(row)],
                    "first": i == 0,
                    "kind": "error" if row.status == "error" else "proven" if proven else "",
                }
            )
    return list(panels.values())
