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

from .cells import forward_cell
from .options import compiled, parallel, serial
from .simd import (
    BLOCK, TILE_ROWS, copy, lanes_of, tile_1x4, tile_2x4, tile_3x2, tile_4x2, tile_5x2, tile_6x2,
)  # fmt: skip

GROUP = 4 * TILE_ROWS  # rows whose gates' inputs stay in L1 between product and cell
SPLIT_ROWS = 4  # up to that many rows, x @ W is done apart, for many steps at a time


@compiled
def product(a: Any, ao: Any, lda: Any, rows: Any, depth: Any, p: Any, po: Any, init: Any, io: Any, ldi: Any,
            out: Any, oo: Any, ldo: Any) -> None:  # fmt: skip
    """One block of columns: out (rows, 4 lanes) = init + A (rows, depth) @ panel."""
    half = 2 * lanes_of(p)
    r = 0
    while r + TILE_ROWS <= rows:
        for side in range(2):
            j = side * half
            tile_6x2(
                a,
                ao + r * lda,
                lda,
                depth,
                p,
                po + j,
                init,
                io + r * ldi + j,
                ldi,
                out,
                oo + r * ldo + j,
                ldo,
            )
        r += TILE_ROWS
    rest = rows - r
    a1, i1, o1 = ao + r * lda, io + r * ldi, oo + r * ldo
    if rest == 1:
        tile_1x4(a, a1, lda, depth, p, po, init, i1, ldi, out, o1, ldo)
    elif rest == 2:
        tile_2x4(a, a1, lda, depth, p, po, init, i1, ldi, out, o1, ldo)
    elif rest > 2:
        for side in range(2):
            j = side * half
            if rest == 3:
                tile_3x2(a, a1, lda, depth, p, po + j, init, i1 + j, ldi, out, o1 + j, ldo)
            elif rest == 4:
                tile_4x2(a, a1, lda, depth, p, po + j, init, i1 + j, ldi, out, o1 + j, ldo)
            else:
                tile_5x2(a, a1, lda, depth, p, po + j, init, i1 + j, ldi, out, o1 + j, ldo)


