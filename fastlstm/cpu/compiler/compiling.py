"""One thread compiles at a time, and what it has begun it ends.

Numba is not safe otherwise: a forked child in which it is half done, by a thread that did not come along, hangs at the
child's next new function; an exception of a signal's handler may strike anywhere, for one where Numba takes note of its
own functions, which are then missing for good.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

# Numba's own: with another one beside it, two threads could hold one each and wait for the other. Not by its __enter__,
# which is Python that an interrupt could end halfway.
_LOCK = global_compiler_lock._lock
_PATIENCE = 60.0  # seconds that a fork waits for what other threads, the user's too, compile
_paused: list[bool] = []  # an entry while `_uncollected` makes Python's collector wait


@contextmanager
def compiling() -> Iterator[None]:
    """Whatever compiles, or loads what was compiled, runs inside this."""
    with _LOCK, interrupt_later(), _uncollected():
        yield


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's collector waits: to look through what compiling makes takes some 6 % of its time, and finds little.

    Where it does not run, by the user's wish or because this is inside another `compiling`, nothing changes."""
    if not gc.isenabled():
        yield
        return
    try:
        _paused.append(True)
        gc.disable()
        yield
    finally:
        gc.enable()
        _paused.clear()


@contextmanager
def interrupt_later() -> Iterator[None]:
    """Ctrl-C comes at the end, however often it was pressed."""
    found: Any = signal.getsignal(signal.SIGINT)
    waiting: list[Any] = []

    def note(number: int, frame: Any) -> None:
        waiting.append(frame)

    # a handler of another kind ignores it, ends the process, or is not Python's; none runs in other threads
    noted = callable(found) and threading.current_thread() is threading.main_thread()
    if noted:
        signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        if noted:
            signal.signal(signal.SIGINT, found)
        if waiting:
            found(signal.SIGINT, waiting.pop())


def _before_fork() -> None:
    _LOCK.acquire(timeout=_PATIENCE)


def _after_fork() -> None:
    if _LOCK._is_owned():
        _LOCK.release()


def _after_fork_in_child() -> None:
    if _paused and not _LOCK._is_owned():  # by a thread that did not come along
        gc.enable()
        _paused.clear()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
