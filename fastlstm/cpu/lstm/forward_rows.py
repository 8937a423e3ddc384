"""The forward time loop where each worker has rows of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.options import compiled
from ..vectors.products import product
from ..vectors.rows import clear, copy, scale
from ..vectors.target import BLOCK
from ..vectors.views import lanes_of
from .cell_type import kept_of, projects
from .episodes import begin_h, forget, mark_begins
from .norms import normalize
from .packing import panel_rows
from .sizes import forward_room, operand_rows, operand_stride, phases_of, tape_room, units_of
from .step import bias_alone, finish, units

SPLIT_ROWS = 4  # up to that many rows, x @ W is done apart, for many steps at a time


@compiled
def forward_rows(w: Any, workers: Any, chunk: Any, cell: Any, x: Any, D: Any, panels: Any, second: Any, H: Any, P: Any,
                 h: Any, c: Any, y: Any, ldy: Any, column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any,
                 tape: Any, order: Any, lens: Any, reset: Any, mask: Any, reverse: Any, T: Any,
                 work: Any) -> None:  # fmt: skip
    """All steps of one worker's rows.

    cell: `mark`; second: panels of a second phase, or what else stands for the later ones (Cell.later).

    tape: whether gates (step, rank) and c (step, rank) are kept in `gates` and `cs`; otherwise these are `work`,
    room for each worker: the operand rows of each sample, then c, gates of a vector, b, or x @ W + b of
    `chunk` steps, where that is done apart (chunk > 0), and the marks of steps.
    """
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width = BLOCK * L
    Hp, Pb = nb * L, (P + L - 1) // L
    panel = panel_rows(cell, D, P) * width
    rows_max = (order.size + workers - 1) // workers
    n = (order.size - w + workers - 1) // workers
    room = units_of(cell, second, L, H, P)
    g_width = kept_of(cell) * L
    lda = operand_stride(L, D, room)
    ldz = rows_max * nb * width
    a = zx = work
    marks, by_step = 1, 0
    if reset.size > 0:
        marks, by_step = T * (1 + rows_max), 1
    kept = tape_room(cell, second, rows_max * nb)
    numbers = forward_room(L, D, H, room, operand_rows(cell), kept, rows_max, chunk, marks)
    a0, mark0 = w * numbers, (w + 1) * numbers - (marks + L - 1) // L * L
    m = a0 + 2 * rows_max * lda
    c0, c_row, c_step = a0 + operand_rows(cell) * rows_max * lda, Hp, 0
    spare = c0
    g0, g_row, g_step, g_block = c0 + rows_max * Hp, 0, 0, 0
    zx0 = g0 + kept * L
    if second.ndim == 2:
        g_row, g_block = nb * g_width, g_width
    if tape:
        c0, c_row, c_step = w * Hp, workers * Hp, order.size * Hp
        g0, g_row, g_step, g_block = w * nb * g_width, workers * nb * g_width, order.size * nb * g_width, g_width
    for r in range(n):
        rank = w + r * workers
        begin_h(a, a0 + r * lda + D, h, order[rank] * P, P, second)
        copy(cs, c0 + r * c_row, c, order[rank] * H, H)
        for j in range(c0 + r * c_row + H, c0 + r * c_row + Hp):
            cs[j] = 0  # units that fill up the last vector: they stay 0
    if chunk == 0:
        for b in range(nb):
            copy(zx, zx0 + b * width, panels, b * panel, width)
    steps = lens[w] if n > 0 else 0
    active = n
    inner = 0
    mark_begins(work, mark0, w, workers, n, order, lens, reset, reverse, T)
    for s in range(steps):
        while active > 0 and lens[w + (active - 1) * workers] <= s:
            active -= 1
        now = a0 + (s % 2) * rows_max * lda
        then = a0 + ((s + 1) % 2) * rows_max * lda
        if chunk > 0:
            if inner == chunk or s == 0:
                inner = 0
                for r in range(active):
                    rank = w + r * workers
                    t = lens[rank] - 1 - s if reverse else s
                    for b in range(nb):
                        count = min(chunk, lens[rank] - s)
                        product(x, (order[rank] * T + t) * D, -D if reverse else D, count,
                                D, panels, b * panel + width, panels, b * panel, 0,
                                zx, zx0 + (r * nb + b) * width, ldz)  # fmt: skip
                        for k in range(count):
                            bias_alone(cell, zx, zx0 + (r * nb + b) * width + k * ldz, panels, b * panel, L)
        else:
            for r in range(active):
                rank = w + r * workers
                t = lens[rank] - 1 - s if reverse else s
                copy(a, now + r * lda, x, (order[rank] * T + t) * D, D)
        c1, g1 = c0 + s * c_step, g0 + s * g_step
        anew = np.int64(work[mark0 + s * by_step])  # read at each step, and 0 without resets: one loop for both
        r = anew - 1
        while r >= 0:
            clear(a, now + r * lda + D, Pb * L)
            forget(cs, c1 + r * c_row, Hp, tape, work, spare + r * Hp)
            r = np.int64(work[mark0 + (1 + r) * T + s]) - 1
        if mask.size > 0:
            for r in range(active):
                scale(a, now + r * lda + D, mask, order[w + r * workers] * P, P)
        if chunk > 0:
            from_x, depth, i0, i_row = D, P, zx0 + inner * ldz, nb * width
        else:
            from_x, depth, i0, i_row = 0, D + P, zx0, 0
        units(cell, 0, nb, active, s % 2, a, now + from_x, m if projects(cell) else then + D, lda, depth,
              D - from_x, panels, (1 + from_x) * width, panel, work, i0, i_row, width, cs, c1, c1 + c_step, c_row,
              gates, g1, g_row, g_block)  # fmt: skip
        if second.ndim == 3:
            finish(cell, 0, Pb, active, s % 2, a, now + D, then + D, m, lda, second, H, P, cs, c1 + c_step,
                   c_row, gates, g1, g_row, g_block)  # fmt: skip
        if second.ndim == 2:
            for phase in range(1, phases_of(second)):
                normalize(cell, phase, 0, nb, active, a, then + D, lda, a, now + D, lda, panels,
                          (1 + D + P) * width, panel, H, cs, c1 + c_step, c_row, gates, g1, g_row, g_block,
                          Hp + L)  # fmt: skip
        for r in range(active):
            rank = w + r * workers
            t = lens[rank] - 1 - s if reverse else s
            row = order[rank] * T + t
            copy(y, row * ldy + column, a, then + r * lda + D, P)
            if keep_cells:
                copy(cells, row * H, cs, c0 + s * c_step + c_step + r * c_row, H)
        r = anew - 1
        while tape and r >= 0:
            copy(cs, c1 + r * c_row, work, spare + r * Hp, Hp)
            r = np.int64(work[mark0 + (1 + r) * T + s]) - 1
        inner += 1
    for r in range(n):
        rank = w + r * workers
        last = a0 + (lens[rank] % 2) * rows_max * lda + r * lda + D
        copy(h, order[rank] * P, a, last, P)
        copy(c, order[rank] * H, cs, c0 + lens[rank] * c_step + r * c_row, H)
