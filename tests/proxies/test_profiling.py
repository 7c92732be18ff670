"""The profiling run around the engine: resuming, refusing, adapting. Real engines are tested in tests/vllm."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from robatch.instances import InputError
from robatch.proxies import Measurements, ModelAnswer, profile, read_config, write_queries
from robatch.proxies.journal import Journal
from robatch.proxies.profiling import run as profiling
from robatch.proxies.profiling.config import ModelConfig
from robatch.proxies.profiling.estimate import estimate
from robatch.proxies.profiling.provenance import identity
from robatch.proxies.profiling.record import Record
from robatch.proxies.tasks.queries import Query
from robatch.solvers import solve, verify
from tests.proxies.configs import config_text

CONFIG = config_text(
    'generate = "support"\nqueries = 10', run="batch_sizes = [1, 4]\nseed = 7", name="echo",
    price_in=0.5, price_out=1.0, window=4096,
)  # fmt: skip
SECOND = '[[tasks]]\ngenerate = "arithmetic"\nqueries = 6\n'


class Scripted:
    """Stands for a model: answers "billing" or 7, the last call first, and stops the run when told to."""

    chunk = 2

    def __init__(self, calls_left: float = float("inf"), wait: float = 0.0) -> None:
        self.left, self.asked, self.wait, self.structures = calls_left, 0, wait, []

    def run(self, calls):
        for index, call in reversed(list(enumerate(calls))):
            slots = len(re.findall(r"^Q\d+: ", call.prompt, re.MULTILINE))
            if slots and self.left <= 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked += slots > 0
            self.structures.append((call.regex, call.schema))
            time.sleep(self.wait if slots else 0)
            answer = "billing" if "billing" in call.prompt else "7"
            text = "\n".join(f"A{i}: {answer}" for i in range(1, slots + 1))
            yield index, ModelAnswer(text, 100 + 20 * slots, 5 * slots or 1, 0.1, "stop")

    def describe(self):
        return {"engine": "scripted"}

    def close(self):
        pass


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def engines(monkeypatch):
    """Give the run these engines, one after the other, and new ones after them."""

    def use(*given):
        waiting = list(given)
        monkeypatch.setattr(profiling, "open_engine", lambda *_, **__: waiting.pop(0) if waiting else Scripted())

    use()
    return use


def test_rows_say_what_happened(config, tmp_path, engines):
    measurements = profile(config, tmp_path / "m.parquet")
    rows = measurements.table.to_pylist()
    truth = {query.id: query.answer for query in read_config(config).tasks[0].queries}
    assert len(rows) == 20
    for row in rows:
        assert row["score"] == (truth[row["query_id"]] == "billing")
        assert row["shared_tokens"] == 100
        assert row["input_tokens"] == 20
        assert row["output_tokens"] == 5
        assert row["call_input_tokens"] == 100 + 20 * row["call_size"]
    share = {record["batch_size"]: record["shared_cost_share"] for record in measurements.summary()}
    assert share[1] == pytest.approx(100 * 0.5 / (120 * 0.5 + 5 * 1.0))
    problem = measurements.to_problem()
    assert problem.utilities().sum() == sum(row["score"] for row in rows)
    plan = solve(problem, problem.dearest_budget, "highs", cost="amortized")
    verify(problem, plan)
    assert Measurements.read(tmp_path / "m.parquet").table.equals(measurements.table)


def test_several_tasks_and_repeats_never_share_a_call(config, tmp_path, engines):
    config.write_text(CONFIG.replace("seed = 7", "seed = 7\nrepeats = 3") + SECOND, encoding="utf-8")
    measurements = profile(config, tmp_path / "m.parquet")
    assert measurements.tasks == ("support", "arithmetic")
    assert measurements.table.num_rows == 3 * 2 * (10 + 6)
    partners = {}
    for row in measurements.table.to_pylist():
        if row["batch_size"] == 4:
            partners.setdefault((row["task"], row["repeat"], row["call"]), set()).add(row["query_id"])
    assert all(len({id.split("-")[0] for id in ids}) == 1 for ids in partners.values())
    by_repeat = [{frozenset(ids) for key, ids in partners.items() if key[1] == repeat} for repeat in range(3)]
    assert by_repeat[0] != by_repeat[1] != by_repeat[2]
    ids, utility = measurements.utilities("arithmetic")
    assert utility.shape == (len(ids), 2) == (6, 2)
    inputs, outputs = measurements.tokens("support")
    assert (inputs == 20).all()
    assert (outputs == 5).all()
    assert measurements.to_problem("arithmetic").n_queries == 6
    for ask in (measurements.to_problem, measurements.utilities, measurements.query_ids):
        with pytest.raises(InputError, match="there are several tasks, name one: support, arithmetic"):
            ask()
    with pytest.raises(InputError, match="task is 'poems'"):
        measurements.to_problem("poems")
    assert len(measurements.summary()) == 4
    assert {record["task"] for record in measurements.summary("support")} == {"support"}


def test_a_stopped_run_goes_on_where_it_was(config, tmp_path, engines):
    whole = profile(config, tmp_path / "whole.parquet")
    output = tmp_path / "m.parquet"
    first, second = Scripted(calls_left=7), Scripted()
    engines(first, second)
    with pytest.raises(KeyboardInterrupt):
        profile(config, output)
    assert not output.exists()
    part = next(tmp_path.glob("*.part.jsonl"))
    with part.open("ab") as file:  # the process died while writing a line
        file.write(b'{"model": "echo", "batch_si')
    measurements = profile(config, output)
    assert measurements.table.equals(whole.table)
    assert second.asked > 0
    assert first.asked + second.asked == 13, "no call is made twice"
    assert not part.exists()


def test_adaptive_sampling_stops_early_and_says_what_it_saved(config, tmp_path, engines):
    text = CONFIG.replace("seed = 7", "seed = 7\nprecision = 0.04").replace('"support"', '"arithmetic"')
    config.write_text(text.replace("queries = 10", "queries = 200"), encoding="utf-8")
    whole = profile(config, tmp_path / "whole.parquet")
    first = Scripted(calls_left=45)  # ends in the second round: the first has 32 + 8 calls
    engines(first)
    with pytest.raises(KeyboardInterrupt):
        profile(config, tmp_path / "m.parquet")
    assert profile(config, tmp_path / "m.parquet").table.equals(whole.table), "the same rows after an interruption"
    records = whole.summary()
    assert all(record["queries"] < 200 for record in records)
    assert all((record["high"] - record["low"]) / 2 <= 0.04 for record in records)
    sampling = whole.provenance["sampling"]
    assert sampling["full"]["calls"] == 200 + 50
    assert sampling["made"]["queries"] == whole.table.num_rows < sampling["full"]["queries"] == 400
    assert 0 < sampling["made"]["usd"] < sampling["full"]["usd"]


def test_a_partly_measured_cell_makes_no_problem(config, tmp_path, engines):
    whole = profile(config, tmp_path / "m.parquet")
    query, kept = whole.query_ids()[0], whole.table.to_pylist()
    kept = [row for row in kept if row["query_id"] != query or row["batch_size"] == 1]
    part = Measurements.from_rows(kept, whole.provenance)
    part.check()
    with pytest.raises(InputError, match=rf"query '{query}' of task 'support' was not measured .*'echo', 4"):
        part.to_problem()


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("score", 1.5, "score from 0 to 1"),
        ("score", None, "score from 0 to 1"),
        ("repeat", 1, "repeat 1"),
        ("task", "poems", "does not name"),
        ("batch_size", 3, "does not name"),
        ("query_id", "support-0001", "exactly one row"),
    ],
)
def test_damaged_rows_are_refused(config, tmp_path, engines, column, value, complaint):
    whole = profile(config, tmp_path / "m.parquet")
    rows = whole.table.to_pylist()
    row = next(row for row in rows if row[column] != value)
    row[column] = value
    with pytest.raises(InputError, match=complaint):
        Measurements.from_rows(rows, whole.provenance).write(tmp_path / "n.parquet")
    assert not (tmp_path / "n.parquet").exists()


def test_structured_answers_follow_the_form_of_the_task(config, tmp_path, engines):
    text = CONFIG.replace("price_in", "structured = true\nprice_in")
    config.write_text(text + SECOND + 'form = "json"\n', encoding="utf-8")
    engine = Scripted()
    engines(engine)
    measurements = profile(config, tmp_path / "m.parquet")
    assert measurements.provenance["models"][0]["structured"] == "regex and json"
    assert {(regex is not None, schema is not None) for regex, schema in engine.structures} == {
        (False, False),  # the shared prompt alone
        (True, False),
        (False, True),
    }


def test_free_text_is_read_with_tolerance_and_text_answers_are_not_kept(config, tmp_path, engines):
    queries = [Query("a", "Which team for billing?", "billing", "text"), Query("b", "And billing?", "none", "text")]
    write_queries(tmp_path / "q.jsonl", queries)
    config.write_text(CONFIG.replace('generate = "support"\nqueries = 10', 'file = "q.jsonl"\ngrader = "f1"'))
    rows = profile(config, tmp_path / "m.parquet").table.to_pylist()
    assert {(row["query_id"], row["score"]) for row in rows} == {("a", 1.0), ("b", 0.0)}
    assert all(row["answer"] is None and row["parsed"] for row in rows)


def test_ungraded_queries_are_refused_before_anything_is_asked(config, tmp_path, engines):
    write_queries(tmp_path / "q.jsonl", [Query("a", "How many?", None, "number")])
    config.write_text(CONFIG.replace('generate = "support"\nqueries = 10', 'file = "q.jsonl"'))
    with pytest.raises(InputError, match="query 'a' of task 'q' has no answer"):
        profile(config, tmp_path / "m.parquet")


def test_another_configuration_does_not_go_on(config, tmp_path, engines):
    output = tmp_path / "m.parquet"
    engines(Scripted(calls_left=4))
    with pytest.raises(KeyboardInterrupt):
        profile(config, output)
    config.write_text(CONFIG.replace("seed = 7", "seed = 8"), encoding="utf-8")
    with pytest.raises(InputError, match="another configuration"):
        profile(config, output)


@pytest.mark.parametrize("fact", [{"device": "cuda: H100"}, {"prefix_caching": False}])
def test_a_run_does_not_go_on_in_another_engine(config, tmp_path, engines, fact):
    first, other = Scripted(calls_left=7), Scripted()
    other.describe = lambda: {"engine": "scripted", **fact}
    engines(first, other)
    with pytest.raises(KeyboardInterrupt):
        profile(config, tmp_path / "m.parquet")
    with pytest.raises(InputError, match=f"was begun with {next(iter(fact))} None"):
        profile(config, tmp_path / "m.parquet")
    assert other.asked == 0
    assert profile(config, tmp_path / "m.parquet").table.num_rows == 20


def test_a_server_may_come_back_at_another_address(config, tmp_path, engines):
    first, second = Scripted(calls_left=7), Scripted()
    for engine, port in ((first, 9), (second, 10)):
        engine.describe = lambda port=port: {"engine": "scripted", "server": f"http://127.0.0.1:{port}/v1"}
    engines(first, second)
    with pytest.raises(KeyboardInterrupt):
        profile(config, tmp_path / "m.parquet")
    config.write_text(CONFIG.replace(":9/v1", ":10/v1"), encoding="utf-8")
    assert profile(config, tmp_path / "m.parquet").table.num_rows == 20
    assert first.asked + second.asked == 13


def test_another_model_at_the_same_address_is_refused(config, tmp_path, engines):
    first, second = Scripted(calls_left=7), Scripted()
    for engine, root in ((first, "small"), (second, "large")):
        engine.describe = lambda root=root: {"engine": "scripted", "served": {"root": root}}
    engines(first, second)
    with pytest.raises(KeyboardInterrupt):
        profile(config, tmp_path / "m.parquet")
    with pytest.raises(InputError, match=r"begun with served \{'root': 'small'\} of model 'echo'"):
        profile(config, tmp_path / "m.parquet")
    assert second.asked == 0


def test_fewer_queries_at_a_batch_size_are_measured_and_told(config, tmp_path, engines):
    config.write_text(CONFIG.replace("queries = 10", "queries = 10\nqueries_by_batch_size = {4 = 8}"), encoding="utf-8")
    measurements = profile(config, tmp_path / "m.parquet")
    assert [record["queries"] for record in measurements.summary()] == [10, 8]
    assert measurements.provenance["tasks"][0]["queries_by_batch_size"] == {"4": 8}
    assert np.isnan(measurements.utilities()[1]).sum(axis=0).tolist() == [0, 2]


def test_an_estimate_of_what_is_done_is_nothing(config, tmp_path, engines):
    config.write_text(CONFIG.replace("seed = 7", "seed = 7\nrepeats = 2"), encoding="utf-8")
    profile(config, tmp_path / "m.parquet")
    (found,) = estimate(read_config(config), tmp_path / "m.parquet")
    assert (found.done, found.calls, found.input_tokens, found.usd) == (2 * 13, 0, 0, 0.0)


def test_other_prices_are_not_passed_over(config, tmp_path, engines):
    profile(config, tmp_path / "m.parquet")
    config.write_text(CONFIG.replace("price_in = 0.5", "price_in = 50.0"), encoding="utf-8")
    with pytest.raises(InputError, match=r"price_in 0\.5 of model 'echo', and the configuration has 50"):
        profile(config, tmp_path / "m.parquet")


def test_an_identity_tells_templates_apart(tmp_path):
    model = ModelConfig("m", 0.1, 0.1, 100, (1,), path=str(tmp_path), local=True)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    found = []
    for text in ("one", "two"):
        (tmp_path / "chat_template.jinja").write_text(text, encoding="utf-8")
        found.append(identity(model))
    assert found[0]["sha256"] == found[1]["sha256"]
    assert found[0] != found[1]


def test_a_damaged_record_keeps_its_answers(config, tmp_path, engines):
    output, log = tmp_path / "m.parquet", tmp_path / "m.parquet.part.jsonl"
    engines(Scripted(calls_left=8))
    with pytest.raises(KeyboardInterrupt):
        profile(config, output)
    kept = log.read_bytes().split(b"\n")
    for line, words in ((b'{"call": ', "damaged in line 4"), (b'{"call": 1}', "damaged in line 4")):
        damaged = b"\n".join([*kept[:3], line, *kept[4:]])
        log.write_bytes(damaged)
        with pytest.raises(InputError, match=words):
            profile(config, output)
        assert log.read_bytes() == damaged
    log.write_bytes(b"\n".join(kept[:-1]) + b'\n{"call": ')
    assert profile(config, output).table.num_rows == 20


@pytest.mark.parametrize("kind", [Journal, lambda path: Record(path, "0")])
def test_a_full_disk_is_one_sentence(tmp_path, kind):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    made = kind(tmp_path / "f")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(InputError, match="cannot write"):
            made.append([{"a": "x" * 2000}] if isinstance(made, Journal) else {"a": "x" * 2000})
        made.close() if isinstance(made, Journal) else made.__exit__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_foreign_files_are_refused(config, tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"m\.parquet"):
        profile(config, tmp_path / "m.parquet")
    with pytest.raises(InputError, match="cannot write"):
        profile(config, tmp_path / "no" / "m.parquet")


def test_a_killed_process_loses_only_calls_in_flight(config, tmp_path, engines):
    """One process answers slowly and is killed (kill -9); another goes on and gives an uninterrupted run's rows."""
    output, log = tmp_path / "m.parquet", tmp_path / "m.parquet.part.jsonl"
    script = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('here', {__file__!r})\n"
        "here = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(here)\n"
        "here.profiling.open_engine = lambda *_, **__: here.Scripted(wait=0.05)\n"
        "here.profile(sys.argv[1], sys.argv[2])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(config), str(output)])
    try:
        while not log.exists() or log.read_bytes().count(b"\n") < 6:
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    kept = [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]]
    answered = sum("call" in line for line in kept)
    assert answered >= 4
    engine = Scripted()
    engines(engine)
    measurements = profile(config, output)
    assert engine.asked == 13 - answered
    engines()
    assert measurements.table.equals(profile(config, tmp_path / "whole.parquet").table)


def test_a_server_that_is_not_there_is_one_sentence(config, tmp_path):
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9"):
        profile(config, tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()
