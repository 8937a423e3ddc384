"""What runs a cell's equations over rows and blocks of units, forward and backward, for every cell.

Views go from row to row and from block to block. Each function is compiled for the cell that its first argument stands
for.
"""

from __future__ import annotations

from typing import Any

from ...cells.phases import Cell, Gates, Given, Made, Projection, Rows, Waiting
from ..vectors.emitted import Int, Place, emitted
from ..vectors.emitter import Emitter, Vector
from ..vectors.target import BLOCK, CACHE_LINE, TILE_ROWS
from ..vectors.tiles import multiply, passes
from ..vectors.view import View

STEP_ROWS = 4  # samples of a tile where a step is made alone: few, since every user's function compiles it


def _weights(e: Emitter, cell: Cell, *rows: Any) -> Rows:
    """Unit weights, each gate's from some rows of panels side by side."""
    return tuple(
        Gates(*(Vector.together(*(e.load(row, (n * BLOCK + gate) * e.lanes) for row in rows)) for gate in range(BLOCK)))
        for n in range(cell.weight_rows)
    )


def _kept(e: Emitter, cell: Cell, place: Place, vectors: int) -> Any:
    """What the tape keeps of a step, as the equations name it, for some blocks of units."""
    return cell.tape(*(place.by_block.load(vectors, n * e.lanes) for n in range(cell.kept)))


def first_phase(cell: Cell, z: Gates, c_old: Vector, w: Rows) -> Made:
    """Where z has to wait for that of all units, it is kept, and c and h stay what they are."""
    phase = cell.phases[0]
    return Made(tuple(z), c_old, z.o) if isinstance(phase, Waiting) else phase.forward(z, c_old, w)


_Sums = dict[tuple[int, int], Vector]


def _add_x(e: Emitter, cell: Cell, count: Any, sums: _Sums, panels: list[Any], rows: list[Any], stride: Any,
           ahead: Any = None) -> _Sums:  # fmt: skip
    """sums + x @ W, `count` numbers of x, for the gates that read x."""
    reading = {at: value for at, value in sums.items() if at[1] % BLOCK < cell.of_x}
    return sums | multiply(count, reading, panels, BLOCK * e.lanes, rows, stride, 0, ahead)


def _add_operands(e: Emitter, cell: Cell, count: Any, depth: Any, sums: _Sums, panels: list[Any], rows: list[Any],
                  ahead: Any = None) -> _Sums:  # fmt: skip
    """sums + [x, h] @ [W; U], `depth` numbers of which the first `count` are x. One loop where all gates read both."""
    width = BLOCK * e.lanes
    if cell.of_x < BLOCK:
        b, line = e.builder, CACHE_LINE * 8 // e.bits
        sums = _add_x(e, cell, count, sums, panels, rows, 1, ahead)
        panels, rows = [e.at(p, e.times(width, count)) for p in panels], [e.at(row, count) for row in rows]
        depth = b.sub(depth, count)
        ahead = None if ahead is None else e.at(ahead, e.times(line, b.ashr(count, e.index(2))))
    return multiply(depth, sums, panels, width, rows, 1, 0, ahead)


def _forward_tile(rows: int) -> Any:
    """forward_tile(cell, old, depth, inputs, panel, ahead, init, c_old, c_new, made, gates): the first phase for one
    vector of units of `rows` samples, z = init + [x, h] (rows, depth) @ panel, of which the first `inputs` numbers are
    x; from z and the old c what the tape keeps, h (or what a second phase goes on from), and the new c, which may go to
    the same place. ahead: as in tiles.tile.

    z stays in registers, and the samples' long chains of equations run side by side."""

    @emitted
    def tile(e: Emitter, cell: Cell, old: View, depth: Int, inputs: Int, panel: View, ahead: Int, init: View,
             c_old: View, c_new: View, made: View, gates: View) -> None:  # fmt: skip
        operands, begins = old.rows(rows), init.rows(rows)
        z: _Sums = {}
        for side in passes(rows):
            begin = {(r, v): e.load(begins[r], v * e.lanes) for r in range(rows) for v in side}
            fetched = panel.at(ahead) if side.start == 0 else None
            z |= _add_operands(e, cell, inputs, depth, begin, [panel.data], operands, fetched)
        sums = Gates(*(Vector.together(*(z[r, gate] for r in range(rows))) for gate in range(BLOCK)))
        weights = _weights(e, cell, *[panel.at(e.times(BLOCK * e.lanes, depth))] * rows)
        kept, c, hidden = first_phase(cell, sums, c_old.load(rows), weights)
        for number, value in enumerate(kept):
            gates.store(value, number * e.lanes)
        c_new.store(c)
        made.store(hidden)

    return tile


