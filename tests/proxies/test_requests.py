"""Requests that providers accept: by configuration, or as their first refusal says."""

from __future__ import annotations

import pytest

from robatch.instances import InputError
from robatch.proxies import profile
from robatch.proxies.engines.adapting import Requests, with_learned
from robatch.proxies.engines.engine import OUTPUT_ERROR, ModelCall
from robatch.proxies.engines.refusals import most_output, refused_fields, wants_more_output, words_of
from robatch.proxies.engines.request_settings import RequestSettings
from robatch.proxies.execution.plan import RoutedPlan
from robatch.proxies.execution.pool import pool_model
from robatch.proxies.execution.routing import route
from robatch.proxies.execution.run import execute
from tests.proxies.llm_server import Proxy, Server, make_queries

CONFIG = """\
[[tasks]]
name = "q"
file = "q.jsonl"
{more}
[run]
batch_sizes = [1, 4]
concurrency = 1
[[models]]
name = "small"
server = "{url}"
model = "small"
price_in = 0.1
price_out = 0.4
context_window = 4096
"""
SENT = ("max_tokens", "temperature", "seed", "structured_outputs")
SCHEMA = {
    "type": "object",
    "properties": {
        "A1": {"type": "string", "enum": ["a", "b"]},
        "A2": {"type": "string", "pattern": "^-?[0-9]{1,9}$"},
        "A3": {"type": "string", "minLength": 1, "maxLength": 500},
    },
    "required": ["A1", "A2", "A3"],
    "additionalProperties": False,
}


def openai(message, param=None, code=None):
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}


REFUSALS = {
    "openai max_tokens": (openai("Unsupported parameter: 'max_tokens' is not supported with this model. "
                                 "Use 'max_completion_tokens' instead.", "max_tokens"), ["max_tokens"]),
    "azure without param": (openai("Unsupported parameter: 'max_tokens' is not supported with this model. "
                                   "Use 'max_completion_tokens' instead."), ["max_tokens"]),
    "openai temperature": (openai("Unsupported value: 'temperature' does not support 0.0 with this model. "
                                  "Only the default (1) value is supported."), ["temperature"]),
    "anthropic thinking": ({"type": "error", "error": {"type": "invalid_request_error", "message":
                            "`temperature` may only be set to 1 when thinking is enabled."}}, ["temperature"]),
    "anthropic extra": (openai("structured_outputs: Extra inputs are not permitted"), ["structured_outputs"]),
    "gemini list": ([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
                      'Invalid JSON payload received. Unknown name "seed": Cannot find field.\n'
                      'Invalid JSON payload received. Unknown name "structured_outputs": Cannot find field.'}}],
                    ["seed", "structured_outputs"]),
    "mistral": ({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg":
                 "Extra inputs are not permitted", "input": {"temperature": 0.0}}]}}, ["seed"]),
    "mistral as a text": ({"message": '{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs"'
                           ',"input":{"temperature":0}}]}'}, ["seed"]),
    "groq": (openai("property 'structured_outputs' is unsupported, did you mean 'temperature'?"),
             ["structured_outputs"]),
    "openai unknown": (openai("Unrecognized request arguments supplied: seed, structured_outputs"),
                       ["seed", "structured_outputs"]),
    "litellm": (openai("litellm.UnsupportedParamsError: x does not support parameters: ['seed'], for model=y."),
                ["seed"]),
    "gigachat": ({"status": 422, "message": "Invalid params: temperature must be in range (0, +inf)"},
                 ["temperature"]),
    "tgi": ({"error": "Input validation error: `temperature` must be strictly positive", "error_type": "validation"},
            ["temperature"]),
    "another thing": (openai("Invalid 'messages[0].content': string too long."), []),
    "no words": (None, []),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_the_field_that_a_provider_refuses_is_found(name):
    body, named = REFUSALS[name]
    assert refused_fields(str(body), body, SENT) == named


