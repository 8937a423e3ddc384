"""The kernels' door: allocates what they need, chooses how many threads, hands them one kind of array only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..params import AnyParams, shapes
from ..params import sizes as sizes_of_record
from . import backward as backward_pass
from . import forward as forward_pass
from . import memory, threads
from .backward import GROUP, room_sizes
from .cells import CELLS, Cell, cell_named, cell_with
from .duo import SPLIT, SYNC_WORDS, duo_room
from .forward import SPLIT_ROWS, forward_room
from .options import recording, run
from .packing import Packed, blocks, cell_in, into_panels, mark, record_of, sizes, unpack, wide_blocks
from .simd import BLOCK, TILE_ROWS, lanes, vector_bytes
from .threads import SHARE_ROWS, SHARE_SEQUENCE, SHARE_UNITS

__all__ = ["Packed", "Kept", "backward", "cells", "forward", "keep", "pack", "sizes", "unpack"]

_Array = NDArray[Any]
# multiply-adds for each byte of a vector: below some 40 microseconds of work a second thread brings little, and with
# other processes about, waking it and waiting for it can cost ten times that
_PARALLEL_WORK = 48_000
_SHORT_WORK = 8_000  # the same, forward
_SURE_WORK = 480_000  # below that, and for one sequence, a second thread may not pay even on a quiet machine
_CELL_WORK = 150  # the cell of a unit, in multiply-adds
_COPY_WORK = 10  # a number moved from here to there, in multiply-adds
_SPLIT_STEPS = 4 * TILE_ROWS  # rows of x @ W done at once, where few sequences leave the tile empty
_DUO_UNITS, _DUO_STEPS = 64, 32  # from where two threads on one sequence pay
_WIDE_BYTES = 3 << 20  # weights that no core's cache holds: from there on the threads share units, not rows,
_WIDE_ROWS = 128  # unless each has rows enough to make up for reading all weights
_WIDE_UNITS = 256  # backward, with fewer sequences than threads: from there on meeting after each step pays
_PATIENCE = 20_000  # turns of waiting for the other thread before it is given up: about a millisecond
_BLOCK_ROWS = 384  # rows, samples times steps, of a block of the backward pass
_NO_SYNC = np.zeros(0, np.int64)
_NO_RESET = np.zeros(0, np.bool_)
_NO_MASK = {np.dtype(kind): np.zeros(0, kind) for kind in (np.float32, np.float64)}
_payoffs: dict[Any, threads.Payoff] = {}


class Kept(NamedTuple):
    """What the forward pass leaves for the backward pass, in the order of computation: a sample's rank is its
    place by falling length.

    Attributes
    ----------
    gates : ndarray, shape (T, N, blocks, kept * lanes)
        What the cell's phases keep (cells.Cell.kept).
    cells : ndarray, shape (T + 1, N, blocks * lanes)
        c before each step and after the last.
    """

    gates: _Array
    cells: _Array


def pack(params: AnyParams) -> Packed:
    """The record of weights -> panels, a copy."""
    D, H, P = sizes_of_record(params)
    dtype, cell = params.W.dtype, cell_with(type(params))
    width = BLOCK * lanes(dtype.itemsize)
    rows = 1 + D + P + len(cell.own)
    panels = memory.aligned((blocks(H, dtype.itemsize), rows, width), dtype)
    second = None
    if cell.later > 1:
        second = memory.aligned((wide_blocks(P, dtype.itemsize), H, width) if cell.later == 3 else (0, 0), dtype)
    packed = Packed(panels, H, P, mark(cell), second)
    pack_into(params, packed)
    return packed


def pack_into(params: AnyParams, packed: Packed) -> None:
    """The record of weights -> panels that are there."""
    packing(params, packed)()


def packing(params: AnyParams, packed: Packed) -> Callable[[], None]:
    """`pack_into`, for many times: of arrays in C order it reads what stands in them then."""
    D, H, P = sizes(packed)
    panels = _flat(packed.panels)
    W, U, *own, b = map(_flat, params)
    arguments = packed.layout, W, U, own[0] if own else b, b, D, H, P, panels, _second(packed, panels)
    kind, tasks, work = kind_of(packed), len(packed.panels), _COPY_WORK * 4 * H * (D + P)
    return lambda: run(into_panels, kind, 1, threads_for(tasks, work), arguments)


def _second(packed: Packed, panels: _Array) -> _Array:
    """For the kernels: where there is none, an array of one axis, as compiled code has there (inplace.py)."""
    return panels if packed.second is None else writable(packed.second)


def kind_of(packed: Packed) -> int:
    """A number for what the types of a kernel's arguments depend on: the float type and the cell."""
    return packed.panels.dtype.num << 8 | packed.layout.dtype.num


