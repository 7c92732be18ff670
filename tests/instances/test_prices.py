"""Price tables in every form, with what they hold beside models, and the names that models go by."""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime, time
from importlib.metadata import PathDistribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robatch.instances import InputError, MissingExtraError, from_table, read
from robatch.instances.price_tables import price_models
from robatch.instances.prices import PriceEntry, PriceTable, PriceTier, Rates, litellm_table, price_table
from robatch.instances.prices.entry import RATES, age
from robatch.instances.prices.genai_table import read_genai
from robatch.instances.prices.names import nearest
from robatch.instances.prices.own_table import write_own

CHAT = {"litellm_provider": "maker", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
LOW = {"range": [0, 32e3], "input_cost_per_token": 1e-6}
PAIR = {"prompt": "0.000001", "completion": "0.000004"}


def litellm(**fields: Any) -> PriceTable:
    """Read one entry, "m", of a table in LiteLLM's form."""
    return price_table({"m": CHAT | fields})


def openrouter(pricing: Any, **fields: Any) -> PriceTable:
    return price_table({"data": [{"id": "maker/m", "pricing": pricing, **fields}]})


@pytest.mark.parametrize(
    ("fields", "rates", "batch"),
    [
        ({}, Rates(1, 4), Rates()),
        ({"input_cost_per_token": 2.0000000000000002e-07}, Rates(0.2, 4), Rates()),
        ({"input_cost_per_token": "1e-6", "output_cost_per_token": 0}, Rates(1, 0), Rates()),
        (
            {"cache_read_input_token_cost": 1e-7, "cache_creation_input_token_cost": 1.25e-6},
            Rates(1, 4, 0.1, 1.25),
            Rates(),
        ),
        ({"input_cost_per_token_cache_hit": 2e-7}, Rates(1, 4, 0.2), Rates()),
        ({"input_cost_per_token_cache_hit": 2e-7, "cache_read_input_token_cost": 1e-7}, Rates(1, 4, 0.1), Rates()),
        ({"cache_read_input_token_cost": 1e-7, "input_cost_per_token_cache_hit": 2e-7}, Rates(1, 4, 0.1), Rates()),
        ({"cache_creation_input_token_cost_above_1hr": 2e-6}, Rates(1, 4, cache_write_1h=2), Rates()),
        ({"cache_read_input_token_cost": -1, "input_cost_per_token_priority": 2e-6}, Rates(1, 4), Rates()),
        ({"input_cost_per_token_batches": 5e-7, "output_cost_per_token_batches": 2e-6}, Rates(1, 4), Rates(0.5, 2)),
        ({"output_cost_per_reasoning_token": 1e-5}, Rates(1, 4, reasoning=10), Rates()),
    ],
)
def test_litellm_prices(fields: dict[str, Any], rates: Rates, batch: Rates) -> None:
    entry = litellm(**fields).find("m")
    assert (entry.rates, entry.batch, entry.tiers) == (rates, batch, ())


@pytest.mark.parametrize(
    ("fields", "tiers"),
    [
        (
            {"input_cost_per_token_above_272k_tokens": 2e-6, "output_cost_per_token_above_272k_tokens": 6e-6},
            (PriceTier(272_000, Rates(2, 6)),),
        ),
        (
            {"input_cost_per_token_above_1m_tokens": 3e-6, "input_cost_per_token_above_128k_tokens_batches": 1e-6},
            (PriceTier(128_000, Rates(), Rates(1)), PriceTier(1_000_000, Rates(3))),
        ),
        (
            {"cache_creation_input_token_cost_above_1hr_above_200k_tokens": 4e-6},
            (PriceTier(200_000, Rates(cache_write_1h=4)),),
        ),
        (
            {
                "tiered_pricing": [
                    {"range": [0, 32e3], "input_cost_per_token": 9.0},
                    {"range": [32e3, 64e3], "input_cost_per_token": 2e-6},
                ]
            },
            None,
        ),
        (
            {
                "tiered_pricing": [
                    {"range": [0, 32e3], "input_cost_per_token": 1e-6},
                    {"range": [32e3, 64e3], "input_cost_per_token": 2e-6},
                ]
            },
            (PriceTier(32_000, Rates(2)),),
        ),
        ({"input_cost_per_token_above_900_tokens": 2e-6}, (PriceTier(900, Rates(2)),)),
        ({"input_cost_per_token_above_1k_tokens": 2e-6, "litellm_provider": "xai"}, (PriceTier(999, Rates(2)),)),
        ({"tiered_pricing": [{"input_cost_per_token": 1e-6}]}, None),
        ({"tiered_pricing": ["high"]}, None),
    ],
)
def test_litellm_tiers(fields: dict[str, Any], tiers: tuple[PriceTier, ...] | None) -> None:
    table = litellm(**fields)
    if tiers is None:
        assert table.left_out["m"].reason == "value not allowed"
    else:
        entry = table.find("m")
        assert entry.tiers == tiers
        assert entry.rates == Rates(1, 4)


def test_tiers_alone_make_a_price() -> None:
    tier = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    table = price_table(
        {"m": {"mode": "chat", "tiered_pricing": [tier | {"range": [0, 9]}, tier | {"range": [9, 99]}]}, "n": CHAT}
    )
    assert table.find("m").rates == Rates(1, 2)
    assert table.find("m").tiers == (PriceTier(9, Rates(1, 2)),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"mode": "image_generation", "input_cost_per_image": 0.1}, "image_generation"),
        ({"mode": "embedding", "input_cost_per_token": 1e-7}, "embedding"),
        ({"mode": "rerank", "input_cost_per_query": 0.002}, "rerank"),
        ({"mode": "audio_transcription", "input_cost_per_second": 1e-4}, "audio_transcription"),
        ({"mode": "chat", "input_cost_per_second": 0.01}, "no price of tokens"),
        ({"mode": "chat", "input_cost_per_token": 1e-6}, "no price of tokens"),
        ({"litellm_provider": "p"}, "no price of tokens"),
        (CHAT | {"supported_output_modalities": ["audio"]}, "no text output"),
        ({"rules": []}, "no model"),
        ("text", "no model"),
        ({"alias_of": "nowhere"}, "alias without a price"),
        ({"alias_of": "x"}, "alias without a price"),
        (CHAT | {"input_cost_per_token": -0.5}, "value not allowed"),
        (CHAT | {"input_cost_per_token": True}, "value not allowed"),
        (CHAT | {"input_cost_per_token": "cheap"}, "value not allowed"),
        (CHAT | {"output_cost_per_token": float("nan")}, "value not allowed"),
        (CHAT | {"output_cost_per_token": 2.5}, "value not allowed"),
        (CHAT | {"max_input_tokens": 1.5}, "value not allowed"),
    ],
)
def test_litellm_entries_that_are_no_models(row: Any, reason: str) -> None:
    table = price_table({"sample_spec": CHAT, "m": CHAT, "x": row})
    assert [entry.name for entry in table.entries] == ["m"]
    assert table.counts() == ({"no model": 2} if reason == "no model" else {"no model": 1, reason: 1})
    with pytest.raises(InputError, match="'x' in LiteLLM's table"):
        table.find("x")


