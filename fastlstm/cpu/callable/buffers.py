"""The tape of the in-place functions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...params import AnyParams, form
from ..lstm import records
from ..lstm.packing import Packed, cell_in, mark, sizes
from ..lstm.plans import Standing
from ..machine import memory, threads


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
        Room to work in (records.Room).
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

    @property
    def room(self) -> records.Room:
        return records.Room(*(getattr(self, field) for field in records.Room._fields))

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
    gates, cells = records.kept_shapes.__wrapped__(name, itemsize, H, N, T)
    floats, where = records.room_shapes.__wrapped__(name, itemsize, D, H, P, N, M, workers)
    room = dict(zip(records.Room._fields, (*floats, where), strict=True))
    return {"x": (N, T, D), "h": (N, P), "gates": gates, "cells": cells, "dx": (N, T, D), "bases": (T + 1,),
            "order": (N,), "lens": (N,), **room}  # fmt: skip


def make_tape(packed: Packed, N: int, T: int, *, first: bool) -> Buffers:
    """All arrays of an entry are in one piece of memory."""
    dtype, (D, H, P), cell = packed.panels.dtype, sizes(packed), cell_in(packed)
    shapes = _shapes(dtype, cell.name, (D, H, P), N, T, threads.most(), first)
    floats = tuple(
        (shape[0] * 8 // dtype.itemsize,) if field in INTEGERS else shape for field, shape in shapes.items()
    )  # fmt: skip
    arrays = dict(zip(shapes, memory.pieces(floats, dtype), strict=True))
    for field in INTEGERS:
        arrays[field] = arrays[field].view(np.int64)
    for field in ("x", "h", "dx"):
        arrays[field].fill(0)
    arrays["bases"][:], arrays["order"][:], arrays["lens"][:] = np.arange(T + 1) * N, np.arange(N), T
    arrays["where"].fill(0)
    tape = Buffers(layout=mark(cell), hidden_size=H, output_size=P, reset=np.zeros(0, np.bool_), **arrays)
    records.begin_room(tape.room, D, H, P, cell)
    return tape


@lru_cache(256)
def _shapes(
    dtype: np.dtype[Any], name: str, sizes: tuple[int, int, int], N: int, T: int, workers: int, first: bool
) -> dict[str, tuple[int, ...]]:
    """`tape_shapes`, kept for many calls; first: whether no layer is below this one."""
    found = tape_shapes(name, dtype.itemsize, sizes, N, T, N * records.backward_block(N, T), workers)
    return found | {"dx": (0, 0, 0)} if first else found


def tape_arrays(
    packed: Packed, tape: Buffers, N: int, T: int, *, first: bool
) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    dtype, cell = packed.panels.dtype, cell_in(packed)
    # a pickled tape may be that of a process of fewer threads, or of more
    workers = max(1, records.threads_of(tape.tmp, dtype))
    shapes = _shapes(dtype, cell.name, sizes(packed), N, T, workers, first)
    kinds = {True: np.dtype(np.int64), False: dtype}
    found = [(field, shape, kinds[field in INTEGERS]) for field, shape in shapes.items()]
    return [*found, ("reset", (0,), np.dtype(np.bool_))]


def standing_in(tape: Buffers, gradients: AnyParams) -> Standing:
    return Standing(gradients, tape.room)
