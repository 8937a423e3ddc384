"""Arrays that begin with zeros or as copies, also where runs of kernels are recorded: there a kernel fills them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.options import kernel
from ..compiler.run import loaded, recording, run
from ..machine import memory
from ..vectors.rows import clear, copy

_Array = NDArray[Any]


@kernel
def fill(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """out = source, where that has entries, else 0. One turn, one worker."""
    source, out = loaded(pointer)
    if len(source) > 0:
        copy(out, 0, source, 0, len(source))
    else:
        clear(out, 0, len(out))


def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Zeros."""
    if recording() is None:
        return memory.zeros(shape, dtype)
    found = memory.empty(shape, dtype)
    run_fill(found.reshape(-1)[:0], found)
    return found


def copied(array: _Array) -> _Array:
    """A copy, in C order as the array is."""
    if recording() is None:
        return array.copy()
    found = memory.empty(array.shape, array.dtype)
    run_fill(array, found)
    return found


def run_fill(source: _Array, out: _Array) -> None:
    """Both in C order."""
    run(fill, out.dtype, 1, 1, (source.reshape(-1), out.reshape(-1)))
