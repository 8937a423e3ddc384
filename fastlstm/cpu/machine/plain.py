"""Arrays as kernels take them: flat, writable, and empty where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_NO_RESET = np.zeros(0, np.bool_)
NO_MASK = {np.dtype(kind): np.zeros(0, kind) for kind in (np.float32, np.float64)}


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
