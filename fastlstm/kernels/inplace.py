"""What the users' compiled code calls: steps, chunks and their gradients on the caller's own arrays.

All of it is serial and allocates nothing. Forward, the tiles read x and h where the caller keeps them; only the new h
needs a place of its own, on the stack or on the tape, until all of the old one has been read. Backward, the kernel of
the package runs in the calling thread, in the room that the tape brings along.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types

from ..params import form
from .backward import GROUP, backward, room_sizes
from .cells import CELLS, cell_of, kept_of, projects, rows_of_vectors, width_of
from .faults import (
    DSTATE,
    DY,
    GRADS,
    LARGE,
    PACKED,
    PARAMS,
    STATE,
    STRIDES,
    TAPE,
    X_AND_STATE,
    X_AND_Y,
    X,
    Y,
    address,
    apart,
    in_turn,
    meet,
    same,
    sharing,
    uneven,
)
from .norms import normalize
from .options import compiled, compiled_from_python, inlined, prepare, stored
from .packing import LAYOUT, Packed, into_panels, mark, panel_rows, row_length
from .phases import STEP_ROWS, finish_one, step_one, step_rows, step_twin
from .simd import BLOCK, array_or_flat, copy, flat, lanes_of, lowest_bit, numbers, on_stack, tile_1, tile_4
from .step import clear, phases_of

if STEP_ROWS != 4:
    raise AssertionError("tile_4 is the one of STEP_ROWS rows")
_STANDARD = mark(CELLS[0])
STACK_BYTES = 1 << 16
"""Bytes of the stack that a step may take: threads of a server or of an audio host have as few as 256 KiB."""


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


def _chunk(cell: Any, x: Any, x_row: Any, x_step: Any, x_number: Any, N: Any, T: Any, D: Any, panels: Any, second: Any,
           H: Any, P: Any, h: Any, c: Any, y: Any, y_row: Any, y_step: Any, gates: Any, cells: Any, tape: Any,
           turn: Any, work: Any, most: Any) -> None:  # fmt: skip
    """T steps of N samples; h (N, P) and c (N, H) change in place.

    x[n x_row + t x_step + j x_number]: the inputs; h goes to y[n y_row + t y_step + j], unless y_step is 0. tape:
    whether gates (T, N, ..) and cells (T + 1, N, ..) are kept, in vectors as everywhere; otherwise these are any
    arrays. turn: 1 to go through the units backwards at the first step, which changes no bit. work: `work_numbers` of
    `most` samples, which are done at once, STEP_ROWS or 1.
    """
    P = width_of(cell, H, P)
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width, g_width, Hp = BLOCK * L, kept_of(cell) * L, nb * L
    panel = panel_rows(cell, D, P) * width
    row = _row_numbers(second, L, H)
    # what no tape keeps goes where nobody reads it; but for z of a normalized cell, which waits there for all units
    kept, held, c_row, new = work, c, H, most * _kept_numbers(cell, second, L, H)
    g_row, g_place, g_next = np.int64(0), np.int64(0), g_width
    if second.ndim == 2:
        g_row, g_place, g_next = _kept_numbers(cell, second, L, H), width, width
    if tape:
        kept, held, c_row, new = gates, cells, Hp, most - most
        g_row, g_place, g_next = nb * g_width, g_width, g_width
        for n in range(N):
            copy(cells, n * Hp, c, n * H, H)
            for j in range(n * Hp + H, (n + 1) * Hp):
                cells[j] = 0
    last = new  # of the new h; what the first phase puts out is at `new`
    if projects(cell):
        last = new + most * row
    n = np.int64(0)
    while n < N:
        rows = most if N - n >= most else np.int64(1)
        for t in range(T):
            xo, ho, g0 = n * x_row + t * x_step, n * P, np.int64(0)
            c_old, c_new = n * H, n * H
            if tape:
                g0, c_old, c_new = (t * N + n) * nb * g_width, (t * N + n) * Hp, ((t + 1) * N + n) * Hp
            out, o0, o_row = work, np.int64(new), row
            # all of the old h is read before any of the new is written
            direct = rows == 1 and nb <= 2 and not tape and phases_of(second) == 1
            if direct:
                out, o0, o_row = h, ho, P
            j = np.int64(0)
            while j < nb:
                two = rows == 1 and j + 1 < nb
                count = 2 if two else 1
                # backwards every other time: what was read last is still in cache; no branch, for none could foresee it
                b = j + ((t + turn) & 1) * (nb - 2 * j - count)
                left = 2 * L if tape else H - b * L
                where = (cell, x, xo, x_row, x_number, D, h, ho, P, P, panels, b * panel, panel, held, c_old + b * L,
                         c_new + b * L, c_row, left, out, o0 + b * L, o_row, kept, g0 + b * g_place, g_row,
                         g_next)  # fmt: skip
                if two:
                    step_twin(*where)
                elif rows == 1:
                    step_one(*where)
                else:
                    step_rows(*where)
                j += count
            if second.ndim == 3:
                read, place, read_row = held, c_new, c_row
                if projects(cell):
                    read, place, read_row = work, np.int64(new), row
                    clear(work, last, rows * row)
                for q in range(second.shape[0]):
                    block = (read, place, read_row, H, second, q * H * width, (q + 1) * H * width, work,
                             last + q * width, row, work, last + q * width, row)  # fmt: skip
                    if rows == 1:
                        tile_1(*block)
                    else:
                        tile_4(*block)
                for r in range(rows):
                    for b in range((P + L - 1) // L):
                        at = ho + r * P + b * L
                        finish_one(cell, work, last + r * row + b * L, h, at, held, c_new + r * c_row + b * L, h, at,
                                   P - b * L, kept, g0 + r * g_row + b * g_place, np.int64(0))  # fmt: skip
            elif not direct:
                if second.ndim == 2:
                    for phase in range(1, phases_of(second)):
                        normalize(cell, phase, np.int64(0), nb, rows, work, np.int64(new), row, h, ho, P, panels,
                                  (1 + D + P) * width, panel, H, held, c_new, c_row, kept, g0, g_row, g_place,
                                  Hp + L if tape else H)  # fmt: skip
                for r in range(rows):
                    copy(h, ho + r * P, work, new + r * row, P)
            if y_step != 0:
                for r in range(rows):
                    copy(y, (n + r) * y_row + t * y_step, h, ho + r * P, P)
        n += rows
    if tape:
        for n in range(N):
            copy(c, n * H, cells, (T * N + n) * Hp, H)


chunk = compiled(_chunk)


@inlined
def _row_numbers(second: Any, L: Any, H: Any) -> Any:
    """Numbers of a row of h in that room, or of what a second phase makes it from."""
    row = (H + L - 1) // L * L
    if second.ndim == 3:
        row = max(row, second.shape[0] * BLOCK * L)
    return row


@inlined
def _kept_numbers(cell: Any, second: Any, L: Any, H: Any) -> Any:
    """Numbers of a row of what the phases keep, where there is no tape: two blocks'; z of all blocks of a normalized
    cell, and what the last one keeps beside it."""
    if second.ndim == 2:
        return ((H + L - 1) // L * BLOCK + kept_of(cell) - BLOCK) * L
    return 2 * kept_of(cell) * L


@inlined
def sample_numbers(packed: Any) -> Any:
    """Numbers that a sample's step needs to work in."""
    cell, second, H = packed.layout, array_or_flat(packed.second, packed.panels), packed.hidden_size
    L = lanes_of(packed.panels)
    row = _row_numbers(second, L, H)
    return _kept_numbers(cell, second, L, H) + (2 * row if projects(cell) else row)


