"""Write README.md, SUMMARY.md, summary.html and the figures of the experiments from their recorded results."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from markdown_it import MarkdownIt  # comes with rich

from paper_repro.common import markdown
from paper_repro.common.csv_tables import read_tables
from paper_repro.common.datasets import FILES, SHARED_TOKENS
from paper_repro.common.paths import HERE, REPORTS, RESULTS
from paper_repro.common.strategies import MAX_SMALL_STREAM
from paper_repro.experiments.catalogue import NAMES, experiment
from paper_repro.reports import comparison_tables, worth_tables
from paper_repro.reports.claims import Results, judged
from robatch.instances.errors import InputError
from robatch.instances.files import write_text


def write() -> None:
    """Write the pages, and draw the figures."""
    results = recorded()
    lacking = [name for name in NAMES if name not in results]
    if lacking:
        raise InputError(f"no results of {', '.join(lacking)}: python -m paper_repro.run makes them")
    for name, tables in results.items():
        experiment(name).module.draw(tables, RESULTS / name)
    summary = summary_page(results)
    write_text(HERE / "README.md", readme_page(results))
    write_text(REPORTS / "SUMMARY.md", summary)
    write_text(REPORTS / "summary.html", html(summary))


def about(name: str) -> dict[str, Any]:
    """Return what made the recorded results of an experiment."""
    return dict(json.loads((RESULTS / name / "run.json").read_text(encoding="utf-8")))


def recorded() -> Results:
    """Return the recorded tables of every experiment that has any."""
    return {name: read_tables(RESULTS / name) for name in NAMES if (RESULTS / name / "run.json").is_file()}


def readme_page(results: Results) -> str:
    """Return README.md."""
    made = {name: about(name) | {"title": experiment(name).title} for name in NAMES}
    return markdown.render(
        "README.md.jinja",
        found=judged(results),
        experiments=made,
        settings={name: one["settings"] for name, one in made.items()},
        machine=", ".join(sorted({one["machine"]["cpu"] for one in made.values()})),
        files=", ".join(f"`{file}`" for files in FILES.values() for file in files),
        few=f"{MAX_SMALL_STREAM:,}",
        shared=" or ".join(f"{tokens:,.0f}" for tokens in sorted(set(SHARED_TOKENS.values()))),
        results=results,
        comparison=comparison_tables,
        worth=worth_tables,
    )


def summary_page(results: Results) -> str:
    """Return SUMMARY.md."""
    return markdown.render(
        "SUMMARY.md.jinja",
        found=judged(results),
        results=results,
        comparison=comparison_tables,
        worth=worth_tables,
    )


def html(page: str) -> str:
    """Render Markdown as one HTML page that holds its images."""
    body = MarkdownIt("commonmark").enable("table").render(page)
    body = re.sub(r'src="([^":]+)"', lambda found: f'src="{_embedded(found[1])}"', body)
    return markdown.render("summary.html.jinja", title=page.splitlines()[0].lstrip("# "), body=body)


def _embedded(link: str) -> str:
    return "data:image/png;base64," + base64.b64encode((REPORTS / link).read_bytes()).decode("ascii")
