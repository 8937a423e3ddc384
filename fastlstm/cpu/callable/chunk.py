"""The serial time loop on the caller's own arrays, which allocates nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..compiler.options import inlined
from ..lstm.cell_type import cell_marked
from ..lstm.norms import normalize
from ..lstm.sizes import panels_for, vectors_for
from ..lstm.step import Step, panels_of
from ..lstm.tiles import STEP_ROWS, finish_one, step_one, step_rows, step_twin
from ..vectors.rows import clear, clear_vectors, copy
from ..vectors.target import BLOCK
from ..vectors.tiles import whole
from ..vectors.view import view
from ..vectors.views import lanes_of

_tile_1, _tile_of_step_rows = whole[0], whole[STEP_ROWS - 1]
STACK_BYTES = 1 << 16
"""Bytes of the stack that a step may take: threads of a server or of an audio host have as few as 256 KiB."""


class Chunk(NamedTuple):
    """T steps of N samples on the caller's own arrays, which are flat; views of x and y are of rows of samples.

    x: x.block from number to number, x_step from step to step; y_step: 0 where y is not wanted; turn: 1 to go through
    the units backwards at the first step, which changes no bit."""

    N: Any
    T: Any
    x: Any
    x_step: Any
    h: Any
    c: Any
    y: Any
    y_row: Any
    y_step: Any
    turn: Any


@inlined
def finish_chunk(rows: Any, sizes: Any, weights: Any, at: Any) -> None:
    """A second phase with a product, of one row or of STEP_ROWS; the new h takes the old one's place."""
    cell, H, P, L = weights.cell, sizes.H, sizes.P, lanes_of(weights.panels)
    panels, read = view(weights.second, 0, 0, H * BLOCK * L), at.c_new
    if cell.projects:
        read = at.made
        clear_vectors(at.h_new, rows, panels_for(P, L) * BLOCK * L)
    for q in range(panels_for(P, L)):
        sums = at.h_new.at(0, q * BLOCK)
        if rows == 1:
            _tile_1(read, H, panels.at(0, q), panels.block, sums, sums)
        else:
            _tile_of_step_rows(read, H, panels.at(0, q), panels.block, sums, sums)
    for r in range(rows):
        for b in range(vectors_for(P, L)):
            h = at.h_old.at(r, b)
            finish_one(cell, at.h_new.at(r, b), h, at.c_new.at(r, b), h, P - b * L, at.gates.at(r, b))


