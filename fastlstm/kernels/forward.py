"""The forward time loop: one pass over a thread's rows for every step, gates and cell update in cache.

Rows are samples in the order of falling length; worker w of P takes ranks w, w + P, ... so that ragged
batches stay balanced and the rows still active are always the first ones. A sample's numbers are one chain
of multiply-adds each (bias, then x in order, then h in order), whatever tile or path computes them: no bit
depends on batch, threads or chunking.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .cells import forward_cell, forward_cell_pair
from .options import compiled, parallel, serial
from .simd import (
    BLOCK,
    TILE_ROWS,
    copy,
    first_aligned,
    lanes_of,
    tile_1,
    tile_2,
    tile_3,
    tile_4,
    tile_5,
    tile_6,
)  # fmt: skip

SPLIT_ROWS = 4  # up to that many rows, x @ W is done apart, for many steps at a time


@compiled
def tile(rows: Any, a: Any, ao: Any, lda: Any, depth: Any, p: Any, po: Any, init: Any, io: Any, ldi: Any,
         out: Any, oo: Any, ldo: Any) -> None:  # fmt: skip
    """out (rows, 4 lanes) = init + A (rows, depth) @ panel, for 1 to TILE_ROWS rows."""
    if rows == 6:
        tile_6(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo)
    elif rows == 5:
        tile_5(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo)
    elif rows == 4:
        tile_4(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo)
    elif rows == 3:
        tile_3(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo)
    elif rows == 2:
        tile_2(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo)
    else:
        tile_1(a, ao, lda, depth, p, po, init, io, ldi, out, oo, ldo)


@compiled
def product(a: Any, ao: Any, lda: Any, rows: Any, depth: Any, p: Any, po: Any, init: Any, io: Any, ldi: Any,
            out: Any, oo: Any, ldo: Any) -> None:  # fmt: skip
    """The same for any number of rows, in tiles as equal as can be: a tile of one row is a slow one."""
    left = (rows + TILE_ROWS - 1) // TILE_ROWS
    r = 0
    while left > 0:
        height = (rows - r + left - 1) // left
        tile(height, a, ao + r * lda, lda, depth, p, po, init, io + r * ldi, ldi, out, oo + r * ldo, ldo)
        r += height
        left -= 1


@compiled
def operand_stride(L: Any, D: Any, H: Any) -> Any:
    """Numbers from one operand row [x, h] to the next: an odd number of vectors, so that the rows of a tile fall
    into different cache sets."""
    return (D + (H + L - 1) // L * L + L - 1) // L // 2 * 2 * L + L


@compiled
def forward_room(L: Any, D: Any, H: Any, rows: Any, chunk: Any) -> Any:
    """Numbers that each worker needs to work in."""
    nb = (H + L - 1) // L
    return rows * (2 * operand_stride(L, D, H) + nb * L * (1 + BLOCK * chunk)) + (TILE_ROWS + 1) * BLOCK * L


@compiled
def forward_rows(w: Any, workers: Any, x: Any, D: Any, panels: Any, H: Any, h: Any, c: Any, y: Any, ldy: Any,
                 column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any, lens: Any,
                 reverse: Any, T: Any, chunk: Any, work: Any) -> None:  # fmt: skip
    """All steps of one worker's rows.

    tape: whether gates (step, rank) and c (step, rank) are kept in `gates` and `cs`; otherwise these are `work`,
    room for each worker: two operand rows [x, h] a sample, then c, z of a tile, gates of a vector, and x @ W + b of
    `chunk` steps, where that is done apart (chunk > 0).
    """
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp = nb * L
    panel = (1 + D + H) * width
    rows_max = (order.size + workers - 1) // workers
    n = (order.size - w + workers - 1) // workers
    lda = operand_stride(L, D, H)
    ldz = rows_max * nb * width
    a = z = zx = work
    a0 = first_aligned(work) + w * forward_room(L, D, H, rows_max, chunk)
    c0, c_row, c_step = a0 + 2 * rows_max * lda, Hp, 0
    z0 = c0 + rows_max * Hp
    g0, g_row, g_step, g_block = z0 + TILE_ROWS * width, 0, 0, 0
    zx0 = g0 + width
    if tape:
        c0, c_row, c_step = w * Hp, workers * Hp, order.size * Hp
        g0, g_row, g_step, g_block = w * nb * width, workers * nb * width, order.size * nb * width, width
    for r in range(n):
        rank = w + r * workers
        copy(a, a0 + r * lda + D, h, order[rank] * H, H)
        copy(cs, c0 + r * c_row, c, order[rank] * H, H)
        for j in range(c0 + r * c_row + H, c0 + r * c_row + Hp):
            cs[j] = 0  # units that fill up the last vector: they stay 0
    steps = lens[w] if n > 0 else 0
    active = n
    inner = 0
    for s in range(steps):
        while active > 0 and lens[w + (active - 1) * workers] <= s:
            active -= 1
        now = a0 + (s % 2) * rows_max * lda
        then = a0 + ((s + 1) % 2) * rows_max * lda
        if chunk > 0:
            if inner == chunk or s == 0:
                inner = s - s
                for r in range(active):
                    rank = w + r * workers
                    t = lens[rank] - 1 - s if reverse else s
                    for b in range(nb):
                        product(x, (order[rank] * T + t) * D, -D if reverse else D, min(chunk, lens[rank] - s),
                                D, panels, b * panel + width, panels, b * panel, np.int64(0),
                                zx, zx0 + (r * nb + b) * width, ldz)  # fmt: skip
        else:
            for r in range(active):
                rank = w + r * workers
                t = lens[rank] - 1 - s if reverse else s
                copy(a, now + r * lda, x, (order[rank] * T + t) * D, D)
        for j in range(nb):
            b = nb - 1 - j if s % 2 else j  # there and back: what was read last is still in cache
            first = 0
            left = (active + TILE_ROWS - 1) // TILE_ROWS
            while left > 0:
                rows = (active - first + left - 1) // left
                if chunk > 0:
                    tile(rows, a, now + first * lda + D, lda, H, panels, b * panel + (1 + D) * width,
                         zx, zx0 + inner * ldz + (first * nb + b) * width, nb * width, z, z0, width)  # fmt: skip
                else:
                    tile(rows, a, now + first * lda, lda, D + H, panels, b * panel + width,
                         panels, b * panel, np.int64(0), z, z0, width)  # fmt: skip
                c1 = c0 + s * c_step + first * c_row + b * L
                h1 = then + first * lda + D + b * L
                g1 = g0 + s * g_step + first * g_row + b * g_block
                r = 0
                while r + 1 < rows:
                    forward_cell_pair(z, z0 + r * width, width, cs, c1 + r * c_row, c_row,
                                      cs, c1 + r * c_row + c_step, c_row, a, h1 + r * lda, lda,
                                      gates, g1 + r * g_row, g_row)  # fmt: skip
                    r += 2
                if r < rows:
                    forward_cell(z, z0 + r * width, width, cs, c1 + r * c_row, c_row,
                                 cs, c1 + r * c_row + c_step, c_row, a, h1 + r * lda, lda,
                                 gates, g1 + r * g_row, g_row)  # fmt: skip
                first += rows
                left -= 1
        for r in range(active):
            rank = w + r * workers
            t = lens[rank] - 1 - s if reverse else s
            row = order[rank] * T + t
            copy(y, row * ldy + column, a, then + r * lda + D, H)
            if keep_cells:
                copy(cells, row * H, cs, c0 + s * c_step + c_step + r * c_row, H)
        inner += 1
    for r in range(n):
        rank = w + r * workers
        last = a0 + (lens[rank] % 2) * rows_max * lda + r * lda + D
        copy(h, order[rank] * H, a, last, H)
        copy(c, order[rank] * H, cs, c0 + lens[rank] * c_step + r * c_row, H)


@serial
def forward_serial(workers: Any, *arguments: Any) -> None:
    """The forward pass in the calling thread."""
    for w in range(workers):
        forward_rows(w, workers, *arguments)


@parallel
def forward_parallel(workers: Any, *arguments: Any) -> None:
    """The forward pass on Numba's threads, a worker's rows each."""
    for w in prange(workers):
        forward_rows(np.int64(w), workers, *arguments)
