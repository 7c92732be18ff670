"""The prompt: shared instructions, numbered query slots, and the form that answers are held to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from robatch.instances.errors import InputError
from robatch.proxies.engines.engine import ModelCall, whole_prompt
from robatch.proxies.tasks.grading import MAX_TEXT
from robatch.proxies.tasks.queries import Query

Form = Literal["lines", "json"]
"""How a call's answers are asked for: a line for each query, or one JSON object with a key for each."""

STOP = ("\nQ", "\n\n")
"""Where a base model, which knows no end of turn, is stopped; objects may hold empty lines, so there only the first."""

_FORMATS: dict[str, str] = {
    "lines": 'Every query is one JSON string. Answer each on its own line: "A1: ", "A2: " and so on.',
    "json": "Every query is one JSON string. Answer all of them with one JSON object and nothing else. "
    'It has one key for each query: {"A1": "...", "A2": "..."} and so on.',
}

# A query's text must not form a control token of a chat template, such as <|im_end|> or [/INST].
_CONTROL = re.compile(r"[<\x7f-\x9f\u2028\u2029]|\[(?=/?[A-Z_]+\])")
_REGEX_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_NUMBER_REGEX = r"-?\d{1,9}(\.\d{1,4})?"
_TEXT_REGEX = r"[^ \t\r\n][^\r\n]{0,%d}" % (MAX_TEXT - 1)  # noqa: UP031 (braces are the regex's own)


