"""One time step of some samples for some blocks of units: matrix part and cell in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import (
    forward_tile_1,
    forward_tile_2,
    forward_tile_3,
    forward_tile_4,
    forward_tile_5,
    forward_tile_6,
    forward_twin,
)
from .options import compiled, inlined
from .simd import TILE_ROWS, copy, lanes_of, line_of


@compiled
def operand_stride(L: Any, D: Any, H: Any) -> Any:
    """Numbers from one operand row [x, h] to the next: an odd number of vectors, so that the rows of a tile fall
    into different cache sets."""
    return (D + (H + L - 1) // L * L + L - 1) // L // 2 * 2 * L + L


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
def forget(cs: Any, c: Any, count: Any, tape: Any, work: Any, spare: Any) -> None:
    """Zeros for a step to begin with at cs[c]. The tape holds c there, to be put back after the step: it waits in
    `work`, where c stands without a tape."""
    if tape:
        copy(work, spare, cs, c, count)
    clear(cs, c, count)


@inlined
def units(lo: Any, hi: Any, rows: Any, back: Any, a: Any, now: Any, then: Any, lda: Any, depth: Any, panels: Any,
          p0: Any, p_block: Any, init: Any, i0: Any, i_row: Any, i_block: Any, cs: Any, c_old: Any, c_new: Any,
          c_row: Any, gates: Any, g0: Any, g_row: Any, g_block: Any) -> None:  # fmt: skip
    """One step of some rows for blocks lo to hi of units: from the operands at a[now] to h at a[then].

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
                forward_twin(a, now, depth, panels, p, p_block, init, i, i_block, cs, c_old + c, c_new + c, a, then + c,
                             gates, g, g_block)  # fmt: skip
            else:
                forward_tile_1(a, now, lda, depth, panels, p, p, init, i, i_row, cs, c_old + c, c_new + c, c_row, a,
                               then + c, gates, g, g_row)  # fmt: skip
            j += 2
    else:
        tiles(lo, hi, rows, back, a, now, then, lda, depth, panels, p0, p_block, init, i0, i_row, i_block, cs, c_old,
              c_new, c_row, gates, g0, g_row, g_block)  # fmt: skip


@compiled
def tiles(lo: Any, hi: Any, rows: Any, back: Any, a: Any, now: Any, then: Any, lda: Any, depth: Any, panels: Any,
          p0: Any, p_block: Any, init: Any, i0: Any, i_row: Any, i_block: Any, cs: Any, c_old: Any, c_new: Any,
          c_row: Any, gates: Any, g0: Any, g_row: Any, g_block: Any) -> None:  # fmt: skip
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
            where = (a, now + first * lda, lda, depth, panels, panel, ahead, init, i0 + first * i_row + b * i_block,
                     i_row, cs, c_old + first * c_row + b * L, c_new + first * c_row + b * L, c_row, a,
                     then + first * lda + b * L, gates, g0 + first * g_row + b * g_block, g_row)  # fmt: skip
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
