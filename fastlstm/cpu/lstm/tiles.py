"""What runs a cell's equations over rows and blocks of units, forward and backward, for every cell.

Views go from row to row and from block to block. Each function is compiled for the cell that its first argument stands
for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from ...cells.phases import Cell, Given, Made, Projection, Rows, Waiting
from ..vectors.emitted import Int, Place, emitted
from ..vectors.emitter import Emitter, Vector
from ..vectors.target import CACHE_LINE, TILE_ROWS
from ..vectors.tiles import Weights, multiply, passes
from ..vectors.view import View

STEP_ROWS = 4  # samples of a tile where a step is made alone: few, since every user's function compiles it


def _weights(e: Emitter, cell: Cell, *rows: Any) -> Rows:
    """Unit weights, each gate's from some rows of panels side by side."""
    G = cell.gate_count
    return tuple(
        cell.gates(*(Vector.together(*(e.load(row, (n * G + gate) * e.lanes) for row in rows)) for gate in range(G)))
        for n in range(cell.weight_rows)
    )


def _kept(e: Emitter, cell: Cell, place: Place, vectors: int) -> Any:
    """What the tape keeps of a step, as the equations name it, for some blocks of units."""
    return cell.tape(*(place.by_block.load(vectors, n * e.lanes) for n in range(cell.kept)))


def first_phase(cell: Cell, z: Any, c_old: Vector, w: Rows, h_old: Callable[[], Vector]) -> Made:
    """Where z has to wait for that of all units, it is kept, and c and h stay what they are."""
    phase = cell.phases[0]
    if isinstance(phase, Waiting):
        return Made(tuple(z), c_old, z.o)
    found: Made = phase.forward(z, c_old, w, *([h_old()] if cell.reads_h else []))
    return found


_Sums = dict[tuple[int, int], Vector]
"""Of a sample and a vector: those of the first block's gates come first, then those of the next."""


class Operand(NamedTuple):
    """x or h, and its rows of weights. count: numbers of it; rows: each sample's first one; stride: from one to the
    next; panels: each block's weights; ahead: as in tiles.tile, or None."""

    count: Any
    rows: list[Any]
    stride: Any
    panels: list[Any]
    ahead: Any = None


