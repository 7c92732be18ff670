"""The page on configurations names every key that the code takes, and no other; what it shows is accepted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from robatch.instances import InputError
from robatch.proxies import read_config, read_queries
from robatch.proxies.engines.request_settings import REQUEST_KEYS
from robatch.proxies.execution import pool
from robatch.proxies.execution.pool import PoolModel, override
from robatch.proxies.profiling.config import RUN_KEYS, parse_config
from robatch.proxies.profiling.gpu_memory import SIZE_KEYS
from robatch.proxies.profiling.model_config import MODEL_KEYS
from robatch.proxies.profiling.task_config import TASK_KEYS
from robatch.proxies.tasks.hub import FIELDS
from robatch.proxies.tasks.queries import QUERY_FIELDS

HERE = Path(__file__).parents[2] / "paper_repro" / "configs"
PAGE = (HERE / "CONFIGURATION.md").read_text(encoding="utf-8")
POOL = "Of `robatch route --pool` and `robatch execute --pool`"
TABLES = {
    "`[run]`": RUN_KEYS,
    "`[[tasks]]`": TASK_KEYS,
    "`fields`": FIELDS,
    "`[[models]]`": MODEL_KEYS,
    "`request`": REQUEST_KEYS,
    "`size`": SIZE_KEYS,
    POOL: (*pool._KEYS, "batch_sizes", "size"),
    "Query files": QUERY_FIELDS,
}


def rows(section: str) -> dict[str, str]:
    """Give the defaults in a section's tables by key."""
    after = PAGE.split(f"# {section}\n", 1)[1]
    body = re.split(r"^#+ ", after, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^\| `(\w+)` \| (.*?) \|", body, flags=re.MULTILINE)
    assert len(dict(found)) == len(found), "a key stands once"
    return dict(found)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("section", TABLES)
def test_every_key_is_named_and_no_other(section: str) -> None:
    assert set(rows(section)) == set(TABLES[section])


def test_no_table_is_outside_these_sections() -> None:
    assert len(re.findall(r"^\| `", PAGE, flags=re.MULTILINE)) == sum(len(rows(section)) for section in TABLES)


def test_defaults_are_those_of_the_code() -> None:
    model = {"name": "m", "path": "a/b", "price_in": 1, "price_out": 1, "context_window": 9}
    config = parse_config({"models": [model], "tasks": [{"generate": "support"}]}, HERE)
    task, made = config.tasks[0], config.models[0]
    for section, known in (
        ("`[run]`", {key: getattr(config, key) for key in RUN_KEYS if key != "batch_sizes"}),
        ("`[run]`", {"batch_sizes": list(made.batch_sizes)}),
        ("`[[models]]`", {key: getattr(made, key) for key in ("chat", "structured", "engine", "api_key_env")}),
        ("`[[tasks]]`", {"form": task.template.form, "grader": task.grader, "max_output_tokens": 16, "seed": 0}),
    ):
        for key, value in known.items():
            told = rows(section)[key]
            assert value == (None if told == "none" else tomllib.loads(f"x = {told.strip('`')}")["x"]), key
    assert task.max_output_tokens == 16
    assert len(task.queries) == 320


def test_a_key_of_the_configuration_that_is_needed_is_called_so() -> None:
    whole = {"name": "m", "server": "http://h/v1", "model": "m", "price_in": 1, "price_out": 1, "context_window": 9}
    for key in whole.keys() - {"server"}:
        row = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(InputError, match=f"models\\[0\\].{key}' is missing"):
            parse_config({"models": [row], "tasks": [{"generate": "support"}]}, HERE)
        assert rows("`[[models]]`")[key].startswith("needed")


def test_the_pool_files_and_queries_that_it_shows_are_taken(tmp_path: Path) -> None:
    paths = []
    for i, text in enumerate(blocks("toml")):
        paths.append(tmp_path / f"{i}.toml")
        paths[-1].write_text(text, encoding="utf-8")
    of_profile, of_execute = paths
    assert [model.name for model in read_config(HERE / "profile_server.toml", of_profile).models] == ["small"]
    (changed,) = override([PoolModel("small", 0.1, 0.2, path="somewhere")], of_execute)
    assert (changed.server, changed.path, changed.api_key_env) == ("http://127.0.0.1:8000/v1", None, "MY_SERVER_KEY")
    assert override([PoolModel("small", 0.1, 0.2)], of_profile)[0].path == "Qwen/Qwen3-4B"
    (tmp_path / "q.jsonl").write_text(blocks("json")[0], encoding="utf-8")
    assert [query.kind for query in read_queries(tmp_path / "q.jsonl")] == ["choice", "number"]


def test_a_pool_of_profile_with_every_key_is_passed_over_by_execute(tmp_path: Path) -> None:
    more = "batch_sizes = [1]\nsize = { parameters = 1e9, layers = 1, kv_heads = 1, head_dim = 1 }\n"
    (tmp_path / "pool.toml").write_text(blocks("toml")[0] + more, encoding="utf-8")
    read_config(HERE / "profile_server.toml", tmp_path / "pool.toml")
    override([PoolModel("small", 0.1, 0.2)], tmp_path / "pool.toml")


def test_the_first_configuration_is_small() -> None:
    config = read_config(HERE / "profile_server.toml")
    assert [model.server for model in config.models] == ["http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1"]
    assert [(task.name, len(task.queries)) for task in config.tasks] == [("reviews", 160)]
