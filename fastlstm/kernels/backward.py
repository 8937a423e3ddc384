"""The backward time loop, and the weight gradients, in blocks of time.

In each block, first every worker takes its rows back through the block's steps (gate gradients, then
dh = dz @ U.T); then all workers share the products over the block's M rows: dx = dz @ W.T by rows, and
d[b; W; U] = [1, x, h].T @ dz by panels of columns. A sum over rows runs in pieces of 128 in a fixed order:
the error stays small, and no bit depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .cells import backward_cell, backward_cell_pair, tanh_row
from .forward import product
from .options import compiled, parallel, serial
from .simd import BLOCK, TILE_ROWS, accumulate, copy, lanes_of, outer

PIECE = 128  # rows of one running sum
GROUP = 4 * TILE_ROWS  # rows of dx that a worker takes at once


@compiled
def backward_rows(w: Any, workers: Any, s0: Any, s1: Any, bases: Any, x: Any, D: Any, ut: Any, H: Any, h0: Any,
                  cells: Any, gates: Any, order: Any, lens: Any, reverse: Any, T: Any, dy: Any, ldy: Any,
                  column: Any, dh: Any, ldh: Any, dc: Any, t: Any, dz: Any, ldz: Any, a: Any, lda: Any,
                  where: Any, zeros: Any) -> None:  # fmt: skip
    """One worker's rows, steps s1 - 1 down to s0. Of the block, step s has the rows from bases[s] - bases[s0] on.

    cells, gates: the tape, (step, rank); dh, dc, t: gradients of h and c, and tanh(c), a row for each rank; dz, a:
    gradients of the gates' inputs and the operands [1, x, h] for each row of the block; where: its place in x.
    """
    L = lanes_of(ut)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp = nb * L
    N = order.size
    for back in range(s1 - s0):
        s = s1 - 1 - back
        active = (bases[s + 1] - bases[s] - w + workers - 1) // workers
        base = bases[s] - bases[s0] + w
        for r in range(active):
            rank = w + r * workers
            m = base + r * workers
            place = order[rank] * T + (lens[rank] - 1 - s if reverse else s)
            where[m] = place * D
            operand = m * lda
            a[operand] = a.dtype.type(1)
            copy(a, operand + 1, x, place * D, D)
            if ldy > 0:
                accumulate(dh, rank * ldh, dy, place * ldy + column, H)
            if s == lens[rank] - 1:
                tanh_row(t, rank * Hp, cells, ((s + 1) * N + rank) * Hp, Hp)
            old = s - 1 if s > 0 else s  # before the first step there are no gates: any will do, h is put right
            g, g_old = (s * N + rank) * nb * width, (old * N + rank) * nb * width
            c, u = (s * N + rank) * Hp, rank * Hp
            b = 0
            while b + 1 < nb:
                backward_cell_pair(
                    gates, g + b * width, width, gates, g_old + b * width, width, cells, c + b * L, L,
                    t, u + b * L, L, dh, rank * ldh + b * L, L, dc, u + b * L, L, dz, m * ldz + b * width, width,
                    a, operand + 1 + D + b * L, L)  # fmt: skip
                b += 2
            while b < nb:
                backward_cell(
                    gates, g + b * width, width, gates, g_old + b * width, width, cells, c + b * L, L,
                    t, u + b * L, L, dh, rank * ldh + b * L, L, dc, u + b * L, L, dz, m * ldz + b * width, width,
                    a, operand + 1 + D + b * L, L)  # fmt: skip
                b += 1
            if s == 0:
                copy(a, operand + 1 + D, h0, order[rank] * H, H)
        for q in range(ldh // width):
            product(dz, base * ldz, workers * ldz, active, nb * width, ut, q * nb * width * width, zeros,
                    np.int64(0), np.int64(0), dh, w * ldh + q * width, workers * ldh)  # fmt: skip


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
            product(dz, first * ldz, ldz, count, nb * width, wt, q * nb * width * width, zeros, np.int64(0),
                    np.int64(0), tmp, t0, width)  # fmt: skip
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


@serial
def backward_serial(workers: Any, row_workers: Any, block: Any, steps: Any, bases: Any, rows: Any, sums: Any) -> None:
    """The backward pass in the calling thread. rows, sums: the arguments that the two helpers have in common."""
    s1 = steps
    while s1 > 0:
        s0 = (s1 - 1) // block * block
        for w in range(row_workers):
            backward_rows(w, row_workers, s0, s1, bases, *rows)
        for w in range(workers):
            backward_sums(w, workers, bases[s1] - bases[s0], *sums)
        s1 = s0


@parallel
def backward_parallel(workers: Any, row_workers: Any, block: Any, steps: Any, bases: Any, rows: Any, sums: Any) -> None:
    """The backward pass on Numba's threads."""
    s1 = steps
    while s1 > 0:
        s0 = (s1 - 1) // block * block
        for w in prange(row_workers):
            backward_rows(np.int64(w), row_workers, s0, s1, bases, *rows)
        for w in prange(workers):
            backward_sums(np.int64(w), workers, bases[s1] - bases[s0], *sums)
        s1 = s0
