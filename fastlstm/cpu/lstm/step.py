"""One time step of some samples for some blocks of units, phase by phase: matrix part and cell in one pass."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..vectors.products import product_of
from ..vectors.rows import clear, copy
from ..vectors.target import BLOCK, TILE_ROWS
from ..vectors.views import lanes_of, line_of
from .cell_type import of_x, projects
from .tiles import (
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
        j = 0
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
