"""The first calls of a model: where most cannot be read, nothing more is sent, and a sentence says what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from robatch.instances.errors import InputError
from robatch.proxies.engines.engine import CUT_ERROR, ModelAnswer

MOST_UNREAD = 0.5
"""The part of a model's first calls that may be unread, by default."""
FIRST = 32
"""Calls of a model that are its first."""
_SURE = 0.05  # chance that a model of which no more is unread fails so often
_LEAST = 3  # calls of the smallest size that must have been seen
_SHOWN = 60  # characters of an answer that could not be read


class StoppedEarly(InputError):  # noqa: N818 (no input need be wrong)
    """A run was stopped, as most of a model's first calls could not be read. What was answered is kept."""


@dataclass
class FirstCalls:
    """Counts the first calls of a model.

    Attributes
    ----------
    model
        Its name.
    structured
        Whether its answers are held to a form.
    allowed
        The part of its first calls that may be unread; 1 for any.
    smallest
        Queries of its smallest calls: larger ones come again in smaller ones, and may be read then.
    """

    model: str
    structured: bool = False
    allowed: float = MOST_UNREAD
    smallest: int = 1
    calls: int = 0
    unread: int = 0
    cut: int = 0  # of the unread: at their output limit
    small: int = 0
    small_unread: int = 0
    limit: int = 0  # output tokens a query of a call that was cut
    shown: str = ""

    def add(self, given: Sequence[str | None], answer: ModelAnswer, max_tokens: int) -> None:
        """Count a call by the answers that were read; one that failed says nothing of reading."""
        cut = answer.finish_reason == "length" or answer.error == CUT_ERROR
        if self.calls >= FIRST or (answer.error is not None and not cut):
            return
        small, unread = len(given) <= self.smallest, 2 * sum(one is not None for one in given) < len(given)
        self.calls += 1
        self.unread += unread
        self.small += small
        self.small_unread += small and unread
        if unread and cut:
            self.cut, self.limit = self.cut + 1, max_tokens // len(given)
        elif unread:
            self.shown = " ".join(answer.text.split())[:_SHOWN]

    @property
    def suspect(self) -> bool:
        """Whether most cannot be read so far, so that small calls should tell whether it is their size."""
        return self.calls >= _LEAST and self.unread > self.allowed * self.calls

    def check(self) -> None:
        """Stop where surely too many cannot be read, small ones among them.

        Raises
        ------
        StoppedEarly
            With what to change.
        """
        too_small = self.small < _LEAST or self.small_unread <= self.allowed * self.small
        if self.suspect and not too_small and self._chance() <= _SURE:
            raise StoppedEarly(
                f"{self.unread} of the first {self.calls} calls of model {self.model!r} {self._why()}; nothing more "
                "was sent, and max_unread (--max-unread) sends on whatever comes, at 1"
            )

    def _chance(self) -> float:
        """Return the chance of so many unread calls, if just as many were to be expected as are allowed (binomial)."""
        p, n = self.allowed, self.calls
        return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(self.unread, n + 1))

    def _why(self) -> str:
        if 2 * self.cut >= self.unread:
            return (
                f"were cut off at their output limit ({self.limit} tokens a query): raise the task's max_output_tokens "
                "and profile it so, or let the model think less (reasoning_effort in its request, or enable_thinking = "
                "false in its engine's chat_template_kwargs)"
            )
        why = f"could not be read, such as {self.shown!r}: " if self.shown else "held no text: "
        if self.structured:
            return (
                f"{why}its server seems not to hold answers to the form; set structure in the model's request as this "
                "server takes it, or structured = false"
            )
        return f"{why}change instructions or form of the task, or set structured = true where its server can do so"
