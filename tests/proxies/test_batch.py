"""Plans executed through batch APIs: files of requests and of results, and a stand-in server with faults."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.instances import InputError
from robatch.proxies.batch import api
from robatch.proxies.batch.requests import FileLimits
from robatch.proxies.batch.run import collect, execute_batches, write_requests
from robatch.proxies.engines.engine import EngineFailure
from robatch.proxies.execution.run import execute, journal_path, report_path
from robatch.proxies.execution.sending import Sending
from robatch.proxies.journal import read_lines
from robatch.proxies.tasks.first_calls import StoppedEarly
from tests.proxies.batch_server import BatchApi, expired, refused
from tests.proxies.test_execution import billed, lines, plan_for


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(api, "FIRST_POLL", 0.001)
    monkeypatch.setattr(api, "MOST_POLL", 0.002)


ALL = Sending(overrun=1.0)  # all calls in one round, whatever they cost at worst


def texts(server):
    return Counter(text for _, asked in server.asked for text in asked)


def round_of(folder, server, routed, **how):
    """Write requests, and let the server answer them into files."""
    made, files = write_requests(routed, folder / "requests", folder / "a.jsonl", **how)
    found = []
    for path, _ in files:
        for kind, data in zip(("out", "err"), server.results(path.read_bytes()), strict=True):
            found.append(folder / f"{path.stem}.{kind}")
            found[-1].write_bytes(data)
    return made, files, found


def test_files_of_requests_and_results_are_an_execution(tmp_path):
    with BatchApi() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        made, files, results = round_of(tmp_path, server, routed, sending=ALL, limits=FileLimits(requests=3))
        assert made.waiting == 40
        assert 0 < made.reserved <= 1.0
        assert sum(count for _, count in files) == len(routed.columns)
        assert max(count for _, count in files) <= 3
        ids = [json.loads(line)["custom_id"] for path, _ in files for line in path.read_bytes().splitlines()]
        assert len(set(ids)) == len(ids)
        assert {tuple(json.loads(path.read_bytes().splitlines()[0])) for path, _ in files} == {
            ("custom_id", "method", "url", "body")
        }
        assert {path.name.split("-")[0]: {json.loads(line)["body"]["model"] for line in path.read_bytes().splitlines()}
                for path, _ in files} in ({"large": {"large"}}, {"small": {"small"}, "large": {"large"}})  # fmt: skip
        random.Random(1).shuffle(results)
        made, seen = collect(routed, tmp_path / "a.jsonl", [path for path in results if path.stat().st_size])
    assert made.complete
    assert made.waiting == made.reserved == 0
    assert made.answered == made.actual == 40
    assert made.billed == pytest.approx(billed(server))
    assert seen.answered == len(ids)
    assert set(texts(server).values()) == {1}
    assert json.loads(report_path(tmp_path / "a.jsonl").read_text(encoding="utf-8"))["answered"] == 40


def test_nothing_is_written_or_sent_twice(tmp_path):
    with BatchApi() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        _, _, results = round_of(tmp_path, server, routed, sending=ALL)
        _, files = write_requests(routed, tmp_path / "again", tmp_path / "a.jsonl", ALL)
        assert not files
        assert execute(routed, tmp_path / "a.jsonl", overrun=1.0).waiting == 40
        assert execute_batches(routed, tmp_path / "a.jsonl", ALL).waiting == 40
        _, files = write_requests(routed, tmp_path / "again", tmp_path / "a.jsonl", ALL, rewrite=True)
        for path, _ in files:
            assert path.read_bytes() == (tmp_path / "requests" / path.name).read_bytes()
        results = [path for path in results if path.stat().st_size]
        made, _ = collect(routed, tmp_path / "a.jsonl", results)
        again, seen = collect(routed, tmp_path / "a.jsonl", results)
    assert (again.billed, again.answered) == (made.billed, 40)
    assert seen.answered == 0
    assert seen.known > 0
    assert set(texts(server).values()) == {1}


def cut(data):
    return data[: len(data) // 2 + 30]


def double(data):
    return data + data


def foreign(data):
    return b'{"custom_id": "mine", "response": null}\nnot json\n' + data


@pytest.mark.parametrize("damage", [cut, double, foreign, lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")])
def test_damaged_results_are_taken_in_as_far_as_they_go(tmp_path, damage):
    with BatchApi() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        _, _, results = round_of(tmp_path, server, routed, sending=ALL)
        results = [path for path in results if path.stat().st_size]
        whole = {path: path.read_bytes() for path in results}
        for path, data in whole.items():
            path.write_bytes(damage(data))
        made, seen = collect(routed, tmp_path / "a.jsonl", results)
        if damage is cut:
            assert seen.waiting > 0
            assert seen.lines.cut > 0
            assert made.waiting > 0
        for path, data in whole.items():
            path.write_bytes(data)
        made, _ = collect(routed, tmp_path / "a.jsonl", results)
    assert made.answered == 40
    assert made.billed == pytest.approx(billed(server))


@pytest.mark.parametrize(
    "fault",
    [
        expired,
        refused,
        lambda line: refused(line, 500, "server error"),
        lambda line: refused(line, 429, "slow down"),
        lambda line: {"custom_id": line["custom_id"], "response": None, "error": {"error": {"code": 400}}},
    ],
)  # fmt: skip
def test_requests_that_failed_go_into_the_next_round(tmp_path, fault):
    broken = set()

    def once(line):
        if len(broken) < 2 and line["custom_id"] not in broken:
            broken.add(line["custom_id"])
            return fault(line)
        return None

    with BatchApi(fault=once) as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        for _ in range(4):
            made, _, results = round_of(tmp_path, server, routed, sending=ALL)
            if made.complete:
                break
            made, _ = collect(routed, tmp_path / "a.jsonl", [path for path in results if path.stat().st_size])
    assert made.answered == 40
    assert made.billed == pytest.approx(billed(server))
    assert set(texts(server).values()) == {1}


def test_a_call_that_its_provider_says_is_too_long_comes_again_in_halves(tmp_path):
    def too_long(line):
        if line["body"]["messages"][0]["content"].count("\nQ") > 2:
            return refused(line, 400, "maximum context length is 10 tokens")
        return None

    with BatchApi(fault=too_long) as server:
        routed = plan_for(tmp_path, server, fraction=0.1)
        made = execute_batches(routed, tmp_path / "a.jsonl", ALL)
    assert made.splits > 0
    assert made.answered == 40
    assert made.billed == pytest.approx(billed(server))


def test_a_round_holds_what_the_budget_pays_for_at_worst(tmp_path):
    with BatchApi(dear_out=2.0) as server:
        routed = plan_for(tmp_path, server, fraction=0.3)
        worst = 0.0
        for _ in range(30):
            made, _, results = round_of(tmp_path, server, routed)
            worst = max(worst, made.billed + made.reserved)
            if not made.waiting:
                break
            made, _ = collect(routed, tmp_path / "a.jsonl", [path for path in results if path.stat().st_size])
    assert not made.waiting
    assert worst <= routed.plan.budget
    assert billed(server) <= routed.plan.budget
    assert made.billed == pytest.approx(billed(server))


@pytest.mark.parametrize(("missing", "lost"), [("back", False), ("lost", True)])
def test_batches_that_are_over_without_results(tmp_path, missing, lost):
    with BatchApi() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        write_requests(routed, tmp_path / "requests", tmp_path / "a.jsonl", ALL)
        made, seen = collect(routed, tmp_path / "a.jsonl", [], missing=missing)
        assert made.reserved == 0
        assert (made.lost > 0) == lost == (seen.lost > 0)
        made = execute(routed, tmp_path / "a.jsonl", overrun=1.0)
    assert made.answered == 40
    assert set(texts(server).values()) == {1}


@pytest.mark.parametrize("text", ["", "not json\n", '{"custom_id": "x", "response": null}\n', '{"custom_id": "x", '
                                  '"method": "POST", "url": "/v1", "body": {}}\n'])  # fmt: skip
def test_files_without_results_are_refused(tmp_path, text):
    with BatchApi() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        write_requests(routed, tmp_path / "requests", tmp_path / "a.jsonl")
        (tmp_path / "r.jsonl").write_text(text, encoding="utf-8")
        before = journal_path(tmp_path / "a.jsonl").read_bytes()
        with pytest.raises(InputError, match=r"r\.jsonl"):
            collect(routed, tmp_path / "a.jsonl", [tmp_path / "r.jsonl"])
    assert journal_path(tmp_path / "a.jsonl").read_bytes() == before


def test_unread_slots_come_again_in_halves(tmp_path):
    with BatchApi(readable=2) as server:
        routed = plan_for(tmp_path, server, fraction=0.1)
        made = execute_batches(routed, tmp_path / "a.jsonl", Sending(overrun=1.0, max_unread=1.0))
    assert made.splits > 0
    assert made.answered == 40
    assert made.billed == pytest.approx(billed(server))


@pytest.mark.parametrize("fraction", [0.05, 0.1])
def test_a_run_stops_where_most_answers_cannot_be_read(tmp_path, fraction):
    with BatchApi(readable=0) as server:
        routed = plan_for(tmp_path, server, fraction=fraction)
        with pytest.raises(StoppedEarly, match="could not be read"):
            execute_batches(routed, tmp_path / "a.jsonl", Sending(overrun=1.0, max_unread=0.2))
    assert json.loads(report_path(tmp_path / "a.jsonl").read_text(encoding="utf-8"))["billed"] > 0


@pytest.mark.parametrize("ends", [(), ("expired",), ("cancelled", "expired")])
def test_through_a_batch_api(tmp_path, ends):
    moments = []
    with BatchApi(ends=ends, polls=3) as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        made = execute_batches(routed, tmp_path / "a.jsonl", on_poll=moments.append)
    assert made.answered == 40
    assert made.billed == pytest.approx(billed(server))
    assert set(texts(server).values()) == {1}
    assert any("in_progress" in moment for moment in moments)
    assert len(lines(tmp_path / "a.jsonl")) == 40


def test_a_batch_whose_reply_was_lost_is_found_again(tmp_path):
    with BatchApi(lose=(0,)) as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        with pytest.raises(EngineFailure, match="503"):
            execute_batches(routed, tmp_path / "a.jsonl")
        made = execute_batches(routed, tmp_path / "a.jsonl")
    assert made.answered == 40
    assert set(texts(server).values()) == {1}


@pytest.mark.parametrize("at", ["upload", "create", "standing", "download"])
def test_a_run_that_is_ended_goes_on(tmp_path, monkeypatch, at):
    with BatchApi() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        with monkeypatch.context() as patch:
            patch.setattr(f"robatch.proxies.batch.server.BatchServer.{at}", interrupt)
            with pytest.raises(KeyboardInterrupt):
                execute_batches(routed, tmp_path / "a.jsonl")
        made = execute_batches(routed, tmp_path / "a.jsonl")
    assert made.answered == 40
    assert made.lost_calls == 0
    assert set(texts(server).values()) == {1}
    assert sum(line["event"] == "batched" for line in read_lines(journal_path(tmp_path / "a.jsonl"))) == len(
        server.batches
    )


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_batch_that_is_refused_gives_its_model_up(tmp_path):
    with BatchApi(ends=["failed"] * 10) as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        with pytest.raises(EngineFailure, match="too many"):
            execute_batches(routed, tmp_path / "a.jsonl")
    assert not server.asked


def test_what_a_server_without_a_batch_api_says(tmp_path):
    from tests.proxies.llm_server import Server

    with Server() as server:
        routed = plan_for(tmp_path, server, fraction=1.0)
        server.answer = lambda body: (404, {})
        server.http.RequestHandlerClass.do_POST = lambda self: self._send(404, {})
        with pytest.raises(EngineFailure, match="offers no batch API"):
            execute_batches(routed, tmp_path / "a.jsonl", Sending())


def command(*words):
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with BatchApi() as server:
        plan_for(tmp_path, server, fraction=1.0).write(tmp_path / "routed.parquet")
        write = ("calls", "routed.parquet", "--format", "openai-batch", "--overrun", 1)
        code, said = command(*write, "-o", "requests")
        assert code == 0
        assert "large-0001.jsonl: 40 requests" in said
        assert "no call was written" in command(*write, "-o", "requests")[1]
        (tmp_path / "r.jsonl").write_bytes(server.results((tmp_path / "requests" / "large-0001.jsonl").read_bytes())[0])
        code, said = command("collect", "routed.parquet", "r.jsonl")
        assert code == 0
        assert "40 calls have answers" in said
        plan_for(tmp_path, server, fraction=1.0).write(tmp_path / "other.parquet")
        code, said = command("execute", "other.parquet", "--via", "batch", "-o", "other.jsonl", "--json")
    assert code == 0
    assert json.loads(said)["answered"] == 40


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calls", "p", "--rewrite"), "--rewrite is given"),
        (("calls", "p", "--format", "openai-batch"), "-o is needed"),
        (("calls", "p", "--format", "openai-batch", "-o", "x", "--policy", "random"), "go with rows"),
        (("collect", "p"), "RESULTS are needed"),
    ],
)
def test_commands_refuse_what_does_not_go_together(words, said):
    code, output = command(*words)
    assert code == 2
    assert said in output
