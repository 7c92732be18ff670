"""One line of free text to one answer, by the kind of its query."""

from __future__ import annotations

import re

from robatch.proxies.tasks.grading import normalize
from robatch.proxies.tasks.queries import Query

_LEAD = re.compile(
    r"(?:so,? |thus,? |therefore,? |hence,? )?(?:the |my )?(?:correct |final |right |best )?"
    r"(?:answers?|label|category|choice|option|sentiment|team)\s*(?:is|are|would be|:|=)*\s*[:=]?\s*",
    re.IGNORECASE,
)
_CANNOT = (
    r"(?:can['\u2019]?t|can ?not|could ?n(?:o|['\u2019])t|won['\u2019]t|will not"
    r"|(?:am|['\u2019]m) (?:unable|not (?:able|allowed)))"
)
_DO = (
    r"(?:assist|help|answer|provide|comply|classify|fulfil+|continue|discuss|engage|determine|do (?:that|this)|respond)"
)
_REFUSAL = re.compile(
    r"\W*(?:(?:(?:i['\u2019]?m|i am) (?:so |very )?sorry|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately)\b"
    r".{0,40}?)?"
    rf"\bi\s*{_CANNOT}\b.{{0,60}}?\b{_DO}\b|\W*as an? (?:ai|artificial intelligence|large language model)\b"
    r"|\W*i (?:must|have to) (?:decline|refuse)\b",
    re.IGNORECASE,
)
_WRAP = " \t\r*_`\"'\u201c\u201d\u2018\u2019"
# What follows a choice that is being explained, rather than continued or set beside another.
_EXPLAINED = re.compile(
    r"[*_`\"'\u201d\u2019]*\s*(?:$|[)\]}.:;(\[\u2013\u2014]|-\s|,?\s*(?:because|since|as|due|given)\b)", re.IGNORECASE
)
_OTHERWISE = re.compile(r"\W*(?:or|and)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:not|no|never|neither|nor|cannot|without)\b|n['\u2019]t\b", re.IGNORECASE)
_CURRENCY = re.compile(r"[$€£]\s?")
_ASIDE = re.compile(r"\s*\([^()]*\)\s*[.!]?\s*$")
# Not a part of a word, a fraction, a time, a longer number or an exponent. The group takes all digits or none.
_NUMBER = re.compile(
    r"(?<![\w.,/:^])(?:(?<!\))-)?((?>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?>(?:\.[0-9]+)?))(?![0-9/:^]|[eE][0-9+-])"
)


def is_refusal(text: str) -> bool:
    """Tell whether a text begins as a model does that refuses to answer, such as ``I'm sorry, but I can't help``."""
    return _REFUSAL.match(text) is not None


def read_line(line: str, query: Query) -> str | None:
    """Read one slot's line: Markdown, quotes, a leading phrase and an explanation may surround the answer.

    Returns
    -------
    str or None
        The answer in the form that `normalize` gives; None if there is none or more than one could be meant.
    """
    plain = re.sub(r"[*`]{1,3}|__", "", line) if query.kind != "text" else line
    plain = plain.strip(_WRAP)
    direct = normalize(plain, query)
    if is_refusal(plain) and (query.kind == "text" or direct is None):
        return None
    if query.kind == "text":
        lead = re.match(r"(?:the )?(?:final )?answer\s*(?::|is:?)\s*", plain, re.IGNORECASE)
        return normalize(plain[lead.end() :].strip(_WRAP), query) if lead else direct
    if direct is not None:
        return direct
    return _number(plain, query) if query.kind == "number" else _choice(plain, query)


def _number(line: str, query: Query) -> str | None:
    """Take the line's last number; a remark in brackets at its end may hold others."""
    line = _CURRENCY.sub("", line.replace("\N{MINUS SIGN}", "-"))
    found = list(_NUMBER.finditer(_ASIDE.sub("", line))) or list(_NUMBER.finditer(line))
    if not found:
        return None
    last = found[-1]
    if re.search(r"[0-9]", line[last.end() :]) and not _ASIDE.search(line[last.end() :]):
        return None  # a fraction, a time or an exponent stands behind it
    return normalize(last[0], query)


def _choice(line: str, query: Query) -> str | None:
    """Take the choice that the line begins with, or the only one that it names."""
    lead = _LEAD.match(line)
    line = line[lead.end() if lead else 0 :].strip(_WRAP).lstrip("([{")
    longest_first = sorted(query.choices, key=len, reverse=True)
    words = re.compile("|".join(rf"(?<![\w-]){re.escape(c)}(?![\w-])" for c in longest_first), re.IGNORECASE)
    first = words.match(line)
    if first:
        rest = line[first.end() :]
        if _EXPLAINED.match(rest) and not _OTHERWISE.match(rest):
            return normalize(first[0], query)
    # One letter is a choice only by itself: "A dog" does not name A.
    named = {normalize(match[0], query) for match in words.finditer(line) if len(match[0]) > 1}
    single = any(len(match[0]) == 1 for match in words.finditer(line))
    if len(named) != 1 or single or _NEGATED.search(line):
        return None
    return named.pop()
