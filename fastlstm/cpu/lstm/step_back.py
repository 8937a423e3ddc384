"""A step of the backward pass."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..compiler.options import compiled, inlined
from ..vectors.rows import accumulate, clear, clear_behind, copy, scale, tanh_row
from ..vectors.target import BLOCK
from ..vectors.tiles import product_of
from ..vectors.view import view
from ..vectors.views import lanes_of
from .episodes import begins, row_of
from .norms import normalize_back
from .sizes import GROUP, behind_gates, behind_h, dz_vectors, gate_place, panel_vectors, panels_for, vectors_for
from .tiles import backward_cell, backward_cell_pair, finish_back, finish_back_pair, projected


class Share(NamedTuple):
    """Worker w's part of a step: ranks first, first + stride, ...; panels lo to hi of U.T or V.T, which are BLOCK
    blocks of units each. s0: the first step of the block of time."""

    w: int
    first: int
    stride: int
    lo: int
    hi: int
    s0: int


class RowBack(NamedTuple):
    """Where a step back of one row reads and writes: views of blocks of units.

    gates, before: the tape of the step, and of the step before; t: tanh of c; dz: gradients of the gates' sums, the
    whole row; dv: those of a second phase's sums, or of a projected h; h_old, read: operands of the products of the
    weights' gradients, read that of a second phase: the new c, or m; down: what adds up to the gradients of unit
    weights."""

    gates: Any
    before: Any
    c_old: Any
    c_new: Any
    t: Any
    dh: Any
    dc: Any
    dz: Any
    dv: Any
    h_old: Any
    read: Any
    unit_weights: Any
    down: Any


@inlined
def ranks_of(s: Any, share: Any, given: Any) -> Any:
    """The first row of a step's ranks in the block of time, and how many of them are the worker's."""
    bases = given.bases
    count = (bases[s + 1] - bases[s] - share.first + share.stride - 1) // share.stride
    return bases[s] - bases[share.s0] + share.first, count


@inlined
def step_back(s: Any, phase: Any, share: Any, given: Any) -> None:
    """A phase of step s for a worker's ranks and units: gradients of the inputs of its gates. given: a Backward.

    Of the block of time, step s has the rows from bases[s] - bases[s0] on. In the room, dh, dc and t have a row for
    each rank: gradients of h and c, and tanh(c). dz and a have one for each row of the block: gradients of the gates'
    inputs, and the operands [x, 1, h]; where: its place in x. Where there is a second phase, dz has once more those of
    the last gate, or of a projection's h, the units of all blocks side by side, and a the new c, or the projection's m.
    Where the equations take unit weights, dz has last what adds up to their gradients.
    """
    sizes, weights, schedule, tape, room = given.sizes, given.weights, given.schedule, given.tape, given.room
    cell, bases, dh_of = given.weights.cell, given.bases, given.gradients
    D, H, P = sizes.D, sizes.H, sizes.P
    order, lens, mask = schedule.order, schedule.lens, schedule.mask
    L = lanes_of(room.ut)
    nb = vectors_for(H, L)
    g_width, Hp, N = cell.kept * L, nb * L, order.size
    lo, hi = share.lo * BLOCK, min(share.hi * BLOCK, nb)
    first, some = lo * L, (hi - lo) * L  # its units
    own = max(0, min(hi * L, P) - first)  # those of h
    later = dz_vectors(cell, nb) * L
    unit_weights = view(weights.panels, behind_h(cell, D, P) * L, 0, panel_vectors(cell, D, P) * L)
    old = s - 1 if s > 0 else s  # before the first step there are no gates: any will do, h is put right
    for rank in range(share.first, bases[s + 1] - bases[s], share.stride):
        m = bases[s] - bases[share.s0] + rank
        row, operand = row_of(schedule, rank, s), m * room.lda
        c, t, dh, dc = (s * N + rank) * Hp, rank * Hp, rank * room.ldh, rank * room.ldc
        h_old, dz = operand + 1 + D, m * room.ldz
        if phase == cell.phase_count - 1:  # the last phase, the first one backwards
            if lo == 0:
                room.where[m] = row * D
                copy(room.a, operand, given.x, row * D, D)
                room.a[operand + D] = 1
            if begins(schedule, rank, s + 1):  # nothing comes back from another episode
                clear(room.dh, dh + first, some)
                clear(room.dc, dc + first, some)
            if mask.size > 0 and not cell.passes_h and s < lens[rank] - 1:  # what came through the product
                scale(room.dh, dh + first, mask, order[rank] * P + first, own)
            if dh_of.ldy > 0:
                accumulate(room.dh, dh + first, dh_of.dy, row * dh_of.ldy + dh_of.column + first, own)
            if cell.carries_t:  # noqa: SIM102
                if s == lens[rank] - 1:
                    tanh_row(room.t, t + first, tape.c, c + N * Hp + first, some)
        begun = begins(schedule, rank, s)
        c_old = view(tape.c, c, 0, L)
        if begun:  # from zeros, whatever the tape has there
            c_old = view(room.zeros, 0, 0, 0)
        at = RowBack(
            view(tape.gates, (s * N + rank) * nb * g_width, 0, g_width),
            view(tape.gates, (old * N + rank) * nb * g_width, 0, g_width), c_old, view(tape.c, c + N * Hp, 0, L),
            view(room.t, t, 0, L), view(room.dh, dh, 0, L), view(room.dc, dc, 0, L), view(room.dz, dz, 0, 0),
            view(room.dz, dz + later, 0, L), view(room.a, h_old, 0, L), view(room.a, h_old + Hp, 0, L),
            unit_weights,
            view(room.dz, dz + behind_gates(cell, L, H, P), 0, cell.weight_rows * cell.gate_count * L),
        )  # fmt: skip
        if cell.multiplies_later:  # noqa: SIM102
            if phase == 1:
                if cell.projects:
                    copy(room.dz, dz + later + first, room.dh, dh + first, own)
                    for b in range(lo, hi):
                        projected(cell, at.gates.at(0, b), at.t.at(0, b), at.read.at(0, b))
                else:
                    copy(room.a, h_old + Hp + first, tape.c, c + N * Hp + first, some)
                    later_gate_back(lo, hi, nb, cell, at)
                    if hi * L > H:
                        clear_behind(room.dz, dz + later + (hi - 1) * L, 1, H - (hi - 1) * L)
        if cell.normalizes:
            normalize_back(phase, lo, hi, H, cell, at, room.zeros)
        if phase == 0:
            if not cell.normalizes:
                first_phase_back(lo, hi, nb, cell, at)
            if hi * L > H:  # units that fill up the last vector; an infinity of x times their weights, 0, is NaN
                for gate in range(cell.gate_count):
                    clear_behind(room.dz, dz + gate_place(cell, gate, hi - 1, nb) * L, 1, H - (hi - 1) * L)
            if cell.gates_h:  # what came through p goes to the old h as the product's part does
                if mask.size > 0:
                    scale(room.dc, dc + first, mask, order[rank] * P + first, own)
                accumulate(room.dh, dh + first, room.dc, dc + first, own)
                clear(room.dc, dc + first, some)
            if begun:  # the old h was 0; the step before goes on from the tape's c
                clear(room.a, h_old + first, some)
                if cell.carries_t:
                    tanh_row(room.t, t + first, tape.c, c + first, some)
            elif s == 0:
                copy(room.a, h_old + first, given.h_first, order[rank] * P + first, own)
            if mask.size > 0 and (s == 0 or not cell.keeps_operand):
                scale(room.a, h_old + first, mask, order[rank] * P + first, own)


@inlined
def first_phase_back(lo: Any, hi: Any, nb: Any, cell: Any, at: Any) -> None:
    """The first phase's equations of one row, for blocks lo to hi of nb. at: a RowBack."""
    b = lo
    while b < hi:
        where = (cell, at.gates.at(0, b), at.before.at(0, b), at.c_old.at(0, b), at.t.at(0, b), at.dh.at(0, b),
                 at.dc.at(0, b), at.dz, b, nb, at.h_old.at(0, b), at.unit_weights.at(0, b),
                 at.down.at(0, b))  # fmt: skip
        if b + 1 < hi:
            backward_cell_pair(*where)
        else:
            backward_cell(*where)
        b += 2


