"""Numba's simulator, mended: one thread of a block runs at a time.

The simulator keeps a block's shared arrays by the line that asks for them. Where threads run at once, two of them may
both find none there yet, and then each has an array to itself: results are wrong once in thousands of kernels. And
its barrier looks at all threads time and again, while they contend for Python's lock.
"""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
from numba.cuda.simulator import kernel
from numba.cuda.simulator.kernelapi import Dim3


class _Thread(kernel.BlockThread):  # type: ignore[misc]
    """One of a block's threads, and, where that ends without having waited for others, the next one too."""

    def __init__(self, manager: Any, block: Any) -> None:
        super().__init__(manager.work, manager, block, (0, 0, 0), manager._debug)
        self.turn = threading.Lock()  # closed, but for a moment when it is this thread's turn
        self.turn.acquire()

    def syncthreads(self) -> None:
        self._manager.waiting.append(self)
        self._manager.hand_over()
        self.turn.acquire()


class _Block(kernel.BlockManager):  # type: ignore[misc]
    """A block's threads, one at a time: each runs to where it waits for the others, or to its end, and hands over to
    the next. The order is another one every time, so that what lacks a barrier comes out wrong."""

    _order = random.Random(0)

    def run(self, block: Any, *arguments: Any) -> None:
        self._block, self._arguments = block, arguments
        self._to_begin = list(np.ndindex(*self._block_dim))
        self._order.shuffle(self._to_begin)
        self.waiting: list[_Thread] = []
        self._to_go_on: list[_Thread] = []
        self._begun: list[_Thread] = []
        self._ended = threading.Event()
        self.hand_over()
        self._ended.wait()
        for thread in self._begun:
            thread.join()
            if thread.exception:
                raise thread.exception[0].with_traceback(thread.exception[1])

    def hand_over(self) -> None:
        """To the next thread. The one that calls this does nothing more before its next turn."""
        if self._to_begin:
            self._begun.append(_Thread(self, self._block))
            self._begun[-1].start()
            return
        if not self._to_go_on:  # all have come to the barrier, or to their ends
            self._order.shuffle(self.waiting)
            self._to_go_on, self.waiting = self.waiting, []
        if self._to_go_on:
            self._to_go_on.pop().turn.release()
        else:
            self._ended.set()

    def work(self) -> None:
        """What a thread runs."""
        thread: Any = threading.current_thread()
        width, height, _ = self._block_dim
        try:
            while self._to_begin:
                thread.threadIdx = here = Dim3(*self._to_begin.pop())
                thread.thread_id = here.x + width * (here.y + height * here.z)
                self._f(*self._arguments)
        finally:
            self.hand_over()


def mend() -> None:
    """From now on, in this process."""
    kernel.BlockManager = _Block
