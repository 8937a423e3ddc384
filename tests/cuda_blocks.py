"""All blocks of a kernel at the same time, which Numba's simulator does not run: a Python thread for each of theirs.

One runs at a time, until it waits for others or ends; then the first that can go on does, in an order drawn at random.
So some are as late as barriers let them be, and what a kernel gives is the same each time.
"""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import cuda


class _Thread(threading.Thread):
    def __init__(self, blocks: Blocks, block: tuple[int, int], number: int, work: Any) -> None:
        super().__init__(daemon=True)
        self.blocks, self.block, self.number, self.work = blocks, block, number, work
        self.turn, self.rank = threading.Semaphore(0), blocks.random.random()
        self.waits: Any = None  # a counter's place and what it was, or "barrier"
        self.shared, self.found = 0, None  # arrays that it has; what it has read of a counter
        self.error: Exception | None = None
        self.ended = False

    def run(self) -> None:
        self.turn.acquire()
        try:
            self.work()
        except Exception as error:
            self.error = error
        self.ended = True
        self.blocks.back.release()

    def wait(self, what: Any) -> None:
        self.waits = what
        self.blocks.back.release()
        self.turn.acquire()


class Blocks:
    """Stands for `numba.cuda` in a kernel's module, whose kernels it runs."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.back = threading.Semaphore(0)
        self.launches = 0
        self.local = SimpleNamespace(array=lambda shape, real: np.full(shape, np.nan, real))
        self.shared = SimpleNamespace(array=self._shared)
        self.atomic = SimpleNamespace(add=self._add)

    def __getattr__(self, name: str) -> Any:
        return getattr(cuda, name)

    def kernel_of(self, threads: int) -> Any:
        return lambda function: _Kernel(self, function)

    @property
    def threadIdx(self) -> Any:
        return SimpleNamespace(x=threading.current_thread().number)  # type: ignore[attr-defined]

    @property
    def blockIdx(self) -> Any:
        return SimpleNamespace(**dict(zip("xy", threading.current_thread().block, strict=True)))  # type: ignore[attr-defined]

    def threadfence(self) -> None:
        pass

    def syncthreads(self) -> None:
        threading.current_thread().wait("barrier")  # type: ignore[attr-defined]

    def _shared(self, shape: Any, real: Any) -> Any:
        thread: Any = threading.current_thread()
        thread.shared += 1
        place = thread.block, thread.shared
        if place not in self.memory:
            self.memory[place] = np.full(shape, np.nan, real)
        return self.memory[place]

    def _add(self, array: Any, index: int, value: int) -> int:
        """A thread that reads what it has read before comes again when that has changed."""
        thread: Any = threading.current_thread()
        found = int(array[index])
        array[index] += value
        if value == 0:
            if found == thread.found:
                thread.wait((array, index, found))
            found = thread.found = int(array[index])
        return found

    def launch(self, function: Any, grid: tuple[int, int], threads: int, arguments: Any) -> None:
        self.launches += 1
        self.memory: dict[Any, Any] = {}
        self.gridDim = SimpleNamespace(x=grid[0], y=grid[1])
        waiting = [_Thread(self, block, number, lambda: function(*arguments))
                   for block in np.ndindex(grid) for number in range(threads)]  # fmt: skip
        for one in waiting:
            one.start()
        while waiting:
            ready = [one for one in waiting if one.waits is None or self._changed(one.waits)]
            if not ready:
                raise RuntimeError("no thread goes on")
            one = max(ready, key=lambda thread: thread.rank)
            one.waits = None
            one.turn.release()
            self.back.acquire()
            if one.error:
                raise one.error
            if one.ended:
                waiting.remove(one)
            here = [other for other in waiting if other.block == one.block]
            if all(other.waits == "barrier" for other in here):
                for other in here:
                    other.waits = None

    @staticmethod
    def _changed(what: Any) -> bool:
        return what != "barrier" and int(what[0][what[1]]) != what[2]


class _Kernel:
    def __init__(self, blocks: Blocks, function: Any) -> None:
        self.blocks, self.function = blocks, function

    def __getitem__(self, form: Any) -> Any:
        grid, threads, _ = form
        return lambda *arguments: self.blocks.launch(self.function, grid, threads, arguments)


def on_host(value: Any, seen: dict[int, Any]) -> Any:
    """Arrays of the simulator, in records too, as copies that NumPy has: one for each array."""
    if isinstance(value, tuple):
        found = [on_host(one, seen) for one in value]
        return type(value)(*found) if hasattr(value, "_fields") else tuple(found)
    if not hasattr(value, "copy_to_host"):
        return value
    return seen.setdefault(id(value), value.copy_to_host())
