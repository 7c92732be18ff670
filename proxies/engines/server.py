"""The server engine: any OpenAI-compatible server, such as ``vllm serve`` gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from robatch.instances.errors import InputError, require
from robatch.proxies.engines.adapting import Request, Requests
from robatch.proxies.engines.client import key_of, new_client, post
from robatch.proxies.engines.engine import (
    CONTENT_ERROR,
    CONTEXT_ERROR,
    OUTPUT_ERROR,
    EngineFailure,
    ModelAnswer,
    ModelCall,
    calls_failed,
)
from robatch.proxies.engines.reply import Reply, read_reply
from robatch.proxies.engines.request_settings import RequestSettings
from robatch.proxies.engines.served import served_model, vllm_version
from robatch.proxies.engines.server_failures import Failure, ServerFailures
from robatch.proxies.engines.token_count import least_tokens
from robatch.proxies.engines.waits import MAX_WAIT, Wait, wait_before

Arrived = tuple[int, ModelAnswer] | None
"""A call's index and its answer; None at the end."""

_WAKE = 0.1  # seconds
ADDRESSES = {True: "/chat/completions", False: "/completions"}
"""Where a chat model is asked, and where another one."""
_IN_A_ROW = 3  # calls of a run that fail one after the other, and at least as many as are in flight: it is given up


