"""The prompt: shared instructions, numbered query slots, and the strict reading of what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from robatch.proxies.grading import normalize
from robatch.proxies.tasks import Query

STOP = ("\nQ", "\n\n")
"""Where a base model, which knows no end of turn, is stopped."""

SUPPORT_INSTRUCTIONS = """\
Customer messages of an online shop are sorted into four teams: billing (money), delivery (parcels), technical (app, \
website or device does not work) and account (login, profile). For each message, answer with the team."""

SUPPORT_EXAMPLES = (
    ("The map in your app stays white.", "technical"),
    ("My card was debited for a tent that I never ordered.", "billing"),
    ("Please use my new surname in my profile.", "account"),
    ("The ladder I ordered is still not here.", "delivery"),
    ("Your gift card did not lower the total.", "billing"),
    ("Everything in the box was smashed. The website is nice.", "delivery"),
    ("The invoice was fine, but the blender makes no sound when I switch it on.", "technical"),
    ("The ladder came early, but I cannot log in.", "account"),
)

REVIEWS_INSTRUCTIONS = """\
Product reviews are sorted by whether their author is content with the product: positive or negative. \
For each review, answer positive or negative."""

REVIEWS_EXAMPLES = (
    ("The umbrella is lovely.", "positive"),
    ("It came quickly, but the pan is awful.", "negative"),
    ("The sofa broke in March.", "negative"),
    ("Expensive, yet I would choose this lamp again.", "positive"),
)

_FORMAT = 'Every query is one JSON string. Answer each on its own line: "A1: ", "A2: " and so on.'

# A query's text must not form a control token of a chat template, such as <|im_end|> or [/INST].
_CONTROL = re.compile(r"[<\x7f-\x9f\u2028\u2029]|\[(?=/?[A-Z_]+\])")
_ANSWER_LINE = re.compile(r"A(\d{1,4}):[ \t]*(\S.*?)[ \t]*")
_REGEX_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_NUMBER_REGEX = r"-?\d{1,9}(\.\d{1,4})?"


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
    """

    instructions: str
    examples: tuple[tuple[str, str], ...] = field(default=())
    show_choices: bool = False

    def shared(self) -> str:
        """Give the part that every call repeats: instructions, answer format and examples."""
        examples = "".join(f"Q: {embed(text)}\nA: {answer}\n" for text, answer in self.examples)
        parts = [self.instructions.strip(), _FORMAT, *([examples.rstrip()] if examples else [])]
        return "\n\n".join(parts) + "\n\n"

    def render(self, queries: Sequence[Query]) -> str:
        """Give the whole prompt of a call; with no query, the shared part alone."""
        return self.shared() + "".join(self._slot(i, query) for i, query in enumerate(queries, start=1))

    def _slot(self, number: int, query: Query) -> str:
        choices = ""
        if self.show_choices and query.choices:
            choices = f" One of: [{', '.join(embed(choice) for choice in query.choices)}]"
        return f"Q{number}: {embed(query.text)}{choices}\n"


def support_template() -> Template:
    """Give the template of the task `support`."""
    return Template(SUPPORT_INSTRUCTIONS, SUPPORT_EXAMPLES)


def reviews_template() -> Template:
    """Give the template of the task `reviews`."""
    return Template(REVIEWS_INSTRUCTIONS, REVIEWS_EXAMPLES)


def default_template(
    queries: Sequence[Query], instructions: str | None = None, examples: Sequence[tuple[str, str]] = ()
) -> Template:
    """Give a template for queries from a file.

    Parameters
    ----------
    queries
        The task's queries: their choices go into the shared part where they are all the same.
    instructions
        What is asked of every query; by default a sentence that names the choices.
    examples
        Worked examples, pairs of text and answer.
    """
    choices = {query.choices for query in queries}
    alike = len(choices) == 1
    if instructions is None:
        instructions = "Answer each query."
        if alike and queries[0].choices:
            instructions += " The answer is one of: " + ", ".join(queries[0].choices) + "."
        elif alike:
            instructions += " The answer is a number, in digits alone."
    return Template(instructions, tuple(examples), show_choices=not alike)


def embed(text: str) -> str:
    """Write a text as a JSON string on one line, in which nothing can end the string, the line or the turn."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def answer_regex(queries: Sequence[Query]) -> str:
    """Give the regular expression that structured output holds the answer to: one line per query."""
    return r"\n".join(f"A{i}: {_slot_regex(query)}" for i, query in enumerate(queries, start=1))


def parse(text: str, queries: Sequence[Query]) -> tuple[str | None, ...]:
    """Read a model's output, slot by slot.

    Only whole lines ``A<i>: answer`` count. A slot that is missing, given twice, or whose answer is neither one of
    the choices nor a number, as its query's kind asks, is None.

    Returns
    -------
    tuple of str or None
        The answers, in the form in which choices and numbers are written, in the order of the queries.
    """
    found: dict[int, list[str]] = {}
    for line in text.split("\n"):
        match = _ANSWER_LINE.fullmatch(line.strip("\r \t"))
        if match:
            found.setdefault(int(match[1]), []).append(match[2])
    answers: list[str | None] = []
    for i, query in enumerate(queries, start=1):
        given = found.get(i, [])
        answers.append(normalize(given[0], query) if len(given) == 1 else None)
    return tuple(answers)


def template_for(name: str) -> Template:
    """Give the template of a generated task."""
    return {"support": support_template, "reviews": reviews_template}[name]()


def _slot_regex(query: Query) -> str:
    if query.kind == "number":
        return _NUMBER_REGEX
    return "(" + "|".join(_REGEX_SPECIAL.sub(r"\\\g<0>", choice) for choice in query.choices) + ")"
