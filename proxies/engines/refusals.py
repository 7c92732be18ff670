"""What a provider's refusal of a request says: which field it does not take, or how much output it allows.

Texts of providers change from version to version. So a field is looked for that was sent, by its name as a whole word,
beside words that refuse; no provider's sentence is known as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping

_REFUSING = re.compile(
    r"unsupported|not (?:be )?(?:support|permit|allow|accept|available|recogni[sz]ed|valid|compatible|known|expect)"
    r"|(?:does|do|did)(?:n['\u2019]t| not) (?:support|accept|allow|take|know)"
    r"|unrecogni[sz]ed|unknown|unexpected|extra (?:inputs|fields)"
    r"|forbidden|disallowed|invalid|deprecated|no longer|cannot find field|cannot be (?:set|used|specified)"
    r"|only (?:the )?(?:default|be set|support|accept)|must be|should be|has to be|out of range|incompatible"
    r"|unavailable|removed|too (?:low|high|small|large)",
    re.IGNORECASE,
)
# What a provider proposes instead is not what it refuses.
_PROPOSED = re.compile(
    r"did you mean[^?]*\?|(?:use|try|send|set|specify)\s+[`'\"]?\w+[`'\"]?\s+instead|instead,? (?:use|try|send)\s+\S+",
    re.IGNORECASE,
)
_OUTPUT_TOKENS = re.compile(
    r"max(?:imum)?[ _]?(?:output|completion|new|generation)?[ _]?tokens|(?:output|completion|generated) tokens",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(
    r"too (?:large|high|big|many)|at most|maximum|exceed|less than|lower than|<=?|\u2264|>|greater than|above|range"
    r"|up to|limit|between",
    re.IGNORECASE,
)
_PLAINLY_TOO_MUCH = re.compile(r"too (?:large|high|big|many)|at most|exceed", re.IGNORECASE)
_TOO_LITTLE = re.compile(
    r"too (?:small|low|few)|at least|minimum|below|>=|\u2265|greater than or equal|must be (?:greater|more|larger)",
    re.IGNORECASE,
)
_STATUS = re.compile(r"Error code: \d+|[\"']?(?:code|status)[\"']?\s*:\s*[\"']?\d{3}\b", re.IGNORECASE)
_UNFINISHED = re.compile(r"could not finish|higher max_|increase (?:the )?max", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,-])(\d{1,3}(?:,\d{3})+|\d{1,12})(?![\w-])(?!\.\d)")


def words_of(message: str, body: object) -> str:
    """Return all that a refusal says, in its message and its body, without the status of the reply."""
    try:
        said = f"{message} {body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)}"
    except (TypeError, ValueError, RecursionError):
        said = message
    return _STATUS.sub(" ", said)


def own_words(message: str, body: object, depth: int = 0) -> str:
    """Return the sentence of a refusal, without the object around it; else the message as it is."""
    if isinstance(body, Mapping) and depth < 6:
        inner = [body[key] for key in ("message", "msg", "detail", "error", "errors") if body.get(key)]
        return next((found for value in inner if (found := own_words("", value, depth + 1))), message)
    if isinstance(body, list | tuple) and depth < 6:
        return next((found for value in body if (found := own_words("", value, depth + 1))), message)
    return " ".join(body.split()) if isinstance(body, str) and body.strip() else message


def refused_fields(message: str, body: object, sent: Collection[str]) -> list[str]:
    """Return the fields that were sent and that the provider names as refused, in the order of `sent`.

    A provider that points at a field (``param``, ``loc``) is taken at its word; otherwise its text is searched.
    """
    pointed = set(_pointed(body))
    if named := [name for name in sent if name in pointed]:
        return named
    said = _PROPOSED.sub(" ", words_of(message, body))
    if not _REFUSING.search(said):
        return []
    return [name for name in sent if re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", said)]


def _pointed(body: object, depth: int = 0) -> Iterator[str]:
    """Yield the names that a body points at: ``param``, and places such as ``["body", "seed"]``."""
    if isinstance(body, str) and depth < 6 and body.lstrip().startswith(("{", "[")):
        try:  # some proxies hand on the provider's object as a text
            body = json.loads(body)
        except (ValueError, RecursionError):
            return
    if isinstance(body, Mapping) and depth < 6:
        for key, value in body.items():
            if key == "param" and isinstance(value, str):
                yield re.split(r"[.\[]", value, maxsplit=1)[0]
            elif key in ("loc", "path", "field") and isinstance(value, list | tuple | str):
                parts = [value] if isinstance(value, str) else value
                yield from (part for part in parts if isinstance(part, str))
            elif key != "input":  # what was sent, which names everything
                yield from _pointed(value, depth + 1)
    elif isinstance(body, list | tuple) and depth < 6:
        for value in body:
            yield from _pointed(value, depth + 1)


def most_output(said: str, asked: int) -> int | None:
    """Return the output tokens that a provider allows, from its refusal of `asked`; None if it is about another thing.

    Where it gives no number below `asked`, one less than that is known to be the most.
    """
    if not _OUTPUT_TOKENS.search(said) or not _TOO_MUCH.search(said) or _UNFINISHED.search(said):
        return None
    numbers = [int(match[1].replace(",", "")) for match in _NUMBER.finditer(said)]
    below = [number for number in numbers if 1 < number < asked]
    if not below and (_TOO_LITTLE.search(said) or not _PLAINLY_TOO_MUCH.search(said)):
        return None
    most = max(below, default=asked - 1)
    return max(1, most - 1 if "exclusive" in said.casefold() and below else most)


def wants_more_output(said: str) -> bool:
    """Tell whether a provider refuses a call as its output limit is too low to say anything."""
    return bool(_OUTPUT_TOKENS.search(said)) and bool(_UNFINISHED.search(said) or _TOO_LITTLE.search(said))
