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

from .cells import (
    forward_tile_1,
    forward_tile_2,
    forward_tile_3,
    forward_tile_4,
    forward_tile_5,
    forward_tile_6,
    forward_twin,
)
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
def units(lo: Any, hi: Any, rows: Any, back: Any, a: Any, now: Any, then: Any, lda: Any, depth: Any, panels: Any,
          p0: Any, p_block: Any, init: Any, i0: Any, i_row: Any, i_block: Any, cs: Any, c_old: Any, c_new: Any,
          c_row: Any, gates: Any, g0: Any, g_row: Any, g_block: Any) -> None:  # fmt: skip
    """One step of some rows for blocks lo to hi of units: from the operands at a[now] to h at a[then].

    Where a row or a block of an array begins: its first place, and strides _row and _block. back: go through the
    blocks backwards; every other time that finds in cache what was read last.
    """
    L = lanes_of(panels)
    j = 0
    while rows == 1 and j + 1 < hi - lo:
        b = hi - 2 - j if back else lo + j
        forward_twin(a, now, depth, panels, p0 + b * p_block, p_block, init, i0 + b * i_block, i_block,
                     cs, c_old + b * L, c_new + b * L, a, then + b * L, gates, g0 + b * g_block, g_block)  # fmt: skip
        j += 2
    while j < hi - lo:
        b = hi - 1 - j if back else lo + j
        j += 1
        first = 0
        left = (rows + TILE_ROWS - 1) // TILE_ROWS
        while left > 0:
            n = (rows - first + left - 1) // left
            a1, p1, i1 = now + first * lda, p0 + b * p_block, i0 + first * i_row + b * i_block
            o1, c1 = c_old + first * c_row + b * L, c_new + first * c_row + b * L
            h1, g1 = then + first * lda + b * L, g0 + first * g_row + b * g_block
            if n == 6:
                forward_tile_6(
                    a, a1, lda, depth, panels, p1, init, i1, i_row, cs, o1, c1, c_row, a, h1, gates, g1, g_row
                )
            elif n == 5:
                forward_tile_5(
                    a, a1, lda, depth, panels, p1, init, i1, i_row, cs, o1, c1, c_row, a, h1, gates, g1, g_row
                )
            elif n == 4:
                forward_tile_4(
                    a, a1, lda, depth, panels, p1, init, i1, i_row, cs, o1, c1, c_row, a, h1, gates, g1, g_row
                )
            elif n == 3:
                forward_tile_3(
                    a, a1, lda, depth, panels, p1, init, i1, i_row, cs, o1, c1, c_row, a, h1, gates, g1, g_row
                )
            elif n == 2:
                forward_tile_2(
                    a, a1, lda, depth, panels, p1, init, i1, i_row, cs, o1, c1, c_row, a, h1, gates, g1, g_row
                )
            else:
                forward_tile_1(
                    a, a1, lda, depth, panels, p1, init, i1, i_row, cs, o1, c1, c_row, a, h1, gates, g1, g_row
                )
            first += n
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
    return rows * (2 * operand_stride(L, D, H) + nb * L) + (1 + nb * max(1, rows * chunk)) * BLOCK * L


