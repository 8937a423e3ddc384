"""What is done to a layer where a user's compiled code calls it: steps, chunks and their gradients, all of it serial.

Forward, the tiles read x and h where the caller keeps them; only the new h needs a place of its own, on the stack or
on the tape, until all of the old one has been read. Backward, the kernel of the package runs in the calling thread, in
the room that the tape brings along."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..compiler.run import alone, stored
from ..lstm.arguments import BackwardArguments, PackArguments, Tape, Weights, sizes_of
from ..lstm.backward import backward
from ..lstm.cell_type import cell_marked
from ..lstm.packing import into_panels
from ..lstm.tiles import STEP_ROWS
from ..vectors.rows import copy
from ..vectors.view import view
from ..vectors.views import array_or_flat, flat, lowest_bit, numbers, on_stack
from .chunk import Chunk, at_once, chunk, chunk_steps, sample_numbers
from .fits import inputs_of

if STEP_ROWS != 4:
    raise AssertionError("tile_4 is the one of STEP_ROWS rows")


@inlined
def weights_of(packed: Any) -> Any:
    """The records of packed weights that kernels take."""
    cell, D = cell_marked(packed.layout), inputs_of(packed)
    sizes = sizes_of(cell, D, packed.hidden_size, packed.output_size)
    return sizes, Weights(cell, flat(packed.panels), flat(array_or_flat(packed.second, packed.panels)))


def _step_layer(steps: Any) -> Any:
    @inlined
    def layer(x: Any, packed: Any, h: Any, c: Any, turn: Any) -> None:
        """One step; x (N, D) or (D,), h (N, P) or (P,), c (N, H) or (H,), of shapes that fit."""
        N, row = 1, 0
        if x.ndim == 2:
            N, row = x.shape[0], numbers(x, x.strides[0])
        h_ = flat(h)
        sizes, weights = weights_of(packed)
        most = at_once(packed, N)
        work = on_stack(packed.panels, most * sample_numbers(packed))
        x_ = view(flat(x), 0, row, numbers(x, x.strides[-1]))
        steps(sizes, weights, Chunk(N, 1, x_, 0, h_, flat(c), h_, 0, 0, turn), Tape(h_, h_, False), work, most)

    return layer


@inlined
def any_turn(c: Any) -> Any:
    """0 or 1 by the last bit of the state: as good as by chance, with nothing kept that threads would share."""
    return lowest_bit(flat(c), 0) if c.size > 0 else 0


step_layer, stacked_layer = _step_layer(inlined(chunk_steps)), _step_layer(chunk)


@inlined
def chunk_layer(x: Any, y: Any, packed: Any, h: Any, c: Any, gates: Any, cells: Any, tape: Any, work: Any,
                most: Any) -> None:  # fmt: skip
    """All steps; x (N, T, D) or (T, D), h (N, P) or (P,), c (N, H) or (H,), y (N, T, P) or (T, P), of shapes that
    fit. work: room for `most` samples at once."""
    N = 1
    if x.ndim == 3:
        N = x.shape[0]
    x_row, y_row = numbers(x, x.strides[0]), numbers(y, y.strides[0])  # of no effect for a single sequence
    x_step, y_step = numbers(x, x.strides[-2]), numbers(y, y.strides[-2])
    if y_step == 0:  # an axis of one step may have any stride; 0 would say that there is no y
        y_step = packed.output_size
    sizes, weights = weights_of(packed)
    x_ = view(flat(x), 0, x_row, numbers(x, x.strides[-1]))
    given = Chunk(N, x.shape[-2], x_, x_step, flat(h), flat(c), flat(y), y_row, y_step, 0)
    chunk(sizes, weights, given, Tape(flat(gates), flat(cells), tape), work, most)


@inlined
def pass_layer(x: Any, y: Any, packed: Any, h: Any, c: Any) -> None:
    """The same without a tape, in room on the stack."""
    most = at_once(packed, x.shape[0] if x.ndim == 3 else 1)
    work = on_stack(packed.panels, most * sample_numbers(packed))
    chunk_layer(x, y, packed, h, c, h, h, False, work, most)


@inlined
def put_step(y: Any, t: Any, h: Any) -> None:
    """y (N, T, P) or (T, P) at step t = h (N, P) or (P,)."""
    P, row = h.shape[-1], 0
    if y.ndim == 3:
        row = numbers(y, y.strides[0])
    for n in range(h.size // P):
        copy(flat(y), n * row + t * numbers(y, y.strides[-2]), flat(h), n * P, P)


@inlined
def keep_input(x: Any, kept: Any) -> None:
    """kept (N, T, D) = x (N, T, D) or (T, D)."""
    N, T, D = kept.shape
    for n in range(N):
        for t in range(T):
            for j in range(D):
                kept[n, t, j] = x[n, t, j] if x.ndim == 3 else x[t, j]


@inlined
def train_layer(y: Any, packed: Any, h: Any, c: Any, tape: Any) -> None:
    """All steps of a layer, whose input is on the tape, kept there."""
    copy(flat(tape.h), 0, flat(h), 0, h.size)
    # sums of gradients, until backward_into begins them: larger than a step's room whatever the sizes
    chunk_layer(tape.x, y, packed, h, c, tape.gates, tape.cells, True, flat(tape.dp), STEP_ROWS)


@inlined
def begin_state(state: Any, last: Any) -> None:
    """The gradient of a layer's last state, zeros for None, to where backward_layer takes it from."""
    if last is not None:
        copy(flat(state.h), 0, flat(last.h), 0, last.h.size)
        copy(flat(state.c), 0, flat(last.c), 0, last.c.size)
    else:
        _zero(flat(state.h))
        _zero(flat(state.c))


