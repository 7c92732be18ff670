"""The server engine: any OpenAI-compatible server, such as ``vllm serve`` gives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from queue import SimpleQueue
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from robatch.instances.errors import InputError, require
from robatch.proxies.engines.engine import EngineFailure, ModelAnswer, ModelCall
from robatch.proxies.engines.served import served_model, vllm_version
from robatch.proxies.engines.server_failures import ServerFailures, wait_before


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

    def __init__(  # wide: one parameter for each choice of a pool file
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
        self._concurrency, self._timeout, self._retries = concurrency, timeout, retries
        self._retry_billed = retry_billed
        self._template = {"chat_template_kwargs": dict(template_arguments)} if template_arguments and chat else {}
        self._key = os.environ.get(api_key_env, "").strip()
        if not self._key.isascii() or not self._key.isprintable():
            raise InputError(f"the environment variable {api_key_env} holds no API key: printable ASCII is needed")
        self._failures = ServerFailures(self._openai, server, model, timeout, api_key_env, self._key)

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
            free_slots = asyncio.Semaphore(self._concurrency)
            ended = portal.start_task_soon(self._answer_all, calls, free_slots, arrived)
            while (answer := arrived.get()) is not None:
                yield answer
                portal.call(free_slots.release)  # only now, so that no more than `concurrency` answers can be lost
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
            "vllm": vllm_version(self._server, self._key),
            "served": served_model(self._server, self._key, self._model),
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
        free_slots: asyncio.Semaphore,
        arrived: SimpleQueue[tuple[int, ModelAnswer] | None],
    ) -> EngineFailure | None:
        """Answer the calls into the queue, None at its end; give the first failure and all calls perhaps billed."""
        failures: list[EngineFailure] = []

        async def answer(client: Any, index: int) -> None:
            try:
                arrived.put((index, await self._call(client, calls[index], index)))
            except EngineFailure as error:
                failures.append(error)
                free_slots.release()

        try:
            client = self._openai.AsyncOpenAI(
                base_url=self._server, api_key=self._key or "unset", timeout=self._timeout, max_retries=0
            )
            async with client, asyncio.TaskGroup() as group:
                for index in range(len(calls)):
                    await free_slots.acquire()
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
                passes, billed = self._failures.nature(error)
                if not passes or retries == self._retries or (billed and not self._retry_billed):
                    return self._failures.answer(error, retries + 1, frozenset({index} if billed else ()))
                wait = wait_before(error, retries)
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

    def _read(self, reply: Any, seconds: float, retries: int) -> ModelAnswer:
        choice, usage = reply.choices[0], reply.usage
        text = (choice.message.content if self._chat else choice.text) or ""
        tokens = int(usage.prompt_tokens), int(usage.completion_tokens)
        return ModelAnswer(text, *tokens, seconds, str(choice.finish_reason), retries=retries)


def _structured(call: ModelCall) -> dict[str, Any]:
    """Give vLLM's request field for structured output."""
    if call.regex is not None:
        return {"structured_outputs": {"regex": call.regex}}
    if call.schema is not None:
        return {"structured_outputs": {"json": dict(call.schema)}}
    return {}
