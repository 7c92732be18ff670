"""The one place that reads what a server sends: text, token counts, finish, and its own words where it failed.

Nothing of a reply is trusted: every field may be missing, or hold any value of JSON. What cannot be used is passed over
or said; no value raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from robatch.proxies.engines.engine import ModelAnswer
from robatch.proxies.engines.usage import Usage, read_usage

_TEXT_PARTS = (None, "text", "output_text")  # types of a content's parts that hold the answer itself
_NATURAL_ENDS = frozenset(
    {"stop", "eos", "eos_token", "end", "end_turn", "stop_sequence", "stop_token", "complete", "completed", "success"}
)
_LIMITS = frozenset(
    {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit"}
)
_FILTERS = frozenset({"content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal"})
_WORDS = ("message", "detail", "details", "msg", "error", "errors", "error_message", "reason", "title", "description")
_MAX_WORDS = 300  # characters of a server's own words that are shown
_MAX_NAME = 200  # characters of the name of a model or of a finish
_MAX_DIGITS = 30  # of a whole number; a longer one counts nothing
_CODES = {
    "invalid_api_key": 401, "authentication_error": 401, "insufficient_quota": 402, "model_not_found": 404,
    "invalid_request_error": 400, "rate_limit_exceeded": 429, "rate_limit_error": 429, "overloaded_error": 529,
}  # fmt: skip
"""HTTP statuses of the errors that OpenAI and Anthropic name."""
_ENUM = re.compile(r"finish_?reason[._]")  # before the name of a finish
_STATUS_DIGITS = re.compile(r"[1-9][0-9]{2}")


@dataclass(frozen=True)
class Reply:
    """What a server's reply says, checked field by field.

    Attributes
    ----------
    text
        The answer: text parts joined, thoughts passed over. None where the reply holds no choice.
    finish
        Why the answer ended: ``"stop"`` where naturally, ``"length"`` at its token limit, ``"content_filter"`` by a
        filter, else the server's own word (``"torn"`` for a stream without an end, ``"error"`` for a failure on the
        way); ``"stop"`` too where the server does not say.
    usage
        The tokens.
    model
        The model that replied, by its own name; None where it gives none.
    said
        The server's own words on why there is no answer or no text; None where it says nothing.
    status
        The HTTP status that an error object names, whatever the reply itself came with; None without one.
    told
        Whether the server said why the answer ended.
    """

    text: str | None
    finish: str = "stop"
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    said: str | None = None
    status: int | None = None
    told: bool = True

    def ended(self, max_tokens: int) -> str:
        """Return why the answer ended, of so many tokens allowed: at their limit where it took them all untold."""
        used = self.usage.output_tokens
        return "length" if not self.told and used is not None and used >= max_tokens else self.finish

    def answer(
        self, max_tokens: int, seconds: float = 0.0, retries: int = 0, before: tuple[int, int] = (0, 0)
    ) -> ModelAnswer:
        """Return the answer that a reply is to a call of so many output tokens allowed."""
        text, usage = self.text or "", self.usage
        return ModelAnswer(
            text, usage.input_tokens, usage.output_tokens, seconds, self.ended(max_tokens),
            None if text.strip() else self.said, retries,
            details=usage.details, model=self.model, before=before, total_tokens=usage.total_tokens,
        )  # fmt: skip


def read_reply(data: bytes, content_type: str = "", least_input: int = 0) -> Reply:
    """Read a reply's body, whatever it holds: a completion of either kind, a stream of its pieces, an error, anything.

    Parameters
    ----------
    data
        The body.
    content_type
        The header of this name, for what is said of a body that holds nothing; how a body is read it tells by itself.
    least_input
        As of `read_usage`.
    """
    text = data.decode("utf-8-sig", "replace")
    record = _json(text)  # whatever the header says
    if isinstance(record, list) and len(record) == 1:  # as errors of Gemini come
        record = record[0]
    if isinstance(record, Mapping):
        return _read_record(record, least_input)
    if (streamed := _read_stream(text, least_input)) is not None:
        return streamed
    if "event-stream" in content_type.lower():
        return Reply(None, said="an empty stream")
    what = "an empty reply" if not text.strip() else f"something other than a completion ({content_type or 'no type'})"
    return Reply(None, "error", said=f"{what}; is it the address of an OpenAI-compatible server?")


def _read_record(record: Mapping[str, Any], least_input: int) -> Reply:
    model = _name(record.get("model"))
    error = _error(record)
    choices = record.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        said = _words(error) or _words({key: record[key] for key in _WORDS if key in record})
        return Reply(
            None, "error", read_usage(record.get("usage")), model, said or "no choice in the reply",
            _status(record) if error is None else _status(error),
        )  # fmt: skip
    message = choice.get("message") or choice.get("delta")
    inner = message if isinstance(message, Mapping) else {}
    content = inner.get("content") if isinstance(message, Mapping) else choice.get("text")
    text, unknown = _text(content)
    reason = choice.get("finish_reason")
    finish = _finish(reason)
    failure = error or _error(choice)
    said = unknown
    if not text.strip():
        parts = content if isinstance(content, list) else ()
        refusals = [part.get("refusal") for part in (inner, *parts) if isinstance(part, Mapping)]
        said = _words(failure) or _words([said for said in refusals if said]) or unknown
    if failure and finish == "stop":
        finish = "error"
    usage = read_usage(record.get("usage"), least_input if text.strip() or not failure else 0)
    status = _status(failure) if failure and not text.strip() else None
    return Reply(text, finish, usage, model, said, status, told=bool(reason))


def _read_stream(text: str, least_input: int) -> Reply | None:
    """Read the events of a stream that was not asked for: its pieces joined are a completion; None without events."""
    texts: list[str] = []
    whole: dict[str, Any] = {}
    finish, ended, pieces = None, False, 0
    for event in _events(text):
        if event == "[DONE]":
            ended = True
            continue
        record = _json(event)
        if not isinstance(record, Mapping):
            continue
        whole |= {key: value for key, value in record.items() if value is not None and key != "choices"}
        choices = record.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            continue
        pieces += 1
        piece = next((part for key in ("delta", "message") if isinstance(part := choice.get(key), Mapping)), None)
        texts.append(_text(choice.get("text") if piece is None else piece.get("content"))[0])
        finish = choice.get("finish_reason") or finish
    if not pieces:
        return _read_record(whole | {"choices": None}, least_input) if whole else None
    torn = finish is None and not ended
    choice = {"message": {"content": "".join(texts)}, "finish_reason": "torn" if torn else finish}
    return _read_record(whole | {"choices": [choice]}, least_input)


def _events(text: str) -> Iterator[str]:
    """Yield the data of a stream's events: the lines of one belong together, or, as some servers have it, each alone.

    Lines that are objects by themselves are events, too.
    """
    lines: list[str] = []
    for line in [*re.split(r"\r\n|\n|\r", text), ""]:
        if line.startswith(("data:", "{")):
            lines.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and lines:
            whole = "\n".join(lines)
            yield from [whole] if len(lines) == 1 or _json(whole) is not None else lines
            lines = []


def _json(text: str) -> Any:
    """Read JSON; None where it is none, and in place of numbers that are none."""
    try:
        return json.loads(text, parse_int=_whole, parse_constant=_nothing)
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


_nothing: Callable[[str], None] = lambda _: None  # noqa: E731


def _text(content: object) -> tuple[str, str | None]:
    """Return the text of a content, and what to say where the content is of no known kind."""
    if isinstance(content, str):
        return _clean(content), None
    if content is None:
        return "", None
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping)]
        texts = [part.get("text") for part in parts if part.get("type") in _TEXT_PARTS and not part.get("thought")]
        told = [text for text in texts if isinstance(text, str)]
        if told or len(parts) == len(content):
            return _clean("".join(told)), None
    return "", f"the content of its answer is no text ({_shown(content)})"


def _clean(text: str) -> str:
    """Return a text without halves of characters, which files cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _finish(reason: object) -> str:
    if isinstance(reason, Mapping):  # as SGLang's engine tells it
        reason = reason.get("type")
    if not isinstance(reason, str) or not reason.strip():
        return "stop"
    known = _ENUM.sub("", reason.strip().lower())
    for name, words in (("stop", _NATURAL_ENDS), ("length", _LIMITS), ("content_filter", _FILTERS)):
        if known in words:
            return name
    return _clean(reason.strip())[:_MAX_NAME]


