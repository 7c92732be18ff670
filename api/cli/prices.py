"""``robatch prices``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robatch.cli.support import FILE, check_file, json_option, print_json
from robatch.cli.tables import show_table
from robatch.instances.errors import InputError

if TYPE_CHECKING:
    from robatch.instances.prices import PriceEntry, PriceTable

TITLES = (
    "model", "provider", "source", "input tokens", "in", "out", "cache read", "cache write", "for 1 h", "reasoning",
    "batch in", "batch out", "cached from", "USD a call", "window",
)  # fmt: skip


@click.command(short_help="Look up what models cost.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Price table: bundled (the default), litellm or genai-prices (as installed here), or a file; repeatable.",
)
@click.option("--search", metavar="TEXT", help="All models whose name or provider holds TEXT.")
@click.option("--all", "everything", is_flag=True, help="All models.")
@click.option("-o", "--output", type=FILE, help="CSV file to write the prices to: a table for --prices, to be edited.")
@json_option
def prices(
    models: tuple[str, ...],
    sources: tuple[str, ...],
    search: str | None,
    everything: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show what price tables say of each MODEL, in USD per million tokens.

    A name is found as it is written, in any case, and with or without its provider (gpt-4o, openai/gpt-4o). Without
    MODEL, --search and --all, the sources are summed up. Where several sources have a model, all that they say is
    shown, and where they differ. The exit code is 2 if a model is in none of them.

    A file is LiteLLM's JSON (USD per token, converted), OpenRouter's list as its API gives it (JSON; USD per token as
    texts, converted), or a CSV, Parquet or JSON table with model, price_in and price_out (USD per million), and
    whatever else docs/prices.md lists. robatch import counts fees per call and tiers too, and prices of caches and
    batch APIs with --cached and --batch-api; robatch route counts fees and caches with --cached. Reasoning at another
    price is shown and recorded, not billed.

    \b
    robatch prices gpt-4o-mini claude-haiku-4-5
    robatch prices gpt-4o-mini --source litellm --source genai-prices --source openrouter.json
    robatch prices --search qwen
    """
    from robatch.instances.model import warn_of_units
    from robatch.instances.prices import price_table
    from robatch.instances.prices.own_table import write_own

    if bool(models) + (search is not None) + everything > 1:
        raise click.UsageError("MODEL, --search and --all exclude each other: give one of them.")
    check_file(output)
    tables = [price_table(source) for source in sources or ("bundled",)]
    asked = [_ask(name, tables) for name in models]
    if models:
        entries = [entry for one in asked for entry in one["entries"]]
    else:
        entries = [entry for table in tables for entry in table.search(search or "")] if everything or search else []
    if search is not None and not entries:
        raise InputError(f"--search is {search!r}: no model of {_names(tables)} has that in its name or provider")
    if output is not None:
        if not entries:
            raise click.UsageError("-o needs MODEL, --search or --all: what is to be written.")
        write_own(output, _to_write(asked) if models else _once(entries))
    if as_json:
        print_json(_as_json(tables, asked, entries, bool(models)))
        return
    if entries:
        warn_of_units(entries, _names(tables))
        _show(entries)
        for line in [line for one in asked for line in (*one["missing"], *one["differences"])]:
            click.echo(line)
        _show_unbilled(entries)
    _show_sources(tables, not entries)
    if output is not None:
        click.echo(f"\nwritten to {output}")


def _ask(name: str, tables: Sequence[PriceTable]) -> dict[str, Any]:
    """Return what the tables say of a model: entries, who lacks it and why, and where they differ."""
    entries, missing = [], []
    for table in tables:
        try:
            entries.append(table.find(name))
        except InputError as error:
            missing.append(str(error))
    if not entries:
        raise InputError("; ".join(missing))
    return {"asked": name, "entries": entries, "missing": missing, "differences": list(_differences(name, entries))}


def _differences(name: str, entries: Sequence[PriceEntry]) -> Iterable[str]:
    """Yield a sentence for each price that several tables state, and for tiers, where they are not the same."""
    stated: dict[str, dict[str, float]] = {}
    for entry in entries:
        prices = {**entry.rates.stated(), **{f"batch {key}": one for key, one in entry.batch.stated().items()}}
        for tier in entry.tiers:
            prices |= {f"{key} above {tier.above:,}": one for key, one in tier.rates.stated().items()}
        for field, price in prices.items():
            stated.setdefault(field, {})[entry.source] = price
    for field, by_source in stated.items():
        if len(set(by_source.values())) > 1:
            told = ", ".join(f"{price:g} in {source}" for source, price in by_source.items())
            yield f"{name}: {field} is {told}"
    tiers = {entry.source: ", ".join(f"{tier.above:,}" for tier in entry.tiers) or "none" for entry in entries}
    if len(set(tiers.values())) > 1:
        yield f"{name}: tiers above {'; '.join(f'{text} in {source}' for source, text in tiers.items())}"