@pytest.mark.parametrize(
    ("asked", "said", "most"),
    [
        (96, "max_tokens is too large: 96. This model supports at most 64 completion tokens, whereas you provided 96.",
         64),
        (128001, "max_tokens: 128001 > 64000, which is the maximum allowed number of output tokens for claude-4-5-2025",
         64000),
        (32000, "The parameter `max_completion_tokens` specified in the request are not valid: integer above maximum "
         "value, expected a value <= 12288, but got 32000 instead. Request id: 0217752964393142fa50", 12288),
        (9000, "Error code: 400 - {'message': 'Range of max_tokens should be [1, 8192]'}", 8192),
        (9000, "`max_tokens` must be less than or equal to `8,192`", 8192),
        (100000, "it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 65537 "
         "(exclusive).", 65536),
        (500, "max_tokens is too large", 499),
        (96, "Unsupported parameter: 'max_tokens' is not supported with this model.", None),
        (1, "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1.", None),
        (96, "Could not finish the message because max_tokens or model output limit was reached.", None),
        (96, "temperature must be at most 64", None),
    ],
)  # fmt: skip
def test_the_output_that_a_provider_allows_is_found(asked, said, most):
    assert most_output(words_of(said, None), asked) == most


def test_a_limit_that_is_too_low_is_told_from_one_that_is_too_high():
    assert wants_more_output("Could not finish the message because max_tokens or model output limit was reached.")
    assert wants_more_output("max_tokens must be at least 16")
    assert not wants_more_output("max_tokens must be less than or equal to 64")


@pytest.mark.parametrize(
    ("structure", "regex", "schema"),
    [
        ("vllm", {"structured_outputs": {"regex": "x"}}, {"structured_outputs": {"json": SCHEMA}}),
        ("vllm-guided", {"guided_regex": "x"}, {"guided_json": SCHEMA}),
        ("tgi", {"response_format": {"type": "regex", "value": "x"}},
         {"response_format": {"type": "json_object", "value": SCHEMA}}),
        ("json_object", {}, {"response_format": {"type": "json_object"}}),
        ("none", {}, {}),
    ],
)  # fmt: skip
def test_a_form_is_asked_for_in_the_servers_way(structure, regex, schema):
    settings = RequestSettings(structure=structure, omit=("temperature", "seed"))
    common = {"max_tokens": 5}
    assert settings.fields_of(ModelCall("p", 5, regex="x"), 0) == common | regex
    assert settings.fields_of(ModelCall("p", 5, schema=SCHEMA), 0) == common | schema
    assert settings.fields_of(ModelCall("p", 5), 0) == common


def test_the_portable_schema_holds_only_what_all_providers_take():
    call = ModelCall("p", 5, schema=SCHEMA)
    asked = RequestSettings(structure="response_format").fields_of(call, 0)["response_format"]["json_schema"]
    assert asked["strict"] is True
    slots = asked["schema"]["properties"]
    assert slots == {"A1": SCHEMA["properties"]["A1"], "A2": {"type": "number"}, "A3": {"type": "string"}}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"omit": ["top_p"]}, "omit names 'top_p'"),
        ({"omit": "seed"}, "omit is 'seed': a list"),
        ({"output_field": "tokens"}, "output_field is 'tokens': one of"),
        ({"output_cap": 0}, "output_cap is 0"),
        ({"structure": "xml"}, "structure is 'xml': one of"),
        ({"extra_body": {"n": 5}}, "extra_body holds 'n'"),
        ({"extra_body": {"max_tokens": 5}}, "extra_body holds 'max_tokens'"),
        ({"extra_body": {"api_key": "x"}}, "secrets are taken from the environment"),
        ({"temprature": 0}, "'request.temprature' is not known"),
    ],
)
def test_settings_that_are_not_allowed_are_one_sentence(record, words):
    with pytest.raises(InputError, match=words) as raised:
        RequestSettings.from_dict(record, "request.")
    assert len(str(raised.value).splitlines()) == 1


