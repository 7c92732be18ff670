"""Prices as they are read here against the calculators of the packages that they come from, invoice by invoice.

usage: python -m paper_repro.record.price_check     # with litellm and genai-prices installed

Every model is billed for calls of several lengths, also at and beside the thresholds of its tiers, with and without
cached input tokens; the calculators are the packages' own. Models whose price depends on the hour are left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from robatch.instances.prices import PriceEntry, price_table

OUTPUT = 1000  # tokens
LENGTHS = (100, 99_000, 150_000)
ASK_NETWORK = ("chatgpt", "github_copilot")  # providers of which litellm looks for a login

Invoice = Callable[[PriceEntry, int, int], float | None]


def ours(entry: PriceEntry, tokens: int, cached: int) -> float | None:
    """Return the USD of a call; None where the table does not state all of its prices."""
    rates = entry.rates
    for tier in entry.tiers:
        if tokens > tier.above:
            rates = tier.rates
    read = rates.cache_read if cached else 0.0
    if rates.price_in is None or rates.price_out is None or read is None:
        return None
    spent = (tokens - cached) * rates.price_in + cached * read + OUTPUT * rates.price_out
    return spent * 1e-6 + (entry.call_fee or 0.0)


def calls(entry: PriceEntry) -> Iterator[tuple[int, int]]:
    """Yield the input tokens of calls, and how many of them are cached."""
    lengths = {*LENGTHS, *(tier.above + more for tier in entry.tiers for more in (-1, 0, 1, 2))}
    for tokens in sorted(lengths):
        yield tokens, 0
        yield tokens, tokens // 2


def by_genai() -> Invoice:
    """Return the calculator of genai-prices."""
    from genai_prices import Usage
    from genai_prices.data_snapshot import get_snapshot

    models = {(one.id, model.id): model for one in get_snapshot().providers for model in one.models}
    now = datetime.now(UTC)

    def invoice(entry: PriceEntry, tokens: int, cached: int) -> float:
        bare = entry.name.removeprefix(f"{entry.provider}/")
        name = bare if (entry.provider, bare) in models else entry.name
        usage = {"input_tokens": tokens, "output_tokens": OUTPUT} | ({"cache_read_tokens": cached} if cached else {})
        prices = models[entry.provider or "", name].get_prices(now)
        return float(prices.calc_price(Usage(**usage))["total_price"])

    return invoice


def by_litellm() -> Invoice:
    """Return the calculator of litellm, to which fees per call are added; some names it does not take."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True

    def invoice(entry: PriceEntry, tokens: int, cached: int) -> float | None:
        asked: dict[str, Any] = {"prompt_tokens": tokens, "completion_tokens": OUTPUT}
        asked["cache_read_input_tokens"] = cached
        provider = None if "/" in entry.name else entry.provider
        try:
            spent = sum(litellm.cost_per_token(model=entry.name, custom_llm_provider=provider, **asked))
        except Exception:  # of many kinds, for names that it takes for those of deployments
            return None
        return spent + (entry.call_fee or 0.0)

    return invoice


def compare(source: str, invoice: Invoice) -> None:
    """Print how many invoices are equal, and one of each provider's that are not."""
    same, others, examples = 0, Counter[str](), {}
    for entry in price_table(source).entries:
        if entry.provider in ASK_NETWORK or any("hours" in note for note in entry.notes):
            continue
        for tokens, cached in calls(entry):
            here = ours(entry, tokens, cached)
            there = None if here is None else invoice(entry, tokens, cached)
            if here is None or there is None:
                continue
            if abs(here - there) <= 1e-8 * max(here, there):
                same += 1
            else:
                others[str(entry.provider)] += 1
                told = f"{entry.name}: {here:.6g} here, {there:.6g} there, at {tokens:,} tokens, {cached:,} cached"
                examples.setdefault(str(entry.provider), told)
    print(f"{source}: {same:,} invoices equal, {sum(others.values()):,} not")
    for provider, count in others.most_common():
        print(f"  {provider}: {count}; {examples[provider]}")


if __name__ == "__main__":
    compare("genai-prices", by_genai())
    compare("litellm", by_litellm())
