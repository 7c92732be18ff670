"""The budget of an execution in the hard sense: what is billed and may have been billed, whatever the server does."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from robatch.instances import InputError, Model, Problem
from robatch.proxies.engines.engine import ModelCall
from robatch.proxies.engines.server import ServerEngine
from robatch.proxies.engines.token_count import byte_bounds, token_counter
from robatch.proxies.execution.bounds import CHAT_TEMPLATE_TOKENS, InputBounds
from robatch.proxies.execution.dispatch import affordable
from robatch.proxies.execution.preview import dry_run
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path
from robatch.proxies.journal import read_lines
from robatch.proxies.tasks.queries import Query, write_queries
from tests.proxies.llm_server import SLOT, Proxy, Server, make_queries

PRICES = {"small": (0.1, 0.4), "large": (1.0, 4.0)}


class Hostile(Server):
    """Bills any tokens within the bounds, dense texts one a byte; some calls are billed and then fail."""

    def __init__(self, seed: int, failing: float) -> None:
        super().__init__()
        self.random, self.failing = random.Random(seed), failing

    def answer(self, body):
        prompt = body["messages"][0]["content"]
        texts = [text for _, text in SLOT.findall(prompt)]
        with self.lock:
            dense = any(len(text) > 100 for text in texts) or self.random.random() < 0.3
            tokens_in = len(prompt.encode()) + 100 if dense else len(prompt.split())
            tokens_out = self.random.randint(3 * len(texts), body["max_tokens"])
            self.bill.append((body["model"], tokens_in, tokens_out))
            failed = self.random.random() < self.failing
        if failed:
            return 500, {"error": {"message": "worker died after generating"}}
        lines = "\n".join(f"A{i}: {text.split()[0]}" for i, text in enumerate(texts, start=1))
        choice = {"index": 0, "message": {"role": "assistant", "content": lines}, "finish_reason": "stop"}
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        reply = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"]}
        return 200, reply | {"choices": [choice], "usage": usage}

    @property
    def billed(self) -> float:
        return sum((PRICES[m][0] * i + PRICES[m][1] * o) * 1e-6 for m, i, o in self.bill)


def run_to_the_end(routed, output, **options):
    for _ in range(20):
        try:
            return execute(routed, output, **options)
        except InputError as error:
            assert "a rerun continues" in str(error)  # noqa: PT017 (what may happen, and not what is tested)
    raise AssertionError("20 runs did not end it")


@pytest.mark.parametrize("overrun", [0.0, 3e-4])
@pytest.mark.parametrize("seed", range(3))
def test_what_may_have_been_billed_never_exceeds_the_budget(tmp_path, monkeypatch, seed, overrun):
    monkeypatch.setattr("robatch.proxies.execution.session.time.sleep", lambda _: None)
    queries = [
        Query(f"q{i}", f"good number {i}" if i % 4 else "good " + "x" * 600 + str(i), "good", "choice", ("good", "bad"))
        for i in range(32)
    ]
    write_queries(tmp_path / "q.jsonl", queries)
    with Hostile(seed, 0.15) as server:
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=(0.3, 0.9, 2 / 3)[seed])
        made = run_to_the_end(routed, tmp_path / "a.jsonl", concurrency=1 + 3 * seed, overrun=overrun)
    assert server.billed <= made.billed + made.lost + 1e-12
    assert made.billed + made.lost <= made.budget + overrun + 1e-12
    assert made.reserved == 0.0
    assert made.kept
    assert made.left - made.over_budget == pytest.approx(made.budget - made.billed - made.lost, abs=1e-12)


def test_a_lost_try_is_charged_the_bound_that_let_it_in(tmp_path):
    with Hostile(0, 0.0) as server:
        answer, failed = server.answer, []

        def fails_once(body):
            reply = answer(body)
            if len(server.bill) > 2 and not failed:
                failed.append(server.bill[-1])
                return 500, {"error": {"message": "worker died after generating"}}
            return reply

        server.answer = fails_once
        make_queries(tmp_path / "q.jsonl", 24)
        made = execute(route(tmp_path / "q.jsonl", Proxy(server.url), 1.0), tmp_path / "a.jsonl", concurrency=1)
    events = list(read_lines(journal_path(tmp_path / "a.jsonl")))
    (number,) = (event["call"] for event in events if event["event"] == "faulted")
    worst = next(w for event in events if event["event"] == "sent" for call, w, _ in event["calls"] if call == number)
    assert made.lost == worst
    model, tokens_in, tokens_out = failed[0]
    assert worst >= (PRICES[model][0] * tokens_in + PRICES[model][1] * tokens_out) * 1e-6


def test_what_does_not_fit_by_its_bound_stays_unanswered_unless_an_overrun_is_allowed(tmp_path):
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 24)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.01)  # all in the cheapest state
        made = execute(routed, tmp_path / "a.jsonl")
        assert made.unanswered > 0
        assert made.left == pytest.approx(made.budget - made.billed)
        assert made.over_budget == 0.0
        rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
        assert sum(row["status"] == "unanswered" for row in rows) == made.unanswered
        allowed = execute(routed, tmp_path / "b.jsonl", overrun=1e-3)
    assert allowed.unanswered == 0
    assert allowed.kept
    assert allowed.billed == pytest.approx(allowed.planned)


def test_calls_of_a_plan_that_never_fit_are_planned_again_in_states_that_do(tmp_path):
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 8)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url, sizes=(1, 4, 8)), budget_fraction=0.3)
        worst = {(row["model"], row["batch_size"]): row["worst"] / row["calls"] for row in dry_run(routed)}
        assert max(worst.values()) > routed.plan.budget, "a call that can never be sent"
        made = execute(routed, tmp_path / "a.jsonl")
    assert made.replans > 0
    assert made.answered > 0
    assert made.billed <= made.budget


def test_a_journal_of_another_version_is_refused(tmp_path):
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 8)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        old = {"event": "begin", "plan": routed.sha256, "budget": 1.0}
        journal_path(tmp_path / "a.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
        for attempt in (execute, dry_run):
            with pytest.raises(InputError, match="another version"):
                attempt(routed, tmp_path / "a.jsonl")
    assert server.asked == []


@pytest.mark.parametrize(
    "options",
    [{"timeout": float("nan")}, {"timeout": float("inf")}, {"timeout": 0}, {"overrun": -1.0}, {"overrun": float("nan")},
     {"overrun": True}, {"concurrency": 0}],
)  # fmt: skip
def test_numbers_that_are_none_are_refused_before_anything_is_written(tmp_path, options):
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 8)
        routed = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        with pytest.raises(InputError, match=f"{next(iter(options))} is"):
            execute(routed, tmp_path / "a.jsonl", **options)
    assert server.asked == []
    assert not journal_path(tmp_path / "a.jsonl").exists()


def test_a_request_that_cannot_be_made_is_not_perhaps_billed():
    with Server() as server:
        engine = ServerEngine(server.url, "small", retry_billed=False)
        ((_, answer),) = engine.run([ModelCall("half a \ud83d", 8)])
    assert "cannot be sent" in (answer.error or "")
    assert (answer.fault, answer.input_tokens, answer.output_tokens) == ("call", 0, 0)
    assert server.asked == []


def tokenizer_folder(folder: Path) -> Path:
    """Make a model's folder whose tokenizer counts words, and cuts and fills texts unless told not to."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.enable_truncation(4)
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    return folder