@compiled
def forward_rows(w: Any, workers: Any, x: Any, D: Any, panels: Any, H: Any, h: Any, c: Any, y: Any, ldy: Any,
                 column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any, lens: Any,
                 reverse: Any, T: Any, chunk: Any, work: Any) -> None:  # fmt: skip
    """All steps of one worker's rows.

    tape: whether gates (step, rank) and c (step, rank) are kept in `gates` and `cs`; otherwise these are `work`,
    room for each worker: two operand rows [x, h] a sample, then c, gates of a vector, and b, or x @ W + b of
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
    a = zx = work
    a0 = first_aligned(work) + w * forward_room(L, D, H, rows_max, chunk)
    c0, c_row, c_step = a0 + 2 * rows_max * lda, Hp, 0
    g0, g_row, g_step, g_block = c0 + rows_max * Hp, 0, 0, 0
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
    if chunk == 0:
        for b in range(nb):
            copy(zx, zx0 + b * width, panels, b * panel, width)
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
        c1, g1 = c0 + s * c_step, g0 + s * g_step
        if chunk > 0:
            from_x, depth, i0, i_row = D, H, zx0 + inner * ldz, nb * width
        else:
            from_x, depth, i0, i_row = 0, D + H, zx0, 0
        units(np.int64(0), nb, active, s % 2, a, now + from_x, then + D, lda, depth, panels, (1 + from_x) * width,
              panel, work, i0, i_row, width, cs, c1, c1 + c_step, c_row, gates, g1, g_row, g_block)  # fmt: skip
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


@compiled
def wide_step(w: Any, workers: Any, s: Any, active: Any, x: Any, D: Any, panels: Any, H: Any, y: Any, ldy: Any,
              column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any, lens: Any,
              reverse: Any, T: Any, work: Any) -> None:  # fmt: skip
    """One step of all rows, for a worker's share of the units; and its share of the next step's x."""
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp = nb * L
    N = order.size
    lo, hi = w * nb // workers, (w + 1) * nb // workers
    lda = operand_stride(L, D, H)
    a0 = first_aligned(work)
    now, then = a0 + (s % 2) * N * lda, a0 + ((s + 1) % 2) * N * lda
    c_old, c_new = a0 + 2 * N * lda, a0 + 2 * N * lda
    g0, g_row, g_block = c_old + N * Hp + w * width, 0, 0
    if tape:
        c_old, c_new = s * N * Hp, (s + 1) * N * Hp
        g0, g_row, g_block = s * N * nb * width, nb * width, width
    units(lo, hi, active, s % 2, work, now, then + D, lda, D + H, panels, width, (1 + D + H) * width,
          panels, np.int64(0), np.int64(0), (1 + D + H) * width, cs, c_old, c_new, Hp, gates, g0, g_row,
          g_block)  # fmt: skip
    first = lo * L
    count = min(hi * L, H) - first
    for r in range(active):
        t = lens[r] - 1 - s if reverse else s
        row = order[r] * T + t
        copy(y, row * ldy + column + first, work, then + r * lda + D + first, count)
        if keep_cells:
            copy(cells, row * H + first, cs, c_new + r * Hp + first, count)
    for r in range(w, active, workers):
        if s + 1 < lens[r]:
            t = lens[r] - 2 - s if reverse else s + 1
            copy(work, then + r * lda, x, (order[r] * T + t) * D, D)


@parallel
def forward_wide(workers: Any, x: Any, D: Any, panels: Any, H: Any, h: Any, c: Any, y: Any, ldy: Any, column: Any,
                 cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any, lens: Any, reverse: Any,
                 T: Any, work: Any) -> None:  # fmt: skip
    """The forward pass with the units, not the rows, shared among the threads: where the weights outgrow a core's
    cache, each core then reads only its part of them. The threads meet after every step."""
    L = lanes_of(panels)
    Hp = (H + L - 1) // L * L
    N = order.size
    lda = operand_stride(L, D, H)
    a0 = first_aligned(work)
    c0, c_step = a0 + 2 * N * lda, 0
    if tape:
        c0, c_step = 0, N * Hp
    active = N
    for r in range(N):
        copy(work, a0 + r * lda + D, h, order[r] * H, H)
        copy(cs, c0 + r * Hp, c, order[r] * H, H)
        for j in range(c0 + r * Hp + H, c0 + (r + 1) * Hp):
            cs[j] = 0
        if lens[r] > 0:
            copy(work, a0 + r * lda, x, (order[r] * T + (lens[r] - 1 if reverse else 0)) * D, D)
    for s in range(lens[0]):
        while active > 0 and lens[active - 1] <= s:
            active -= 1
        for w in prange(workers):
            wide_step(np.int64(w), workers, s, active, x, D, panels, H, y, ldy, column, cells, keep_cells, gates, cs,
                      tape, order, lens, reverse, T, work)  # fmt: skip
    for r in range(N):
        copy(h, order[r] * H, work, a0 + (lens[r] % 2) * N * lda + r * lda + D, H)
        copy(c, order[r] * H, cs, c0 + lens[r] * c_step + r * Hp, H)