def _taken(arrived: SimpleQueue[Arrived]) -> Arrived:
    """Wait for an answer, and wake up now and then: where polars is loaded, Ctrl-C alone ends no wait of a thread."""
    while True:
        with suppress(Empty):
            return arrived.get(timeout=_WAKE)


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
        How often a call is sent again after a timeout, a lost connection, a reply without a completion, or one of the
        statuses 408, 409, 425, 429 and 5xx. The waits grow from half a second to 8, with some chance in them; a server
        that names a time (``Retry-After``, in seconds or as a date) is obeyed.
    retry_billed
        Whether tries that may be billed (a timeout, a connection that is lost after it was made, a reply without a
        completion, 408, 5xx) are repeated too. With False such a try is the call's answer, so that whoever holds the
        budget counts it.
    template_arguments
        Sent with every chat call as ``chat_template_kwargs``, which vLLM gives to the chat template, such as
        ``{"enable_thinking": False}``.
    max_wait
        The most seconds of a single wait.
    on_wait
        Called with every wait, in the thread of the connections.
    request
        What requests look like beside the prompt; changed by what the server refuses.

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
        max_wait: float = MAX_WAIT,
        on_wait: Callable[[Wait], None] | None = None,
        request: RequestSettings | None = None,
    ) -> None:
        self._openai = require("openai", "server", "Calling a model behind a server")
        if "@" in urlsplit(server).netloc:
            raise InputError(f"server holds a user name or password: a key belongs in the variable {api_key_env}")
        self._server, self._model, self._chat = server, model, chat
        self._concurrency, self._timeout, self._retries = concurrency, timeout, retries
        self._retry_billed = retry_billed
        self._template = {"chat_template_kwargs": dict(template_arguments)} if template_arguments and chat else {}
        self._requests = Requests(request or RequestSettings(), seed, self._template)
        self._key = key_of(api_key_env)
        self._failures = ServerFailures(self._openai, model, timeout, api_key_env, self._key)
        self._max_wait, self._on_wait = max_wait, on_wait

    @property
    def concurrency(self) -> int:
        """Calls in flight, at most."""
        return self._concurrency

    @property
    def chunk(self) -> int:
        """Many rounds of concurrent calls."""
        return 16 * self._concurrency

    def run(self, calls: Sequence[ModelCall]) -> Iterator[tuple[int, ModelAnswer]]:
        """Answer the calls, at most `concurrency` at a time, and yield each answer as it arrives.

        A call that fails is answered with its error; the others go on. A failure that every call would share, or more
        calls failing in a row than are in flight, begins no further call, lets those in flight end, yields what they
        gave and then raises. Closing the iterator, or interrupting it, gives up the calls in flight and ends the
        background thread.

        Yields
        ------
        tuple of int and ModelAnswer
            The call's index and its answer.

        Raises
        ------
        EngineFailure
            If the server cannot be reached, refuses the key, does not know the model, or fails call after call.
        """
        from anyio.from_thread import start_blocking_portal  # what the openai client itself stands on

        arrived: SimpleQueue[Arrived] = SimpleQueue()
        with start_blocking_portal() as portal:
            free_slots, loop = asyncio.Semaphore(self._concurrency), portal.call(asyncio.get_running_loop)
            ended = portal.start_task_soon(self._answer_all, calls, free_slots, arrived)
            while (answer := _taken(arrived)) is not None:
                yield answer
                # only now, so that no more than `concurrency` answers can be lost
                loop.call_soon_threadsafe(free_slots.release)
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
            "request": self._requests.settings.to_dict(),
            "refused": dict(self._requests.refused),
            "concurrency": self._concurrency,
            "seconds": "latency",
        }

    def requests(self) -> dict[str, Any]:
        """Tell the ``request`` settings in force, those ``learned``, and the server's words by ``refused`` field."""
        made = self._requests
        return {"request": made.settings.to_dict(), "learned": made.learned, "refused": dict(made.refused)}

    def close(self) -> None:
        """Do nothing: each run closes its own connections."""

    async def _answer_all(
        self,
        calls: Sequence[ModelCall],
        free_slots: asyncio.Semaphore,
        arrived: SimpleQueue[Arrived],
    ) -> EngineFailure | None:
        """Answer the calls into the queue, None at its end; give the first failure and all calls perhaps billed."""
        failures: list[EngineFailure] = []
        in_a_row = 0

        async def answer(client: Any, index: int) -> None:
            nonlocal in_a_row
            try:
                made = await self._call(client, calls[index], index)
            except EngineFailure as error:
                failures.append(error)
                free_slots.release()
                return
            in_a_row = 0 if made.fault is None else in_a_row + 1
            if in_a_row == max(self._concurrency, _IN_A_ROW) and in_a_row < len(calls):
                failures.append(calls_failed(in_a_row, made))
            arrived.put((index, made))

        try:
            client = new_client(self._openai, self._server, self._key, self._timeout)
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
        unknown = frozenset[int]().union(*(failure.unknown for failure in failures))
        first = failures[0]
        return EngineFailure(str(first), unknown, all(failure.passes for failure in failures), first.in_a_row)

    async def _call(self, client: Any, call: ModelCall, index: int) -> ModelAnswer:
        """Send a call, again after failures that pass; those of its own are its answer."""
        start, retries, spent, unknown = perf_counter(), 0, (0, 0), False
        while True:
            request = self._requests.of(call)
            if self._requests.too_much(call):
                tokens = None if unknown else 0
                return ModelAnswer("", tokens, tokens, 0.0, "error", OUTPUT_ERROR, retries, before=spent)
            reply, failure = await self._try(client, request)
            usage = reply.usage
            if failure is None:
                return reply.answer(call.max_tokens, perf_counter() - start, retries, spent)
            if failure.adapted:
                spent = spent[0] + (usage.input_tokens or 0), spent[1] + (usage.output_tokens or 0)
                continue
            billed = failure.billed and (usage.input_tokens is None or usage.output_tokens is None)
            if not failure.passes or retries == self._retries or (failure.billed and not self._retry_billed):
                return self._failed(failure, reply, index, retries, spent, billed or unknown)
            unknown = unknown or billed
            spent = spent[0] + (usage.input_tokens or 0), spent[1] + (usage.output_tokens or 0)
            wait = wait_before(failure.asked, retries, self._max_wait)
            if self._on_wait is not None:
                self._on_wait(wait)
            retries += 1
            await asyncio.sleep(wait.seconds)

    async def _try(self, client: Any, request: Request) -> tuple[Reply, Failure | None]:
        """Send a call once: what the server replied, and what that means where it holds no answer."""
        try:
            response = await self._send(client, request)
        except self._openai.APIStatusError as error:
            reply = read_reply(error.response.content, error.response.headers.get("content-type", ""))
            failure = self._failures.of_status(error, reply)
            return reply, self._adapted(failure, request, error.status_code, self._failures.words(error), error.body)
        except self._openai.OpenAIError as error:
            return Reply(None), self._failures.of_connection(error)
        except (ValueError, TypeError) as error:  # the request could not even be made: it costs nothing
            why = " ".join(str(error).split())[:300]
            return Reply(None), Failure(f"cannot be sent this call: {why}", "call")
        least = least_tokens(request.call.whole)
        reply = read_reply(response.content, response.headers.get("content-type", ""), least)
        failed = self._failures.of_reply(reply, response.headers)
        if failed is not None and reply.status is not None:  # an error object under status 200
            failed = self._adapted(failed, request, reply.status, reply.said or "", None)
        return reply, failed

    def _failed(
        self, failure: Failure, reply: Reply, index: int, retries: int, spent: tuple[int, int], unknown: bool
    ) -> ModelAnswer:
        """Make a failure the call's answer, or raise it where every call would share it."""
        why = failure.why if failure.nature == "settled" else f"the server {self._server} {failure.why}"
        why += f", in {retries + 1} tries" if retries else ""
        if failure.nature == "server":
            goes_on = "; a rerun continues where this run ended" if failure.passes else ""
            raise EngineFailure(why + goes_on, frozenset({index} if unknown else ()), failure.passes)
        usage = reply.usage
        tokens_in, tokens_out = (None if unknown else count or 0 for count in (usage.input_tokens, usage.output_tokens))
        return ModelAnswer(
            "", tokens_in, tokens_out, 0.0, "error", why, retries, failure.fault, usage.details, reply.model, spent,
            refused=failure.status is not None and failure.status != 408,
        )  # fmt: skip

    def _adapted(self, failure: Failure, request: Request, status: int, said: str, body: object) -> Failure:
        """Say whether a refused call is worth sending again in another form, or known to ask for too much output."""
        if failure.why in (CONTEXT_ERROR, CONTENT_ERROR):
            return failure
        again = self._requests.adapts(request, status, said, body)
        return replace(failure, adapted=again or self._requests.too_much(request.call))

    async def _send(self, client: Any, request: Request) -> Any:
        return await post(self._openai, client, ADDRESSES[self._chat], request.body(self._model, self._chat))