def test_a_complaint_names_field_value_and_what_is_allowed() -> None:
    why = litellm(input_cost_per_token=2.5).left_out["m"].why
    assert why == "input_cost_per_token of 'm' in LiteLLM's table is 2.5: at most 0.01 USD per token is needed"


def test_a_name_that_stands_twice_is_the_last_one(tmp_path: Path) -> None:
    path, row = tmp_path / "twice.json", json.dumps(CHAT)
    path.write_text(f'{{"m": {row.replace("1e-06", "3e-06")}, "m": {row}}}')
    assert price_table(path).find("m").price_in == 1
    path.write_text('{"m": {"price_in": 1, "price_out": 2}, "m": {"price_in": 2, "price_out": 2}}')
    with pytest.raises(InputError, match="'m' stands twice"):
        price_table(path)


ODD = (None, True, 0, -1, "-1", "", "x", "1e999", [], {}, [1, 2], {"a": 1}, math.nan, 10**400, [{"range": [0, "x"]}])


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_values_are_read_or_named(odd: Any) -> None:
    fields = ("mode", "input_cost_per_token", "tiered_pricing", "supported_output_modalities", "max_input_tokens")
    tables = [price_table({"m": CHAT | {field: odd}, "n": CHAT}) for field in fields]
    tables += [openrouter(PAIR | {field: odd}, top_provider=odd) for field in ("prompt", "request", "overrides")]
    for table in tables:
        assert len(table.entries) + len(table.left_out) == (2 if table.source.startswith("LiteLLM") else 1)
        json.dumps([entry.to_dict() for entry in table.entries], allow_nan=False)
        assert all(len(left.why) < 300 for left in table.left_out.values())