@inlined
def at_once(packed: Any, N: Any) -> Any:
    """Samples of N that a step takes together on the stack, where one finds room: STEP_ROWS or 1."""
    if N < STEP_ROWS or sample_numbers(packed) * (packed.panels.itemsize * STEP_ROWS) > STACK_BYTES:
        return np.int64(1)
    return np.int64(STEP_ROWS)


@inlined
def _packed_fits(packed: Any) -> Any:
    panels, H, P = packed.panels, packed.hidden_size, packed.output_size
    width, second = BLOCK * lanes_of(panels), array_or_flat(packed.second, packed.panels)
    return (
        P > 0
        and H >= P
        and (H == P or projects(packed.layout))
        and inputs_of(packed) > 0
        and panels.shape[0] == (H + lanes_of(panels) - 1) // lanes_of(panels)
        and panels.shape[2] == width
        and (second.ndim != 3 or second.shape == ((P + width - 1) // width, H, width))
        and (second.ndim != 2 or second.shape == (0, 0))
    )


@inlined
def inputs_of(packed: Any) -> Any:
    """D."""
    return packed.panels.shape[1] - panel_rows(packed.layout, 0, packed.output_size)


@inlined
def state_fits(packed: Any, h: Any, c: Any) -> Any:
    """Whether h is (N, P) or (P,), and c (N, H) or (H,)."""
    return (
        h.ndim == c.ndim
        and h.shape[-1] == packed.output_size
        and c.shape[-1] == packed.hidden_size
        and h.shape[:-1] == c.shape[:-1]
    )


@inlined
def input_fault(x: Any, packed: Any, h: Any, c: Any) -> Any:
    """x of a step or of a chunk; with an axis N where h and c have one."""
    if not _packed_fits(packed):
        return PACKED
    if x.shape[-1] != inputs_of(packed):
        return X
    if not state_fits(packed, h, c) or (h.ndim == 2 and x.shape[0] != h.shape[0]):
        return STATE
    return STRIDES if uneven(x) else 0


@inlined
def fault_on_stack(x: Any, packed: Any, h: Any, c: Any) -> Any:
    """The same where a step works on the stack."""
    fault = input_fault(x, packed, h, c)
    return LARGE if fault == 0 and sample_numbers(packed) * packed.panels.itemsize > STACK_BYTES else fault


@inlined
def step_sharing(x: Any, packed: Any, state: Any, h: Any) -> Any:
    """Arguments of a step that share memory; x may be h, that of the first layer."""
    fault = sharing((STATE, state), (PACKED, packed))
    return X_AND_STATE if fault == 0 and meet(x, state) and not same_place(x, h) else fault


@inlined
def same_place(x: Any, h: Any) -> Any:
    """Whether x (N, D) is h (N, P), or x (D,) h (P,), in C order."""
    if x.shape[-1] != h.shape[-1] or address(x) != address(h):
        return False
    if x.ndim == 2 and x.shape[0] > 1 and x.strides[0] != h.strides[0]:
        return False
    return x.shape[-1] == 1 or x.strides[-1] == h.strides[-1]


def _step_layer(steps: Any) -> Any:
    @inlined
    def layer(x: Any, packed: Any, h: Any, c: Any, turn: Any) -> None:
        """One step; x (N, D) or (D,), h (N, P) or (P,), c (N, H) or (H,), of shapes that fit."""
        zero, one = np.int64(0), np.int64(1)
        N, row = one, zero
        if x.ndim == 2:
            N, row = x.shape[0], numbers(x, x.strides[0])
        h_ = flat(h)
        second, most = array_or_flat(packed.second, packed.panels), at_once(packed, N)
        work = on_stack(packed.panels, most * sample_numbers(packed))
        steps(packed.layout, flat(x), row, zero, numbers(x, x.strides[-1]), N, one, x.shape[-1], flat(packed.panels),
              second, packed.hidden_size, packed.output_size, h_, flat(c), h_, zero, zero, h_, h_, False, turn, work,
              most)  # fmt: skip

    return layer


@inlined
def any_turn(c: Any) -> Any:
    """0 or 1 by the last bit of the state: as good as by chance, with nothing kept that threads would share."""
    return lowest_bit(flat(c), np.int64(0)) if c.size > 0 else np.int64(0)


step_layer, stacked_layer = _step_layer(inlined(_chunk)), _step_layer(chunk)


@inlined
def output_fault(x: Any, y: Any, P: Any) -> Any:
    """y of a chunk: its shape, and no number of it in the memory of another."""
    if y.shape[-1] != P or y.shape[:-1] != x.shape[:-1] or (y.size > 0 and P > 1 and y.strides[-1] != y.itemsize):
        return Y
    if uneven(y):
        return STRIDES
    N, row = _samples(y)
    return 0 if apart(P * y.itemsize, N, row, y.shape[-2], y.strides[-2]) else Y


@inlined
def _samples(x: Any) -> Any:
    """N, and bytes from one to the next."""
    if x.ndim == 3:
        return x.shape[0], x.strides[0]
    return x.ndim - 1, x.ndim - x.ndim  # 1 and 0, no constants: those would be types of their own


@inlined
def chunk_sharing(x: Any, packed: Any, state: Any, y: Any) -> Any:
    """Arguments of a pass that share memory; y may be x."""
    fault = sharing((STATE, state, Y, y), (PACKED, packed))
    if fault == 0:
        fault = sharing((STATE, state), (X, x))
    if fault == 0 and sharing((Y, y), (X, x)) != 0:
        N, row = _samples(x)
        T, step = x.shape[-2], x.strides[-2]
        _, y_row = _samples(y)
        ahead, reach = address(y) - address(x), (x.shape[-1] - 1) * x.strides[-1]
        if (
            (N > 1 and row != y_row)
            or (T > 1 and step != y.strides[-2])
            or not in_turn(min(0, reach), max(0, reach) + x.itemsize, ahead, ahead + y.shape[-1] * y.itemsize, N, row,
                           T, step)
        ):  # fmt: skip
            fault = X_AND_Y
    return fault


@inlined
def chunk_layer(x: Any, y: Any, packed: Any, h: Any, c: Any, gates: Any, cells: Any, tape: Any, work: Any,
                most: Any) -> None:  # fmt: skip
    """All steps; x (N, T, D) or (T, D), h (N, P) or (P,), c (N, H) or (H,), y (N, T, P) or (T, P), of shapes that
    fit. work: room for `most` samples at once."""
    N, H, P = np.int64(1), packed.hidden_size, packed.output_size
    if x.ndim == 3:
        N = x.shape[0]
    x_row, y_row = numbers(x, x.strides[0]), numbers(y, y.strides[0])  # of no effect for a single sequence
    x_step, y_step = numbers(x, x.strides[-2]), numbers(y, y.strides[-2])
    if y_step == 0:  # an axis of one step may have any stride; 0 would say that there is no y
        y_step = P
    chunk(packed.layout, flat(x), x_row, x_step, numbers(x, x.strides[-1]), N, x.shape[-2], x.shape[-1],
          flat(packed.panels), array_or_flat(packed.second, packed.panels), H, P, flat(h), flat(c), flat(y), y_row,
          y_step, flat(gates), flat(cells), tape, np.int64(0), work, most)  # fmt: skip


@inlined
def pass_layer(x: Any, y: Any, packed: Any, h: Any, c: Any) -> None:
    """The same without a tape, in room on the stack."""
    most = at_once(packed, x.shape[0] if x.ndim == 3 else np.int64(1))
    work = on_stack(packed.panels, most * sample_numbers(packed))
    chunk_layer(x, y, packed, h, c, h, h, False, work, most)


@inlined
def put_step(y: Any, t: Any, h: Any) -> None:
    """y (N, T, P) or (T, P) at step t = h (N, P) or (P,)."""
    P, row = h.shape[-1], np.int64(0)
    if y.ndim == 3:
        row = numbers(y, y.strides[0])
    for n in range(h.size // P):
        copy(flat(y), n * row + t * numbers(y, y.strides[-2]), flat(h), n * P, P)


@inlined
def _tape_fits(tape: Any, packed: Any) -> Any:
    """Whether it was made for these weights (the cell is in its type), and all of its arrays have the sizes that the
    kernels count on."""
    N, T, D = tape.x.shape
    H, P, cell, L = packed.hidden_size, packed.output_size, packed.layout, lanes_of(tape.gates)
    nb, M = (H + L - 1) // L, tape.where.size
    third = array_or_flat(packed.second, packed.panels).ndim == 3
    ldh, ldc, ldz, lda, sums, wt, ut = room_sizes(L, D, H, P, rows_of_vectors(cell), third)
    return (
        same(
            (tape.hidden_size, tape.output_size, inputs_of(packed), tape.h.shape, tape.gates.shape, tape.cells.shape,
             tape.reset.size, tape.dh.shape, tape.dc.shape, tape.t.shape, tape.dz.shape, tape.a.shape, tape.dp.size,
             tape.zeros.size, tape.wt.size, tape.ut.size),
            (H, P, D, (N, P), (T, N, nb, kept_of(cell) * L), (T + 1, N, nb * L),
             0, (N, ldh), (N, ldc), (N, nb * L), (M, ldz), (M, lda), sums,
             BLOCK * L, wt, ut),
        )
        and tape.tmp.size >= GROUP * BLOCK * L
        and _scheduled(N, T, M, flat(tape.bases), flat(tape.order), flat(tape.lens))
    )  # fmt: skip


@compiled
def _scheduled(N: Any, T: Any, M: Any, bases: Any, order: Any, lens: Any) -> Any:
    """Whether that is the schedule of N sequences of T steps, in blocks of M rows."""
    if bases.size != T + 1 or order.size != N or lens.size != N or (N > 0 and T > 0 and (M < N or M % N != 0)):
        return False
    for s in range(T + 1):
        if bases[s] != s * N:
            return False
    for n in range(N):  # noqa: SIM110 - Numba has no all()
        if order[n] != n or lens[n] != T:
            return False
    return True


@inlined
def tape_fault(N: Any, T: Any, packed: Any, h: Any, c: Any, tape: Any) -> Any:
    """Whether a layer's weights, state and tape belong together."""
    if not _packed_fits(packed):
        return PACKED
    if h.size != N * packed.output_size or not state_fits(packed, h, c):
        return STATE
    if tape.x.shape != (N, T, inputs_of(packed)) or not _tape_fits(tape, packed):
        return TAPE
    return 0


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
    copy(flat(tape.h), np.int64(0), flat(h), np.int64(0), h.size)
    # sums of gradients, until backward_into begins them: larger than a step's room whatever the sizes
    chunk_layer(tape.x, y, packed, h, c, tape.gates, tape.cells, True, flat(tape.dp), np.int64(STEP_ROWS))


@inlined
def train_sharing(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
    """Arguments of a pass that share memory; x, which is copied, may be y."""
    fault = sharing((STATE, state, Y, y, TAPE, tape), (PACKED, packed))
    return sharing((STATE, state, TAPE, tape), (X, x)) if fault == 0 else fault


@inlined
def _params_fit(params: Any, packed: Any) -> Any:
    """Whether a record has the shapes of those weights. Its third field is V, or weights for the
    equations, where the cell has such, else b."""
    H, P, cell = packed.hidden_size, packed.output_size, packed.layout
    return (
        params.W.shape == (inputs_of(packed), row_length(cell, np.int64(1), H))
        and params.U.shape == (P, row_length(cell, np.int64(2), H))
        and params.b.shape[0] == row_length(cell, np.int64(0), H)
        and (array_or_flat(packed.second, packed.panels).ndim != 3 or params[2].shape == (H, P))
        and (rows_of_vectors(cell) == 0 or params[2].shape[0] == row_length(cell, np.int64(3), H))
    )


@inlined
def backward_fault(tape: Any, packed: Any, params: Any, state: Any) -> Any:
    """Whether a layer's weights, tape and gradients belong together."""
    if not _packed_fits(packed):
        return PACKED
    N = tape.x.shape[0]
    if not _tape_fits(tape, packed):
        return TAPE
    if not _params_fit(params, packed):
        return GRADS
    if state.h.size != N * packed.output_size or not state_fits(packed, state.h, state.c):
        return GRADS
    return 0


@inlined
def ends_fault(N: Any, T: Any, D: Any, P: Any, dx: Any, dy: Any) -> Any:
    """Whether there is room for the gradient of x (D numbers a step), and that of y (P numbers), or None, has its
    shape."""
    if dx.size != N * T * D or dx.shape[-2:] != (T, D):
        return GRADS
    if dy is not None:  # noqa: SIM102 - decided while Numba types the function, if it stands alone
        if dy.size != N * T * P or dy.shape[-2:] != (T, P):
            return DY
    return 0


@inlined
def last_fault(state: Any, last: Any) -> Any:
    """Whether the gradient of a layer's last state, or None, has the shapes of its state."""
    if last is not None:  # noqa: SIM102
        if last.h.shape != state.h.shape or last.c.shape != state.c.shape:
            return DSTATE
    return 0


@inlined
def lasts_fault(state: Any, last: Any) -> Any:
    """The same of a stack."""
    if last is not None:
        for i in range(len(state)):
            if last_fault(state[i], last[i]) != 0:
                return DSTATE
    return 0


@inlined
def back_sharing(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any, same: Any) -> Any:
    """Arguments of a pass back that share memory. same: whether dstate is grads.state, as it may be."""
    return sharing((TAPE, tape, GRADS, grads), (PACKED, packed, DY, dy, 0 if same else DSTATE, dstate))


@inlined
def same_state(state: Any, last: Any) -> Any:
    """Whether a layer's last state's gradient, or None, is where that of its first state goes."""
    if last is not None:
        return address(last.h) == address(state.h) and address(last.c) == address(state.c)
    return True


@inlined
def same_states(state: Any, last: Any) -> Any:
    """The same of a stack."""
    if last is not None:
        for i in range(len(state)):
            if not same_state(state[i], last[i]):
                return False
    return True


@inlined
def begin_state(state: Any, last: Any) -> None:
    """The gradient of a layer's last state, zeros for None, to where backward_layer takes it from."""
    if last is not None:
        copy(flat(state.h), np.int64(0), flat(last.h), np.int64(0), last.h.size)
        copy(flat(state.c), np.int64(0), flat(last.c), np.int64(0), last.c.size)
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


@inlined
def pack_fault(params: Any, packed: Any) -> Any:
    if not _packed_fits(packed):
        return PACKED
    if not _params_fit(params, packed):
        return PARAMS
    return 0


@compiled
def pack_layer(params: Any, packed: Any) -> None:
    H, P = packed.hidden_size, packed.output_size
    zero = H - H
    arguments = (packed.layout, flat(params.W), flat(params.U), flat(params[2]), flat(params.b), inputs_of(packed), H,
                 P, flat(packed.panels), array_or_flat(packed.second, packed.panels))  # fmt: skip
    into_panels(zero, zero + 1, zero, zero + 1, stored(arguments))


@compiled_from_python
def step(x: Any, panels: Any, H: Any, h: Any, c: Any) -> Any:
    """False where shapes do not fit, memory is shared or the stack is too small: Python sees to it. Other types than
    those it was compiled for are a TypeError. This is the standard cell's, a shorter call than any cell's."""
    packed = Packed(panels, H, H, flat(_STANDARD), None)  # flat: of the type that users' functions see
    if fault_on_stack(x, packed, h, c) != 0 or step_sharing(x, packed, (h, c), h) != 0:
        return False
    step_layer(x, packed, h, c, any_turn(c))
    return True


@compiled_from_python
def step_of_any(x: Any, panels: Any, H: Any, P: Any, layout: Any, second: Any, h: Any, c: Any) -> Any:
    """`step`, for any cell."""
    packed = Packed(panels, H, P, layout, second)
    if fault_on_stack(x, packed, h, c) != 0 or step_sharing(x, packed, (h, c), h) != 0:
        return False
    step_layer(x, packed, h, c, any_turn(c))
    return True


@functools.cache
def compile_step(dtype: Any, marking: Any, ndim: int) -> None:
    """The step of that float type and cell, for x of that many axes, once."""
    scalar = from_dtype(dtype)
    x, panels = types.Array(scalar, ndim, "C"), types.Array(scalar, 3, "C")
    if marking == _STANDARD.dtype:
        prepare(step, (x, panels, types.int64, x, x))
        return
    layout = types.Array(from_dtype(marking), LAYOUT, "C")
    axes = cell_of(marking).later
    second = types.none if axes == 1 else types.Array(scalar, axes, "C")
    prepare(step_of_any, (x, panels, types.int64, types.int64, layout, second, x, x))
