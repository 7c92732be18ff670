"""The bundled price table is chosen as it says, and the check against other calculators finds what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paper_repro.record import price_check
from paper_repro.record.price_check import calls, compare, ours
from paper_repro.record.prices import chosen
from robatch.instances.prices import PriceEntry, PriceTier, Rates, price_table


def test_one_entry_a_model_is_chosen() -> None:
    model = PriceEntry("gpt-x", Rates(1, 4), "openai")
    others = {
        "gpt-x-2026-01-31": model,  # a snapshot at the model's price
        "gpt-x-20251231": replace(model, rates=Rates(2, 4)),
        "ended": model,
        "free": replace(model, rates=Rates(0, 0)),
        "host": replace(model, provider="somebody"),
        "gpt-audio": model,
        "ft:gpt-x": model,
    }
    given = [model, *(replace(entry, name=name) for name, entry in others.items())]
    assert [entry.name for entry in chosen(given, {"ended"})] == ["gpt-x", "gpt-x-20251231"]


def test_invoices() -> None:
    entry = PriceEntry("m", Rates(1, 2, 0.5), tiers=(PriceTier(200, Rates(10, 20)),), call_fee=0.25)
    assert {100, 199, 200, 201, 202} < {tokens for tokens, _ in calls(entry)}
    assert ours(entry, 200, 0) == pytest.approx(0.25 + (200 * 1 + 1000 * 2) / 1e6)
    assert ours(entry, 200, 100) == pytest.approx(0.25 + (100 * 1 + 100 * 0.5 + 1000 * 2) / 1e6)
    assert ours(entry, 201, 0) == pytest.approx(0.25 + (201 * 10 + 1000 * 20) / 1e6)
    assert ours(entry, 201, 100) is None  # the tier states no price of cached tokens


def test_what_differs_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    table = price_table({"m": (1, 2), "n": (3, 4)})
    monkeypatch.setattr(price_check, "price_table", lambda source: table)
    compare("x", ours)
    compare("x", lambda entry, tokens, cached: 1.0)
    assert capsys.readouterr().out.splitlines()[:2] == ["x: 6 invoices equal, 0 not", "x: 0 invoices equal, 6 not"]
