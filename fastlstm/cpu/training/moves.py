"""Numbers that are only moved: zeros and copies, outputs of masked steps, dropped features, rows of a table.

Steps that a mask leaves out: outputs of the real steps are put where they belong, and gradients brought back. The real
steps of each sequence run without gaps. where (N, T) says which of them an output shows: HELD is the state that the
sequence began with, NONE nothing. All arrays are in C order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.options import kernel
from ..compiler.run import loaded, recording, run
from ..lstm.plans import threads_for
from ..machine import memory
from ..vectors.rows import accumulate, clear, copy

HELD, NONE = -1, -2
_MOVE_WORK = 10  # a number read, multiplied and written, in multiply-adds
_Array = NDArray[Any]


@kernel
def fill(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """out = source, where that has entries, else 0. One turn, one worker."""
    source, out = loaded(pointer)
    if len(source) > 0:
        copy(out, 0, source, 0, len(source))
    else:
        clear(out, 0, len(out))


@kernel
def expanded(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """y (N, T, H): a copy of the step of z (N, T, H), of h (N, H), or 0. One turn, one worker."""
    z, h, where, T, H, y = loaded(pointer)
    for i in range(len(where)):
        if where[i] >= 0:
            copy(y, i * H, z, (i // T * T + where[i]) * H, H)
        elif where[i] == HELD:
            copy(y, i * H, h, i // T * H, H)
        else:
            clear(y, i * H, H)


@kernel
def collected(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """The way back: dz and dh, zeros before, gather what arrived at the outputs that showed them."""
    dy, where, T, H, dz, dh = loaded(pointer)
    for i in range(len(where)):
        if where[i] >= 0:
            accumulate(dz, (i // T * T + where[i]) * H, dy, i * H, H)
        elif where[i] == HELD:
            accumulate(dh, i // T * H, dy, i * H, H)


@kernel
def dropped(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """y (N, T, D) = x where draws (N, D) are at least rate, times factor; the same at all steps; 0 elsewhere; y may be
    x. One turn."""
    x, draws, rate, factor, T, D, y = loaded(pointer)
    rows = len(draws) // D * T
    zero, one = x.dtype.type(0), x.dtype.type(factor)
    for i in range(rows * w // workers, rows * (w + 1) // workers):
        rows_x, rows_y, own = x[i * D : i * D + D], y[i * D : i * D + D], draws[i // T * D : i // T * D + D]
        for j in range(D):
            rows_y[j] = rows_x[j] * (one if own[j] >= rate else zero)


@kernel
def taken(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """y (M, D): the rows of a table (V, D) that numbers (M,) name. One turn."""
    table, numbers, D, y = loaded(pointer)
    M = len(numbers)
    for i in range(M * w // workers, M * (w + 1) // workers):
        copy(y, i * D, table, numbers[i] * D, D)


@kernel
def scattered(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """The way back: sums (V, D) of the rows of dy (M, D) that have each number, in their order. A worker has a share of
    the sums, and looks at all numbers. One turn."""
    numbers, dy, D, sums = loaded(pointer)
    V = len(sums) // D
    begin, end = V * w // workers, V * (w + 1) // workers
    clear(sums, begin * D, (end - begin) * D)
    for i in range(len(numbers)):
        if begin <= numbers[i] < end:
            accumulate(sums, numbers[i] * D, dy, i * D, D)


def _filled(source: _Array, out: _Array) -> _Array:
    run(fill, out.dtype, 1, 1, (source.reshape(-1), out.reshape(-1)))
    return out


def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Zeros; where runs of kernels are recorded, a kernel writes them."""
    if recording() is None:
        return memory.zeros(shape, dtype)
    return _filled(np.empty(0, dtype), memory.empty(shape, dtype))


def copied(array: _Array) -> _Array:
    """A copy, made in the same way."""
    return array.copy() if recording() is None else _filled(array, memory.empty(array.shape, array.dtype))


def expand(z: _Array, h: _Array, where: NDArray[np.int64], y: _Array) -> None:
    _, T, H = z.shape
    run(expanded, z.dtype, 1, 1, (z.reshape(-1), h.reshape(-1), where.reshape(-1), T, H, y.reshape(-1)))


def collect(dy: _Array, where: NDArray[np.int64], dz: _Array, dh: _Array) -> None:
    _, T, H = dz.shape
    run(collected, dz.dtype, 1, 1, (dy.reshape(-1), where.reshape(-1), T, H, dz.reshape(-1), dh.reshape(-1)))


def drop(x: _Array, draws: NDArray[np.float32], rate: float, y: _Array) -> None:
    N, T, D = x.shape
    if x.size:
        arguments = x.reshape(-1), draws.reshape(-1), np.float32(rate), 1 / (1 - rate), T, D, y.reshape(-1)
        run(dropped, x.dtype, 1, threads_for(N * T, _MOVE_WORK * x.size), arguments)


def take(table: _Array, numbers: NDArray[np.int64], y: _Array) -> None:
    if y.size:
        arguments = table.reshape(-1), numbers, table.shape[1], y.reshape(-1)
        run(taken, y.dtype, 1, threads_for(len(numbers), _MOVE_WORK * y.size), arguments)


def scatter(numbers: NDArray[np.int64], dy: _Array, sums: _Array) -> None:
    V, D = sums.shape
    run(scattered, sums.dtype, 1, threads_for(V, _MOVE_WORK * (dy.size + sums.size)),
        (numbers, dy.reshape(-1), D, sums.reshape(-1)))  # fmt: skip
