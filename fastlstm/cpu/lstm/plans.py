"""What a pass needs besides its batch, and how many threads share it."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from ...cells.phases import Cell
from ...cells.table import cell_named
from ...params import AnyParams, shapes
from ..compiler.run import recording
from ..machine import memory, threads
from ..machine.memory import Array, as_flat
from ..machine.threads import SHARE_ROWS, SHARE_SEQUENCE, SHARE_UNITS
from ..vectors.target import TILE_ROWS, lanes, vector_bytes
from . import backward as backward_pass
from . import forward as forward_pass
from .arguments import BackwardStanding, LayerStanding
from .cell_type import Mark, mark
from .forward_rows import SPLIT_ROWS
from .packing import Packed, blocks, cell_in, fourth, sizes
from .records import Kept, Room, backward_block, backward_room, flat_room, keep, room_for, threads_of
from .sizes import duo_room, forward_room, inputs_of, operand_rows, operand_stride, tape_room, units_of

# multiply-adds for each byte of a vector: below some 40 microseconds of work a second thread brings little, and with
# other processes about, waking it and waiting for it can cost ten times that
_PARALLEL_WORK = 48_000
_SHORT_WORK = 8_000  # the same, forward
_SURE_WORK = 480_000  # below that, and for one sequence, a second thread may not pay even on a quiet machine
_CELL_WORK = 150  # the cell of a unit, in multiply-adds
_SPLIT_STEPS = 4 * TILE_ROWS  # rows of x @ W done at once, where few sequences leave the tile empty
_DUO_UNITS, _DUO_STEPS = 64, 32  # from where two threads on one sequence pay
_WIDE_BYTES = 3 << 20  # weights that no core's cache holds: from there on the threads share units, not rows,
_WIDE_ROWS = 128  # unless each has rows enough to make up for reading all weights
_WIDE_UNITS = 256  # backward, with fewer sequences than threads: from there on meeting after each step pays
_KEPT = 1 << 22  # bytes of a tape that is written to again
_payoffs: dict[Any, threads.Payoff] = {}


def _layer(packed: Packed, sizes: tuple[int, int, int], order: Array, lens: Array, T: int) -> tuple[Any, ...]:
    """In the order of LayerStanding. sizes: D, H, P."""
    panels = as_flat(packed.panels)
    return packed.layout, panels, second_of(packed, panels), *sizes, order, lens, T


def second_of(packed: Packed, panels: Array) -> Array:
    """For the kernels: any array where there is none."""
    return panels if packed.second is None else as_flat(packed.second)


@lru_cache(1024)
def kind_of(cell: Cell, dtype: np.dtype[Any]) -> Any:
    """A key for what the types of a kernel's arguments depend on: the cell and the float type."""
    layout = mark(cell)
    return (dtype.num, cell.name) if type(layout) is Mark else dtype.num << 8 | layout.dtype.num


@lru_cache(256)
def _as_they_stand(N: int, T: int) -> tuple[Array, Array]:
    """The schedule of sequences of one length; kernels only read it."""
    return np.arange(N, dtype=np.int64), np.full(N, T, np.int64)


@lru_cache(256)
def _first_rows(N: int, T: int) -> Array:
    """The first row of each step where all N sequences have all T."""
    return np.arange(0, (T + 1) * N, N, dtype=np.int64)


def _schedule(N: int, T: int, lengths: Array | None) -> tuple[Array, Array]:
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


class _Shares(NamedTuple):
    """How a forward pass is shared out: some first arguments of its kernel, and the numbers it needs to work in."""

    turns: int
    chunk: int
    room: int


