"""What passes keep and work in: the tape's arrays, and the room of the backward pass."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...cells.phases import Cell
from ...cells.table import CELLS, cell_named
from ..machine import memory, threads
from ..machine.memory import Array
from ..vectors.target import BLOCK, lanes
from .arguments import FlatRoom
from .packing import Packed, blocks, cell_in, sizes, wide_blocks
from .sizes import GROUP, dz_vectors, room_sizes

_BLOCK_ROWS = 384  # rows, samples times steps, of a block of the backward pass


class Kept(NamedTuple):
    """What the forward pass leaves for the backward pass, in the order of computation: a sample's rank is its
    place by falling length.

    Attributes
    ----------
    gates : ndarray, shape (T, N, blocks, kept * lanes)
        What the cell's phases keep (Cell.kept).
    cells : ndarray, shape (T + 1, N, blocks * lanes)
        c before each step and after the last.
    """

    gates: Array
    cells: Array


def keep(packed: Packed, N: int, T: int) -> Kept:
    """Room for what a forward pass keeps."""
    dtype = packed.panels.dtype
    gates, cells = kept_shapes(cell_in(packed).name, dtype.itemsize, packed.hidden_size, N, T)
    return Kept(memory.empty(gates, dtype), memory.empty(cells, dtype))


@lru_cache(1024)
def kept_shapes(name: str, itemsize: int, H: int, N: int, T: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of it. name: the cell's."""
    nb, L = blocks(H, itemsize), lanes(itemsize)
    return (T, N, nb, cell_named(name).kept * L), (T + 1, N, nb * L)


class Room(NamedTuple):
    """What the backward pass needs to work in: arguments of its kernel, M being the rows of a block."""

    dh: Array  # (N, ldh)
    dc: Array  # (N, ldc)
    t: Array  # (N, blocks * lanes)
    dz: Array  # (M, ldz)
    a: Array  # (M, lda)
    dp: Array
    tmp: Array
    zeros: Array
    wt: Array
    ut: Array
    where: Array  # (M,)


def backward_block(N: int, steps: int) -> int:
    """Steps of a block of time."""
    return max(1, min(steps, _BLOCK_ROWS // max(N, 1)))


@lru_cache(1024)
def room_shapes(
    name: str, itemsize: int, D: int, H: int, P: int, N: int, M: int, workers: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The shapes of that room: those of floats, and the last. name: the cell's."""
    L, cell = lanes(itemsize), cell_named(name)
    ldh, ldc, ldz, lda, sums, wt, ut = room_sizes(cell, L, D, H, P)
    width, Hp = BLOCK * L, blocks(H, itemsize) * L
    floats = (
        (N, ldh), (N, ldc), (N, Hp), (M, ldz), (M, lda), (sums,), (workers * GROUP * width,), (width,), (wt,), (ut,),
    )  # fmt: skip
    return floats, (M,)


def begin_room(room: Room, D: int, H: int, P: int, cell: Cell) -> Room:
    """What has to stand there before the first pass."""
    width = room.zeros.size
    nb, L = blocks(H, room.dz.itemsize), lanes(room.dz.itemsize)
    operands, columns = 1 + D + room.t.shape[1], dz_vectors(cell, nb) * L
    room.zeros.fill(0)
    if cell.multiplies_later:
        operands += room.t.shape[1]
        room.dz[:, columns + P : columns + wide_blocks(P, room.dz.itemsize) * width] = 0  # they fill up the last panel
    room.a[:, operands:] = 0  # beyond the last operand: read, to no effect, as they fill up a tile
    return room


def backward_room(
    dtype: np.dtype[Any], D: int, H: int, P: int, N: int, M: int, workers: int, cell: Cell = CELLS[0]
) -> Room:
    """All in one piece of memory, each array beginning on a cache line."""
    floats, where = room_shapes(cell.name, dtype.itemsize, D, H, P, N, M, workers)
    return begin_room(Room(*memory.pieces(floats, dtype), np.empty(where, np.int64)), D, H, P, cell)


def threads_of(tmp: Any, dtype: np.dtype[Any]) -> int:
    """Threads that there is room for, by that array of it."""
    return int(np.size(tmp)) // (GROUP * BLOCK * lanes(dtype.itemsize))


def flat_room(room: Room) -> FlatRoom:
    """As the kernel takes it."""
    dh, dc, t, dz, a, dp, tmp, zeros, wt, ut, where = room
    return FlatRoom(
        dh=dh.ravel(), ldh=dh.shape[1], dc=dc.ravel(), ldc=dc.shape[1], t=t.ravel(), dz=dz.ravel(), ldz=dz.shape[1],
        a=a.ravel(), lda=a.shape[1], dp=dp, tmp=tmp, zeros=zeros, wt=wt, ut=ut, where=where,
    )  # fmt: skip


def room_for(packed: Packed, N: int, T: int) -> Room:
    """Room for any backward pass over N sequences of T steps, for many calls."""
    M = N * backward_block(N, T)
    return backward_room(packed.panels.dtype, *sizes(packed), N, M, threads.most(), cell_in(packed))
