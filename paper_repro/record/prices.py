"""The bundled price table, chosen from LiteLLM's: chat models that their makers and a few hosts sell today.

usage: python -m paper_repro.record.prices [TABLE --source "litellm 1.2.3" --date 2026-01-31]

Without TABLE, the installed package litellm is read by its path. Kept are names, figures and days, no text of its own.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from robatch.instances.prices import PriceEntry, price_table
from robatch.instances.prices.litellm_table import CHAT_MODES, installed
from robatch.instances.prices.own_table import write_own
from robatch.instances.table_files import read_json

BUNDLED = Path(__file__).parents[2] / "instances" / "data" / "prices.csv"
PROVIDERS = (
    "openai", "anthropic", "gemini", "xai", "deepseek", "mistral", "cohere_chat", "moonshot", "zai", "dashscope",
    "minimax", "amazon_nova", "meta", "groq", "cerebras", "together_ai",
)  # fmt: skip
OTHERS = re.compile(
    r"^ft:|audio|beta|cyber|daybreak|deep-research|experimental|guard|latest|omni|research|robotics|search|voxtral"
    r"|prompt-|^together-ai|vision-exp|-(fim|cli)-|multi-agent|^gemini-|^deepseek-"
)
"""Names that are no text models of today's in their own right: fine-tuned, other media, tests, second names."""
SNAPSHOT = re.compile(r"-(\d{4}-\d\d-\d\d|\d{8}|\d{4})$")


def chosen(entries: Iterable[PriceEntry], ended: set[str]) -> Iterator[PriceEntry]:
    """Yield the models of the bundled table; of a model and its dated snapshots at one price, the model alone."""
    kept = {
        entry.name: entry
        for entry in entries
        if entry.provider in PROVIDERS
        and entry.price_in > 0
        and entry.price_out > 0
        and entry.name not in ended
        and not OTHERS.search(entry.name)
    }
    for name, entry in kept.items():
        model = kept.get(SNAPSHOT.sub("", name))
        if model is None or model is entry or model.bill != entry.bill:
            yield entry


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--source")
    parser.add_argument("--date")
    options = parser.parse_args()
    if options.table is None:
        path, version = installed()
        table, source = price_table("litellm"), f"litellm {version}"
    else:
        path, table, source = options.table, price_table(options.table), options.source
    day = options.date or table.date
    if not source or not day:
        parser.error("--source and --date are needed with a TABLE that does not tell them")
    rows = read_json(str(path), "the prices")
    ended = {name for name, row in rows.items() if row.get("deprecation_date", "9") <= day}
    ended |= {name for name, row in rows.items() if row.get("mode") not in CHAT_MODES or "alias_of" in row}
    made = [replace(entry, source=source, date=day, notes=()) for entry in chosen(table.entries, ended)]
    write_own(BUNDLED, sorted(made, key=lambda entry: (PROVIDERS.index(entry.provider or ""), entry.name)))
    print(f"{len(made)} of {len(table.entries)} models in {BUNDLED.relative_to(BUNDLED.parents[2])}")


if __name__ == "__main__":
    main()
