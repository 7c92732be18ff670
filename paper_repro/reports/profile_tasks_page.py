"""Write PROFILE_TASKS.md and its figure from results/profile_tasks.parquet.

`robatch profile paper_repro/configs/profile_tasks.toml` recorded it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Table, distinct, where
from paper_repro.common.figures import new_figure, save
from paper_repro.common.paths import PROFILE, REPORTS
from paper_repro.common.profile_data import first_loss
from paper_repro.reports.profile_page import Record, cost, draw_accuracy, draw_shares, how, table
from robatch.instances.arrays import FloatArray
from robatch.instances.files import write_text
from robatch.proxies.profiling.measurements import Measurements


def write() -> None:
    """Write the page and the figure."""
    measurements = Measurements.read(PROFILE)
    write_text(REPORTS / "PROFILE_TASKS.md", page(measurements))
    figure(measurements, REPORTS / "profile_tasks.png")


def page(measurements: Measurements) -> str:
    """Return the page as Markdown."""
    records = measurements.summary()
    tasks = []
    for described in measurements.provenance["tasks"]:
        name, mine = described["name"], where(records, task=described["name"])
        accuracy = table(mine, partial(_accuracy, repeat_means(measurements, name)))
        queries = len(measurements.query_ids(name))
        tasks.append({"name": name, "queries": queries, "guess": _guess(described), "accuracy": accuracy,
                      "cost": table(mine, cost)})  # fmt: skip
    return markdown.render(
        "PROFILE_TASKS.md.jinja",
        how=how(measurements),
        seen=_seen(records),
        losses=_losses(measurements),
        tasks=tasks,
        repeats=measurements.provenance["repeats"],
        calls=_calls(measurements),
    )


def repeat_means(measurements: Measurements, task: str) -> dict[tuple[str, int], FloatArray]:
    """Give each state's mean score in every repeat: (R,)."""
    rows = measurements.table.filter(pc.equal(measurements.table["task"], task))
    means = rows.group_by(["model", "batch_size", "repeat"]).aggregate([("score", "mean")])
    found: dict[tuple[str, int], FloatArray] = {}
    for row in means.to_pylist():
        state = row["model"], row["batch_size"]
        found.setdefault(state, np.zeros(measurements.provenance["repeats"]))[row["repeat"]] = row["score_mean"]
    return found


def _accuracy(apart: Mapping[tuple[str, int], FloatArray], record: Record) -> str:
    difference = np.ptp(apart[record["model"], record["batch_size"]])
    return f"{record['accuracy']:.3f} ({record['low']:.2f}-{record['high']:.2f}), {difference:.3f}"


def _losses(measurements: Measurements) -> str:
    rows = []
    states = measurements.states
    for model in dict.fromkeys(name for name, _ in states):
        row = [f"`{model}`"]
        columns = [s for s, (name, _) in enumerate(states) if name == model]
        for task in measurements.tasks:
            utility = measurements.utilities(task)[1][:, columns]
            place = first_loss(utility)
            means = utility.mean(axis=0)
            row.append("none" if place is None else f"{states[columns[place]][1]} ({means[place] - means[0]:+.2f})")
        rows.append(row)
    return markdown.text_table(["model", *measurements.tasks], rows)


def _seen(records: Table) -> str:
    """Say how the shared prompt's part falls, by task."""
    lines = ["Here, over the models:", ""]
    sizes = sorted({record["batch_size"] for record in records})
    for task in distinct(records, "task"):
        first, last = (
            [100 * r["shared_cost_share"] for r in where(records, task=task, batch_size=size)]
            for size in (sizes[0], sizes[-1])
        )
        lines.append(
            f"- `{task}`: from {min(first):.1f}-{max(first):.1f} % at batch size {sizes[0]} to "
            f"{min(last):.1f}-{max(last):.1f} % at {sizes[-1]}."
        )
    return "\n".join(lines)


def _guess(described: dict[str, Any]) -> str:
    if described["kind"] == "choice" and described["choices"]:
        return f"There are {len(described['choices'])} choices: a guess is right in one of {len(described['choices'])}."
    return "The answer is a number: a guess is seldom right."


def _calls(measurements: Measurements) -> str:
    queries = {len(measurements.query_ids(task)) for task in measurements.tasks}
    sizes = sorted({size for _, size in measurements.states})
    not_full = sorted({size for size in sizes for count in queries if count % size})
    if not not_full:
        return "All calls are full."
    which = " and ".join(str(size) for size in not_full)
    return f"At batch size {which} the last call of a repeat is not full: the shared prompt's part is a little larger."


def figure(measurements: Measurements, path: Path) -> None:
    """Draw accuracy above and the shared prompt's part of the cost below, a column for each task."""
    tasks = measurements.tasks
    drawn, axes = new_figure(2, len(tasks), (3.2 * len(tasks), 6.4), sharex=True, sharey="row", squeeze=False)
    for (top, bottom), task in zip(axes.T, tasks, strict=True):
        records = measurements.summary(task)
        draw_accuracy(top, records)
        apart = repeat_means(measurements, task)
        for record in records:
            means = apart[record["model"], record["batch_size"]]
            top.vlines(record["batch_size"], means.min(), means.max(), color="black", lw=1.5, zorder=3)
        draw_shares(bottom, records)
        top.set(title=task, xlabel="")
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("shared prompt's part of the cost")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=4)
    save(drawn, path)
