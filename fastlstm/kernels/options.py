"""How kernels are compiled, kept on disk and run: the only jit options of the package, the cache, the two shells.

Every option is explicit: a callee without one takes over its caller's. No fastmath flag is ever set,
so that a result's bits depend on the equations and on nothing else.

A kernel's body is compiled once, as a function that runs by itself in the calling thread; the shell that runs it on
Numba's threads calls it by its address. Compiling it into a second shell would take as long again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pathlib
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import njit, prange, types
from numba.core import cgutils
from numba.core.caching import FunctionCache, _CacheLocator
from numba.extending import intrinsic, register_jitable

from .parts import PartCompiler

logger = logging.getLogger("fastlstm")

OPTIONS: dict[str, Any] = {
    "fastmath": False, "error_model": "numpy", "boundscheck": False, "nogil": True, "no_cfunc_wrapper": True,
}  # fmt: skip
HELPER: Any = OPTIONS | {"_nrt": False, "pipeline_class": PartCompiler}
INLINED: Any = HELPER | {"forceinline": True}


@functools.cache
def source_stamp() -> str:
    """Fingerprint of every kernel source and of what compiles it: a change of either starts a new cache."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def cache_folder() -> str:
    """The first of these folders that can be written: NUMBA_CACHE_DIR, the user's cache, a temporary one."""
    user = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    home = os.path.expanduser("~")
    candidates = [
        os.environ.get("NUMBA_CACHE_DIR"),
        user,
        os.path.join(home, ".cache") if home != "~" else None,
        os.path.join(tempfile.gettempdir(), f"cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"),
    ]
    for parent in candidates:
        if not parent:
            continue
        folder = os.path.join(parent, "fastlstm", source_stamp()[:16])
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        status = os.stat(folder)
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            continue  # code is loaded from here: never from another user's folder
        return folder
    return ""


class _Locator(_CacheLocator):  # type: ignore[misc]
    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._lineno = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return cache_folder()

    def get_source_stamp(self) -> str:
        return source_stamp()

    def get_disambiguator(self) -> str:
        return str(self._lineno)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _Impl(FunctionCache._impl_class):  # type: ignore[misc, name-defined]
    _locator_classes = (_Locator,)


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's disk cache, keyed by all our sources, that recompiles where a file cannot be read."""

    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle raises whatever its bytes happen to mean
            logger.debug("a file of the cache cannot be read", exc_info=True)
            _warn_once(f"the cache in {cache_folder()} is damaged; compiling again")
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _warn_once(f"compiled kernels cannot be kept in {cache_folder()} ({type(error).__name__}: {error})")


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(f"fastlstm: {message}", RuntimeWarning, stacklevel=3)


def compiled(function: Callable[..., Any]) -> Any:
    """A helper that kernels call; called from Python, it is the function as it stands.

    It counts no references: its caller holds the arrays, and each count would be an atomic operation that all threads
    contend for."""
    return register_jitable(**HELPER)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A helper that becomes part of each function that calls it, with what is constant there."""
    return register_jitable(**INLINED)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel's body, function(first, last, worker, workers, arguments): a worker's share of turns `first` to `last`,
    after each of which all workers meet. `arguments`: arrays and numbers, no tuple inside."""
    return compiled_from_python(function)


def compiled_from_python(function: Callable[..., Any]) -> Any:
    """A function that Python calls, kept in the cache."""
    return cached(njit(_nrt=False, **OPTIONS)(function))


def cached(dispatcher: Any) -> Any:
    if cache_folder():
        dispatcher._cache = _KernelCache(dispatcher.py_func)
    else:
        _warn_once("no folder can be written; kernels are compiled in every process")
    return dispatcher


@intrinsic  # type: ignore[misc]
def _pointer_to(typing: Any, arguments: Any) -> Any:
    """Where they stand until the function returns: one word for the threads, which would be handed each by itself."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, context.get_value_type(arguments))
        builder.store(args[0], place)
        return builder.bitcast(place, context.get_value_type(signature.return_type))

    return types.CPointer(arguments)(arguments), generate


@intrinsic  # type: ignore[misc]
def _body_at(typing: Any, address: Any, first: Any, last: Any, worker: Any, workers: Any, pointer: Any) -> Any:
    """The kernel's body that was compiled to that address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arguments = pointer.dtype
        kinds = (*signature.args[1:-1], arguments)
        function = context.call_conv.get_function_type(types.none, kinds)
        body = builder.inttoptr(args[0], function.as_pointer())
        place = builder.bitcast(args[-1], context.get_value_type(arguments).as_pointer())
        context.call_conv.call_function(builder, body, types.none, kinds, [*args[1:-1], builder.load(place)])
        return context.get_dummy_value()  # a body raises nothing

    n = types.intp
    return types.void(n, n, n, n, n, pointer), generate


def _on_threads(address: Any, turns: Any, workers: Any, arguments: Any) -> None:
    """All turns of a kernel on Numba's threads."""
    pointer = _pointer_to(arguments)
    for turn in range(turns):
        for worker in prange(workers):
            _body_at(address, turn, turn + 1, np.int64(worker), workers, pointer)


_on_threads = cached(njit(parallel=True, **OPTIONS)(_on_threads))


_addresses: dict[tuple[Any, Any], int] = {}  # of compiled bodies, by body and kind of arguments


def _address(body: Any, kind: Any, arguments: tuple[Any, ...]) -> int:
    """Where the body for those arguments begins in memory; compiles it the first time."""
    kinds = (types.int64, types.int64, types.int64, types.int64, numba.typeof(arguments))
    body.compile(kinds)
    found = body.overloads[kinds]
    _addresses[body, kind] = int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))
    return _addresses[body, kind]


def run(body: Any, kind: Any, turns: int, workers: int, arguments: tuple[Any, ...]) -> None:
    """Run a kernel: in the calling thread for one worker, else on Numba's threads.

    kind: the float type and the cell; all else in the arguments is of the same types at every call. Says once on the
    logger when something had to be compiled for more than a second.
    """
    first = (body, kind, workers > 1) not in _ran
    if first:
        start, misses = time.perf_counter(), _misses(body)
    if workers == 1:
        body(0, turns, 0, 1, arguments)
    else:
        _on_threads(_addresses.get((body, kind)) or _address(body, kind, arguments), turns, workers, arguments)
    if first:
        _ran.add((body, kind, workers > 1))
        seconds = time.perf_counter() - start
        if seconds > 1.0 and _misses(body) > misses:
            logger.info("compiled %s in %.1f s; later calls and processes reuse it", body.__name__, seconds)


_ran: set[tuple[Any, Any, bool]] = set()  # bodies with kind, and whether on threads


def _misses(body: Any) -> int:
    return sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in (body, _on_threads))
