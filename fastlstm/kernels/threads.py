"""How many of Numba's threads a call may use, and whether it may use them at all."""

from __future__ import annotations

import functools
import os
import threading

import numba
from numba.np.ufunc.parallel import _launch_threads

_forked = False  # this process is a child of one whose threads had started: they did not come along


def _after_fork() -> None:
    global _forked
    try:
        numba.threading_layer()
    except ValueError:
        return  # no thread had started
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def available() -> int:
    """Threads for a parallel kernel called now; 1 where the threading layer would not be safe.

    GNU OpenMP ends a forked child at its first parallel region, and workqueue ends the process when two
    Python threads are in parallel regions at once.
    """
    if _forked:
        return 1
    threads: int = numba.get_num_threads()
    if threads == 1 or (_running_layer() == "workqueue" and threading.active_count() > 1):
        return 1
    return threads


@functools.cache
def _running_layer() -> str:
    _launch_threads()
    return str(numba.threading_layer())


def layer() -> str:
    """Name of the threading layer; starts it where that has not happened."""
    if not _forked and numba.get_num_threads() > 1:
        _launch_threads()
    try:
        return str(numba.threading_layer())
    except ValueError:
        return "not started"
