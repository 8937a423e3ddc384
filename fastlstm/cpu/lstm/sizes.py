"""How many numbers each part of a pass takes, and where it begins.

Python and compiled code both call these: the former with a `Cell`, the latter with what stands for one there. L: lanes
of a vector; a block is as many units; a panel is BLOCK blocks wide.
"""

from __future__ import annotations

from typing import Any

from ...strides import larger
from ..compiler.options import compiled, inlined
from ..vectors.target import BLOCK, TILE_ROWS
from ..vectors.views import lanes_of

GROUP = 4 * TILE_ROWS  # rows of dx that a worker takes at once
INPUT_STEPS = 24  # steps whose x @ W + b two threads on one sequence compute at once


@inlined
def vectors_for(units: Any, L: Any) -> Any:
    """Blocks that hold so many units."""
    return (units + L - 1) // L


@inlined
def panels_for(units: Any, L: Any) -> Any:
    """Panels, of BLOCK blocks each, that hold so many units."""
    return (units + BLOCK * L - 1) // (BLOCK * L)


@inlined
def panel_rows(cell: Any, D: Any, P: Any) -> Any:
    """Rows of a panel."""
    return 1 + D + P + cell.weight_rows


@inlined
def behind_gates(cell: Any, L: Any, H: Any, P: Any) -> Any:
    """Where in a row of dz comes what adds up to the gradients of unit weights."""
    if cell.multiplies_later:
        return (vectors_for(H, L) + panels_for(P, L)) * BLOCK * L
    return vectors_for(H, L) * BLOCK * L


@compiled
def whole_tiles(rows: Any) -> Any:
    """Rows of as few tiles as hold that many."""
    return (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS


def room_sizes(cell: Any, L: Any, D: Any, H: Any, P: Any) -> Any:
    """What the backward pass works in (records.Room): numbers in a row of dh, dc, dz, a, and in all of dp, wt, ut.

    A second phase's part of dz, of the operands, of the panels of sums and of the transposed weights is behind the
    first one's. Rows of dz and a are an odd number of vectors: so the rows of a tile fall into different cache sets."""
    nb, width = vectors_for(H, L), BLOCK * L
    ldx, ldh, ldp = panels_for(D, L) * width, panels_for(H, L) * width, panels_for(P, L) * width
    operands, columns, filled = 1 + D + nb * L, nb * width, whole_tiles(1 + D + P)
    ldc, sums, weights = nb * L, nb * (filled + cell.weight_rows) * width, ldp * nb * width
    if cell.multiplies_later:
        taller = whole_tiles(H)
        filled, ldc = operands + taller, ldh
        operands, columns = operands + nb * L, columns + ldp
        sums, weights = sums + ldp * taller, weights + ldh * ldp
    a, dz = larger(operands, filled), columns + nb * cell.weight_rows * width
    lda, ldz = vectors_for(a, L) // 2 * 2 * L + L, vectors_for(dz, L) // 2 * 2 * L + L
    return ldh, ldc, ldz, lda, sums, ldx * nb * width, weights


@inlined
def made_in(cell: Any) -> Any:
    """The phase that makes the new c."""
    if cell.normalizes:
        return 1
    return 0


@inlined
def tape_room(cell: Any, blocks: Any) -> Any:
    """Vectors of what the tape keeps that have to be there at once where there is no tape: those of a block, or of all
    where a later phase reads them."""
    if cell.normalizes:
        return cell.kept * blocks
    return cell.kept


@inlined
def units_of(cell: Any, L: Any, H: Any, P: Any) -> Any:
    """P, or the units that a second phase's panels have room for: all of them are written to. At least H where rows of
    m, which a projection reads, are as long as those of h."""
    units = P
    if cell.multiplies_later:
        units = panels_for(P, L) * BLOCK * L
        if cell.projects:
            units = max(units, H)
    return units


@inlined
def operand_rows(cell: Any) -> Any:
    """Rows of each sample: the operands [x, h] of a step and those of the next, and m where that is projected."""
    if cell.projects:
        return 3
    return 2


@compiled
def operand_stride(L: Any, D: Any, units: Any) -> Any:
    """Numbers from one operand row [x, h] to the next: an odd number of vectors, so that the rows of a tile fall
    into different cache sets."""
    return (D + vectors_for(units, L) * L + L - 1) // L // 2 * 2 * L + L


@inlined
def operand_row(sizes: Any, weights: Any) -> Any:
    """The same for those weights."""
    L = lanes_of(weights.panels)
    return operand_stride(L, sizes.D, units_of(weights.cell, L, sizes.H, sizes.P))


@compiled
def duo_room(L: Any, H: Any, operands: Any, kept: Any, threads: Any) -> Any:
    """Numbers to work in, up to where the inputs of a thread begin: 0 for the leader, 1 for the follower; 2: all.
    operands: numbers of a sample's operand rows; kept: tape_room of all blocks."""
    nb = vectors_for(H, L)
    return operands + nb * L + (2 * kept + threads * INPUT_STEPS * nb * BLOCK) * L


@compiled
def forward_room(L: Any, H: Any, operands: Any, kept: Any, rows: Any, chunk: Any, marks: Any) -> Any:
    """Numbers that each worker needs to work in. operands: numbers of a sample's operand rows; kept: tape_room of all
    rows' blocks; marks: of `mark_begins`."""
    nb = vectors_for(H, L)
    return rows * (operands + nb * L) + (kept + nb * max(1, rows * chunk) * BLOCK + vectors_for(marks, L)) * L
