"""Write SCALE.md, on scaling, from the recorded results of two benchmarks; the page names their commands."""

from __future__ import annotations

from paper_repro.common import markdown
from paper_repro.common.paths import REPORTS, RESULTS
from robatch.instances.files import write_text

SCALES = {
    "All solvers, as far as each one's time limit goes": "scale-all",
    "`greedy` and `exact`: dense and factored, float64 and float32, one thread and two": "scale-own",
    "12 models with 8 batch sizes": "scale-wide",
    "Ten million queries, factored": "scale-large",
    "Hard families": "scale-hard",
}


def write() -> None:
    """Write the page."""
    write_text(REPORTS / "SCALE.md", page())


def page() -> str:
    """Return the page as Markdown."""
    return markdown.render(
        "SCALE.md.jinja",
        ratios=(RESULTS / "ratios" / "ratios.md").read_text(encoding="utf-8").split("\n", 2)[2],
        scales=[{"title": title, "name": name, "command": _command(name)} for title, name in SCALES.items()],
    )


def _command(name: str) -> str:
    lines = (RESULTS / name / "scale.md").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if "robatch bench scale" in line).strip()
