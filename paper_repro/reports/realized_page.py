"""Write REALIZED.md, on realized cost, from the recorded results of a benchmark; the page names its commands."""

from __future__ import annotations

from paper_repro.common import markdown
from paper_repro.common.paths import REPORTS, RESULTS
from robatch.instances.files import write_text

RUNS = {
    "`realistic`, 24 states, 20 to 500 queries": "realized-realistic",
    "`realistic`, 24 states, 1,000 queries": "realized-1000",
    "All families, short limits": "realized-all",
}
BUILDS = {
    "`greedy`, one search before and now": "builds-greedy",
    "`exact`, before and now": "builds-exact",
}
"""Tables of `robatch.bench.realized.two_builds`."""
PLOTS = {"overspend": "Overspend by size", "loss": "Loss by size", "time": "Time by size"}


def write() -> None:
    """Write the page."""
    write_text(REPORTS / "REALIZED.md", page())


def page() -> str:
    """Return the page as Markdown."""
    return markdown.render(
        "REALIZED.md.jinja",
        formulations=(RESULTS / "formulations.md").read_text(encoding="utf-8"),
        runs=[{"title": title, "name": name, "text": _tables(name)} for title, name in RUNS.items()],
        builds=[
            {"title": t, "text": (RESULTS / n / "builds.md").read_text(encoding="utf-8")} for t, n in BUILDS.items()
        ],
        plots=PLOTS,
    )


def _tables(name: str) -> str:
    """Return what the benchmark wrote on a run, without its title and figures, its headings one level lower."""
    lines = (RESULTS / name / "realized.md").read_text(encoding="utf-8").splitlines()[1:]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines if not line.startswith("!["))
