"""Make PROFILE_TASKS.md and its figure from the recorded profile of several tasks.

usage: python -m paper_repro.tasks_page

Reads profile_tasks.parquet, which `robatch profile paper_repro/profile_tasks.toml` wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from paper_repro.profile_page import Record, draw_accuracy, draw_shares, how, markdown, new_figure, save, table
from robatch.instances.arrays import FloatArray
from robatch.instances.files import write_text
from robatch.proxies.profiling.measurements import Measurements

HERE = Path(__file__).parent
PROFILE = HERE / "profile_tasks.parquet"

HEAD = """\
# The recorded profile of five tasks: accuracy and cost by model and batch size

Everything on this page is made from `paper_repro/profile_tasks.parquet` by

```bash
python -m paper_repro.tasks_page
```

[PROXY.md](PROXY.md) is what a proxy learns from the same file.

## How it was recorded

{how}

Recorded again by (models and task files as folders; the configuration says where they come from):

```bash
ROBATCH_MODELS=FOLDER ROBATCH_TASKS=FOLDER robatch profile paper_repro/profile_tasks.toml -o profile_tasks.parquet
```

![Accuracy and the shared prompt's part of the cost, by task and batch size](profile_tasks.png)

Lines are means over the repeats, bands Wilson 95 % intervals over queries, and bars reach from one repeat's mean to
the other's.

## What the paper reports, and what is seen here

The RoBatch paper is known here second-hand. It is said to report, with Qwen3 models of 4 to 32 billion parameters,
that the shared prompt's part of the cost falls from 59.5 % to 8.4 % on AG News and from 90.1 % to 53.2 % on GSM8K,
and that accuracy is stable up to about 16 queries a call on AG News and 8 on GSM8K, then falls fast, small models
first.

{seen}
"""

LOSS = """\
## Where accuracy is lost

The smallest batch size from which on every larger one, too, answers worse than batch size 1 by more than a 95 %
interval of the paired difference (the same queries at both sizes), and the loss there. "none": no such size. A model
that guesses has nothing to lose.

{table}
"""

TASK = """\
## {name}

Accuracy: mean over {queries} queries and {repeats} repeats, Wilson 95 % interval over queries, and the difference
between the two repeats' means. {guess}

{accuracy}

The shared prompt's part of what is billed, and USD per 1,000 queries at the assigned prices.

{cost}
"""

LIMITS = """\
## Limits

- Small models, most of them near guessing on some tasks: what a large model keeps in a batch is not to be read here.
- Weights were converted from 4-bit files to bfloat16, and are weaker than the originals.
- Recorded on a CPU, with prefix caching, beside other work on the same machine: the column `seconds` is not to be read
  as speed.
- Temperature 0. At batch size 1 both repeats send the same calls; at the others a repeat draws partners and positions
  anew, so that the difference between repeats is mostly the effect of the company.
- {calls}
- Answers are held to the form `A1: ...` by structured output, so that nearly every slot can be read; it does not make
  them right.
- Three of the tasks are the first 240 queries of their files; two are written by this project.
- Prices are assigned, in proportion to size: see the configuration.
"""


def main() -> None:
    """Write the page and the figure."""
    measurements = Measurements.read(PROFILE)
    write_text(HERE / "PROFILE_TASKS.md", page(measurements))
    figure(measurements, HERE / "profile_tasks.png")


def page(measurements: Measurements) -> str:
    """Return the page as Markdown."""
    records = measurements.summary()
    parts = [HEAD.format(how=how(measurements), seen=_seen(records)), LOSS.format(table=_losses(measurements))]
    for described in measurements.provenance["tasks"]:
        name = described["name"]
        mine = [record for record in records if record["task"] == name]
        parts.append(
            TASK.format(
                name=name,
                queries=len(measurements.query_ids(name)),
                repeats=measurements.provenance["repeats"],
                guess=_guess(described),
                accuracy=table(mine, partial(_accuracy, repeat_means(measurements, name))),
                cost=table(mine, lambda r: f"{100 * r['shared_cost_share']:.1f} %, {1000 * r['cost']:.5f}"),
            )
        )
    return "\n".join([*parts, LIMITS.format(calls=_calls(measurements))])


def repeat_means(measurements: Measurements, task: str) -> dict[tuple[str, int], FloatArray]:
    """Give each state's mean score in every repeat: (R,)."""
    rows = measurements.table.filter(pc.equal(measurements.table["task"], task))
    means = rows.group_by(["model", "batch_size", "repeat"]).aggregate([("score", "mean")])
    found: dict[tuple[str, int], FloatArray] = {}
    for row in means.to_pylist():
        state = row["model"], row["batch_size"]
        found.setdefault(state, np.zeros(measurements.provenance["repeats"]))[row["repeat"]] = row["score_mean"]
    return found


def first_loss(utility: FloatArray) -> int | None:
    """Return from which batch size on accuracy is below that of the first, beyond a paired 95 % interval.

    Parameters
    ----------
    utility
        Mean scores by query and ascending batch size: (N, B).

    Returns
    -------
    int or None
        The place of the batch size; None where the largest shows no loss.
    """
    loss = utility[:, :1] - utility[:, 1:]
    error = loss.std(axis=0, ddof=1) / np.sqrt(len(loss))
    beyond = loss.mean(axis=0) > 1.96 * error
    place = len(beyond)
    while place > 0 and beyond[place - 1]:
        place -= 1
    return None if place == len(beyond) else place + 1


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
    return markdown(["model", *measurements.tasks], rows)


def _seen(records: list[Record]) -> str:
    """Say how the shared prompt's part falls, by task."""
    lines = ["Here, over the models:", ""]
    sizes = sorted({record["batch_size"] for record in records})
    for task in dict.fromkeys(record["task"] for record in records):
        first, last = (
            [100 * r["shared_cost_share"] for r in records if r["task"] == task and r["batch_size"] == size]
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


if __name__ == "__main__":
    main()
