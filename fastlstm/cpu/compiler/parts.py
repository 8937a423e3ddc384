"""Helpers compile into the kernels that call them, and nowhere else.

Numba makes a library of every function it compiles: optimised, and turned into machine code, before a caller's library
takes it in and both are done once more for the whole. For helpers of helpers that is three or four times, and most of
the time that compiling takes. No one calls a helper's own machine code: a `Part` is the code as it was written, and is
first optimised where a kernel, or a user's function, takes it in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class Part(JITCodeLibrary):  # type: ignore[misc]
    """The library of a helper: to be linked into others, with no code of its own that could run."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0  # Numba's word for a function that this library does not have

    @property
    def codegen(self) -> Part:
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Constants that a function's wrapper for Python needs: there is none."""


class PartCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, into a `Part`."""

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        if self.state.library is None:
            self.state.library = Part(self.state.targetctx.codegen(), function.__qualname__)
        return super().compile_extra(function)
