"""Make all that follows from the recorded profile: the bundled instance, PROFILE.md and its figure.

usage: python -m paper_repro.profile_page

Reads instances/data/measured_profile.parquet, which `robatch profile paper_repro/profile_cpu.toml` wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from robatch.instances.files import replacing, write_text
from robatch.proxies.profiling.measurements import Measurements

Record = dict[str, Any]
"""A record of `Measurements.summary`."""

MARKS = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))
"""Colour and marker of each model."""

HERE = Path(__file__).parent
DATA = HERE.parent / "instances" / "data"

HEAD = """\
# The recorded profile: accuracy by model and batch size

Everything on this page, and the bundled instance `measured`, is made from `instances/data/measured_profile.parquet` by

```bash
python -m paper_repro.profile_page
```

## How it was recorded

{how}

Recorded again by (models as folders of these names in FOLDER; the configuration says where they come from):

```bash
ROBATCH_MODELS=FOLDER robatch profile paper_repro/profile_cpu.toml -o measured_profile.parquet
```
"""

ACCURACY = """\
## Accuracy

Share of {queries} queries answered right, with its Wilson 95 % interval. The same queries stand at every batch size;
which of them share a call, and in which order, is drawn by a seed. A guess is right half of the time.

{table}

![Accuracy and the shared prompt's part of the cost, by batch size](profile.png)
"""

COST = """\
## Cost

The shared prompt's part of what is billed, and USD per 1,000 queries at the assigned prices. The RoBatch paper, known
here second-hand, reports that the part falls from 59.5 % to 8.4 % on AG News and from 90.1 % to 53.2 % on GSM8K.

{table}

## Limits

- Four small models on one task that this project writes itself: product reviews, most of them simple, in English.
- The utilities of `measured` are these answers, right or wrong: its optimum is a plan of hindsight, which picks for
  every query a state that happened to be right. It is a yardstick for solvers, not what a router can reach.
- One answer per query and state at temperature 0: the intervals are about queries, not about repeated runs.
- Answers are held to the form `A1: positive` by structured output, so that every slot can be read; it does not make
  them right.
- Weights were converted from 4-bit files to bfloat16, and are weaker than the originals.
- Prices are assigned: see the configuration. Seconds were measured on a CPU beside other work, with prefix caching.
"""


def main() -> None:
    """Write the instance, the page and the figure."""
    measurements = Measurements.read(DATA / "measured_profile.parquet")
    measurements.to_problem().write(DATA / "measured.parquet")
    write_text(HERE / "PROFILE.md", page(measurements))
    figure(measurements, HERE / "profile.png")


def page(measurements: Measurements) -> str:
    """Return the page as Markdown."""
    records = measurements.summary()
    accuracy = table(
        records,
        lambda r: f"{r['accuracy']:.3f} ({r['low']:.2f}-{r['high']:.2f})",
    )
    cost = table(records, lambda r: f"{100 * r['shared_cost_share']:.1f} %, {1000 * r['cost']:.5f}")
    parts = (
        HEAD.format(how=how(measurements)),
        ACCURACY.format(queries=len(measurements.query_ids()), table=accuracy),
        COST.format(table=cost),
    )
    return "\n".join(parts)


def how(measurements: Measurements) -> str:
    """Tell how a profile was recorded: its tasks and models, a line each."""
    about = measurements.provenance
    tasks = about["tasks"]
    ran = f"recorded on {about['date']} with robatch {about['robatch']} on Python {about['python']}"
    if len(tasks) == 1:
        lines = [f"- Task: {tasks[0]['described']}; seed of the calls {about['seed']}; {ran}."]
    else:
        lines = [f"- Seed of the calls {about['seed']}, {about['repeats']} repeats; {ran}."]
        lines += [f"- Task `{task['name']}`: {task['described']}." for task in tasks]
    for model in about["models"]:
        tokens = [model["shared_tokens"][task["name"]] for task in tasks]
        span = str(tokens[0]) if len(tokens) == 1 else f"{min(tokens)} to {max(tokens)}"
        lines.append(
            f"- `{model['name']}`: vLLM {model['vllm']}, offline engine, {model['device']}, {model['dtype']}, "
            f"prefix caching {'on' if model['prefix_caching'] else 'off'}, "
            f"{span} tokens of shared prompt, "
            f"USD {model['price_in']:g} in and {model['price_out']:g} out per million tokens (assigned); "
            f"SHA-256 of the weights {model['identity']['sha256'][:16]}..."
        )
    return "\n".join(lines)


def table(records: Sequence[Record], cell: Callable[[Record], str]) -> str:
    """Return a Markdown table of records, by model and batch size."""
    sizes = sorted({record["batch_size"] for record in records})
    names = list(dict.fromkeys(record["model"] for record in records))
    found = {(record["model"], record["batch_size"]): cell(record) for record in records}
    rows = [[f"`{name}`", *(found[name, size] for size in sizes)] for name in names]
    return markdown(["model", *(f"b = {size}" for size in sizes)], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def figure(measurements: Measurements, path: Path) -> None:
    """Draw accuracy and the shared prompt's part of the cost against batch size."""
    drawn, (left, right) = new_figure(1, 2, (10, 4))
    draw_accuracy(left, measurements.summary())
    draw_shares(right, measurements.summary())
    left.set(title="Accuracy, with 95 % intervals")
    right.set(title="Shared prompt's part of the cost")
    left.legend(frameon=False)
    save(drawn, path)


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """Return a figure that needs no display, and its axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="constrained", **options)


def save(drawn: Any, path: Path) -> None:
    """Write a figure as PNG, the same bytes for the same figure."""
    import matplotlib.pyplot as plt

    with replacing(path) as temporary:
        drawn.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    plt.close(drawn)


def draw_accuracy(axis: Any, records: Sequence[Record]) -> None:
    """Draw accuracy against batch size, a line with its interval for each model."""
    for mine, style in _lines(records):
        sizes = [r["batch_size"] for r in mine]
        axis.plot(sizes, [r["accuracy"] for r in mine], **style)
        axis.fill_between(
            sizes, [r["low"] for r in mine], [r["high"] for r in mine], color=style["color"], alpha=0.15, lw=0
        )
    _batch_sizes(axis, records)


def draw_shares(axis: Any, records: Sequence[Record]) -> None:
    """Draw the shared prompt's part of the cost against batch size, a line for each model."""
    for mine, style in _lines(records):
        axis.plot([r["batch_size"] for r in mine], [r["shared_cost_share"] for r in mine], **style)
    _batch_sizes(axis, records)


def _lines(records: Sequence[Record]) -> Iterator[tuple[list[Record], dict[str, Any]]]:
    """Yield each model's records, by batch size, with the style of its line."""
    names = list(dict.fromkeys(record["model"] for record in records))
    for name, (colour, marker) in zip(names, MARKS, strict=False):
        mine = sorted((r for r in records if r["model"] == name), key=lambda r: r["batch_size"])
        yield mine, {"color": colour, "marker": marker, "label": name}


def _batch_sizes(axis: Any, records: Sequence[Record]) -> None:
    sizes = sorted({record["batch_size"] for record in records})
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.set(xlabel="batch size", ylim=(0, 1))
    axis.grid(alpha=0.3)


if __name__ == "__main__":
    main()
