"""What the failures of an OpenAI-compatible server mean: whether they pass, may be billed, or are a call's own."""

from __future__ import annotations

import random
from typing import Any

from robatch.proxies.engines.engine import CONTENT_ERROR, CONTEXT_ERROR, EngineFailure, ModelAnswer

_TOO_LONG = (
    "context length",
    "context_length",
    "context window",
    "maximum context",
    "maximum model length",
    "max_model_len",
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
_CALL_ERROR_STATUSES = (400, 413, 422)  # statuses of a call that is itself at fault
_TRANSIENT_STATUSES = (408, 409, 429)  # and 5xx
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # of httpx or httpx2, as the client's version has it
_FIRST_WAIT, _MAX_WAIT, _MAX_ASKED_WAIT = 0.5, 8.0, 60.0  # seconds between tries


class ServerFailures:
    """Reads the errors of the ``openai`` client (the module `api`) for one model of a `ServerEngine`; hides its key."""

    def __init__(self, api: Any, server: str, model: str, timeout: float, key_env: str, key: str) -> None:
        self._api, self._server, self._model, self._timeout = api, server, model, timeout
        self._key_env, self._key = key_env, key

    def nature(self, error: Exception) -> tuple[bool, bool]:
        """Tell whether a failure may pass, and whether the try may be billed all the same."""
        if isinstance(error, self._api.APIStatusError):
            status = error.status_code
            return status in _TRANSIENT_STATUSES or status >= 500, status == 408 or not 400 <= status < 500
        if isinstance(error, self._api.APIConnectionError):
            return True, type(error.__cause__).__name__ not in _NOT_SENT
        return False, True

    def answer(self, error: Exception, tries: int, unknown: frozenset[int]) -> ModelAnswer:
        """Record a call that is too long or refused; anything else ends the run, which can be continued."""
        api = self._api
        said = str(error)
        if isinstance(error, api.APIStatusError) and error.status_code in _CALL_ERROR_STATUSES:
            whole = f"{said} {error.code} {error.body}".lower()  # some servers tell by the code alone
            for reason, known in ((CONTEXT_ERROR, _TOO_LONG), (CONTENT_ERROR, _FILTERED)):
                if any(words in whole for words in known):
                    return ModelAnswer("", 0, 0, 0.0, "error", reason, tries - 1)
        in_tries = f"in {tries} tries" if tries > 1 else "in one try"
        if isinstance(error, (api.AuthenticationError, api.PermissionDeniedError)):
            # The server's own words may repeat a part of the key.
            raise EngineFailure(
                f"the server {self._server} refused the API key; "
                f"it is taken from the environment variable {self._key_env}",
                unknown,
            ) from None
        if isinstance(error, api.APITimeoutError):
            what = f"gave no answer within {self._timeout:g} s, {in_tries}"
        elif isinstance(error, api.APIConnectionError):
            what = f"cannot be reached, {in_tries}"
        elif isinstance(error, api.NotFoundError):
            what = f"does not know the model {self._model!r} or the address"
        else:
            said = " ".join((said.replace(self._key, "***") if self._key else said).split())
            what = f"failed: {said[:300]}"
        message = f"the server {self._server} {what}; a rerun continues where this run ended"
        raise EngineFailure(message, unknown) from None


def wait_before(error: Exception, retries: int) -> float:
    """Return seconds to wait before the next try: what the server asks for, else ever longer."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            asked = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 < asked <= _MAX_ASKED_WAIT:
            return asked
    return min(_MAX_WAIT, _FIRST_WAIT * 2.0**retries) * (1.0 - 0.25 * random.random())
