"""The cells: their phases, and each phase's mathematics forward and backward.

A phase is a product [1, x, h] @ [b; W; U] for some gate blocks, followed by element-wise equations over
those blocks. The standard LSTM has one phase. The equations are written over `simd.Vector`s: one vector
holds neighbouring units of one sample. Letters as in docs/equations.md; a `d` in front marks a gradient.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .activations import sigmoid, tanh
from .simd import BLOCK, TILE_ROWS, Emitter, Vector, data, emitter, multiply, passes

STEP_ROWS = 4  # samples of a tile where a step is made alone: few, since every user's function compiles it


def lstm_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector) -> tuple[Vector, ...]:
    """Gates i, f, g, o, then c and h, from the gates' inputs and the old c."""
    i, f, o = sigmoid(Vector.together(zi, zf, zo)).split(3)
    g = tanh(zg)
    c = f.fma(c_old, i * g)
    return i, f, g, o, c, o * tanh(c)


def lstm_backward(
    i: Vector,
    f: Vector,
    g: Vector,
    o: Vector,
    o_old: Vector,
    c_old: Vector,
    t: Vector,
    dh: Vector,
    dc: Vector,
) -> tuple[Vector, ...]:
    """Gradients of zi, zf, zg, zo, then of the old c, from those of h and c; then tanh and h of the old c, which
    are not on the tape. t is tanh(c)."""
    t_old = tanh(c_old)
    dc = (dh * o).fma(1.0 - t * t, dc)
    dzi = dc * g * (i * (1.0 - i))
    dzf = dc * c_old * (f * (1.0 - f))
    dzg = dc * i * (1.0 - g * g)
    dzo = dh * t * (o * (1.0 - o))
    return dzi, dzf, dzg, dzo, dc * f, t_old, o_old * t_old


def _pointers(context: Any, e: Emitter, signature: Any, args: Any, count: int) -> list[tuple[Any, Any]]:
    """A pointer and a stride for each array of (array, offset, stride) triples."""
    return [
        (e.at(data(context, e.builder, signature.args[3 * n], args[3 * n]), args[3 * n + 1]), args[3 * n + 2])
        for n in range(count)
    ]


def _load(e: Emitter, place: tuple[Any, Any], vectors: int, offset: int = 0) -> Vector:
    """A vector from each of some rows of an array."""
    pointer, stride = place
    return Vector.together(*(e.load(pointer, e.times(r, stride), offset) for r in range(vectors)))


def _store(e: Emitter, value: Vector, place: tuple[Any, Any], offset: int = 0) -> None:
    pointer, stride = place
    for r, one in enumerate(value.split(len(value.values))):
        e.store(one, pointer, e.times(r, stride), offset)


def _forward_tile(rows: int) -> Any:
    """forward_tile(a, ao, lda, depth, p, po, ahead, init, io, ldi, cs, oo, co, ldc, h, ho, gates, go, ldg): for one
    vector of units of `rows` samples, z = init + A (rows, depth) @ panel, and from z and c at cs[oo] the gates, h, and
    c at cs[co], which may be the same place. The ld numbers are from sample to sample; h has lda. p[ahead]: as in
    `simd.multiply`.

    z stays in registers, and the samples' long chains of equations run side by side."""

    @intrinsic  # type: ignore[misc]
    def tile(typing: Any, a: Any, ao: Any, lda: Any, depth: Any, p: Any, po: Any, ahead: Any, init: Any, io: Any,
             ldi: Any, cs: Any, oo: Any, co: Any, ldc: Any, h: Any, ho: Any, gates: Any, go: Any,
             ldg: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, p)
            at = lambda array, offset: e.at(  # noqa: E731
                data(context, builder, signature.args[array], args[array]), args[offset]
            )
            a_, init_ = at(0, 1), at(7, 8)
            a_rows = [e.at(a_, e.times(r, args[2])) for r in range(rows)]
            z: dict[tuple[int, int], Vector] = {}
            for side in passes(rows):
                begin = {(r, v): e.load(init_, e.times(r, args[9]), v * e.lanes) for r in range(rows) for v in side}
                ahead_ = at(4, 6) if side.start == 0 else None
                z |= multiply(e, args[3], begin, [at(4, 5)], BLOCK * e.lanes, a_rows, 1, 0, ahead_)
            inputs = [Vector.together(*(z[r, gate] for r in range(rows))) for gate in range(BLOCK)]
            old, new = (at(10, 11), args[13]), (at(10, 12), args[13])
            *out, c, hidden = lstm_forward(*inputs, _load(e, old, rows))
            for gate, value in enumerate(out):
                _store(e, value, (at(16, 17), args[18]), gate * e.lanes)
            _store(e, c, new)
            _store(e, hidden, (at(14, 15), args[2]))
            return context.get_dummy_value()

        n = types.intp
        return types.void(a, n, n, n, p, n, n, init, n, n, cs, n, n, n, h, n, gates, n, n), generate

    return tile


