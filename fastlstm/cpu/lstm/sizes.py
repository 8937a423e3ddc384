"""How many numbers each part of a pass takes, and where it begins.

Python and compiled code both call these: the former with a `Cell`, the latter with what stands for one there. L: lanes
of a vector; a block is as many units. A panel of weights of the first phase has those of one block; of all other
products, the columns of BLOCK blocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
def behind_x(cell: Any, D: Any) -> Any:
    """Vectors of a panel before its rows of U: b and the rows of W."""
    return cell.gate_count + D * cell.of_x


@inlined
def behind_h(cell: Any, D: Any, P: Any) -> Any:
    """Vectors of a panel before its rows of unit weights."""
    return cell.gate_count + D * cell.of_x + P * cell.of_h


@inlined
def panel_vectors(cell: Any, D: Any, P: Any) -> Any:
    """Vectors of a panel."""
    return cell.gate_count * (1 + cell.weight_rows) + D * cell.of_x + P * cell.of_h


@inlined
def inputs_of(cell: Any, vectors: Any, P: Any) -> Any:
    """D, by a panel's vectors."""
    return (vectors - panel_vectors(cell, 0, P)) // cell.of_x


@inlined
def gate_place(cell: Any, gate: Any, block: Any, nb: Any) -> Any:
    """Which vector of a row of dz has a gate's gradients of a block, of nb blocks.

    First come all blocks of the gates that read only x, then those of the gates that read both, then those of the gates
    that read only h: so what a product with W.T or U.T takes stands side by side."""
    G, of_x, only_x = cell.gate_count, cell.of_x, cell.gate_count - cell.of_h
    if gate < only_x:
        return block * only_x + gate
    if gate < of_x:
        return nb * only_x + block * (of_x - only_x) + gate - only_x
    return nb * of_x + block * (G - of_x) + gate - of_x


class Group(NamedTuple):
    """Gates that read the same. gate, gates: the first one, and how many; operand, operands: the first of [x, 1, h]
    that their weights' gradients are made of, and how many."""

    gate: Any
    gates: Any
    operand: Any
    operands: Any


@inlined
def group_of(cell: Any, number: Any, D: Any, P: Any) -> Any:
    """Number 0: the gates that read only x; 1: both; 2: only h."""
    only_x, of_x = cell.gate_count - cell.of_h, cell.of_x
    if number == 0:
        return Group(0, only_x, 0, D + 1)
    if number == 1:
        return Group(only_x, of_x - only_x, 0, D + 1 + P)
    return Group(of_x, cell.gate_count - of_x, D, 1 + P)


@inlined
def dz_vectors(cell: Any, nb: Any) -> Any:
    """Vectors of a row of dz for all gates; a product reads BLOCK of them at once, and more than there are."""
    if cell.fills_panels:
        return nb * BLOCK
    return nb * cell.gate_count + BLOCK - 1


@inlined
def behind_gates(cell: Any, L: Any, H: Any, P: Any) -> Any:
    """Where in a row of dz comes what adds up to the gradients of unit weights."""
    if cell.multiplies_later:
        return (dz_vectors(cell, vectors_for(H, L)) + panels_for(P, L) * BLOCK) * L
    return dz_vectors(cell, vectors_for(H, L)) * L


@compiled
def sums_of_group(cell: Any, number: Any, L: Any, D: Any, H: Any, P: Any) -> Any:
    """Numbers that the sums over rows take, which become the gradients of a group's weights."""
    group = group_of(cell, number, D, P)
    return panels_for(vectors_for(H, L) * group.gates * L, L) * whole_tiles(group.operands) * BLOCK * L


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
    operands, filled = 1 + D + nb * L, D + whole_tiles(1 + P)
    filled = larger(filled, whole_tiles(1 + D + P))
    own = nb * cell.weight_rows * cell.gate_count * L
    ldc, sums, weights = nb * L, own, ldp * nb * cell.of_h * L
    for number in range(3):
        sums += sums_of_group(cell, number, L, D, H, P)
    if cell.multiplies_later:
        taller = whole_tiles(H)
        filled, ldc = operands + taller, ldh
        operands += nb * L
        sums, weights = sums + ldp * taller, weights + ldh * ldp
    a, dz = larger(operands, filled), behind_gates(cell, L, H, P) + own
    lda, ldz = vectors_for(a, L) // 2 * 2 * L + L, vectors_for(dz, L) // 2 * 2 * L + L
    return ldh, ldc, ldz, lda, sums, ldx * nb * cell.of_x * L, weights


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
    if cell.later_reads_kept:
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
    """Rows of each sample: the operands [x, h] of a step and those of the next; and m where that is projected, or the
    old h without a mask where equations read that too."""
    if cell.projects or cell.passes_h:
        return 3
    return 2


@inlined
def operand_stride(L: Any, D: Any, units: Any) -> Any:
    """Numbers from one operand row [x, h] to the next: an odd number of vectors, so that the rows of a tile fall
    into different cache sets."""
    return (D + vectors_for(units, L) * L + L - 1) // L // 2 * 2 * L + L


@inlined
def operand_row(sizes: Any, weights: Any) -> Any:
    """The same for those weights."""
    L = lanes_of(weights.panels)
    return operand_stride(L, sizes.D, units_of(weights.cell, L, sizes.H, sizes.P))


@inlined
def duo_room(L: Any, H: Any, gates: Any, operands: Any, kept: Any, threads: Any) -> Any:
    """Numbers to work in, up to where the inputs of a thread begin: 0 for the leader, 1 for the follower; 2: all.
    gates: how many; operands: numbers of a sample's operand rows; kept: tape_room of all blocks."""
    nb = vectors_for(H, L)
    return operands + nb * L + (2 * kept + threads * INPUT_STEPS * nb * gates) * L


@inlined
def forward_room(L: Any, H: Any, gates: Any, operands: Any, kept: Any, rows: Any, chunk: Any, marks: Any) -> Any:
    """Numbers that each worker needs to work in. gates: how many; operands: numbers of a sample's operand rows; kept:
    tape_room of all rows' blocks; marks: of `mark_begins`."""
    nb = vectors_for(H, L)
    return rows * (operands + nb * L) + (kept + nb * max(1, rows * chunk) * gates + vectors_for(marks, L)) * L
