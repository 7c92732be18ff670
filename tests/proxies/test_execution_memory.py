"""Memory of an execution by queries: flat arrays hold what may be there a million times."""

from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path

import pytest

from robatch.bench.scale.made_plan import made_plan
from robatch.instances.errors import InputError
from robatch.proxies.execution.state import Execution
from robatch.proxies.tasks.queries import read_queries
from robatch.proxies.tasks.query_file import QueryFile

QUERIES = 4_000
ANSWER = {
    "event": "answered", "details": {}, "seconds": 0.1, "input_tokens": 300, "output_tokens": 9, "allowed": 48,
    "counted": True, "finish_reason": "stop", "error": None, "why": None, "loose": False, "retries": 0, "replied": None,
}  # fmt: skip


@pytest.fixture(scope="module", params=[1, 10], ids=["single", "tens"])
def routed(request, tmp_path_factory):
    return made_plan(tmp_path_factory.mktemp("plan"), "http://127.0.0.1:9/v1", QUERIES, (request.param,))


def bytes_a_query(act):
    gc.collect()
    tracemalloc.start()
    try:
        kept = act()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / QUERIES, kept
    finally:
        tracemalloc.stop()


def answer_all(state):
    for number in list(state.queue):
        state.apply({"event": "sent", "side_by_side": 1, "calls": [[number, 1e-6, 300]]})
        state.apply(ANSWER | {"call": number, "answers": ["good"] * len(state.flying[number].queries)})
    assert len(state.final) == QUERIES


def refuse_all(state):
    fault = {"event": "faulted", "input_tokens": None, "refused": True, "end": True}
    while state.queue:
        for number in list(state.queue):
            state.apply({"event": "sent", "side_by_side": 1, "calls": [[number, 1e-6, 300]]})
            state.apply(fault | {"call": number, "why": f"400 Bad {'request'}"})
    assert len(state.final.unread()) == QUERIES


def plan_again(state):
    calls = [[call.column, [*call.queries]] for call in state.queue.values()]
    state.apply({"event": "replanned", "calls": calls, "unplanned": []})
    assert state.queue.planned == len(calls)


def lose_a_model(state):
    state.apply({"event": "out", "model": "large", "why": "gone", "replan": False})
    assert len(state.outages[0].queries) > QUERIES // 10


@pytest.mark.parametrize(
    ("act", "most"), [(None, 60), (plan_again, 90), (lose_a_model, 70), (answer_all, 90), (refuse_all, 260)]
)
def test_the_state_of_an_execution_takes_few_bytes_a_query(routed, act, most):
    def run():
        state = Execution.begin(routed)
        if act is not None:
            act(state)
        return state

    taken, _ = bytes_a_query(run)
    assert taken < most


def test_queries_take_their_file_and_an_offset_each(routed, monkeypatch):
    taken, queries = bytes_a_query(routed.queries)
    assert taken - Path(routed.queries_path).stat().st_size / QUERIES < 16
    monkeypatch.setattr("robatch.proxies.tasks.query_file.MOST_KEPT", 100)
    with_those_kept, _ = bytes_a_query(lambda: [queries[i].id for i in range(QUERIES)][:0])
    assert with_those_kept < 1000 * 100 / QUERIES


LINES = [
    {"id": "a", "text": "Fine\u00e9?", "kind": "text"},
    {"id": 7, "question": "Bad?", "kind": "number", "answer": 1},
]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(map(json.dumps, LINES)).encode(),
        "\n\n \u00a0\r\n".join(json.dumps(line, ensure_ascii=False) for line in LINES).encode() + b"\n\n",
        json.dumps(LINES, indent=1).encode(),
        b"\xef\xbb\xbf" + json.dumps(LINES, ensure_ascii=False).encode(),
        "\n".join(map(json.dumps, LINES)).encode("utf-16"),
    ],
    ids=["lines", "blank lines", "a list", "a mark", "utf-16"],
)
def test_queries_of_a_file_are_those_that_are_read_at_once(tmp_path, content):
    (tmp_path / "q.jsonl").write_bytes(content)
    queries = QueryFile(content, "q.jsonl")
    assert tuple(queries) == queries[:] == read_queries(tmp_path / "q.jsonl")
    assert queries[-1].id == "7"


@pytest.mark.parametrize("content", [b"{}", b'{"id": 1', b"\xff\xff\n", b'[{"id": 1}', b" \xe9"])
def test_a_query_of_a_file_that_is_wrong_is_named(content):
    with pytest.raises(InputError, match=r"q\.jsonl"):
        list(QueryFile(content, "q.jsonl"))
