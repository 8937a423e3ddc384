"""What runs a cell's equations over rows and blocks of units, forward and backward, for every cell.

Each function is compiled for the cell that its first argument stands for (`cells.marked`): an array of no entries.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from ...cells.cell import Cell, Gates, Given, Made, Projection, Rows, Waiting
from ..vectors.emitter import Emitter, Vector, data, emitter
from ..vectors.target import BLOCK, CACHE_LINE, TILE_ROWS
from ..vectors.tiles import multiply, passes
from .cell_type import marked

STEP_ROWS = 4  # samples of a tile where a step is made alone: few, since every user's function compiles it


def _pointers(context: Any, e: Emitter, signature: Any, args: Any, count: int) -> list[tuple[Any, Any]]:
    """A pointer and a stride for each array of (array, offset, stride) triples, behind the cell."""
    return [
        (e.at(data(context, e.builder, signature.args[n], args[n]), args[n + 1]), args[n + 2])
        for n in range(1, 1 + 3 * count, 3)
    ]


def _load(e: Emitter, place: tuple[Any, Any], vectors: int, offset: int = 0) -> Vector:
    """A vector from each of some rows of an array."""
    pointer, stride = place
    return Vector.together(*(e.load(pointer, e.times(r, stride), offset) for r in range(vectors)))


def _store(e: Emitter, value: Vector, place: tuple[Any, Any], offset: int = 0) -> None:
    pointer, stride = place
    for r, one in enumerate(value.split(len(value.values))):
        e.store(one, pointer, e.times(r, stride), offset)


def _weights(e: Emitter, cell: Cell, *rows: Any) -> Rows:
    """Unit weights, each gate's from some rows of panels side by side."""
    return tuple(
        Gates(*(Vector.together(*(e.load(row, (n * BLOCK + gate) * e.lanes) for row in rows)) for gate in range(BLOCK)))
        for n in range(len(cell.unit_weights))
    )


def _kept(e: Emitter, cell: Cell, place: tuple[Any, Any], vectors: int) -> Any:
    """What the tape keeps of a step, as the equations name it."""
    return cell.tape(*(_load(e, place, vectors, n * e.lanes) for n in range(cell.kept)))


def first_phase(cell: Cell, z: Gates, c_old: Vector, w: Rows) -> Made:
    """Where z has to wait for that of all units, it is kept, and c and h stay what they are."""
    phase = cell.phases[0]
    return Made(tuple(z), c_old, z.o) if isinstance(phase, Waiting) else phase.forward(z, c_old, w)


_Sums = dict[tuple[int, int], Vector]


def _add_x(e: Emitter, cell: Cell, count: Any, sums: _Sums, panels: list[Any], rows: list[Any], stride: Any,
           ahead: Any = None) -> _Sums:  # fmt: skip
    """sums + x @ W, `count` numbers of x, for the gates that read x."""
    reading = {at: value for at, value in sums.items() if at[1] % BLOCK < cell.of_x}
    return sums | multiply(e, count, reading, panels, BLOCK * e.lanes, rows, stride, 0, ahead)


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
    return multiply(e, depth, sums, panels, width, rows, 1, 0, ahead)


