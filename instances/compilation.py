"""Numba's decorator for kernels: small work runs as Python first, compiling is quick, and may be kept nowhere.

To compile the kernels of one solver takes seconds, to run them as Python on a small problem often less. So a kernel
marked `small` whose compiled code is not at hand runs as Python while its arguments are small and it has not done so
for long; then it is compiled. What it returns is the same to the last bit.

Numba keeps compiled code beside the source, or in the user's cache folder. Where it finds no folder to write to, as in
a read-only installation of a user without a home, its own decorator fails at import; where the disk is full, the first
call of a kernel does; and where a kept file was cut off or may not be read, every call. Here the code is then compiled
in every process.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numba
from numba import types
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher
from numba.core.typing.typeof import Purpose, typeof

from robatch.instances import interpretation
from robatch.instances.light_compiler import LinkedCompiler, QuickCompiler
from robatch.instances.notice import notice

PATIENCE = (
    2.0  # seconds that a kernel may run as Python in one process; to compile it takes as long, or some times that
)
SMALL = 100_000  # numbers in its arguments, at most


kernels: list[Kernel] = []  # that Python calls, of the modules imported so far


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

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Tell whether there is compiled code for a signature, without loading it."""
        try:
            index = self._cache_file._load_index()
            return bool(index) and self._index_key(sig, target_context.codegen()) in index
        except Exception:  # as above
            return False

    def _forget(self) -> None:
        """Begin anew, or keep nothing where that fails too."""
        try:
            self.flush()
        except OSError:
            self.disable()


class Kernel(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function, whose calls compile it once for each set of types.

    Attributes
    ----------
    small
        Whether it may run as Python before.
    spent
        Seconds that it did so.
    """

    small = False
    spent = 0.0

    @property
    def name(self) -> str:
        """Module and function."""
        return f"{self.py_func.__module__}.{self.py_func.__name__}"

    def enable_caching(self) -> None:
        """Keep compiled code where a folder can be written to."""
        with suppress(RuntimeError):
            self._cache = ForgivingCache(self.py_func)

    def compile(self, sig: Any) -> Any:
        """Compile, or load what was kept; the many objects of a compiler are not searched for garbage meanwhile."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            with notice.compiling():
                return super().compile(sig)
        finally:
            if collecting:
                gc.enable()

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Return how another kernel calls this one: with a constant as with any number, not compiled for it alone."""
        return super().get_call_template(
            [types.unliteral(one) for one in args], {name: types.unliteral(one) for name, one in kws.items()}
        )

    def interpreted(self, *args: Any) -> Any:
        """Run as Python; where that takes too long, compile after all."""
        begin = time.thread_time()
        try:
            return interpretation.run(self.py_func, args, PATIENCE - self.spent)
        except interpretation.Impatient:
            pass
        finally:
            self.spent += time.thread_time() - begin
        return self(*args)

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        """Return what a call runs for whose types nothing is compiled in this process (Numba calls this)."""
        if self.small and self.spent < PATIENCE and interpretation.numbers_in(args) <= SMALL and not self._kept(args):
            return self.interpreted
        return super()._compile_for_args(*args, **kws)

    def _kept(self, args: tuple[Any, ...]) -> bool:
        """Tell whether compiled code for the types of some arguments can be loaded."""
        if not isinstance(self._cache, ForgivingCache):
            return False
        return self._cache.holds(tuple(typeof(one, Purpose.argument) for one in args), self.targetctx)


class InnerKernel(Kernel):
    """A function that only kernels call, and is compiled as a part of them; called from Python, it is Python.

    It is not kept by itself.
    """

    def __call__(self, *args: Any) -> Any:
        """Run as Python, as a part of a kernel that does so or, in a test, alone."""
        if interpretation.here.deadline is None:
            return interpretation.run(self.py_func, args)
        interpretation.here.check()
        return self.py_func(*args)


@contextmanager
def at_once() -> Iterator[None]:
    """Compile kernels at their first call, as for measurements."""
    global PATIENCE
    before, PATIENCE = PATIENCE, 0.0
    try:
        yield
    finally:
        PATIENCE = before


def njit(
    *, cache: bool = False, inner: bool = False, small: bool = False, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function without Python objects.

    Parameters
    ----------
    cache
        Whether compiled code is kept.
    inner
        Whether only kernels call it, see `InnerKernel`.
    small
        Whether it runs as Python while that is quick. Its results are then the same to the last bit: no operation is
        contracted where that reaches a result, no function is called that NumPy rounds in another way, and sorts are
        stable. What has no bound in the size of its arguments calls inner kernels now and then, where it may give up.
    options
        As for `numba.njit`.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:
            return function
        made = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, "no_cpython_wrapper": inner} | options
        if inner:
            return InnerKernel(function, targetoptions=made, pipeline_class=LinkedCompiler)
        kernel = Kernel(function, targetoptions=made, pipeline_class=QuickCompiler)
        kernel.small = small
        kernels.append(kernel)
        if cache:
            kernel.enable_caching()
        return kernel

    return compiled
