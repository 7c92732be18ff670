"""A pool file in the place of a configuration's models; arguments of a chat template, to both engines."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from robatch.instances import InputError
from robatch.proxies import ModelCall, ServerEngine, read_config
from robatch.proxies.engines import offline
from robatch.proxies.profiling.config import parse_config
from robatch.proxies.profiling.provenance import config_hash, identity
from robatch.proxies.profiling.run import open_engine

TASKS = """
[[tasks]]
generate = "support"
queries = 8

[run]
batch_sizes = [1, 2]
"""
MODEL = """
[[models]]
name = "{}"
path = "owner/name"
price_in = 0.1
price_out = 0.2
context_window = 1024
"""
SERVER = MODEL.replace('path = "owner/name"', 'server = "http://127.0.0.1:9/v1"\nmodel = "there"')
THINK = "chat_template_kwargs = { enable_thinking = false }"


@pytest.fixture
def write(tmp_path):
    def write(text, name="config.toml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def hashed(config):
    return config_hash(config, {model.name: identity(model) for model in config.models})


def test_the_models_of_a_pool_take_the_place_of_those_of_the_configuration(write):
    pool = write(MODEL.format("new") + MODEL.format("own") + "batch_sizes = [4]\n", "pool.toml")
    for text in (TASKS, TASKS + MODEL.format("old"), TASKS + "[[models]]\nprice = 'not even looked at'\n"):
        config = read_config(write(text), pool)
        assert [model.name for model in config.models] == ["new", "own"]
        assert [model.batch_sizes for model in config.models] == [(1, 2), (4,)]
        assert config.tasks == read_config(write(TASKS + MODEL.format("old"))).tasks
    whole = read_config(write(TASKS + pool.read_text(encoding="utf-8")))
    assert config == whole
    assert hashed(config) == hashed(whole) != hashed(read_config(write(TASKS + MODEL.format("old"))))


def test_paths_start_from_the_pools_folder(write):
    folder = write("{}", "elsewhere/model.json").parent
    (folder / "mine").mkdir()
    write("{}", "elsewhere/mine/config.json")
    pool = write(MODEL.format("new").replace("owner/name", "mine"), "elsewhere/pool.toml")
    (model,) = read_config(write(TASKS), pool).models
    assert (model.path, model.local) == (str(folder / "mine"), True)


def test_a_configuration_without_models_says_what_it_needs(write):
    with pytest.raises(InputError, match=r"config\.toml': key 'models' is missing: .* or a pool file"):
        read_config(write(TASKS))
    with pytest.raises(InputError, match="key 'models' is missing"):
        parse_config({}, write(TASKS).parent)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MODEL.format("a") + MODEL.format("a"), r"pool\.toml': model name 'a' occurs twice"),
        (MODEL.format("a") + 'name = "b"\n', r"the pool '.*pool\.toml' is not TOML"),
        (MODEL.format("a") + TASKS, r"pool\.toml': key '(tasks|run)' is not known: the keys here are models"),
        (MODEL.format("a").replace("0.1", "-1"), r"pool\.toml': models\[0\]\.price_in is -1"),
        ("", r"pool\.toml': key 'models' is missing"),
        (MODEL.format("a") + "size = 4e9\n", r"models\[0\]\.size is 4000000000.0: a table"),
        (MODEL.format("a") + "size = { layers = 3 }\n", r"'models\[0\]\.size\.parameters' is missing"),
        (SERVER.format("a") + "size = { layers = 3 }\n", r"'models\[0\]\.size' belongs to a model with 'path'"),
        (SERVER.format("a") + "engine = { max_num_seqs = 3 }\n", r"'models\[0\]\.engine\.max_num_seqs' belongs to"),
        (MODEL.format("a") + "engine = { chat_template_kwargs = 1 }\n", r"chat_template_kwargs is 1: a table"),
        (MODEL.format("a") + f"chat = false\nengine = {{ {THINK} }}\n", r"this model has chat = false"),
    ],
)
def test_bad_pools_are_refused_in_one_sentence(write, text, complaint):
    with pytest.raises(InputError, match=complaint):
        read_config(write(TASKS), write(text, "pool.toml"))


def test_a_pool_that_is_not_there_and_a_batch_size_that_it_does_not_measure(write, tmp_path):
    with pytest.raises(InputError, match=r"cannot read the pool '.*none\.toml': there is no such file"):
        read_config(write(TASKS), tmp_path / "none.toml")
    fewer = TASKS.replace("queries = 8", "queries = 8\nqueries_by_batch_size = { 2 = 4 }")
    pool = write(MODEL.format("a") + "batch_sizes = [1]\n", "pool.toml")
    with pytest.raises(InputError, match=r"config\.toml': .*queries_by_batch_size names 2: one of \[1\]"):
        read_config(write(fewer), pool)


def test_sizes_are_kept_and_change_no_hash(write):
    size = "size = { parameters = 4e9, layers = 36, kv_heads = 8, head_dim = 128 }\n"
    plain, sized = (read_config(write(TASKS), write(MODEL.format("a") + more, "pool.toml")) for more in ("", size))
    assert (dict(plain.sizes), sized.sizes["a"].layers) == ({}, 36)
    assert hashed(plain) == hashed(sized)
    other = read_config(write(TASKS), write(MODEL.format("a") + f"engine = {{ {THINK} }}\n", "pool.toml"))
    assert hashed(other) != hashed(plain), "what the chat template is told changes answers"


def test_a_server_is_told_what_the_chat_template_is_told(write):
    (model,) = read_config(write(TASKS), write(SERVER.format("a") + f"engine = {{ {THINK} }}", "pool.toml")).models
    engine = open_engine(model)
    assert isinstance(engine, ServerEngine)
    told = {"chat_template_kwargs": {"enable_thinking": False}}
    assert engine.describe()["engine_arguments"] == told
    plain = {"max_tokens": 8, "temperature": 0.0, "seed": 0}
    base = ServerEngine("http://127.0.0.1:9/v1", "m", chat=False, template_arguments={"enable_thinking": False})
    asked = [(engine, ModelCall("p", 8)), (engine, ModelCall("p", 8, regex="a")), (base, ModelCall("p", 8))]
    sent = [server._requests.of(call).fields for server, call in asked]
    assert sent == [plain | told, plain | told | {"structured_outputs": {"regex": "a"}}, plain]


def test_the_offline_engine_tells_the_chat_template_and_not_vllm(monkeypatch):
    seen = {}

    class Tokenizer:
        chat_template = "{{ messages }}"

        def apply_chat_template(self, messages, **how):
            seen["template"] = how
            return [1, 2, 3]

    class LLM:
        def __init__(self, model, **settings):
            seen["settings"] = settings
            self.llm_engine = SimpleNamespace(
                vllm_config=SimpleNamespace(
                    model_config=SimpleNamespace(max_model_len=64, dtype="torch.bfloat16"),
                    device_config=SimpleNamespace(device_type="cpu"),
                    cache_config=SimpleNamespace(enable_prefix_caching=True),
                    scheduler_config=SimpleNamespace(max_num_seqs=2),
                )
            )

        def get_tokenizer(self):
            return Tokenizer()

    monkeypatch.setattr(offline, "require", lambda *_: SimpleNamespace(LLM=LLM, __version__="0"))
    arguments = {"seed": 0, "chat_template_kwargs": {"enable_thinking": False}}
    model = offline._Model("m", True, 64, 0, arguments)
    assert model._tokens("p", None) == [1, 2, 3]
    assert seen["settings"] == {"seed": 0, "disable_log_stats": True}
    assert seen["template"] == {"add_generation_prompt": True, "return_dict": False, "enable_thinking": False}
    assert model.about["engine_arguments"] == arguments, "it is part of what was measured"
