"""What a person is told who waits for kernels to be compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AFTER_S = 2.0  # seconds of compiling until then
TEXT = "Compiling kernels (once after an installation; `robatch warm-up` does it ahead) ..."


class Notice:
    """A text that is told once, when compiling has taken a while.

    Attributes
    ----------
    tell
        Prints the text; None where nobody is there to read it, or it was printed.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], object] | None = None
        self._spent = 0.0
        self._begin: float | None = None

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Surround the compiling of a kernel, in which others may be compiled."""
        first = self._begin is None
        self._begin = begin = time.perf_counter() if self._begin is None else self._begin
        spent = self._spent + time.perf_counter() - begin
        if self.tell is not None and spent > AFTER_S:
            tell, self.tell = self.tell, None
            tell(TEXT)
        try:
            yield
        finally:
            if first:
                self._spent += time.perf_counter() - begin
                self._begin = None


notice = Notice()