@emitted
def forward_twin(e: Emitter, cell: Cell, old: View, depth: Int, inputs: Int, panel: View, init: View, c_old: View,
                 c_new: View, made: View, gates: View) -> None:  # fmt: skip
    """forward_tile for one sample and two neighbouring blocks of units: a single row's sums are too few to keep the
    processor busy."""
    panels, begins = panel.by_block.rows(2), init.by_block.rows(2)
    z = {(0, v): e.load(begins[v // BLOCK], v % BLOCK * e.lanes) for v in range(2 * BLOCK)}
    z = _add_operands(e, cell, inputs, depth, z, panels, [old.data])
    sums = Gates(*(Vector.together(z[0, gate], z[0, BLOCK + gate]) for gate in range(BLOCK)))
    weights = _weights(e, cell, *(e.at(one, e.times(BLOCK * e.lanes, depth)) for one in panels))
    kept, c, hidden = first_phase(cell, sums, c_old.by_block.load(2), weights)
    for number, value in enumerate(kept):
        gates.by_block.store(value, number * e.lanes)
    c_new.by_block.store(c)
    made.by_block.store(hidden)


def _step_tile(rows: int, vectors: int) -> Any:
    """step_tile(cell, x, D, h, P, panel, c_old, c_new, left, made, gates): for `rows` samples and `vectors`
    neighbouring blocks of units the same numbers as forward_tile, from x and h where the caller keeps them. x.block:
    from number to number. `left` units of c and of what is made, as far as the arrays go."""

    @emitted
    def tile(e: Emitter, cell: Cell, x: View, D: Int, h: View, P: Int, panel: View, c_old: View, c_new: View, left: Int,
             made: View, gates: View) -> None:  # fmt: skip
        places = [(r, v) for r in range(rows) for v in range(vectors)]
        bias = panel.by_block.rows(vectors)
        z = {(r, v * BLOCK + gate): e.load(bias[v], gate * e.lanes) for r, v in places for gate in range(BLOCK)}
        width = e.index(BLOCK * e.lanes)
        panels = [e.at(place, width) for place in bias]
        z = _add_x(e, cell, D, z, panels, x.rows(rows), x.block)
        panels = [e.at(place, e.builder.mul(width, D)) for place in panels]
        z = multiply(P, z, panels, width, h.rows(rows), 1, 0)
        sums = Gates(*(Vector.together(*(z[r, v * BLOCK + gate] for r, v in places)) for gate in range(BLOCK)))
        some = [e.builder.sub(left, e.index(v * e.lanes)) for v in range(vectors)]
        old = [e.load_some(some[v], c_old.rows(rows)[r], v * e.lanes) for r, v in places]
        ends = [e.at(place, e.builder.mul(width, P)) for place in panels]
        weights = _weights(e, cell, *(ends[v] for _, v in places))
        kept, c, hidden = first_phase(cell, sums, Vector.together(*old), weights)
        for number, value in enumerate(kept):
            for (r, v), one in zip(places, value.split(len(places)), strict=True):
                e.store(one, gates.at(e.times(r, gates.row), e.times(v, gates.block)), number * e.lanes)
        for (r, v), c_, h_ in zip(places, c.split(len(places)), hidden.split(len(places)), strict=True):
            e.store_some(some[v], c_, c_new.rows(rows)[r], v * e.lanes)
            e.store_some(some[v], h_, made.rows(rows)[r], v * e.lanes)

    return tile


def _finish(vectors: int) -> Any:
    """finish(cell, z, h, c, out, left, gates): the second phase's equations for some neighbouring blocks of units of
    one sample, from its sums z, the old h and the new c: the new h to `out`, `left` units of it, as far as the arrays
    go, and what the tape keeps beside what it has from the first phase."""

    @emitted
    def finish(e: Emitter, cell: Cell, z: View, h: View, c: View, out: View, left: Int, gates: View) -> None:
        every, phase = range(vectors), cell.phases[1]
        some = [e.builder.sub(left, e.index(v * e.lanes)) for v in every]
        old, new = (
            Vector.together(*(e.load_some(some[v], place.data, v * e.lanes) for v in every)) for place in (h, c)
        )
        sums = Vector.together(*(e.load(z.data, v * e.lanes) for v in every))
        # a projection has the sums as they are, and keeps the old h
        kept, _, hidden = Made((old,), None, sums) if isinstance(phase, Projection) else phase.forward(sums, new, old)
        for number, value in enumerate(kept, cell.kept_from(phase)):
            gates.by_block.store(value, number * e.lanes)
        for v, one in enumerate(hidden.split(vectors)):
            e.store_some(some[v], one, out.data, v * e.lanes)

    return finish


def _backward_cell(vectors: int) -> Any:
    """backward_cell(cell, gates, before, c_old, t, dh, dc, dz, h_old, weights, down): the first phase for some
    neighbouring blocks of units of one sample. before: the gates of the step before; t, from tanh of c to that of the
    old c, and dc change in place; down: what adds up to the gradients of the unit weights."""

    @emitted
    def backward(e: Emitter, cell: Cell, gates: View, before: View, c_old: View, t: View, dh: View, dc: View, dz: View,
                 h_old: View, weights: View, down: View) -> None:  # fmt: skip
        given = Given(
            _kept(e, cell, gates, vectors), _kept(e, cell, before, vectors),
            *(place.by_block.load(vectors) for place in (c_old, t, dh, dc)),
            _weights(e, cell, *weights.by_block.rows(vectors)),
        )  # fmt: skip
        found = cell.phases[0].backward(given)
        for n, value in enumerate(value for row in found.dw for value in row):
            if value is not None:
                down.by_block.store(value, n * e.lanes)
        for gate, value in enumerate(found.dz):
            if value is not None:
                dz.by_block.store(value, gate * e.lanes)
        dc.by_block.store(found.dc)
        t.by_block.store(found.t_old)
        h_old.by_block.store(found.h_old)

    return backward


def _finish_back(vectors: int) -> Any:
    """finish_back(cell, gates, t, dh, dc, dz, dv): the second phase's gate for some neighbouring blocks of units of one
    sample. dh, to what of it goes past z to the old h, and dc, but for z's part, change in place; the gradient of the
    last gate's z goes to its place in dz and to dv, where those of all units are side by side."""

    @emitted
    def backward(e: Emitter, cell: Cell, gates: View, t: View, dh: View, dc: View, dz: View, dv: View) -> None:
        numbers = (place.by_block.load(vectors) for place in (t, dh, dc))
        out, past, dc_new = cell.phases[1].backward(_kept(e, cell, gates, vectors), *numbers)
        dz.by_block.store(out, (BLOCK - 1) * e.lanes)
        dv.by_block.store(out)
        dh.by_block.store(past)
        dc.by_block.store(dc_new)

    return backward


@emitted
def projected(e: Emitter, cell: Cell, gates: View, t: View, m: View) -> None:
    """What a projection read, made again from the tape for a block of units of one sample."""
    m.store(cell.phases[1].m(_kept(e, cell, gates, 1), t.load(1)))


forward_tiles = [_forward_tile(rows) for rows in range(1, TILE_ROWS + 1)]
forward_tile_1, forward_tile_2, forward_tile_3, forward_tile_4, forward_tile_5, forward_tile_6 = forward_tiles
step_one, step_twin, step_rows = _step_tile(1, 1), _step_tile(1, 2), _step_tile(STEP_ROWS, 1)
finish_one, finish_four = _finish(1), _finish(4)
backward_cell, backward_cell_pair = _backward_cell(1), _backward_cell(2)
finish_back, finish_back_pair = _finish_back(1), _finish_back(2)
