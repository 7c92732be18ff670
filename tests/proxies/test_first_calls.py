"""Where most of a model's first calls cannot be read, nothing more is sent, and one sentence says what to change."""

from __future__ import annotations

import json
import re

import pytest

from robatch.instances import InputError
from robatch.proxies import profile
from robatch.proxies.engines.engine import CONTEXT_ERROR, CUT_ERROR, ModelAnswer
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, report_path
from robatch.proxies.tasks.first_calls import FIRST, FirstCalls, StoppedEarly
from tests.proxies.llm_server import Proxy, Server, make_queries

CONFIG = """\
[[tasks]]
name = "q"
file = "q.jsonl"
[run]
batch_sizes = [1, 4]
{more}
[[models]]
name = "small"
server = "{url}"
model = "small"
structured = {structured}
price_in = 0.1
price_out = 0.4
context_window = 4096
"""


class Odd(Server):
    """Changes the text and the end of every answer."""

    def __init__(self, change, finish=None):
        super().__init__()
        self.change, self.finish = change, finish

    def answer(self, body):
        status, reply = super().answer(body)
        (choice,) = reply["choices"]
        choice["message"]["content"] = self.change(choice["message"]["content"])
        choice["finish_reason"] = self.finish or choice["finish_reason"]
        return status, reply


KINDS = {
    "thinks to the limit": (
        "length",
        lambda text: None,
        "were cut off at their output limit (12 tokens a query): ",
    ),
    "cut in its thoughts": ("length", lambda text: "<think>Let me see", "cut off at their output limit"),
    "refuses": (None, lambda text: "I'm sorry, but I can't help with that.", "such as \"I'm sorry, but I can't"),
    "chats": (None, lambda text: "What do you mean?", "could not be read, such as 'What do you mean?': change"),
    "outside the choices": (None, lambda text: re.sub("good|bad", "neutral", text), "such as 'A1: neutral"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_execution_stops_early_and_says_what_to_change(tmp_path, kind):
    finish, change, words = KINDS[kind]
    make_queries(tmp_path / "q.jsonl", 60)
    with Odd(change, finish) as server:
        plan = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        with pytest.raises(StoppedEarly) as raised:
            execute(plan, tmp_path / "a.jsonl")
        asked = len(server.asked)
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert asked < 30, "most is not spent"
    made = json.loads(report_path(tmp_path / "a.jsonl").read_text())
    assert made["calls"] == asked
    assert sum(made["unread_why"].values()) == made["unread"] > 0
    if finish == "length":
        assert made["finishes"]["large"] == {"length": asked}
        assert "cut off at its" in (tmp_path / "a.jsonl").read_text()


def test_it_goes_on_whatever_comes_where_that_is_asked_for(tmp_path):
    make_queries(tmp_path / "q.jsonl", 20)
    with Odd(lambda text: "what?") as server:
        plan = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        made = execute(plan, tmp_path / "a.jsonl", max_unread=1.0)
    assert made.unread == 20
    with pytest.raises(InputError, match=r"max_unread is 1\.5"):
        execute(plan, tmp_path / "a.jsonl", max_unread=1.5)


@pytest.mark.parametrize("readable", [1, 2, 4])
def test_a_model_that_only_fails_at_large_calls_is_not_stopped(tmp_path, readable):
    make_queries(tmp_path / "q.jsonl", 64)
    with Server(readable=readable) as server:
        plan = route(tmp_path / "q.jsonl", Proxy(server.url), budget_fraction=0.4)
        made = execute(plan, tmp_path / "a.jsonl")
    assert made.answered > 0


@pytest.mark.parametrize("structured", ["true", "false"])
@pytest.mark.parametrize("kind", ["thinks to the limit", "chats", "outside the choices"])
def test_a_profile_stops_early(tmp_path, kind, structured):
    finish, change, _ = KINDS[kind]
    make_queries(tmp_path / "q.jsonl", 60)
    with Odd(change, finish) as server:
        (tmp_path / "c.toml").write_text(CONFIG.format(url=server.url, structured=structured, more=""))
        with pytest.raises(StoppedEarly, match="of the first 16 calls of model 'small'") as raised:
            profile(tmp_path / "c.toml", tmp_path / "m.parquet")
        assert len(server.asked) == 17, "one for the shared prompt"
        if finish:
            assert "16 tokens a query" in str(raised.value)
        else:
            setting = "structured = false" if structured == "true" else "structured = true"
            assert setting in str(raised.value)
        (tmp_path / "c.toml").write_text(CONFIG.format(url=server.url, structured=structured, more="max_unread = 1"))
        made = profile(tmp_path / "c.toml", tmp_path / "m.parquet")
        assert not any(made.table["parsed"].to_pylist()), "what was answered before is kept, and the run goes on"
        assert len(server.asked) == 17 + 44 + 15


def test_a_server_that_does_not_heed_the_form_is_told_once(tmp_path):
    make_queries(tmp_path / "q.jsonl", 24)
    notes: list[str] = []
    with Odd(lambda text: "Sure!\n" + re.sub(r"(A\d+:)", r"**\1**", text)) as server:
        proxy = Proxy(server.url)
        for record in proxy.facts_.models:
            record["structured"] = "lines"
        made = execute(route(tmp_path / "q.jsonl", proxy, 1.0), tmp_path / "a.jsonl", on_note=notes.append)
        assert (made.answered, made.loose) == (24, {"large": made.calls})
        assert len(notes) == 1
        assert "does not hold answers to the form" in notes[0]
        (tmp_path / "c.toml").write_text(CONFIG.format(url=server.url, structured="true", more=""))
        (model,) = profile(tmp_path / "c.toml", tmp_path / "m.parquet").provenance["models"]
    assert model["loose_calls"] == 24 + 6


def answer(text="", finish="stop", error=None):
    return ModelAnswer(text, 1, 1, 0.0, finish, error)


@pytest.mark.parametrize(
    ("unread", "calls", "stops"), [(5, 5, True), (4, 4, False), (5, 8, False), (9, 10, True), (12, 20, False)]
)
def test_only_what_is_surely_most_stops(unread, calls, stops):
    first = FirstCalls("m")
    for i in range(calls):
        first.add([None if i < unread else "a"], answer("what?"), 16)
    if stops:
        with pytest.raises(StoppedEarly):
            first.check()
    else:
        first.check()


def test_large_calls_alone_and_calls_that_failed_and_later_ones_tell_nothing():
    first = FirstCalls("m")
    for _ in range(9):
        first.add([None] * 8, answer("what?"), 128)
        first.add([None], answer(finish="error", error=CONTEXT_ERROR), 16)
    assert first.suspect
    assert first.calls == 9
    first.check()
    for _ in range(3):
        first.add([None], answer(finish="error", error=CUT_ERROR), 16)
    with pytest.raises(StoppedEarly):
        first.check()
    late = FirstCalls("m")
    for i in range(2 * FIRST):
        late.add(["a" if i < FIRST else None], answer("a"), 16)
    assert late.calls == FIRST
    late.check()
