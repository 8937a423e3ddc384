"""Numba's simulator, mended: one thread of a block runs at a time.

The simulator keeps a block's shared arrays by the line that asks for them. Where threads run at once, two of them may
both find none there yet, and then each has an array to itself: results are wrong once in thousands of kernels. And
its barrier looks at all threads time and again, while they contend for Python's lock.
"""

from __future__ import annotations

import random
import threading
from functools import partial
from typing import Any

import numpy as np


class _Turns:
    """A block's threads, one at a time: each runs to where it waits for the others, or to its end. The order is another
    one every time, so that what lacks a barrier comes out wrong."""

    _order = random.Random(0)

    def __init__(self, threads: int) -> None:
        self._mine = [threading.Semaphore(0) for _ in range(threads)]
        self._back = threading.Semaphore(0)
        self._running = list(range(threads))

    def begin(self, thread: int) -> None:
        self._mine[thread].acquire()

    def wait(self, thread: int) -> None:
        self._back.release()
        self._mine[thread].acquire()

    def end(self, thread: int) -> None:
        self._running.remove(thread)
        self._back.release()

    def run(self) -> None:
        """To the end of all threads."""
        while self._running:
            self._order.shuffle(self._running)
            for thread in list(self._running):
                self._mine[thread].release()
                self._back.acquire()


def mend() -> None:
    """From now on, in this process."""
    from numba.cuda.simulator import kernel

    def run(self: Any, block: Any, *arguments: Any) -> None:
        places = list(np.ndindex(*self._block_dim))
        self.turns = _Turns(len(places))
        threads = [
            kernel.BlockThread(partial(target, self, number, arguments), self, block, place, self._debug)
            for number, place in enumerate(places)
        ]
        for number, thread in enumerate(threads):
            thread.number = number
            thread.start()
        self.turns.run()
        for thread in threads:
            thread.join()
            if thread.exception:
                raise thread.exception[0].with_traceback(thread.exception[1])

    def target(manager: Any, number: int, arguments: Any) -> None:
        manager.turns.begin(number)
        try:
            manager._f(*arguments)
        finally:
            manager.turns.end(number)

    kernel.BlockManager.run = run
    kernel.BlockThread.syncthreads = lambda thread: thread._manager.turns.wait(thread.number)
