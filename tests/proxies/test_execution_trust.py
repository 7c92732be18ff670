"""What a plan's file does not decide: where keys go, which code runs; and what is checked before the first call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robatch.instances import InputError
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.preview import dry_run
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute, journal_path
from robatch.proxies.execution.trust import check_trust
from robatch.proxies.tasks.queries import Query, write_queries
from tests.proxies.llm_server import Proxy, Server, make_queries


@pytest.fixture
def routed(tmp_path) -> RoutedPlan:
    make_queries(tmp_path / "q.jsonl", 8)
    return route(tmp_path / "q.jsonl", Proxy("http://127.0.0.1:9/v1"), 1.0)


def at(routed: RoutedPlan, server: str) -> RoutedPlan:
    return replace(routed, pool=tuple(replace(model, server=server) for model in routed.pool))


@pytest.mark.parametrize(
    ("server", "allowed"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost:8000/v1", True),
        ("https://api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://10.0.0.7:8000/v1", False),
    ],
)
def test_the_default_key_goes_only_where_it_belongs(routed, monkeypatch, server, allowed):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    plan = at(routed, server)
    if allowed:
        check_trust(plan, (), None)
        return
    with pytest.raises(InputError, match="OPENAI_API_KEY to http"):
        check_trust(plan, (), None)
    with pytest.raises(InputError, match="OPENAI_API_KEY to http"):
        dry_run(plan)
    check_trust(plan, ("OPENAI_API_KEY",), None)
    monkeypatch.delenv("OPENAI_API_KEY")
    check_trust(plan, (), None)  # nothing is there to be sent


def test_the_default_key_goes_to_servers_that_a_pool_file_names(routed, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    plan, pool = at(routed, "https://elsewhere.example.org/v1"), tmp_path / "pool.toml"
    named = '[[models]]\nname = "{}"\nserver = "https://mine.example.org/v1"\n'
    pool.write_text(named.format("small"), encoding="utf-8")
    with pytest.raises(InputError, match="elsewhere"):  # the other model's is still the plan's
        check_trust(plan.with_pool(pool), (), None)
    pool.write_text(named.format("small") + named.format("large"), encoding="utf-8")
    mine = plan.with_pool(pool)
    check_trust(mine, (), None)
    mine.write(tmp_path / "plan.parquet")
    with pytest.raises(InputError, match="OPENAI_API_KEY"):  # a file does not say that the user named it
        check_trust(RoutedPlan.read(tmp_path / "plan.parquet"), (), None)


def test_another_variable_is_named_for_its_model_alone(routed, monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_SECRET", "hidden")
    plan, pool = at(routed, "http://127.0.0.1:9/v1"), tmp_path / "pool.toml"
    plan = replace(plan, pool=tuple(replace(model, api_key_env="SOME_SECRET") for model in plan.pool))
    pool.write_text('[[models]]\nname = "small"\napi_key_env = "SOME_SECRET"\n', encoding="utf-8")
    with pytest.raises(InputError, match="'large'"):
        check_trust(plan.with_pool(pool), (), None)
    check_trust(plan, ("SOME_SECRET",), None)


@pytest.mark.parametrize(
    "engine",
    [
        {"trust_remote_code": True},
        {"hf_overrides": {}},
        {"worker_cls": "evil.Worker"},
        {"tokenizer": "evil/model"},
        {"chat_template": "x"},
        {"download_dir": "/tmp"},
        {"distributed_executor_backend": "evil.module.Executor"},
        {"dtype": "../x"},
        {"chat_template_kwargs": {"chat_template": "x"}},
        {"chat_template_kwargs": {"enable_thinking": {"a": 1}}},
        {"max_num_seqs": ["x"]},
    ],
)
def test_a_plan_starts_vllm_with_sizes_and_switches_alone(routed, tmp_path, engine):
    plan = replace(routed, pool=tuple(replace(m, server=None, path="some/model", engine=engine) for m in routed.pool))
    key = next(iter(engine))
    for attempt in (lambda: execute(plan, tmp_path / "a.jsonl"), lambda: dry_run(plan)):
        with pytest.raises(InputError, match=f"with {key} = .*pool file"):
            attempt()
    assert not journal_path(tmp_path / "a.jsonl").exists()
    check_trust(replace(plan, named={model.name: frozenset({"engine"}) for model in plan.pool}), (), None)


def test_harmless_engine_arguments_of_a_plan_are_taken(routed):
    engine = {
        "dtype": "bfloat16", "max_num_seqs": 16, "enforce_eager": True, "enable_prefix_caching": True,
        "tensor_parallel_size": 2, "gpu_memory_utilization": 0.8, "quantization": None, "max_model_len": 4096,
        "seed": 0, "distributed_executor_backend": "ray", "limit_mm_per_prompt": {"image": 0},
        "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip
    check_trust(
        replace(routed, pool=tuple(replace(m, server=None, path="some/model", engine=engine) for m in routed.pool)),
        (), None,
    )  # fmt: skip


def test_a_grader_that_is_code_needs_consent_and_is_imported_before_the_first_call(tmp_path, monkeypatch):
    (tmp_path / "own_grader.py").write_text("def grade(answer, query):\n    return 0.25\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    output = tmp_path / "a.jsonl"
    with Server() as server:
        make_queries(tmp_path / "q.jsonl", 8)
        plan = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        own = replace(plan, grader="own_grader:grade")
        missing = replace(plan, grader="nosuch_module:grade")
        for attempt in (execute, dry_run):
            with pytest.raises(InputError, match=r"code that would be run here.*--grader own_grader:grade"):
                attempt(own, output)
            with pytest.raises(InputError, match="graded by 'own_grader:grade'"):
                attempt(own, output, grader="other:grade")
            with pytest.raises(InputError, match="cannot be imported"):
                attempt(missing, output, grader="nosuch_module:grade")
            with pytest.raises(InputError, match="grader is 'nonsense'"):
                attempt(replace(plan, grader="nonsense"), output)
        assert server.asked == []
        assert not journal_path(output).exists()
        assert execute(own, output, grader="own_grader:grade").actual == 2.0


def test_a_truth_that_the_grader_cannot_read_is_found_before_the_first_call(tmp_path):
    with Server() as server:
        write_queries(tmp_path / "q.jsonl", [Query("q0", "good", "good", "choice", ("good", "bad"))])
        plan = replace(route(tmp_path / "q.jsonl", Proxy(server.url), 1.0), grader="number")
        with pytest.raises(InputError, match="needs a number"):
            execute(plan, tmp_path / "a.jsonl")
    assert server.asked == []


def test_a_dry_run_checks_the_output_as_the_run_does(routed, tmp_path):
    (tmp_path / "other.jsonl").write_text("{}\n", encoding="utf-8")
    for output, words in (
        (tmp_path, "a file in a folder"),
        (tmp_path / "none" / "a.jsonl", "a file in a folder"),
        (tmp_path / "other.jsonl", "no journal"),
    ):
        for attempt in (execute, dry_run):
            with pytest.raises(InputError, match=words):
                attempt(routed, output)
