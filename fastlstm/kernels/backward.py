"""The backward time loop, and the weight gradients, in blocks of time.

First the workers share the transposition of the weights. Then, in each block, they go back through the block's steps
(gate gradients, then dh = dz @ U.T) and share the products over the block's M rows: dx = dz @ W.T by rows, and
d[b; W; U] = [1, x, h].T @ dz by panels of columns. Last they bring those panels into the order of the weights. A sum
over rows runs in pieces of 128 in a fixed order: the error stays small, and no bit depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import backward_cell, backward_cell_pair, tanh_row
from .options import compiled, kernel
from .packing import out_of_panels, transpose_panels
from .products import product_of
from .simd import BLOCK, TILE_ROWS, accumulate, copy, lanes_of, outer
from .step import begins, clear

PIECE = 128  # rows of one running sum
GROUP = 4 * TILE_ROWS  # rows of dx that a worker takes at once


@compiled
def step_back(s: Any, s0: Any, first: Any, stride: Any, lo: Any, hi: Any, bases: Any, x: Any, D: Any, ut: Any, H: Any,
                h0: Any, cells: Any, gates: Any, order: Any, lens: Any, reset: Any, reverse: Any, T: Any, dy: Any,
                ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any,
                where: Any, zeros: Any) -> None:  # fmt: skip
    """Step s for ranks first, first + stride, ... and blocks lo to hi of units: gradients of the gates' inputs.

    Of the block of time that begins with s0, step s has the rows from bases[s] - bases[s0] on.
    cells, gates: the tape, (step, rank); dh, dc, t: gradients of h and c, and tanh(c), a row for each rank; dz, a:
    gradients of the gates' inputs and the operands [1, x, h] for each row of the block; where: its place in x.
    """
    L = lanes_of(ut)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp = nb * L
    N = order.size
    base = bases[s] - bases[s0]
    own = min(hi * L, H) - lo * L
    for rank in range(first, bases[s + 1] - bases[s], stride):
        m = base + rank
        place = order[rank] * T + (lens[rank] - 1 - s if reverse else s)
        operand = m * lda
        if lo == 0:
            where[m] = place * D
            a[operand] = a.dtype.type(1)
            copy(a, operand + 1, x, place * D, D)
        if begins(reset, order[rank] * T, lens[rank], reverse, s + 1):  # nothing comes back from another episode
            clear(dh, rank * ldh + lo * L, (hi - lo) * L)
            clear(dc, rank * Hp + lo * L, (hi - lo) * L)
        if ldy > 0:
            accumulate(dh, rank * ldh + lo * L, dy, place * ldy + column + lo * L, own)
        if s == lens[rank] - 1:
            tanh_row(t, rank * Hp + lo * L, cells, ((s + 1) * N + rank) * Hp + lo * L, (hi - lo) * L)
        old = s - 1 if s > 0 else s  # before the first step there are no gates: any will do, h is put right
        g, g_old = (s * N + rank) * nb * width, (old * N + rank) * nb * width
        c, u = (s * N + rank) * Hp, rank * Hp
        b = lo
        while b + 1 < hi:
            backward_cell_pair(
                gates, g + b * width, width, gates, g_old + b * width, width, cells, c + b * L, L,
                t, u + b * L, L, dh, rank * ldh + b * L, L, dc, u + b * L, L, dz, m * ldz + b * width, width,
                a, operand + 1 + D + b * L, L)  # fmt: skip
            b += 2
        if b < hi:
            backward_cell(
                gates, g + b * width, width, gates, g_old + b * width, width, cells, c + b * L, L,
                t, u + b * L, L, dh, rank * ldh + b * L, L, dc, u + b * L, L, dz, m * ldz + b * width, width,
                a, operand + 1 + D + b * L, L)  # fmt: skip
        if begins(reset, order[rank] * T, lens[rank], reverse, s):  # the old h and c were 0, not the tape's
            clear(a, operand + 1 + D + lo * L, (hi - lo) * L)
            for b in range(lo, hi):
                clear(dz, m * ldz + b * width + L, L)  # of the gates f alone depends on the old c
        elif s == 0:
            copy(a, operand + 1 + D + lo * L, h0, order[rank] * H + lo * L, own)


@compiled
def hidden_back(s: Any, s0: Any, first: Any, stride: Any, lo: Any, hi: Any, bases: Any, x: Any, D: Any, ut: Any, H: Any,
                h0: Any, cells: Any, gates: Any, order: Any, lens: Any, reset: Any, reverse: Any, T: Any, dy: Any,
                ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any,
                where: Any, zeros: Any) -> None:  # fmt: skip
    """dh = dz @ U.T of step s for the same ranks, panels lo to hi of U.T."""
    width = BLOCK * lanes_of(ut)
    depth = (H + lanes_of(ut) - 1) // lanes_of(ut) * width
    count = (bases[s + 1] - bases[s] - first + stride - 1) // stride
    for q in range(lo, hi):
        product_of(H - q * width, dz, (bases[s] - bases[s0] + first) * ldz, stride * ldz, count, depth, ut,
                   q * depth * width, zeros, np.int64(0), np.int64(0), dh, first * ldh + q * width,
                   stride * ldh)  # fmt: skip


@compiled
def initial_back(x: Any, D: Any, ut: Any, H: Any, h0: Any, cells: Any, gates: Any, order: Any, lens: Any, reset: Any,
                 reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, t: Any, dz: Any,
                 ldz: Any, a: Any, lda: Any, where: Any, zeros: Any) -> None:  # fmt: skip
    """No gradient for an initial state that a reset at the first step leaves unused."""
    Hp = (H + lanes_of(ut) - 1) // lanes_of(ut) * lanes_of(ut)
    for rank in range(order.size):
        if begins(reset, order[rank] * T, lens[rank], reverse, np.int64(0)):
            clear(dh, rank * ldh, H)
            clear(dc, rank * Hp, H)


@compiled
def backward_share(w: Any, workers: Any, wide: Any, turn: Any, s0: Any, s1: Any, bases: Any, x: Any, D: Any, ut: Any,
                   H: Any, h0: Any, cells: Any, gates: Any, order: Any, lens: Any, reset: Any, reverse: Any, T: Any,
                   dy: Any, ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, t: Any, dz: Any, ldz: Any, a: Any,
                   lda: Any, where: Any, zeros: Any) -> None:  # fmt: skip
    """A worker's share of one turn's work on a block of time.

    Where the rows are shared there is one turn: all steps of the worker's rows. Where the units are (wide), a turn
    takes dh of the worker's units from the turn before, then makes one step of them; the last turn takes dh only, and
    in a block of fewer steps than the others some turns have nothing to do.
    """
    nb = (H + lanes_of(ut) - 1) // lanes_of(ut)
    panels = ldh // (BLOCK * lanes_of(ut))
    first, stride, lo, hi, steps = w, workers, np.int64(0), panels, s1 - s0
    if wide:
        first, stride, lo, hi = np.int64(0), np.int64(1), w * panels // workers, (w + 1) * panels // workers
        steps = 1
        if 0 < turn <= s1 - s0:
            hidden_back(s1 - turn, s0, first, stride, lo, hi, bases, x, D, ut, H,
                      h0, cells, gates, order, lens, reset, reverse, T, dy, ldy, column, dh, ldh, dc, t, dz, ldz, a,
                      lda, where, zeros)  # fmt: skip
    for back in range(steps):
        s = s1 - 1 - turn - back
        if s >= s0 and lo < hi:
            step_back(s, s0, first, stride, lo * BLOCK, min(hi * BLOCK, nb), bases, x, D, ut, H,
                      h0, cells, gates, order, lens, reset, reverse, T, dy, ldy, column, dh, ldh, dc, t, dz, ldz, a,
                      lda, where, zeros)  # fmt: skip
            if not wide:
                hidden_back(s, s0, first, stride, lo, hi, bases, x, D, ut, H,
                      h0, cells, gates, order, lens, reset, reverse, T, dy, ldy, column, dh, ldh, dc, t, dz, ldz, a,
                      lda, where, zeros)  # fmt: skip


@compiled
def backward_sums(w: Any, workers: Any, rows: Any, D: Any, wt: Any, H: Any, dz: Any, ldz: Any, a: Any, lda: Any,
                  where: Any, dx: Any, dp: Any, tmp: Any, zeros: Any) -> None:  # fmt: skip
    """One worker's share of a block's products over its rows: dx, and the weights' gradients in panels."""
    L = lanes_of(wt)
    nb = (H + L - 1) // L
    width = BLOCK * L
    tiles = (1 + D + H + TILE_ROWS - 1) // TILE_ROWS
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
                      dp, (b * tiles + k) * TILE_ROWS * width, width)  # fmt: skip
            m += PIECE
        b += workers


