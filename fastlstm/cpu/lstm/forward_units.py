"""The forward time loop where the workers share the units of all rows, or two of them those of one sequence."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..vectors.rows import clear, copy, scale
from ..vectors.target import BLOCK
from ..vectors.view import view
from ..vectors.views import lanes_of
from .episodes import begin_h, begins, forget, row_of
from .sizes import made_in, operand_row, operand_rows, panels_for
from .step import Operands, Step, blocks_in, first_phase, later_phase, panels_of, weights_of_x


@compiled
def shared_begin(given: Any) -> None:
    """The first operands [x, h] and c. given: a Forward, whose work array has the operand rows of each sample, then c
    (unless it is on the tape), then what each thread needs."""
    sizes, batch, tape, work = given.sizes, given.batch, given.tape, given.work
    cell, schedule = given.weights.cell, given.batch.schedule
    D, H, P, order, lens = sizes.D, sizes.H, sizes.P, schedule.order, schedule.lens
    L = lanes_of(work)
    Hp = (H + L - 1) // L * L
    lda = operand_row(sizes, given.weights)
    c0 = 0 if tape.on else operand_rows(cell) * order.size * lda
    for r in range(order.size):
        h = r * lda + D
        begin_h(cell, work, h, batch.h, order[r] * P, P)
        if begins(schedule, r, 0):
            clear(work, h, (P + L - 1) // L * L)
        if schedule.mask.size > 0 and lens[r] > 0:
            if cell.passes_h:
                copy(work, 2 * order.size * lda + r * lda, work, h, (P + L - 1) // L * L)
            scale(work, h, schedule.mask, order[r] * P, P)
        copy(tape.c, c0 + r * Hp, batch.c, order[r] * H, H)
        clear(tape.c, c0 + r * Hp + H, Hp - H)
        if lens[r] > 0:
            copy(work, r * lda, batch.x, row_of(schedule, r, 0) * D, D)


@inlined
def active_at(s: Any, schedule: Any) -> Any:
    """Rows that make step s."""
    active = schedule.order.size
    while schedule.lens[active - 1] <= s:
        active -= 1
    return active


@compiled
def shared_step(w: Any, workers: Any, number: Any, given: Any) -> None:
    """Phase `number` of all phases of all steps, for a worker's share of the units; and, in a step's last one, its
    share of the next step's x."""
    sizes, weights, batch, work = given.sizes, given.weights, given.batch, given.work
    cell, panels, schedule = given.weights.cell, weights.panels, batch.schedule
    D, P = sizes.D, sizes.P
    s, phase = number // cell.phase_count, number % cell.phase_count
    every = blocks_in(phase, sizes, weights)
    lo, hi = w * every // workers, (w + 1) * every // workers
    if cell.multiplies_later:  # noqa: SIM102
        if phase == 1:  # whole panels
            wide = panels_for(P, lanes_of(panels))
            lo, hi = w * wide // workers * BLOCK, min(every, (w + 1) * wide // workers * BLOCK)
    lda, N = operand_row(sizes, weights), schedule.order.size
    z = Operands(view(work, (s % 2) * N * lda, lda, lanes_of(panels)), D + P, D, weights_of_x(weights, sizes),
                 panels_of(weights, sizes))  # fmt: skip
    shared_phase(number, w, lo, hi, z, given)
    if phase == cell.phase_count - 1:
        for r in range(w, active_at(s, schedule), workers):
            if s + 1 < schedule.lens[r]:
                copy(work, ((s + 1) % 2) * N * lda + r * lda, batch.x, row_of(schedule, r, s + 1) * D, D)


