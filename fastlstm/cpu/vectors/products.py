"""Matrix products of any number of rows with one panel of weights, in tiles."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled
from . import tiles
from .target import BLOCK, TILE_ROWS
from .views import lanes_of, line_of


def _product(tile_1: Any, tile_2: Any, tile_3: Any, tile_4: Any, tile_5: Any, tile_6: Any) -> Any:
    """product(a, rows, depth, panel, init, out): out (rows, ..) = init + A (rows, depth) @ panel, all of them views, in
    tiles as equal as can be: a tile of one row is a slow one. Meanwhile the panel behind this one is fetched into the
    cache."""

    @compiled
    def product(a: Any, rows: Any, depth: Any, panel: Any, init: Any, out: Any) -> None:
        ahead = depth * BLOCK * lanes_of(panel)
        left = (rows + TILE_ROWS - 1) // TILE_ROWS
        r = 0
        while left > 0:
            height = (rows - r + left - 1) // left
            where = (a.at(r, 0), depth, panel, ahead, init.at(r, 0), out.at(r, 0))
            if height == 6:
                tile_6(*where)
            elif height == 5:
                tile_5(*where)
            elif height == 4:
                tile_4(*where)
            elif height == 3:
                tile_3(*where)
            elif height == 2:
                tile_2(*where)
            else:
                tile_1(*where)
            ahead += depth // 4 * line_of(panel)
            r += height
            left -= 1

    return product


product, half_product = _product(*tiles.whole), _product(*tiles.half)


@compiled
def product_of(columns: Any, a: Any, rows: Any, depth: Any, panel: Any, init: Any, out: Any) -> None:
    """`product` where only the first columns matter: half of the panel where that holds them."""
    if columns > BLOCK // 2 * lanes_of(panel):
        product(a, rows, depth, panel, init, out)
    else:
        half_product(a, rows, depth, panel, init, out)
