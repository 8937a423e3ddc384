"""How many of Numba's threads a call may use, and whether they pay."""

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


class Payoff:
    """Whether threads that exchange numbers at every step pay, by what the last calls took.

    That hangs on how far apart their cores are, and on what else runs there: a waiting thread loses whole time slices.
    Both change from one second to the next on a shared machine, so the way not taken is tried again now and then.
    """

    FIRST, TRIAL, EVERY = 4, 3, 64  # of so many calls, after the first few, some are a trial

    def __init__(self) -> None:
        self.together = True
        self.calls = 0
        self.cost = {True: 0.0, False: 0.0}  # seconds a step, a running mean, together and alone

    def choose(self) -> bool:
        """Whether to go together now."""
        trial = self.FIRST <= self.calls % self.EVERY < self.FIRST + self.TRIAL
        return self.together != trial

    def took(self, together: bool, seconds: float) -> None:
        """What a step of the call took, to be told after each."""
        place = self.calls % self.EVERY
        fresh = place == self.FIRST or self.calls == 1  # the very first call may have compiled: not counted
        self.cost[together] += (seconds - self.cost[together]) / (1 if fresh else 4)
        if together != self.together and seconds > 2 * self.cost[self.together]:
            self.calls += self.FIRST + self.TRIAL - 1 - place  # it is clear already
        elif place >= self.FIRST + self.TRIAL - 1:
            self.together = self.cost[True] <= self.cost[False]
        self.calls += 1