@dataclass(frozen=True)
class Template:
    """A prompt template.

    Attributes
    ----------
    instructions
        What is asked of every query.
    examples
        Worked examples, pairs of text and answer.
    show_choices
        Whether each slot lists its own choices; needed where they differ between queries.
    form
        ``"lines"``: a line ``A<i>: answer`` for each query. ``"json"``: one JSON object with the keys ``"A1"``,
        ``"A2"`` and so on.
    system
        A message before the prompt, in the role of the system where a model has a chat template and at the head of the
        prompt where it has none; None for none.
    """

    instructions: str
    examples: tuple[tuple[str, str], ...] = field(default=())
    show_choices: bool = False
    form: Form = "lines"
    system: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.instructions, str):
            raise InputError(f"instructions is {self.instructions!r}: a text is needed")
        if self.form not in _FORMATS:
            raise InputError(f"form is {self.form!r}: one of {list(_FORMATS)} is needed")
        if not isinstance(self.show_choices, bool):
            raise InputError(f"show_choices is {self.show_choices!r}: true or false is needed")
        if self.system is not None and not (isinstance(self.system, str) and self.system.strip()):
            raise InputError(f"system is {self.system!r}: a text that is not empty is needed")
        object.__setattr__(self, "examples", _examples(self.examples))

    def shared(self) -> str:
        """Give the part that every call repeats: instructions, answer format and examples."""
        return self._shared

    @cached_property
    def _shared(self) -> str:
        shown = str if self.form == "lines" else embed
        examples = "".join(f"Q: {embed(text)}\nA: {shown(answer)}\n" for text, answer in self.examples)
        parts = [self.instructions.strip(), _FORMATS[self.form], *([examples.rstrip()] if examples else [])]
        return "\n\n".join(parts) + "\n\n"

    def render(self, queries: Sequence[Query]) -> str:
        """Give the whole prompt of a call; with no query, the shared part alone."""
        return self.shared() + "".join(self._slot(i, query) for i, query in enumerate(queries, start=1))

    def whole(self, queries: Sequence[Query]) -> str:
        """Give all that is sent of a call as one text, the system message included."""
        return whole_prompt(self.system, self.render(queries))

    def structure(self, queries: Sequence[Query]) -> dict[str, Any]:
        """Give what structured output holds the answer of a call to.

        Returns
        -------
        dict
            ``{"regex": ...}`` (`answer_regex`) or, for the form ``"json"``, ``{"schema": ...}`` (`answer_schema`);
            the key and value of a `ModelCall`.
        """
        if self.form == "lines":
            return {"regex": answer_regex(queries)}
        return {"schema": answer_schema(queries)}

    def to_dict(self) -> dict[str, Any]:
        """Give the template as JSON can hold it."""
        return {
            "instructions": self.instructions,
            "examples": [list(example) for example in self.examples],
            "show_choices": self.show_choices,
            "form": self.form,
            **({} if self.system is None else {"system": self.system}),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Template:
        """Make a template from what `to_dict` gave.

        Raises
        ------
        InputError
            If a field is missing, unknown or wrong.
        """
        fields = ("instructions", "examples", "show_choices", "form")
        if not isinstance(record, Mapping) or set(record) - {"system"} != set(fields):
            raise InputError(f"template is {record!r}: an object with the fields {list(fields)} is needed")
        return cls(**record)

    def _slot(self, number: int, query: Query) -> str:
        choices = ""
        if self.show_choices and query.choices:
            choices = f" One of: [{', '.join(embed(choice) for choice in query.choices)}]"
        return f"Q{number}: {embed(query.text)}{choices}\n"


def template_for(name: str, form: Form = "lines") -> Template:
    """Give the template of a generated task."""
    return replace(_GENERATED[name], form=form)


def support_template(form: Form = "lines") -> Template:
    """Give the template of the task `support`."""
    return template_for("support", form)


def default_template(
    queries: Sequence[Query],
    instructions: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
    form: Form = "lines",
) -> Template:
    """Give a template for queries from a file.

    Parameters
    ----------
    queries
        The task's queries: their choices go into the shared part where they are all the same.
    instructions
        What is asked of every query; by default a sentence that names the choices, or what else is wanted.
    examples
        Worked examples, pairs of text and answer.
    form
        How the answers are asked for.
    """
    choices = {query.choices for query in queries}
    alike = len(choices) == 1
    if instructions is None:
        instructions = "Answer each query."
        if alike and queries[0].choices:
            instructions += " The answer is one of: " + ", ".join(queries[0].choices) + "."
        elif alike:
            kinds = {query.kind for query in queries}
            instructions += _ASKED[kinds.pop() if len(kinds) == 1 else "mixed"]
    return Template(instructions, tuple(examples), show_choices=not alike, form=form)


def embed(text: str) -> str:
    """Write a text as a JSON string on one line, in which nothing can end the string, the line or the turn."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def answer_regex(queries: Sequence[Query]) -> str:
    """Give the regular expression that structured output holds the answer to: one line per query."""
    return r"\n".join(f"A{i}: {_slot_regex(query)}" for i, query in enumerate(queries, start=1))


def answer_schema(queries: Sequence[Query]) -> dict[str, Any]:
    """Give the JSON schema that structured output holds the answer to: one required key per query, in order.

    Choices are an enumeration and numbers a string with a pattern, which bounds its length, as JSON's own numbers
    have no bound. Texts have a length alone: xgrammar, vLLM's usual backend, ignores a length beside a pattern.
    """
    properties = {f"A{i}": _slot_schema(query) for i, query in enumerate(queries, start=1)}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _slot_regex(query: Query) -> str:
    if query.kind == "number":
        return _NUMBER_REGEX
    if query.kind == "text":
        return _TEXT_REGEX
    return "(" + "|".join(_REGEX_SPECIAL.sub(r"\\\g<0>", choice) for choice in query.choices) + ")"


def _slot_schema(query: Query) -> dict[str, Any]:
    if query.kind == "number":
        return {"type": "string", "pattern": f"^{_NUMBER_REGEX}$"}
    if query.kind == "text":
        return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    return {"type": "string", "enum": list(query.choices)}


def _examples(given: Any) -> tuple[tuple[str, str], ...]:
    try:
        examples = tuple((text, answer) for text, answer in given)
    except (TypeError, ValueError):
        examples = ((None, None),)
    if not all(isinstance(part, str) for example in examples for part in example):
        raise InputError(f"examples is {given!r}: pairs of a text and its answer are needed")
    return examples


_GENERATED = {
    "support": Template(
        """\
Customer messages of an online shop are sorted into four teams: billing (money), delivery (parcels), technical (app, \
website or device does not work) and account (login, profile). For each message, answer with the team.""",
        (
            ("The map in your app stays white.", "technical"),
            ("My card was debited for a tent that I never ordered.", "billing"),
            ("Please use my new surname in my profile.", "account"),
            ("The ladder I ordered is still not here.", "delivery"),
            ("Your gift card did not lower the total.", "billing"),
            ("Everything in the box was smashed. The website is nice.", "delivery"),
            ("The invoice was fine, but the blender makes no sound when I switch it on.", "technical"),
            ("The ladder came early, but I cannot log in.", "account"),
        ),
    ),
    "reviews": Template(
        """\
Product reviews are sorted by whether their author is content with the product: positive or negative. \
For each review, answer positive or negative.""",
        (
            ("The umbrella is lovely.", "positive"),
            ("It came quickly, but the pan is awful.", "negative"),
            ("The sofa broke in March.", "negative"),
            ("Expensive, yet I would choose this lamp again.", "positive"),
        ),
    ),
    "arithmetic": Template(
        """\
Each query is a small problem in arithmetic. For each query, answer with the number alone, in digits.""",
        (
            ("What is 7 times 8, minus 6?", "50"),
            ("Ada has 12 stamps, buys 30 more and gives 5 away. How many stamps has she now?", "37"),
            ("Three friends share a bill of 84 dollars evenly. How many dollars does each of them pay?", "28"),
        ),
    ),
}
"""The templates of the generated tasks."""

_ASKED = {
    "number": " The answer is a number, in digits alone.",
    "text": " The answer is a short text on one line.",
    "mixed": "",
}


def model_call(
    template: Template, batch: Sequence[Query], max_tokens: int, *, chat: bool, structured: bool
) -> ModelCall:
    """Make the call that asks a model some queries: the same when it is profiled and when a plan is executed.

    A base model (no `chat` template) is stopped at `STOP`; `structured` answers are held to the template's form.
    """
    stop = () if chat else STOP[:1] if template.form == "json" else STOP
    structure = template.structure(batch) if structured else {}
    return ModelCall(template.render(batch), max_tokens, stop=stop, system=template.system, **structure)
