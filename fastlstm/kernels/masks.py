"""Steps that a mask leaves out: outputs of the real steps put where they belong, and gradients brought back.

The real steps of each sequence run without gaps. where (N, T) says which of them an output shows: HELD is the state
that the sequence began with, NONE nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .options import kernel, loaded, run
from .simd import accumulate, copy

HELD, NONE = -1, -2
_Array = NDArray[Any]


@kernel
def expand(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """y (N, T, H): a copy of the step of z (N, T, H), of h (N, H), or 0. One turn, one worker."""
    z, h, where, T, H, y = loaded(pointer)
    for i in range(len(where)):
        if where[i] >= 0:
            copy(y, i * H, z, (i // T * T + where[i]) * H, H)
        elif where[i] == HELD:
            copy(y, i * H, h, i // T * H, H)
        else:
            for j in range(i * H, i * H + H):
                y[j] = 0


@kernel
def collect(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """The way back: dz and dh, zeros before, gather what arrived at the outputs that showed them."""
    dy, where, T, H, dz, dh = loaded(pointer)
    for i in range(len(where)):
        if where[i] >= 0:
            accumulate(dz, (i // T * T + where[i]) * H, dy, i * H, H)
        elif where[i] == HELD:
            accumulate(dh, i // T * H, dy, i * H, H)


def run_expand(z: _Array, h: _Array, where: NDArray[np.int64], y: _Array) -> None:
    """All in C order."""
    _, T, H = z.shape
    arguments = z.reshape(-1), h.reshape(-1), where.reshape(-1), T, H, y.reshape(-1)
    run(expand, z.dtype, 1, 1, arguments)


def run_collect(dy: _Array, where: NDArray[np.int64], dz: _Array, dh: _Array) -> None:
    """As `run_expand`."""
    _, T, H = dz.shape
    run(collect, dz.dtype, 1, 1, (dy.reshape(-1), where.reshape(-1), T, H, dz.reshape(-1), dh.reshape(-1)))
