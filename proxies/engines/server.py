"""The server engine: any OpenAI-compatible server, such as ``vllm serve`` gives."""

from __future__ import annotations

import asyncio
import json
import os
import random
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from queue import SimpleQueue
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from robatch.instances.errors import InputError, require
from robatch.proxies.engines.engine import CONTENT_ERROR, CONTEXT_ERROR, EngineFailure, ModelAnswer, ModelCall

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
_SERVED_FIELDS = ("id", "owned_by", "root", "parent", "max_model_len")  # of a model, by a server's list of models
_CALL_ERROR_STATUSES = (400, 413, 422)  # statuses of a call that is itself at fault
_TRANSIENT_STATUSES = (408, 409, 429)  # and 5xx
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # of httpx or httpx2, as the client's version has it
_FIRST_WAIT, _MAX_WAIT, _MAX_ASKED_WAIT = 0.5, 8.0, 60.0  # seconds between tries


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
        Calls at a time that are in flight, or answered and not taken yet.
    timeout
        Seconds until one try is given up.
    api_key_env
        The environment variable that holds the API key; where it is unset, a local server is assumed to need none.
    seed
        Sent with every call.
    retries
        How often a call is sent again after a timeout, a lost connection or one of the statuses 408, 409, 429 and 5xx.
        The waits grow from half a second to 8, with some chance in them; a server that names a time of at most a
        minute (``Retry-After``) is obeyed.
    retry_billed
        Whether tries that may be billed (a timeout, a connection that is lost after it was made, 408, 5xx) are
        repeated too. With False such a try ends the run, so that whoever holds the budget counts it.
    template_arguments
        Sent with every chat call as ``chat_template_kwargs``, which vLLM gives to the chat template, such as
        ``{"enable_thinking": False}``.

    Raises
    ------
    InputError
        If `server` holds a password or the environment variable something that cannot be an API key.
    MissingExtraError
        If the ``openai`` client is not installed.
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
        retries: int = 4,
        retry_billed: bool = True,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self._openai = require("openai", "server", "Calling a model behind a server")
        if "@" in urlsplit(server).netloc:
            raise InputError(f"server holds a user name or password: a key belongs in the variable {api_key_env}")
        self._server, self._model, self._chat, self._seed = server, model, chat, seed
        self._concurrency, self._timeout, self._key_env, self._retries = concurrency, timeout, api_key_env, retries
        self._retry_billed = retry_billed
        self._template = {"chat_template_kwargs": dict(template_arguments)} if template_arguments and chat else {}
        self._key = os.environ.get(api_key_env, "").strip()
        if not self._key.isascii() or not self._key.isprintable():
            raise InputError(f"the environment variable {api_key_env} holds no API key: printable ASCII is needed")

    @property
    def chunk(self) -> int:
        """Many rounds of concurrent calls."""
        return 16 * self._concurrency

    def run(self, calls: Sequence[ModelCall]) -> Iterator[tuple[int, ModelAnswer]]:
        """Answer the calls, at most `concurrency` at a time, and yield each answer as it arrives.

        A call that exceeds the context window, or whose content the provider refuses, is answered with that error.
        Any other failure that outlasts the retries begins no further call, lets those in flight end, yields what they
        gave and then raises. Closing the iterator, or interrupting it, gives up the calls in flight and ends the
        background thread.

        Yields
        ------
        tuple of int and ModelAnswer
            The call's index and its answer.

        Raises
        ------
        EngineFailure
            If the server cannot be reached, refuses the key, does not know the model or fails.
        """
        from anyio.from_thread import start_blocking_portal  # what the openai client itself stands on

        arrived: SimpleQueue[tuple[int, ModelAnswer] | None] = SimpleQueue()
        with start_blocking_portal() as portal:
            room = asyncio.Semaphore(self._concurrency)
            ended = portal.start_task_soon(self._answer_all, calls, room, arrived)
            while (answer := arrived.get()) is not None:
                yield answer
                portal.call(room.release)  # only now, so that no more than `concurrency` answers can be lost
            failure = ended.result()
        if failure is not None:
            raise failure

    def describe(self) -> dict[str, Any]:
        """Tell what is known of the server; its device, dtype and prefix caching are its own affair.

        ``served`` is what its list of models tells about this one, such as its origin (``root``; of a folder the name)
        and ``max_model_len``; None where it has no such list.
        """
        return {
            "engine": "openai-compatible server",
            "server": self._server,
            "model": self._model,
            "vllm": self._version(),
            "served": self._served(),
            "device": None,
            "dtype": None,
            "prefix_caching": None,
            "engine_arguments": self._template,
            "concurrency": self._concurrency,
            "seconds": "latency",
        }

    def close(self) -> None:
        """Do nothing: each run closes its own connections."""

    async def _answer_all(
        self,
        calls: Sequence[ModelCall],
        room: asyncio.Semaphore,
        arrived: SimpleQueue[tuple[int, ModelAnswer] | None],
    ) -> EngineFailure | None:
        """Answer the calls into the queue, None at its end; give the first failure and all calls perhaps billed."""
        failures: list[EngineFailure] = []

        async def answer(client: Any, index: int) -> None:
            try:
                arrived.put((index, await self._call(client, calls[index], index)))
            except EngineFailure as error:
                failures.append(error)
                room.release()

        try:
            client = self._openai.AsyncOpenAI(
                base_url=self._server,
                api_key=self._key or "unset",
                timeout=self._timeout,
                max_retries=0,
            )
            async with client, asyncio.TaskGroup() as group:
                for index in range(len(calls)):
                    await room.acquire()
                    if failures:
                        break
                    group.create_task(answer(client, index))
        finally:
            arrived.put(None)
        if not failures:
            return None
        return EngineFailure(str(failures[0]), frozenset().union(*(failure.unknown for failure in failures)))

    async def _call(self, client: Any, call: ModelCall, index: int) -> ModelAnswer:
        """Send a call, again after failures that pass; those of its own are its answer."""
        start, retries = perf_counter(), 0
        while True:
            try:
                try:
                    raw = await self._send(client, call)
                except (ValueError, TypeError) as error:  # the request could not even be made: it costs nothing
                    why = " ".join(str(error).split())[:300]
                    raise EngineFailure(f"a call cannot be sent to the server {self._server}: {why}") from None
                return self._read(raw.parse(), perf_counter() - start, retries)
            except self._openai.OpenAIError as error:
                passes, billed = self._nature(error)
                if not passes or retries == self._retries or (billed and not self._retry_billed):
                    return self._failure(error, retries + 1, frozenset({index} if billed else ()))
                wait = _wait(error, retries)
            except EngineFailure:
                raise
            except (ValueError, TypeError, AttributeError, LookupError):
                raise EngineFailure(
                    f"the server {self._server} answered with something other than a completion with choices and "
                    "token counts: is it the address of an OpenAI-compatible server?",
                    frozenset({index}),
                ) from None
            retries += 1
            await asyncio.sleep(wait)

    async def _send(self, client: Any, call: ModelCall) -> Any:
        common: dict[str, Any] = {
            "model": self._model,
            "temperature": 0.0,
            "max_tokens": call.max_tokens,
            "seed": self._seed,
            "extra_body": _structured(call) | self._template,
        }
        if call.stop:
            common["stop"] = list(call.stop)
        if self._chat:
            messages = [{"role": "user", "content": call.prompt}]
            return await client.chat.completions.with_raw_response.create(messages=messages, **common)
        return await client.completions.with_raw_response.create(prompt=call.prompt, **common)

    def _nature(self, error: Exception) -> tuple[bool, bool]:
        """Tell whether a failure may pass, and whether the try may be billed all the same."""
        if isinstance(error, self._openai.APIStatusError):
            status = error.status_code
            return status in _TRANSIENT_STATUSES or status >= 500, status == 408 or not 400 <= status < 500
        if isinstance(error, self._openai.APIConnectionError):
            return True, type(error.__cause__).__name__ not in _NOT_SENT
        return False, True

    def _read(self, reply: Any, seconds: float, retries: int) -> ModelAnswer:
        choice, usage = reply.choices[0], reply.usage
        text = (choice.message.content if self._chat else choice.text) or ""
        tokens = int(usage.prompt_tokens), int(usage.completion_tokens)
        return ModelAnswer(text, *tokens, seconds, str(choice.finish_reason), retries=retries)

    def _failure(self, error: Exception, tries: int, unknown: frozenset[int]) -> ModelAnswer:
        """Record a call that is too long or refused; anything else ends the run, which can be continued."""
        api = self._openai
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

    def _version(self) -> str | None:
        """Ask a vLLM server for its version; others do not know the question."""
        version = self._asked(self._server.rstrip("/").removesuffix("/v1") + "/version").get("version")
        return str(version) if version else None

    def _served(self) -> dict[str, Any] | None:
        """Ask for what the server tells about the model, apart from what changes at every start."""
        models = self._asked(f"{self._server.rstrip('/')}/models").get("data")
        for told in models if isinstance(models, list) else ():
            if isinstance(told, dict) and told.get("id") == self._model:
                served = {name: told[name] for name in _SERVED_FIELDS if isinstance(told.get(name), str | int)}
                if str(served.get("root", "")).startswith("/"):
                    served["root"] = str(served["root"]).rstrip("/").rpartition("/")[2]
                return served
        return None

    def _asked(self, address: str) -> dict[str, Any]:
        """Ask a server for a JSON object; an empty one where it has no such answer."""
        request = urllib.request.Request(address)
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                found = json.loads(reply.read(1_000_000))
        except (OSError, ValueError, RecursionError, HTTPException):
            return {}
        return found if isinstance(found, dict) else {}


def _wait(error: Exception, retries: int) -> float:
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


def _structured(call: ModelCall) -> dict[str, Any]:
    """Give vLLM's request field for structured output."""
    if call.regex is not None:
        return {"structured_outputs": {"regex": call.regex}}
    if call.schema is not None:
        return {"structured_outputs": {"json": dict(call.schema)}}
    return {}
