"""The server engine: any OpenAI-compatible server, such as ``vllm serve`` gives."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from robatch.instances.errors import InputError, require
from robatch.proxies.engines import CONTEXT_ERROR, ModelAnswer, ModelCall

_TOO_LONG = (
    "context length",
    "context_length",
    "context window",
    "maximum model length",
    "max_model_len",
    "too long",
)


class ServerEngine:
    """A model behind an OpenAI-compatible server.

    Parameters
    ----------
    server
        Base URL, such as ``http://127.0.0.1:8000/v1``.
    model
        The model's name there.
    chat
        Whether to use chat completions; otherwise plain completions.
    concurrency
        Calls in flight at a time.
    timeout
        Seconds until one try is given up; the client itself tries three times more.
    api_key_env
        The environment variable that holds the API key; where it is unset, a local server is assumed to need none.
    seed
        Sent with every call.
    """

    def __init__(
        self,
        server: str,
        model: str,
        chat: bool = True,
        concurrency: int = 8,
        timeout: float = 120.0,
        api_key_env: str = "OPENAI_API_KEY",
        seed: int = 0,
    ) -> None:
        self._openai = require("openai", "server", "Profiling a model behind a server")
        self._server, self._model, self._chat, self._seed = server, model, chat, seed
        self._concurrency, self._timeout, self._key_env = concurrency, timeout, api_key_env
        key = os.environ.get(api_key_env) or "unset"
        self._client = self._openai.OpenAI(base_url=server, api_key=key, timeout=timeout, max_retries=3)
        self._pool = ThreadPoolExecutor(concurrency)

    @property
    def chunk(self) -> int:
        """A few rounds of concurrent calls."""
        return 4 * self._concurrency

    def run(self, calls: Sequence[ModelCall]) -> list[ModelAnswer]:
        """Answer the calls, in their order, at most `concurrency` at a time."""
        return list(self._pool.map(self._call, calls))

    def describe(self) -> dict[str, Any]:
        """Tell what is known of the server; its device, dtype and prefix caching are its own affair."""
        return {
            "engine": "openai-compatible server",
            "server": self._server,
            "model": self._model,
            "vllm": self._version(),
            "device": None,
            "dtype": None,
            "prefix_caching": None,
            "engine_arguments": {},
            "concurrency": self._concurrency,
            "seconds": "latency",
        }

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _call(self, call: ModelCall) -> ModelAnswer:
        extra = {"structured_outputs": {"regex": call.regex}} if call.regex else None
        common: dict[str, Any] = {
            "model": self._model,
            "temperature": 0.0,
            "max_tokens": call.max_tokens,
            "seed": self._seed,
            "extra_body": extra,
        }
        if call.stop:
            common["stop"] = list(call.stop)
        start = perf_counter()
        try:
            if self._chat:
                messages = [{"role": "user", "content": call.prompt}]
                reply = self._client.chat.completions.create(messages=messages, **common)
            else:
                reply = self._client.completions.create(prompt=call.prompt, **common)
        except self._openai.OpenAIError as error:
            return self._failure(error)
        seconds = perf_counter() - start
        if not reply.choices or reply.usage is None:
            raise InputError(f"the server {self._server} answered without choices or token counts")
        choice, usage = reply.choices[0], reply.usage
        text = (choice.message.content if self._chat else choice.text) or ""
        return ModelAnswer(text, usage.prompt_tokens, usage.completion_tokens, seconds, str(choice.finish_reason))

    def _failure(self, error: Exception) -> ModelAnswer:
        """Record a call that is too long; anything else ends the run, which can be continued."""
        api = self._openai
        said = str(error)
        if isinstance(error, api.BadRequestError) and any(words in said.lower() for words in _TOO_LONG):
            return ModelAnswer("", 0, 0, 0.0, "error", CONTEXT_ERROR)
        if isinstance(error, (api.AuthenticationError, api.PermissionDeniedError)):
            # The server's own words may repeat a part of the key.
            raise InputError(
                f"the server {self._server} refused the API key; "
                f"it is taken from the environment variable {self._key_env}"
            ) from None
        if isinstance(error, api.APITimeoutError):
            what = f"gave no answer within {self._timeout:g} s, four times"
        elif isinstance(error, api.APIConnectionError):
            what = "cannot be reached"
        elif isinstance(error, api.NotFoundError):
            what = f"does not know the model {self._model!r} or the address"
        else:
            key = os.environ.get(self._key_env)
            said = " ".join((said.replace(key, "***") if key else said).split())
            what = f"failed: {said[:300]}"
        raise InputError(f"the server {self._server} {what}; a rerun continues where this run ended") from None

    def _version(self) -> str | None:
        """Ask a vLLM server for its version; others do not know the question."""
        root = self._server.removesuffix("/v1")
        try:
            with urllib.request.urlopen(f"{root}/version", timeout=5) as reply:
                version = json.loads(reply.read(10_000)).get("version")
        except (OSError, ValueError, AttributeError):
            return None
        return str(version) if version else None
