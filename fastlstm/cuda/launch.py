"""What an engine calls: passes of one direction of a layer on arrays that are on a device.

Nothing is checked here: arrays are as `records.py` says, of one float type, on the current device. Every call enqueues
its work on `stream` and returns; what it allocates and lets go of is freed when that work is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..params import AnyParams
from . import small, wide
from .passes import Backward, Forward, room_for
from .records import DeviceArray, DeviceBatch, DeviceKept, DeviceWeights
from .rows import THREADS, Rows, Size, blocks, clear_padding, copy
from .schedule import schedule
from .weights import pack, unpack

__all__ = [
    "cells_of", "keep", "kinds", "pack", "rows_at_once", "run_backward", "run_forward", "schedule", "unpack",
]  # fmt: skip

ROOM = 2**28  # bytes that a pass without a tape may take for its rows


def rows_at_once(weights: DeviceWeights) -> int:
    """How many rows a pass without a tape works on at once, so that its room does not grow with the steps: the `most`
    of its schedule. A function of sizes alone."""
    numbers = weights.cell.gate_count * weights.H + weights.P + weights.H  # z, h and c
    return max(1, ROOM // (numbers * int(weights.W.dtype.itemsize)))


def keep(weights: DeviceWeights, batch: DeviceBatch, stream: Any = 0) -> DeviceKept:
    """Room for what a forward pass of that batch keeps; nothing stands in it yet."""
    return room_for(weights, batch, stream, tape=True)


def kinds(weights: DeviceWeights, batch: DeviceBatch) -> Iterator[str]:
    """The kinds of kernels that can run the time loop, best first: a function of sizes alone. The first one does where
    the batch names none."""
    if small.form_for(weights, batch, tape=True).fits:
        yield "small"
    form = wide.form_for(weights, batch, tape=True)
    few = wide.group_rows(form, batch.schedule.N) <= wide.FEW
    if form.fits and few:
        yield "wide"
    yield "product"
    if form.fits and not few:
        yield "wide"


def _chosen(weights: DeviceWeights, batch: DeviceBatch) -> DeviceBatch:
    return batch if batch.kind else batch._replace(kind=next(kinds(weights, batch)))


def run_forward(
    weights: DeviceWeights,
    batch: DeviceBatch,
    state: Any,
    y: DeviceArray,
    column: int = 0,
    kept: DeviceKept | None = None,
    stream: Any = 0,
) -> None:
    """h of every step into y[:, :, column : column + P], 0 in padding; the last state in place of the first.

    state: State (h, c) or Hidden (h,) of device arrays (N, P) and (N, H); y: (N, T, width); kept: what the way back
    needs, written to where it is given."""
    tape, batch = kept is not None, _chosen(weights, batch)
    _clear_padding(batch, y, column, weights.P, stream)
    whole = batch.schedule
    for which in [whole] if tape or not whole.parts else whole.parts:
        part = batch._replace(schedule=which)
        room = room_for(weights, part, stream, tape=False) if kept is None else kept
        passed = Forward(weights, part, room, stream, tape=tape)
        if passed.M:
            passed.begin(state)
            passed.steps(state, y, column)


def run_backward(
    weights: DeviceWeights,
    batch: DeviceBatch,
    kept: DeviceKept,
    dy: DeviceArray | None,
    dstate: Any,
    dx: DeviceArray | None,
    column: int = 0,
    stream: Any = 0,
) -> AnyParams:
    """The gradients of the weights, a record of new device arrays, from dy[:, :, column : column + P].

    dx (N, T, D) is added to, at real steps; None where it is not wanted. dstate turns from the gradient of the last
    state into that of the first. kept: what `run_forward` has written."""
    batch = _chosen(weights, batch)
    passed = Backward(weights, batch, kept, stream, dstate)
    if passed.M:
        passed.steps(dy, column, dstate)
        passed.inputs(dx)
    return passed.gradients()


def cells_of(weights: DeviceWeights, batch: DeviceBatch, kept: DeviceKept, c: DeviceArray, stream: Any = 0) -> None:
    """c of every step into c (N, T, H), in the order of x, 0 in padding. kept: what `run_forward` has written."""
    _clear_padding(batch, c, 0, weights.H, stream)
    which, H = batch.schedule, weights.H
    size = Size(which.first[-1], H)
    if size.rows:
        copy[blocks(size), THREADS, stream](
            size, Rows(kept.c, which.own, 1 + which.N), Rows(c.reshape(-1, H), which.place, 0)
        )


def _clear_padding(batch: DeviceBatch, array: DeviceArray, column: int, width: int, stream: Any) -> None:
    which = batch.schedule
    size = Size(which.N * which.T, width)
    if size.rows > which.first[-1]:
        flat = array.reshape(size.rows, array.shape[2])
        clear_padding[blocks(size), THREADS, stream](size, which.lengths, which.T, flat, column)
