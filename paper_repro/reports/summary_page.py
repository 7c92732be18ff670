"""Make README.md, SUMMARY.md, summary.html and the figures from the recorded results.

usage: python -m paper_repro.pages

What was found is not typed: it is read from `paper_repro/results`, which `python -m paper_repro.run --all` makes, and a
test compares the pages with it.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markdown_it import MarkdownIt  # comes with rich

from paper_repro import page_tables
from paper_repro.claims import CLAIMS, Results
from paper_repro.common.csv_tables import read_tables
from paper_repro.common.datasets import FILES, SHARED_TOKENS
from paper_repro.common.strategies import FEW
from paper_repro.page_templates import PAGE, README, SUMMARY
from paper_repro.run import NAMES, RESULTS, experiment
from robatch.instances.files import write_text

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Write the pages, and draw the figures of the experiments."""
    results = recorded()
    lacking = [name for name in NAMES if name not in results]
    if lacking:
        raise SystemExit(f"no results of {', '.join(lacking)}: python -m paper_repro.run makes them")
    for name, tables in results.items():
        experiment(name)[0].draw(tables, RESULTS / name)
    summary = summary_page(results)
    write_text(HERE / "README.md", readme_page(results))
    write_text(HERE / "SUMMARY.md", summary)
    write_text(HERE / "summary.html", html(summary))


def about(name: str) -> dict[str, Any]:
    """Return what made the recorded results of an experiment."""
    found: dict[str, Any] = json.loads((RESULTS / name / "run.json").read_text(encoding="utf-8"))
    return found


def recorded(folder: Path = RESULTS) -> Results:
    """Return the recorded tables of every experiment that has any."""
    return {name: read_tables(folder / name) for name in NAMES if (folder / name / "run.json").is_file()}


def readme_page(results: Results) -> str:
    """Return README.md."""
    claims = [
        f"| {claim.text} | {claim.source} | {verdict} | {found} | {claim.command} |"
        for claim in CLAIMS
        for verdict, found in (claim.found(results),)
    ]
    rows = []
    for name in NAMES:
        made = about(name)
        where = f"[results/{name}](results/{name})"
        minutes = "" if made["seconds"] is None else f"{made['seconds'] / 60:.1f}"
        rows.append(f"| `{name}` | {experiment(name)[2]} | {where} | {made['commit']}, {made['date']} | {minutes} |")
    settings = {name: about(name)["settings"] for name in NAMES}
    noise = settings["noise"]
    return README.format(
        claims="\n".join(claims),
        experiments="\n".join(rows),
        limit=settings["gap"]["time_limit"],
        machine=", ".join(sorted({about(name)["machine"]["cpu"] for name in NAMES})),
        files=", ".join(f"`{file}`" for files in FILES.values() for file in files),
        comparison=page_tables.comparison(results),
        greedy=page_tables.greedy(results),
        wins=page_tables.wins(results),
        losses=page_tables.losses(results),
        close=page_tables.close(results),
        billed=page_tables.billed(results),
        short=page_tables.short(results),
        few=FEW,
        splits=settings["comparison"]["splits"],
        budgets_here=settings["comparison"]["budgets"],
        worth_splits=settings["worth"]["splits"],
        ablation_splits=settings["ablations"]["splits"],
        bill_splits=settings["ablations"]["bill_splits"],
        shared=" or ".join(f"{tokens:,.0f}" for tokens in sorted(set(SHARED_TOKENS.values()))),
        apgr=page_tables.apgr(results),
        field=page_tables.field(results),
        budgets=settings["worth"]["budgets"],
        worth=page_tables.worth_by_budget(results),
        noise_of=f"`realistic`, {noise['queries']:,} queries, {noise['seeds']} instances, "
        f"{len(noise['fractions'])} budgets",
        noise=page_tables.noise(results["noise"]["overall"]),
        ablations=page_tables.ablations(results["ablations"]),
        without=page_tables.without(results["ablations"]),
    )


def summary_page(results: Results) -> str:
    """Return SUMMARY.md."""
    found = {claim.found.__name__: claim.found(results)[1] for claim in CLAIMS}
    return SUMMARY.format(
        **found,
        comparison=page_tables.comparison(results, short=True),
        groups=page_tables.groups(results),
        close=page_tables.close(results),
        enough=page_tables.enough(results),
        noise=page_tables.noise_told(results["noise"]["overall"]),
        better=page_tables.better(results),
        worth=page_tables.worth(results),
        without=page_tables.without(results["ablations"]),
    )


def html(markdown: str) -> str:
    """Render Markdown as one HTML page that holds its images."""
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    body = re.sub(r'src="([^":]+)"', lambda found: f'src="{_embedded(HERE / found[1])}"', body)
    title = markdown.splitlines()[0].lstrip("# ")
    return Environment(autoescape=False).from_string(PAGE).render(title=title, body=body) + "\n"


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


if __name__ == "__main__":
    main()
