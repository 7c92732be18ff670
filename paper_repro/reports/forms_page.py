"""Write FORMS.md, structured output against free text, from two recorded profiles; the page says how they were made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Table, distinct, groups, where
from paper_repro.common.paths import REPORTS, RESULTS
from robatch.instances.files import write_text
from robatch.proxies.profiling.cell_sums import wilson
from robatch.proxies.profiling.measurements import Measurements

FORMS = ("lines", "json")
FREE = "-free"  # ends the name of a model whose answers are free text

Record = dict[str, Any]


def write() -> None:
    """Write the page."""
    write_text(REPORTS / "FORMS.md", page(recorded()))


def recorded() -> dict[str, Measurements]:
    """Return the recorded measurements by form."""
    return {form: Measurements.read(RESULTS / "forms" / f"{form}.parquet") for form in FORMS}


def page(measured: Mapping[str, Measurements]) -> str:
    """Return the page as Markdown, from the measurements by form."""
    records = cells(measured)
    about = next(iter(measured.values())).provenance
    model = about["models"][0]
    return markdown.render(
        "FORMS.md.jinja",
        forms=list(measured),
        queries=records[0]["queries"],
        how=f"Recorded on {' and '.join(dict.fromkeys(one.provenance['date'] for one in measured.values()))} with "
        f"robatch {about['robatch']} and vLLM {model['vllm']}, offline engine, {model['device']}, {model['dtype']}. "
        f"Tasks: {'; '.join(task['described'] for task in about['tasks'])}. The weights are those of PROFILE.md.",
        read_said=read_sentences(records),
        read=table(records, lambda r: _share(r["parsed"], r["queries"])),
        accuracy_said=accuracy_sentences(records),
        accuracy=table(records, lambda r: f"{r['accuracy']:.3f} ({r['low']:.2f}-{r['high']:.2f})"),
        tokens_said=token_sentences(records),
        output_tokens=table(records, lambda r: f"{r['output_tokens']:.1f}"),
        tokens=about["tasks"][0]["max_output_tokens"],
    )


def cells(measured: Mapping[str, Measurements]) -> Table:
    """Give the summaries of all cells, with the model's own name, the form, and whether the answer was held to it."""
    return [
        record | {"model": record["model"].removesuffix(FREE), "form": form, "free": record["model"].endswith(FREE)}
        for form, measurements in measured.items()
        for record in measurements.summary()
    ]


def pairs(records: Table) -> list[tuple[Record, Record]]:
    """Give cells, structured and free, that are alike otherwise."""
    alike = [members for _, members in groups(records, "task", "model", "form", "batch_size")]
    return [(where(both, free=False)[0], where(both, free=True)[0]) for both in alike]


def read_sentences(records: Table) -> str:
    """Say how much could be read, structured and free, by form."""
    held = where(records, free=False)
    whole = sum(record["parsed"] == 1 for record in held)
    text = f"Structured, every answer could be read in {whole} of {len(held)} cells"
    text += "." if whole == len(held) else f", in the worst {min(record['parsed'] for record in held):.1%} of them."
    for form in distinct(records, "form"):
        mine = where(records, free=True, form=form)
        told = ", ".join(
            f"{_mean(where(mine, batch_size=size), 'parsed'):.1%} at batch size {size}" for size in _sizes(mine)
        )
        text += f" Free text in the form {form}: {told}."
    return text


def accuracy_sentences(records: Table) -> str:
    """Count the cells in which the intervals of structured and free answers do not overlap."""
    both = pairs(records)
    better = sum(held["low"] > free["high"] for held, free in both)
    worse = sum(held["high"] < free["low"] for held, free in both)
    text = (
        f"In {better} of {len(both)} cells the structured answers are more often right and the intervals do not "
        f"overlap, in {worse} the free ones."
    )
    read = [
        free["accuracy"] / free["parsed"] - held["accuracy"] / held["parsed"]
        for held, free in both
        if free["parsed"] and held["parsed"]
    ]
    if read:
        text += (
            " Of the answers that could be read, the share that is right differs by "
            f"{sum(read) / len(read):+.3f}, free less structured, as the mean of {len(read)} cells."
        )
    return text


def token_sentences(records: Table) -> str:
    """Say what free text and JSON cost in tokens."""
    held, free = (
        {form: _mean(where(records, form=form, free=kind), "output_tokens") for form in FORMS} for kind in (False, True)
    )
    text = "; ".join(
        f"in the form {form}, free text takes {free[form] / held[form]:.2f} times the output tokens of structured "
        "answers"
        for form in distinct(records, "form")
    )
    text += f"; structured JSON takes {held['json'] / held['lines']:.2f} times those of structured lines"
    return f"{text[0].upper()}{text[1:]} (means of all cells)."


def table(records: Table, cell: Callable[[Record], str]) -> str:
    """Give one row per task, model, form and kind of answer, one column per batch size."""
    sizes = _sizes(records)
    rows: dict[tuple[str, ...], dict[int, str]] = {}
    for record in sorted(records, key=lambda r: (r["task"], r["model"], r["form"] != FORMS[0], r["free"])):
        kind = "free" if record["free"] else "structured"
        row = rows.setdefault((record["task"], f"`{record['model']}`", record["form"], kind), {})
        row[record["batch_size"]] = cell(record)
    lines = [[*name, *(row[size] for size in sizes)] for name, row in rows.items()]
    return markdown.table(["task", "model", "form", "answers", *(f"b = {size}" for size in sizes)], lines, left=4)


def _share(share: float, queries: int) -> str:
    low, high = wilson(share * queries, queries)
    return f"{share:.3f} ({low:.2f}-{high:.2f})"


def _sizes(records: Iterable[Record]) -> list[int]:
    return sorted({record["batch_size"] for record in records})


def _mean(records: Table, name: str) -> float:
    return sum(float(record[name]) for record in records) / len(records)
