"""Numba's compiler with less work for a program of many kernels.

Numba optimises every kernel that another one calls, writes it as machine code, and then optimises it once more as a
part of its caller. Here a kernel that only kernels call stays as it was translated until its caller is optimised. And
to look up how an operation is typed, Numba compares its flags option by option, thousands of times for a kernel; here
they are mostly the same object or hold the same settings.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags

HASH = hash(Flags())  # the same for all flags


class QuickFlags(Flags):  # type: ignore[misc]  # numba has no types
    """Flags that are compared quickly."""

    def __eq__(self, other: object) -> bool:
        """Tell whether all options are the same."""
        if self is other or (isinstance(other, Flags) and self._values == other._values):
            return True
        return bool(super().__eq__(other) is True)

    def __hash__(self) -> int:
        """Return the hash of any flags."""
        return HASH


class QuickCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler with quick flags."""

    def __init__(  # wide: Numba's order
        self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any, locals: Any
    ) -> None:
        super().__init__(typingctx, targetctx, library, args, return_type, QuickFlags(flags), locals)


class NoEnvironments:
    """A code generator for code that has no address, so that nothing can be set in it."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Leave the environment unset: compiled kernels that come from the cache do without it, too."""


class LinkedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel that only kernels call: not run by itself, but linked into theirs."""

    @property
    def codegen(self) -> Any:
        """Return the code generator."""
        return NoEnvironments(self._codegen)

    def finalize(self) -> None:
        """Link what it calls, and prune what is plain; the rest is done where it is linked to."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        passes, builder = self._codegen._module_pass_manager(
            loop_vectorize=False, slp_vectorize=False, opt=0, cost="cheap"
        )
        passes.run(self._final_module, builder)
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return no address."""
        return 0


class LinkedCompiler(QuickCompiler):
    """The compiler of a kernel that only kernels call."""

    def define_pipelines(self) -> Any:
        """Return Numba's steps, which write into a library that is linked only."""
        codegen = self.state.targetctx.codegen()
        self.state.library = LinkedLibrary(codegen, self.state.func_id.func_qualname)
        return super().define_pipelines()
