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

from .cells import backward_cell, hidden_cell
from .forward import product
from .options import compiled, parallel, serial
from .simd import BLOCK, TILE_ROWS, copy, lanes_of, outer_6

PIECE = 128  # rows of one running sum
GROUP = 4 * TILE_ROWS  # rows of dx that a worker takes at once


@compiled
def backward_rows(w: Any, workers: Any, s0: Any, s1: Any, x: Any, D: Any, ut: Any, H: Any, h0: Any, cold0: Any,
                  cells: Any, gates: Any, order: Any, lens: Any, bases: Any, reverse: Any, T: Any, dy: Any,
                  ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, dz: Any, dzp: Any, ap: Any, where: Any,
                  M: Any, row: Any, ldrow: Any, zeros: Any) -> None:  # fmt: skip
    """One worker's rows, steps s1 - 1 down to s0. Step s holds rows bases[s] - bases[s0] and on of the block.
    row: the worker's scratch: [1, x, h], c before, c after, dh."""
    L = lanes_of(ut)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp = nb * L
    tiles = (1 + D + H + TILE_ROWS - 1) // TILE_ROWS
    operand = w * ldrow
    before = operand + tiles * TILE_ROWS + Hp
    after = before + Hp
    dhy = after + Hp
    dh0 = (order.size + workers - 1) // workers * w * ldh
    dc0 = (order.size + workers - 1) // workers * w * Hp
    row[operand] = row.dtype.type(1)
    for back in range(s1 - s0):
        s = s1 - 1 - back
        active = (bases[s + 1] - bases[s] - w + workers - 1) // workers
        base = bases[s] - bases[s0] + w
        for r in range(active):
            rank = w + r * workers
            n = order[rank]
            m = base + r * workers
            t = lens[rank] - 1 - s if reverse else s
            old = t + 1 if reverse else t - 1
            copy(row, operand + 1, x, (n * T + t) * D, D)
            copy(row, after, cells, (n * T + t) * H, H)
            if s == 0:
                copy(row, before, cold0, n * H, H)
                copy(row, operand + 1 + D, h0, n * H, H)
            else:
                copy(row, before, cells, (n * T + old) * H, H)
                for b in range(nb):
                    hidden_cell(gates, ((n * T + old) * nb + b) * width, row, before + b * L,
                                row, operand + 1 + D + b * L)  # fmt: skip
            for j in range(H):
                row[dhy + j] = dh[dh0 + r * ldh + j]
            if dy.size > 0:
                for j in range(H):
                    row[dhy + j] += dy[(n * T + t) * ldy + column + j]
            for b in range(nb):
                backward_cell(gates, ((n * T + t) * nb + b) * width, row, before + b * L, row, after + b * L,
                              row, dhy + b * L, dc, dc0 + r * Hp + b * L, dz, (m * nb + b) * width,
                              dzp, (b * M + m) * width)  # fmt: skip
            for k in range(tiles):
                copy(ap, (k * M + m) * TILE_ROWS, row, operand + k * TILE_ROWS, TILE_ROWS)
            where[m] = (n * T + t) * D
        stride = nb * width
        for q in range(ldh // width):
            product(dz, base * stride, workers * stride, active, stride, ut, q * stride * width, zeros,
                    np.int64(0), np.int64(0), dh, dh0 + q * width, ldh)  # fmt: skip


@compiled
def backward_sums(w: Any, workers: Any, rows: Any, D: Any, wt: Any, H: Any, dz: Any, dzp: Any, ap: Any, where: Any,
                  M: Any, dx: Any, dp: Any, tmp: Any, zeros: Any) -> None:  # fmt: skip
    """One worker's share of a block's products over its rows: dx, and the weights' gradients in panels."""
    L = lanes_of(wt)
    nb = (H + L - 1) // L
    width = BLOCK * L
    stride = nb * width
    tiles = (1 + D + H + TILE_ROWS - 1) // TILE_ROWS
    t0 = w * GROUP * width
    first = w * GROUP
    while first < rows:
        count = min(GROUP, rows - first)
        for q in range((D + width - 1) // width):
            product(dz, first * stride, stride, count, stride, wt, q * stride * width, zeros, np.int64(0),
                    np.int64(0), tmp, t0, width)  # fmt: skip
            for r in range(count):
                for j in range(min(width, D - q * width)):
                    dx[where[first + r] + q * width + j] += tmp[t0 + r * width + j]
        first += workers * GROUP
    b = w
    while b < nb:
        m0 = 0
        while m0 < rows:
            depth = min(PIECE, rows - m0)
            for k in range(tiles):
                outer_6(ap, (k * M + m0) * TILE_ROWS, 0, depth, dzp, (b * M + m0) * width, zeros, 0, 0,
                        dp, ((b * tiles + k) * TILE_ROWS) * width, width)  # fmt: skip
            m0 += PIECE
        b += workers


@serial
def backward_serial(workers: Any, row_workers: Any, block: Any, steps: Any, x: Any, D: Any, ut: Any, wt: Any,
                    H: Any, h0: Any, c0: Any, cells: Any, gates: Any, order: Any, lens: Any, bases: Any,
                    reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, dz: Any,
                    dzp: Any, ap: Any, where: Any, M: Any, row: Any, ldrow: Any, dx: Any, dp: Any, tmp: Any,
                    zeros: Any) -> None:  # fmt: skip
    """The backward pass in the calling thread."""
    s1 = steps
    while s1 > 0:
        s0 = (s1 - 1) // block * block
        for w in range(row_workers):
            backward_rows(w, row_workers, s0, s1, x, D, ut, H, h0, c0, cells, gates, order, lens, bases, reverse,
                          T, dy, ldy, column, dh, ldh, dc, dz, dzp, ap, where, M, row, ldrow, zeros)  # fmt: skip
        for w in range(workers):
            backward_sums(w, workers, bases[s1] - bases[s0], D, wt, H, dz, dzp, ap, where, M, dx, dp, tmp,
                          zeros)  # fmt: skip
        s1 = s0


@parallel
def backward_parallel(workers: Any, row_workers: Any, block: Any, steps: Any, x: Any, D: Any, ut: Any, wt: Any,
                      H: Any, h0: Any, c0: Any, cells: Any, gates: Any, order: Any, lens: Any, bases: Any,
                      reverse: Any, T: Any, dy: Any, ldy: Any, column: Any, dh: Any, ldh: Any, dc: Any, dz: Any,
                      dzp: Any, ap: Any, where: Any, M: Any, row: Any, ldrow: Any, dx: Any, dp: Any, tmp: Any,
                      zeros: Any) -> None:  # fmt: skip
    """The backward pass on Numba's threads."""
    s1 = steps
    while s1 > 0:
        s0 = (s1 - 1) // block * block
        for w in prange(row_workers):
            backward_rows(np.int64(w), row_workers, s0, s1, x, D, ut, H, h0, c0, cells, gates, order, lens, bases,
                          reverse, T, dy, ldy, column, dh, ldh, dc, dz, dzp, ap, where, M, row, ldrow,
                          zeros)  # fmt: skip
        for w in prange(workers):
            backward_sums(np.int64(w), workers, bases[s1] - bases[s0], D, wt, H, dz, dzp, ap, where, M, dx, dp,
                          tmp, zeros)  # fmt: skip
        s1 = s0