def _add(e: Emitter, cell: Cell, gates: range, operand: Operand, sums: _Sums) -> _Sums:
    """sums + operand @ weights, for the gates that read it."""
    G = cell.gate_count
    reading = {at: value for at, value in sums.items() if at[1] % G in gates}
    if not reading:
        return sums
    weights = Weights(operand.panels, len(gates) * e.lanes, {v: (v // G, v % G - gates.start) for _, v in reading})
    return sums | multiply(operand.count, reading, weights, operand.rows, operand.stride, 0, operand.ahead)


def _x_gates(cell: Cell) -> range:
    return range(cell.of_x)


def _h_gates(cell: Cell) -> range:
    return range(cell.gate_count - cell.of_h, cell.gate_count)


def _add_operands(e: Emitter, cell: Cell, inputs: Any, both: Operand, sums: _Sums) -> _Sums:
    """sums + [x, h] @ [W; U], of which the first `inputs` are x. One loop where all gates read both."""
    if cell.of_x == cell.of_h == cell.gate_count:
        return _add(e, cell, _h_gates(cell), both, sums)
    b, (depth, rows, stride, panels, ahead) = e.builder, both
    sums = _add(e, cell, _x_gates(cell), both._replace(count=inputs), sums)
    rows, panels = [e.at(row, inputs) for row in rows], [e.at(p, e.times(cell.of_x * e.lanes, inputs)) for p in panels]
    if ahead is not None:
        ahead = e.at(ahead, e.times(CACHE_LINE * 8 // e.bits, b.ashr(inputs, e.index(2))))
    return _add(e, cell, _h_gates(cell), Operand(b.sub(depth, inputs), rows, stride, panels, ahead), sums)


def _behind(e: Emitter, cell: Cell, inputs: Any, depth: Any, panel: Any) -> Any:
    """What stands in a panel behind the weights of [x, h]."""
    hidden = e.builder.sub(depth, inputs)
    return e.at(panel, e.times(cell.of_x * e.lanes, inputs), e.times(cell.of_h * e.lanes, hidden))


def _input_tile(rows: int) -> Any:
    """input_tile(cell, x, D, panel, out): x @ W + b of `rows` samples for a block of units."""

    @emitted
    def tile(e: Emitter, cell: Cell, x: View, D: Int, panel: View, out: View) -> None:
        ends = out.rows(rows)
        for side in passes(rows, cell.gate_count):
            sums = {(r, v): e.load(panel.data, v * e.lanes) for r in range(rows) for v in side}
            weights = [panel.at(cell.gate_count * e.lanes)]
            for (r, v), total in _add(e, cell, _x_gates(cell), Operand(D, x.rows(rows), 1, weights), sums).items():
                e.store(total, ends[r], v * e.lanes)

    return tile


def _forward_tile(rows: int) -> Any:
    """forward_tile(cell, old, depth, inputs, panel, ahead, init, h_old, c_old, c_new, made, gates): the first phase for
    one vector of units of `rows` samples, z = init + [x, h] (rows, depth) @ panel, of which the first `inputs` numbers
    are x; from z and the old c, and h of the same units, what the tape keeps, h (or what a second phase goes on from),
    and the new c, which may go to the same place. ahead: as in tiles.tile.

    z stays in registers, and the samples' long chains of equations run side by side."""

    @emitted
    def tile(e: Emitter, cell: Cell, old: View, depth: Int, inputs: Int, panel: View, ahead: Int, init: View,
             h_old: View, c_old: View, c_new: View, made: View, gates: View) -> None:  # fmt: skip
        operands, begins = old.rows(rows), init.rows(rows)
        z: _Sums = {}
        for side in passes(rows, cell.gate_count):
            begin = {(r, v): e.load(begins[r], v * e.lanes) for r in range(rows) for v in side}
            fetched = panel.at(ahead) if side.start == 0 else None
            z |= _add_operands(e, cell, inputs, Operand(depth, operands, 1, [panel.data], fetched), begin)
        sums = cell.gates(*(Vector.together(*(z[r, gate] for r in range(rows))) for gate in range(cell.gate_count)))
        weights = _weights(e, cell, *[_behind(e, cell, inputs, depth, panel.data)] * rows)
        kept, c, hidden = first_phase(cell, sums, c_old.load(rows), weights, lambda: h_old.load(rows))
        for number, value in enumerate(kept):
            gates.store(value, number * e.lanes)
        c_new.store(c)
        made.store(hidden)

    return tile


@emitted
def forward_twin(e: Emitter, cell: Cell, old: View, depth: Int, inputs: Int, panel: View, init: View, h_old: View,
                 c_old: View, c_new: View, made: View, gates: View) -> None:  # fmt: skip
    """forward_tile for one sample and two neighbouring blocks of units: a single row's sums are too few to keep the
    processor busy."""
    panels, begins, G = panel.by_block.rows(2), init.by_block.rows(2), cell.gate_count
    z = {(0, v): e.load(begins[v // G], v % G * e.lanes) for v in range(2 * G)}
    z = _add_operands(e, cell, inputs, Operand(depth, [old.data], 1, panels), z)
    sums = cell.gates(*(Vector.together(z[0, gate], z[0, G + gate]) for gate in range(G)))
    weights = _weights(e, cell, *(_behind(e, cell, inputs, depth, one) for one in panels))
    kept, c, hidden = first_phase(cell, sums, c_old.by_block.load(2), weights, lambda: h_old.by_block.load(2))
    for number, value in enumerate(kept):
        gates.by_block.store(value, number * e.lanes)
    c_new.by_block.store(c)
    made.by_block.store(hidden)


def _step_tile(rows: int, vectors: int) -> Any:
    """step_tile(cell, x, D, h, P, panel, h_old, real, c_old, c_new, left, made, gates): for `rows` samples and
    `vectors` neighbouring blocks of units the same numbers as forward_tile, from x and h where the caller keeps them.
    x.block: from number to number. h_old: h of the same units, of which there are `real`. `left` units of c and of what
    is made, as far as the arrays go."""

    @emitted
    def tile(e: Emitter, cell: Cell, x: View, D: Int, h: View, P: Int, panel: View, h_old: View, real: Int, c_old: View,
             c_new: View, left: Int, made: View, gates: View) -> None:  # fmt: skip
        places, G = [(r, v) for r in range(rows) for v in range(vectors)], cell.gate_count
        bias = panel.by_block.rows(vectors)
        z = {(r, v * G + gate): e.load(bias[v], gate * e.lanes) for r, v in places for gate in range(G)}
        panels = [e.at(place, G * e.lanes) for place in bias]
        z = _add(e, cell, _x_gates(cell), Operand(D, x.rows(rows), x.block, panels), z)
        panels = [e.at(place, e.times(cell.of_x * e.lanes, D)) for place in panels]
        z = _add(e, cell, _h_gates(cell), Operand(P, h.rows(rows), 1, panels), z)
        sums = cell.gates(*(Vector.together(*(z[r, v * G + gate] for r, v in places)) for gate in range(G)))
        some, units = ([e.builder.sub(n, e.index(v * e.lanes)) for v in range(vectors)] for n in (left, real))

        def old(of: Place, some: list[Any]) -> Vector:
            return Vector.together(*(e.load_some(some[v], of.rows(rows)[r], v * e.lanes) for r, v in places))

        ends = [e.at(place, e.times(cell.of_h * e.lanes, P)) for place in panels]
        weights = _weights(e, cell, *(ends[v] for _, v in places))
        kept, c, hidden = first_phase(cell, sums, old(c_old, some), weights, lambda: old(h_old, units))
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
        if isinstance(phase, Projection):  # it has the sums as they are, and keeps the old h
            kept, hidden = (old,), sums
        else:
            before = _kept(e, cell, gates, vectors) if cell.gates_h else None
            kept, _, hidden = phase.forward(before, sums, new, old)
        for number, value in enumerate(kept, cell.kept_from(phase)):
            gates.by_block.store(value, number * e.lanes)
        for v, one in enumerate(hidden.split(vectors)):
            e.store_some(some[v], one, out.data, v * e.lanes)

    return finish


def _store_dz(e: Emitter, cell: Cell, gate: int, value: Vector, dz: Place, b: Any, nb: Any) -> None:
    """The gradients of a gate's z, of some blocks of units from b of nb on, to their places in a row of dz
    (sizes.gate_place)."""
    first, size = next(
        (first, last - first)
        for first, last in itertools.pairwise((0, cell.gate_count - cell.of_h, cell.of_x, cell.gate_count))
        if first <= gate < last
    )
    place = e.at(dz.data, e.times(first * e.lanes, nb), e.times(size * e.lanes, b))
    for n, one in enumerate(value.split(len(value.values))):
        e.store(one, place, (n * size + gate - first) * e.lanes)


def _backward_cell(vectors: int) -> Any:
    """backward_cell(cell, gates, before, c_old, t, dh, dc, dz, b, nb, h_old, weights, down): the first phase for some
    neighbouring blocks of units of one sample, from block b of nb on. before: the gates of the step before; t, from
    tanh of c to that of the old c, and dc change in place, dh to what of it reaches the old h past z, if any; dz: the
    sample's whole row of it; down: what adds up to the gradients of the unit weights."""

    @emitted
    def backward(e: Emitter, cell: Cell, gates: View, before: View, c_old: View, t: View, dh: View, dc: View, dz: View,
                 b: Int, nb: Int, h_old: View, weights: View, down: View) -> None:  # fmt: skip
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
                _store_dz(e, cell, gate, value, dz, b, nb)
        dc.by_block.store(found.dc)
        if found.dh is not None:
            dh.by_block.store(found.dh)
        if found.t_old is not None:
            t.by_block.store(found.t_old)
        h_old.by_block.store(found.h_old)

    return backward


def _finish_back(vectors: int) -> Any:
    """finish_back(cell, gates, t, dh, dc, dz, b, nb, dv): the second phase's gate for some neighbouring blocks of units
    of one sample, from block b of nb on. dh, to what of it goes past z to the old h, and dc, but for z's part, change
    in place; the gradient of that gate's z goes to its place in dz and to dv, where those of all units are side by
    side."""

    @emitted
    def backward(e: Emitter, cell: Cell, gates: View, t: View, dh: View, dc: View, dz: View, b: Int, nb: Int,
                 dv: View) -> None:  # fmt: skip
        numbers = (place.by_block.load(vectors) for place in (t, dh, dc))
        out, past, dc_new = cell.phases[1].backward(_kept(e, cell, gates, vectors), *numbers)
        _store_dz(e, cell, cell.later_gate, out, dz, b, nb)
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
input_one, input_rows = _input_tile(1), _input_tile(TILE_ROWS)
step_one, step_twin, step_rows = _step_tile(1, 1), _step_tile(1, 2), _step_tile(STEP_ROWS, 1)
finish_one, finish_four = _finish(1), _finish(4)
backward_cell, backward_cell_pair = _backward_cell(1), _backward_cell(2)
finish_back, finish_back_pair = _finish_back(1), _finish_back(2)
