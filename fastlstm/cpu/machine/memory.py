"""Memory that is used again, and arrays as kernels take them: flat, writable, and empty where there is none.

A training step frees as much memory as the next one asks for. Fresh pages from the operating system are cleared when
they are first touched, which can take as long as the kernels' work on them; so large pieces are kept for the next
call, up to `KEPT` bytes. A piece is free again when the last array in it is gone.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..compiler.run import recording
from ..vectors.target import CACHE_LINE

Array: TypeAlias = NDArray[Any]
_NO_RESET = np.zeros(0, np.bool_)
NO_MASK = {np.dtype(kind): np.zeros(0, kind) for kind in (np.float32, np.float64)}


def _physical() -> int:
    """Bytes of memory in this machine; a guess where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30


LARGE = 1 << 18  # bytes; NumPy and the C library do well with less
KEPT = min(1 << 30, _physical() // 16)  # bytes that are kept at most
_spare: dict[int, NDArray[np.uint8]] = {}  # by id, oldest first; one operation at a time, so threads need no lock


class _Piece:
    """Owns memory on behalf of the arrays in it."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.memory = memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self, spare: Any = _spare, kept: int = KEPT) -> None:  # at exit the names may be gone before the last
        spare[id(self.memory)] = self.memory
        while sum(memory.nbytes for memory in list(spare.values())) > kept:
            spare.pop(next(iter(list(spare)), 0), None)


def _memory(size: int) -> NDArray[np.uint8]:
    """Spare memory of that size or little more, or new."""
    # from a copy, made in one go: a list of pairs could set off a collection of garbage, which may add to the dict
    fitting = [
        (memory.nbytes, key) for key, memory in _spare.copy().items() if size <= memory.nbytes <= size + size // 4
    ]
    for _, key in sorted(fitting):
        memory = _spare.pop(key, None)  # another thread may have been faster
        if memory is not None:
            return memory
    return np.empty(size, np.uint8)


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An array that begins on a cache line; what stands in it is left over from others."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize + CACHE_LINE
    memory = np.empty(size, np.uint8) if size < LARGE else np.asarray(_Piece(_memory(size)))
    address: int = memory.__array_interface__["data"][0]
    return np.ndarray(shape, kind, memory, -address % CACHE_LINE)


def pieces(shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]) -> list[Array]:
    """Arrays of those shapes, `aligned` each, in one piece of memory: they have one base."""
    size, places = _places(shapes, dtype.itemsize)
    whole = aligned((size,), dtype)
    return [
        whole[begin:end] if len(shape) == 1 else whole[begin:end].reshape(shape)
        for shape, (begin, end) in zip(shapes, places, strict=True)
    ]


@functools.lru_cache(1024)
def _places(shapes: tuple[tuple[int, ...], ...], itemsize: int) -> tuple[int, list[tuple[int, int]]]:
    """Numbers in all, and where each of the arrays begins and ends."""
    line = CACHE_LINE // itemsize
    sizes = [math.prod(shape) for shape in shapes]
    *starts, whole = accumulate((-(-size // line) * line for size in sizes), initial=0)
    return whole, [(at, at + size) for at, size in zip(starts, sizes, strict=True)]


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """`aligned` where it is large; a small one begins anywhere."""
    return aligned(shape, dtype) if math.prod(shape) * 8 >= LARGE else np.empty(shape, dtype)


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """`empty`, of zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


class _Own(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[np.dtype[Any], Array] = {}


_own = _Own()


def scratch(size: int, dtype: np.dtype[Any]) -> Array:
    """At least that many numbers for one kernel to work in; a small one is this thread's, and the next call gets it
    again, unless the kernel is recorded."""
    if size * 8 >= LARGE or recording() is not None:
        return aligned((size,), dtype)
    array = _own.arrays.get(dtype)
    if array is None or array.size < size:
        array = _own.arrays[dtype] = aligned((size,), dtype)
    return array


def release() -> None:
    """Give all that is spare back to the operating system."""
    _spare.clear()


class _Memory:
    """An array's memory as a writable array: a read-only one is another type, and would compile again."""

    def __init__(self, array: Array) -> None:
        self.owner = array
        self.__array_interface__ = dict(array.__array_interface__, data=(array.ctypes.data, False))


def writable(array: Array) -> Array:
    return array if array.flags.writeable else np.asarray(_Memory(array))


def as_flat(array: Array) -> Array:
    return writable(array).ravel()


def flags_of(reset: Array | None) -> Array:
    """For the kernels: none is an array without entries."""
    return _NO_RESET if reset is None else as_flat(reset)


def factors_of(mask: Array | None, dtype: np.dtype[Any]) -> Array:
    """For the kernels: none is an array without entries."""
    return NO_MASK[dtype] if mask is None else as_flat(mask)
