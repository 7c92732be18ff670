"""Two engines with one interface: vLLM in this machine's memory, or an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from robatch.instances.errors import InputError

CONTEXT_ERROR = "the prompt and its answer exceed the context window"
"""The error text of a call that does not fit."""
CONTENT_ERROR = "the provider refused the prompt's content"
"""The error text of a call that a content filter refused. Any failure but these two ends the run."""


class EngineFailure(InputError):  # noqa: N818 (what a call's own errors are not)
    """A run of calls ended, and it is known of each call whether it may be billed.

    Attributes
    ----------
    unknown
        Indices of the calls that may be billed though no answer came. Every other call without an answer was not
        sent, or was refused before anything was generated.
    """

    def __init__(self, message: str, unknown: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.unknown = unknown


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
    """

    prompt: str
    max_tokens: int
    regex: str | None = None
    schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.regex is not None and self.schema is not None:
            raise ValueError("a call is held to a regex or to a schema, not to both")


@dataclass(frozen=True)
class ModelAnswer:
    """What came back from one call.

    Attributes
    ----------
    text
        The model's output.
    input_tokens, output_tokens
        As the engine counted them.
    seconds
        Offline: the call's even share of the wall time of the calls that ran together with it (so throughput, not
        latency). Server: from sending the call to having its whole answer, waits between its tries included.
    finish_reason
        As the engine gives it: ``"stop"``, ``"length"``, ...; ``"error"`` where there was no answer.
    error
        None, or why there was no answer.
    retries
        How often the call was sent again before it was answered.
    """

    text: str
    input_tokens: int
    output_tokens: int
    seconds: float
    finish_reason: str
    error: str | None = None
    retries: int = 0


class Engine(Protocol):
    """What a profiling run needs of an engine."""

    @property
    def chunk(self) -> int:
        """How many calls to hand over at a time."""
        ...

    def run(self, calls: Sequence[ModelCall]) -> Iterator[tuple[int, ModelAnswer]]:
        """Answer the calls, in any order: yield each one's index in `calls` and its answer, as answers arrive.

        A failure that is not a single call's ends the iteration with an `InputError`, after all answers that had
        arrived; an `EngineFailure` tells which calls may be billed all the same. Closing the iterator early gives up
        the calls that are not answered yet.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Tell what ran: versions, device, dtype, engine arguments, prefix caching."""
        ...

    def close(self) -> None:
        """Free the model or the connections."""
        ...
