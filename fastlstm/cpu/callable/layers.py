"""What is done to a layer where a user's compiled code calls it: steps, chunks and their gradients, all of it serial.

Forward, the tiles read x and h where the caller keeps them; only the new h needs a place of its own, on the stack or
on the tape, until all of the old one has been read. Backward, the kernel of the package runs in the calling thread, in
the room that the tape brings along."""

from __future__ import annotations

from typing import Any

from ..compiler.options import inlined, sealed
from ..compiler.run import alone, stored
from ..lstm.arguments import BackwardArguments, PackArguments, Tape, Weights, sizes_of
from ..lstm.backward import backward
from ..lstm.cell_type import cell_marked
from ..lstm.packing import into_panels
from ..lstm.sizes import inputs_of
from ..vectors.rows import clear, copy
from ..vectors.view import view
from ..vectors.views import flat, flat_or, lowest_bit, numbers, on_stack
from .chunk import Chunk, chunk, sample_numbers
from .writer import inlined_part, part

sample_room = inlined_part(sample_numbers)


@inlined
def weights_of(packed: Any) -> Any:
    """The records of packed weights that kernels take."""
    cell = cell_marked(packed.layout)
    D = inputs_of(cell, packed.panels.shape[1], packed.output_size)
    sizes = sizes_of(cell, D, packed.hidden_size, packed.output_size)
    return sizes, Weights(cell, flat(packed.panels), flat_or(packed.second, packed.panels))


def _step_layer(x: Any, packed: Any, h: Any, c: Any, turn: Any, most: Any, room: Any) -> None:
    """One step; x (N, D) or (D,), h (N, P) and c (N, H), flat, of shapes that fit. It works on the stack: most: samples
    at once; room: numbers that each needs."""
    N, row = 1, 0
    if x.ndim == 2:
        N, row = x.shape[0], numbers(x, x.strides[0])
    else:
        most = 1
    sizes, weights = weights_of(packed)
    given = Chunk(N, 1, view(flat(x), 0, row, numbers(x, x.strides[-1])), 0, h, c, h, 0, 0, turn)
    chunk(sizes, weights, given, Tape(h, h, False), on_stack(packed.panels, most * room), most)


step_layer, step_of_many = inlined_part(_step_layer), sealed(_step_layer)


@inlined_part
def any_turn(c: Any) -> Any:
    """0 or 1 by the last bit of the state: as good as by chance, with nothing kept that threads would share."""
    return lowest_bit(c, 0) if c.size > 0 else 0


def _chunk_layer(x: Any, y: Any, packed: Any, h: Any, c: Any, kept: Any, work: Any, most: Any) -> None:
    """All steps; x (N, T, D) or (T, D), h (N, P) and c (N, H), flat, y (N, T, P) or (T, P), of shapes that fit. kept:
    gates and cells of a tape, or None; work: room for `most` samples at once."""
    N = 1
    if x.ndim == 3:
        N = x.shape[0]
    x_row, y_row = numbers(x, x.strides[0]), numbers(y, y.strides[0])  # of no effect for a single sequence
    x_step, y_step = numbers(x, x.strides[-2]), numbers(y, y.strides[-2])
    if y_step == 0:  # an axis of one step may have any stride; 0 would say that there is no y
        y_step = packed.output_size
    tape = Tape(h, h, False)
    if kept is not None:
        tape = Tape(flat(kept[0]), flat(kept[1]), True)
    sizes, weights = weights_of(packed)
    x_ = view(flat(x), 0, x_row, numbers(x, x.strides[-1]))
    given = Chunk(N, x.shape[-2], x_, x_step, h, c, flat(y), y_row, y_step, 0)
    chunk(sizes, weights, given, tape, work, most)


chunk_layer, _inlined_chunk = sealed(_chunk_layer), inlined(_chunk_layer)


@sealed
def pass_layer(x: Any, y: Any, packed: Any, h: Any, c: Any, most: Any, room: Any) -> None:
    """The same without a tape, on the stack."""
    _inlined_chunk(x, y, packed, h, c, None, on_stack(packed.panels, most * room), most)


@part
def put_step(y: Any, t: Any, h: Any) -> None:
    """y (N, T, P) or (T, P) at step t = h (N, P) or (P,)."""
    P, row = h.shape[-1], 0
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
        copy(to, 0, array, 0, array.size)
    else:
        clear(to, 0, to.size)


@part
def follows(array: Any, first: Any, step: Any) -> Any:
    """Whether the numbers are first, first + step, first + 2 step, .."""
    for n in range(array.size):  # noqa: SIM110 - Numba has no all()
        if array[n] != first + n * step:
            return False
    return True


@sealed
def backward_layer(tape: Any, packed: Any, above: Any, dx: Any, params: Any, dV: Any, dh: Any, dc: Any) -> None:
    """Gradients of a layer, those of its last state standing in dh and dc, where the initial one's take their place.

    above: dy, flat, (N, T, ldy), and ldy, which is 0 where there are none; dV: that of the fourth array."""
    N, T, D = tape.x.shape
    dy, ldy = above
    clear(dx, 0, dx.size)
    dW, dU, db = flat(params.W), flat(params.U), flat(params.b)
    if N == 0 or T == 0:
        for array in (dW, dU, dV, db):
            clear(array, 0, array.size)
    else:
        M = tape.where.size
        dz, a, zeros = flat(tape.dz), flat(tape.a), flat(tape.zeros)
        block, from_ = M // N, dy if ldy > 0 else zeros
        turns = 1 + (T + block - 1) // block * 2
        arguments = BackwardArguments(
            turns=turns, inner=1, wide=False, x=flat(tape.x), h_first=flat(tape.h), c_tape=flat(tape.cells),
            gates=flat(tape.gates), reset=flat(tape.reset), mask=zeros[0:0], reverse=False,
            dy=from_, ldy=ldy, column=0, dh_state=dh, dc_state=dc, dx=dx, time_block=block, steps=T, dW=dW,
            dU=dU, dV=dV, db=db, bases=flat(tape.bases), layout=packed.layout, panels=flat(packed.panels),
            second=flat_or(packed.second, packed.panels), D=D, H=packed.hidden_size,
            P=packed.output_size, order=flat(tape.order), lens=flat(tape.lens), T=T, dh=flat(tape.dh),
            ldh=tape.dh.shape[1], dc=flat(tape.dc), ldc=tape.dc.shape[1], t=flat(tape.t), dz=dz, ldz=dz.size // M, a=a,
            lda=a.size // M, dp=flat(tape.dp), tmp=flat(tape.tmp), zeros=zeros, wt=flat(tape.wt), ut=flat(tape.ut),
            where=flat(tape.where),
        )  # fmt: skip
        alone(backward, turns, stored(0, arguments))


@sealed
def pack_layer(params: Any, V: Any, packed: Any, D: Any) -> None:
    arguments = PackArguments(
        layout=packed.layout, W=flat(params.W), U=flat(params.U), V=V, b=flat(params.b), D=D,
        H=packed.hidden_size, P=packed.output_size, panels=flat(packed.panels),
        second=flat_or(packed.second, packed.panels),
    )  # fmt: skip
    alone(into_panels, 1, stored(0, arguments))