@compiled
def forward_rows(w: Any, workers: Any, x: Any, D: Any, panels: Any, H: Any, h: Any, c: Any, y: Any, ldy: Any,
                 column: Any, cells: Any, keep_cells: Any, gates: Any, keep_gates: Any, order: Any, lens: Any,
                 reverse: Any, T: Any, chunk: Any, a: Any, lda: Any, cs: Any, z: Any, xs: Any, zx: Any,
                 rows_max: Any) -> None:  # fmt: skip
    """All steps of one worker's rows. a: two operand rows [x, h] a sample; cs: c; z: one group's gate inputs;
    xs, zx: x and x @ W + b of `chunk` steps, where they are done apart (chunk > 1)."""
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp = nb * L
    panel = (1 + D + H) * width
    n = (order.size - w + workers - 1) // workers
    a0 = w * 2 * rows_max * lda
    c0 = w * rows_max * Hp
    z0 = w * GROUP * width
    x0 = w * chunk * rows_max * D
    zx0 = w * chunk * rows_max * nb * width
    for r in range(n):
        rank = w + r * workers
        copy(a, a0 + r * lda + D, h, order[rank] * H, H)
        copy(cs, c0 + r * Hp, c, order[rank] * H, H)
    steps = lens[w] if n > 0 else 0
    active = n
    for s in range(steps):
        while active > 0 and lens[w + (active - 1) * workers] <= s:
            active -= 1
        now = a0 + (s % 2) * rows_max * lda
        then = a0 + ((s + 1) % 2) * rows_max * lda
        if chunk > 1:
            inner = s % chunk
            if inner == 0:
                span = min(chunk, steps - s)
                for u in range(span):
                    for r in range(active):
                        rank = w + r * workers
                        if s + u < lens[rank]:
                            t = lens[rank] - 1 - s - u if reverse else s + u
                            copy(xs, x0 + (u * rows_max + r) * D, x, (order[rank] * T + t) * D, D)
                for b in range(nb):
                    product(xs, x0, D, span * rows_max, D, panels, b * panel + width, panels, b * panel,
                            np.int64(0), zx, zx0 + b * width, nb * width)  # fmt: skip
        else:
            inner = s - s
            for r in range(active):
                rank = w + r * workers
                t = lens[rank] - 1 - s if reverse else s
                copy(a, now + r * lda, x, (order[rank] * T + t) * D, D)
        for j in range(nb):
            b = nb - 1 - j if s % 2 else j  # there and back: what was read last is still in cache
            first = 0
            while first < active:
                rows = min(GROUP, active - first)
                if chunk > 1:
                    product(a, now + first * lda + D, lda, rows, H, panels, b * panel + (1 + D) * width,
                            zx, zx0 + ((inner * rows_max + first) * nb + b) * width, nb * width,
                            z, z0, width)  # fmt: skip
                else:
                    product(a, now + first * lda, lda, rows, D + H, panels, b * panel + width,
                            panels, b * panel, np.int64(0), z, z0, width)  # fmt: skip
                for r in range(first, first + rows):
                    g = z0 + (r - first) * width
                    if keep_gates:
                        rank = w + r * workers
                        t = lens[rank] - 1 - s if reverse else s
                        forward_cell(z, g, cs, c0 + r * Hp + b * L, a, then + r * lda + D + b * L,
                                     gates, ((order[rank] * T + t) * nb + b) * width)  # fmt: skip
                    else:
                        forward_cell(z, g, cs, c0 + r * Hp + b * L, a, then + r * lda + D + b * L, z, g)
                first += rows
        for r in range(active):
            rank = w + r * workers
            t = lens[rank] - 1 - s if reverse else s
            row = order[rank] * T + t
            copy(y, row * ldy + column, a, then + r * lda + D, H)
            if keep_cells:
                copy(cells, row * H, cs, c0 + r * Hp, H)
    for r in range(n):
        rank = w + r * workers
        last = a0 + (lens[rank] % 2) * rows_max * lda + r * lda + D
        copy(h, order[rank] * H, a, last, H)
        copy(c, order[rank] * H, cs, c0 + r * Hp, H)


@serial
def forward_serial(workers: Any, x: Any, D: Any, panels: Any, H: Any, h: Any, c: Any, y: Any, ldy: Any,
                   column: Any, cells: Any, keep_cells: Any, gates: Any, keep_gates: Any, order: Any, lens: Any,
                   reverse: Any, T: Any, chunk: Any, a: Any, lda: Any, cs: Any, z: Any, xs: Any, zx: Any,
                   rows_max: Any) -> None:  # fmt: skip
    """The forward pass in the calling thread."""
    for w in range(workers):
        forward_rows(w, workers, x, D, panels, H, h, c, y, ldy, column, cells, keep_cells, gates, keep_gates,
                     order, lens, reverse, T, chunk, a, lda, cs, z, xs, zx, rows_max)  # fmt: skip


@parallel
def forward_parallel(workers: Any, x: Any, D: Any, panels: Any, H: Any, h: Any, c: Any, y: Any, ldy: Any,
                     column: Any, cells: Any, keep_cells: Any, gates: Any, keep_gates: Any, order: Any, lens: Any,
                     reverse: Any, T: Any, chunk: Any, a: Any, lda: Any, cs: Any, z: Any, xs: Any, zx: Any,
                     rows_max: Any) -> None:  # fmt: skip
    """The forward pass on Numba's threads, a worker's rows each."""
    for w in prange(workers):
        forward_rows(np.int64(w), workers, x, D, panels, H, h, c, y, ldy, column, cells, keep_cells, gates,
                     keep_gates, order, lens, reverse, T, chunk, a, lda, cs, z, xs, zx, rows_max)  # fmt: skip
