"""The kernels' door: allocates what they need, chooses how many threads, hands them one kind of array only."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ...cells.table import cell_with
from ...params import AnyParams, AnyState, Batch, State
from ...params import sizes as sizes_of_record
from ..compiler.run import run
from ..machine import memory
from ..machine.memory import NO_MASK, Array, as_flat, factors_of, flags_of
from ..machine.threads import SHARE_SEQUENCE
from ..vectors.target import BLOCK, lanes
from . import backward as backward_pass
from . import forward as forward_pass
from .packing import Packed, blocks, cell_in, fourth, into_panels, mark, panel_vectors, sizes, wide_blocks
from .plans import (
    Standing,
    _schedule,
    _shares,
    _way_backward,
    _way_forward,
    kind_of,
    plan_backward,
    plan_forward,
    second_of,
    threads_for,
)
from .records import Kept
from .two_threads import SPLIT, SYNC_WORDS

_COPY_WORK = 10  # a number moved from here to there, in multiply-adds
_PATIENCE = 20_000  # turns of waiting for the other thread before it is given up: about a millisecond
_NO_SYNC = np.zeros(0, np.int64)


def pack(params: AnyParams) -> Packed:
    """The record of weights -> panels, a copy."""
    D, H, P = sizes_of_record(params)
    dtype, cell = params.W.dtype, cell_with(type(params))
    L = lanes(dtype.itemsize)
    panels = memory.aligned((blocks(H, dtype.itemsize), panel_vectors(cell, D, P), L), dtype)
    second = None
    if cell.multiplies_later:
        second = memory.aligned((wide_blocks(P, dtype.itemsize), H, BLOCK * L), dtype)
    packed = Packed(panels, H, P, mark(cell), second)
    pack_into(params, packed)
    return packed


def pack_into(params: AnyParams, packed: Packed) -> None:
    """The record of weights -> panels that are there."""
    packing(params, packed)()


def packing(params: AnyParams, packed: Packed) -> Callable[[], None]:
    """`pack_into`, for many times: of arrays in C order it reads what stands in them then."""
    D, H, P = sizes(packed)
    panels = as_flat(packed.panels)
    W, U, V, b = [as_flat(getattr(params, field)) for field in ("W", "U", fourth(type(params)), "b")]
    # in the order of PackArguments; a record made for each call would take a microsecond
    arguments = packed.layout, W, U, V, b, D, H, P, panels, second_of(packed, panels)
    kind, tasks, work = kind_of(cell_in(packed), panels.dtype), len(packed.panels), _COPY_WORK * 4 * H * (D + P)
    return lambda: run(into_panels, kind, 1, threads_for(tasks, work), arguments)


def cells(done: tuple[Packed, Batch, Array, Kept]) -> Array:
    """c of every step, (N, T, H) in the order of x, 0 in padding."""
    packed, (_, lengths, _, _, reverse), _, kept = done
    (T, N), H = kept.gates.shape[:2], packed.hidden_size
    order, lens = _schedule(N, T, lengths)
    c = memory.zeros((N, T, H), kept.cells.dtype)
    for rank, (n, length) in enumerate(zip(order, lens, strict=True)):
        steps = kept.cells[1 : length + 1, rank, :H]
        c[n, :length] = steps[::-1] if reverse else steps
    return c


def _clear_padding(array: Array, column: int, width: int, lengths: Array) -> None:
    for n, length in enumerate(lengths):
        array[n, length:, column : column + width] = 0


def forward(
    *,
    packed: Packed,
    batch: Batch,
    state: AnyState,
    y: Array,
    column: int = 0,
    cells: Array | None = None,
    kept: Kept | None = None,
    standing: Standing | None = None,
) -> None:
    """y[:, :, column : column + P], and the last h and c in place of the first; cells and kept where given."""
    (x, lengths, reset, mask, reverse), h = batch, state.h
    c = state.c if isinstance(state, State) else h
    if standing is None or standing.forward is None or lengths is not None:
        plan = plan_forward(packed, x.shape[0], x.shape[1], lengths)
    else:
        plan = standing.forward
    (N, D, H, P, longest, total, _, cell, kind), arrays = plan
    dtype = x.dtype
    if lengths is not None:
        _clear_padding(y, column, P, lengths)
        if cells is not None:
            _clear_padding(cells, 0, H, lengths)
    if total == 0:
        return
    share, workers, payoff = _way_forward(plan)
    turns, chunk, room = _shares(
        cell.name, dtype.itemsize, (D, H, P), share, workers, N, longest, 0 if reset is None else x.shape[1]
    )
    sync = _NO_SYNC
    if share == SHARE_SEQUENCE:
        sync = np.zeros(SYNC_WORDS, np.int64)
        sync[SPLIT] = -1
    work = memory.scratch(room, dtype)
    arguments = (  # in the order of ForwardArguments: a record takes longer to make
        share, turns, chunk, sync, _PATIENCE, as_flat(x), h.ravel(), c.ravel(), y.ravel(), y.shape[2], column,
        work if cells is None else cells.ravel(), cells is not None,
        work if kept is None else kept.gates.ravel(), work if kept is None else kept.cells.ravel(), kept is not None,
        flags_of(reset), factors_of(mask, dtype), reverse, work,
        *arrays,
    )  # fmt: skip
    began = time.perf_counter()
    run(forward_pass.forward, kind, turns, workers, arguments)
    if payoff is not None:
        payoff.took(workers > 1, time.perf_counter() - began, total)


def backward(
    *,
    done: tuple[Packed, Batch, Array, Kept],
    dy: Array | None,
    dstate: AnyState,
    dx: Array,
    column: int = 0,
    standing: Standing | None = None,
) -> AnyParams:
    """Gradients of the weights; dx is added to, dstate turns from the last state's gradient into the first's.

    done: what the forward pass leaves, the weights, the batch, the initial h and what it kept."""
    (packed, (x, lengths, reset, mask, reverse), h0, kept), dh = done, dstate.h
    dc = dstate.c if isinstance(dstate, State) else dh
    if standing is None:
        plan = plan_backward(packed, x.shape[0], x.shape[1], lengths)
    elif standing.backward is None or lengths is not None:
        plan = plan_backward(packed, x.shape[0], x.shape[1], lengths, standing.gradients, standing.room)
    else:
        plan = standing.backward
    found, (*_, steps, total, block, phases, kind, arrays) = plan.found, plan
    if total == 0:
        for array in found:
            array.fill(0)
        return found
    dtype = x.dtype
    wide, workers, payoff = _way_backward(plan)
    inner = block * phases + 1 if wide else 1  # turns of a block's steps; one more for its sums
    turns = 1 + -(-steps // block) * (inner + 1)
    arguments = (  # in the order of BackwardArguments
        turns, inner, wide, as_flat(x), as_flat(h0), kept.cells.ravel(), kept.gates.ravel(), flags_of(reset),
        factors_of(mask, dtype), reverse, NO_MASK[dtype] if dy is None else as_flat(dy),
        0 if dy is None else dy.shape[2], column, dh.ravel(), dc.ravel(), dx.ravel(),
        *arrays,
    )  # fmt: skip
    began = time.perf_counter()
    run(backward_pass.backward, kind, turns, workers, arguments)
    if payoff is not None:
        payoff.took(workers > 1, time.perf_counter() - began, total)
    return found
