"""Numba's simulator, mended in two places: what threads share is one array, and threads that wait do not poll.

The simulator keeps a block's shared arrays by the line that asks for them. Two threads that ask at once may both find
none there yet, and then each has an array to itself. And its barrier is a loop that looks at all threads time and
again, which takes a third of the time.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import as_dtype


class _Barrier:
    """Where a block's threads wait for one another. Threads that have ended are not waited for."""

    def __init__(self, threads: int) -> None:
        self._running, self._waiting, self._opened = threads, 0, 0
        self._changed = threading.Condition()

    def wait(self) -> None:
        with self._changed:
            self._waiting += 1
            opened = self._opened
            self._open_if_all_wait()
            self._changed.wait_for(lambda: self._opened != opened)

    def leave(self) -> None:
        with self._changed:
            self._running -= 1
            self._open_if_all_wait()

    def _open_if_all_wait(self) -> None:
        if self._waiting == self._running:
            self._waiting = 0
            self._opened += 1
            self._changed.notify_all()


def mend() -> None:
    """From now on, in this process."""
    from numba.cuda.simulator import kernel, kernelapi

    arrays_come = threading.Lock()
    dynamic = kernelapi.FakeCUDAShared.array

    def array(self: Any, shape: Any, dtype: Any) -> Any:
        if shape == 0:
            return dynamic(self, shape, dtype)
        caller = sys._getframe(1)
        place = caller.f_code.co_filename, caller.f_lineno
        with arrays_come:
            if place not in self._allocations:
                self._allocations[place] = np.empty(shape, as_dtype(dtype) if isinstance(dtype, types.Type) else dtype)
            return self._allocations[place]

    def run(self: Any, block: Any, *arguments: Any) -> None:
        def target() -> None:
            try:
                self._f(*arguments)
            finally:
                self.barrier.leave()

        places = list(np.ndindex(*self._block_dim))
        self.barrier = _Barrier(len(places))
        threads = [kernel.BlockThread(target, self, block, place, self._debug) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for thread in threads:
            if thread.exception:
                raise thread.exception[0].with_traceback(thread.exception[1])

    kernelapi.FakeCUDAShared.array = array
    kernel.BlockManager.run = run
    kernel.BlockThread.syncthreads = lambda thread: thread._manager.barrier.wait()
