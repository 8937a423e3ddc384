"""The forward time loop where each worker has rows of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiler.options import compiled, inlined
from ..vectors.rows import clear, copy, scale
from ..vectors.view import view
from ..vectors.views import lanes_of
from .episodes import begin_h, forget, mark_begins, row_of
from .sizes import forward_room, operand_row, operand_rows, panel_vectors, tape_room, vectors_for
from .step import (
    Operands,
    Step,
    blocks_in,
    first_phase,
    inputs,
    later_phase,
    panels_of,
    weights_of_h,
    weights_of_x,
)

SPLIT_ROWS = 4  # up to that many rows, x @ W is done apart, for many steps at a time


class Places(NamedTuple):
    """Where a worker's numbers are. Its rows are those of ranks w, w + workers, ...

    n, most: its rows, and the most that a worker has; a, lda: operand rows, and from one to the next; m: what is
    projected, or the old h without a mask; c, c_row, c_step: on the tape or in the work array, from row to row and from
    step to step; spare: where c of the tape waits; g, g_row, g_step, g_block: the same of gates; z, z_step: b, or x @ W
    + b of some steps; marks, by_step: of mark_begins."""

    n: Any
    most: Any
    a: Any
    lda: Any
    m: Any
    c: Any
    c_row: Any
    c_step: Any
    spare: Any
    g: Any
    g_row: Any
    g_step: Any
    g_block: Any
    z: Any
    z_step: Any
    marks: Any
    by_step: Any


@inlined
def places_of(w: Any, workers: Any, chunk: Any, given: Any) -> Any:
    """A worker's Places in the work array and on the tape. given: a Forward.

    The work array has room for each worker: the operand rows of each sample, then, without a tape, c and gates of a
    vector, then b, or x @ W + b of `chunk` steps, where that is done apart (chunk > 0), and the marks of steps."""
    sizes, cell, schedule = given.sizes, given.weights.cell, given.batch.schedule
    N, L = schedule.order.size, lanes_of(given.work)
    nb, most = vectors_for(sizes.H, L), (N + workers - 1) // workers
    g_width, Hp, lda = cell.kept * L, nb * L, operand_row(sizes, given.weights)
    marks, by_step = 1, 0
    if schedule.reset.size > 0:
        marks, by_step = schedule.T * (1 + most), 1
    kept = tape_room(cell, most * nb)
    numbers = forward_room(L, sizes.H, cell.gate_count, operand_rows(cell) * lda, kept, most, chunk, marks)
    a, marks = w * numbers, (w + 1) * numbers - vectors_for(marks, L) * L
    c, c_row, c_step = a + operand_rows(cell) * most * lda, Hp, 0
    spare = c
    g, g_row, g_step, g_block = c + most * Hp, 0, 0, 0
    z = g + kept * L
    if cell.later_reads_kept:
        g_row, g_block = nb * g_width, g_width
    if given.tape.on:
        c, c_row, c_step = w * Hp, workers * Hp, N * Hp
        g, g_row, g_step, g_block = w * nb * g_width, workers * nb * g_width, N * nb * g_width, g_width
    return Places((N - w + workers - 1) // workers, most, a, lda, a + 2 * most * lda, c, c_row, c_step, spare, g, g_row,
                  g_step, g_block, z, most * nb * cell.gate_count * L, marks, by_step)  # fmt: skip


@compiled
def rows_begin(w: Any, workers: Any, chunk: Any, at: Any, given: Any) -> None:
    """The first h and c, b where every step begins with it, and marks. at: Places."""
    sizes, batch, tape, work = given.sizes, given.batch, given.tape, given.work
    cell, panels, schedule = given.weights.cell, given.weights.panels, given.batch.schedule
    H, P, L = sizes.H, sizes.P, lanes_of(given.work)
    nb = vectors_for(H, L)
    for r in range(at.n):
        n, c = schedule.order[w + r * workers], at.c + r * at.c_row
        begin_h(cell, work, at.a + r * at.lda + sizes.D, batch.h, n * P, P)
        copy(tape.c, c, batch.c, n * H, H)
        clear(tape.c, c + H, nb * L - H)  # units that fill up the last vector: they stay 0
    if chunk == 0:
        panel, width = panel_vectors(cell, sizes.D, P) * L, cell.gate_count * L
        for b in range(nb):
            copy(work, at.z + b * width, panels, b * panel, width)
    mark_begins(work, at.marks, w, workers, at.n, schedule)


@compiled
def rows_end(w: Any, workers: Any, at: Any, given: Any) -> None:
    """The last h and c."""
    sizes, batch, schedule = given.sizes, given.batch, given.batch.schedule
    for r in range(at.n):
        n, length = schedule.order[w + r * workers], schedule.lens[w + r * workers]
        h = at.a + (length % 2) * at.most * at.lda + r * at.lda + sizes.D
        copy(batch.h, n * sizes.P, given.work, h, sizes.P)
        if not given.weights.cell.alone:
            copy(batch.c, n * sizes.H, given.tape.c, at.c + length * at.c_step + r * at.c_row, sizes.H)


@compiled
def inputs_apart(s: Any, rank: Any, steps: Any, z: Any, at: Any, given: Any) -> None:
    """x @ W + b of a rank's next steps, at most so many, from step s on."""
    cell, schedule, D, L = given.weights.cell, given.batch.schedule, given.sizes.D, lanes_of(given.work)
    count, panels = min(steps, schedule.lens[rank] - s), panels_of(given.weights, given.sizes)
    x = view(given.batch.x, row_of(schedule, rank, s) * D, -D if schedule.reverse else D, 0)
    out = view(given.work, z, at.z_step, cell.gate_count * L)
    for b in range(vectors_for(given.sizes.H, L)):
        inputs(cell, x, count, D, panels.at(0, b), out.at(0, b))


