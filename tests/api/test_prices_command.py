"""`robatch prices`, and the option --prices of other commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from robatch.cli import main
from robatch.instances.prices import price_table

LIST = {
    "m": {"mode": "chat", "litellm_provider": "maker", "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6},
    "alias": {"alias_of": "m"},
    "long": {
        "mode": "chat",
        "litellm_provider": "maker",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 4e-6,
        "input_cost_per_token_above_200k_tokens": 2e-6,
        "output_cost_per_token_batches": 2e-6,
        "cache_read_input_token_cost": 1e-7,
    },
    "picture": {"mode": "image_generation"},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text(json.dumps(LIST))
    Path("own.csv").write_text("model,price_in,price_out\nm,1.5,4\nother,2,3\n")


def robatch(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def answered(*words: Any) -> Any:
    done = robatch(*words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in words else done.stdout


def test_what_two_tables_say_of_a_model() -> None:
    told = answered("prices", "maker/m", "--source", "list.json", "--source", "own.csv")
    assert "maker/m: price_in is 1 in LiteLLM's table 'list.json', 1.5 in the price table 'own.csv'" in told
    assert "USD per million tokens" in told
    assert "not yet billed" not in told
    told = answered("prices", "other", "m", "--source", "list.json", "--source", "own.csv", "--json")
    assert told["unit"] == "USD per million tokens"
    assert [len(one["entries"]) for one in told["models"]] == [1, 2]
    assert told["models"][0]["missing"][0].startswith("LiteLLM's table 'list.json' has no price of 'other'")
    assert told["sources"][0]["left_out"] == {"image_generation": 1}


def test_tiers_that_differ_and_units_that_look_wrong_are_told() -> None:
    Path("other.csv").write_text("model,above,price_in,price_out\nlong,,1,4\nlong,199999,2,4\ntoken,,1e-6,4e-6\n")
    told = answered("prices", "long", "--source", "list.json", "--source", "other.csv")
    assert "long: tiers above 200,000 in LiteLLM's table 'list.json'; 199,999 in the price table 'other.csv'" in told
    assert "looks like USD per token" in " ".join(robatch("prices", "token", "--source", "other.csv").stderr.split())


def test_what_is_not_billed_is_said() -> None:
    told = answered("prices", "long", "--source", "list.json")
    assert "above 200,000" in told
    assert "not yet billed: prices of cache, batch, tier" in told


def test_sources_are_summed_up_searched_and_listed() -> None:
    assert "3 chat models; left out: 1 image_generation" in answered("prices", "--source", "list.json")
    assert answered("prices", "--search", "LON", "--source", "list.json", "--json")["entries"][0]["name"] == "long"
    assert len(answered("prices", "--all", "--json")["entries"]) == len(price_table().entries)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["gpt-4o-minj"], "the bundled price table has no price of 'gpt-4o-minj': the nearest names are 'gpt-4o-mini'"),
        (["m", "nothing", "--source", "list.json"], "no price of 'nothing'"),
        (["picture", "--source", "list.json"], "'picture' in LiteLLM's table 'list.json' is no chat model"),
        (["m", "--source", "nowhere.json"], "'nowhere.json': it is neither a file nor one of bundled, litellm"),
        (["m", "--all"], "exclude each other"),
        (["--search", "qqq"], "no model of the bundled price table has that"),
        (["-o", "out.csv"], "-o needs MODEL"),
        (["gpt-4o", "-o", "nowhere/out.csv"], "cannot write 'nowhere/out.csv'"),
    ],
)
def test_refusals(words: list[str], complaint: str) -> None:
    done = robatch("prices", *words)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert done.stdout == ""


def test_a_table_is_written_under_the_names_asked() -> None:
    answered("prices", "maker/long", "other", "--source", "list.json", "--source", "own.csv", "-o", "mine.csv")
    made = price_table("mine.csv")
    assert [entry.name for entry in made.entries] == ["maker/long", "other"]
    assert made.entries[0].bill == price_table("list.json").find("long").bill
    answered("prices", "--all", "--source", "list.json", "-o", "all.csv")
    assert len(price_table("all.csv").entries) == 3


@pytest.mark.parametrize("prices", ["list.json", "own.csv", None])
def test_import_prices_by_name(prices: str | None) -> None:
    name = "gpt-4o-mini" if prices is None else "m"
    Path("t.csv").write_text(f"query_id,model,correct,input_tokens,output_tokens\n1,{name},1,8,9\n2,{name},0,8,9\n")
    words = ["import", "t.csv", "--shared-tokens", 9, "-o", "p.parquet", *(["--prices", prices] if prices else [])]
    found = answered(*words, "--json")["prices"]
    assert [one["name"] for one in found] == ([] if prices == "own.csv" else [name])
    assert ("prices: " in answered(*words)) == (prices != "own.csv")


def test_a_dry_run_of_a_profile_tells_where_prices_are_from() -> None:
    model = 'name = "m"\nserver = "http://127.0.0.1:9/v1"\nmodel = "long"\ncontext_window = 999\n'
    Path("c.toml").write_text(f'prices = "list.json"\n[[tasks]]\ngenerate = "support"\n[[models]]\n{model}')
    told = answered("profile", "c.toml", "--dry-run")
    assert "prices: long in LiteLLM's table 'list.json', " in told
    assert "not yet billed: prices of cache, batch, tier" in told
    told = answered("profile", "c.toml", "--dry-run", "--prices", "list.json", "--json")
    assert told["prices"]["m"]["rates"]["price_in"] == 1.0
