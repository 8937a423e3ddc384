"""The forward time loop where the workers share the units of all rows."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled
from ..vectors.rows import clear, copy, scale
from ..vectors.target import BLOCK
from ..vectors.views import lanes_of
from .cell_type import kept_of, projects
from .episodes import begin_h, begins, forget
from .norms import normalize
from .packing import panel_rows
from .sizes import made_in, operand_rows, operand_stride, phases_of, units_of
from .step import finish, units


@compiled
def shared_begin(cell: Any, x: Any, D: Any, panels: Any, second: Any, H: Any, P: Any, h: Any, c: Any, y: Any, ldy: Any,
                 column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any, lens: Any,
                 reset: Any, mask: Any, reverse: Any, T: Any, work: Any) -> None:  # fmt: skip
    """Where threads share the units of all rows: the first operands [x, h] and c. work: the operand rows of each
    sample, then c (unless it is on the tape), then what each thread needs."""
    L = lanes_of(panels)
    Hp = (H + L - 1) // L * L
    N = order.size
    lda = operand_stride(L, D, units_of(cell, second, L, H, P))
    c0 = 0 if tape else operand_rows(cell) * N * lda
    for r in range(N):
        begin_h(work, r * lda + D, h, order[r] * P, P, second)
        if begins(reset, order[r] * T, lens[r], reverse, 0):
            clear(work, r * lda + D, (P + L - 1) // L * L)
        if mask.size > 0 and lens[r] > 0:
            scale(work, r * lda + D, mask, order[r] * P, P)
        copy(cs, c0 + r * Hp, c, order[r] * H, H)
        for j in range(c0 + r * Hp + H, c0 + (r + 1) * Hp):
            cs[j] = 0
        if lens[r] > 0:
            copy(work, r * lda, x, (order[r] * T + (lens[r] - 1 if reverse else 0)) * D, D)


@compiled
def shared_step(w: Any, workers: Any, turn: Any, cell: Any, x: Any, D: Any, panels: Any, second: Any, H: Any, P: Any,
                h: Any, c: Any, y: Any, ldy: Any, column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any,
                tape: Any, order: Any, lens: Any, reset: Any, mask: Any, reverse: Any, T: Any,
                work: Any) -> None:  # fmt: skip
    """Phase number `turn` of all phases of all steps, of all rows, for a worker's share of the units; and, in a step's
    last one, its share of the next step's x."""
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width, g_width = BLOCK * L, kept_of(cell) * L
    Hp = nb * L
    N = order.size
    phases = phases_of(second)
    s, phase = turn // phases, turn % phases
    lo, hi = w * nb // workers, (w + 1) * nb // workers
    if second.ndim == 3:  # noqa: SIM102
        if phase == 1:  # whole panels, of the units of h
            wide = second.shape[0]
            lo, hi = w * wide // workers * BLOCK, min((P + L - 1) // L, (w + 1) * wide // workers * BLOCK)
    lda = operand_stride(L, D, units_of(cell, second, L, H, P))
    now, then, m = (s % 2) * N * lda, ((s + 1) % 2) * N * lda, 2 * N * lda
    c_old = operand_rows(cell) * N * lda
    spare = c_new = c_old
    g0, g_row, g_block = c_old + N * Hp + w * g_width, 0, 0
    if second.ndim == 2:
        g0, g_row, g_block = c_old + N * Hp, nb * g_width, g_width
    if tape:
        c_old, c_new = s * N * Hp, (s + 1) * N * Hp
        g0, g_row, g_block = s * N * nb * g_width, nb * g_width, g_width
    active = N
    while lens[active - 1] <= s:
        active -= 1
    first = lo * L
    if phase == 0:
        for r in range(active):
            if begins(reset, order[r] * T, lens[r], reverse, s):
                forget(cs, c_old + r * Hp + first, (hi - lo) * L, tape, work, spare + r * Hp + first)
        panel = panel_rows(cell, D, P) * width
        units(cell, lo, hi, active, s % 2, work, now, m if projects(cell) else then + D, lda, D + P, D, panels, width,
              panel, panels, 0, 0, panel, cs, c_old, c_new, Hp, gates, g0, g_row,
              g_block)  # fmt: skip
        for r in range(active):
            if tape and begins(reset, order[r] * T, lens[r], reverse, s):
                copy(cs, c_old + r * Hp + first, work, spare + r * Hp + first, (hi - lo) * L)
    if second.ndim == 2:  # noqa: SIM102
        if phase > 0:
            normalize(cell, phase, lo, hi, active, work, then + D, lda, work, now + D, lda, panels,
                      (1 + D + P) * width, panel_rows(cell, D, P) * width, H, cs, c_new, Hp, gates, g0, g_row, g_block,
                      Hp + L)  # fmt: skip
    if keep_cells and phase == made_in(second):
        for r in range(active):
            row = order[r] * T + (lens[r] - 1 - s if reverse else s)
            copy(cells, row * H + first, cs, c_new + r * Hp + first, min(hi * L, H) - first)
    if phase == phases - 1:
        if second.ndim == 3:
            finish(cell, lo, hi, active, s % 2, work, now + D, then + D, m, lda, second, H, P, cs, c_new, Hp, gates,
                   g0, g_row, g_block)  # fmt: skip
        count = min(hi * L, P) - first
        for r in range(active):
            t = lens[r] - 1 - s if reverse else s
            row = order[r] * T + t
            copy(y, row * ldy + column + first, work, then + r * lda + D + first, count)
            if begins(reset, order[r] * T, lens[r], reverse, s + 1):
                clear(work, then + r * lda + D + first, (hi - lo) * L)  # for the other threads too, when all have met
            if mask.size > 0 and s + 1 < lens[r]:
                scale(work, then + r * lda + D + first, mask, order[r] * P + first, count)
        for r in range(w, active, workers):
            if s + 1 < lens[r]:
                t = lens[r] - 2 - s if reverse else s + 1
                copy(work, then + r * lda, x, (order[r] * T + t) * D, D)


@compiled
def shared_end(cell: Any, x: Any, D: Any, panels: Any, second: Any, H: Any, P: Any, h: Any, c: Any, y: Any, ldy: Any,
               column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any, lens: Any,
               reset: Any, mask: Any, reverse: Any, T: Any, work: Any) -> None:  # fmt: skip
    """The last h and c, from where shared_begin put the first."""
    L = lanes_of(panels)
    Hp = (H + L - 1) // L * L
    N = order.size
    lda = operand_stride(L, D, units_of(cell, second, L, H, P))
    c0, c_step = operand_rows(cell) * N * lda, 0
    if tape:
        c0, c_step = 0, N * Hp
    for r in range(N):
        copy(h, order[r] * P, work, (lens[r] % 2) * N * lda + r * lda + D, P)
        copy(c, order[r] * H, cs, c0 + lens[r] * c_step + r * Hp, H)
