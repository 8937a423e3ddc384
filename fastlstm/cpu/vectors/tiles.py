"""The matrix micro-kernel: tiles of a product, in registers."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from .emitted import Int, emitted
from .emitter import INT64, Emitter, Vector
from .target import BLOCK, CACHE_LINE, TILE_ROWS, registers
from .view import View


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


tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 = (_tile(rows) for rows in range(1, TILE_ROWS + 1))
half_1, half_2, half_3, half_4, half_5, half_6 = (_tile(rows, BLOCK // 2) for rows in range(1, TILE_ROWS + 1))
