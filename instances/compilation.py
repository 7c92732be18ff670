"""Numba's decorator for kernels, which works also where compiled code can be kept nowhere.

Numba keeps compiled code beside the source, or in the user's cache folder. Where it finds no folder to write to, as in
a read-only installation of a user without a home, its own decorator fails at import; where the disk is full, the first
call of a kernel does; and where a kept file was cut off or may not be read, every call. Here the code is then compiled
in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core.caching import FunctionCache


class ForgivingCache(FunctionCache):  # type: ignore[misc]  # numba has no types
    """Numba's cache of one kernel, without which the kernel is compiled anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return compiled code, None where there is none or it cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever reading a file that was cut off raises
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code where that can be done."""
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()

    def _forget(self) -> None:
        """Begin anew, or keep nothing where that fails too."""
        try:
            self.flush()
        except OSError:
            self.disable()


def njit(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function without Python objects; arguments as for `numba.njit`."""

    def compiled(function: Callable[..., Any]) -> Any:
        kernel: Any = numba.njit(**options)(function)
        if cache and not numba.config.DISABLE_JIT:
            with suppress(RuntimeError):  # no folder can be written to
                kernel._cache = ForgivingCache(function)  # as `enable_caching` does, with numba's own
        return kernel

    return compiled