def _to_write(asked: Sequence[Mapping[str, Any]]) -> Iterable[PriceEntry]:
    """Yield one entry for each model that was asked for, of the first source that has it, under the name asked."""
    from dataclasses import replace

    yield from (replace(one["entries"][0], name=one["asked"]) for one in asked)


def _once(entries: Iterable[PriceEntry]) -> Iterable[PriceEntry]:
    seen: set[str] = set()
    for entry in entries:
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _as_json(
    tables: Sequence[PriceTable], asked: Sequence[Mapping[str, Any]], entries: Sequence[PriceEntry], by_name: bool
) -> dict[str, Any]:
    from robatch.instances.prices.entry import UNIT

    told: dict[str, Any] = {
        "unit": UNIT,
        "sources": [
            {"source": one.source, "date": one.date, "models": len(one.entries), "left_out": one.counts()}
            for one in tables
        ],
    }
    if by_name:
        told["models"] = [{**one, "entries": [entry.to_dict() for entry in one["entries"]]} for one in asked]
    else:
        told["entries"] = [entry.to_dict() for entry in entries]
    return told


def _show(entries: Sequence[PriceEntry]) -> None:
    """Print a row for each model, and one for each of its tiers; without columns that are empty."""
    from robatch.instances.prices.entry import RATES

    rows = []
    for entry in entries:
        first = (entry.name, entry.provider, f"{entry.source}, {entry.date}" if entry.date else entry.source)
        more = (entry.cache_min_tokens, entry.call_fee, entry.context_window)
        start = "" if not entry.tiers else f"to {entry.tiers[0].above:,}"
        parts = [(first, start, entry.rates, entry.batch, more)]
        parts += [(("", "", ""), f"above {one.above:,}", one.rates, one.batch, (None,) * 3) for one in entry.tiers]
        for names, tokens, rates, batch, rest in parts:
            prices = (getattr(rates, field) for field in RATES)
            shown = (f"{one:,}" if isinstance(one, int) else one for one in rest)
            rows.append((*names, tokens, *prices, batch.price_in, batch.price_out, *shown))
    kept = [place for place in range(len(TITLES)) if any(row[place] not in (None, "") for row in rows)]
    show_table([TITLES[place] for place in kept], [[row[place] for place in kept] for row in rows])
    click.echo("\nUSD per million tokens; what a table does not state is left empty")
    for name, note in dict.fromkeys((entry.name, note) for entry in entries for note in entry.notes):
        click.echo(f"{name}: {note}")


def _show_unbilled(entries: Iterable[PriceEntry]) -> None:
    found = unbilled(entry.unbilled for entry in entries)
    if found:
        click.echo(f"{found} (robatch import counts tiers and call fees, and with --cached and --batch-api these)")


def unbilled(parts: Iterable[Sequence[str]], counted: Sequence[str] = ()) -> str | None:
    """Return the sentence that says what of some prices plans do not count; None where there is nothing."""
    names = list(dict.fromkeys(name for one in parts for name in one if name not in counted))
    return f"not yet billed: prices of {', '.join(names)}" if names else None


def _show_sources(tables: Sequence[PriceTable], whole: bool) -> None:
    """Print where the prices are from; with `whole`, also what else is in these tables."""
    lines = []
    for table in tables:
        left = ", ".join(f"{count:,} {reason}" for reason, count in table.counts().items())
        told = f"{len(table.entries):,} chat models" + (f"; left out: {left}" if left else "")
        origin = {entry.source for entry in table.entries} - {table.source}
        made = f", from {', '.join(sorted(origin))}" if 0 < len(origin) < 4 else ""
        of = f"of {table.date or 'an unknown date'}{made}" + (f"; {told}" if whole else "")
        lines.append(f"{table.source}, {of}")
    click.echo("\n" + "\n".join(lines))
    if whole:
        click.echo("\nname a MODEL, or give --search TEXT or --all")


def _names(tables: Sequence[PriceTable]) -> str:
    return ", ".join(table.source for table in tables)


def show_origins(records: Iterable[Mapping[str, Any] | None], counted: Sequence[str] = ()) -> None:
    """Print where prices that were found by name are from, and what of them plans do not count, but for `counted`."""
    found = [record for record in records if record is not None]
    if found:
        click.echo(f"prices: {'; '.join(str(record.get('origin')) for record in found)}")
    left = unbilled((record.get("unbilled", ()) for record in found), counted)
    if left:
        click.echo(left)
