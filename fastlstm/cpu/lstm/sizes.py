"""How many numbers each part of a pass takes, and where it begins."""

from __future__ import annotations

from typing import Any

from ...strides import larger
from ..compiler.options import compiled, inlined
from ..vectors.target import BLOCK, TILE_ROWS
from .cell_type import kept_of, projects

GROUP = 4 * TILE_ROWS  # rows of dx that a worker takes at once


@inlined
def behind_gates(second: Any, nb: Any, width: Any) -> Any:
    """Where in a row of dz comes what adds up to the gradients of weights for the equations."""
    if second.ndim == 3:
        return (nb + second.shape[0]) * width
    return nb * width


@compiled
def whole_tiles(rows: Any) -> Any:
    """Rows of as few tiles as hold that many."""
    return (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS


def room_sizes(L: Any, D: Any, H: Any, P: Any, own: Any, third: Any) -> Any:
    """What the backward pass works in (backend.Room): numbers in a row of dh, dc, dz, a, and in all of dp, wt, ut.

    own: rows of weights for the equations; third: whether there are panels of a second phase. That one's part of dz, of
    the operands, of the panels of sums and of the transposed weights is behind the first one's. Rows of dz and a are an
    odd number of vectors: so the rows of a tile fall into different cache sets."""
    nb, width = (H + L - 1) // L, BLOCK * L
    ldx, ldh, ldp = (D + width - 1) // width * width, (H + width - 1) // width * width, (P + width - 1) // width * width
    operands, columns, filled = 1 + D + nb * L, nb * width, whole_tiles(1 + D + P)
    ldc, sums, weights = nb * L, nb * (filled + own) * width, ldp * nb * width
    if third:
        taller = whole_tiles(H)
        filled, ldc = operands + taller, ldh
        operands, columns = operands + nb * L, columns + ldp
        sums, weights = sums + ldp * taller, weights + ldh * ldp
    a, dz = larger(operands, filled), columns + nb * own * width
    lda, ldz = (a + L - 1) // L // 2 * 2 * L + L, (dz + L - 1) // L // 2 * 2 * L + L
    return ldh, ldc, ldz, lda, sums, ldx * nb * width, weights


INPUT_STEPS = 24  # steps whose x @ W + b is computed at once


@compiled
def duo_room(L: Any, D: Any, H: Any, units: Any, operands: Any, kept: Any, threads: Any) -> Any:
    """Numbers to work in, up to where the inputs of a thread begin: 0 for the leader, 1 for the follower; 2: all.
    units: units_of(...); operands: operand_rows(...); kept: tape_room of all blocks."""
    nb = (H + L - 1) // L
    return operands * operand_stride(L, D, units) + nb * L + (2 * kept + threads * INPUT_STEPS * nb * BLOCK) * L


@compiled
def forward_room(
    L: Any, D: Any, H: Any, units: Any, operands: Any, kept: Any, rows: Any, chunk: Any, marks: Any
) -> Any:
    """Numbers that each worker needs to work in. units: units_of(...); operands: operand_rows(...); kept: tape_room of
    all rows' blocks; marks: of `mark_begins`."""
    nb = (H + L - 1) // L
    cells = rows * (operands * operand_stride(L, D, units) + nb * L)
    return cells + (kept + nb * max(1, rows * chunk) * BLOCK + (marks + L - 1) // L) * L


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
