"""Numba's decorator for kernels, which compiles quickly, and works also where compiled code can be kept nowhere.

Numba keeps compiled code beside the source, or in the user's cache folder. Where it finds no folder to write to, as in
a read-only installation of a user without a home, its own decorator fails at import; where the disk is full, the first
call of a kernel does; and where a kept file was cut off or may not be read, every call. Here the code is then compiled
in every process.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import numba
from numba import types
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher


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


class Kernel(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function, whose calls compile it once for each set of types."""

    def enable_caching(self) -> None:
        """Keep compiled code where a folder can be written to."""
        with suppress(RuntimeError):
            self._cache = ForgivingCache(self.py_func)

    def compile(self, sig: Any) -> Any:
        """Compile, or load what was kept; the many objects of a compiler are not searched for garbage meanwhile."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            return super().compile(sig)
        finally:
            if collecting:
                gc.enable()

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Return how another kernel calls this one: with a constant as with any number, not compiled for it alone."""
        return super().get_call_template(
            [types.unliteral(one) for one in args], {name: types.unliteral(one) for name, one in kws.items()}
        )


class InnerKernel(Kernel):
    """A compiled function that only kernels call: what Python's calls need takes as long to compile as a short kernel.

    Where Python calls it after all, as a test may, it is compiled once more, with that.
    """

    def __call__(self, *args: Any) -> Any:
        """Call it from Python."""
        return self.outer(*args)

    @cached_property
    def outer(self) -> Kernel:
        """Return the kernel that Python can call."""
        return Kernel(self.py_func, targetoptions=self.targetoptions | {"no_cpython_wrapper": False})


def njit(*, cache: bool = False, inner: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function without Python objects.

    Parameters
    ----------
    cache
        Whether compiled code is kept.
    inner
        Whether only kernels call it, see `InnerKernel`.
    options
        As for `numba.njit`.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:
            return function
        made = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, "no_cpython_wrapper": inner}
        kernel = (InnerKernel if inner else Kernel)(function, targetoptions=made | options)
        if cache:
            kernel.enable_caching()
        return kernel

    return compiled
