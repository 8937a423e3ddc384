"""Weights laid out for the kernels.

A block is as many hidden units as a vector has lanes. A block's panel holds, row by row, the bias, the D
rows of W and the H rows of U, each row being the four gates' columns of those units side by side: zeros for a gate that
does not read that operand. Hidden sizes that do not fill the last block are padded with zero weights, under which h and
c stay 0.

A cell with a second phase has more panels: V's columns of four blocks of units side by side.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..params import CELLS as RECORDS
from ..params import AnyParams
from . import memory
from .cells import Cell, cell_of, column_of
from .options import compiled, inlined, kernel, loaded
from .simd import BLOCK, TILE_ROWS, copy, flat, lanes, lanes_of, transpose

LAYOUT = 1
"""Number of the panels' layout, to be raised whenever that changes. It stands in the type that Numba sees, as the
dimensions of an empty array: so a user's compiled function in his cache is compiled again for another layout."""


class Packed(NamedTuple):
    """One layer's weights in panels, made by `pack`; takes the place of Params, also in @njit code.

    Attributes
    ----------
    panels : ndarray, shape (ceil(H / lanes), 1 + D + H, 4 lanes)
    hidden_size : int
        H.
    layout : ndarray, empty
        Of as many dimensions as the number of this layout, and of the dtype that stands for the cell.
    second : ndarray, shape (ceil(H / (4 lanes)), H, 4 lanes), or None
        Panels of the second phase, where the cell has one.
    """

    panels: NDArray[Any]
    hidden_size: int
    layout: NDArray[Any] = np.empty((0,) * LAYOUT, np.bool_)
    second: NDArray[Any] | None = None

    def copy(self) -> Packed:
        """The same in memory of its own that begins on a cache line."""
        return self._replace(panels=_own(self.panels), second=None if self.second is None else _own(self.second))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, tuple(self)


def _own(panels: NDArray[Any]) -> NDArray[Any]:
    found = memory.aligned(panels.shape, panels.dtype)
    found[...] = panels
    return found


def _again(*fields: Any) -> Packed:
    """Packed from a pickle, which keeps no array's place in memory."""
    return Packed(*fields).copy()


@functools.cache
def mark(cell: Cell) -> NDArray[Any]:
    """What stands for the cell, and for the layout's number, in compiled code."""
    return np.empty((0,) * LAYOUT, cell.mark)


def cell_in(packed: Packed) -> Cell:
    return cell_of(packed.layout.dtype)


def record_of(packed: Packed) -> type[AnyParams]:
    """What its weights are when they are not packed."""
    return RECORDS[cell_in(packed).name]


