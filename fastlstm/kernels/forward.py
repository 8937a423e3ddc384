"""The forward time loop: one pass over a thread's rows for every step, gates and cell update in cache.

Rows are samples in the order of falling length; worker w of n takes ranks w, w + n, ... so that ragged
batches stay balanced and the rows still active are always the first ones. A sample's numbers are one chain
of multiply-adds each (bias, then x in order, then h in order, then in a second phase the new c), whatever tile or
path computes them: no bit depends on batch, threads or chunking. H units have a c, P an h, which is H but where h is a
projection.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import kept_of, projects, width_of
from .duo import follow, lead, take_ticket
from .norms import normalize
from .options import compiled, kernel, loaded
from .packing import panel_rows
from .products import product
from .simd import BLOCK, copy, lanes_of, scale
from .step import (
    begin_h,
    begins,
    bias_alone,
    clear,
    finish,
    forget,
    made_in,
    mark_begins,
    operand_rows,
    operand_stride,
    phases_of,
    tape_room,
    units,
    units_of,
)
from .threads import SHARE_ROWS, SHARE_SEQUENCE

SPLIT_ROWS = 4  # up to that many rows, x @ W is done apart, for many steps at a time


@compiled
def forward_room(
    L: Any, D: Any, H: Any, units: Any, operands: Any, kept: Any, rows: Any, chunk: Any, marks: Any
) -> Any:
    """Numbers that each worker needs to work in. units: units_of(...); operands: operand_rows(...); kept: tape_room of
    all rows' blocks; marks: of `mark_begins`."""
    nb = (H + L - 1) // L
    cells = rows * (operands * operand_stride(L, D, units) + nb * L)
    return cells + (kept + nb * max(1, rows * chunk) * BLOCK + (marks + L - 1) // L) * L


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
    marks, by_step = np.int64(1), np.int64(0)
    if reset.size > 0:
        marks, by_step = T * (1 + rows_max), np.int64(1)
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
                inner = s - s
                for r in range(active):
                    rank = w + r * workers
                    t = lens[rank] - 1 - s if reverse else s
                    for b in range(nb):
                        count = min(chunk, lens[rank] - s)
                        product(x, (order[rank] * T + t) * D, -D if reverse else D, count,
                                D, panels, b * panel + width, panels, b * panel, np.int64(0),
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
        units(cell, np.int64(0), nb, active, s % 2, a, now + from_x, m if projects(cell) else then + D, lda, depth,
              D - from_x, panels, (1 + from_x) * width, panel, work, i0, i_row, width, cs, c1, c1 + c_step, c_row,
              gates, g1, g_row, g_block)  # fmt: skip
        if second.ndim == 3:
            finish(cell, np.int64(0), Pb, active, s % 2, a, now + D, then + D, m, lda, second, H, P, cs, c1 + c_step,
                   c_row, gates, g1, g_row, g_block)  # fmt: skip
        if second.ndim == 2:
            for phase in range(1, phases_of(second)):
                normalize(cell, phase, np.int64(0), nb, active, a, then + D, lda, a, now + D, lda, panels,
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
        if begins(reset, order[r] * T, lens[r], reverse, np.int64(0)):
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
              panel, panels, np.int64(0), np.int64(0), panel, cs, c_old, c_new, Hp, gates, g0, g_row,
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


@kernel
def forward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of some turns of the forward pass.

    arguments: share, turns, chunk, sync and patience; then what the other functions here take, in an order of its own:
    what changes from call to call, and what may stay (backend.ForwardPlan). share: SHARE_ROWS, rows, in one turn;
    SHARE_UNITS, units, in a turn a phase and one before and after: where the weights outgrow a core's cache, each core
    then reads only its part of them; SHARE_SEQUENCE, the halves of one sequence's units, in one turn (duo.py; sync and
    patience are its own).
    """
    arguments = loaded(pointer)
    share, turns, chunk, sync, patience = arguments[:5]
    x, h, c, y, ldy, column, cells, keep_cells, gates, cs, tape, reset, mask, reverse, work = arguments[5:20]
    cell, D, panels, second, H, P, order, lens, T = arguments[20:]
    P = width_of(cell, H, P)
    rows = (cell, x, D, panels, second, H, P, h, c, y, ldy, column, cells, keep_cells, gates, cs, tape, order, lens,
            reset, mask, reverse, T, work)  # fmt: skip
    for turn in range(first, last):
        if share == SHARE_ROWS:
            forward_rows(w, workers, chunk, *rows)
        elif share == SHARE_SEQUENCE:
            ticket = take_ticket(sync)
            if ticket == 0:
                shared_begin(*rows)
                lead(sync, patience, *rows)
                shared_end(*rows)
            elif ticket == 1:
                follow(sync, patience, *rows)
        elif 0 < turn < turns - 1:
            shared_step(w, workers, turn - 1, *rows)
        elif w == 0 and turn == 0:
            shared_begin(*rows)
        elif w == 0:
            shared_end(*rows)