def _forward_tile(rows: int) -> Any:
    """forward_tile(cell, a, ao, lda, depth, count, p, po, ahead, init, io, ldi, cs, oo, co, ldc, h, ho, gates, go,
    ldg): the first phase for one vector of units of `rows` samples, z = init + A (rows, depth) @ panel, the first
    `count` operands being x, and from z and c at cs[oo] what the tape keeps, h (or what a second phase goes on from),
    and c at cs[co], which may be the same place. The ld numbers are from sample to sample; h has lda. p[ahead]: as in
    `simd.multiply`.

    z stays in registers, and the samples' long chains of equations run side by side."""

    @intrinsic  # type: ignore[misc]
    def tile(typing: Any, cell: Any, a: Any, ao: Any, lda: Any, depth: Any, count: Any, p: Any, po: Any, ahead: Any,
             init: Any, io: Any, ldi: Any, cs: Any, oo: Any, co: Any, ldc: Any, h: Any, ho: Any, gates: Any, go: Any,
             ldg: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, table = emitter(context, builder, p), marked(cell)
            at = lambda array, offset: e.at(  # noqa: E731
                data(context, builder, signature.args[array], args[array]), args[offset]
            )
            a_, init_ = at(1, 2), at(9, 10)
            a_rows = [e.at(a_, e.times(r, args[3])) for r in range(rows)]
            z: _Sums = {}
            for side in passes(rows):
                begin = {(r, v): e.load(init_, e.times(r, args[11]), v * e.lanes) for r in range(rows) for v in side}
                ahead_ = at(6, 8) if side.start == 0 else None
                z |= _add_operands(e, table, args[5], args[4], begin, [at(6, 7)], a_rows, ahead_)
            inputs = Gates(*(Vector.together(*(z[r, gate] for r in range(rows))) for gate in range(BLOCK)))
            old, new = (at(12, 13), args[15]), (at(12, 14), args[15])
            own = _weights(e, table, *[e.at(at(6, 7), e.times(BLOCK * e.lanes, args[4]))] * rows)
            kept, c, hidden = first_phase(table, inputs, _load(e, old, rows), own)
            for number, value in enumerate(kept):
                _store(e, value, (at(18, 19), args[20]), number * e.lanes)
            _store(e, c, new)
            _store(e, hidden, (at(16, 17), args[3]))
            return context.get_dummy_value()

        n = types.intp
        return types.void(cell, a, n, n, n, n, p, n, n, init, n, n, cs, n, n, n, h, n, gates, n, n), generate

    return tile


@intrinsic  # type: ignore[misc]
def forward_twin(typing: Any, cell: Any, a: Any, ao: Any, depth: Any, count: Any, p: Any, po: Any, ldp: Any, init: Any,
                 io: Any, ldi: Any, cs: Any, oo: Any, co: Any, h: Any, ho: Any, gates: Any, go: Any,
                 ldg: Any) -> Any:  # fmt: skip
    """forward_tile for one sample and two neighbouring blocks of units, the ld numbers from block to block: a single
    row's sums are too few to keep the processor busy."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, p), marked(cell)
        at = lambda array, *offsets: e.at(  # noqa: E731
            data(context, builder, signature.args[array], args[array]), *(args[offset] for offset in offsets)
        )
        panels = [at(5, 6), at(5, 6, 7)]
        begin = [at(8, 9), at(8, 9, 10)]
        z = {(0, v): e.load(begin[v // BLOCK], v % BLOCK * e.lanes) for v in range(2 * BLOCK)}
        z = _add_operands(e, table, args[4], args[3], z, panels, [at(1, 2)])
        inputs = Gates(*(Vector.together(z[0, gate], z[0, BLOCK + gate]) for gate in range(BLOCK)))
        lanes_ = e.index(e.lanes)
        own = _weights(e, table, *(e.at(panel, e.times(BLOCK * e.lanes, args[3])) for panel in panels))
        kept, c, hidden = first_phase(table, inputs, _load(e, (at(11, 12), lanes_), 2), own)
        for number, value in enumerate(kept):
            _store(e, value, (at(16, 17), args[18]), number * e.lanes)
        _store(e, c, (at(11, 13), lanes_))
        _store(e, hidden, (at(14, 15), lanes_))
        return context.get_dummy_value()

    n = types.intp
    return types.void(cell, a, n, n, n, p, n, n, init, n, n, cs, n, n, h, n, gates, n, n), generate


def _step_tile(rows: int, vectors: int) -> Any:
    """step_tile(cell, x, xo, ldx, xk, D, h, ho, ldh, H, p, po, ldp, cs, oo, co, ldc, left, out, no, ldn, gates, go,
    ldg, ldb): for `rows` samples and `vectors` neighbouring blocks of units the same numbers as forward_tile, from x
    and h where the caller keeps them: x[xo + r ldx + k xk] and h[ho + r ldh + k]. c at cs[oo], then at cs[co], and the
    new h (or what a second phase goes on from) at out[no]: `left` units of them, as far as the arrays go. ldp, ldb:
    from block to block."""

    @intrinsic  # type: ignore[misc]
    def tile(typing: Any, cell: Any, x: Any, xo: Any, ldx: Any, xk: Any, D: Any, h: Any, ho: Any, ldh: Any, H: Any,
             p: Any, po: Any, ldp: Any, cs: Any, oo: Any, co: Any, ldc: Any, left: Any, out: Any, no: Any, ldn: Any,
             gates: Any, go: Any, ldg: Any, ldb: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, table = emitter(context, builder, p), marked(cell)
            at = lambda array, *offsets: e.at(  # noqa: E731
                data(context, builder, signature.args[array], args[array]), *offsets
            )
            places = [(r, v) for r in range(rows) for v in range(vectors)]
            x_rows = [at(1, args[2], e.times(r, args[3])) for r in range(rows)]
            h_rows = [at(6, args[7], e.times(r, args[8])) for r in range(rows)]
            bias = [at(10, args[11], e.times(v, args[12])) for v in range(vectors)]
            z = {(r, v * BLOCK + gate): e.load(bias[v], gate * e.lanes) for r, v in places for gate in range(BLOCK)}
            width = e.index(BLOCK * e.lanes)
            panels = [e.at(place, width) for place in bias]
            z = _add_x(e, table, args[5], z, panels, x_rows, args[4])
            panels = [e.at(place, builder.mul(width, args[5])) for place in panels]
            z = multiply(e, args[9], z, panels, width, h_rows, 1, 0)
            inputs = Gates(*(Vector.together(*(z[r, v * BLOCK + gate] for r, v in places)) for gate in range(BLOCK)))
            here = [(v * e.lanes, builder.sub(args[17], e.index(v * e.lanes))) for v in range(vectors)]
            old = [e.load_some(here[v][1], at(13, args[14], e.times(r, args[16])), here[v][0]) for r, v in places]
            ends = [e.at(panel, builder.mul(width, args[9])) for panel in panels]
            own = _weights(e, table, *(ends[v] for _, v in places))
            kept, c, hidden = first_phase(table, inputs, Vector.together(*old), own)
            for number, value in enumerate(kept):
                for (r, v), one in zip(places, value.split(len(places)), strict=True):
                    e.store(one, at(21, args[22], e.times(r, args[23]), e.times(v, args[24])), number * e.lanes)
            for (r, v), c_, h_ in zip(places, c.split(len(places)), hidden.split(len(places)), strict=True):
                e.store_some(here[v][1], c_, at(13, args[15], e.times(r, args[16])), here[v][0])
                e.store_some(here[v][1], h_, at(18, args[19], e.times(r, args[20])), here[v][0])
            return context.get_dummy_value()

        n = types.intp
        kinds = (cell, x, n, n, n, n, h, n, n, n, p, n, n, cs, n, n, n, n, out, n, n, gates, n, n, n)
        return types.void(*kinds), generate

    return tile


def _finish(vectors: int) -> Any:
    """finish(cell, z, zo, h, ho, c, co, out, oo, left, gates, go, ldg): the second phase's equations for some
    neighbouring blocks of units of one sample, from its sums z, the old h and the new c: the new h to out[oo], `left`
    units of it, as far as the arrays go, and what the tape keeps beside what it has from the first phase. ldg: from
    block to block."""

    @intrinsic  # type: ignore[misc]
    def finish(typing: Any, cell: Any, z: Any, zo: Any, h: Any, ho: Any, c: Any, co: Any, out: Any, oo: Any, left: Any,
               gates: Any, go: Any, ldg: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, table = emitter(context, builder, z), marked(cell)
            z_, h_, c_, out_, gates_ = (
                e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (1, 3, 5, 7, 10)
            )
            some = [builder.sub(args[9], e.index(v * e.lanes)) for v in range(vectors)]
            every = range(vectors)
            old, new = (
                Vector.together(*(e.load_some(some[v], place, v * e.lanes) for v in every)) for place in (h_, c_)
            )
            sums = _load(e, (z_, e.index(e.lanes)), vectors)
            phase = table.phases[1]  # a projection has the sums as they are, and keeps the old h
            kept, _, hidden = (
                Made((old,), None, sums) if isinstance(phase, Projection) else phase.forward(sums, new, old)
            )
            first = table.kept_from(phase)
            for number, value in enumerate(kept):
                _store(e, value, (gates_, args[12]), (first + number) * e.lanes)
            for v, one in enumerate(hidden.split(vectors)):
                e.store_some(some[v], one, out_, v * e.lanes)
            return context.get_dummy_value()

        n = types.intp
        return types.void(cell, z, n, h, n, c, n, out, n, n, gates, n, n), generate

    return finish


def _backward_cell(vectors: int) -> Any:
    """backward_cell(cell, gates, go, ldg, gates_old, .., c_old, .., t, .., dh, .., dc, .., dz, .., h_old, .., own, ..,
    down, ..): the first phase for some vectors of units of one sample. t, from tanh of c to that of the old c, and dc
    change in place. own, down: weights for the equations, and what adds up to their gradients."""

    @intrinsic  # type: ignore[misc]
    def backward(typing: Any, cell: Any, gates: Any, go: Any, ldg: Any, gates_old: Any, oo: Any, ldo: Any, c_old: Any,
                 co: Any, ldc: Any, t: Any, to: Any, ldt: Any, dh: Any, dho: Any, lddh: Any, dc: Any, dco: Any,
                 lddc: Any, dz: Any, dzo: Any, lddz: Any, h_old: Any, ho: Any, ldh: Any, own: Any, wo: Any, ldw: Any,
                 down: Any, dwo: Any, lddw: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, table = emitter(context, builder, dz), marked(cell)
            gates_, old_, c_, t_, dh_, dc_, dz_, h_, own_, down_ = _pointers(context, e, signature, args, 10)
            kept, before = (_kept(e, table, place, vectors) for place in (gates_, old_))
            weights = tuple(
                Gates(*(_load(e, own_, vectors, (n * BLOCK + gate) * e.lanes) for gate in range(BLOCK)))
                for n in range(len(table.unit_weights))
            )
            given = Given(kept, before, *(_load(e, place, vectors) for place in (c_, t_, dh_, dc_)), weights)
            found = table.phases[0].backward(given)
            for n, value in enumerate(value for row in found.dw for value in row):
                if value is not None:
                    _store(e, value, down_, n * e.lanes)
            for gate, value in enumerate(found.dz):
                if value is not None:
                    _store(e, value, dz_, gate * e.lanes)
            _store(e, found.dc, dc_)
            _store(e, found.t_old, t_)
            _store(e, found.h_old, h_)
            return context.get_dummy_value()

        arrays = (gates, gates_old, c_old, t, dh, dc, dz, h_old, own, down)
        return types.void(cell, *(kind for array in arrays for kind in (array, types.intp, types.intp))), generate

    return backward


def _finish_back(vectors: int) -> Any:
    """finish_back(cell, gates, go, ldg, t, .., dh, .., dc, .., dz, .., own, ..): the second phase's gate for some
    vectors of units of one sample; nothing for a projection. dh, to what of it goes past z to the old h, and dc, but
    for z's part, change in place; the gradient of the last gate's z goes to its place in dz and to `own`, where those
    of all units are side by side."""

    @intrinsic  # type: ignore[misc]
    def backward(typing: Any, cell: Any, gates: Any, go: Any, ldg: Any, t: Any, to: Any, ldt: Any, dh: Any, dho: Any,
                 lddh: Any, dc: Any, dco: Any, lddc: Any, dz: Any, dzo: Any, lddz: Any, own: Any, wo: Any,
                 ldw: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, table = emitter(context, builder, dz), marked(cell)
            phase = table.phases[1]
            if isinstance(phase, Projection):
                return context.get_dummy_value()
            gates_, t_, dh_, dc_, dz_, own_ = _pointers(context, e, signature, args, 6)
            kept = _kept(e, table, gates_, vectors)
            out, past, dc_new = phase.backward(kept, *(_load(e, place, vectors) for place in (t_, dh_, dc_)))
            _store(e, out, dz_, (BLOCK - 1) * e.lanes)
            _store(e, out, own_)
            _store(e, past, dh_)
            _store(e, dc_new, dc_)
            return context.get_dummy_value()

        arrays = (gates, t, dh, dc, dz, own)
        return types.void(cell, *(kind for array in arrays for kind in (array, types.intp, types.intp))), generate

    return backward


@intrinsic  # type: ignore[misc]
def projected(typing: Any, cell: Any, gates: Any, go: Any, ldg: Any, t: Any, to: Any, ldt: Any, m: Any, mo: Any,
              ldm: Any) -> Any:  # fmt: skip
    """What a projection read, made again from the tape for a vector of units of one sample. Nothing for other cells."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, table = emitter(context, builder, m), marked(cell)
        phase = table.phases[1] if len(table.phases) > 1 else None
        if isinstance(phase, Projection):
            gates_, t_, m_ = _pointers(context, e, signature, args, 3)
            _store(e, phase.m(_kept(e, table, gates_, 1), _load(e, t_, 1)), m_)
        return context.get_dummy_value()

    n = types.intp
    return types.void(cell, gates, n, n, t, n, n, m, n, n), generate


forward_tiles = [_forward_tile(rows) for rows in range(1, TILE_ROWS + 1)]
forward_tile_1, forward_tile_2, forward_tile_3, forward_tile_4, forward_tile_5, forward_tile_6 = forward_tiles
step_one, step_twin, step_rows = _step_tile(1, 1), _step_tile(1, 2), _step_tile(STEP_ROWS, 1)
finish_one, finish_four = _finish(1), _finish(4)
backward_cell, backward_cell_pair = _backward_cell(1), _backward_cell(2)
finish_back, finish_back_pair = _finish_back(1), _finish_back(2)