@inlined
def later_gate_back(lo: Any, hi: Any, nb: Any, cell: Any, at: Any) -> None:
    """Those of a gate of the second phase."""
    b = lo
    while b < hi:
        where = (cell, at.gates.at(0, b), at.t.at(0, b), at.dh.at(0, b), at.dc.at(0, b), at.dz, b, nb,
                 at.dv.at(0, b))  # fmt: skip
        if b + 1 < hi:
            finish_back_pair(*where)
        else:
            finish_back(*where)
        b += 2


@compiled
def hidden_back(s: Any, share: Any, given: Any) -> None:
    """dh = dz @ U.T of step s for the same ranks and units; added to what goes past z, where equations leave that."""
    cell, room, P, mask = given.weights.cell, given.room, given.sizes.P, given.schedule.mask
    width, L = BLOCK * lanes_of(room.ut), lanes_of(room.ut)
    nb = vectors_for(given.sizes.H, L)
    depth, first = nb * cell.of_h * L, nb * (cell.gate_count - cell.of_h) * L
    m, count = ranks_of(s, share, given)
    dz, dh = view(room.dz, m * room.ldz + first, share.stride * room.ldz, 0), share.first * room.ldh
    for q in range(share.lo, min(share.hi, panels_for(P, L))):
        out = view(room.dh, dh + q * width, share.stride * room.ldh, 0)
        init = view(room.zeros, 0, 0, 0)
        panel = view(room.ut, q * depth * width, 0, 0)
        if cell.passes_h:
            init = out
            if mask.size > 0:
                masked_back(q, dz, count, panel, share, given)
                continue
        product_of(P - q * width, dz, count, depth, panel, init, out)


