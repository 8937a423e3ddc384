"""A step of the backward pass."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled
from ..vectors.products import product_of
from ..vectors.rows import accumulate, clear, clear_behind, copy, scale, tanh_row
from ..vectors.target import BLOCK
from ..vectors.views import lanes_of
from .cell_type import kept_of, projects, rows_of_vectors
from .episodes import begins
from .norms import normalize_back
from .packing import panel_rows
from .sizes import behind_gates, phases_of
from .tiles import backward_cell, backward_cell_pair, finish_back, finish_back_pair, projected


@compiled
def step_back(s: Any, phase: Any, s0: Any, first: Any, stride: Any, lo: Any, hi: Any, bases: Any, cell: Any,
              panels: Any, second: Any, x: Any, D: Any, ut: Any, H: Any, P: Any, h0: Any, cells: Any, gates: Any,
              order: Any, lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, dy: Any, ldy: Any, column: Any,
              dh: Any, ldh: Any, dc: Any, ldc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any, where: Any,
              zeros: Any) -> None:  # fmt: skip
    """A phase of step s for ranks first, first + stride, ... and blocks lo to hi of units: gradients of the inputs of
    its gates.

    Of the block of time that begins with s0, step s has the rows from bases[s] - bases[s0] on.
    cells, gates: the tape, (step, rank); dh, dc, t: gradients of h and c, and tanh(c), a row for each rank; dz, a:
    gradients of the gates' inputs and the operands [1, x, h] for each row of the block; where: its place in x. Where
    there is a second phase, dz has once more those of the last gate, or of a projection's h, the units of all blocks
    side by side, and a the new c, or the projection's m. Where the equations take weights, dz has last what adds up to
    their gradients.
    """
    L = lanes_of(ut)
    nb = (H + L - 1) // L
    width, g_width = BLOCK * L, kept_of(cell) * L
    Hp = nb * L
    N = order.size
    base = bases[s] - bases[s0]
    own = max(0, min(hi * L, P) - lo * L)
    rows = panel_rows(cell, D, P)
    down = behind_gates(second, nb, width)
    own_rows = rows_of_vectors(cell) * width
    final = phases_of(second) - 1  # the last phase, the first one backwards
    for rank in range(first, bases[s + 1] - bases[s], stride):
        m = base + rank
        place = order[rank] * T + (lens[rank] - 1 - s if reverse else s)
        operand = m * lda
        g, c, u = (s * N + rank) * nb * g_width, (s * N + rank) * Hp, rank * Hp
        if phase == final:
            if lo == 0:
                where[m] = place * D
                a[operand] = a.dtype.type(1)
                copy(a, operand + 1, x, place * D, D)
            if begins(reset, order[rank] * T, lens[rank], reverse, s + 1):  # nothing comes back from another episode
                clear(dh, rank * ldh + lo * L, (hi - lo) * L)
                clear(dc, rank * ldc + lo * L, (hi - lo) * L)
            if mask.size > 0 and s < lens[rank] - 1:  # what came through the product
                scale(dh, rank * ldh + lo * L, mask, order[rank] * P + lo * L, own)
            if ldy > 0:
                accumulate(dh, rank * ldh + lo * L, dy, place * ldy + column + lo * L, own)
            if s == lens[rank] - 1 and second.ndim != 2:
                tanh_row(t, u + lo * L, cells, c + N * Hp + lo * L, (hi - lo) * L)
        if second.ndim == 3:
            if phase == 1 and projects(cell):
                copy(dz, m * ldz + nb * width + lo * L, dh, rank * ldh + lo * L, own)
                for b in range(lo, hi):
                    projected(
                        cell, gates, g + b * g_width, g_width, t, u + b * L, L, a, operand + 1 + D + Hp + b * L, L
                    )
            elif phase == 1:
                copy(a, operand + 1 + D + Hp + lo * L, cells, c + N * Hp + lo * L, (hi - lo) * L)
                b = lo
                while b < hi:
                    where_ = (cell, gates, g + b * g_width, g_width, t, u + b * L, L, dh, rank * ldh + b * L, L,
                              dc, rank * ldc + b * L, L, dz, m * ldz + b * width, width,
                              dz, m * ldz + nb * width + b * L, L)  # fmt: skip
                    if b + 1 < hi:
                        finish_back_pair(*where_)
                    else:
                        finish_back(*where_)
                    b += 2
                if hi * L > H:
                    clear_behind(dz, m * ldz + nb * width + (hi - 1) * L, 1, H - (hi - 1) * L)
        begun = begins(reset, order[rank] * T, lens[rank], reverse, s)
        held, c0, c_block = cells, c, L
        if begun:  # from zeros, whatever the tape has there
            held, c0, c_block = zeros, 0, 0
        if second.ndim == 2:
            normalize_back(cell, phase, lo, hi, H, gates, g, cells, c + N * Hp, held, c0, c_block, dh, rank * ldh, dc,
                           rank * ldc, dz, m * ldz, m * ldz + down, a, operand + 1 + D, panels, (1 + D + P) * width,
                           rows * width)  # fmt: skip
        if phase == 0:
            old = s - 1 if s > 0 else s  # before the first step there are no gates: any will do, h is put right
            g_old = (old * N + rank) * nb * g_width
            if second.ndim != 2:
                b = lo
                while b + 1 < hi:
                    backward_cell_pair(
                        cell, gates, g + b * g_width, g_width, gates, g_old + b * g_width, g_width, held,
                        c0 + b * c_block, c_block, t, u + b * L, L, dh, rank * ldh + b * L, L, dc, rank * ldc + b * L,
                        L, dz, m * ldz + b * width, width, a, operand + 1 + D + b * L, L, panels,
                        (b * rows + 1 + D + P) * width, rows * width, dz, m * ldz + down + b * own_rows,
                        own_rows)  # fmt: skip
                    b += 2
                if b < hi:
                    backward_cell(
                        cell, gates, g + b * g_width, g_width, gates, g_old + b * g_width, g_width, held,
                        c0 + b * c_block, c_block, t, u + b * L, L, dh, rank * ldh + b * L, L, dc, rank * ldc + b * L,
                        L, dz, m * ldz + b * width, width, a, operand + 1 + D + b * L, L, panels,
                        (b * rows + 1 + D + P) * width, rows * width, dz, m * ldz + down + b * own_rows,
                        own_rows)  # fmt: skip
            if hi * L > H:  # units that fill up the last vector; an infinity of x times their weights, 0, is NaN
                clear_behind(dz, m * ldz + (hi - 1) * width, BLOCK, H - (hi - 1) * L)
            if begun:  # the old h was 0; the step before goes on from the tape's c
                clear(a, operand + 1 + D + lo * L, (hi - lo) * L)
                if second.ndim != 2:
                    tanh_row(t, u + lo * L, cells, c + lo * L, (hi - lo) * L)
            elif s == 0:
                copy(a, operand + 1 + D + lo * L, h0, order[rank] * P + lo * L, own)
            if mask.size > 0:
                scale(a, operand + 1 + D + lo * L, mask, order[rank] * P + lo * L, own)


@compiled
def hidden_back(s: Any, s0: Any, first: Any, stride: Any, lo: Any, hi: Any, bases: Any, cell: Any, panels: Any,
                second: Any, x: Any, D: Any, ut: Any, H: Any, P: Any, h0: Any, cells: Any, gates: Any, order: Any,
                lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any,
                ldh: Any, dc: Any, ldc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any, where: Any,
                zeros: Any) -> None:  # fmt: skip
    """dh = dz @ U.T of step s for the same ranks, panels lo to hi of U.T; added to what goes past z, where a gate of
    the second phase has left that."""
    width = BLOCK * lanes_of(ut)
    depth = (H + lanes_of(ut) - 1) // lanes_of(ut) * width
    count = (bases[s + 1] - bases[s] - first + stride - 1) // stride
    for q in range(lo, min(hi, (P + width - 1) // width)):
        init, i0, ldi = zeros, 0, 0
        if second.ndim == 3 and not projects(cell):
            init, i0, ldi = dh, first * ldh + q * width, stride * ldh
        product_of(P - q * width, dz, (bases[s] - bases[s0] + first) * ldz, stride * ldz, count, depth, ut,
                   q * depth * width, init, i0, ldi, dh, first * ldh + q * width, stride * ldh)  # fmt: skip


@compiled
def last_state(w: Any, workers: Any, order: Any, width: Any, last: Any, d: Any, ld: Any) -> None:
    """Rows of a gradient of the last h or c, by rank; 0 behind its own width."""
    for rank in range(w, order.size, workers):
        copy(d, rank * ld, last, order[rank] * width, width)
        clear(d, rank * ld + width, ld - width)


@compiled
def first_state(w: Any, workers: Any, order: Any, lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, H: Any,
                P: Any, dh: Any, ldh: Any, dc: Any, ldc: Any, out_h: Any, out_c: Any) -> None:  # fmt: skip
    """From the gradient past the first step's product to that of the initial state: none where a reset at that step
    leaves it unused."""
    for rank in range(w, order.size, workers):
        h, c = order[rank] * P, order[rank] * H
        if begins(reset, order[rank] * T, lens[rank], reverse, 0):
            clear(out_h, h, P)
            clear(out_c, c, H)
            continue
        if mask.size > 0 and lens[rank] > 0:
            scale(dh, rank * ldh, mask, h, P)
        copy(out_h, h, dh, rank * ldh, P)
        copy(out_c, c, dc, rank * ldc, H)


@compiled
def memory_back(s: Any, s0: Any, first: Any, stride: Any, lo: Any, hi: Any, bases: Any, cell: Any, panels: Any,
                second: Any, x: Any, D: Any, ut: Any, H: Any, P: Any, h0: Any, cells: Any, gates: Any, order: Any,
                lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any,
                ldh: Any, dc: Any, ldc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any, where: Any,
                zeros: Any) -> None:  # fmt: skip
    """dz @ V.T of step s and the second phase for the same ranks, panels lo to hi of V.T: added to dc, or dm of a
    projection, in dh's place."""
    width = BLOCK * lanes_of(ut)
    nb = (H + lanes_of(ut) - 1) // lanes_of(ut)
    depth = second.shape[0] * width  # z's units, those that fill up the last panel too
    count = (bases[s + 1] - bases[s] - first + stride - 1) // stride
    for q in range(lo, hi):
        d, place, row = dc, first * ldc + q * width, stride * ldc
        init, i0, ldi = dc, place, row
        if projects(cell):
            d, place, row = dh, first * ldh + q * width, stride * ldh
            init, i0, ldi = zeros, 0, 0
        product_of(H - q * width, dz, (bases[s] - bases[s0] + first) * ldz + nb * width, stride * ldz, count, depth,
                   ut, depth * nb * width + q * depth * width, init, i0, ldi, d, place, row)  # fmt: skip