@compiled
def shared_phase(number: Any, w: Any, lo: Any, hi: Any, z: Any, given: Any) -> None:
    """That phase of all rows for blocks lo to hi, and what follows from them: y, and the next step's h. w: whose
    scratch; z: the Operands of the step."""
    sizes, weights, batch, tape, work = given.sizes, given.weights, given.batch, given.tape, given.work
    cell, schedule = given.weights.cell, given.batch.schedule
    order, lens, N = schedule.order, schedule.lens, schedule.order.size
    L = lanes_of(weights.panels)
    nb = (sizes.H + L - 1) // L
    g_width, Hp = cell.kept * L, nb * L
    s, phase = number // cell.phase_count, number % cell.phase_count
    lda = operand_row(sizes, weights)
    now, then = (s % 2) * N * lda + sizes.D, ((s + 1) % 2) * N * lda + sizes.D
    c_old = operand_rows(cell) * N * lda
    spare = c_new = c_old
    g0, g_row, g_block = c_old + N * Hp + w * g_width, 0, 0
    if cell.later_reads_kept:
        g0, g_row, g_block = c_old + N * Hp, nb * g_width, g_width
    if tape.on:
        c_old, c_new = s * N * Hp, (s + 1) * N * Hp
        g0, g_row, g_block = s * N * nb * g_width, nb * g_width, g_width
    h_old, h_new, third = view(work, now, lda, L), view(work, then, lda, L), view(work, 2 * N * lda, lda, L)
    if cell.passes_h and schedule.mask.size > 0:
        h_old = third
    at = Step(h_old, h_new, third if cell.projects else h_new,
              view(tape.c, c_old, Hp, L), view(tape.c, c_new, Hp, L), view(tape.gates, g0, g_row, g_block))  # fmt: skip
    active = active_at(s, schedule)
    first = lo * L
    if phase == 0:
        for r in range(active):
            if begins(schedule, r, s):
                forget(tape.c, c_old + r * Hp + first, (hi - lo) * L, tape.on, work, spare + r * Hp + first)
        first_phase(lo, hi, active, s % 2, cell, z, at)
        for r in range(active):
            if tape.on and begins(schedule, r, s):
                copy(tape.c, c_old + r * Hp + first, work, spare + r * Hp + first, (hi - lo) * L)
    else:
        later_phase(phase, lo, hi, active, s % 2, sizes, weights, at)
    if batch.keep_cells and phase == made_in(cell):
        for r in range(active):
            row = row_of(schedule, r, s)
            copy(batch.cells, row * sizes.H + first, tape.c, c_new + r * Hp + first, min(hi * L, sizes.H) - first)
    if phase == cell.phase_count - 1:
        count = min(hi * L, sizes.P) - first
        for r in range(active):
            h = then + r * lda + first
            copy(batch.y, row_of(schedule, r, s) * batch.ldy + batch.column + first, work, h, count)
            if begins(schedule, r, s + 1):
                clear(work, h, (hi - lo) * L)  # for the other threads too, when all have met
            if schedule.mask.size > 0 and s + 1 < lens[r]:
                if cell.passes_h:
                    copy(work, 2 * N * lda + r * lda + first, work, h, (hi - lo) * L)
                scale(work, h, schedule.mask, order[r] * sizes.P + first, count)


@compiled
def shared_end(given: Any) -> None:
    """The last h and c, from where shared_begin put the first."""
    sizes, batch, tape = given.sizes, given.batch, given.tape
    cell, order, lens = given.weights.cell, batch.schedule.order, batch.schedule.lens
    D, H, P, N = sizes.D, sizes.H, sizes.P, batch.schedule.order.size
    L = lanes_of(given.work)
    Hp = (H + L - 1) // L * L
    lda = operand_row(sizes, given.weights)
    c0, c_step = operand_rows(cell) * N * lda, 0
    if tape.on:
        c0, c_step = 0, N * Hp
    for r in range(N):
        copy(batch.h, order[r] * P, given.work, (lens[r] % 2) * N * lda + r * lda + D, P)
        if not given.weights.cell.alone:
            copy(batch.c, order[r] * H, tape.c, c0 + lens[r] * c_step + r * Hp, H)
