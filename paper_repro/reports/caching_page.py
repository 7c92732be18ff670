"""Write CACHING.md, what cached prompts leave of batching and routing, from the results of `caching`."""

from __future__ import annotations

import json
import math

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Row, Table, groups, read_tables, where
from paper_repro.common.paths import REPORTS, RESULTS
from robatch.instances.files import write_text

NAME = "caching"


def write() -> None:
    """Write the page."""
    write_text(REPORTS / "CACHING.md", page())


def page() -> str:
    """Return the page as Markdown."""
    found = read_tables(RESULTS / NAME)
    about = json.loads((RESULTS / NAME / "run.json").read_text(encoding="utf-8"))
    saved, lost, said = saved_table(found["saved"]), lost_table(found["lost"]), told(found["saved"])
    return markdown.render("CACHING.md.jinja", saved=saved, lost=lost, told=said, **about)


def saved_table(rows: Table) -> str:
    """Give what each way saves by the price of a cached read, direct calls."""
    lines = []
    for label, here in groups(rows, "target", "read"):
        ways = {row["way"]: row for row in here}
        routing, batching = shares(ways)
        spread = [f"{ways[way]['saved']:.3g} ({ways[way]['least']:.3g} to {ways[way]['most']:.3g})"
                  for way in ("routing", "batching", "both")]  # fmt: skip
        lines.append([percent(label["target"]), f"{label['read']:g}", *spread, percent(routing), percent(batching),
                      f"{ways['both']['queries_a_call']:.3g}"])  # fmt: skip
    head = ["utility of the best alone", "cached read / input price", "routing", "batching", "both",
            "share of routing", "share of batching", "queries a call (both)"]  # fmt: skip
    return markdown.table(head, lines)


def shares(ways: dict[str, Row]) -> tuple[float, float]:
    """Return the parts of routing and batching in what both save together.

    Each counts with the mean of what it saves by itself and beside the other, as logarithms (the Shapley value).
    """
    routing, batching, both = (math.log(ways[way]["saved"]) for way in ("routing", "batching", "both"))
    if both <= 0:
        return 0.0, 0.0
    return (routing + both - batching) / 2 / both, (batching + both - routing) / 2 / both


def lost_table(rows: Table) -> str:
    """Give what plans by the paper's bill lose, direct and through the batch API."""
    lines = []
    for row in rows:
        way = "batch API" if row["batch_api"] else "direct"
        planned = row["lost"] is not None
        figures = (
            [percent(row["lost"], 2), percent(row["most_lost"], 2), percent(row["unspent"])]
            if planned
            else ["", "", ""]
        )
        lines.append([percent(row["fraction"]), way, f"{row['read']:g}", *figures,
                      f"{row['over']:.0f} of {row['datasets']:.0f}", f"{row['no_plan']:.0f} of {row['datasets']:.0f}"])  # fmt: skip
    head = [
        "budget",
        "sent",
        "cached read / input price",
        "utility lost",
        "at most",
        "budget left",
        "over budget",
        "no plan",
    ]
    return markdown.table(head, lines)


def percent(part: float, digits: int = 0) -> str:
    """Give a part in percent."""
    return f"{round(100 * part, digits) + 0.0:.{digits}f} %"


def told(rows: Table) -> str:
    """Say what batching saves without a cache, and with the cheapest cached reads."""
    said = []
    for target, here in groups(where(rows, way="batching"), "target"):
        ordered = sorted(here, key=lambda row: -row["read"])
        figures = ", ".join(f"{row['saved']:.3g}x at {row['read']:g}" for row in (ordered[0], ordered[-3], ordered[-1]))
        said.append(f"for {percent(target['target'])} of the best model's utility, batching alone saves {figures}")
    return "; ".join(said)
