"""How many of Numba's threads a call may use, and whether they pay."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numba
from numba.np.ufunc import parallel

from ..compiler.compiling import compiling, interrupt_later

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
SHARE_ROWS, SHARE_UNITS, SHARE_SEQUENCE = 0, 1, 2  # what the threads share among them


class Way(NamedTuple):
    """How calls go: on how many threads, and what these share; more threads than Numba has take turns."""

    share: int
    workers: int


forced: Way | None = None  # for tests: whatever the sizes and the number of Numba's threads, and nothing is timed


def most() -> int:
    """As many as there will ever be."""
    return int(numba.config.NUMBA_NUM_THREADS) if forced is None else forced.workers


def available() -> int:
    """Threads for a parallel kernel called now; 1 where the threading layer would not be safe.

    GNU OpenMP ends a forked child at its first parallel region, and workqueue ends the process when two
    Python threads are in parallel regions at once.
    """
    if _forked:
        return 1
    layer = _running_layer()
    # numba.get_num_threads() without its lock
    threads: int = parallel._get_num_threads() if forced is None else forced.workers
    if threads == 1 or (layer == "workqueue" and threading.active_count() > 1):
        return 1
    return threads


def workers_for(tasks: int, enough: bool) -> int:
    """Threads for independent tasks, where there is work enough for more than one."""
    return min(tasks, available()) if tasks >= 2 and (enough or forced is not None) else 1


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Calls inside have that many threads; Ctrl-C comes at the end, as it might leave a thread recording."""
    with interrupt_later():
        before = numba.get_num_threads()
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # more take turns, where they are forced
        try:
            yield
        finally:
            numba.set_num_threads(before)


@functools.cache
def _running_layer() -> str:
    with compiling():  # that it is not half done where a process forks
        parallel._launch_threads()
    return str(numba.threading_layer())


def layer() -> str:
    """Name of the threading layer; starts it where that has not happened."""
    return str(numba.threading_layer()) if _forked else _running_layer()


class Payoff:
    """Whether threads that exchange numbers at every step pay, by what the last calls took.

    That hangs on how far apart their cores are, and on what else runs there: a waiting thread loses whole time slices.
    Both change from one second to the next on a shared machine, so the way not taken is tried again now and then.

    sure: of so much work that threads pay on a quiet machine: the other way is first tried when calls take longer than
    one thread would, by the fastest one so far.
    """

    SOON = 4  # calls until threads are tried again that have just ceased to pay
    RARE = 30  # else the other way is tried when that many times what its last trial lost has passed
    TRIES = 2  # the better of these calls counts: threads may have to wake up
    LONGER = 2.0  # times the fastest call of two threads: about what one thread takes
    OUTLIER = 3.0  # times the mean: no call counts for more, as one alone may be held up by chance

    def __init__(self, sure: bool = False) -> None:
        self.sure, self.together, self.calls = sure, True, 0
        self.fastest = math.inf  # seconds a step, together
        self.cost: dict[bool, float] = {}  # seconds a step, a running mean, together and alone
        self.left = math.inf  # seconds until the next trial
        self.tries, self.best, self.lost = 0, math.inf, 0.0

    def choose(self) -> bool:
        """Whether to go together now."""
        return self.together != (self.left <= 0)

    def took(self, together: bool, seconds: float, steps: int) -> None:
        """What the call took, to be told after each."""
        cost = seconds / steps
        now = self.cost.get(self.together, cost)
        self.calls += 1
        if self.calls == 1:  # it may have compiled
            if not self.sure:
                self.cost[together], self.left = cost, 0.0
        elif together == self.together:
            self.cost[together] = now + (min(cost, self.OUTLIER * now) - now) / 4
            self.left -= seconds
            if together:
                self.fastest = min(self.fastest, cost)
                if self.left == math.inf and self.cost[together] > self.LONGER * self.fastest:
                    self.left = 0.0
        else:
            self.tries, self.best, self.lost = self.tries + 1, min(self.best, cost), self.lost + seconds - now * steps
            if self.tries < self.TRIES and cost <= 2 * now:
                return
            self.cost[together], self.left = self.best, self.RARE * max(self.lost, seconds / self.RARE)
            self.tries, self.best, self.lost = 0, math.inf, 0.0
        if self.cost.get(not self.together, math.inf) < self.cost.get(self.together, 0.0):
            self.together = not self.together
            self.left = seconds * (self.RARE if self.together else self.SOON)
