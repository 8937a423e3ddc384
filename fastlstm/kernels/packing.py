"""Weights laid out for the kernels.

A block is as many hidden units as a vector has lanes. A block's panel holds, row by row, the bias, the D
rows of W and the H rows of U, each row being the four gates' columns of those units side by side. Hidden
sizes that do not fill the last block are padded with zero weights, under which h and c stay 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..params import Params
from . import memory
from .options import compiled, kernel
from .simd import BLOCK, copy, lanes, lanes_of, transpose

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
        Of as many dimensions as the number of this layout.
    """

    panels: NDArray[Any]
    hidden_size: int
    layout: NDArray[Any] = np.empty((0,) * LAYOUT, np.bool_)

    def copy(self) -> Packed:
        """The same in memory of its own that begins on a cache line."""
        panels = memory.aligned(self.panels.shape, self.panels.dtype)
        panels[...] = self.panels
        return self._replace(panels=panels)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, tuple(self)


def _again(*fields: Any) -> Packed:
    """Packed from a pickle, which keeps no array's place in memory."""
    return Packed(*fields).copy()


def blocks(hidden_size: int, itemsize: int) -> int:
    """Vectors that hold that many units."""
    return -(-hidden_size // lanes(itemsize))


@kernel
def into_panels(first: Any, last: Any, w: Any, workers: Any, arguments: Any) -> None:
    """A worker's share of the blocks of panels, from W, U and b. One turn."""
    W, U, b, D, H, panels = arguments
    L = lanes_of(panels)
    depth = 1 + D + H
    for block in range(w, (H + L - 1) // L, workers):
        count = min(L, H - block * L)
        for row in range(depth):
            for gate in range(BLOCK):
                to, column = ((block * depth + row) * BLOCK + gate) * L, gate * H + block * L
                if row == 0:
                    copy(panels, to, b, column, count)
                elif row <= D:
                    copy(panels, to, W, (row - 1) * BLOCK * H + column, count)
                else:
                    copy(panels, to, U, (row - 1 - D) * BLOCK * H + column, count)
                for unit in range(count, L):
                    panels[to + unit] = 0


@compiled
def out_of_panels(w: Any, workers: Any, panels: Any, depth: Any, stride: Any, H: Any, rows: Any) -> None:
    """rows (depth, 4H) from panels of `stride` rows, a worker's share of them."""
    L = lanes_of(panels)
    for block in range(w, (H + L - 1) // L, workers):
        count = min(L, H - block * L)
        for row in range(depth):
            for gate in range(BLOCK):
                source = ((block * stride + row) * BLOCK + gate) * L
                copy(rows, (row * BLOCK + gate) * H + block * L, panels, source, count)


@compiled
def transpose_panels(w: Any, workers: Any, panels: Any, depth: Any, first: Any, R: Any, blocks: Any,
                     out: Any) -> None:  # fmt: skip
    """A worker's share of the panels that take gradients of z back to what z was made of: rows `first` to first + R
    of the weights become columns, (ceil(R / (4 lanes)), 4 lanes blocks, 4 lanes), z's columns rows in the panels'
    order; 0 behind column R."""
    L = lanes_of(panels)
    width = BLOCK * L
    tiles = (R + width - 1) // width * BLOCK
    for job in range(w, tiles * blocks, workers):
        tile, block = job // blocks, job % blocks
        source = (block * depth + first + tile * L) * width
        to = (tile // BLOCK * blocks + block) * width * width + tile % BLOCK * L
        if (tile + 1) * L <= R:
            for gate in range(BLOCK):
                transpose(out, to + gate * L * width, width, panels, source + gate * L, width)
        else:
            for row in range(L):
                for column in range(width):
                    real = row < R - tile * L
                    out[to + column * width + row] = panels[source + row * width + column] if real else 0


def unpack(packed: Packed) -> Params:
    """Panels -> Params, new arrays."""
    panels, H, _ = packed
    nb, depth, width = panels.shape
    by_gate = panels.reshape(nb, depth, BLOCK, width // BLOCK).transpose(1, 2, 0, 3).reshape(depth, BLOCK, -1)
    rows = by_gate[:, :, :H].reshape(depth, BLOCK * H)
    D = depth - 1 - H
    return Params(rows[1 : 1 + D].copy(), rows[1 + D :].copy(), rows[0].copy())
