"""What an answer is recorded as: read by its queries, and charged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from robatch.proxies.engines.engine import ModelAnswer
from robatch.proxies.engines.token_count import least_tokens
from robatch.proxies.engines.usage import charge
from robatch.proxies.execution.calls import Event
from robatch.proxies.execution.dispatch import Ready
from robatch.proxies.execution.pool import PoolModel
from robatch.proxies.tasks.queries import Query
from robatch.proxies.tasks.reading import read_answer


def received(
    model: PoolModel, form: Literal["lines", "json"], batch: Sequence[Query], ready: Ready, answer: ModelAnswer
) -> Event:
    """Return the part of the event ``answered`` that the answer to a call with these queries makes."""
    given: Sequence[str | None] = [None] * len(batch)
    loose = False
    if answer.error is None:
        given, loose = read_answer(answer.text, batch, form, model.structured, answer.cut)
    allowed = ready.message.max_tokens
    least = (ready.least_in, least_tokens(answer.text)) if answer.error is None else (0, 0)
    tokens = charge(answer.usage, least=least, most=(ready.bound_in, allowed))
    replied = answer.model if answer.model != (model.model or model.name) else None
    return {
        "answers": list(given),
        **tokens._asdict(),
        "allowed": allowed,
        "finish_reason": answer.finish_reason,
        "error": answer.error,
        "why": answer.why_unread(allowed) if None in given else None,
        "loose": loose,
        "retries": answer.retries,
        "replied": replied if model.server is not None else None,
    }
