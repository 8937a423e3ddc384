"""The tape of the in-place functions."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...params import form


class Buffers(NamedTuple):
    """A tape for `forward_train_into` and `backward_into`, made by `make_tape`: one layer's arrays.

    Attributes
    ----------
    layout : ndarray, empty
    hidden_size, output_size : int
        What it was made for, as in Packed: the cell, H and P.
    x : ndarray, shape (N, T, D)
        The input.
    h : ndarray, shape (N, P)
        The initial h.
    gates, cells : ndarray
        As on any tape: (T, N, blocks, kept lanes), and c before each step and after the last (T + 1, N, blocks lanes).
    dx : ndarray, shape (N, T, D)
        The gradient of x, for the layer below; empty in the first layer.
    bases, order, lens : ndarray of int64
        The schedule: of T steps for all.
    reset : ndarray of bool
        Empty: there is none.
    dh, dc, t, dz, a, dp, tmp, zeros, wt, ut, where : ndarray
        Room to work in (backend.Room).
    """

    layout: Any
    hidden_size: int
    output_size: int
    x: Any
    h: Any
    gates: Any
    cells: Any
    dx: Any
    bases: Any
    order: Any
    lens: Any
    reset: Any
    dh: Any
    dc: Any
    t: Any
    dz: Any
    a: Any
    dp: Any
    tmp: Any
    zeros: Any
    wt: Any
    ut: Any
    where: Any

    def __repr__(self) -> str:
        return f"Buffers(x={form(self.x)}, h={form(self.h)}, and room to work in)"