@intrinsic  # type: ignore[misc]
def forward_twin(typing: Any, a: Any, ao: Any, depth: Any, p: Any, po: Any, ldp: Any, init: Any, io: Any, ldi: Any,
                 cs: Any, oo: Any, co: Any, h: Any, ho: Any, gates: Any, go: Any, ldg: Any) -> Any:  # fmt: skip
    """forward_tile for one sample and two neighbouring blocks of units, the ld numbers from block to block: a single
    row's sums are too few to keep the processor busy."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, p)
        at = lambda array, *offsets: e.at(  # noqa: E731
            data(context, builder, signature.args[array], args[array]), *(args[offset] for offset in offsets)
        )
        panels = [at(3, 4), at(3, 4, 5)]
        begin = [at(6, 7), at(6, 7, 8)]
        z = {(0, v): e.load(begin[v // BLOCK], v % BLOCK * e.lanes) for v in range(2 * BLOCK)}
        z = multiply(e, args[2], z, panels, BLOCK * e.lanes, [at(0, 1)], 1, 0)
        inputs = [Vector.together(z[0, gate], z[0, BLOCK + gate]) for gate in range(BLOCK)]
        lanes_ = e.index(e.lanes)
        *out, c, hidden = lstm_forward(*inputs, _load(e, (at(9, 10), lanes_), 2))
        for gate, value in enumerate(out):
            _store(e, value, (at(14, 15), args[16]), gate * e.lanes)
        _store(e, c, (at(9, 11), lanes_))
        _store(e, hidden, (at(12, 13), lanes_))
        return context.get_dummy_value()

    n = types.intp
    return types.void(a, n, n, p, n, n, init, n, n, cs, n, n, h, n, gates, n, n), generate


def _step_tile(rows: int, vectors: int) -> Any:
    """step_tile(x, xo, ldx, xk, D, h, ho, ldh, H, p, po, ldp, cs, oo, co, ldc, left, out, no, ldn, gates, go, ldg,
    ldb): for `rows` samples and `vectors` neighbouring blocks of units the same numbers as forward_tile, from x and h
    where the caller keeps them: x[xo + r ldx + k xk] and h[ho + r ldh + k]. c at cs[oo], then at cs[co], and the new h
    at out[no]: `left` units of them, as far as the arrays go. ldp, ldb: from block to block."""

    @intrinsic  # type: ignore[misc]
    def tile(typing: Any, x: Any, xo: Any, ldx: Any, xk: Any, D: Any, h: Any, ho: Any, ldh: Any, H: Any, p: Any,
             po: Any, ldp: Any, cs: Any, oo: Any, co: Any, ldc: Any, left: Any, out: Any, no: Any, ldn: Any,
             gates: Any, go: Any, ldg: Any, ldb: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, p)
            at = lambda array, *offsets: e.at(  # noqa: E731
                data(context, builder, signature.args[array], args[array]), *offsets
            )
            cells = [(r, v) for r in range(rows) for v in range(vectors)]
            x_rows = [at(0, args[1], e.times(r, args[2])) for r in range(rows)]
            h_rows = [at(5, args[6], e.times(r, args[7])) for r in range(rows)]
            bias = [at(9, args[10], e.times(v, args[11])) for v in range(vectors)]
            z = {(r, v * BLOCK + gate): e.load(bias[v], gate * e.lanes) for r, v in cells for gate in range(BLOCK)}
            width = e.index(BLOCK * e.lanes)
            panels = [e.at(place, width) for place in bias]
            z = multiply(e, args[4], z, panels, width, x_rows, args[3], 0)
            panels = [e.at(place, builder.mul(width, args[4])) for place in panels]
            z = multiply(e, args[8], z, panels, width, h_rows, 1, 0)
            inputs = [Vector.together(*(z[r, v * BLOCK + gate] for r, v in cells)) for gate in range(BLOCK)]
            here = [(v * e.lanes, builder.sub(args[16], e.index(v * e.lanes))) for v in range(vectors)]
            old = [e.load_some(here[v][1], at(12, args[13], e.times(r, args[15])), here[v][0]) for r, v in cells]
            *gates_, c, hidden = lstm_forward(*inputs, Vector.together(*old))
            for gate, value in enumerate(gates_):
                for (r, v), one in zip(cells, value.split(len(cells)), strict=True):
                    e.store(one, at(20, args[21], e.times(r, args[22]), e.times(v, args[23])), gate * e.lanes)
            for (r, v), c_, h_ in zip(cells, c.split(len(cells)), hidden.split(len(cells)), strict=True):
                e.store_some(here[v][1], c_, at(12, args[14], e.times(r, args[15])), here[v][0])
                e.store_some(here[v][1], h_, at(17, args[18], e.times(r, args[19])), here[v][0])
            return context.get_dummy_value()

        n = types.intp
        kinds = (x, n, n, n, n, h, n, n, n, p, n, n, cs, n, n, n, n, out, n, n, gates, n, n, n)
        return types.void(*kinds), generate

    return tile


def _backward_cell(vectors: int) -> Any:
    """backward_cell(gates, go, ldg, gates_old, .., c_old, .., t, .., dh, .., dc, .., dz, .., h_old, ..): some
    vectors of units of one sample. t, from tanh of c to that of the old c, and dc change in place."""

    @intrinsic  # type: ignore[misc]
    def cell(typing: Any, gates: Any, go: Any, ldg: Any, gates_old: Any, oo: Any, ldo: Any, c_old: Any, co: Any,
             ldc: Any, t: Any, to: Any, ldt: Any, dh: Any, dho: Any, lddh: Any, dc: Any, dco: Any, lddc: Any,
             dz: Any, dzo: Any, lddz: Any, h_old: Any, ho: Any, ldh: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, dz)
            gates_, old_, c_, t_, dh_, dc_, dz_, h_ = _pointers(context, e, signature, args, 8)
            saved = [_load(e, gates_, vectors, gate * e.lanes) for gate in range(BLOCK)]
            o_old = _load(e, old_, vectors, 3 * e.lanes)
            *out, dc_new, t_new, hidden = lstm_backward(
                *saved, o_old, *(_load(e, place, vectors) for place in (c_, t_, dh_, dc_))
            )
            for gate, value in enumerate(out):
                _store(e, value, dz_, gate * e.lanes)
            _store(e, dc_new, dc_)
            _store(e, t_new, t_)
            _store(e, hidden, h_)
            return context.get_dummy_value()

        arrays = (gates, gates_old, c_old, t, dh, dc, dz, h_old)
        return types.void(*(kind for array in arrays for kind in (array, types.intp, types.intp))), generate

    return cell


@intrinsic  # type: ignore[misc]
def tanh_row(typing: Any, out: Any, oo: Any, x: Any, xo: Any, count: Any) -> Any:
    """out = tanh(x), count numbers, a multiple of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, out)
        out_, x_ = (e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 2))
        zero, step = e.index(0), e.index(e.lanes)
        with cgutils.for_range_slice(builder, zero, args[4], step, intp=zero.type) as (j, _):
            e.store(tanh(e.load(x_, j)), out_, j)
        return context.get_dummy_value()

    return types.void(out, types.intp, x, types.intp, types.intp), generate


forward_tiles = [_forward_tile(rows) for rows in range(1, TILE_ROWS + 1)]
forward_tile_1, forward_tile_2, forward_tile_3, forward_tile_4, forward_tile_5, forward_tile_6 = forward_tiles
step_one, step_twin, step_rows = _step_tile(1, 1), _step_tile(1, 2), _step_tile(STEP_ROWS, 1)
backward_cell, backward_cell_pair = _backward_cell(1), _backward_cell(2)