def keep(packed: Packed, N: int, T: int) -> Kept:
    """Room for what a forward pass keeps."""
    dtype = packed.panels.dtype
    gates, cells = kept_shapes(cell_in(packed).name, dtype.itemsize, packed.hidden_size, N, T)
    return Kept(memory.empty(gates, dtype), memory.empty(cells, dtype))


@lru_cache(1024)
def kept_shapes(name: str, itemsize: int, H: int, N: int, T: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of it. name: the cell's."""
    nb, L = blocks(H, itemsize), lanes(itemsize)
    return (T, N, nb, cell_named(name).kept * L), (T + 1, N, nb * L)


def cells(kept: Kept, H: int, lengths: _Array | None, reverse: bool) -> _Array:
    """c of every step, (N, T, H) in the order of x, 0 in padding."""
    T, N = kept.gates.shape[:2]
    order, lens = _schedule(N, T, lengths)
    c = memory.zeros((N, T, H), kept.cells.dtype)
    for rank, (n, length) in enumerate(zip(order, lens, strict=True)):
        steps = kept.cells[1 : length + 1, rank, :H]
        c[n, :length] = steps[::-1] if reverse else steps
    return c


class _Memory:
    """An array's memory as a writable array: a read-only one is another type, and would compile again."""

    def __init__(self, array: _Array) -> None:
        self.owner = array
        self.__array_interface__ = dict(array.__array_interface__, data=(array.ctypes.data, False))


def writable(array: _Array) -> _Array:
    return array if array.flags.writeable else np.asarray(_Memory(array))


def _flat(array: _Array) -> _Array:
    return writable(array).ravel()


def _flags(reset: _Array | None) -> _Array:
    """For the kernels: none is an array without entries."""
    return _NO_RESET if reset is None else _flat(reset)


def _factors(mask: _Array | None, dtype: np.dtype[Any]) -> _Array:
    """For the kernels: none is an array without entries."""
    return _NO_MASK[dtype] if mask is None else _flat(mask)


@lru_cache(256)
def _as_they_stand(N: int, T: int) -> tuple[_Array, _Array]:
    """The schedule of sequences of one length; kernels only read it."""
    return np.arange(N, dtype=np.int64), np.full(N, T, np.int64)


@lru_cache(256)
def _first_rows(N: int, T: int) -> _Array:
    """The first row of each step where all N sequences have all T."""
    return np.arange(0, (T + 1) * N, N, dtype=np.int64)


def _schedule(N: int, T: int, lengths: _Array | None) -> tuple[_Array, _Array]:
    """Samples by falling length, and those lengths."""
    if lengths is None:
        return _as_they_stand(N, T)
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    return order, lengths[order].astype(np.int64)


def threads_for(tasks: int, work: int) -> int:
    """Threads to use now for that many independent tasks and multiply-adds."""
    if work < _PARALLEL_WORK * vector_bytes() and threads.forced is None:
        return 1
    return threads.workers_for(tasks, True)


def _paying(workers: int, N: int, amount: float, key: Any) -> tuple[int, threads.Payoff | None]:
    """Those threads, or one, by what the last calls of that key took; it wants to know what this takes. Where runs are
    recorded, both ways are, and what they take counts."""
    if recording() is not None:
        return workers, None
    payoff = _payoffs.get(key)
    if payoff is None:
        payoff = _payoffs[key] = threads.Payoff(sure=N > 1 and amount >= _SURE_WORK)
    return (workers if payoff.choose() else 1), payoff


class Room(NamedTuple):
    """What the backward pass needs to work in: arguments of its kernel, M being the rows of a block."""

    dh: _Array  # (N, ldh)
    dc: _Array  # (N, ldc)
    t: _Array  # (N, blocks * lanes)
    dz: _Array  # (M, ldz)
    a: _Array  # (M, lda)
    dp: _Array
    tmp: _Array
    zeros: _Array
    wt: _Array
    ut: _Array
    where: _Array  # (M,)


def backward_block(N: int, steps: int) -> int:
    """Steps of a block of time."""
    return max(1, min(steps, _BLOCK_ROWS // max(N, 1)))


@lru_cache(1024)
def room_shapes(
    name: str, itemsize: int, D: int, H: int, P: int, N: int, M: int, workers: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The shapes of that room: those of floats, and the last. name: the cell's."""
    L, cell = lanes(itemsize), cell_named(name)
    ldh, ldc, ldz, lda, sums, wt, ut = room_sizes(L, D, H, P, len(cell.own), cell.later == 3)
    width, Hp = BLOCK * L, blocks(H, itemsize) * L
    floats = (
        (N, ldh), (N, ldc), (N, Hp), (M, ldz), (M, lda), (sums,), (workers * GROUP * width,), (width,), (wt,), (ut,),
    )  # fmt: skip
    return floats, (M,)


def begin_room(room: Room, D: int, H: int, P: int, cell: Cell) -> Room:
    """What has to stand there before the first pass."""
    width = room.zeros.size
    nb = blocks(H, room.dz.itemsize)
    operands, columns = 1 + D + room.t.shape[1], nb * width
    room.zeros.fill(0)
    if cell.later == 3:
        operands += room.t.shape[1]
        room.dz[:, columns + P : columns + wide_blocks(P, room.dz.itemsize) * width] = 0  # they fill up the last panel
    room.a[:, operands:] = 0  # beyond the last operand: read, to no effect, as they fill up a tile
    return room


def backward_room(
    dtype: np.dtype[Any], D: int, H: int, P: int, N: int, M: int, workers: int, cell: Cell = CELLS[0]
) -> Room:
    """All in one piece of memory, each array beginning on a cache line."""
    floats, where = room_shapes(cell.name, dtype.itemsize, D, H, P, N, M, workers)
    return begin_room(Room(*memory.pieces(floats, dtype), np.empty(where, np.int64)), D, H, P, cell)


def threads_of(tmp: Any, dtype: np.dtype[Any]) -> int:
    """Threads that there is room for, by that array of it."""
    return int(np.size(tmp)) // (GROUP * BLOCK * lanes(dtype.itemsize))


def _flat_room(room: Room) -> tuple[Any, ...]:
    """As the kernel takes it: flat arrays, and the lengths of the rows of some."""
    dh, dc, t, dz, a, dp, tmp, zeros, wt, ut, where = room
    return (
        dh.ravel(), dh.shape[1], dc.ravel(), dc.shape[1], t.ravel(), dz.ravel(), dz.shape[1],
        a.ravel(), a.shape[1], dp, tmp, zeros, wt, ut, where,
    )  # fmt: skip


def room_for(packed: Packed, N: int, T: int) -> Room:
    """Room for any backward pass over N sequences of T steps, for many calls."""
    M = N * backward_block(N, T)
    return backward_room(packed.panels.dtype, *sizes(packed), N, M, threads.most(), cell_in(packed))


def _clear_padding(array: _Array, column: int, width: int, lengths: _Array) -> None:
    for n, length in enumerate(lengths):
        array[n, length:, column : column + width] = 0


class _Shares(NamedTuple):
    """How a forward pass is shared out: some first arguments of its kernel, and the numbers it needs to work in."""

    turns: int
    chunk: int
    room: int


@lru_cache(1024)
def _shares(
    name: str, share: int, workers: int, N: int, steps: int, D: int, H: int, P: int, itemsize: int, T: int
) -> _Shares:
    """name: the cell's; share: what the workers share; steps: of the longest sequence; T: of the resets, 0 where there
    are none."""
    L, cell = lanes(itemsize), cell_named(name)
    phases = len(cell.phases)
    units = P if cell.later < 3 else wide_blocks(P, itemsize) * BLOCK * L
    rows, nb = -(-N // workers), blocks(H, itemsize)

    def size(rows: int) -> tuple[int, ...]:
        kept = cell.kept * nb * rows if cell.later == 2 else cell.kept
        return L, D, H, max(units, H) if cell.projects else units, 3 if cell.projects else 2, kept

    if share == SHARE_SEQUENCE:
        return _Shares(1, 0, duo_room(*size(1), 2))
    if share == SHARE_UNITS:
        return _Shares(phases * steps + 2, 0, workers * forward_room(*size(N), N, 0, 0))
    chunk = min(steps, _SPLIT_STEPS) if rows <= SPLIT_ROWS else 0
    return _Shares(1, chunk, workers * forward_room(*size(rows), rows, chunk, T * (1 + rows) or 1))


class ForwardPlan(NamedTuple):
    """What a forward pass needs besides the numbers of a batch; for many calls, as long as the weights stay there.

    Attributes
    ----------
    N, D, H, P, longest, total : int
        Steps of the longest sequence, and of all.
    amount : float
        Of work, in multiply-adds for each byte of a vector.
    cell : Cell
    kind : int
        kind_of the weights.
    lengths : ndarray, shape (N,), or None
    arrays : tuple
        Last arguments of the kernel.
    """

    N: int
    D: int
    H: int
    P: int
    longest: int
    total: int
    amount: float
    cell: Cell
    kind: int
    lengths: _Array | None
    arrays: tuple[Any, ...]


def plan_forward(packed: Packed, N: int, T: int, lengths: _Array | None) -> ForwardPlan:
    """For N sequences of T steps, or of lengths."""
    D, H, P = sizes(packed)
    order, lens = _schedule(N, T, lengths)
    total = N * T if lengths is None else int(lens.sum())
    longest = 0 if N == 0 else T if lengths is None else int(lens[0])
    amount = H * (4 * (D + P) + _CELL_WORK) * total / vector_bytes()
    panels = _flat(packed.panels)
    arrays = packed.layout, D, panels, _second(packed, panels), H, P, order, lens, T
    return ForwardPlan(N, D, H, P, longest, total, amount, cell_in(packed), kind_of(packed), lengths, arrays)


def _way_forward(plan: ForwardPlan) -> tuple[int, int, threads.Payoff | None]:
    """What the threads of a forward pass share, how many there are, and who wants to know what this takes."""
    N, D, H, P, longest, _, amount, _, kind, _, arrays = plan
    if threads.forced is not None:
        if N > 1 and threads.forced.share == SHARE_SEQUENCE:
            raise ValueError(f"expected one sequence, got {N}")
        return threads.forced.share, threads.available(), None
    shared = H >= _DUO_UNITS and longest >= _DUO_STEPS if N == 1 else amount >= _SHORT_WORK
    workers = min(max(N, 2), threads.available()) if shared else 1
    if workers == 1:
        return SHARE_ROWS, 1, None
    workers, payoff = _paying(workers, N, amount, (forward_pass.forward, N, D, H, P, kind))
    share = SHARE_ROWS
    if workers > 1:
        if N == 1:
            share = SHARE_SEQUENCE
        elif -(-N // workers) <= _WIDE_ROWS and arrays[2].nbytes >= _WIDE_BYTES:
            share = SHARE_UNITS
    return share, workers, payoff


def forward(
    plan: ForwardPlan,
    x: _Array,
    h: _Array,
    c: _Array,
    y: _Array,
    column: int,
    cells: _Array | None,
    reverse: bool,
    reset: _Array | None,
    kept: Kept | None,
    mask: _Array | None = None,
) -> None:
    """y[:, :, column : column + P], and the last h and c in place of the first; cells and kept where given.

    reset: booleans (N, T), whichever way the steps run; mask: factors of h where it enters the product (N, P)."""
    N, D, H, P, longest, total, _, cell, kind, lengths, arrays = plan
    dtype = x.dtype
    if lengths is not None:
        _clear_padding(y, column, P, lengths)
        if cells is not None:
            _clear_padding(cells, 0, H, lengths)
    if total == 0:
        return
    share, workers, payoff = _way_forward(plan)
    turns, chunk, room = _shares(
        cell.name, share, workers, N, longest, D, H, P, dtype.itemsize, 0 if reset is None else x.shape[1]
    )
    sync = _NO_SYNC
    if share == SHARE_SEQUENCE:
        sync = np.zeros(SYNC_WORDS, np.int64)
        sync[SPLIT] = -1
    work = memory.scratch(room, dtype)
    arguments = (
        share, turns, chunk, sync, _PATIENCE,
        _flat(x), h.ravel(), c.ravel(), y.ravel(), y.shape[2], column,
        work if cells is None else cells.ravel(), cells is not None,
        work if kept is None else kept.gates.ravel(), work if kept is None else kept.cells.ravel(),
        kept is not None, _flags(reset), _factors(mask, dtype), reverse, work, *arrays,
    )  # fmt: skip
    began = time.perf_counter()
    run(forward_pass.forward, kind, turns, workers, arguments)
    if payoff is not None:
        payoff.took(workers > 1, time.perf_counter() - began, total)


def _gradients(record: type[AnyParams], D: int, H: int, P: int, dtype: np.dtype[Any]) -> AnyParams:
    """Room for them, in one piece."""
    size, parts = _fields(record, D, H, P)
    whole = memory.empty((size,), dtype)
    return record(*[whole[begin:end].reshape(form) for form, begin, end in parts])


@lru_cache(1024)
def _fields(record: Any, D: int, H: int, P: int) -> tuple[int, list[tuple[tuple[int, ...], int, int]]]:
    """Numbers in all, and the shape, begin and end of each field."""
    forms = list(shapes(record, D, H, P).values())
    ends = list(accumulate(map(math.prod, forms)))
    return ends[-1], list(zip(forms, [0, *ends], ends, strict=False))


class BackwardPlan(NamedTuple):
    """What a backward pass needs besides the numbers of a batch; for many calls, as long as the weights stay there.

    Attributes
    ----------
    found : record of arrays
        Where the weights' gradients go.
    N, D, H, P, tasks, most, work, steps, total, block, phases, kind : int
        Independent tasks, threads that there is room for, multiply-adds, steps of the longest sequence, of all, and of
        a block of time; the cell's phases, and kind_of the weights.
    arrays : tuple
        Last arguments of the kernel.
    """

    found: AnyParams
    N: int
    D: int
    H: int
    P: int
    tasks: int
    most: int
    work: int
    steps: int
    total: int
    block: int
    phases: int
    kind: int
    arrays: tuple[Any, ...]


def plan_backward(
    packed: Packed,
    N: int,
    T: int,
    lengths: _Array | None,
    found: AnyParams | None = None,
    room: Room | None = None,
) -> BackwardPlan:
    """For N sequences of T steps, or of lengths.

    found, where the gradients go, in C order, and room: from the caller, who uses them again."""
    D, H, P = sizes(packed)
    dtype, cell = packed.panels.dtype, cell_in(packed)
    if found is None:
        found = _gradients(record_of(packed), D, H, P, dtype)
    tasks, kind, phases = max(N, blocks(H, dtype.itemsize)), kind_of(packed), len(cell.phases)
    if N == 0 or T == 0 or (lengths is not None and not lengths.any()):
        return BackwardPlan(found, N, D, H, P, tasks, 1, 0, 0, 0, 1, phases, kind, ())
    order, lens = _schedule(N, T, lengths)
    steps = int(lens[0])
    if lengths is None:
        bases, total = _first_rows(N, T), N * T
    else:
        active = N - np.searchsorted(lens[::-1], np.arange(steps), side="right")
        bases = np.concatenate([[0], np.cumsum(active)]).astype(np.int64)
        total = int(bases[-1])
    work = H * (8 * (D + P) + _CELL_WORK) * total
    block = backward_block(N, steps)
    if room is None:
        workers = threads.most()
        if threads.forced is None:
            workers = min(tasks, workers) if work >= _PARALLEL_WORK * vector_bytes() else 1
        room = backward_room(dtype, D, H, P, N, int(bases[block]), workers, cell)
    most = threads_of(room.tmp, dtype)
    panels = _flat(packed.panels)
    W, U, *own, b = (array.ravel() for array in found)
    arrays = (
        block, steps, panels, W, U, own[0] if own else b, b, bases, packed.layout, _second(packed, panels), D, H,
        P, order, lens, T, *_flat_room(room),
    )  # fmt: skip
    return BackwardPlan(found, N, D, H, P, tasks, most, work, steps, total, block, phases, kind, arrays)


def _way_backward(plan: BackwardPlan) -> tuple[bool, int, threads.Payoff | None]:
    """Whether the threads of a backward pass share units, how many there are, and who wants to know what this takes."""
    _, N, D, H, P, tasks, most, work, *_, kind, _ = plan
    if threads.forced is not None:
        if threads.forced.workers > most:
            raise ValueError(f"expected room for {threads.forced.workers} threads, got it for {most}")
        return threads.forced.share != SHARE_ROWS, threads.available(), None
    workers = min(most, threads_for(tasks, work))  # room may be that of a process of fewer threads, on a pickled tape
    if workers == 1:
        return False, 1, None
    workers, payoff = _paying(workers, N, work / vector_bytes(), (backward_pass.backward, N, D, H, P, kind))
    return workers > N and H >= _WIDE_UNITS, workers, payoff


def backward(
    plan: BackwardPlan,
    x: _Array,
    h0: _Array,
    kept: Kept,
    reverse: bool,
    reset: _Array | None,
    dy: _Array | None,
    column: int,
    dh: _Array,
    dc: _Array,
    dx: _Array,
    mask: _Array | None = None,
) -> AnyParams:
    """Gradients of the weights; dx is added to, dh and dc turn from the last state's into the first's."""
    found, (*_, steps, total, block, phases, kind, arrays) = plan.found, plan
    if total == 0:
        for array in found:
            array.fill(0)
        return found
    dtype = x.dtype
    wide, workers, payoff = _way_backward(plan)
    inner = block * phases + 1 if wide else 1  # turns of a block's steps; one more for its sums
    turns = 1 + -(-steps // block) * (inner + 1)
    arguments = (
        turns, inner, wide, _flat(x), _flat(h0), kept.cells.ravel(), kept.gates.ravel(), _flags(reset),
        _factors(mask, dtype), reverse, _NO_MASK[dtype] if dy is None else _flat(dy), 0 if dy is None else dy.shape[2],
        column, dh.ravel(), dc.ravel(), dx.ravel(), *arrays,
    )  # fmt: skip
    began = time.perf_counter()
    run(backward_pass.backward, kind, turns, workers, arguments)
    if payoff is not None:
        payoff.took(workers > 1, time.perf_counter() - began, total)
    return found
