"""The backward time loop, and the weight gradients, in blocks of time.

First the workers share the transposition of the weights. Then, in each block, they go back through the block's steps
(gate gradients, then dh = dz @ U.T) and share the products over the block's M rows: dx = dz @ W.T by rows, and
d[b; W; U] = [1, x, h].T @ dz by panels of columns. Last each brings its panels into the order of the weights. A sum
over rows runs in pieces of 128 in a fixed order: the error stays small, and no bit depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .activations import tanh_row
from .cells import kept_of, projects, rows_of_vectors, width_of
from .norms import normalize_back
from .options import compiled, inlined, kernel, loaded
from .packing import out_of_panels, panel_rows, transpose_panels
from .phases import backward_cell, backward_cell_pair, finish_back, finish_back_pair, projected
from .products import product_of
from .simd import BLOCK, TILE_ROWS, accumulate, clear_behind, copy, flat, lanes_of, outer, scale
from .step import begins, clear, phases_of

PIECE = 128  # rows of one running sum
GROUP = 4 * TILE_ROWS  # rows of dx that a worker takes at once


@inlined
def behind_gates(second: Any, nb: Any, width: Any) -> Any:
    """Where in a row of dz comes what adds up to the gradients of weights for the equations."""
    if second.ndim == 3:
        return (nb + second.shape[0]) * width
    return nb * width


@compiled
def whole_tiles(rows: Any) -> Any:
    """Rows of as few tiles as hold that many."""
    return (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS


@compiled
def room_sizes(L: Any, D: Any, H: Any, P: Any, own: Any, third: Any) -> Any:
    """What the backward pass works in (backend.Room): numbers in a row of dh, dc, dz, a, and in all of dp, wt, ut.

    own: rows of weights for the equations; third: whether there are panels of a second phase. That one's part of dz, of
    the operands, of the panels of sums and of the transposed weights is behind the first one's. Rows of dz and a are an
    odd number of vectors: so the rows of a tile fall into different cache sets."""
    nb, width = (H + L - 1) // L, BLOCK * L
    ldx, ldh, ldp = (D + width - 1) // width * width, (H + width - 1) // width * width, (P + width - 1) // width * width
    operands, columns, filled = 1 + D + nb * L, nb * width, whole_tiles(1 + D + P)
    ldc, sums, weights = nb * L, nb * (filled + own) * width, ldp * nb * width
    if third:
        taller = whole_tiles(H)
        filled, ldc = operands + taller, ldh
        operands, columns = operands + nb * L, columns + ldp
        sums, weights = sums + ldp * taller, weights + ldh * ldp
    a, dz = max(operands, filled), columns + nb * own * width
    lda, ldz = (a + L - 1) // L // 2 * 2 * L + L, (dz + L - 1) // L // 2 * 2 * L + L
    return ldh, ldc, ldz, lda, sums, ldx * nb * width, weights


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
            held, c0, c_block = zeros, N - N, 0
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
        init, i0, ldi = zeros, first - first, first - first
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
        if begins(reset, order[rank] * T, lens[rank], reverse, np.int64(0)):
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
            init, i0, ldi = zeros, first - first, first - first
        product_of(H - q * width, dz, (bases[s] - bases[s0] + first) * ldz + nb * width, stride * ldz, count, depth,
                   ut, depth * nb * width + q * depth * width, init, i0, ldi, d, place, row)  # fmt: skip


@compiled
def backward_share(w: Any, workers: Any, wide: Any, turn: Any, s0: Any, s1: Any, bases: Any, cell: Any, panels: Any,
                   second: Any, x: Any, D: Any, ut: Any, H: Any, P: Any, h0: Any, cells: Any, gates: Any, order: Any,
                   lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any,
                   ldh: Any, dc: Any, ldc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any, where: Any,
                   zeros: Any) -> None:  # fmt: skip
    """A worker's share of one turn's work on a block of time.

    Where the rows are shared there is one turn: all steps of the worker's rows. Where the units are (wide), a turn
    takes dh of the worker's units from the turn before, then makes one step of them; the last turn takes dh only, and
    in a block of fewer steps than the others some turns have nothing to do. A cell of more phases than one has as many
    turns a step.
    """
    rows = (bases, cell, panels, second, x, D, ut, H, P, h0, cells, gates, order, lens, reset, mask, reverse, T, dy,
            ldy, column, dh, ldh, dc, ldc, t, dz, ldz, a, lda, where, zeros)  # fmt: skip
    nb = (H + lanes_of(ut) - 1) // lanes_of(ut)
    tall = ldh // (BLOCK * lanes_of(ut))  # panels of U.T or V.T
    phases = np.int64(phases_of(second))
    first, stride, lo, hi, steps = w, workers, np.int64(0), tall, s1 - s0
    phase = phases - 1
    if wide:
        first, stride, lo, hi = np.int64(0), np.int64(1), w * tall // workers, (w + 1) * tall // workers
        steps = 1
        phase -= turn % phases
        turn //= phases
        if 0 < turn <= s1 - s0 and phase == phases - 1:
            hidden_back(s1 - turn, s0, first, stride, lo, hi, *rows)
    for back in range(steps):
        s = s1 - 1 - turn - back
        if s >= s0 and lo < hi:
            if second.ndim == 2:  # noqa: SIM102
                if not wide:
                    for later in range(phases - 1, 0, -1):
                        step_back(s, np.int64(later), s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), *rows)
            if second.ndim == 3:
                if phase == 1 and not wide:
                    step_back(s, phase, s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), *rows)
                if phase == 0 or not wide:
                    memory_back(s, s0, first, stride, lo, hi, *rows)
            last = np.int64(0)
            if wide:
                last = phase
            step_back(s, last, s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), *rows)
            if not wide:
                hidden_back(s, s0, first, stride, lo, hi, *rows)


@compiled
def backward_sums(w: Any, workers: Any, rows: Any, cell: Any, second: Any, D: Any, wt: Any, H: Any, P: Any, dz: Any,
                  ldz: Any, a: Any, lda: Any, where: Any, dx: Any, dp: Any, tmp: Any, zeros: Any) -> None:  # fmt: skip
    """One worker's share of a block's products over its rows: dx, and the weights' gradients in panels.

    Those of weights for the equations stand behind the last tile: what an outer product leaves in rows that fill a
    tile up is no number where dz is none."""
    L = lanes_of(wt)
    nb = (H + L - 1) // L
    width = BLOCK * L
    down = behind_gates(second, nb, width)
    tiles = whole_tiles(1 + D + P) // TILE_ROWS
    stride = tiles * TILE_ROWS + rows_of_vectors(cell)
    t0 = w * GROUP * width
    for q in range((D + width - 1) // width):  # a panel of W stays in cache while the rows pass by
        first = w * GROUP
        while first < rows:
            count = min(GROUP, rows - first)
            product_of(D - q * width, dz, first * ldz, ldz, count, nb * width, wt, q * nb * width * width, zeros,
                       np.int64(0), np.int64(0), tmp, t0, width)  # fmt: skip
            for r in range(count):
                accumulate(dx, where[first + r] + q * width, tmp, t0 + r * width, min(width, D - q * width))
            first += workers * GROUP
    b = w
    while b < nb:
        m = 0
        while m < rows:
            depth = min(PIECE, rows - m)
            for k in range(tiles):
                outer(a, m * lda + k * TILE_ROWS, lda, depth, dz, m * ldz + b * width, ldz,
                      dp, (b * stride + k * TILE_ROWS) * width, width)  # fmt: skip
            m += PIECE
        for n in range(rows_of_vectors(cell)):
            place = (b * stride + tiles * TILE_ROWS + n) * width
            for m in range(0, rows, PIECE):
                clear(tmp, t0, width)
                for r in range(m, min(m + PIECE, rows)):
                    accumulate(tmp, t0, dz, r * ldz + down + (b * rows_of_vectors(cell) + n) * width, width)
                accumulate(dp, place, tmp, t0, width)
        b += workers
    if second.ndim == 3:
        taller = whole_tiles(H) // TILE_ROWS
        for q in range(w, second.shape[0], workers):
            for m in range(0, rows, PIECE):
                for k in range(taller):
                    outer(a, m * lda + 1 + D + nb * L + k * TILE_ROWS, lda, min(PIECE, rows - m),
                          dz, m * ldz + (nb + q) * width, ldz,
                          dp, (nb * stride + (q * taller + k) * TILE_ROWS) * width, width)  # fmt: skip


@kernel
def backward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of some turns of the backward pass.

    arguments: turns of the whole pass, those of a block's steps (inner), wide; then what the other functions here take,
    in an order of its own: what changes from call to call, and what may stay (backend.BackwardPlan). h, c: gradients of
    the last state, in whose place come those of the first; dV: of V or of weights for the equations, or any array.
    """
    arguments = loaded(pointer)
    turns, inner, wide = arguments[:3]
    x, h0, cells, gates, reset, mask, reverse, dy, ldy, column, h, c, dx = arguments[3:16]
    block, steps, panels, dW, dU, dV, db, bases, cell, second, D, H, P, order, lens, T = arguments[16:32]
    P = width_of(cell, H, P)
    dh, ldh, dc, ldc, t, dz, ldz, a, lda, dp, tmp, zeros, wt, ut, where = arguments[32:]
    rows = (bases, cell, panels, second, x, D, ut, H, P, h0, cells, gates, order, lens, reset, mask, reverse, T, dy,
            ldy, column, dh, ldh, dc, ldc, t, dz, ldz, a, lda, where, zeros)  # fmt: skip
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    depth = panel_rows(cell, D, P)
    stride = whole_tiles(1 + D + P) + rows_of_vectors(cell)
    for turn in range(first, last):
        back, within = (turn - 1) // (inner + 1), (turn - 1) % (inner + 1)
        s0 = ((steps - 1) // block - back) * block
        s1 = min(s0 + block, steps)
        if turn == 0:
            share = dp.size // workers
            for i in range(w * share, dp.size if w == workers - 1 else (w + 1) * share):
                dp[i] = 0
            last_state(w, workers, order, P, h, dh, ldh)
            last_state(w, workers, order, H, c, dc, ldc)
            transpose_panels(w, workers, panels, depth, np.int64(1), D, nb, wt, np.int64(0))
            transpose_panels(w, workers, panels, depth, 1 + D, P, nb, ut, np.int64(0))
            if second.ndim == 3:  # V transposed, behind U
                transpose_panels(w, workers, flat(second), H, np.int64(0), H, second.shape[0], ut,
                                 second.shape[0] * BLOCK * L * nb * BLOCK * L)  # fmt: skip
        elif within < inner:
            backward_share(w, workers, wide, within, s0, s1, *rows)
        else:
            backward_sums(w, workers, bases[s1] - bases[s0], cell, second, D, wt, H, P, dz, ldz, a, lda, where, dx, dp,
                          tmp, zeros)  # fmt: skip
            if turn == turns - 1:  # a worker has the sums of its own panels
                out_of_panels(w, workers, cell, dp, stride, second, D, H, P, dW, dU, dV, db)
                first_state(w, workers, order, lens, reset, mask, reverse, T, H, P, dh, ldh, dc, ldc, h, c)
