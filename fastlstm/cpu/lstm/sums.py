"""The weights' gradients: sums over the rows of a block of time."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled
from ..vectors.rows import accumulate, clear
from ..vectors.target import BLOCK, TILE_ROWS
from ..vectors.tiles import outer, product_of
from ..vectors.view import view
from ..vectors.views import lanes_of
from .sizes import GROUP, behind_gates, dz_vectors, group_of, panels_for, sums_of_group, vectors_for, whole_tiles

PIECE = 128  # rows of one running sum


@compiled
def backward_sums(w: Any, workers: Any, rows: Any, given: Any) -> None:
    """One worker's share of a block's products over its rows: dx, and the sums that the weights' gradients are. given:
    a Backward.

    These are panels of BLOCK vectors of dz, for each group of gates that read the same; then those of V; then rows of
    unit weights. What fills up a tile or a panel is never looked at."""
    cell, room, dx = given.weights.cell, given.room, given.gradients.dx
    D, H, P = given.sizes.D, given.sizes.H, given.sizes.P
    dz, ldz, a, lda, dp, tmp = room.dz, room.ldz, room.a, room.lda, room.dp, room.tmp
    L = lanes_of(room.wt)
    nb = vectors_for(H, L)
    width, depth = BLOCK * L, nb * cell.of_x * L
    t0 = w * GROUP * width
    for q in range(panels_for(D, L)):  # a panel of W stays in cache while the rows pass by
        first = w * GROUP
        while first < rows:
            count = min(GROUP, rows - first)
            product_of(D - q * width, view(dz, first * ldz, ldz, 0), count, depth,
                       view(room.wt, q * depth * width, 0, 0), view(room.zeros, 0, 0, 0),
                       view(tmp, t0, width, 0))  # fmt: skip
            for r in range(count):
                accumulate(dx, room.where[first + r] + q * width, tmp, t0 + r * width, min(width, D - q * width))
            first += workers * GROUP
    place = 0
    for number in range(3):
        group = group_of(cell, number, D, P)
        tiles = whole_tiles(group.operands) // TILE_ROWS
        for q in range(w, panels_for(nb * group.gates * L, L), workers):
            columns, sums = nb * group.gate * L + q * width, place + q * tiles * TILE_ROWS * width
            m = 0
            while m < rows:
                for k in range(tiles):
                    outer(view(a, m * lda + group.operand + k * TILE_ROWS, lda, 0), min(PIECE, rows - m),
                          view(dz, m * ldz + columns, ldz, 0),
                          view(dp, sums + k * TILE_ROWS * width, width, 0))  # fmt: skip
                m += PIECE
        place += sums_of_group(cell, number, L, D, H, P)
    if cell.multiplies_later:
        taller = whole_tiles(H) // TILE_ROWS
        for q in range(w, panels_for(P, L), workers):
            for m in range(0, rows, PIECE):
                for k in range(taller):
                    outer(view(a, m * lda + 1 + D + nb * L + k * TILE_ROWS, lda, 0), min(PIECE, rows - m),
                          view(dz, m * ldz + dz_vectors(cell, nb) * L + q * width, ldz, 0),
                          view(dp, place + (q * taller + k) * TILE_ROWS * width, width, 0))  # fmt: skip
        place += panels_for(P, L) * whole_tiles(H) * width
    count = cell.gate_count * L
    for b in range(w, nb, workers):
        for n in range(b * cell.weight_rows, (b + 1) * cell.weight_rows):
            down = behind_gates(cell, L, H, P) + n * count
            for m in range(0, rows, PIECE):
                clear(tmp, t0, count)
                for r in range(m, min(m + PIECE, rows)):
                    accumulate(tmp, t0, dz, r * ldz + down, count)
                accumulate(dp, place + n * count, tmp, t0, count)
