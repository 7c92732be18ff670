"""Executions whose server has a prefix cache and fees: the report bills what its invoice says."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from robatch.instances import InputError
from robatch.proxies.engines.usage import read_usage
from robatch.proxies.execution.billing import CallBill, found_tokens
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.pool import PoolModel
from robatch.proxies.execution.preview import dry_run
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute
from tests.proxies.llm_server import SHARED, Proxy, Server, make_queries

PRICES = {"small": (0.1, 0.4), "large": (1.0, 4.0)}
BILL = {"cache_read": 0.1, "cache_write": 1.25, "call_fee": 1e-6}  # of the large model


class CachingServer(Server):
    """Keeps the prompts of the large model, but for one call in `forgets`; names tokens as `style` has it."""

    def __init__(self, forgets=10**9, style="openai", **options):
        super().__init__(**options)
        self.forgets, self.style = forgets, style
        self.invoice, self.calls = Fraction(0), 0

    def answer(self, body):
        status, reply = super().answer(body)
        if status != 200:
            return status, reply
        usage, model = reply["usage"], body["model"]
        tokens_in, tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
        per_in, per_out = (Fraction(repr(usd)) for usd in PRICES[model])
        usd = per_in * tokens_in + per_out * tokens_out
        if model == "large":
            with self.lock:
                found = SHARED if self.calls % self.forgets else 0
                self.calls += 1
            written = SHARED - found
            read, write, fee = (Fraction(repr(BILL[name])) for name in ("cache_read", "cache_write", "call_fee"))
            usd += found * (read - per_in) + written * (write - per_in) + fee * 10**6
            if self.style == "openai":
                usage["prompt_tokens_details"] = {"cached_tokens": found, "cache_write_tokens": written}
            else:
                usage |= {"cache_read_input_tokens": found, "cache_creation_input_tokens": written}
        with self.lock:
            self.invoice += usd / 10**6
        return status, reply


def a_plan(folder, server, fraction=0.8, bill=True, **options):
    make_queries(folder / "q.jsonl", 40)
    table = "[models.bill]\n" + "".join(f"{name} = {value}\n" for name, value in BILL.items())
    (folder / "pool.toml").write_text('[[models]]\nname = "large"\n' + (table if bill else ""))
    return route(folder / "q.jsonl", Proxy(server.url), budget_fraction=fraction, pool=folder / "pool.toml", **options)


@pytest.mark.parametrize("style", ["openai", "anthropic"])
@pytest.mark.parametrize("forgets", [10**9, 3])
def test_the_report_bills_what_the_invoice_says(tmp_path, forgets, style):
    with CachingServer(forgets, style) as server:
        routed = a_plan(tmp_path, server)
        routed.write(tmp_path / "plan.parquet")
        made = execute(RoutedPlan.read(tmp_path / "plan.parquet"), tmp_path / "a.jsonl")
    assert made.complete
    assert made.billed == pytest.approx(float(server.invoice), rel=1e-12)
    assert made.billed <= routed.plan.budget
    assert sum(made.difference.values()) == pytest.approx(made.billed - made.amortized, abs=1e-15)
    if forgets == 3:
        assert made.difference["caches"] > 0.0
    elif not made.replans:
        assert made.difference["caches"] == pytest.approx(0.0, abs=1e-15)
        assert made.billed == pytest.approx(made.planned, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_bill_never_exceeds_the_budget_whatever_caches_do(tmp_path, seed):
    with CachingServer((1, 2, 5)[seed], dear_in=1.3, dear_out=(1.0, 2.0, 3.0)[seed]) as server:
        routed = a_plan(tmp_path, server, (0.3, 0.6, 0.9)[seed], seed=seed)
        made = execute(routed, tmp_path / "a.jsonl", concurrency=3)
    assert made.billed == pytest.approx(float(server.invoice), rel=1e-12)
    assert float(server.invoice) <= routed.plan.budget
    assert sum(made.difference.values()) == pytest.approx(made.billed - made.amortized, abs=1e-15)


def test_a_plan_without_a_bill_of_its_own_pays_full_prices(tmp_path):
    with CachingServer() as server:
        routed = a_plan(tmp_path, server, bill=False)
        made = execute(routed, tmp_path / "a.jsonl")
    assert "caches" not in made.difference
    assert made.billed > float(server.invoice)


def test_a_preview_counts_caches(tmp_path):
    with CachingServer() as server:
        routed = a_plan(tmp_path, server)
        rows = dry_run(routed)
    own = sum(row["expected"] for row in rows)
    writes = routed.problem.write_charge.sum()
    assert own + writes >= routed.planned_cost * (1 - 1e-12)
    assert own <= routed.planned_cost * (1 + 1e-12)


def test_prices_by_name_bring_caches_where_they_are_asked_for(tmp_path):
    table = "model,price_in,price_out,cache_read,call_fee\nsmall,1,2,0.1,\nlarge,3,9,0,0.1\n"
    (tmp_path / "prices.csv").write_text(table)
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 8)
        asked = {"budget": 10.0, "prices": str(tmp_path / "prices.csv")}
        plain = route(tmp_path / "q.jsonl", Proxy(server.url), **asked)
        cached = route(tmp_path / "q.jsonl", Proxy(server.url), cached=0.5, **asked)
    assert [model.cache_read for model in plain.problem.models] == [None, None]
    assert [(model.cache_read, model.cache_share) for model in cached.problem.models] == [(0.1, 0.5), (0.0, 0.5)]
    assert cached.problem.models[1].call_fee == 0.1
    assert plain.sha256 != cached.sha256


@pytest.mark.parametrize(
    ("bill", "message"),
    [
        ({"half": 1}, "bill of model 'm' has a key 'half'"),
        ({"cache_read": -1}, "cache_read of model 'm' is -1"),
        ({"cache_write": 1}, "cache_write of model 'm' is 1: cache_read"),
        (5, "bill of model 'm' is 5"),
    ],
)
def test_a_bill_that_is_not_allowed_is_named(bill, message):
    with pytest.raises(InputError) as error:
        PoolModel("m", 1.0, 2.0, bill=bill)
    assert message in str(error.value)


def test_counts_of_caches_are_no_more_than_the_input():
    model = PoolModel("m", 1.0, 2.0, bill={"cache_read": 0.1})
    from robatch.instances import Model

    bill = CallBill(model, Model("m", 1.0, 2.0, 100.0, cache_read=0.1))
    assert bill.billed(100, 0, {"cached_tokens": 10**6}) == pytest.approx(10e-6)
    assert bill.billed(100, 0, json.loads("{}")) == pytest.approx(100e-6)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 600}},
        {"prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400},  # DeepSeek
        {"cache_read_input_tokens": 600, "cache_creation_input_tokens": 0},
    ],
)
def test_what_a_cache_gave_is_read_under_every_name(usage):
    read = read_usage({"prompt_tokens": 1000, "completion_tokens": 10, **usage})
    assert (read.input_tokens, found_tokens(read.details)) == (1000, 600)
