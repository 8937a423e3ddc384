"""What is done to a layer where a user's compiled code calls it: steps, chunks and their gradients, all of it serial.

Forward, the tiles read x and h where the caller keeps them; only the new h needs a place of its own, on the stack or
on the tape, until all of the old one has been read. Backward, the kernel of the package runs in the calling thread, in
the room that the tape brings along."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.options import inlined
from ..compiler.run import stored
from ..lstm.backward import backward
from ..lstm.packing import into_panels
from ..lstm.tiles import STEP_ROWS
from ..vectors.rows import copy
from ..vectors.views import array_or_flat, flat, lowest_bit, numbers, on_stack
from .chunk import chunk, sample_numbers
from .writer import inlined_part, part

if STEP_ROWS != 4:
    raise AssertionError("tile_4 is the one of STEP_ROWS rows")
sample_room = inlined_part(sample_numbers)


def _step_layer(x: Any, packed: Any, state: Any, turn: Any, most: Any, room: Any) -> None:
    """One step; x (N, D) or (D,), h (N, P) or (P,), c (N, H) or (H,), of shapes that fit. It works on the stack: most:
    samples at once; room: numbers that each needs."""
    zero, one = np.int64(0), np.int64(1)
    N, row = one, zero
    if x.ndim == 2:
        N, row = x.shape[0], numbers(x, x.strides[0])
    else:
        most = one
    h = flat(state.h)
    chunk(packed.layout, flat(x), row, zero, numbers(x, x.strides[-1]), N, one, x.shape[-1], flat(packed.panels),
          array_or_flat(packed.second, packed.panels), packed.hidden_size, packed.output_size, h, flat(state.c), h,
          zero, zero, h, h, False, turn, on_stack(packed.panels, most * room), most)  # fmt: skip


step_layer, step_of_many = inlined_part(_step_layer), part(_step_layer)


@inlined_part
def any_turn(c: Any) -> Any:
    """0 or 1 by the last bit of the state: as good as by chance, with nothing kept that threads would share."""
    return lowest_bit(c, np.int64(0)) if c.size > 0 else np.int64(0)


def _chunk_layer(x: Any, y: Any, packed: Any, state: Any, kept: Any, work: Any, most: Any) -> None:
    """All steps; x (N, T, D) or (T, D), h (N, P) or (P,), c (N, H) or (H,), y (N, T, P) or (T, P), of shapes that
    fit. kept: gates and cells of a tape, or None; work: room for `most` samples at once."""
    N, H, P, h = np.int64(1), packed.hidden_size, packed.output_size, flat(state.h)
    if x.ndim == 3:
        N = x.shape[0]
    x_row, y_row = numbers(x, x.strides[0]), numbers(y, y.strides[0])  # of no effect for a single sequence
    x_step, y_step = numbers(x, x.strides[-2]), numbers(y, y.strides[-2])
    if y_step == 0:  # an axis of one step may have any stride; 0 would say that there is no y
        y_step = P
    gates = cells = h
    if kept is not None:
        gates, cells = flat(kept[0]), flat(kept[1])
    chunk(packed.layout, flat(x), x_row, x_step, numbers(x, x.strides[-1]), N, x.shape[-2], x.shape[-1],
          flat(packed.panels), array_or_flat(packed.second, packed.panels), H, P, h, flat(state.c), flat(y), y_row,
          y_step, gates, cells, kept is not None, np.int64(0), work, most)  # fmt: skip


chunk_layer, _inlined_chunk = part(_chunk_layer), inlined(_chunk_layer)


@part
def pass_layer(x: Any, y: Any, packed: Any, state: Any, most: Any, room: Any) -> None:
    """The same without a tape, on the stack."""
    _inlined_chunk(x, y, packed, state, None, on_stack(packed.panels, most * room), most)


@part
def put_step(y: Any, t: Any, h: Any) -> None:
    """y (N, T, P) or (T, P) at step t = h (N, P) or (P,)."""
    P, row = h.shape[-1], np.int64(0)
    if y.ndim == 3:
        row = numbers(y, y.strides[0])
    for n in range(h.size // P):
        copy(flat(y), n * row + t * numbers(y, y.strides[-2]), flat(h), n * P, P)


@part
def keep_input(x: Any, kept: Any) -> None:
    """kept (N, T, D) = x (N, T, D) or (T, D)."""
    N, T, D = kept.shape
    for n in range(N):
        for t in range(T):
            for j in range(D):
                kept[n, t, j] = x[n, t, j] if x.ndim == 3 else x[t, j]


@part
def put(to: Any, array: Any) -> None:
    """One flat array into another; zeros for None."""
    if array is not None:
        copy(to, np.int64(0), array, np.int64(0), array.size)
    else:
        _zero(to)


@part
def follows(array: Any, first: Any, step: Any) -> Any:
    """Whether the numbers are first, first + step, first + 2 step, .."""
    for n in range(array.size):  # noqa: SIM110 - Numba has no all()
        if array[n] != first + n * step:
            return False
    return True


@inlined
def _zero(array: Any) -> None:
    for i in range(array.size):
        array[i] = 0


@part
def backward_layer(tape: Any, packed: Any, dy: Any, ldy: Any, dx: Any, params: Any, state: Any) -> None:
    """Gradients of a layer, those of its last state standing in `state`, where the initial one's take their place.

    dy: flat, (N, T, ldy); ldy 0 where there are none."""
    N, T, D = tape.x.shape
    H, cell, second = packed.hidden_size, packed.layout, array_or_flat(packed.second, packed.panels)
    P = packed.output_size
    _zero(dx)
    dW, dU, dV, db = flat(params.W), flat(params.U), flat(params[2]), flat(params.b)
    if N == 0 or T == 0:
        for array in (dW, dU, dV, db):
            _zero(array)
    else:
        M = tape.where.size
        dz, a, zeros = flat(tape.dz), flat(tape.a), flat(tape.zeros)
        block, no = M // N, N < 0
        turns = 1 + (T + block - 1) // block * 2
        zero, one = N - N, N - N + 1  # numbers, not constants: those would be types of their own
        call = (
            turns, one, no, flat(tape.x), flat(tape.h), flat(tape.cells), flat(tape.gates), tape.reset, zeros[:0], no,
            dy if ldy > 0 else zeros, ldy, zero, flat(state.h), flat(state.c), dx,
        )  # fmt: skip
        weights = (
            block, T, flat(packed.panels), dW, dU, dV, db, flat(tape.bases), cell, second, D, H, P,
            flat(tape.order), flat(tape.lens), T,
        )  # fmt: skip
        room = (
            flat(tape.dh), tape.dh.shape[1], flat(tape.dc), tape.dc.shape[1], flat(tape.t), dz, dz.size // M, a,
            a.size // M, flat(tape.dp), flat(tape.tmp), zeros, flat(tape.wt), flat(tape.ut), flat(tape.where),
        )  # fmt: skip
        backward(zero, turns, zero, one, stored(call + weights + room))


@part
def pack_layer(params: Any, packed: Any, D: Any) -> None:
    H, P = packed.hidden_size, packed.output_size
    zero = H - H
    arguments = (packed.layout, flat(params.W), flat(params.U), flat(params[2]), flat(params.b), D, H, P,
                 flat(packed.panels), array_or_flat(packed.second, packed.panels))  # fmt: skip
    into_panels(zero, zero + 1, zero, zero + 1, stored(arguments))
