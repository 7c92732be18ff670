"""Make all that follows from the recorded profile: the bundled instance, PROFILE.md and its figure.

usage: python paper_repro/profile_page.py

Reads instances/data/measured_profile.parquet, which `robatch profile paper_repro/profile_cpu.toml` wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robatch.instances.files import replacing, write_text
from robatch.proxies.profiling.measurements import Measurements

HERE = Path(__file__).parent
DATA = HERE.parent / "instances" / "data"

HEAD = """\
# The recorded profile: accuracy by model and batch size

Everything on this page, and the bundled instance `measured`, is made from `instances/data/measured_profile.parquet` by

```bash
python paper_repro/profile_page.py
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
    accuracy = _table(
        records,
        lambda r: f"{r['accuracy']:.3f} ({r['low']:.2f}-{r['high']:.2f})",
    )
    cost = _table(records, lambda r: f"{100 * r['shared_cost_share']:.1f} %, {1000 * r['cost']:.5f}")
    parts = (
        HEAD.format(how=_how(measurements)),
        ACCURACY.format(queries=len(measurements.query_ids()), table=accuracy),
        COST.format(table=cost),
    )
    return "\n".join(parts)


def _how(measurements: Measurements) -> str:
    about = measurements.provenance
    (task,) = about["tasks"]
    lines = [
        f"- Task: {task['described']}; seed of the calls {about['seed']}; "
        f"recorded on {about['date']} with robatch {about['robatch']} on Python {about['python']}.",
    ]
    lines += [
        f"- `{model['name']}`: vLLM {model['vllm']}, offline engine, {model['device']}, {model['dtype']}, "
        f"prefix caching {'on' if model['prefix_caching'] else 'off'}, "
        f"{model['shared_tokens'][task['name']]} tokens of shared prompt, "
        f"USD {model['price_in']:g} in and {model['price_out']:g} out per million tokens (assigned); "
        f"SHA-256 of the weights {model['identity']['sha256'][:16]}..."
        for model in about["models"]
    ]
    return "\n".join(lines)


def _table(records: list[dict[str, Any]], cell: Any) -> str:
    sizes = sorted({record["batch_size"] for record in records})
    names = list(dict.fromkeys(record["model"] for record in records))
    found = {(record["model"], record["batch_size"]): cell(record) for record in records}
    rows = [["model", *(f"b = {size}" for size in sizes)], ["---"] * (len(sizes) + 1)]
    rows += [[f"`{name}`", *(found[name, size] for size in sizes)] for name in names]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def figure(measurements: Measurements, path: Path) -> None:
    """Draw accuracy and the shared prompt's part of the cost against batch size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    records = measurements.summary()
    sizes = sorted({record["batch_size"] for record in records})
    drawn, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    marks = zip(("#0072B2", "#E69F00", "#009E73", "#CC79A7"), ("o", "s", "^", "D"), strict=True)
    names = list(dict.fromkeys(record["model"] for record in records))
    for name, (colour, marker) in zip(names, marks, strict=False):
        mine = sorted((r for r in records if r["model"] == name), key=lambda r: r["batch_size"])
        style: dict[str, Any] = {"color": colour, "marker": marker, "label": name}
        left.plot(sizes, [r["accuracy"] for r in mine], **style)
        left.fill_between(sizes, [r["low"] for r in mine], [r["high"] for r in mine], color=colour, alpha=0.15, lw=0)
        right.plot(sizes, [r["shared_cost_share"] for r in mine], **style)
    left.set(title="Accuracy, with 95 % intervals", ylim=(0, 1))
    right.set(title="Shared prompt's part of the cost", ylim=(0, 1))
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set_xlabel("batch size")
        axis.grid(alpha=0.3)
    left.legend(frameon=False)
    with replacing(path) as temporary:
        drawn.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    plt.close(drawn)


if __name__ == "__main__":
    main()
