"""The weights' gradients: sums over the rows of a block of time."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled
from ..vectors.rows import accumulate, clear
from ..vectors.target import BLOCK, TILE_ROWS
from ..vectors.tiles import outer, product_of
from ..vectors.view import view
from ..vectors.views import lanes_of
from .sizes import GROUP, behind_gates, panels_for, vectors_for, whole_tiles

PIECE = 128  # rows of one running sum


@compiled
def backward_sums(w: Any, workers: Any, rows: Any, given: Any) -> None:
    """One worker's share of a block's products over its rows: dx, and the weights' gradients in panels. given: a
    Backward.

    Those of unit weights stand behind the last tile: what an outer product leaves in rows that fill a tile up is no
    number where dz is none."""
    cell, room, dx = given.weights.cell, given.room, given.gradients.dx
    D, H, P = given.sizes.D, given.sizes.H, given.sizes.P
    dz, ldz, a, lda, dp, tmp = room.dz, room.ldz, room.a, room.lda, room.dp, room.tmp
    L = lanes_of(room.wt)
    nb = vectors_for(H, L)
    width = BLOCK * L
    tiles = whole_tiles(1 + D + P) // TILE_ROWS
    stride = tiles * TILE_ROWS + cell.weight_rows
    t0 = w * GROUP * width
    for q in range(panels_for(D, L)):  # a panel of W stays in cache while the rows pass by
        first = w * GROUP
        while first < rows:
            count = min(GROUP, rows - first)
            product_of(D - q * width, view(dz, first * ldz, ldz, 0), count, nb * width,
                       view(room.wt, q * nb * width * width, 0, 0), view(room.zeros, 0, 0, 0),
                       view(tmp, t0, width, 0))  # fmt: skip
            for r in range(count):
                accumulate(dx, room.where[first + r] + q * width, tmp, t0 + r * width, min(width, D - q * width))
            first += workers * GROUP
    b = w
    while b < nb:
        m = 0
        while m < rows:
            depth = min(PIECE, rows - m)
            for k in range(tiles):
                outer(view(a, m * lda + k * TILE_ROWS, lda, 0), depth, view(dz, m * ldz + b * width, ldz, 0),
                      view(dp, (b * stride + k * TILE_ROWS) * width, width, 0))  # fmt: skip
            m += PIECE
        for n in range(cell.weight_rows):
            down = behind_gates(cell, L, H, P) + (b * cell.weight_rows + n) * width
            place = (b * stride + tiles * TILE_ROWS + n) * width
            for m in range(0, rows, PIECE):
                clear(tmp, t0, width)
                for r in range(m, min(m + PIECE, rows)):
                    accumulate(tmp, t0, dz, r * ldz + down, width)
                accumulate(dp, place, tmp, t0, width)
        b += workers
    if cell.multiplies_later:
        taller = whole_tiles(H) // TILE_ROWS
        for q in range(w, panels_for(P, L), workers):
            for m in range(0, rows, PIECE):
                for k in range(taller):
                    outer(view(a, m * lda + 1 + D + nb * L + k * TILE_ROWS, lda, 0), min(PIECE, rows - m),
                          view(dz, m * ldz + (nb + q) * width, ldz, 0),
                          view(dp, (nb * stride + (q * taller + k) * TILE_ROWS) * width, width, 0))  # fmt: skip
