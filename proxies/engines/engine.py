"""Two engines with one interface: vLLM in this machine's memory, or an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from robatch.instances.errors import InputError
from robatch.proxies.engines.usage import Usage

CONTEXT_ERROR = "the prompt and its answer exceed the context window"
"""The error text of a call that does not fit."""
CUT_ERROR = "the output tokens allowed are too few for the provider to answer at all"
"""The error text of a call that is refused as its output limit is too low."""
CONTENT_ERROR = "the provider refused the prompt's content"
"""The error text of a call that a content filter refused."""
OUTPUT_ERROR = "the call asks for more output tokens than the provider allows"
"""The error text of a call whose batch is too large for the provider's limit on output."""

Fault = Literal["call", "passing"]
"""Whose a failure may be: a refused call's own, or one that passes; either may be the server's, as other calls tell."""


class EngineFailure(InputError):  # noqa: N818 (what a call's own errors are not)
    """A run of calls ended, and it is known of each call whether it may be billed.

    Attributes
    ----------
    unknown
        Indices of the calls that may be billed though no answer came. Every other call without an answer was not
        sent, or was refused before anything was generated.
    passes
        Whether the same run may go on later without any change.
    in_a_row
        How many calls failed one after the other, each answered with its error; 0 where any call would have failed.
    """

    def __init__(
        self, message: str, unknown: frozenset[int] = frozenset(), passes: bool = False, in_a_row: int = 0
    ) -> None:
        super().__init__(message)
        self.unknown, self.passes, self.in_a_row = unknown, passes, in_a_row


@dataclass(frozen=True)
class ModelCall:
    """One call to a model.

    Attributes
    ----------
    prompt
        The rendered prompt: a chat model's user message, or the text that a base model completes.
    max_tokens
        Output tokens allowed.
    regex, schema
        What structured output holds the answer to: a regular expression or a JSON schema, as
        `Template.structure` gives one of them; with neither, the output is free.
    stop
        Strings that end the output.
    system
        The system message of a chat model; what a base model completes begins with it.
    """

    prompt: str
    max_tokens: int
    regex: str | None = None
    schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = field(default=())
    system: str | None = None

    def __post_init__(self) -> None:
        if self.regex is not None and self.schema is not None:
            raise ValueError("a call is held to a regex or to a schema, not to both")

    @property
    def whole(self) -> str:
        """All that is sent, as one text: what a base model completes, and what tokens are counted of."""
        return whole_prompt(self.system, self.prompt)

    @property
    def messages(self) -> list[dict[str, str]]:
        """What is sent to a chat model."""
        begin = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*begin, {"role": "user", "content": self.prompt}]


def whole_prompt(system: str | None, prompt: str) -> str:
    """Return a system message and a prompt as one text."""
    return prompt if system is None else f"{system}\n\n{prompt}"


@dataclass(frozen=True)
class ModelAnswer:
    """What came back from one call.

    Attributes
    ----------
    text
        The model's output.
    input_tokens, output_tokens
        As the engine counted them; None where it gave no count that can be used. Without an answer: None where the
        call may be billed all the same, 0 where it is not.
    seconds
        Offline: the call's even share of the wall time of the calls that ran together with it (so throughput, not
        latency). Server: from sending the call to having its whole answer, waits between its tries included.
    finish_reason
        Why the output ended: ``"stop"`` naturally, ``"length"`` at its token limit, ``"content_filter"`` by a filter,
        or the engine's own word for something else; ``"error"`` where there was no answer.
    error
        None, or why there was no answer.
    retries
        How often the call was sent again before it was answered.
    refused
        Whether the server answered with an error before any output, as a status of 429 or 503 does.
    fault
        Of an error that may be the server's and not the call's: whether the call was refused or may pass. None where
        it is surely the call's own.
    details
        Parts of the tokens that the engine names, such as ``cached_tokens`` and ``reasoning_tokens``.
    model
        The name by which the model itself replied; None where it gave none.
    before
        Input and output tokens that the server counted for tries before this answer.
    total_tokens
        Input and output together, where the server counts them.
    """

    text: str
    input_tokens: int | None
    output_tokens: int | None
    seconds: float
    finish_reason: str
    error: str | None = None
    retries: int = 0
    fault: Fault | None = None
    details: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    before: tuple[int, int] = (0, 0)
    total_tokens: int | None = None
    refused: bool = False

    @property
    def usage(self) -> Usage:
        """The tokens, as counted."""
        return Usage(self.input_tokens, self.output_tokens, self.total_tokens, self.details)

    @property
    def cut(self) -> bool:
        """Whether the output did not end naturally, so that its last answer may not be whole."""
        return self.finish_reason != "stop"

    def why_unread(self, max_tokens: int) -> str:
        """Say why an answer could not be read, of a call that was allowed `max_tokens` output tokens."""
        if self.error is not None or not self.cut:
            return self.error or ("the answer could not be read" if self.text.strip() else "the answer holds no text")
        if self.finish_reason == "length":
            return f"the answer was cut off at its {max_tokens} output tokens"
        if self.finish_reason == "content_filter":
            return CONTENT_ERROR
        return f"the answer did not end but was cut off ({self.finish_reason})"


def requests_of(engine: Engine) -> dict[str, Any]:
    """Tell how an engine's model is asked now, as `ServerEngine.requests` does; nothing where no server may refuse."""
    tell = getattr(engine, "requests", None)
    return tell() if tell is not None else {}


def calls_failed(count: int, last: ModelAnswer) -> EngineFailure:
    """Return the failure of a model of which one call after the other failed, the last as it is given."""
    passes = last.fault == "passing"
    goes_on = "a rerun continues where this run ended" if passes else "once that is mended, a rerun asks what is left"
    calls = "a call" if count == 1 else f"{count} calls in a row"
    return EngineFailure(f"{calls} failed: {last.error}; {goes_on}", passes=passes, in_a_row=count)


class Engine(Protocol):
    """What a profiling run needs of an engine."""

    @property
    def chunk(self) -> int:
        """How many calls to hand over at a time."""
        ...

    def run(self, calls: Sequence[ModelCall]) -> Iterator[tuple[int, ModelAnswer]]:
        """Answer the calls, in any order: yield each one's index in `calls` and its answer, as answers arrive.

        A failure of a single call is its answer. One of the engine ends the iteration with an `InputError`, after all
        answers that had arrived; an `EngineFailure` tells which calls may be billed all the same. Closing the iterator
        early gives up the calls that are not answered yet.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Tell what ran: versions, device, dtype, engine arguments, prefix caching."""
        ...

    def close(self) -> None:
        """Free the model or the connections."""
        ...
