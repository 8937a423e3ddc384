"""The only jit options of the package, and the cache in which compiled kernels are kept.

Every option is explicit: a callee without one takes over its caller's. No fastmath flag is ever set,
so that a result's bits depend on the equations and on nothing else.
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
from numba import njit
from numba.core.caching import FunctionCache, _CacheLocator

logger = logging.getLogger("fastlstm")

_OPTIONS: dict[str, Any] = {"fastmath": False, "error_model": "numpy", "boundscheck": False, "nogil": True}


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
        except (
            OSError,
            EOFError,
            pickle.UnpicklingError,
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
            TypeError,
            ImportError,
            RuntimeError,
            MemoryError,
        ) as error:
            _warn_once(f"the cache in {cache_folder()} is damaged ({type(error).__name__}); compiling again")
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
    """A helper that kernels call; compiled into them, never called from Python.

    It counts no references: its caller holds the arrays, and each count would be an atomic operation that all threads
    contend for."""
    return njit(_nrt=False, **_OPTIONS)(function)


def _shell(function: Callable[..., Any], parallel: bool) -> Any:
    dispatcher = njit(parallel=parallel, **_OPTIONS)(function)
    if cache_folder():
        dispatcher._cache = _KernelCache(function)
    else:
        _warn_once("no folder can be written; kernels are compiled in every process")
    return dispatcher


def serial(function: Callable[..., Any]) -> Any:
    """The shell of a kernel that runs in the calling thread."""
    return _shell(function, False)


def parallel(function: Callable[..., Any]) -> Any:
    """The shell of a kernel that uses Numba's threads. Its name must differ from the serial shell's:
    Numba's cache tells functions apart by name and line, not by their options."""
    return _shell(function, True)


def call(kernel: Any, *arguments: Any) -> None:
    """Run a kernel; says once on the logger when it had to be compiled for more than a second."""
    if kernel.overloads:
        kernel(*arguments)
        return
    start = time.perf_counter()
    kernel(*arguments)
    seconds = time.perf_counter() - start
    if seconds > 1.0 and not sum(kernel.stats.cache_hits.values()):
        logger.info("compiled %s in %.1f s; later calls and processes reuse it", kernel.__name__, seconds)
