"""The matrix micro-kernel: tiles of a product, in registers; and products of any number of rows with a panel."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from ..compiler.options import compiled
from .emitted import Int, emitted
from .emitter import INT64, Emitter, Vector
from .target import BLOCK, CACHE_LINE, TILE_ROWS, registers
from .view import View
from .views import lanes_of, line_of


def _tile(rows: int, vectors: int = BLOCK) -> Any:
    """tile(a, depth, panel, ahead, init, out): out[r, j] = init[r, j] + sum over k < depth of a[r, k] panel[k, j], in
    that order, for r < rows and j < `vectors` lanes. What stands `ahead` numbers behind the panel's begin is fetched
    into the cache meanwhile (`multiply`)."""

    @emitted
    def tile(e: Emitter, a: View, depth: Int, panel: View, ahead: Int, init: View, out: View) -> None:
        operands, begins, ends = a.rows(rows), init.rows(rows), out.rows(rows)
        for side in passes(rows, vectors):
            sums = {(r, v): e.load(begins[r], v * e.lanes) for r in range(rows) for v in side}
            fetched = panel.at(ahead) if side.start == 0 else None
            weights = Weights([panel.data], BLOCK * e.lanes, {v: (0, v) for v in side})
            sums = multiply(depth, sums, weights, operands, 1, 0, fetched)
            for (r, v), total in sums.items():
                e.store(total, ends[r], v * e.lanes)

    return tile


@emitted
def outer(e: Emitter, a: View, depth: Int, p: View, out: View) -> None:
    """out[r, j] += sum over k < depth of a[k, r] p[k, j], r < TILE_ROWS, j < 4 lanes; the sum begins at 0: one rounding
    for the whole of it."""
    places = {(r, v): e.at(row, v * e.lanes) for r, row in enumerate(out.rows(TILE_ROWS)) for v in range(BLOCK)}
    for place in places.values():
        e.prefetch(place, write=True)
    for side in passes(TILE_ROWS):
        sums = {(r, v): e.splat(0.0) for r in range(TILE_ROWS) for v in side}
        sums = multiply(depth, sums, Weights([p.data], p.row, {v: (0, v) for v in side}), [a.data], a.row, 1)
        for cell, total in sums.items():
            e.store(e.load(places[cell]) + total, places[cell])


def passes(rows: int, vectors: int = BLOCK) -> list[range]:
    """Some vectors of sums in as few passes as can be, as equal as can be: a pass's sums, a row of its weights and one
    number share the registers."""
    together = max(v for v in range(1, vectors + 1) if v == 1 or rows * v + v + 1 <= registers())
    count = -(-vectors // together)
    ends = [-(-vectors * n // count) for n in range(count + 1)]
    return [range(first, last) for first, last in itertools.pairwise(ends)]


class Weights(NamedTuple):
    """Rows of weights, in one place or in several. pitch: numbers from row to row; of: which place and which vector of
    its row each vector of sums takes."""

    places: list[Any]
    pitch: Any
    of: dict[int, tuple[int, int]]


def multiply(
    depth: Any, sums: dict[tuple[int, int], Vector], weights: Weights, a: list[Any], lda: Any, across: int,
    ahead: Any = None,
) -> dict[tuple[int, int], Vector]:  # fmt: skip
    """sums[r, v] + sum over k of a[r] at k lda (or a[0] at k lda + r `across`) times row k of the weights of v.

    ahead: what is wanted next, fetched meanwhile, a cache line for every four k: from one panel to the next the
    processor's own prefetching finds no way."""
    e = next(iter(sums.values())).emitter
    b = e.builder
    line = CACHE_LINE * 8 // e.bits
    pointers = [*weights.places, *a]
    first, pitch = len(weights.places), weights.pitch
    steps = [pitch] * first + [lda] * len(a)
    if ahead is not None:
        pointers.append(ahead)
    for unroll, count in ((4, b.ashr(depth, e.index(2))), (1, b.and_(depth, e.index(3)))):
        before = b.block
        head, body, end = (b.append_basic_block(name) for name in ("k.head", "k.body", "k.end"))
        b.branch(head)
        b.position_at_end(head)
        left = b.phi(INT64)
        # every operand has a pointer that moves: offsets would need registers that there are not
        moving = [b.phi(pointer.type) for pointer in pointers]
        running = {cell: b.phi(e.type) for cell in sums}
        b.cbranch(b.icmp_signed(">", left, e.index(0)), body, end)
        b.position_at_end(body)
        after = {cell: Vector(e, value) for cell, value in running.items()}
        if ahead is not None and unroll == 4:
            e.prefetch(moving[-1])
        for k in range(unroll):
            row = {}
            for v in sorted({v for _, v in sums}):
                place, vector = weights.of[v]
                row[v] = e.load(moving[place], e.times(k, pitch), vector * e.lanes)
            for r in sorted({r for r, _ in sums}):
                source = moving[first] if across else moving[first + r]
                number = e.broadcast(source, e.times(k, lda), r * across)
                for v, weight in row.items():
                    after[r, v] = number.fma(weight, after[r, v])
        left.add_incoming(count, before)
        left.add_incoming(b.sub(left, e.index(1)), body)
        strides = [e.times(unroll, step) for step in steps] + [e.index(line)] * (ahead is not None)
        for phi, pointer, stride in zip(moving, pointers, strides, strict=True):
            phi.add_incoming(pointer, before)
            phi.add_incoming(e.at(phi, stride), body)
        for cell, phi in running.items():
            phi.add_incoming(sums[cell].values[0], before)
            phi.add_incoming(after[cell].values[0], body)
        b.branch(head)
        b.position_at_end(end)
        sums, pointers = {cell: Vector(e, phi) for cell, phi in running.items()}, moving
    return sums


whole = [_tile(rows) for rows in range(1, TILE_ROWS + 1)]
half = [_tile(rows, BLOCK // 2) for rows in range(1, TILE_ROWS + 1)]  # of the first two of a panel's four vectors


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


product, half_product = _product(*whole), _product(*half)


@compiled
def product_of(columns: Any, a: Any, rows: Any, depth: Any, panel: Any, init: Any, out: Any) -> None:
    """`product` where only the first columns matter: half of the panel where that holds them."""
    if columns > BLOCK // 2 * lanes_of(panel):
        product(a, rows, depth, panel, init, out)
    else:
        half_product(a, rows, depth, panel, init, out)
