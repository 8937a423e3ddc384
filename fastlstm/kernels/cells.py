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
from .simd import BLOCK, Emitter, Vector, data, emitter


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


def _forward_cell(vectors: int) -> Any:
    """forward_cell(z, zo, ldz, c_old, oo, ldo, c, co, ldc, h, ho, ldh, gates, go, ldg): one vector of units of
    some samples, whose rows are the ld numbers apart: z -> gates, c and h. c may be c_old."""

    @intrinsic  # type: ignore[misc]
    def cell(typing: Any, z: Any, zo: Any, ldz: Any, c_old: Any, oo: Any, ldo: Any, c: Any, co: Any, ldc: Any,
             h: Any, ho: Any, ldh: Any, gates: Any, go: Any, ldg: Any) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, z)
            z_, old_, c_, h_, gates_ = _pointers(context, e, signature, args, 5)
            inputs = [_load(e, z_, vectors, gate * e.lanes) for gate in range(BLOCK)]
            *out, new, hidden = lstm_forward(*inputs, _load(e, old_, vectors))
            for gate, value in enumerate(out):
                _store(e, value, gates_, gate * e.lanes)
            _store(e, new, c_)
            _store(e, hidden, h_)
            return context.get_dummy_value()

        arrays = (z, c_old, c, h, gates)
        return types.void(*(kind for array in arrays for kind in (array, types.intp, types.intp))), generate

    return cell


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


forward_cell, forward_cell_pair = _forward_cell(1), _forward_cell(2)
backward_cell, backward_cell_pair = _backward_cell(1), _backward_cell(2)