@inlined
def begin_states(state: Any, last: Any) -> None:
    """The same of a stack."""
    for i in range(len(state)):
        if last is not None:
            begin_state(state[i], last[i])
        else:
            begin_state(state[i], None)


@inlined
def _zero(array: Any) -> None:
    for i in range(array.size):
        array[i] = 0


@compiled
def backward_layer(tape: Any, packed: Any, dy: Any, ldy: Any, dx: Any, params: Any, state: Any) -> None:
    """Gradients of a layer, those of its last state standing in `state`, where the initial one's take their place.

    dy: flat, (N, T, ldy); ldy 0 where there are none."""
    N, T, D = tape.x.shape
    _zero(dx)
    dW, dU, dV, db = flat(params.W), flat(params.U), flat(params[2]), flat(params.b)
    if N == 0 or T == 0:
        for array in (dW, dU, dV, db):
            _zero(array)
    else:
        M = tape.where.size
        dz, a, zeros = flat(tape.dz), flat(tape.a), flat(tape.zeros)
        block, above = M // N, dy if ldy > 0 else zeros
        turns = 1 + (T + block - 1) // block * 2
        arguments = BackwardArguments(
            turns=turns, inner=1, wide=False, x=flat(tape.x), h_first=flat(tape.h), c_tape=flat(tape.cells),
            gates=flat(tape.gates), reset=tape.reset, mask=zeros[:0], reverse=False, dy=above,
            ldy=ldy, column=0, dh_state=flat(state.h), dc_state=flat(state.c), dx=dx, time_block=block, steps=T, dW=dW,
            dU=dU, dV=dV, db=db, bases=flat(tape.bases), layout=packed.layout, panels=flat(packed.panels),
            second=flat(array_or_flat(packed.second, packed.panels)), D=D, H=packed.hidden_size,
            P=packed.output_size, order=flat(tape.order), lens=flat(tape.lens), T=T, dh=flat(tape.dh),
            ldh=tape.dh.shape[1], dc=flat(tape.dc), ldc=tape.dc.shape[1], t=flat(tape.t), dz=dz, ldz=dz.size // M, a=a,
            lda=a.size // M, dp=flat(tape.dp), tmp=flat(tape.tmp), zeros=zeros, wt=flat(tape.wt), ut=flat(tape.ut),
            where=flat(tape.where),
        )  # fmt: skip
        alone(backward, turns, stored(arguments))


@compiled
def pack_layer(params: Any, packed: Any) -> None:
    arguments = PackArguments(
        layout=packed.layout, W=flat(params.W), U=flat(params.U), V=flat(params[2]), b=flat(params.b),
        D=inputs_of(packed), H=packed.hidden_size, P=packed.output_size, panels=flat(packed.panels),
        second=flat(array_or_flat(packed.second, packed.panels)),
    )  # fmt: skip
    alone(into_panels, 1, stored(arguments))