def test_settings_become_a_table_and_back():
    given = {"output_field": "max_completion_tokens", "omit": ["seed"], "reasoning_effort": "low", "output_cap": 9,
             "extra_body": {"top_p": 0.5}}  # fmt: skip
    settings = RequestSettings.from_dict(given, "request.")
    assert settings.to_dict() == given
    assert settings.fields_of(ModelCall("p", 5), 3) == {
        "max_completion_tokens": 5, "temperature": 0.0, "reasoning_effort": "low", "top_p": 0.5
    }  # fmt: skip
    assert with_learned(given, {"omit": ["temperature"], "output_limit": 4}) == given | {
        "omit": ["seed", "temperature"], "output_limit": 4
    }  # fmt: skip


def test_learning_ends():
    """A provider that refuses everything is asked a few times, and the output's limit is never left out."""
    requests = Requests(RequestSettings(), 0, {})
    call = ModelCall("p", 5, schema=SCHEMA)
    asked = []
    for _ in range(20):
        request = requests.of(call)
        asked.append(dict(request.fields))
        if not requests.adapts(request, 400, "x", openai(f"{', '.join(request.fields)}: unknown")):
            break
    assert len(asked) < 8
    assert all("max_tokens" in fields or "max_completion_tokens" in fields for fields in asked)
    assert requests.learned["structure"] == "none"


@pytest.mark.parametrize("setting", [{"reasoning_effort": "none"}, {"extra_body": {"top_k": 5}}])
def test_what_the_user_chose_is_not_dropped(setting):
    (name,) = (setting.get("extra_body") or setting).keys()
    requests = Requests(RequestSettings.from_dict(setting, ""), 0, {})
    assert not requests.adapts(requests.of(ModelCall("p", 5)), 400, "x", openai(f"unknown field {name}", name))


class Picky(Server):
    """Refuses what `refuse` gives words for, by the status that it gives."""

    def __init__(self, refuse, **settings):
        super().__init__(**settings)
        self.refuse, self.refused, self.bodies = refuse, 0, []

    def answer(self, body):
        if (refusal := self.refuse(body)) is not None:
            with self.lock:
                self.refused += 1
            return refusal
        self.bodies.append(body)
        return super().answer(body | {"max_tokens": body.get("max_completion_tokens", body.get("max_tokens"))})


def refuses(name, words, status=400):
    return lambda body: (status, {"error": openai(words)}) if name in body else None


@pytest.mark.parametrize(
    ("name", "refuse"),
    [
        ("max_tokens", refuses("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.")),
        ("temperature", refuses("temperature", "Unsupported value: 'temperature' does not support 0.0")),
        ("seed", refuses("seed", 'Unknown name "seed": Cannot find field.')),
        ("seed", refuses("seed", "body.seed: Extra inputs are not permitted", 422)),
        (
            "temperature",
            lambda body: (
                (200, {"error": {"code": 400, "message": "temperature: unsupported parameter"}})
                if "temperature" in body
                else None
            ),
        ),
    ],
)
def test_an_execution_goes_on_without_what_the_first_refusal_names(tmp_path, name, refuse):
    make_queries(tmp_path / "q.jsonl", 6)
    with Picky(refuse) as server:
        plan = route(tmp_path / "q.jsonl", Proxy(server.url), 1.0)
        made = execute(plan, tmp_path / "a.jsonl", concurrency=1)
        assert (made.answered, server.refused) == (6, 1)
        assert all(name not in body for body in server.bodies)
        assert list(made.refused["large"]) == [name], "the report says so"
        (tmp_path / "a.jsonl.journal.jsonl").write_text(
            "".join(
                line
                for line in (tmp_path / "a.jsonl.journal.jsonl").read_text().splitlines(keepends=True)
                if "answered" not in line and "finished" not in line
            )
        )
        execute(plan, tmp_path / "a.jsonl", concurrency=1)
        assert server.refused == 1, "a rerun begins with what was learned"


