"""Compiled kernels on disk."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pathlib
import pickle
import re
import sys
import tempfile
import warnings
from types import SimpleNamespace
from typing import Any

import llvmlite
import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ...files import write_whole
from .parts import Part

logger = logging.getLogger("fastlstm")
_PACKAGE = pathlib.Path(__file__).parents[2]
# files and folders: all that kernels' modules import of the package
_SOURCES = "cells", "cpu", "params.py", "strides.py", "files.py"
_DIGEST = hashlib.sha256().digest_size


@functools.cache
def source_stamp() -> str:
    """Fingerprint of all that kernels are made of and of what compiles it: a change of either starts a new cache.
    Empty where the package's sources are not in files."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for name in _SOURCES:
        source = _PACKAGE / name
        files = sorted(source.rglob("*.py")) if source.is_dir() else [source] if source.is_file() else []
        if not files:
            return ""
        for path in files:
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def cache_folder() -> str:
    """The first of these folders that can be written: NUMBA_CACHE_DIR, the user's cache, a temporary one. Empty where
    there is none."""
    user = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    home = os.path.expanduser("~")
    candidates = [
        os.environ.get("NUMBA_CACHE_DIR"),
        user,
        os.path.join(home, ".cache") if home != "~" else None,
        os.path.join(tempfile.gettempdir(), f"cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"),
    ]
    for parent in candidates:
        if not parent or not source_stamp():
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


class _Files:
    """A file for each specialisation of a function, named by what it is for.

    Numba's own cache numbers them, and keeps an index of the numbers: two processes that compile at once give one
    number to two specialisations, and then load the one for the other.

    A file begins with a hash of what it is for and of what follows. Code that was damaged on the disk, or that is
    another's, would end the process, or compute something else. This is no guard against who means harm: he would write
    the hash that fits. The folder is its user's own."""

    def __init__(self, folder: str, function: str, stamp: str) -> None:
        self._folder, self._function, self._stamp = folder, function, stamp

    def _path(self, key: Any) -> str:
        number = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        return os.path.join(self._folder, f"{self._function}.{number}.nbc")

    def _hash(self, key: Any, content: bytes) -> bytes:
        digest = hashlib.sha256(repr((self._stamp, self._function, key)).encode() + b"\0")
        digest.update(content)
        return digest.digest()

    def save(self, key: Any, data: Any) -> None:
        content = dumps(data)
        whole = self._hash(key, content) + content
        write_whole(self._path(key), lambda file: file.write(whole), durable=False)

    def load(self, key: Any) -> Any:
        """None where there is no such file.

        Raises
        ------
        ValueError
            One that does not fit.
        """
        try:
            whole = pathlib.Path(self._path(key)).read_bytes()
        except FileNotFoundError:
            return None
        content = whole[_DIGEST:]
        if self._hash(key, content) != whole[:_DIGEST]:
            raise ValueError(f"{self._path(key)}: not what was written for {key}")
        return pickle.loads(content)


class _KernelCache:
    """What Numba asks of a function's cache. Where a file cannot be read or does not fit, the function is compiled."""

    def __init__(self, dispatcher: Any) -> None:
        function, compiler = dispatcher.py_func, dispatcher._compiler.pipeline_class
        # one function may be compiled in more than one way: into its callers, or for them to call
        self._way = f"{compiler.__name__} {sorted(dispatcher.targetoptions.items())}"
        name = f"{function.__module__}.{function.__qualname__}-{function.__code__.co_firstlineno}"
        self.cache_path = cache_folder()
        self._files = _Files(
            self.cache_path, f"{re.sub('[<>]', '', name)}.{sys.implementation.cache_tag}", source_stamp()
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        try:
            found = self._files.load((sig, self._way, target_context.codegen().magic_tuple()))
            return None if found is None else _rebuilt(target_context, found)
        except Exception as error:  # whatever it is, compiling mends it
            if _in_use(error):
                return None
            logger.debug("a file of the cache cannot be read", exc_info=True)
            _warn_once(f"the cache in {cache_folder()} is damaged; compiling again")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            self._files.save((sig, self._way, data.codegen.magic_tuple()), data._reduce())
        except OSError as error:
            if not _in_use(error):
                _warn_once(f"compiled kernels cannot be kept in {cache_folder()} ({type(error).__name__}: {error})")


def _rebuilt(context: Any, found: Any) -> Any:
    """The compiled function of a file; its library is one of Numba's, or a Part."""
    if found[0][1] != Part.KIND:
        return CompileResult._rebuild(context, *found)
    makes_parts = SimpleNamespace(unserialize_library=functools.partial(Part._unserialize, context.codegen()))
    of_parts = SimpleNamespace(
        codegen=lambda: makes_parts, get_executable=context.get_executable, typing_context=context.typing_context
    )
    return CompileResult._rebuild(of_parts, *found)._replace(target_context=context)


def _in_use(error: Exception) -> bool:
    """Whether Windows refuses a file that another process reads or replaces."""
    return os.name == "nt" and isinstance(error, PermissionError)


def cached(dispatcher: Any) -> Any:
    """What a dispatcher compiles is kept on disk."""
    if cache_folder():
        dispatcher._cache = _KernelCache(dispatcher)
    else:
        missing = "no folder can be written" if source_stamp() else "the package's sources are not in files"
        _warn_once(f"{missing}; kernels are compiled in every process")
    return dispatcher


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(f"fastlstm: {message}", RuntimeWarning, stacklevel=3)