@inlined
def chunk(sizes: Any, weights: Any, given: Any, tape: Any, work: Any, most: Any) -> None:
    """T steps of N samples; h (N, P) and c (N, H) change in place. given: a Chunk.

    tape: where it is on, gates (T, N, ..) and c (T + 1, N, ..) are kept, in vectors as everywhere; otherwise these are
    any arrays. work: `sample_numbers` for each of `most` samples, which are done at once, STEP_ROWS or 1.
    """
    cell, panel, N = weights.cell, panels_of(weights, sizes), given.N
    D, H, P = sizes.D, sizes.H, sizes.P
    L = lanes_of(weights.panels)
    nb = vectors_for(H, L)
    width, g_width, Hp = cell.gate_count * L, cell.kept * L, nb * L
    row = _row_numbers(cell, L, H, P)
    # what no tape keeps goes where nobody reads it; but for what waits there until all units are through the first
    # phase: z of a normalized cell, and a GRU's gates
    kept, held, c_row, new = work, given.c, H, most * _kept_numbers(cell, L, H)
    g_row, g_block, g_next, limit = 0, 0, g_width, H
    if cell.normalizes:
        g_row, g_block, g_next = _kept_numbers(cell, L, H), width, width
    if cell.gates_h:
        g_row, g_block = _kept_numbers(cell, L, H), g_width
    if tape.on:
        kept, held, c_row, new = tape.gates, tape.c, Hp, 0
        g_row, g_block, g_next, limit = nb * g_width, g_width, g_width, Hp + L
        for n in range(N):
            copy(tape.c, n * Hp, given.c, n * H, H)
            clear(tape.c, n * Hp + H, Hp - H)
    last = new  # of the new h; what the first phase puts out is at `new`
    if cell.projects:
        last = new + most * row
    n = 0
    while n < N:
        rows = most if N - n >= most else 1
        for t in range(given.T):
            x, g0, c_old, c_new = given.x.at(n, 0) + t * given.x_step, 0, n * H, n * H
            if tape.on:
                g0, c_old, c_new = (t * N + n) * nb * g_width, (t * N + n) * Hp, ((t + 1) * N + n) * Hp
            h = view(given.h, n * P, P, L)
            # all of the old h is read before any of the new is written
            direct = rows == 1 and nb <= 2 and not tape.on and cell.phase_count == 1
            made = view(work, new, row, L)
            if direct:
                made = h
            new_c = view(held, c_new, c_row, L)
            if cell.alone and not tape.on:  # c is h, which is read by units that are still to come, or p
                new_c = made
                if cell.gates_h:
                    new_c = view(work, new + most * row, row, L)
            at = Step(h, view(work, last, row, L), made, view(held, c_old, c_row, L), new_c,
                      view(kept, g0, g_row, g_block))  # fmt: skip
            j = 0
            while j < nb:
                two = rows == 1 and j + 1 < nb
                count = 2 if two else 1
                # backwards every other time: what was read last is still in cache; no branch, for none could foresee it
                b = j + ((t + given.turn) & 1) * (nb - 2 * j - count)
                left = 2 * L if tape.on else H - b * L
                gates = view(kept, g0 + b * g_block, g_row, g_next)
                where = (cell, x, D, h, P, panel.at(0, b), h.at(0, b), H - b * L, at.c_old.at(0, b),
                         at.c_new.at(0, b), left, made.at(0, b), gates)  # fmt: skip
                if two:
                    step_twin(*where)
                elif rows == 1:
                    step_one(*where)
                else:
                    step_rows(*where)
                j += count
            if cell.multiplies_later:
                finish_chunk(rows, sizes, weights, at)
            elif not direct:
                if cell.normalizes:
                    for phase in range(1, cell.phase_count):
                        normalize(phase, 0, nb, rows, sizes, weights, at, limit)
                for r in range(rows):
                    copy(given.h, (n + r) * P, work, new + r * row, P)
            if given.y_step != 0:
                for r in range(rows):
                    copy(given.y, (n + r) * given.y_row + t * given.y_step, given.h, (n + r) * P, P)
        n += rows
    if tape.on and not cell.alone:
        for n in range(N):
            copy(given.c, n * H, tape.c, (given.T * N + n) * Hp, H)


@inlined
def _row_numbers(cell: Any, L: Any, H: Any, P: Any) -> Any:
    """Numbers of a row of h in that room, or of what a second phase makes it from."""
    row = vectors_for(H, L) * L
    if cell.multiplies_later:
        row = max(row, panels_for(P, L) * BLOCK * L)
    return row


@inlined
def _kept_numbers(cell: Any, L: Any, H: Any) -> Any:
    """Numbers of a row of what the phases keep, where there is no tape: two blocks'; of a GRU whose second phase
    reads it those of all blocks; of a normalized cell z of all blocks, and what the last phase keeps beside it."""
    if cell.normalizes:
        return (vectors_for(H, L) * cell.gate_count + cell.kept - cell.gate_count) * L
    if cell.gates_h:
        return vectors_for(H, L) * cell.kept * L
    return 2 * cell.kept * L


@inlined
def sample_numbers(packed: Any) -> Any:
    """Numbers that a sample's step needs to work in."""
    cell, L, H = cell_marked(packed.layout), lanes_of(packed.panels), packed.hidden_size
    row = _row_numbers(cell, L, H, packed.output_size)
    return _kept_numbers(cell, L, H) + (2 * row if cell.projects or cell.gates_h else row)
