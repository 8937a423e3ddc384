"""Some rows of arrays on the device, and kernels that copy, add up and clear them. A thread has one number."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .device import SIMULATED, add, cuda, kernel, multiply

THREADS = 4 if SIMULATED else 128


class Rows(NamedTuple):
    """Row r of these is array[of[first + r], column:].

    Attributes
    ----------
    array : device array of two axes
    of : device array of int32
    first, column : int
    """

    array: Any
    of: Any
    first: int
    column: int = 0


class Size(NamedTuple):
    """How many rows a kernel works on, and numbers of each."""

    rows: int
    width: int


def blocks(size: Size) -> int:
    """Of THREADS, for all numbers."""
    return -(-size.rows * size.width // THREADS)


@kernel
def copy(size: Size, source: Rows, target: Rows) -> None:
    e = cuda.grid(1)
    if e < size.rows * size.width:
        r = e // size.width
        j = e % size.width
        target.array[target.of[target.first + r], target.column + j] = source.array[
            source.of[source.first + r], source.column + j
        ]


@kernel
def accumulate(size: Size, source: Rows, target: Rows) -> None:
    """target += source."""
    e = cuda.grid(1)
    if e < size.rows * size.width:
        r = e // size.width
        j = e % size.width
        row = target.of[target.first + r]
        value = source.array[source.of[source.first + r], source.column + j]
        target.array[row, target.column + j] = add(target.array[row, target.column + j], value)


@kernel
def scale(size: Size, source: Rows, factors: Rows, target: Rows) -> None:
    """target = source * factors."""
    e = cuda.grid(1)
    if e < size.rows * size.width:
        r = e // size.width
        j = e % size.width
        value = source.array[source.of[source.first + r], source.column + j]
        factor = factors.array[factors.of[factors.first + r], factors.column + j]
        target.array[target.of[target.first + r], target.column + j] = multiply(value, factor)


@kernel
def spread(size: Size, row: Any, target: Any) -> None:
    """target (rows, width) = row (width,), everywhere."""
    e = cuda.grid(1)
    if e < size.rows * size.width:
        target[e // size.width, e % size.width] = row[e % size.width]


@kernel
def clear(size: Size, target: Rows) -> None:
    e = cuda.grid(1)
    if e < size.rows * size.width:
        target.array[target.of[target.first + e // size.width], target.column + e % size.width] = 0


@kernel
def clear_padding(size: Size, lengths: Any, T: int, target: Any, column: int) -> None:
    """target (N T, ..) = 0 behind each sequence's length, in columns from `column` on. size.rows: N T."""
    e = cuda.grid(1)
    if e < size.rows * size.width:
        row = e // size.width
        if row % T >= lengths[row // T]:
            target[row, column + e % size.width] = 0


@lru_cache(None)
def past_the_product(masked: bool, adds_c: bool) -> Any:
    """What came through a product with U.T, and through c where p stands there (`Cell.gates_h`), goes to dh.

    Kernel: dh[n] += mask[n] * (through[n] + dc[n]), dc[n] = 0, n the sequences of the rows; nothing where a row began
    with zeros. rows: `Schedule.sequence`; old: `Schedule.old`, from the same row on."""

    @kernel
    def past(size: Size, rows: Rows, old: Any, through: Any, mask: Any, dc: Any) -> None:
        e = cuda.grid(1)
        if e < size.rows * size.width:
            r = e // size.width
            j = e % size.width
            n = rows.of[rows.first + r]
            value = through[n, j]
            if adds_c:
                value = add(value, dc[n, j])
                dc[n, j] = 0
            if masked:
                value = multiply(value, mask[n, j])
            if old[rows.first + r] > 0:
                rows.array[n, j] = add(rows.array[n, j], value)

    return past
