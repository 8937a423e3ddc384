"""The only jit options of the package.

Every option is explicit: a callee without one takes over its caller's. No fastmath flag is ever set, so that a result's
bits depend on the equations and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.extending import register_jitable

from .cache import cached
from .parts import LibraryCompiler, PartCompiler
from .sealed import SealedCompiler, SealedPartCompiler

OPTIONS: dict[str, Any] = {
    "fastmath": False, "error_model": "numpy", "boundscheck": False, "nogil": True, "no_cfunc_wrapper": True,
}  # fmt: skip
HELPER: Any = OPTIONS | {"_nrt": False, "pipeline_class": PartCompiler, "forceinline": False}
INLINED: Any = HELPER | {"forceinline": True}


def compiled(function: Callable[..., Any]) -> Any:
    """A helper that kernels call; called from Python, it is the function as it stands.

    It counts no references: its caller holds the arrays, and each count would be an atomic operation that all threads
    contend for."""
    return register_jitable(**HELPER)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A helper that becomes part of each function that calls it, with what is constant there."""
    return register_jitable(**INLINED)(function)


def sealed(function: Callable[..., Any]) -> Any:
    """A long function for compiled code, which takes it in as machine code. It raises nothing."""
    return _sealed_by(SealedPartCompiler, function)


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel's body, function(first, last, worker, workers, pointer): a worker's share of turns `first` to `last`,
    after each of which all workers meet. pointer: to its arguments, as `stored` makes it for `loaded`. Raises nothing,
    and is not called from Python but by `run`."""
    return _sealed_by(SealedCompiler, function)


def _sealed_by(compiler: type[LibraryCompiler], function: Callable[..., Any]) -> Any:
    return cached(njit(_nrt=False, no_cpython_wrapper=True, pipeline_class=compiler, **OPTIONS)(function))


def compiled_from_python(function: Callable[..., Any]) -> Any:
    """A function that Python calls, with arguments of the types that `prepare` was told of: others are a TypeError.

    Another dispatcher compiles it: one that may compile does so at any call, one that may not raises where it is told
    to, and to switch between the two disturbs the threads that call it meanwhile."""
    entrance = njit(_nrt=False, **OPTIONS)(function)
    entrance._can_compile = False  # disable_compile() wants something compiled first
    entrance.compiler = cached(njit(_nrt=False, **OPTIONS)(function))
    return entrance