def test_a_tokenizer_at_hand_makes_the_bound_tight(tmp_path):
    folder = tokenizer_folder(tmp_path / "model")
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 20)
        by_bytes = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        counted = replace(by_bytes, pool=tuple(replace(model, path=str(folder)) for model in by_bytes.pool))
        loose, tight = (InputBounds(routed, routed.queries()) for routed in (by_bytes, counted))
        words = len(counted.template.render(counted.queries()[:8]).split())
        assert words <= tight.of_call(1, tuple(range(8))) <= words + 10
        assert loose.of_call(1, tuple(range(8))) > 3 * words
        shared, slots = tight.of_parts(1)
        assert tight.of_call(1, tuple(range(8))) <= shared + slots[:8].sum()
        made = execute(counted, tmp_path / "a.jsonl")
    assert made.complete
    sent = {
        call: bound
        for event in read_lines(journal_path(tmp_path / "a.jsonl"))
        if event["event"] == "sent"
        for call, _, bound in event["calls"]
    }
    answered = [e for e in read_lines(journal_path(tmp_path / "a.jsonl")) if e["event"] == "answered"]
    assert all(event["input_tokens"] <= sent[event["call"]] for event in answered)


def test_a_template_that_was_not_measured_is_allowed_tokens(tmp_path):
    folder = tokenizer_folder(tmp_path / "model")
    make_queries(tmp_path / "q.jsonl", 4)
    proxy = Proxy("http://127.0.0.1:9/v1")
    proxy.models = [model.replace(shared_tokens=0) for model in proxy.models]
    routed = route(tmp_path / "q.jsonl", proxy, 1.0)
    words = len(routed.template.render(routed.queries()[:1]).split())
    routed = replace(routed, pool=tuple(replace(model, path=str(folder)) for model in routed.pool))
    assert InputBounds(routed, routed.queries()).of_call(0, (0,)) == words + CHAT_TEMPLATE_TOKENS


def test_token_counts_and_byte_bounds(tmp_path):
    assert token_counter(None, chat=True) is None
    assert token_counter(tmp_path, chat=True) is None
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert token_counter(tmp_path, chat=True) is None
    count = token_counter(tokenizer_folder(tmp_path / "model"), chat=True)
    assert count is not None
    assert count(["a b c d e f", "", "one"]) == [6, 0, 1]
    assert byte_bounds(["abc", "é", "\ufdfa", ""]) == [3, 3, 33, 0]
    assert re.fullmatch(r"\d+", str(byte_bounds(["\ud83d"])[0]))


def test_as_many_queries_are_kept_as_the_money_pays_for(monkeypatch):
    rng = np.random.default_rng(0)
    models = [Model("a", 0.13, 0.41, 37.0, batch_sizes=(1, 3)), Model("b", 0.29, 0.07, 11.0, batch_sizes=(1, 3))]
    problem = Problem(models, rng.integers(5, 300, (40, 2)) / 7, rng.integers(1, 90, (40, 2)) / 3, rng.random((40, 4)))
    monkeypatch.setattr(
        "robatch.proxies.execution.dispatch.solve",
        lambda part, *_, **__: SimpleNamespace(assignment=np.zeros(part.n_queries, int)),
    )
    costs = []
    tokens = zip(problem.input_tokens, problem.output_tokens, problem.cheapest_assignment, strict=True)
    for inputs, outputs, state in tokens:
        k = problem.state_model[state]
        own = models[k].price_in * 1e-6 * inputs[k] + models[k].price_out * 1e-6 * outputs[k]
        costs.append(own + problem.call_price[state] / problem.state_batch_size[state])
    costs = np.array(costs)
    order = np.argsort(costs, kind="stable")
    for count, budget in enumerate(np.cumsum(costs[order]), start=1):
        assert affordable(problem, budget)[0].tolist() == sorted(order[:count])
        assert affordable(problem, budget * (1 - 1e-9))[0].tolist() == sorted(order[: count - 1])
