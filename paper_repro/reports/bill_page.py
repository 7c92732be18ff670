"""Write BILL.md, bills against plans, from what `paper_repro.record.bill` recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from paper_repro.common import markdown
from paper_repro.common.csv_tables import Row, Table, distinct, read_table
from paper_repro.common.paths import REPORTS, RESULTS
from paper_repro.record.bill import SOURCES
from robatch.instances.errors import InputError
from robatch.instances.files import write_text

MIN_SHARE_TOLD = 5e-4
"""Sources of a smaller part of all differences are not ranked in the text."""


def write() -> None:
    """Write the page."""
    write_text(REPORTS / "BILL.md", page(RESULTS / "bill"))


def read(path: Path) -> Table:
    """Read a recorded table."""
    try:
        return read_table(path)
    except OSError:
        raise InputError(f"{str(path)!r} cannot be read: python -m paper_repro.record.bill records it") from None


def page(results: Path) -> str:
    """Return the page as Markdown, from what was recorded."""
    executions, states = read(results / "executions.csv"), read(results / "states.csv")
    names = [f"`{name}`" for name in distinct(executions, "task")]
    return markdown.render(
        "BILL.md.jinja",
        how=_how(json.loads((results / "about.json").read_text(encoding="utf-8"))),
        queries=f"{executions[0]['queries']:.0f}",
        tasks=f"the task {names[0]}" if len(names) == 1 else f"each of the tasks {', '.join(names)}",
        bills_said=bill_sentences(executions),
        bills=bill_table(executions),
        sources_said=source_sentences(executions),
        sources=source_table(executions),
        states_said=token_sentences(states),
        states=state_table(states),
        utilities_said=utility_sentences(executions),
        utilities=utility_table(executions),
    )


def _how(about: dict[str, Any]) -> str:
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    models = ", ".join(f"`{m['name']}` ({m['price_in']:g} in, {m['price_out']:g} out)" for m in about["models"])
    return (
        f"Recorded on {about['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB; "
        f"{machine['python']}; {versions}. Seed of the new queries: {about['seed']}. Measured on "
        f"{about['measured_on']}, {about['repeats']} repeats, on {about['models'][0]['device']}. Models, with USD per "
        f"million tokens: {models}."
    )


def _sum(rows: Iterable[Row], name: str) -> float:
    return sum(float(row[name]) for row in rows)


def bill_sentences(executions: Table) -> str:
    """Say how bills compare with plans and budgets."""
    over = [row for row in executions if row["billed"] > row["budget"]]
    kept = "No bill exceeded its budget" if not over else f"{len(over)} of {len(executions)} bills exceeded the budget"
    planned, amortized = ([row["billed"] / row[name] - 1 for row in executions] for name in ("planned", "amortized"))
    lost = _sum(executions, "lost_calls")
    again = sum(row["replans"] > 0 for row in executions)
    text = (
        f"{kept}. {again:.0f} of {len(executions)} plans were planned again near their end. Bills differ from the "
        f"planned cost by {min(planned):+.2%} to {max(planned):+.2%}, from the amortized "
        f"cost by {min(amortized):+.2%} to {max(amortized):+.2%}."
    )
    if lost:
        text += f" {lost:.0f} calls were in flight when a run was ended; their worst case is no part of the bills."
    return text


def source_sentences(executions: Table) -> str:
    """Rank the sources, and say what did not happen."""
    sizes = {name: sum(abs(row[name]) for row in executions) for name in SOURCES}
    total = sum(sizes.values()) or 1.0
    ranked = [name for name in sorted(sizes, key=lambda name: -sizes[name]) if sizes[name] / total > MIN_SHARE_TOLD]
    halves, again = _sum(executions, "split_calls"), _sum(executions, "replans")
    return (
        f"Over all executions, by absolute size: "
        f"{'; '.join(f'{SOURCES[name]} {sizes[name] / total:.1%}' for name in ranked)}. "
        + (f"{halves:.0f} calls were halves of malformed ones" if halves else "No call had to be asked again in halves")
        + (f", the rest of a plan was planned again {again:.0f} times" if again else ", no plan was made again")
        + f"; {_sum(executions, 'unread'):.0f} answers could not be read, "
        f"{_sum(executions, 'unanswered'):.0f} queries were not asked."
    )


def token_sentences(states: Table) -> str:
    """Say how far token predictions were off, for calls of one query and of several."""
    told = []
    for kind, several in (("calls of one query", False), ("calls of several", True)):
        rows = [row for row in states if (row["batch_size"] > 1) == several and row["calls"]]
        if rows:
            names = ("input_tokens", "output_tokens")
            off = [_sum(rows, name) / _sum(rows, f"predicted_{name}") - 1 for name in names]
            told.append(f"{kind} {off[0]:+.2%} input and {off[1]:+.2%} output")
    return (
        f"Tokens of the plans' calls, real against predicted: {'; '.join(told)}. They are predicted from calls of a "
        "model's smallest batch size."
    )


def utility_sentences(executions: Table) -> str:
    """Say how often the predicted interval held, where the plan was executed as it was made."""
    known = [row for row in executions if row["low"] is not None and row["actual"] is not None]
    held = [_held(row) for row in known]
    whole, inside = len(held) - held.count("other plan"), held.count("yes")
    text = f"{whole} of {len(known)} plans were executed as they were made"
    text += f"; of these the actual total was in the predicted 90 % interval in {inside}." if whole else "."
    return text + " The interval is not of a plan that was made again, or of which queries were left out."


def _held(row: Row) -> str:
    if row["replans"] or row["unanswered"]:
        return "other plan"
    return "yes" if row["low"] <= row["actual"] <= row["high"] else "no"


def bill_table(executions: Table) -> str:
    """Give budgets, plans and bills."""
    rows = [
        [*(_micro(row[name]) for name in ("budget", "amortized", "planned", "billed")),
         f"{_micro(row['billed'] - row['planned'], '+')} ({row['billed'] / row['planned'] - 1:+.2%})",
         f"{row['calls']:.0f}"]
        for row in executions
    ]  # fmt: skip
    return _by_budget(("budget", "amortized", "planned", "billed", "billed - planned", "calls"), executions, rows)


def source_table(executions: Table) -> str:
    """Give the parts of each difference, and their sum."""
    rows = [
        [*(_micro(row[name], "+") for name in SOURCES), _micro(row["billed"] - row["amortized"], "+")]
        for row in executions
    ]
    return _by_budget((*SOURCES.values(), "billed - amortized"), executions, rows)


def state_table(states: Table) -> str:
    """Give each state's calls, and its tokens per query, predicted and real."""
    head = ("state", "queries", "calls", "input tokens", "predicted", "output tokens", "predicted")
    names = ("input_tokens", "predicted_input_tokens", "output_tokens", "predicted_output_tokens")
    rows = [
        [f"`{row['model']}` x {row['batch_size']:.0f}", f"{row['queries']:.0f}", f"{row['calls']:.0f}",
         *(f"{row[name] / (row['asked'] or 1.0):.2f}" for name in names)]
        for row in states
    ]  # fmt: skip
    return _by_budget(head, states, rows)


def utility_table(executions: Table) -> str:
    """Give predicted and actual utility."""
    rows = [
        [f"{row['utility']:.1f}", f"{row['low']:.1f} to {row['high']:.1f}", f"{row['actual']:.0f}",
         _held(row), f"{row['unanswered']:.0f}", _micro(row["budget"] - row["billed"])]
        for row in executions
    ]  # fmt: skip
    head = ("predicted", "90 % interval", "actual", "in it", "not asked", "budget left")
    return _by_budget(head, executions, rows)


def _by_budget(head: Sequence[str], records: Table, rows: Sequence[Sequence[str]]) -> str:
    """Return a table of records, each told by its task and budget."""
    lines = [[record["task"], f"{record['fraction']:g}", *row] for record, row in zip(records, rows, strict=True)]
    return markdown.table(["task", "budget at", *head], lines)


def _micro(usd: float, sign: str = "") -> str:
    return f"{round(usd * 1e6, 2) + 0.0:{sign}.2f}"
