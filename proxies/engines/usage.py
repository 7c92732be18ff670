"""Token counts of a reply: whole numbers or missing, and what a call is charged by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_TOKENS = 100_000_000
"""A sane most of one call: ten times the largest context windows known. A greater count counts as missing."""

_CACHE = ("cache_creation_input_tokens", "cache_read_input_tokens")  # Anthropic's, beside its `input_tokens`
_DETAILS = (
    "cached_tokens", "prompt_cache_hit_tokens", "cache_write_tokens", "audio_tokens", "reasoning_tokens",
    "accepted_prediction_tokens", "rejected_prediction_tokens",
)  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """Tokens as a server counted them.

    Attributes
    ----------
    input_tokens, output_tokens, total_tokens
        None where the server does not say, or not possibly so.
    details
        Parts of these, as far as the server names them: ``cached_tokens``, DeepSeek's
        ``prompt_cache_hit_tokens``, ``cache_write_tokens``,
        ``reasoning_tokens``, and Anthropic's ``cache_creation_input_tokens`` and ``cache_read_input_tokens``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    details: Mapping[str, int] = field(default_factory=dict)


class Charge(NamedTuple):
    """Tokens that a call is charged, and whether the server counted them."""

    input_tokens: int
    output_tokens: int
    counted: bool


def read_usage(usage: object, least_input: int = 0) -> Usage:
    """Read a reply's usage, whatever it holds; an input of fewer tokens than `least_input` counts as missing.

    The total counts too: hidden thoughts stand only there with some providers, so the output is the greater of the
    count given and what the input leaves of the total. Thoughts that are more than the output stand beside it.
    """
    if not isinstance(usage, Mapping):
        return Usage()
    details, total = _details(usage), whole(usage.get("total_tokens"))
    tokens_out = whole(usage.get("completion_tokens"))
    tokens_out = whole(usage.get("output_tokens")) if tokens_out is None else tokens_out
    tokens_in = whole(usage.get("prompt_tokens"))
    cached = sum(details.get(name, 0) for name in _CACHE)
    if tokens_in is None or tokens_in < cached:  # `input_tokens` leaves out what a cache took or gave
        beside = tokens_in if tokens_in is not None else whole(usage.get("input_tokens"))
        tokens_in = None if beside is None else beside + cached
    if tokens_in is None and total is not None and tokens_out is not None and total >= tokens_out:
        tokens_in = total - tokens_out
    if tokens_in is not None and tokens_in < least_input:
        tokens_in = None
    elif tokens_in is not None and total is not None and total >= tokens_in:
        tokens_out = max(tokens_out or 0, total - tokens_in)
    if tokens_out is not None and tokens_out < (thoughts := details.get("reasoning_tokens", 0)):
        tokens_out += thoughts  # which stand beside the output, as they cannot be a part of it
    return Usage(tokens_in, tokens_out, total, details)


def charge(counted: Usage, *, least: tuple[int, int], most: tuple[int, int]) -> Charge:
    """Return what a call is charged: the server's counts where they are possible, else what it cannot exceed.

    Parameters
    ----------
    counted
        The server's counts.
    least
        Input and output tokens below which a count is impossible, by our own count of the texts.
    most
        Input and output tokens charged where there is no count, or an impossible one.
    """
    tokens_in, tokens_out, is_counted = counted.input_tokens, counted.output_tokens, True
    if tokens_in is None or tokens_in < least[0]:
        tokens_in, is_counted = max(most[0], least[0]), False
        if tokens_out is not None and counted.total_tokens is not None:
            tokens_out = max(tokens_out, counted.total_tokens - tokens_in)
    if tokens_out is None or tokens_out < least[1]:
        tokens_out, is_counted = max(most[1], least[1]), False
    return Charge(tokens_in, tokens_out, is_counted)


def whole(value: object) -> int | None:
    """Return a whole number from 0 to `MOST_TOKENS`; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


def _details(usage: Mapping[str, object]) -> dict[str, int]:
    places = [value for key, value in usage.items() if key.endswith("_details") and isinstance(value, Mapping)]
    found: dict[str, int] = {}
    for place in (usage, *places):
        for name in (*_DETAILS, *_CACHE):
            if (count := whole(place.get(name))) is not None:
                found[name] = max(count, found.get(name, 0))
    return found
