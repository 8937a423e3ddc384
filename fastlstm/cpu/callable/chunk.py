"""The serial time loop on the caller's own arrays, which allocates nothing."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..lstm.cell_type import kept_of, projects, width_of
from ..lstm.norms import normalize
from ..lstm.packing import panel_rows
from ..lstm.sizes import phases_of
from ..lstm.tiles import STEP_ROWS, finish_one, step_one, step_rows, step_twin
from ..vectors.rows import clear, copy
from ..vectors.target import BLOCK
from ..vectors.tiles import tile_1, tile_4
from ..vectors.views import array_or_flat, lanes_of

STACK_BYTES = 1 << 16
"""Bytes of the stack that a step may take: threads of a server or of an audio host have as few as 256 KiB."""


def chunk_steps(cell: Any, x: Any, x_row: Any, x_step: Any, x_number: Any, N: Any, T: Any, D: Any, panels: Any,
                second: Any, H: Any, P: Any, h: Any, c: Any, y: Any, y_row: Any, y_step: Any, gates: Any, cells: Any,
                tape: Any, turn: Any, work: Any, most: Any) -> None:  # fmt: skip
    """T steps of N samples; h (N, P) and c (N, H) change in place.

    x[n x_row + t x_step + j x_number]: the inputs; h goes to y[n y_row + t y_step + j], unless y_step is 0. tape:
    whether gates (T, N, ..) and cells (T + 1, N, ..) are kept, in vectors as everywhere; otherwise these are any
    arrays. turn: 1 to go through the units backwards at the first step, which changes no bit. work: `work_numbers` of
    `most` samples, which are done at once, STEP_ROWS or 1.
    """
    P = width_of(cell, H, P)
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width, g_width, Hp = BLOCK * L, kept_of(cell) * L, nb * L
    panel = panel_rows(cell, D, P) * width
    row = _row_numbers(second, L, H)
    # what no tape keeps goes where nobody reads it; but for z of a normalized cell, which waits there for all units
    kept, held, c_row, new = work, c, H, most * _kept_numbers(cell, second, L, H)
    g_row, g_place, g_next = 0, 0, g_width
    if second.ndim == 2:
        g_row, g_place, g_next = _kept_numbers(cell, second, L, H), width, width
    if tape:
        kept, held, c_row, new = gates, cells, Hp, 0
        g_row, g_place, g_next = nb * g_width, g_width, g_width
        for n in range(N):
            copy(cells, n * Hp, c, n * H, H)
            for j in range(n * Hp + H, (n + 1) * Hp):
                cells[j] = 0
    last = new  # of the new h; what the first phase puts out is at `new`
    if projects(cell):
        last = new + most * row
    n = 0
    while n < N:
        rows = most if N - n >= most else 1
        for t in range(T):
            xo, ho, g0 = n * x_row + t * x_step, n * P, 0
            c_old, c_new = n * H, n * H
            if tape:
                g0, c_old, c_new = (t * N + n) * nb * g_width, (t * N + n) * Hp, ((t + 1) * N + n) * Hp
            out, o0, o_row = work, new, row
            # all of the old h is read before any of the new is written
            direct = rows == 1 and nb <= 2 and not tape and phases_of(second) == 1
            if direct:
                out, o0, o_row = h, ho, P
            j = 0
            while j < nb:
                two = rows == 1 and j + 1 < nb
                count = 2 if two else 1
                # backwards every other time: what was read last is still in cache; no branch, for none could foresee it
                b = j + ((t + turn) & 1) * (nb - 2 * j - count)
                left = 2 * L if tape else H - b * L
                where = (cell, x, xo, x_row, x_number, D, h, ho, P, P, panels, b * panel, panel, held, c_old + b * L,
                         c_new + b * L, c_row, left, out, o0 + b * L, o_row, kept, g0 + b * g_place, g_row,
                         g_next)  # fmt: skip
                if two:
                    step_twin(*where)
                elif rows == 1:
                    step_one(*where)
                else:
                    step_rows(*where)
                j += count
            if second.ndim == 3:
                read, place, read_row = held, c_new, c_row
                if projects(cell):
                    read, place, read_row = work, new, row
                    clear(work, last, rows * row)
                for q in range(second.shape[0]):
                    block = (read, place, read_row, H, second, q * H * width, (q + 1) * H * width, work,
                             last + q * width, row, work, last + q * width, row)  # fmt: skip
                    if rows == 1:
                        tile_1(*block)
                    else:
                        tile_4(*block)
                for r in range(rows):
                    for b in range((P + L - 1) // L):
                        at = ho + r * P + b * L
                        finish_one(cell, work, last + r * row + b * L, h, at, held, c_new + r * c_row + b * L, h, at,
                                   P - b * L, kept, g0 + r * g_row + b * g_place, 0)  # fmt: skip
            elif not direct:
                if second.ndim == 2:
                    for phase in range(1, phases_of(second)):
                        normalize(cell, phase, 0, nb, rows, work, new, row, h, ho, P, panels,
                                  (1 + D + P) * width, panel, H, held, c_new, c_row, kept, g0, g_row, g_place,
                                  Hp + L if tape else H)  # fmt: skip
                for r in range(rows):
                    copy(h, ho + r * P, work, new + r * row, P)
            if y_step != 0:
                for r in range(rows):
                    copy(y, (n + r) * y_row + t * y_step, h, ho + r * P, P)
        n += rows
    if tape:
        for n in range(N):
            copy(c, n * H, cells, (T * N + n) * Hp, H)


chunk = compiled(chunk_steps)


@inlined
def _row_numbers(second: Any, L: Any, H: Any) -> Any:
    """Numbers of a row of h in that room, or of what a second phase makes it from."""
    row = (H + L - 1) // L * L
    if second.ndim == 3:
        row = max(row, second.shape[0] * BLOCK * L)
    return row


@inlined
def _kept_numbers(cell: Any, second: Any, L: Any, H: Any) -> Any:
    """Numbers of a row of what the phases keep, where there is no tape: two blocks'; z of all blocks of a normalized
    cell, and what the last one keeps beside it."""
    if second.ndim == 2:
        return ((H + L - 1) // L * BLOCK + kept_of(cell) - BLOCK) * L
    return 2 * kept_of(cell) * L


@inlined
def sample_numbers(packed: Any) -> Any:
    """Numbers that a sample's step needs to work in."""
    cell, second, H = packed.layout, array_or_flat(packed.second, packed.panels), packed.hidden_size
    L = lanes_of(packed.panels)
    row = _row_numbers(second, L, H)
    return _kept_numbers(cell, second, L, H) + (2 * row if projects(cell) else row)


@inlined
def at_once(packed: Any, N: Any) -> Any:
    """Samples of N that a step takes together on the stack, where one finds room: STEP_ROWS or 1."""
    if N < STEP_ROWS or sample_numbers(packed) * (packed.panels.itemsize * STEP_ROWS) > STACK_BYTES:
        return 1
    return STEP_ROWS