@kernel
def backward(first: Any, last: Any, w: Any, workers: Any, arguments: Any) -> None:
    """A worker's share of some turns of the backward pass.

    arguments: turns of the whole pass, and those of a block's steps (inner); wide, block, steps, bases; panels, wt, D,
    ut, H, dp and the gradients; those of step_back from x on; those of backward_sums from D on.
    """
    turns, inner, wide, block, steps, bases = arguments[:6]
    panels, wt, D, ut, H, dp, gradients = arguments[6:13]
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    depth = 1 + D + H
    stride = (depth + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    for turn in range(first, last):
        back, within = (turn - 1) // (inner + 1), (turn - 1) % (inner + 1)
        s0 = ((steps - 1) // block - back) * block
        s1 = min(s0 + block, steps)
        if turn == 0:
            share = nb * stride * BLOCK * L // workers
            for i in range(w * share, nb * stride * BLOCK * L if w == workers - 1 else (w + 1) * share):
                dp[i] = 0
            transpose_panels(w, workers, panels, depth, np.int64(1), D, nb, wt)
            transpose_panels(w, workers, panels, depth, 1 + D, H, nb, ut)
        elif turn == turns - 1:
            out_of_panels(w, workers, dp, depth, stride, H, gradients)
            if w == 0:
                initial_back(*arguments[13:38])
        elif within < inner:
            backward_share(w, workers, wide, within, s0, s1, bases, *arguments[13:38])
        else:
            backward_sums(w, workers, bases[s1] - bases[s0], *arguments[38:])