def blocks(hidden_size: int, itemsize: int) -> int:
    """Vectors that hold that many units."""
    return -(-hidden_size // lanes(itemsize))


def wide_blocks(hidden_size: int, itemsize: int) -> int:
    """Panels of a second phase: four blocks each."""
    return -(-blocks(hidden_size, itemsize) // BLOCK)


@compiled
def row_length(cell: Any, part: Any, H: Any) -> Any:
    """Numbers in a row of b (part 0), W (1) or U (2)."""
    gates = H - H
    for gate in range(BLOCK):
        if column_of(cell, part, gate) >= 0:
            gates += 1
    return gates * H


@inlined
def _places(cell: Any, part: Any) -> Any:
    zero = np.int64(0)
    return (column_of(cell, part, zero), column_of(cell, part, zero + 1), column_of(cell, part, zero + 2),
            column_of(cell, part, zero + 3))  # fmt: skip


@inlined
def _into(cell: Any, part: Any, panels: Any, to: Any, source: Any, rows: Any, H: Any, first: Any) -> None:
    """Rows of b, W or U, the columns of units `first` to first + lanes, into a block's panel at panels[to]."""
    L = lanes_of(panels)
    places, length, count = _places(cell, part), row_length(cell, part, H), min(L, H - first)
    for row in range(rows):
        for gate in range(BLOCK):
            at, found = to + (row * BLOCK + gate) * L, np.int64(0)
            if places[gate] >= 0:
                found = count
                copy(panels, at, source, row * length + places[gate] * H + first, count)
            for unit in range(found, L):
                panels[at + unit] = 0


@inlined
def _out_of(cell: Any, part: Any, panels: Any, source: Any, out: Any, rows: Any, H: Any, first: Any) -> None:
    """The way back."""
    L = lanes_of(panels)
    places, length, count = _places(cell, part), row_length(cell, part, H), min(L, H - first)
    for row in range(rows):
        for gate in range(BLOCK):
            if places[gate] >= 0:
                copy(out, row * length + places[gate] * H + first, panels, source + (row * BLOCK + gate) * L, count)


@kernel
def into_panels(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of the blocks of panels, from W, U, V and b; V, where there is no second phase, is any array.
    One turn."""
    cell, W, U, V, b, D, H, panels, second = loaded(pointer)
    L = lanes_of(panels)
    width = BLOCK * L
    for block in range(w, (H + L - 1) // L, workers):
        to, unit = block * (1 + D + H) * width, block * L
        _into(cell, np.int64(0), panels, to, b, np.int64(1), H, unit)
        _into(cell, np.int64(1), panels, to + width, W, D, H, unit)
        _into(cell, np.int64(2), panels, to + (1 + D) * width, U, H, H, unit)
    into_second(w, workers, V, H, second)


@compiled
def into_second(w: Any, workers: Any, V: Any, H: Any, second: Any) -> None:
    """The same for the panels of the second phase, if there is one."""
    if second.ndim == 3:
        width, out = BLOCK * lanes_of(second), flat(second)
        for q in range(w, second.shape[0], workers):
            count = min(width, H - q * width)
            for row in range(H):
                to = (q * H + row) * width
                copy(out, to, V, row * H + q * width, count)
                for unit in range(count, width):
                    out[to + unit] = 0


@compiled
def out_of_panels(w: Any, workers: Any, cell: Any, panels: Any, stride: Any, second: Any, D: Any, H: Any, W: Any,
                  U: Any, V: Any, b: Any) -> None:  # fmt: skip
    """W, U, b, and V from panels of `stride` rows and what is behind them, of as few rows as H has whole tiles; a
    worker's share."""
    L = lanes_of(panels)
    for block in range(w, (H + L - 1) // L, workers):
        source, unit = block * stride * BLOCK * L, block * L
        _out_of(cell, np.int64(0), panels, source, b, np.int64(1), H, unit)
        _out_of(cell, np.int64(1), panels, source + BLOCK * L, W, D, H, unit)
        _out_of(cell, np.int64(2), panels, source + (1 + D) * BLOCK * L, U, H, H, unit)
    if second.ndim == 3:
        width, taller = BLOCK * L, (H + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
        begin = (H + L - 1) // L * stride * width
        for q in range(w, second.shape[0], workers):
            for row in range(H):
                copy(V, row * H + q * width, panels, begin + (q * taller + row) * width, min(width, H - q * width))


@compiled
def transpose_panels(w: Any, workers: Any, panels: Any, depth: Any, first: Any, R: Any, blocks: Any, out: Any,
                     o0: Any) -> None:  # fmt: skip
    """A worker's share of the panels that take gradients of z back to what z was made of: rows `first` to first + R
    of the weights become columns, (ceil(R / (4 lanes)), 4 lanes blocks, 4 lanes), z's columns rows in the panels'
    order; 0 behind column R, as far as products.product_of reads. They begin at out[o0]."""
    L = lanes_of(panels)
    width = BLOCK * L
    tiles = (R + width - 1) // width * BLOCK
    for job in range(w, tiles * blocks, workers):
        tile, block = job // blocks, job % blocks
        source = (block * depth + first + tile * L) * width
        to = o0 + (tile // BLOCK * blocks + block) * width * width + tile % BLOCK * L
        if (tile + 1) * L <= R:
            for gate in range(BLOCK):
                transpose(out, to + gate * L * width, width, panels, source + gate * L, width)
        elif tile * L < R:
            for row in range(L):
                for column in range(width):
                    real = row < R - tile * L
                    out[to + column * width + row] = panels[source + row * width + column] if real else 0
        elif tile % BLOCK < BLOCK // 2 or R - tile // BLOCK * width > width // 2:
            for column in range(width):
                for row in range(L):
                    out[to + column * width + row] = 0


def unpack(packed: Packed) -> AnyParams:
    """Panels -> the record of weights, new arrays."""
    panels, H = packed.panels, packed.hidden_size
    nb, depth, width = panels.shape
    by_gate = panels.reshape(nb, depth, BLOCK, width // BLOCK).transpose(1, 2, 0, 3).reshape(depth, BLOCK, -1)[:, :, :H]
    D = depth - 1 - H
    arrays = {}
    parts = by_gate[0], by_gate[1 : 1 + D], by_gate[1 + D :]
    for field, rows, places in zip("bWU", parts, cell_in(packed).columns, strict=True):
        order = np.argsort(places)[places.count(-1) :]
        arrays[field] = rows[..., order, :].reshape(*rows.shape[:-2], -1).copy()
    if packed.second is not None:
        arrays["V"] = packed.second.transpose(1, 0, 2).reshape(H, -1)[:, :H].copy()
    return record_of(packed)(**arrays)
