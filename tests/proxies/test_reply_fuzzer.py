"""Any reply to any call: 10,000 of them over whole runs of `execute` and `profile`, and what has to hold after each.

Replies come from a transport under the client, as sockets would take most of the time; `test_replies` and `test_faults`
send theirs over real ones.
"""

from __future__ import annotations

import copy
import json
import random
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robatch.instances import InputError
from robatch.proxies import profile
from robatch.proxies.execution.pool import PoolModel
from robatch.proxies.execution.preview import dry_run
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path
from robatch.proxies.journal import read_lines
from robatch.proxies.profiling.run import record_path
from tests.proxies.llm_server import Proxy, Server, make_queries

pytestmark = pytest.mark.filterwarnings("ignore::robatch.instances.errors.InputWarning")

PRICES = {"small": (0.1, 0.4), "large": (1.0, 4.0)}
HTTP = import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])  # httpx or httpx2
PARTS = ("input_tokens", "output_tokens")
STATUSES = (200, 200, 200, 200, 201, 204, 301, 400, 404, 408, 409, 413, 418, 422, 425, 429, 500, 502, 503, 529, 599)
NASTY = (
    None, True, False, 0, -1, 1, 0.5, 9.0, 1e300, -(10**30), 10**30, "", "9", "\ud83d", "\x00", [], {}, [None], [[]],
    [{}], {"text": "A1: good"}, [{"type": "text", "text": 5}],
    "A1:", "length", "content_filter", [{"type": "thinking"}],
)  # fmt: skip
HEADERS = (
    {}, {}, {"content-type": "text/html"}, {"content-type": "text/event-stream"}, {"retry-after": "-1"},
    {"retry-after": "soon"}, {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, {"retry-after-ms": "nan"},
    {"content-type": ""}, {"date": "x", "retry-after": "inf"},
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


class Hostile:
    """Answers calls as `Server` does, and then spoils most answers; keeps what the server counted and said."""

    def __init__(self, seed: int, values: list[object], spoiled: float, harmless: bool = False) -> None:
        self.random, self.values, self.spoiled = random.Random(seed), [*NASTY, *values], spoiled
        self.good, self.harmless = Server(), harmless
        self.replies = 0
        self.counted = 0.0  # USD of whole counts, of whatever reply
        self.doubtful = False  # whether any reply had no such counts
        self.probes = 0.0  # the part of `counted` that calls without a query took
        self.readable: set[str] = set()  # texts of queries whose answer came whole
        self.good.http.server_close()

    def __call__(self, request):
        body = json.loads(request.content)
        status, record = self.good.answer(body)
        self.replies += 1
        texts, whole = self.good.asked[-1][1], copy.deepcopy(record)
        headers, cut, stream = {}, None, False
        if self.random.random() < self.spoiled:
            kind = self.random.randrange(6)
            if kind == 0:
                status = self.random.choice(STATUSES)
            elif kind == 1 and not self.harmless:
                cut = self.random.random()
            elif kind == 2:
                stream = True
            for _ in range(self.random.choice((0, 1, 1, 2)) if kind else 1):
                self.spoil(record)
            headers = self.random.choice(HEADERS)
        if self.harmless:
            record["usage"], status = whole["usage"], 200
        self.keep(body["model"], status, record, whole, texts, cut)
        data = json.dumps(record).encode()
        if stream:
            data, headers = self.as_stream(record), {"content-type": "text/event-stream"} | headers
        if cut is not None:
            data = data[: int(cut * len(data))]
            if cut < 0.3:
                raise HTTP.ReadError("cut")
        return HTTP.Response(status, headers={"content-type": "application/json"} | headers, content=data)

    def spoil(self, record: object) -> None:
        """Replace, add or remove a field anywhere."""
        while isinstance(record, dict | list) and record:
            key = self.random.choice(list(record) if isinstance(record, dict) else list(range(len(record))))
            if self.random.random() < 0.45 or not isinstance(record[key], dict | list):
                value = copy.deepcopy(self.random.choice(self.values))
                if self.random.random() < 0.15 and isinstance(record, dict):
                    del record[key]
                elif self.random.random() < 0.2 and isinstance(record, dict):
                    record[self.random.choice(("error", "usage", "choices", "finish_reason", "message"))] = value
                else:
                    record[key] = value
                return
            record = record[key]

    def as_stream(self, record: dict) -> bytes:
        try:
            choice = record["choices"][0]
            piece = {"index": 0, "delta": choice["message"], "finish_reason": choice["finish_reason"]}
            record = record | {"choices": [piece]}
        except (KeyError, IndexError, TypeError):
            pass
        return f"data: {json.dumps(record)}\n\ndata: [DONE]\n\n".encode()

    def keep(self, model, status, record, whole, texts, cut) -> None:
        """Note, in the plainest way, what this reply bills, and whether its answer could be read."""
        usage = record.get("usage")
        same = cut is None and usage == whole["usage"] and all(type(count) is int for count in usage.values())
        self.doubtful |= not same or status != 200
        if same and status == 200:
            tokens_in, tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
            usd = (PRICES[model][0] * tokens_in + PRICES[model][1] * tokens_out) * 1e-6
            self.counted += usd
            self.probes += 0.0 if texts else usd
        choices = record.get("choices")
        if status == 200 and cut is None and choices == whole["choices"] and "error" not in record:
            self.readable.update(texts)


@pytest.fixture
def hostile(monkeypatch):
    """Put a transport under every client that is opened from now on."""
    made = openai.AsyncOpenAI

    def use(transport):
        def client(**options):
            http = HTTP.AsyncClient(transport=HTTP.MockTransport(transport))
            return made(**options | {"http_client": http})

        monkeypatch.setattr(openai, "AsyncOpenAI", client)
        monkeypatch.setattr(PoolModel, "_check_reachable", lambda *_: None)
        monkeypatch.setattr("robatch.proxies.execution.session.FIRST_WAIT", 0.0)
        monkeypatch.setattr("robatch.proxies.execution.dispatch.affordable", cheapest)  # planning is tested elsewhere
        monkeypatch.setattr("os.fsync", lambda _: None)
        for name in ("vllm_version", "served_model"):
            monkeypatch.setattr(f"robatch.proxies.engines.server.{name}", lambda *_: None)

    return use


def cheapest(problem, budget, *_):
    """Choose the cheapest states of as many queries as the money pays for, as if each went alone."""
    columns = problem.cheapest_assignment
    costs = problem.query_costs()[range(problem.n_queries), problem.state_model[columns]] + problem.call_price[columns]
    kept = np.flatnonzero(np.cumsum(costs) <= budget)
    return kept, columns[kept]


@cache
def planned(folder: Path, rows: int, sizes: tuple[int, ...], fraction: float):
    make_queries(folder / f"q{rows}.jsonl", rows)
    return route(folder / f"q{rows}.jsonl", Proxy("http://127.0.0.1:9/v1", sizes=sizes), budget_fraction=fraction)


def to_its_end(work):
    """Run until it ends; a run that gives up says so in one sentence and can be started again."""
    ends = []
    for _ in range(4):
        try:
            return work()
        except InputError as error:
            ends.append(str(error))
    assert all(len(end.splitlines()) == 1 for end in ends)
    return None


TOTAL = {"execute": 0, "profile": 0}


def fuzz(examples):
    return settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )


@fuzz(30)
@given(seed=st.integers(0, 2**32), values=st.lists(JSON, max_size=6), rows=st.sampled_from([60, 600]))
def fuzz_execution(folder: Path, use, seed, values, rows):
    harmless = seed % 4 == 0
    server = Hostile(seed, values, (0.9, 0.5, 0.2)[seed % 3], harmless)
    use(server)
    for file in folder.glob("a.jsonl*"):
        file.unlink()
    routed = planned(folder, rows, ((1, 4, 8), (1, 2, 3))[seed % 2], (0.4, 1.0)[seed % 2])
    options = {"concurrency": 1 + seed % 8, "max_wait": 0.0, "overrun": 1.0 if seed % 5 else 0.0}
    made = to_its_end(lambda: execute(routed, folder / "a.jsonl", **options))
    TOTAL["execute"] += server.replies
    events = list(read_lines(journal_path(folder / "a.jsonl")))
    dry_run(routed, folder / "a.jsonl")
    if made is None:
        return
    recorded = made.billed + made.lost
    assert recorded >= server.counted * (1 - 1e-9)
    if not server.doubtful:
        assert made.billed == pytest.approx(server.counted)
        assert (made.lost, made.uncounted) == (0.0, {})
    assert sum(made.difference.values()) == pytest.approx(made.billed - made.amortized)
    assert sum(row["billed"] for row in made.states) == pytest.approx(made.billed)
    texts = {query.id: query.text for query in routed.queries()}
    lines = list(read_lines(folder / "a.jsonl"))
    assert sorted(line["id"] for line in lines) == sorted(texts)
    for line in lines:
        if texts[line["id"]] in server.readable:
            assert line["answer"] == texts[line["id"]].split()[0], (line, seed)
        assert line["status"] != "unread" or line["error"]
    assert any(event["event"] == "finished" for event in events)


@fuzz(27)
@given(seed=st.integers(0, 2**32), values=st.lists(JSON, max_size=6), rows=st.sampled_from([60, 150]))
def fuzz_profile(folder: Path, use, seed, values, rows):
    server = Hostile(seed, values, (0.9, 0.5, 0.2)[seed % 3], seed % 4 == 0)
    use(server)
    for file in folder.iterdir():
        file.unlink()
    make_queries(folder / "q.jsonl", rows)
    models = "".join(
        f'[[models]]\nname = "{name}"\nserver = "http://127.0.0.1:9/v1"\nmodel = "{name}"\nprice_in = {price[0]}\n'
        f"price_out = {price[1]}\ncontext_window = 4096\n"
        for name, price in PRICES.items()
    )
    run = f"[run]\nbatch_sizes = [1, 3]\nmax_wait = 0\nconcurrency = {1 + seed % 8}\n"
    (folder / "c.toml").write_text(f'[[tasks]]\nname = "sort"\nfile = "q.jsonl"\n{run}{models}', encoding="utf-8")
    made = to_its_end(lambda: profile(folder / "c.toml", folder / "m.parquet"))
    TOTAL["profile"] += server.replies
    if made is None:
        list(read_lines(record_path(folder / "m.parquet")))
        return
    calls = {}
    for row in made.table.to_pylist():
        key = tuple(row[name] for name in ("model", "batch_size", "call"))
        calls[key] = row["model"], row["call_input_tokens"], row["call_output_tokens"]
    paid = [
        *calls.values(),
        *((m, t["input_tokens"], t["output_tokens"]) for m, t in made.provenance["failed_tries"].items()),
    ]
    recorded = sum((PRICES[m][0] * i + PRICES[m][1] * o) * 1e-6 for m, i, o in paid)
    assert recorded + server.probes >= server.counted * (1 - 1e-9)


def test_any_reply_to_an_execution(tmp_path, hostile):
    fuzz_execution(tmp_path, hostile)
    assert TOTAL["execute"] > 3500


def test_any_reply_to_a_profile(tmp_path, hostile):
    fuzz_profile(tmp_path, hostile)
    assert TOTAL["profile"] > 6500