def test_litellm_aliases_and_notes() -> None:
    row = CHAT | {
        "deprecation_date": "2027-01-31",
        "off_peak_pricing": {"windows": []},
        "prompt_cache_min_tokens": 1024.0,
    }
    table = price_table({"latest": {"alias_of": "newest"}, "newest": {"alias_of": "m"}, "m": row})
    alias = table.find("latest")
    assert alias.bill == table.find("m").bill
    assert alias.cache_min_tokens == 1024
    assert [note.split()[0] for note in alias.notes] == ["the", "cheaper", "an"]


@pytest.mark.parametrize(
    ("pricing", "rates", "tiers"),
    [
        (PAIR, Rates(1, 4), ()),
        ({"prompt": 1e-6, "completion": "4e-6", "input_cache_read": "0.0000001"}, Rates(1, 4, 0.1), ()),
        ({"prompt": "0", "completion": "0", "internal_reasoning": "0"}, Rates(0, 0), ()),
        (PAIR | {"input_cache_write": "-1", "image": "x"}, Rates(1, 4), ()),
        (
            {
                "prompt": "0.000001",
                "completion": "0.000004",
                "overrides": [{"min_prompt_tokens": 200_000, "prompt": "0.000002"}],
            },
            Rates(1, 4),
            (PriceTier(199_999, Rates(2)),),
        ),
        (
            {
                "prompt": "0.000001",
                "completion": "0.000004",
                "overrides": [{"utc_start": 30, "utc_end": 1630, "prompt": "0.000002"}],
            },
            Rates(1, 4),
            (),
        ),
    ],
)
def test_openrouter_prices(pricing: Any, rates: Rates, tiers: tuple[PriceTier, ...]) -> None:
    top = {"context_length": 8192, "max_completion_tokens": None}
    entry = openrouter(pricing, context_length=9000, top_provider=top).find("m")
    assert (entry.rates, entry.tiers, entry.context_window, entry.max_output_tokens) == (rates, tiers, 8192, None)
    assert bool(entry.notes) == ("utc_start" in str(pricing))


@pytest.mark.parametrize(
    ("pricing", "reason"),
    [
        ({"prompt": "-1", "completion": "-1"}, "price not known"),
        ({"prompt": "0.000001"}, "price not known"),
        ({"prompt": None, "completion": "0.1"}, "value not allowed"),
        ({"prompt": "-0.1", "completion": "0"}, "value not allowed"),
        ({"prompt": "0", "completion": "0", "overrides": ["x"]}, "value not allowed"),
        ([], "no price of tokens"),
    ],
)
def test_openrouter_entries_without_a_price(pricing: Any, reason: str) -> None:
    table = openrouter(pricing)
    assert table.counts() == {reason: 1}
    with pytest.raises(InputError, match="maker/m"):
        table.find("maker/m")


def test_openrouter_lists_of_any_shape(tmp_path: Path) -> None:
    model = {"id": "a/m", "pricing": {"prompt": "0.000001", "completion": "0.000004", "request": "0.002"}}
    image = model | {"id": "a/i", "architecture": {"output_modalities": ["image"]}}
    path = tmp_path / "list.json"
    for value in ([model, image, 7], {"data": [model, image, {}]}):
        path.write_text(json.dumps(value))
        table = price_table(path)
        assert table.counts() == {"no text output": 1, "no model": 1}
        assert table.find("openrouter/a/m").call_fee == 0.002
        assert table.entries[0].date is not None
    assert price_table({"data": model}).find("m").price_in == 1