def _name(value: object) -> str | None:
    return _clean(value.strip())[:_MAX_NAME] if isinstance(value, str) and value.strip() else None


def _error(record: Mapping[str, Any]) -> Any:
    """Return the error that a part of a reply tells of; None where it tells nothing, as some gateways' always do."""
    error = record.get("error")
    said = any(error.values()) if isinstance(error, Mapping) else error
    return error if said else None


def _status(error: object) -> int | None:
    """Return the HTTP status that an error object names, in one of its usual places."""
    if not isinstance(error, Mapping):
        return None
    for key in ("code", "status", "status_code", "http_status", "type"):
        value = error.get(key)
        value = _CODES.get(value, value) if isinstance(value, str) else value
        if isinstance(value, str) and _STATUS_DIGITS.fullmatch(value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return None


def _words(error: object) -> str | None:
    """Return an error's own words, wherever it holds them; None where it has none."""
    found = _clean(_dig(error, 4))
    return " ".join(found.split())[:_MAX_WORDS] or None


def _dig(error: object, depth: int) -> str:
    if isinstance(error, str):
        inner = _json(error) if depth and error.lstrip().startswith(("{", "[")) else None  # handed on as a text
        return _dig(inner, depth - 1) or error
    if isinstance(error, list) and error and depth:
        return _dig(error[0], depth - 1)
    if isinstance(error, Mapping) and depth:
        for key in _WORDS:
            if found := _dig(error.get(key), depth - 1):
                return found
        for key in ("code", "type", "status"):
            if isinstance(value := error.get(key), str | int) and not isinstance(value, bool):
                return f"{key} {value}"
    return ""


def _shown(value: object) -> str:
    return " ".join(_clean(json.dumps(value, default=str)).split())[:60]
