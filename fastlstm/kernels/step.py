"""One time step of some samples for some blocks of units, phase by phase: matrix part and cell in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import kept_of, of_x, projects
from .options import compiled, inlined
from .phases import (
    finish_four,
    finish_one,
    forward_tile_1,
    forward_tile_2,
    forward_tile_3,
    forward_tile_4,
    forward_tile_5,
    forward_tile_6,
    forward_twin,
)
from .products import product_of
from .simd import BLOCK, TILE_ROWS, copy, lanes_of, line_of


@inlined
def phases_of(second: Any) -> Any:
    """How many there are; a constant in the compiled code. second: what stands for the later ones (Cell.later)."""
    if second.ndim == 3:
        return 2
    if second.ndim == 2:
        return 3
    return 1


@inlined
def made_in(second: Any) -> Any:
    """The phase that makes the new c."""
    if second.ndim == 2:
        return 1
    return 0


@inlined
def tape_room(cell: Any, second: Any, blocks: Any) -> Any:
    """Vectors of what the tape keeps that have to be there at once where there is no tape: those of a block, or of all
    where a later phase reads them."""
    if second.ndim == 2:
        return kept_of(cell) * blocks
    return kept_of(cell)


@inlined
def units_of(cell: Any, second: Any, L: Any, H: Any, P: Any) -> Any:
    """P, or the units that a second phase's panels have room for: all of them are written to. At least H where rows of
    m, which a projection reads, are as long as those of h."""
    units = P
    if second.ndim == 3:
        units = second.shape[0] * BLOCK * L
        if projects(cell):
            units = max(units, H)
    return units


@inlined
def operand_rows(cell: Any) -> Any:
    """Rows of each sample: the operands [x, h] of a step and those of the next, and m where that is projected."""
    return 3 if projects(cell) else 2


@compiled
def operand_stride(L: Any, D: Any, units: Any) -> Any:
    """Numbers from one operand row [x, h] to the next: an odd number of vectors, so that the rows of a tile fall
    into different cache sets."""
    return (D + (units + L - 1) // L * L + L - 1) // L // 2 * 2 * L + L


@inlined
def begins(reset: Any, first: Any, length: Any, reverse: Any, s: Any) -> Any:
    """Whether step s, in the order of computation, begins with zeros instead of what the step before it left.

    reset: (N, T) in the order of x, of no entries where there is none; first: the sequence's first. In reverse the
    boundary behind a step in time is the one marked at the step after it in time, the one computed before it.
    """
    if reset.size == 0 or s >= length:
        return False
    if reverse:
        return s > 0 and reset[first + length - s]
    return reset[first + s]


@compiled
def clear(array: Any, first: Any, count: Any) -> None:
    """Zeros from one place on."""
    for j in range(first, first + count):
        array[j] = 0


@compiled
def mark_begins(work: Any, mark0: Any, w: Any, workers: Any, rows: Any, order: Any, lens: Any, reset: Any, reverse: Any,
                T: Any) -> None:  # fmt: skip
    """For each step the list of a worker's rows that it `begins`: work[mark0 + s] is one more than the first row, and
    work[mark0 + (1 + r) * T + s] one more than the row behind row r; 0: none. Without resets there is work[mark0]."""
    clear(work, mark0, T if reset.size > 0 else np.int64(1))
    if reset.size > 0:
        for r in range(rows):
            rank = w + r * workers
            for s in range(lens[rank]):
                if begins(reset, order[rank] * T, lens[rank], reverse, s):
                    work[mark0 + (1 + r) * T + s] = work[mark0 + s]
                    work[mark0 + s] = 1 + r


@compiled
def forget(cs: Any, c: Any, count: Any, tape: Any, work: Any, spare: Any) -> None:
    """Zeros for a step to begin with at cs[c]. The tape holds c there, to be put back after the step: it waits in
    `work`, where c stands without a tape."""
    if tape:
        copy(work, spare, cs, c, count)
    clear(cs, c, count)


@inlined
def begin_h(a: Any, first: Any, h: Any, place: Any, P: Any, second: Any) -> None:
    """An operand row's h from h[place]. A second phase reads its units that fill up the last vector too: 0."""
    copy(a, first, h, place, P)
    if second.ndim == 3:
        L = lanes_of(a)
        clear(a, first + P, (P + L - 1) // L * L - P)


@inlined
def bias_alone(cell: Any, out: Any, place: Any, panels: Any, panel: Any, L: Any) -> None:
    """b for the gates that do not read x, where x @ W + b of a block stands: an infinite x times no weight is NaN."""
    for gate in range(of_x(cell), BLOCK):
        copy(out, place + gate * L, panels, panel + gate * L, L)


@inlined
def units(cell: Any, lo: Any, hi: Any, rows: Any, back: Any, a: Any, now: Any, then: Any, lda: Any, depth: Any,
          count: Any, panels: Any, p0: Any, p_block: Any, init: Any, i0: Any, i_row: Any, i_block: Any, cs: Any,
          c_old: Any, c_new: Any, c_row: Any, gates: Any, g0: Any, g_row: Any, g_block: Any) -> None:  # fmt: skip
    """The first phase of a step of some rows for blocks lo to hi of units: from the operands at a[now], the first
    `count` of them x, to h at a[then], or to what a second phase goes on from or projects.

    Where a row or a block of an array begins: its first place, and strides _row and _block. back: go through the
    blocks backwards; every other time that finds in cache what was read last. A single row's step is part of the
    caller: a call takes half as long as a small one.
    """
    if rows == 1:
        L = lanes_of(panels)
        j = np.int64(0)
        while j < hi - lo:
            two = j + 1 < hi - lo
            b = lo + j
            if back:
                b = hi - 2 - j if two else hi - 1 - j
            c, p, i, g = b * L, p0 + b * p_block, i0 + b * i_block, g0 + b * g_block
            if two:
                forward_twin(cell, a, now, depth, count, panels, p, p_block, init, i, i_block, cs, c_old + c, c_new + c,
                             a, then + c, gates, g, g_block)  # fmt: skip
            else:
                forward_tile_1(cell, a, now, lda, depth, count, panels, p, p, init, i, i_row, cs, c_old + c, c_new + c,
                               c_row, a, then + c, gates, g, g_row)  # fmt: skip
            j += 2
    else:
        tiles(cell, lo, hi, rows, back, a, now, then, lda, depth, count, panels, p0, p_block, init, i0, i_row,
              i_block, cs, c_old, c_new, c_row, gates, g0, g_row, g_block)  # fmt: skip


@compiled
def tiles(cell: Any, lo: Any, hi: Any, rows: Any, back: Any, a: Any, now: Any, then: Any, lda: Any, depth: Any,
          count: Any, panels: Any, p0: Any, p_block: Any, init: Any, i0: Any, i_row: Any, i_block: Any, cs: Any,
          c_old: Any, c_new: Any, c_row: Any, gates: Any, g0: Any, g_row: Any, g_block: Any) -> None:  # fmt: skip
    """`units` for more rows than one."""
    L = lanes_of(panels)
    for j in range(hi - lo):
        b = hi - 1 - j if back else lo + j
        panel = p0 + b * p_block
        ahead = panel - p_block if back else panel + p_block
        first = 0
        left = (rows + TILE_ROWS - 1) // TILE_ROWS
        while left > 0:
            height = (rows - first + left - 1) // left
            where = (cell, a, now + first * lda, lda, depth, count, panels, panel, ahead, init,
                     i0 + first * i_row + b * i_block, i_row, cs, c_old + first * c_row + b * L,
                     c_new + first * c_row + b * L, c_row, a, then + first * lda + b * L, gates,
                     g0 + first * g_row + b * g_block, g_row)  # fmt: skip
            if height == 6:
                forward_tile_6(*where)
            elif height == 5:
                forward_tile_5(*where)
            elif height == 4:
                forward_tile_4(*where)
            elif height == 3:
                forward_tile_3(*where)
            else:
                forward_tile_2(*where)
            ahead += depth // 4 * line_of(panels)
            first += height
            left -= 1


@compiled
def finish(cell: Any, lo: Any, hi: Any, rows: Any, back: Any, a: Any, now: Any, then: Any, m: Any, lda: Any,
           second: Any, H: Any, P: Any, cs: Any, c_new: Any, c_row: Any, gates: Any, g0: Any, g_row: Any,
           g_block: Any) -> None:  # fmt: skip
    """The second phase of that step for blocks lo to hi of the units of h, lo a multiple of 4: the old h at a[now], the
    new c at cs[c_new]; the new h comes to a[then], in the place of what the first phase left there; or from what it
    left at a[m]."""
    L = lanes_of(second)
    width = BLOCK * L
    first, last = lo // BLOCK, (hi + BLOCK - 1) // BLOCK
    read, place, row = cs, c_new, c_row
    if projects(cell):
        read, place, row = a, m, lda
        for r in range(rows):
            clear(a, then + r * lda + lo * L, (last * BLOCK - lo) * L)
    for j in range(first, last):
        q = first + last - 1 - j if back else j
        product_of(P - q * width, read, place, row, rows, H, second, q * H * width, a, then + q * width, lda,
                   a, then + q * width, lda)  # fmt: skip
    for r in range(rows):
        z, h, c, g = then + r * lda, now + r * lda, c_new + r * c_row, g0 + r * g_row
        b = lo
        while b + BLOCK <= hi:
            finish_four(cell, a, z + b * L, a, h + b * L, cs, c + b * L, a, z + b * L, width, gates, g + b * g_block,
                        g_block)  # fmt: skip
            b += BLOCK
        while b < hi:
            finish_one(cell, a, z + b * L, a, h + b * L, cs, c + b * L, a, z + b * L, L, gates, g + b * g_block,
                       g_block)  # fmt: skip
            b += 1