class Price:
    """Prices as genai-prices has them: what is not given is None."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> None:
        return None


def genai_model(name: str, *prices: Any, batch: Any = None) -> Any:
    """Return a model whose prices after the first hold from noon."""
    noon = SimpleNamespace(start_time=time(12, tzinfo=UTC), end_time=time(0, tzinfo=UTC))
    parts = [SimpleNamespace(constraint=noon if i else None, prices=price) for i, price in enumerate(prices)]
    variants = [SimpleNamespace(when={"processing": "batch"}, constraint=None)] if batch else None

    def get_prices(when: datetime, context: Any = None) -> Any:
        return batch if context else prices[-1 if when.hour >= 12 else 0]

    return SimpleNamespace(id=name, context_window=9000, prices=parts, price_variants=variants, get_prices=get_prices)


def genai(*models: Any, seller: str = "maker") -> PriceTable:
    home = SimpleNamespace(id="maker", models=[], model_match=SimpleNamespace(is_match=lambda name: name == "m"))
    other = SimpleNamespace(id="other", models=[], model_match=None)
    (home if seller == "maker" else other).models = list(models)
    found = read_genai(SimpleNamespace(providers=[other, home]), "genai", datetime(2026, 1, 31, 3, tzinfo=UTC))
    return PriceTable.made(found[0], "genai", "2026-01-31", found[1])


def tiered(base: float, *tiers: tuple[int, float]) -> Any:
    return SimpleNamespace(base=base, tiers=[SimpleNamespace(start=start, price=price) for start, price in tiers])


def test_genai_prices() -> None:
    whole = Price(input_mtok=1, output_mtok=4, cache_read_mtok=0.1, requests_kcount=5)
    half = Price(input_mtok=0.5, output_mtok=2)
    entry = genai(genai_model("m", whole, batch=half)).find("maker/m")
    assert (entry.name, entry.rates, entry.batch, entry.call_fee) == ("m", Rates(1, 4, 0.1), Rates(0.5, 2), 0.005)
    assert genai(genai_model("m", whole), seller="other").find("m").name == "other/m"


def test_genai_tiers_hold_for_prices_without_them() -> None:
    entry = genai(genai_model("m", Price(input_mtok=tiered(1, (200, 2), (900, 3)), output_mtok=4))).find("m")
    assert entry.rates == Rates(1, 4)
    assert entry.tiers == (PriceTier(200, Rates(2, 4)), PriceTier(900, Rates(3, 4)))


def test_genai_hours_count_at_their_dearest() -> None:
    cheap, dear = Price(input_mtok=1, output_mtok=4), Price(input_mtok=2, output_mtok=8)
    for prices in ((cheap, dear), (dear, cheap)):
        entry = genai(genai_model("m", *prices)).find("m")
        assert entry.rates == Rates(2, 8)
        assert entry.notes


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (Price(), "no price of tokens"),
        (Price(input_mtok=1), "no price of tokens"),
        (Price(input_mtok=-3, output_mtok=1), "value not allowed"),
        (Price(input_mtok=1, output_mtok=1e6), "value not allowed"),
    ],
)
def test_genai_models_without_a_price(price: Any, reason: str) -> None:
    assert genai(genai_model("m", price)).counts() == {reason: 1}


OWN = """model,provider,above,price_in,price_out,cache_read,batch_price_in,cache_min_tokens,call_fee,context_window,date
m,maker,,$1.00,4,0.1,0.5,1024,0.01,8192,2026-01-31
m,,200000,2,8,,1,,,,
n,,,3,6,,,,,,
"""


def test_own_tables_of_any_kind(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(OWN)
    table = price_table(path)
    m = table.find("M")
    assert (m.rates, m.batch) == (Rates(1, 4, 0.1), Rates(0.5))
    assert m.tiers == (PriceTier(200_000, Rates(2, 8), Rates(1)),)
    assert (m.cache_min_tokens, m.call_fee, m.context_window, m.date) == (1024, 0.01, 8192, "2026-01-31")
    assert table.find("n").date == table.entries[1].date is not None  # of the file
    write_own(tmp_path / "again.csv", table.entries)
    assert [entry.bill for entry in price_table(str(tmp_path / "again.csv")).entries] == [
        one.bill for one in table.entries
    ]
    for source in (
        {"m": (1, 4)},
        {"m": {"price_in": "1", "price_out": 4}},
        [{"model": "m", "price_in": 1, "price_out": 4}],
    ):
        assert price_table(source).find("maker/m").rates == Rates(1, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,price_in\nm,1\n", "no column 'price_out'"),
        ("model,price_in,price_out\nm,-1,1\n", "'price_in' of the price table .* is -1"),
        ("model,price_in,price_out\nm,1,\n", "price_out of model 'm' .* is missing"),
        ("model,price_in,price_out\nm,1,2\nm,1,2\n", "holds model 'm' 2 times without 'above'"),
        ("model,above,price_in,price_out\nm,9,1,2\n", "holds model 'm' 0 times without 'above'"),
        ("model,above,price_in,price_out\nm,,1,2\nm,9,1,2\nm,9,1,2\n", "above 9 twice"),
        ("model,price_in,price_out,cache_min_tokens\nm,1,2,1.5\n", "cache_min_tokens of model 'm' .* is 1.5"),
        ("model,price_in,price_out,date\nm,1,2,yesterday\n", "date of model 'm' .* is 'yesterday'"),
    ],
)
def test_own_tables_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        price_table(path)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("gpt-x", "gpt-x"),
        ("GPT-X", "gpt-x"),
        ("openai/gpt-x", "gpt-x"),
        ("openai:gpt-x", "gpt-x"),
        ("azure/gpt-x", "azure/gpt-x"),
        ("google/gem", "gemini/gem"),
        ("gem", "gemini/gem"),
        ("org/open-7b", "host/Org/Open-7B"),
        ("alone", "alone"),
        ("any/alone", "alone"),
        ("twin", "a/twin"),
    ],
)
def test_names(asked: str, found: str) -> None:
    assert NAMED.find(asked).name == found


def named(name: str, provider: str | None, price: float = 1.0) -> PriceEntry:
    return PriceEntry(name, Rates(price, price), provider)


NAMED = PriceTable(
    (
        named("gpt-x", "openai"),
        named("azure/gpt-x", "azure", 2.0),
        named("gemini/gem", "gemini"),
        named("host/Org/Open-7B", "host"),
        named("alone", None),
        *(named("a/twin", "a"), named("b/twin", "b")),
        *(named("a/rival", "a"), named("b/rival", "b", 2.0)),
    ),
    "the table",
)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("rival", "'rival' may be several models of the table, at different prices: 'a/rival', 'b/rival'"),
        ("gpt-y", "the table has no price of 'gpt-y': the nearest names are 'gpt-x'"),
        ("mistral/gpt-x", "no price of 'mistral/gpt-x': the nearest names are 'gpt-x', 'azure/gpt-x'"),
        ("", "no price of ''"),
        ("zzz", "none of its 9 names is near"),
        # genai-prices 0.2.3 prices some by how they begin, LiteLLM 1.110.2 as free (findings/genai-prices-prefix.sh)
        ("gpt-x-of-mine", "the table has no price of 'gpt-x-of-mine'"),
        ("gemini/gem-of-mine", "no price of 'gemini/gem-of-mine'"),
        ("fireworks_ai/me/tuned-8b", "no price of 'fireworks_ai/me/tuned-8b'"),
    ],
)
def test_names_that_mean_no_model(asked: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        NAMED.find(asked)


def test_nearest_names() -> None:
    assert nearest("x/llama-8b", ["a/llama-8b-instruct", "llama-70b", "other"])[0] == "a/llama-8b-instruct"


def test_an_installed_litellm_is_read_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "litellm"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    (folder / "model_prices_and_context_window_backup.json").write_text(json.dumps({"m": CHAT}))
    found = tmp_path / "litellm-9.8.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Name: litellm\nVersion: 9.8\n")
    assert PathDistribution(found).version == "9.8"
    monkeypatch.syspath_prepend(tmp_path)
    entry = price_table("litellm").find("m")
    assert entry.source == "litellm 9.8"
    assert entry.date is not None


@pytest.mark.parametrize(
    ("source", "words"), [("litellm", "pip install litellm"), ("genai-prices", r"robatch\[prices\]")]
)
def test_packages_that_are_not_installed(source: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm_table, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingExtraError, match=words):
        price_table(source)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("nowhere.json", None, "neither a file nor one of bundled, litellm, genai-prices"),
        ("prices.json", "{", "not a complete JSON file"),
        ("prices.json", "7", "no form that is known: LiteLLM's JSON, OpenRouter's list, or a table"),
        ("prices.json", '{"data": [{"id": "x"}]}', "no form that is known"),
        ("prices.json", '[{"price_in": 1}]', "the price table '.*prices.json' has no column 'model'"),
        ("prices.xlsx", "x", "save the sheet as CSV"),
    ],
)
def test_sources_that_are_refused(tmp_path: Path, name: str, text: str | None, words: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        price_table(path)


def test_the_bundled_table() -> None:
    table = price_table()
    assert 150 <= len(table.entries) <= 300
    assert not table.left_out
    for entry in table.entries:
        assert table.find(entry.name) is entry
        assert entry.provider
        assert entry.source.startswith("litellm ")
        assert entry.date == table.date
        assert 0 < entry.price_in <= entry.price_out * 2 < 2000
        assert entry.rates.cache_read is None or entry.rates.cache_read <= entry.price_in
        assert entry.batch.price_in is None or 0 < entry.batch.price_in <= entry.price_in
        assert [tier.above for tier in entry.tiers] == sorted({tier.above for tier in entry.tiers})
        for tier in entry.tiers:
            assert (tier.rates.price_in or entry.price_in) >= entry.price_in
    assert sum(bool(entry.tiers) for entry in table.entries) > 20
    assert sum(entry.cache_min_tokens is not None for entry in table.entries) > 20
    assert len({entry.provider for entry in table.entries}) > 10


def test_what_is_recorded() -> None:
    entry = NAMED.find("gpt-x").to_dict()
    assert entry["unit"] == "USD per million tokens"
    assert entry["rates"] == {**dict.fromkeys(RATES), "price_in": 1.0, "price_out": 1.0}
    assert json.loads(json.dumps(entry)) == entry
    assert age("2026-01-01", datetime(2026, 1, 31).date()) == 30


TABLE = [{"query": "q", "model": "m", "correct": 1, "input_tokens": 9, "output_tokens": 9}]


@pytest.mark.parametrize(
    "prices",
    [
        {"m": CHAT | {"max_input_tokens": 8192}},
        {"data": [{"id": "a/m", "context_length": 8192, "pricing": {"prompt": "1e-6", "completion": "4e-6"}}]},
        [{"model": "m", "price_in": 1, "price_out": 4, "above": a, "context_window": 8192} for a in (None, 9)],
    ],
)
def test_routing_tables_are_priced_by_name(prices: Any, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(prices))
    for source in (prices, path):
        model = from_table(TABLE, source, shared_tokens=5).models[0]
        assert (model.price_in, model.price_out, model.context_window) == (1, 4, 8192)
        assert model.priced is not None


def test_problems_keep_where_prices_are_from(tmp_path: Path) -> None:
    problem = from_table(TABLE, {"m": CHAT}, shared_tokens=5)
    assert problem.models[0].priced == "m in LiteLLM's table"
    problem.write(tmp_path / "p.parquet")
    back = read(tmp_path / "p.parquet")
    assert back.models[0].priced == "m in LiteLLM's table"
    given = problem.models[0].replace(priced=None)
    assert given == problem.models[0]
    assert "priced" not in given.to_dict()
    with pytest.raises(InputError, match="priced of model 'm' is 3"):
        given.replace(priced=3)


def test_routing_tables_are_priced_by_sources() -> None:
    row = TABLE[0] | {"model": "openai/gpt-4o-mini"}
    assert (
        from_table([row], "bundled", shared_tokens=5).models[0].price_in == price_table().find("gpt-4o-mini").price_in
    )
    with pytest.raises(InputError, match="the bundled price table has no price of 'm'"):
        from_table(TABLE, "bundled", shared_tokens=5)


BILLED = """
model,price_in,price_out,cache_read,cache_write,cache_min_tokens,call_fee,batch_price_in,batch_price_out,above
m,1,4,0.1,0,1024,0.001,0.5,2,
m,2,6,0.2,2.5,,,1,3,200000
n,1,4,,,,,,,
""".lstrip()


def test_the_terms_of_a_bill_are_taken_from_a_table(tmp_path):
    (tmp_path / "prices.csv").write_text(BILLED)
    plain = price_models(tmp_path / "prices.csv", ["m"], (1,), 2000.0)[0]
    assert plain.call_fee == 0.001
    assert not plain.cached
    assert [(tier.above, tier.rates.price_in, tier.rates.cache_read) for tier in plain.tiers] == [(200000, 2.0, None)]
    cached = price_models(tmp_path / "prices.csv", ["m", "n"], (1,), 2000.0, cached=0.9)
    assert (cached[0].cache_read, cached[0].cache_write, cached[0].cache_share) == (0.1, None, 0.9)
    assert cached[0].tiers[0].rates.cache_write == 2.5
    assert not cached[1].cached
    batch = price_models(tmp_path / "prices.csv", ["m"], (1,), 2000.0, batch_api=True)[0]
    assert batch.tariff[:2] == (0.5, 2.0)
    with pytest.raises(InputError, match="no prices of a batch API for model 'n'"):
        price_models(tmp_path / "prices.csv", ["n"], (1,), 2000.0, batch_api=True)
    with pytest.raises(InputError, match="cached is 2"):
        price_models(tmp_path / "prices.csv", ["m"], (1,), 2000.0, cached=2)


@pytest.mark.parametrize("field", ["cache_read", "call_fee", "batch_price_in"])
def test_the_terms_of_a_bill_are_taken_from_a_mapping(field):
    row = {"price_in": 1.0, "price_out": 2.0, "shared_tokens": 2000.0, field: 0.25}
    model = price_models({"m": row}, ["m"], (1,), cached=1.0, batch_api=field.startswith("batch"))[0]
    found = {"cache_read": model.cache_read, "call_fee": model.call_fee, "batch_price_in": model.tariff.price_in}
    assert found[field] == 0.25