@compiled
def forward_rows(w: Any, workers: Any, chunk: Any, given: Any) -> None:
    """All steps of one worker's rows. given: a Forward; chunk: see `places_of`."""
    sizes, weights, batch, tape, work = given.sizes, given.weights, given.batch, given.tape, given.work
    cell, schedule = given.weights.cell, batch.schedule
    D, H, P, order, lens, T = sizes.D, sizes.H, sizes.P, schedule.order, schedule.lens, schedule.T
    L = lanes_of(work)
    nb = vectors_for(H, L)
    width, Hp = cell.gate_count * L, nb * L
    at = places_of(w, workers, chunk, given)
    lda, c_row = at.lda, at.c_row
    rows_begin(w, workers, chunk, at, given)
    active = at.n
    inner = 0
    for s in range(lens[w] if at.n > 0 else 0):
        while active > 0 and lens[w + (active - 1) * workers] <= s:
            active -= 1
        now = at.a + (s % 2) * at.most * lda
        then = at.a + ((s + 1) % 2) * at.most * lda
        if chunk > 0:
            if inner == chunk or s == 0:
                inner = 0
                for r in range(active):
                    inputs_apart(s, w + r * workers, chunk, at.z + r * nb * width, at, given)
        else:
            for r in range(active):
                copy(work, now + r * lda, batch.x, row_of(schedule, w + r * workers, s) * D, D)
        c, g = at.c + s * at.c_step, at.g + s * at.g_step
        anew = np.int64(work[at.marks + s * at.by_step])  # read at each step, 0 without resets: one loop for both
        r = anew - 1
        while r >= 0:
            clear(work, now + r * lda + D, (P + L - 1) // L * L)
            forget(tape.c, c + r * c_row, Hp, tape.on, work, at.spare + r * Hp)
            r = np.int64(work[at.marks + (1 + r) * T + s]) - 1
        if schedule.mask.size > 0:
            for r in range(active):
                if cell.passes_h:
                    copy(work, at.m + r * lda, work, now + r * lda + D, (P + L - 1) // L * L)
                scale(work, now + r * lda + D, schedule.mask, order[w + r * workers] * P, P)
        if chunk > 0:
            from_x, z, z_row, of = D, at.z + inner * at.z_step, nb * width, weights_of_h(weights, sizes)
        else:
            from_x, z, z_row, of = 0, at.z, 0, weights_of_x(weights, sizes)
        operands = Operands(view(work, now + from_x, lda, L), D + P - from_x, D - from_x, of,
                            view(work, z, z_row, width))  # fmt: skip
        h_old, h_new = view(work, now + D, lda, L), view(work, then + D, lda, L)
        if cell.passes_h and schedule.mask.size > 0:
            h_old = view(work, at.m, lda, L)
        step = Step(h_old, h_new, view(work, at.m, lda, L) if cell.projects else h_new,
                    view(tape.c, c, c_row, L), view(tape.c, c + at.c_step, c_row, L),
                    view(tape.gates, g, at.g_row, at.g_block))  # fmt: skip
        first_phase(0, nb, active, s % 2, cell, operands, step)
        if cell.multiplies_later or cell.normalizes:
            for phase in range(1, cell.phase_count):
                later_phase(phase, 0, blocks_in(phase, sizes, weights), active, s % 2, sizes, weights, step)
        for r in range(active):
            row = row_of(schedule, w + r * workers, s)
            copy(batch.y, row * batch.ldy + batch.column, work, then + r * lda + D, P)
            if batch.keep_cells:
                copy(batch.cells, row * H, tape.c, c + at.c_step + r * c_row, H)
        r = anew - 1
        while tape.on and r >= 0:
            copy(tape.c, c + r * c_row, work, at.spare + r * Hp, Hp)
            r = np.int64(work[at.marks + (1 + r) * T + s]) - 1
        inner += 1
    rows_end(w, workers, at, given)