@lru_cache(1024)
def _shares(
    name: str, itemsize: int, sizes: tuple[int, int, int], share: int, workers: int, N: int, steps: int, T: int
) -> _Shares:
    """name: the cell's; sizes: D, H, P; share: what the workers share; steps: of the longest sequence; T: of the
    resets, 0 where there are none."""
    L, cell, (D, H, P) = lanes(itemsize), cell_named(name), sizes
    rows, nb = -(-N // workers), blocks(H, itemsize)
    operands = operand_rows(cell) * operand_stride(L, D, units_of(cell, L, H, P))
    if share == SHARE_SEQUENCE:
        return _Shares(1, 0, duo_room(L, H, cell.gate_count, operands, tape_room(cell, nb), 2))
    if share == SHARE_UNITS:
        room = forward_room(L, H, cell.gate_count, operands, tape_room(cell, nb * N), N, 0, 0)
        return _Shares(cell.phase_count * steps + 2, 0, workers * room)
    chunk, marks = min(steps, _SPLIT_STEPS) if rows <= SPLIT_ROWS else 0, T * (1 + rows) or 1
    kept = tape_room(cell, nb * rows)
    return _Shares(1, chunk, workers * forward_room(L, H, cell.gate_count, operands, kept, rows, chunk, marks))


class Work(NamedTuple):
    """What there is to do in a forward pass: the same for all weights of a form.

    Attributes
    ----------
    N, D, H, P, longest, total : int
        Steps of the longest sequence, and of all.
    amount : float
        Of work, in multiply-adds for each byte of a vector.
    cell : Cell
    kind : object
        kind_of the weights.
    """

    N: int
    D: int
    H: int
    P: int
    longest: int
    total: int
    amount: float
    cell: Cell
    kind: Any


@lru_cache(1024)
def _work(cell: Cell, dtype: np.dtype[Any], vectors: int, H: int, P: int, N: int, longest: int, total: int) -> Work:
    """vectors: of a panel."""
    D = inputs_of(cell, vectors, P)
    amount = H * (4 * (D + P) + _CELL_WORK) * total / vector_bytes()
    return Work(N, D, H, P, longest, total, amount, cell, kind_of(cell, dtype))


class ForwardPlan(NamedTuple):
    """What a forward pass needs besides the numbers of a batch; for many calls, as long as the weights stay there.

    Attributes
    ----------
    work : Work
    arrays : tuple
        In the order of LayerStanding.
    """

    work: Work
    arrays: tuple[Any, ...]


def plan_forward(packed: Packed, N: int, T: int, lengths: Array | None) -> ForwardPlan:
    """For N sequences of T steps, or of lengths."""
    panels, H, P, _, _ = packed
    order, lens = _schedule(N, T, lengths)
    total = N * T if lengths is None else int(lens.sum())
    longest = 0 if N == 0 else T if lengths is None else int(lens[0])
    work = _work(cell_in(packed), panels.dtype, panels.shape[1], H, P, N, longest, total)
    return ForwardPlan(work, _layer(packed, (work.D, H, P), order, lens, T))


def _way_forward(plan: ForwardPlan) -> tuple[int, int, threads.Payoff | None]:
    """What the threads of a forward pass share, how many there are, and who wants to know what this takes."""
    (N, D, H, P, longest, _, amount, _, kind), arrays = plan
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
        elif -(-N // workers) <= _WIDE_ROWS and LayerStanding(*arrays).panels.nbytes >= _WIDE_BYTES:
            share = SHARE_UNITS
    return share, workers, payoff


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
        In the order of BackwardStanding, LayerStanding and FlatRoom; empty where there are no steps.
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
    kind: Any
    arrays: tuple[Any, ...]


def plan_backward(
    packed: Packed,
    N: int,
    T: int,
    lengths: Array | None,
    found: AnyParams | None = None,
    room: Room | None = None,
) -> BackwardPlan:
    """For N sequences of T steps, or of lengths.

    found, where the gradients go, in C order, and room: from the caller, who uses them again."""
    D, H, P = sizes(packed)
    dtype, cell = packed.panels.dtype, cell_in(packed)
    if found is None:
        found = _gradients(cell.record, D, H, P, dtype)
    tasks, kind, phases = max(N, blocks(H, dtype.itemsize)), kind_of(cell, dtype), cell.phase_count
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
    W, U, V, b = [getattr(found, field).ravel() for field in ("W", "U", fourth(type(found)), "b")]
    standing = BackwardStanding(block, steps, dW=W, dU=U, dV=V, db=b, bases=bases)
    arrays = standing + _layer(packed, (D, H, P), order, lens, T) + flat_room(room)
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


class Standing(NamedTuple):
    """What passes over batches of N sequences of T steps need again and again.

    Attributes
    ----------
    gradients : record of arrays
        Where the weights' gradients go, in C order.
    room : Room
    kept : Kept or None
        A tape, as there is one at a time; None where it is so large that its making does not matter.
    forward, backward : plans or None
        Where all sequences have all steps; made anew at each pass where they are None.
    """

    gradients: AnyParams
    room: Room
    kept: Kept | None = None
    forward: ForwardPlan | None = None
    backward: BackwardPlan | None = None


def standing(packed: Packed, N: int, T: int, gradients: AnyParams) -> Standing:
    """For as long as the weights stay where they are."""
    kept, room = keep(packed, N, T), room_for(packed, N, T)
    there, back = plan_forward(packed, N, T, None), plan_backward(packed, N, T, None, gradients, room)
    small = kept.gates.nbytes + kept.cells.nbytes <= _KEPT
    return Standing(gradients, room, kept if small else None, there, back)