@compiled
def masked_back(q: Any, dz: Any, count: Any, panel: Any, share: Any, given: Any) -> None:
    """The same for one panel, where a mask is on what goes through the product, and not on what goes past it."""
    room, order, L, P = given.room, given.schedule.order, lanes_of(given.room.ut), given.sizes.P
    width = BLOCK * L
    depth, columns = vectors_for(given.sizes.H, L) * given.weights.cell.of_h * L, min(width, P - q * width)
    first, t0 = 0, share.w * GROUP * width
    while first < count:
        rows = min(GROUP, count - first)
        product_of(columns, dz.at(first, 0), rows, depth, panel, view(room.zeros, 0, 0, 0),
                   view(room.tmp, t0, width, 0))  # fmt: skip
        for r in range(rows):
            rank = share.first + (first + r) * share.stride
            scale(room.tmp, t0 + r * width, given.schedule.mask, order[rank] * P + q * width, columns)
            accumulate(room.dh, rank * room.ldh + q * width, room.tmp, t0 + r * width, columns)
        first += rows


@compiled
def memory_back(s: Any, share: Any, given: Any) -> None:
    """dz @ V.T of step s and the second phase for the same ranks and units of c: added to dc, or dm of a projection, in
    dh's place."""
    cell, room, H = given.weights.cell, given.room, given.sizes.H
    width, L = BLOCK * lanes_of(room.ut), lanes_of(room.ut)
    nb, wide = vectors_for(H, L), panels_for(given.sizes.P, L)
    depth = wide * width  # z's units, those that fill up the last panel too
    m, count = ranks_of(s, share, given)
    dz = view(room.dz, m * room.ldz + dz_vectors(cell, nb) * L, share.stride * room.ldz, 0)
    for q in range(share.lo, share.hi):
        out = view(room.dc, share.first * room.ldc + q * width, share.stride * room.ldc, 0)
        init = out
        if cell.projects:
            out = view(room.dh, share.first * room.ldh + q * width, share.stride * room.ldh, 0)
            init = view(room.zeros, 0, 0, 0)
        panel = view(room.ut, (wide * nb * cell.of_h * L + q * depth) * width, 0, 0)
        product_of(H - q * width, dz, count, depth, panel, init, out)


@compiled
def last_state(w: Any, workers: Any, given: Any) -> None:
    """The gradients of the last h and c, by rank; 0 behind their own width, and all of c's where h is in its place."""
    gradients, room, order = given.gradients, given.room, given.schedule.order
    H, P = given.sizes.H, given.sizes.P
    for rank in range(w, order.size, workers):
        copy(room.dh, rank * room.ldh, gradients.dh_state, order[rank] * P, P)
        clear(room.dh, rank * room.ldh + P, room.ldh - P)
        clear(room.dc, rank * room.ldc, room.ldc)
        if not given.weights.cell.alone:
            copy(room.dc, rank * room.ldc, gradients.dc_state, order[rank] * H, H)


@compiled
def first_state(w: Any, workers: Any, given: Any) -> None:
    """From the gradient past the first step's product to that of the initial state: none where a reset at that step
    leaves it unused. Where h is in the place of c, its gradient is the sum of the two."""
    schedule, gradients, room = given.schedule, given.gradients, given.room
    order, H, P = schedule.order, given.sizes.H, given.sizes.P
    for rank in range(w, order.size, workers):
        h, c = order[rank] * P, order[rank] * H
        if begins(schedule, rank, 0):
            clear(gradients.dh_state, h, P)
            clear(gradients.dc_state, c, H)
            continue
        if schedule.mask.size > 0 and not given.weights.cell.passes_h and schedule.lens[rank] > 0:
            scale(room.dh, rank * room.ldh, schedule.mask, h, P)
        copy(gradients.dh_state, h, room.dh, rank * room.ldh, P)
        if given.weights.cell.alone:
            accumulate(gradients.dh_state, h, room.dc, rank * room.ldc, H)
        else:
            copy(gradients.dc_state, c, room.dc, rank * room.ldc, H)