def test_calls_beyond_the_providers_output_limit_go_in_halves(tmp_path):
    def refuse(body):
        words = f"max_tokens is too large: {body['max_tokens']}. This model supports at most 50 completion tokens."
        return (400, {"error": openai(words, "max_tokens")}) if body["max_tokens"] > 50 else None

    make_queries(tmp_path / "q.jsonl", 16)
    with Picky(refuse) as server:
        plan = route(tmp_path / "q.jsonl", Proxy(server.url, sizes=(6, 7, 8)), 1.0)
        made = execute(plan, tmp_path / "a.jsonl", concurrency=1)
    assert (made.answered, server.refused) == (16, 1), "the others are not sent at all"
    journal = (tmp_path / "a.jsonl.journal.jsonl").read_text()
    assert journal.count(OUTPUT_ERROR) >= 1
    assert "50" in journal


def test_settings_travel_with_the_plan_and_a_pool_changes_them(tmp_path):
    make_queries(tmp_path / "q.jsonl", 4)
    proxy = Proxy("http://127.0.0.1:9/v1")
    for record in proxy.facts_.models:
        record["request"] = {"omit": ["seed"], "output_cap": 20}
    plan = route(tmp_path / "q.jsonl", proxy, 1.0)
    plan.write(tmp_path / "p.parquet")
    again = RoutedPlan.read(tmp_path / "p.parquet")
    assert again.pool[0].request == {"omit": ["seed"], "output_cap": 20}
    assert again.pool[0].allowed(96) == 20
    (tmp_path / "pool.toml").write_text('[[models]]\nname = "small"\nrequest = { reasoning_effort = "low" }\n')
    changed = again.with_pool(tmp_path / "pool.toml")
    assert changed.pool[0].request == {"reasoning_effort": "low"}
    assert changed.sha256 == again.sha256, "a run that was begun goes on"
    (tmp_path / "pool.toml").write_text('[[models]]\nname = "small"\nrequest = { omit = ["model"] }\n')
    with pytest.raises(InputError, match=r"request of model 'small'\.omit names 'model'"):
        again.with_pool(tmp_path / "pool.toml")


@pytest.mark.parametrize(
    "words",
    [
        "Could not finish the message because max_tokens or model output limit was reached. Try a higher max_tokens.",
        "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.",
        "max_tokens must be at least 10",
    ],
)
def test_a_provider_that_cannot_answer_with_one_token_is_probed_with_more(tmp_path, words):
    def refuse(body):
        return (400, {"error": openai(words, "max_tokens")}) if body["max_tokens"] < 16 else None

    make_queries(tmp_path / "q.jsonl", 4)
    with Picky(refuse) as server:
        text = CONFIG.format(url=server.url, more="max_output_tokens = 24")
        (tmp_path / "c.toml").write_text(text)
        made = profile(tmp_path / "c.toml", tmp_path / "m.parquet")
        assert made.provenance["models"][0]["request"] == {}
        assert server.refused == 1
    assert made.provenance["models"][0]["shared_tokens"]["q"] > 10
    assert set(made.table["parsed"].to_pylist()) == {True}


def test_a_profile_keeps_what_it_learned_and_goes_on_with_it(tmp_path):
    def refuse(body):
        return refuses("temperature", "Unsupported value: 'temperature' does not support 0.0")(body) or refuses(
            "max_tokens", "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        )(body)

    make_queries(tmp_path / "q.jsonl", 8)
    with Picky(refuse, die_after=5) as server:
        (tmp_path / "c.toml").write_text(CONFIG.format(url=server.url, more=""))
        with pytest.raises(InputError):
            profile(tmp_path / "c.toml", tmp_path / "m.parquet")
        assert server.refused == 2
        server.die_after = 1000
        made = profile(tmp_path / "c.toml", tmp_path / "m.parquet")
        assert server.refused == 2
    (model,) = made.provenance["models"]
    assert model["request"] == {"omit": ["temperature"], "output_field": "max_completion_tokens"}
    assert "does not support 0.0" in model["refused"]["temperature"]
    assert pool_model(model).request == model["request"]
