"""What the failures of an OpenAI-compatible server mean: whether they pass, may be billed, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from robatch.proxies.engines.engine import CONTENT_ERROR, CONTEXT_ERROR, CUT_ERROR, OUTPUT_ERROR, Fault
from robatch.proxies.engines.refusals import own_words, wants_more_output
from robatch.proxies.engines.reply import Reply
from robatch.proxies.engines.waits import asked_wait

_TOO_LONG = (
    "context length",
    "context_length",
    "context window",
    "maximum context",
    "maximum model length",
    "max_model_len",
    "context size",
    "maximum prompt length",
    "input token count",
    "range of input length",
    "too long",
)
_FILTERED = (
    "content_filter",
    "content filter",
    "content_policy",
    "content policy",
    "content management policy",
    "responsibleaipolicy",
    "usage policy",
    "usage policies",
    "safety system",
    "moderation",
)
_OUTPUT_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maximum tokens", "completion tokens")
_TOO_MUCH = ("too large", "at most", "less than", "maximum", "exceed", "range", "limit", "greater than")
_TOO_BIG = ("request too large", "payload too large", "request entity too large", "tokens must be reduced")
_NO_MONEY = (
    "insufficient_quota",
    "insufficient quota",
    "insufficient balance",
    "insufficient credits",
    "out of credits",
    "credit balance is too low",
)
_ECHOED = re.compile(r'"(?:input|prompt|content)"\s*:\s*"(?:[^"\\]|\\.)*"')  # what was sent, which may say anything
_SERVER_STATUSES = (405, 407, 410)  # of a server that refuses every call
_PASSING_STATUSES = (408, 409, 425, 429)  # and 5xx
_MAY_BE_BILLED = (408,)  # of those below 500
# Of httpx or httpx2, as the client's version has it.
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "TooManyRedirects", "UnsupportedProtocol")
_MOST_BYTES = 100_000  # of a reply, in which known words are looked for

Nature = Literal["settled", "call", "passing", "server"]


@dataclass(frozen=True)
class Failure:
    """Why one try of a call gave no answer.

    Attributes
    ----------
    why
        In words, without the server's address.
    nature
        ``"settled"``: surely the call's own. ``"call"``: refused, and any other call might be. ``"passing"``: may pass.
        ``"server"``: every other call would fail too.
    passes
        Whether to send the call again.
    billed
        Whether the try may be billed though no tokens were counted.
    asked
        Seconds that the server asks to wait; None where it asks for none.
    status
        By which a server said that it failed.
    adapted
        Whether the call is worth sending at once in another form, as a refusal named a field that it can go without.
    """

    why: str
    nature: Nature
    passes: bool = False
    billed: bool = False
    asked: float | None = None
    status: int | None = None
    adapted: bool = False

    @property
    def fault(self) -> Fault | None:
        """As an answer has it."""
        return self.nature if self.nature in ("call", "passing") else None


class ServerFailures:
    """Reads the errors of the ``openai`` client (the module `api`) for one model of a `ServerEngine`; hides its key."""

    def __init__(self, api: Any, model: str, timeout: float, key_env: str, key: str) -> None:
        self._api, self._model, self._timeout, self._key_env, self._key = api, model, timeout, key_env, key

    def of_status(self, error: Any, reply: Reply) -> Failure:
        """Return what a reply means whose status is an error of the client's."""
        said = reply.said if reply.text is None else None
        whole = error.response.content[:_MOST_BYTES].decode("utf-8", "replace").lower()
        return self._of_status(error.status_code, said, _ECHOED.sub("", whole), error.response.headers)

    def of_result(self, status: int, reply: Reply, record: str) -> Failure:
        """Return what a status means that stands in a batch's results, with the whole result as JSON."""
        said = reply.said if reply.text is None else None
        return self._of_status(status, said, _ECHOED.sub("", record[:_MOST_BYTES].lower()), {})

    def of_connection(self, error: Exception) -> Failure:
        """Return what an error of the client's means that came without a reply."""
        sent = type(error.__cause__).__name__ not in _NOT_SENT
        if isinstance(error, self._api.APITimeoutError):
            return Failure(f"gave no answer within {self._timeout:g} s", "passing", True, sent)
        if isinstance(error, self._api.APIConnectionError):
            if sent:
                return Failure("broke the connection", "passing", True, True)
            return Failure("cannot be reached", "server", True)
        return Failure(f"failed: {self._hidden(str(error))}", "passing", True, True)

    def of_reply(self, reply: Reply, headers: Mapping[str, str]) -> Failure | None:
        """Return what a reply with status 200 means that holds no answer; None for one that does."""
        if reply.text is not None and (reply.text.strip() or reply.status is None):
            return None
        said = reply.said or "no completion"
        if reply.status is not None:
            return self._of_status(reply.status, said, said.lower(), headers)
        if any(words in said.lower() for words in _FILTERED):
            return Failure(CONTENT_ERROR, "settled", billed=True)
        return Failure(
            f"answered without a completion: {self._hidden(said)}", "passing", True, True, asked_wait(headers)
        )

    def _of_status(self, status: int, said: str | None, whole: str, headers: Mapping[str, str]) -> Failure:
        words, asked = "" if said is None else f": {self._hidden(said)}", asked_wait(headers, whole)
        no_money = any(word in whole for word in _NO_MONEY) or ("billing" in whole and asked is None)
        if status == 402 or (400 <= status < 500 and no_money):
            return Failure(f"refused with status {status}{words}", "server")
        if status == 413 or (400 <= status < 500 and any(word in whole for word in _TOO_BIG)):
            return Failure(f"refused the call as too large, with status {status}{words}", "settled")
        if 400 <= status < 500 and status not in _PASSING_STATUSES and (own := _own(whole)):
            return Failure(own, "settled")
        if status in (401, 403):
            why = "refused the API key" if status == 401 else f"refused with status 403{words}"  # 401's may repeat it
            return Failure(f"{why}; the key is taken from the environment variable {self._key_env}", "server")
        if status == 404:
            return Failure(f"does not know the model {self._model!r} or the address{words}", "server")
        if status in _SERVER_STATUSES:
            return Failure(f"refused with status {status}{words}", "server")
        if status in _PASSING_STATUSES or status >= 500:
            billed = status in _MAY_BE_BILLED or status >= 500
            asks = "" if asked is None else f", and asks to be called again after {asked:.3g} s"
            return Failure(f"failed with status {status}{words}{asks}", "passing", True, billed, asked, status)
        if 400 <= status < 500:
            return Failure(f"refused the call with status {status}{words}", "call")
        return Failure(f"leads elsewhere, with status {status}{words}", "server")

    def words(self, error: Exception) -> str:
        """Return the server's own words of a refusal, without the key."""
        return self._hidden(own_words(str(error), getattr(error, "body", None)))

    def _hidden(self, said: str) -> str:
        return " ".join((said.replace(self._key, "***") if self._key else said).split())[:300]


def _own(said: str) -> str | None:
    """Return the error of a call that is itself too long, refused by a filter, or asks for too much output."""
    for error, known in ((CONTEXT_ERROR, _TOO_LONG), (CONTENT_ERROR, _FILTERED)):
        if any(words in said for words in known):
            return error
    if wants_more_output(said):
        return CUT_ERROR
    about_output = any(name in said for name in _OUTPUT_NAMES) and any(words in said for words in _TOO_MUCH)
    return OUTPUT_ERROR if about_output else None
