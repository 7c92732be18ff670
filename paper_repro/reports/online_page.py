"""Write ONLINE.md, online decisions against the offline optimum, from what `paper_repro.record.online` recorded."""

from __future__ import annotations

import json

from paper_repro.common import markdown
from paper_repro.common.paths import REPORTS, RESULTS
from robatch.instances.files import write_text


def write() -> None:
    """Write the page."""
    write_text(REPORTS / "ONLINE.md", page())


def page() -> str:
    """Return the page as Markdown."""
    folder = RESULTS / "online"
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    tables = {path.stem: path.read_text(encoding="utf-8").rstrip("\n") for path in folder.glob("*.md")}
    return markdown.render("ONLINE.md.jinja", **about, **tables, n=about["copies"] * about["new"])
