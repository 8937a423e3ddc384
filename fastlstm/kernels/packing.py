"""Weights laid out for the kernels.

A block is as many hidden units as a vector has lanes. A block's panel holds, row by row, the bias, the D
rows of W and the H rows of U, each row being the four gates' columns of those units side by side. Hidden
sizes that do not fill the last block are padded with zero weights, under which h and c stay 0.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..params import Params
from .simd import BLOCK, lanes


class Packed(NamedTuple):
    """One layer's weights in panels, made by `pack`; takes the place of Params, also in @njit code.

    Attributes
    ----------
    panels : ndarray, shape (ceil(H / lanes), 1 + D + H, 4 lanes)
    hidden_size : int
        H.
    """

    panels: NDArray[Any]
    hidden_size: int


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that begin on a cache line."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def blocks(hidden_size: int, itemsize: int) -> int:
    """Vectors that hold that many units."""
    return -(-hidden_size // lanes(itemsize))


def pack(params: Params) -> Packed:
    """Params -> panels."""
    W, U, b = params
    D, H, L = len(W), len(U), lanes(W.itemsize)
    panels = aligned((blocks(H, W.itemsize), 1 + D + H, BLOCK * L), W.dtype)
    for rows, first in ((b[None], 0), (W, 1), (U, 1 + D)):
        _into_panels(panels[:, first : first + len(rows)], rows, H)
    return Packed(panels, H)


def _into_panels(panels: NDArray[Any], rows: NDArray[Any], H: int) -> None:
    """rows (R, 4H) -> panels (blocks, R, 4 lanes)."""
    L = panels.shape[2] // BLOCK
    by_gate = rows.reshape(len(rows), BLOCK, H)
    whole = H // L
    for gate in range(BLOCK):
        target = panels[:, :, gate * L : (gate + 1) * L]
        target[:whole] = by_gate[:, gate, : whole * L].reshape(len(rows), whole, L).swapaxes(0, 1)
        if whole * L < H:
            target[whole, :, : H - whole * L] = by_gate[:, gate, whole * L :]


def from_panels(panels: NDArray[Any], H: int) -> NDArray[Any]:
    """panels (blocks, R, 4 lanes) -> rows (R, 4H), a new array."""
    nb, R, width = panels.shape
    return np.ascontiguousarray(
        panels.reshape(nb, R, BLOCK, width // BLOCK).transpose(1, 2, 0, 3).reshape(R, BLOCK, -1)[:, :, :H]
    ).reshape(R, BLOCK * H)


def unpack(packed: Packed) -> Params:
    """Panels -> Params, new arrays."""
    rows = from_panels(packed.panels, packed.hidden_size)
    D = len(rows) - 1 - packed.hidden_size
    return Params(rows[1 : 1 + D].copy(), rows[1 + D :].copy(), rows[0].copy())


def pack_transposed(rows: NDArray[Any], H: int) -> NDArray[Any]:
    """The panels that take gradients of z back to what z was made of: rows (R, 4H) of W or U ->
    (ceil(R / (4 lanes)), 4 lanes blocks, 4 lanes): R in panels' columns, z's columns in the panels' order."""
    R, L = len(rows), lanes(rows.itemsize)
    nb, width = blocks(H, rows.itemsize), BLOCK * L
    columns = np.zeros((nb, -(-R // width) * width, width), rows.dtype)
    _into_panels(columns[:, :R], rows, H)
    out = aligned((columns.shape[1] // width, nb * width, width), rows.dtype)
    out.reshape(-1, nb, width, width)[...] = columns.reshape(nb, -1, width, width).transpose(1, 0, 3, 2)
    return out
