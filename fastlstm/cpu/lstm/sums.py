"""The weights' gradients: sums over the rows of a block of time."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled
from ..vectors.products import product_of
from ..vectors.rows import accumulate, clear
from ..vectors.target import BLOCK, TILE_ROWS
from ..vectors.tiles import outer
from ..vectors.views import lanes_of
from .cell_type import rows_of_vectors
from .sizes import GROUP, behind_gates, whole_tiles

PIECE = 128  # rows of one running sum


@compiled
def backward_sums(w: Any, workers: Any, rows: Any, cell: Any, second: Any, D: Any, wt: Any, H: Any, P: Any, dz: Any,
                  ldz: Any, a: Any, lda: Any, where: Any, dx: Any, dp: Any, tmp: Any, zeros: Any) -> None:  # fmt: skip
    """One worker's share of a block's products over its rows: dx, and the weights' gradients in panels.

    Those of weights for the equations stand behind the last tile: what an outer product leaves in rows that fill a
    tile up is no number where dz is none."""
    L = lanes_of(wt)
    nb = (H + L - 1) // L
    width = BLOCK * L
    down = behind_gates(second, nb, width)
    tiles = whole_tiles(1 + D + P) // TILE_ROWS
    stride = tiles * TILE_ROWS + rows_of_vectors(cell)
    t0 = w * GROUP * width
    for q in range((D + width - 1) // width):  # a panel of W stays in cache while the rows pass by
        first = w * GROUP
        while first < rows:
            count = min(GROUP, rows - first)
            product_of(D - q * width, dz, first * ldz, ldz, count, nb * width, wt, q * nb * width * width, zeros,
                       0, 0, tmp, t0, width)  # fmt: skip
            for r in range(count):
                accumulate(dx, where[first + r] + q * width, tmp, t0 + r * width, min(width, D - q * width))
            first += workers * GROUP
    b = w
    while b < nb:
        m = 0
        while m < rows:
            depth = min(PIECE, rows - m)
            for k in range(tiles):
                outer(a, m * lda + k * TILE_ROWS, lda, depth, dz, m * ldz + b * width, ldz,
                      dp, (b * stride + k * TILE_ROWS) * width, width)  # fmt: skip
            m += PIECE
        for n in range(rows_of_vectors(cell)):
            place = (b * stride + tiles * TILE_ROWS + n) * width
            for m in range(0, rows, PIECE):
                clear(tmp, t0, width)
                for r in range(m, min(m + PIECE, rows)):
                    accumulate(tmp, t0, dz, r * ldz + down + (b * rows_of_vectors(cell) + n) * width, width)
                accumulate(dp, place, tmp, t0, width)
        b += workers
    if second.ndim == 3:
        taller = whole_tiles(H) // TILE_ROWS
        for q in range(w, second.shape[0], workers):
            for m in range(0, rows, PIECE):
                for k in range(taller):
                    outer(a, m * lda + 1 + D + nb * L + k * TILE_ROWS, lda, min(PIECE, rows - m),
                          dz, m * ldz + (nb + q) * width, ldz,
                          dp, (nb * stride + (q * taller + k) * TILE_ROWS) * width, width)  # fmt: skip
