"""Write PROFILE.md, its figure and the bundled instance from instances/data/measured_profile.parquet.

`robatch profile paper_repro/configs/profile_cpu.toml` recorded it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Table, distinct, where
from paper_repro.common.figures import MARKS, new_figure, save
from paper_repro.common.paths import BUNDLED, REPORTS
from robatch.instances.files import write_text
from robatch.proxies.profiling.measurements import Measurements

Record = dict[str, Any]
"""A record of `Measurements.summary`."""


def write() -> None:
    """Write the instance, the page and the figure."""
    measurements = Measurements.read(BUNDLED / "measured_profile.parquet")
    measurements.to_problem().write(BUNDLED / "measured.parquet")
    write_text(REPORTS / "PROFILE.md", page(measurements))
    figure(measurements, REPORTS / "profile.png")


def page(measurements: Measurements) -> str:
    """Return the page as Markdown."""
    records = measurements.summary()
    return markdown.render(
        "PROFILE.md.jinja",
        how=how(measurements),
        queries=len(measurements.query_ids()),
        accuracy=table(records, lambda r: f"{r['accuracy']:.3f} ({r['low']:.2f}-{r['high']:.2f})"),
        cost=table(records, cost),
    )


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


def cost(record: Record) -> str:
    """Say what part of the cost the shared prompt is, and what 1,000 queries cost."""
    return f"{100 * record['shared_cost_share']:.1f} %, {1000 * record['cost']:.5f}"


def table(records: Table, cell: Callable[[Record], str]) -> str:
    """Return a Markdown table of records, by model and batch size."""
    sizes = sorted({record["batch_size"] for record in records})
    found = {(record["model"], record["batch_size"]): cell(record) for record in records}
    rows = [[f"`{name}`", *(found[name, size] for size in sizes)] for name in distinct(records, "model")]
    return markdown.text_table(["model", *(f"b = {size}" for size in sizes)], rows)


def figure(measurements: Measurements, path: Path) -> None:
    """Draw accuracy and the shared prompt's part of the cost against batch size."""
    drawn, (left, right) = new_figure(1, 2, (10, 4))
    draw_accuracy(left, measurements.summary())
    draw_shares(right, measurements.summary())
    left.set(title="Accuracy, with 95 % intervals")
    right.set(title="Shared prompt's part of the cost")
    left.legend(frameon=False)
    save(drawn, path)


def draw_accuracy(axis: Any, records: Table) -> None:
    """Draw accuracy against batch size, a line with its interval for each model."""
    for sizes, mine, style in _lines(records):
        low, high = ([r[end] for r in mine] for end in ("low", "high"))
        axis.plot(sizes, [r["accuracy"] for r in mine], **style)
        axis.fill_between(sizes, low, high, color=style["color"], alpha=0.15, lw=0)
    _batch_sizes(axis, records)


def draw_shares(axis: Any, records: Table) -> None:
    """Draw the shared prompt's part of the cost against batch size, a line for each model."""
    for sizes, mine, style in _lines(records):
        axis.plot(sizes, [r["shared_cost_share"] for r in mine], **style)
    _batch_sizes(axis, records)


def _lines(records: Table) -> Iterator[tuple[list[int], Table, dict[str, Any]]]:
    """Yield each model's batch sizes and records, with the style of its line."""
    for name, (colour, marker) in zip(distinct(records, "model"), MARKS, strict=False):
        mine = sorted(where(records, model=name), key=lambda r: r["batch_size"])
        yield [r["batch_size"] for r in mine], mine, {"color": colour, "marker": marker, "label": name}


def _batch_sizes(axis: Any, records: Sequence[Record]) -> None:
    sizes = sorted({record["batch_size"] for record in records})
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.set(xlabel="batch size", ylim=(0, 1))
    axis.grid(alpha=0.3)
