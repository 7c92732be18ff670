"""Write the page on structured output against free text, FORMS.md, from two recorded profiles.

usage: python -m paper_repro.forms_page     (reads paper_repro/results/forms, writes paper_repro/FORMS.md)

The page names the commands that record them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from robatch.instances.files import write_text
from robatch.proxies.profiling.intervals import wilson
from robatch.proxies.profiling.measurements import Measurements

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "forms"
FORMS = ("lines", "json")
FREE = "-free"  # ends the name of a model whose answers are free text

INTRODUCTION = """\
# Structured output against free text

This page is written by `python -m paper_repro.forms_page` from [results/forms](results/forms), recorded by

```bash
{commands}
```

The same {queries} queries of each task went to the same models at the same batch sizes, with the same partners, four
times: the prompt asks for lines (`A1: answer`) or for one JSON object, and the answer is held to that form by vLLM's
structured output (*structured*), or is free text, read with tolerance (*free*). An answer that cannot be read counts as
wrong. Intervals are Wilson's, 95 %.

{how}
"""

LIMITS = """\
## Limits

- Two small models, one of them without a chat template, on two tasks that this project writes itself; one answer per
  query at temperature 0.
- Free text is cut at {tokens} tokens per query. More room may make more of it readable, and would be billed.
"""

Record = dict[str, Any]


def main() -> None:
    """Write the page."""
    write_text(HERE / "FORMS.md", page({form: Measurements.read(RESULTS / f"{form}.parquet") for form in FORMS}))


def page(measured: Mapping[str, Measurements]) -> str:
    """Return the page as Markdown, from the measurements by form."""
    records = cells(measured)
    first = next(iter(measured.values()))
    commands = "\n".join(
        f"ROBATCH_MODELS=FOLDER robatch profile paper_repro/profile_forms_{form}.toml "
        f"-o paper_repro/results/forms/{form}.parquet"
        for form in measured
    )
    parts = [INTRODUCTION.format(commands=commands, queries=records[0]["queries"], how=_how(measured))]
    parts += [
        "## Answers that could be read\n\n" + _wrapped(read_sentences(records)),
        table(records, lambda r: _share(r["parsed"], r["queries"])),
        "## Accuracy\n\n" + _wrapped(accuracy_sentences(records)),
        table(records, lambda r: f"{r['accuracy']:.3f} ({r['low']:.2f}-{r['high']:.2f})"),
        "## Output tokens\n\nPer query, as billed.\n\n" + _wrapped(token_sentences(records)),
        table(records, lambda r: f"{r['output_tokens']:.1f}"),
        LIMITS.format(tokens=first.provenance["tasks"][0]["max_output_tokens"]),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def cells(measured: Mapping[str, Measurements]) -> list[Record]:
    """Give the summaries of all cells, with the model's own name, the form, and whether the answer was held to it."""
    return [
        record | {"model": record["model"].removesuffix(FREE), "form": form, "free": record["model"].endswith(FREE)}
        for form, measurements in measured.items()
        for record in measurements.summary()
    ]


def pairs(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Give cells, structured and free, that are alike otherwise."""
    names = ("task", "model", "form", "batch_size")
    free = {tuple(record[name] for name in names): record for record in records if record["free"]}
    return [(record, free[tuple(record[name] for name in names)]) for record in records if not record["free"]]


def read_sentences(records: Sequence[Record]) -> str:
    """Say how much could be read, structured and free, by form."""
    held = [record for record in records if not record["free"]]
    whole = sum(record["parsed"] == 1 for record in held)
    text = f"Structured, every answer could be read in {whole} of {len(held)} cells"
    text += "." if whole == len(held) else f", in the worst {min(record['parsed'] for record in held):.1%} of them."
    for form in dict.fromkeys(record["form"] for record in records):
        mine = [record for record in records if record["free"] and record["form"] == form]
        shares = {size: _mean([r for r in mine if r["batch_size"] == size], "parsed") for size in _sizes(mine)}
        told = ", ".join(f"{share:.1%} at batch size {size}" for size, share in shares.items())
        text += f" Free text in the form {form}: {told}."
    return text


def accuracy_sentences(records: Sequence[Record]) -> str:
    """Count the cells in which the intervals of structured and free answers do not overlap."""
    both = pairs(records)
    better = [(held, free) for held, free in both if held["low"] > free["high"]]
    worse = [(held, free) for held, free in both if held["high"] < free["low"]]
    text = (
        f"In {len(better)} of {len(both)} cells the structured answers are more often right and the intervals do not "
        f"overlap, in {len(worse)} the free ones."
    )
    read = [
        free["accuracy"] / free["parsed"] - held["accuracy"] / held["parsed"]
        for held, free in both
        if free["parsed"] and held["parsed"]
    ]
    if not read:
        return text
    return text + (
        " Of the answers that could be read, the share that is right differs by "
        f"{sum(read) / len(read):+.3f}, free less structured, as the mean of {len(read)} cells."
    )


def token_sentences(records: Sequence[Record]) -> str:
    """Say what free text and JSON cost in tokens."""
    text = []
    for form in dict.fromkeys(record["form"] for record in records):
        both = [pair for pair in pairs(records) if pair[0]["form"] == form]
        ratio = _mean([free for _, free in both], "output_tokens") / _mean([held for held, _ in both], "output_tokens")
        text.append(f"in the form {form}, free text takes {ratio:.2f} times the output tokens of structured answers")
    held = {form: _mean([r for r in records if r["form"] == form and not r["free"]], "output_tokens") for form in FORMS}
    text.append(f"structured JSON takes {held['json'] / held['lines']:.2f} times those of structured lines")
    sentence = "; ".join(text)
    return f"{sentence[0].upper()}{sentence[1:]} (means of all cells)."


def table(records: Sequence[Record], cell: Callable[[Record], str]) -> str:
    """Give one row per task, model, form and kind of answer, one column per batch size."""
    sizes = _sizes(records)
    rows: dict[tuple[str, ...], dict[int, str]] = {}
    for record in sorted(records, key=lambda r: (r["task"], r["model"], r["form"] != FORMS[0], r["free"])):
        kind = "free" if record["free"] else "structured"
        row = rows.setdefault((record["task"], f"`{record['model']}`", record["form"], kind), {})
        row[record["batch_size"]] = cell(record)
    lines = [["task", "model", "form", "answers", *(f"b = {size}" for size in sizes)]]
    lines += [["---"] * 4 + ["---:"] * len(sizes)]
    lines += [[*name, *(row[size] for size in sizes)] for name, row in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _how(measured: Mapping[str, Measurements]) -> str:
    about = next(iter(measured.values())).provenance
    dates = " and ".join(dict.fromkeys(measurements.provenance["date"] for measurements in measured.values()))
    model = about["models"][0]
    tasks = "; ".join(task["described"] for task in about["tasks"])
    return _wrapped(
        f"Recorded on {dates} with robatch {about['robatch']} and vLLM {model['vllm']}, offline engine, "
        f"{model['device']}, {model['dtype']}. Tasks: {tasks}. The weights are those of PROFILE.md."
    )


def _share(share: float, queries: int) -> str:
    low, high = wilson(share * queries, queries)
    return f"{share:.3f} ({low:.2f}-{high:.2f})"


def _sizes(records: Sequence[Record]) -> list[int]:
    return sorted({record["batch_size"] for record in records})


def _mean(records: Sequence[Record], name: str) -> float:
    return sum(float(record[name]) for record in records) / len(records)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
