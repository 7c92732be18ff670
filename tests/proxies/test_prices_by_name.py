"""Models without prices get them by their names: in configurations, pools, routes; plans keep where they are from."""

from __future__ import annotations

import json
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.instances import InputError, InputWarning
from robatch.instances.prices import price_table
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.pool import PoolModel, override, pool_model
from robatch.proxies.execution.prices import reprice, warn_of_age
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute
from robatch.proxies.profiling.config import read_config
from robatch.proxies.profiling.provenance import config_hash, identity, provenance
from tests.proxies.llm_server import Proxy, make_queries

URL = "http://127.0.0.1:9/v1"
PRICES = """model,price_in,price_out,cache_read,source,date
small,1,2,,a list,2026-01-31
org/large,3,4,0.5,a list,2026-01-31
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prices.csv").write_text(PRICES)
    make_queries("q.jsonl", 24)


def config(model: str, above: str = 'prices = "prices.csv"') -> Any:
    """Read a configuration with one model, named m, from a folder of its own."""
    Path("run").mkdir(exist_ok=True)
    Path("run/prices.csv").write_text(PRICES)
    task, where = '[[tasks]]\ngenerate = "support"\n', f'name = "m"\nserver = "{URL}"\ncontext_window = 999\n'
    Path("run/config.toml").write_text(f"{above}\n{task}[[models]]\n{where}{model}\n")
    return read_config("run/config.toml").models[0]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ('model = "small"', (1.0, 2.0)),
        ('model = "SMALL"', (1.0, 2.0)),
        ('model = "large"', (3.0, 4.0)),
        ('model = "x"\npriced_as = "org/large"', (3.0, 4.0)),
        ('model = "small"\nprice_in = 7\nprice_out = 8', (7.0, 8.0)),
    ],
)
def test_configurations(model: str, found: tuple[float, float]) -> None:
    made = config(model)
    assert (made.price_in, made.price_out) == found
    assert (made.prices is None) == ("price_in" in model)
    if made.prices is not None:
        assert (made.prices["source"], made.prices["date"]) == ("a list", "2026-01-31")


def test_the_bundled_table_serves_without_a_source() -> None:
    made = config('model = "gpt-4o-mini"', above="")
    assert made.price_in == price_table().find("gpt-4o-mini").price_in
    assert made.prices is not None


@pytest.mark.parametrize(
    ("model", "above", "words"),
    [
        (
            'model = "x"',
            'prices = "prices.csv"',
            r"models\[0\].price_in' and .* has no price of 'x'",
        ),
        ('model = "small"\nprice_in = 1', "", r"models\[0\].price_out' is missing"),
        ('model = "small"\npriced_as = "small"\nprice_in = 1', "", "priced_as' is for a model without prices"),
        ('model = "small"\npriced_as = ""', "", "priced_as is '': a text that is not empty"),
        ('model = "small"', 'prices = "nowhere.csv"', "nowhere.csv': it is neither a file nor one of"),
        ('model = "small"', "prices = 3", "prices is 3: a text"),
    ],
)
def test_configurations_that_are_refused(model: str, above: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        config(model, above)


def test_an_option_takes_the_place_of_the_source() -> None:
    Path("run").mkdir()
    rows = f'prices = "nowhere.csv"\n[[models]]\nname = "small"\nserver = "{URL}"\nmodel = "m"\ncontext_window = 9\n'
    Path("run/pool.toml").write_text(rows)
    Path("run/config.toml").write_text('[[tasks]]\ngenerate = "support"\n')
    assert read_config("run/config.toml", "run/pool.toml", prices="prices.csv").models[0].price_in == 1.0
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_config("run/config.toml", "run/pool.toml")


def test_measurements_keep_them_and_no_answer_depends_on_them() -> None:
    read = []
    for model in ('model = "small"', 'model = "small"\nprice_in = 7\nprice_out = 8'):
        config(model)
        run = read_config("run/config.toml")
        known = {one.name: identity(one) for one in run.models}
        hashed = config_hash(run, known)
        read.append((hashed, provenance(run, known, hashed, {"m": {}}, {})["models"][0]))
    assert read[0][0] == read[1][0]
    assert "prices" not in read[1][1]
    record = json.loads(json.dumps(read[0][1]))
    assert record["prices"]["unit"] == "USD per million tokens"
    assert pool_model(record).prices == record["prices"]


def pool(text: str, **fields: Any) -> PoolModel:
    Path("pool.toml").write_text(text)
    return override([PoolModel("small", 9.0, 9.0, server=URL, **fields)], "pool.toml")[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('prices = "prices.csv"\n[[models]]\nname = "small"\n', 1.0),
        ('prices = "prices.csv"\n[[models]]\nname = "small"\nmodel = "large"\n', 3.0),
        ('prices = "prices.csv"\n[[models]]\nname = "small"\npriced_as = "large"\n', 3.0),
        ('prices = "prices.csv"\n[[models]]\nname = "small"\nprice_in = 5.0\n', 5.0),
        ('[[models]]\nname = "small"\n', 9.0),
    ],
)
def test_pools(text: str, found: float) -> None:
    record = {"name": "old", "source": "s"}
    made = pool(text, prices=record)
    assert made.price_in == found
    assert made.prices == (None if found == 5.0 else record if found == 9.0 else made.prices)
    assert found in (5.0, 9.0) or made.prices["source"] == "a list"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[models]]\nname = "small"\nprices = "x"\n', "key 'prices' is not known"),
        ('prices = 3\n[[models]]\nname = "small"\n', "prices is 3"),
        ('[[models]]\nname = "small"\npriced_as = "nothing like it"\n', "the bundled price table has no price"),
    ],
)
def test_pools_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        pool(text)


def test_a_plan_is_made_for_prices_by_name_and_keeps_them() -> None:
    plain = route("q.jsonl", Proxy(URL), 1.0)
    made = route("q.jsonl", Proxy(URL), 1.0, prices="prices.csv")
    assert [(model.price_in, model.price_out) for model in made.problem.models] == [(1.0, 2.0), (3.0, 4.0)]
    assert [model.priced for model in made.problem.models] == [
        "small in a list, 2026-01-31", "org/large in a list, 2026-01-31"
    ]  # fmt: skip
    assert made.planned_cost > plain.planned_cost
    made.write("plan.parquet")
    kept = [model.prices for model in RoutedPlan.read("plan.parquet").pool]
    assert kept == [model.prices for model in made.pool]
    assert [one["date"] for one in kept if one] == ["2026-01-31"] * 2
    assert kept[1] is not None
    assert kept[1]["unbilled"] == ["cache"]
    Path("pool.toml").write_text('prices = "bundled"\n[[models]]\nname = "small"\nserver = "http://127.0.0.1:8/v1"\n')
    assert made.with_pool("pool.toml").pool[0].price_in == 1.0  # an execution keeps those of its plan
    Path("pool.toml").write_text('[[models]]\nname = "large"\nprice_in = 8.0\nprice_out = 8.0\n')
    mixed = route("q.jsonl", Proxy(URL), 1.0, prices="prices.csv", pool="pool.toml").pool
    assert [(model.price_in, model.prices is None) for model in mixed] == [(1.0, False), (8.0, True)]
    with pytest.raises(InputError, match="no price of 'small'"):
        route("q.jsonl", Proxy(URL), 1.0, prices="bundled")


@pytest.mark.parametrize(("most", "warns"), [(89.0, True), (90.0, False), (0.0, True), (None, False)])
def test_old_prices_are_told(most: float | None, warns: bool) -> None:
    models = [PoolModel("given", 1.0, 1.0, server=URL), PoolModel("small", 1.0, 1.0, server=URL)]
    models = [models[0], *reprice(models[1:], "prices.csv")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_age(models, most, date(2026, 5, 1))
    assert [one.category for one in caught] == ([InputWarning] if warns else [])
    if warns:
        words = str(caught[0].message)
        assert words.startswith("the prices of 'small' are of 2026-01-31 (a list), 90 days old, more than")


@pytest.mark.parametrize("record", [{}, {"date": None}, {"date": 3}, {"source": "s"}])
def test_prices_without_a_date_have_no_age(record: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_age([PoolModel("m", 1.0, 1.0, server=URL, prices=record)], 0.0)


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="the date of the prices of model 'm' is 'soon'"):
        warn_of_age([PoolModel("m", 1.0, 1.0, server=URL, prices={"date": "soon"})], 0.0)
    with pytest.raises(InputError, match="prices of model 'm' are 3"):
        PoolModel("m", 1.0, 1.0, server=URL, prices=3)  # type: ignore[arg-type]


def test_an_execution_warns_of_old_prices() -> None:
    route("q.jsonl", Proxy(URL), 1.0, prices="prices.csv").write("plan.parquet")
    with pytest.warns(InputWarning, match="are of 2026-01-31"), pytest.raises(InputError, match="cannot be reached"):
        execute("plan.parquet", "answers.jsonl", max_price_age=0.0)
    words = ["execute", "plan.parquet", "--dry-run", "--max-price-age"]
    told = [CliRunner().invoke(main, [*words, days]) for days in ("0", "1e6")]
    assert [one.exit_code for one in told] == [0, 0]
    assert ["days old" in one.stderr for one in told] == [True, False]
