"""What kernels are given: one flat record for each at its door, and what its functions make of that.

Python sends a plain tuple in the order of the record: to make a record, or to send one, takes longer at every call.
`...Call` changes from call to call; `...Standing`, behind it, stays as long as the weights do. The kernel reads the
tuple by name (`run.loaded_as`), and inside it the arrays and numbers that belong together travel together. Arrays are
flat.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..compiler.options import inlined
from .cell_type import cell_marked


class Sizes(NamedTuple):
    """Of x, c and h."""

    D: int
    H: int
    P: int


class Weights(NamedTuple):
    """As in `Packed`. second: any array where there is no second phase that multiplies."""

    cell: Any
    panels: Any
    second: Any


class Schedule(NamedTuple):
    """Which samples make how many steps. A rank is a sample's place by falling length.

    order, lens: the ranks' samples and lengths; T: steps of x; reset: (N, T) in the order of x, empty where there is
    none; mask: factors of h where it enters the product (N, P), or empty."""

    order: Any
    lens: Any
    T: int
    reverse: bool
    reset: Any
    mask: Any


class Batch(NamedTuple):
    """x, the first h and c, which become the last, and y: a row's h from y[row ldy + column] on. c is h where a cell
    has no c. cells: c of each step, where keep_cells says so."""

    schedule: Schedule
    x: Any
    h: Any
    c: Any
    y: Any
    ldy: int
    column: int
    cells: Any
    keep_cells: bool


class Tape(NamedTuple):
    """gates (step, rank, blocks kept) and c (step, rank), where `on`; otherwise both are the work array."""

    gates: Any
    c: Any
    on: bool


class Forward(NamedTuple):
    """All that a forward pass needs."""

    sizes: Sizes
    weights: Weights
    batch: Batch
    tape: Tape
    work: Any


class ForwardCall(NamedTuple):
    share: int
    turns: int
    chunk: int
    sync: Any
    patience: int
    x: Any
    h: Any
    c: Any
    y: Any
    ldy: int
    column: int
    cells: Any
    keep_cells: bool
    gates: Any
    c_tape: Any
    taped: bool
    reset: Any
    mask: Any
    reverse: bool
    work: Any


class LayerStanding(NamedTuple):
    """What either pass is given of a layer: its weights, and which samples make how many steps."""

    layout: Any
    panels: Any
    second: Any
    D: int
    H: int
    P: int
    order: Any
    lens: Any
    T: int


class BackwardCall(NamedTuple):
    """turns: of the whole pass; inner: those of a block's steps; wide: whether threads share units; h, c: gradients of
    the last state, in whose place come those of the first."""

    turns: int
    inner: int
    wide: bool
    x: Any
    h_first: Any
    c_tape: Any
    gates: Any
    reset: Any
    mask: Any
    reverse: bool
    dy: Any
    ldy: int
    column: int
    dh_state: Any
    dc_state: Any
    dx: Any


class BackwardStanding(NamedTuple):
    """time_block: steps of a block of time; steps: of the longest sequence; dV: of V or of unit weights, or any array;
    bases: the first row of each step."""

    time_block: int
    steps: int
    dW: Any
    dU: Any
    dV: Any
    db: Any
    bases: Any


class FlatRoom(NamedTuple):
    """What the backward pass works in: the arrays of records.Room, flat, and the lengths of rows of some."""

    dh: Any
    ldh: int
    dc: Any
    ldc: int
    t: Any
    dz: Any
    ldz: int
    a: Any
    lda: int
    dp: Any
    tmp: Any
    zeros: Any
    wt: Any
    ut: Any
    where: Any


class PackArguments(NamedTuple):
    """V: the array that is neither W, U nor b, or any array."""

    layout: Any
    W: Any
    U: Any
    V: Any
    b: Any
    D: int
    H: int
    P: int
    panels: Any
    second: Any


def _joined(name: str, *records: Any) -> Any:
    """A record with the fields of several."""
    return NamedTuple(name, [(field, Any) for record in records for field in record._fields])


ForwardArguments = _joined("ForwardArguments", ForwardCall, LayerStanding)
BackwardArguments = _joined("BackwardArguments", BackwardCall, BackwardStanding, LayerStanding, FlatRoom)


class Gradients(NamedTuple):
    """dy, a row's from dy[row ldy + column] on, if ldy is not 0; and where the gradients go."""

    dy: Any
    ldy: int
    column: int
    dh_state: Any
    dc_state: Any
    dx: Any
    dW: Any
    dU: Any
    dV: Any
    db: Any


class Backward(NamedTuple):
    """All that a backward pass needs. bases: the first of the rows that each step has, of all steps' rows."""

    sizes: Sizes
    weights: Weights
    schedule: Schedule
    x: Any
    h_first: Any
    tape: Tape
    gradients: Gradients
    room: FlatRoom
    bases: Any


@inlined
def sizes_of(cell: Any, D: Any, H: Any, P: Any) -> Any:
    """P is H where it can be nothing else, so that compiled code has one number less."""
    if cell.projects:
        return Sizes(D, H, P)
    return Sizes(D, H, H)


@inlined
def forward_pass(given: Any) -> Any:
    """A Forward from ForwardArguments."""
    cell = cell_marked(given.layout)
    schedule = Schedule(given.order, given.lens, given.T, given.reverse, given.reset, given.mask)
    batch = Batch(schedule, given.x, given.h, given.c, given.y, given.ldy, given.column, given.cells, given.keep_cells)
    return Forward(sizes_of(cell, given.D, given.H, given.P), Weights(cell, given.panels, given.second), batch,
                   Tape(given.gates, given.c_tape, given.taped), given.work)  # fmt: skip


@inlined
def backward_pass(given: Any) -> Any:
    """A Backward from BackwardArguments."""
    cell = cell_marked(given.layout)
    schedule = Schedule(given.order, given.lens, given.T, given.reverse, given.reset, given.mask)
    gradients = Gradients(given.dy, given.ldy, given.column, given.dh_state, given.dc_state, given.dx, given.dW,
                          given.dU, given.dV, given.db)  # fmt: skip
    room = FlatRoom(given.dh, given.ldh, given.dc, given.ldc, given.t, given.dz, given.ldz, given.a, given.lda,
                    given.dp, given.tmp, given.zeros, given.wt, given.ut, given.where)  # fmt: skip
    return Backward(sizes_of(cell, given.D, given.H, given.P), Weights(cell, given.panels, given.second), schedule,
                    given.x, given.h_first, Tape(given.gates, given.c_tape, True), gradients, room,
                    given.bases)  # fmt: skip
