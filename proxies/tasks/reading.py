"""From a model's output to one answer per query: strictly in the form asked for, or with tolerance for free text.

A slot's answer is taken from its own line or key alone; where another slot's mark stands in it, or it is not clear
which answer is meant, there is none. Lines are never split at such a mark, nor counted off to several queries where no
mark stands: a query's text could make a model write either.
What no reader of lines can tell: a model that repeats a query's text over several lines, of which one begins like a
slot, and never comes to that slot itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from robatch.proxies.tasks.free_text import is_refusal, read_line
from robatch.proxies.tasks.grading import normalize
from robatch.proxies.tasks.marks import NAMED, NUMBERED, OTHER, other_slot
from robatch.proxies.tasks.objects import DECODER, Object, single_answer, slots_in
from robatch.proxies.tasks.pipes import table_slots
from robatch.proxies.tasks.queries import Query

Answers = tuple[str | None, ...]

_ANSWER_LINE = re.compile(r"A([0-9]{1,4}):[ \t]*(\S.*?)[ \t]*")
_KEY = re.compile(r"A(0|[1-9][0-9]{0,3})")
_THOUGHT_TAGS = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thoughts?", "reasoning", "seed:think")),
    (r"\[THINK\]", r"\[/THINK\]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|channel\|>analysis<\|message\|>", r"<\|channel\|>final<\|message\|>"),
)
# Thoughts open the output (the opening tag of `think` may be the prompt's); a tag within a line of answers is none.
# Without the marks of its channels, gpt-oss's words for these run into the text.
_THOUGHTS = re.compile(
    "|".join(rf"\s*{begin}(?:.*?{end}|.*\Z)" for begin, end in _THOUGHT_TAGS)
    + r"|.*?^[ \t]*</think>[ \t]*$|analysis.*?assistantfinal",
    re.DOTALL | re.MULTILINE,
)
_ANSWER_TAG = re.compile(r"\s*<(answers?)>(.*?)(?:</\1>\s*)?", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\s*(?:```|~~~)[\w-]*\s*")
_CUE = re.compile(r"\banswers?\b|####|\\boxed", re.IGNORECASE)
_WRAP = " \t*_`\"'"
# Numbers and nothing else, of which the last need not be the one meant.
_PLAIN = r"-?(?>[0-9]+(?:\.[0-9]+)?)"
_SEVERAL = re.compile(rf"{_PLAIN}(?:(?:[\s,;|/&]|and|or|<br ?/?>|\\n)+{_PLAIN})+", re.IGNORECASE)


def read(
    text: str,
    queries: Sequence[Query],
    form: Literal["lines", "json"] = "lines",
    tolerant: bool = False,
    cut: bool = False,
) -> Answers:
    """Read a model's output, slot by slot.

    Parameters
    ----------
    text
        The model's output.
    queries
        The queries of the call, in its order.
    form
        The form in which the template asked for the answers.
    tolerant
        False: only whole lines ``A<i>: answer``, or one JSON object with the keys ``"A<i>"`` and nothing around it.
        A slot that is given twice is None. True: for models that write as they like. Thoughts in
        ``<think>`` tags and Markdown are passed over; a slot may begin with ``A1``, ``Answer 1`` or, where no line
        begins so, ``1.`` or ``1)``; a choice may be explained after it, the last number of a line counts; the
        object may stand among other text or break off; the other form is read where there is nothing of the one
        asked for, and a single query's answer without any mark. A slot that is given twice must be given alike.
    cut
        Whether the output ended at its token limit (``finish_reason`` is ``"length"``). Then an answer that its last
        line gives counts only if it is a choice that no longer one begins with, and no slot counts behind one that is
        missing.

    Returns
    -------
    tuple of str or None
        The answers, in the order of the queries and in the form in which `normalize` gives them; None for a slot
        that is missing, ambiguous, or whose answer is not of its query's kind. All are None where the numbering begins
        at 0 or otherwise goes beside the queries'.
    """
    answers, of_lines = _read(text, queries, form, tolerant)
    if not cut:
        return answers
    if of_lines:
        whole, _ = _read(text[: text.rfind("\n") + 1], queries, form, tolerant)
        answers = tuple(
            answer if answer == before or _is_whole(answer, query) else None
            for answer, before, query in zip(answers, whole, queries, strict=True)
        )
    missing = answers.index(None) if None in answers else len(answers)
    return answers[:missing] + (None,) * (len(answers) - missing)


class Reading(NamedTuple):
    """What `read_answer` gives: the answers, and whether the form that was asked for was not kept."""

    answers: Answers
    loose: bool


def read_answer(
    text: str, queries: Sequence[Query], form: Literal["lines", "json"], structured: bool, cut: bool = False
) -> Reading:
    """Read the output of a model whose answers are held to a form (`structured`) or free, as `read` does.

    Where the form holds nothing at all, as its server does not heed structured output, the tolerant reading tries.
    """
    answers = read(text, queries, form, not structured, cut)
    if structured and not any(answer is not None for answer in answers):
        answers = read(text, queries, form, True, cut)
        return Reading(answers, any(answer is not None for answer in answers))
    return Reading(answers, False)


def _is_whole(answer: str | None, query: Query) -> bool:
    """Tell whether an answer that was perhaps cut off can mean no other."""
    if answer is None or query.kind != "choice":
        return False
    return not any(choice != answer and choice.casefold().startswith(answer.casefold()) for choice in query.choices)


def _read(text: str, queries: Sequence[Query], form: str, tolerant: bool) -> tuple[Answers, bool]:
    """Read the output; tell also whether the answers come from lines."""
    if tolerant:
        return _tolerant(text, queries, form)
    return (_parse_lines(text, queries), True) if form == "lines" else (_parse_json(text, queries), False)


def _shifted(found: Mapping[int, object], queries: Sequence[Query]) -> bool:
    """Tell whether slots are numbered from 0, or from 2: then no answer is where it belongs."""
    return 0 in found or (1 not in found and len(queries) + 1 in found)


def _read_slot(line: str, slot: int, query: Query, slots: int, of_line: bool) -> str | None:
    """Read a slot's free text as far as it is surely its own.

    Another slot's mark in it leaves it unclear; but a choice of a line is read before that mark, if it can mean no
    longer one there.
    """
    if query.kind == "choice" and (exact := normalize(line.strip(_WRAP), query)) is not None:
        return exact
    end = other_slot(line, slot, slots, query.kind)
    if end is not None:
        answer = read_line(line[:end].rstrip(" \t,;|>-\u2013\u2014"), query) if of_line else None
        return answer if _is_whole(answer, query) else None  # never for another kind than a choice
    plain = re.sub(r"[$€£*`]", "", line).strip("[](). \t\r_")
    if query.kind == "number" and _SEVERAL.fullmatch(plain):
        return normalize(plain, query)  # thousands may be grouped
    return read_line(line, query)


def _parse_lines(text: str, queries: Sequence[Query]) -> Answers:
    """Read lines ``A<i>: answer`` strictly."""
    found: dict[int, list[str]] = {}
    for line in text.split("\n"):
        match = _ANSWER_LINE.fullmatch(line.strip("\r \t"))
        if match:
            slot, line = int(match[1]), match[2]
            if 1 <= slot <= len(queries) and queries[slot - 1].kind == "text":
                line = "" if other_slot(line, slot, len(queries), "text", named_only=True) is not None else line
            found.setdefault(slot, []).append(line)
    return _once(found, queries)


def _parse_json(text: str, queries: Sequence[Query]) -> Answers:
    try:
        value = DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        value = None
    return _once(_slots(value) if isinstance(value, Object) else {}, queries)


def _slots(pairs: Sequence[tuple[str, Any]]) -> dict[int, list[str]]:
    """Sort the values by slot; what is neither a text nor a number stays, as an answer that cannot be read."""
    found: dict[int, list[str]] = {}
    for key, value in pairs:
        match = _KEY.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), []).append(value if isinstance(value, str) else "")
    return found


def _once(found: dict[int, list[str]], queries: Sequence[Query]) -> Answers:
    answers: list[str | None] = []
    if _shifted(found, queries):
        return (None,) * len(queries)
    for i, query in enumerate(queries, start=1):
        given = found.get(i, [])
        answer = normalize(given[0], query) if len(given) == 1 else None
        answers.append(None if query.kind == "text" and is_refusal(answer or "") else answer)
    return tuple(answers)


def _tolerant(text: str, queries: Sequence[Query], form: str) -> tuple[Answers, bool]:
    if thoughts := _THOUGHTS.match(text):
        text = text[thoughts.end() :]
    if tagged := _ANSWER_TAG.fullmatch(text):
        text = tagged[2]
    ways = ("objects", "lines", "table", "others") if form == "json" else ("lines", "table", "objects", "others")
    for way in ways:
        found = _FINDERS[way](text, queries)
        if found:
            of_lines = way != "objects"
            if _shifted(found, queries):
                return (None,) * len(queries), of_lines
            answers = (
                _alike([_read_slot(line, i, query, len(queries), of_lines) for line in found.get(i, [])])
                for i, query in enumerate(queries, start=1)
            )
            return tuple(answers), of_lines
    if len(queries) != 1:
        return (None,) * len(queries), True
    if (alone := single_answer(text)) is not None:
        return (_read_slot(alone, 1, queries[0], 1, of_line=False),), False
    return (_bare(text, queries[0]),), True


def _alike(answers: Sequence[str | None]) -> str | None:
    return answers[0] if len(set(answers)) == 1 else None


def _marked(text: str, queries: Sequence[Query]) -> dict[int, list[str]]:
    """Find the slots that lines begin by name or, where none does, by number."""
    return _begun(text, queries, NAMED) or _begun(text, queries, NUMBERED)


def _begun(text: str, queries: Sequence[Query], pattern: re.Pattern[str]) -> dict[int, list[str]]:
    """Find the slots that lines begin, and give the first line of each that is not empty.

    A line that a query's own text holds may be that text, repeated, and begins none.
    """
    own = {line.strip() for query in queries for line in query.text.splitlines() if pattern.fullmatch(line)}
    found: dict[int, list[str]] = {}
    waiting: int | None = None  # the slot whose mark had nothing behind it
    for line in _lines(text):
        match = None if line.strip() in own else pattern.fullmatch(line)
        if match:
            number, line = (group for group in match.groups() if group is not None)
            waiting = int(number)
        if waiting is not None and line.strip(" \t*_`"):
            found.setdefault(waiting, []).append(line)
            waiting = None
    return found


def _others(text: str, queries: Sequence[Query]) -> dict[int, list[str]]:
    """Find the slots that lines begin by another sign, such as ``Q1:``, behind which a query may be repeated.

    So only an answer by itself counts.
    """
    found = _begun(text, queries, OTHER)
    for slot, lines in found.items():
        query = queries[slot - 1] if 1 <= slot <= len(queries) else None
        if query is not None:
            found[slot] = ["" if _repeats(line, query) else line for line in lines]
    return found


def _repeats(line: str, query: Query) -> bool:
    """Tell whether a line may be the query itself, rather than its answer."""
    if query.kind != "text":
        return normalize(line.strip(_WRAP + "\u201c\u201d"), query) is None
    plain = line.strip(_WRAP).casefold()
    return plain in query.text.casefold() or query.text.strip().casefold() in plain


_FINDERS: dict[str, Callable[[str, Sequence[Query]], dict[int, list[str]]]] = {
    "lines": _marked,
    "objects": lambda text, queries: slots_in(text, [query.text for query in queries]),
    "table": lambda text, queries: table_slots(_lines(text)),
    "others": _others,
}


def _bare(text: str, query: Query) -> str | None:
    """Read the one answer of a text without marks: from the lines that speak of an answer, if there are any."""
    lines = [line for line in _lines(text) if line.strip()]
    lines = [line for line in lines if _CUE.search(line)] or lines
    if query.kind == "text":
        return read_line(lines[0], query) if len(lines) == 1 else None
    return _alike([answer for answer in (read_line(line, query) for line in lines) if answer is not None])


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if not _FENCE.fullmatch(line)]
