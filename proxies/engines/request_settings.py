"""How a server is asked: the fields of a request that providers name and accept differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from robatch.instances.errors import InputError
from robatch.proxies.engines.address import check_no_secret
from robatch.proxies.engines.engine import ModelCall
from robatch.proxies.toml_table import TEXT, TomlTable, at_least, one_of

OUTPUT_FIELDS = ("max_tokens", "max_completion_tokens")
"""Names of the field that limits the output."""

OPTIONAL_FIELDS = ("temperature", "seed", "stop")
"""Fields that a request may go without."""

_OWN_FIELDS = frozenset(
    {"model", "messages", "prompt", "stream", "n", "best_of", "models", "max_output_tokens", *OUTPUT_FIELDS}
)
"""What `extra_body` may not hold: it says what is asked, and what that may bill at most."""


def _response_format(call: ModelCall) -> dict[str, Any]:
    """Ask for JSON as OpenAI's API does; a regular expression cannot be asked for so."""
    if call.schema is None:
        return {}
    schema = {"name": "answers", "strict": True, "schema": portable_schema(call.schema)}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


_STRUCTURES: dict[str, Callable[[ModelCall], dict[str, Any]]] = {
    "vllm": lambda call: {
        "structured_outputs": {"json": dict(call.schema)} if call.schema is not None else {"regex": call.regex}
    },
    "vllm-guided": lambda call: (
        {"guided_json": dict(call.schema)} if call.schema is not None else {"guided_regex": call.regex}
    ),
    "sglang": lambda call: {"regex": call.regex} if call.schema is None else _response_format(call),
    "tgi": lambda call: {
        "response_format": {"type": "json_object", "value": dict(call.schema)}
        if call.schema is not None
        else {"type": "regex", "value": call.regex}
    },
    "response_format": _response_format,
    "json_object": lambda call: {} if call.schema is None else {"response_format": {"type": "json_object"}},
    "none": lambda call: {},
}

STRUCTURES = tuple(_STRUCTURES)
"""How a server is asked to hold answers to a form."""

JSON_ONLY = ("response_format", "json_object")
"""Structures that hold an answer to JSON alone, and to no regular expression."""

STRUCTURE_FIELDS = frozenset({"structured_outputs", "guided_json", "guided_regex", "regex", "response_format"})
"""Fields of a request by which structures are asked for."""


@dataclass(frozen=True)
class RequestSettings:
    """What a model's requests look like, beside the prompt.

    Attributes
    ----------
    output_field
        The field that limits the output: ``"max_tokens"`` or ``"max_completion_tokens"``.
    omit
        Fields that are not sent: ``"temperature"``, ``"seed"``, ``"stop"``.
    reasoning_effort
        Sent under this name; None sends none.
    output_cap
        Most output tokens that a call asks for; None for as many as its queries may have.
    output_limit
        Most output tokens that the provider accepts, as far as known: a call that asks for more is not sent and fails
        alone.
    structure
        How a server is asked to hold answers to a form, for a model with structured output: ``"vllm"``,
        ``"vllm-guided"`` (before version 0.11), ``"sglang"``, ``"tgi"``, ``"response_format"`` (a JSON schema, as
        OpenAI, Mistral, Groq, Gemini, llama.cpp and Ollama take it), ``"json_object"`` (JSON without a schema) or
        ``"none"``.
    extra_body
        Further fields of the request, as they are.
    """

    output_field: str = "max_tokens"
    omit: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    output_cap: int | None = None
    output_limit: int | None = None
    structure: str = "vllm"
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], where: str) -> RequestSettings:
        """Check a table such as ``[models.request]``; `where`, such as ``"models[0].request."``, stands in messages.

        Raises
        ------
        InputError
            If a key is not known or its value not allowed.
        """
        if not isinstance(record, Mapping):
            raise InputError(f"{where.rstrip('.')} is {record!r}: a table is needed")
        table = TomlTable(record, where, REQUEST_KEYS)
        omit = table.get("omit", list, default=[])
        for name in omit:
            if name not in OPTIONAL_FIELDS:
                raise InputError(f"{where}omit names {name!r}: some of {list(OPTIONAL_FIELDS)} are needed")
        extra = table.get("extra_body", dict, default={})
        check_no_secret(extra, f"{where}extra_body")
        for name in extra:
            if name in _OWN_FIELDS:
                raise InputError(f"{where}extra_body holds {name!r}, which says what is asked or billed: leave it out")
        return cls(
            output_field=table.get("output_field", str, one_of(OUTPUT_FIELDS), default="max_tokens"),
            omit=tuple(dict.fromkeys(omit)),
            reasoning_effort=table.get("reasoning_effort", str, TEXT, default=None),
            output_cap=table.get("output_cap", int, at_least(1), default=None),
            output_limit=table.get("output_limit", int, at_least(1), default=None),
            structure=table.get("structure", str, one_of(STRUCTURES), default="vllm"),
            extra_body=extra,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give what differs from the defaults as plain values for JSON."""
        default, given = RequestSettings(), {item.name: getattr(self, item.name) for item in fields(self)}
        changed = {name: value for name, value in given.items() if value != getattr(default, name)}
        return {name: list(value) if name == "omit" else value for name, value in changed.items()}

    def fields_of(self, call: ModelCall, seed: int) -> dict[str, Any]:
        """Return the fields of a call's request beside the model, the prompt and what the chat template takes."""
        made: dict[str, Any] = {self.output_field: call.max_tokens, "temperature": 0.0, "seed": seed}
        if call.stop:
            made["stop"] = list(call.stop)
        made = {name: value for name, value in made.items() if name not in self.omit}
        if self.reasoning_effort is not None:
            made["reasoning_effort"] = self.reasoning_effort
        if call.regex is not None or call.schema is not None:
            made |= _STRUCTURES[self.structure](call)
        return made | dict(self.extra_body)


REQUEST_KEYS = tuple(item.name for item in fields(RequestSettings))
"""Keys of a table [models.request]."""


def portable_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of answers with the keywords alone that all providers take: no lengths and no patterns."""
    properties = {
        name: {"type": "number"} if "pattern" in slot else {k: v for k, v in slot.items() if k in ("type", "enum")}
        for name, slot in schema["properties"].items()
    }
    return {**schema, "properties": properties}
