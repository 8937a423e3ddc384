"""The tape of the in-place functions."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...params import form
from ..lstm.records import Room, kept_shapes, room_shapes


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


INTEGERS = "bases", "order", "lens", "where"
"""The fields that are arrays of int64."""


def tape_shapes(
    name: str, itemsize: int, sizes: tuple[Any, Any, Any], N: Any, T: Any, M: Any, workers: int
) -> dict[str, tuple[Any, ...]]:
    """Of all arrays of a layer that has one below it, but the empty ones; the numbers may be such as code that is being
    written has (vectors.whole).

    name: the cell's; sizes: D, H, P; M: rows of a block of the backward pass."""
    D, H, P = sizes
    gates, cells = kept_shapes.__wrapped__(name, itemsize, H, N, T)
    floats, where = room_shapes.__wrapped__(name, itemsize, D, H, P, N, M, workers)
    room = dict(zip(Room._fields, (*floats, where), strict=True))
    return {"x": (N, T, D), "h": (N, P), "gates": gates, "cells": cells, "dx": (N, T, D), "bases": (T + 1,),
            "order": (N,), "lens": (N,), **room}  # fmt: skip
