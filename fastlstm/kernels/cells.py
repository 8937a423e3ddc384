"""The cells: their phases, and each phase's mathematics forward and backward.

A phase is a product [1, x, h] @ [b; W; U] for some gate blocks, followed by element-wise equations over
those blocks. The standard LSTM has one phase. The equations are written over `simd.Vector`s: one vector
holds neighbouring units of one sample. Letters as in docs/equations.md; a `d` in front marks a gradient.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from .activations import sigmoid, tanh
from .simd import BLOCK, Vector, data, emitter


def lstm_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c: Vector) -> tuple[Vector, ...]:
    """Gates i, f, g, o, then the new c and h, from the gates' inputs and the old c."""
    i, f, g, o = sigmoid(zi), sigmoid(zf), tanh(zg), sigmoid(zo)
    c_new = f.fma(c, i * g)
    return i, f, g, o, c_new, o * tanh(c_new)


def lstm_hidden(o: Vector, c: Vector) -> Vector:
    """h again from the tape, to the bit."""
    return o * tanh(c)


def lstm_backward(
    i: Vector, f: Vector, g: Vector, o: Vector, c_old: Vector, c: Vector, dh: Vector, dc: Vector
) -> tuple[Vector, ...]:
    """Gradients of zi, zf, zg, zo and of the old c, from those of h and of the new c."""
    t = tanh(c)
    dc = (dh * o).fma(1.0 - t * t, dc)
    dzi = dc * g * (i * (1.0 - i))
    dzf = dc * c_old * (f * (1.0 - f))
    dzg = dc * i * (1.0 - g * g)
    dzo = dh * t * (o * (1.0 - o))
    return dzi, dzf, dzg, dzo, dc * f


@intrinsic  # type: ignore[misc]
def forward_cell(typing: Any, z: Any, zo: Any, c: Any, co: Any, h: Any, ho: Any, gates: Any, go: Any) -> Any:
    """One vector of units of one sample: z -> gates (kept at `go`), c updated in place, h written."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, z)
        pointer = [
            e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 2, 4, 6)
        ]
        z_, c_, h_, gates_ = pointer
        out = lstm_forward(*(e.load(z_, v * e.lanes) for v in range(BLOCK)), e.load(c_))
        for v in range(BLOCK):
            e.store(out[v], gates_, v * e.lanes)
        e.store(out[4], c_)
        e.store(out[5], h_)
        return context.get_dummy_value()

    index = types.intp
    return types.void(z, index, c, index, h, index, gates, index), generate


@intrinsic  # type: ignore[misc]
def hidden_cell(typing: Any, gates: Any, go: Any, c: Any, co: Any, h: Any, ho: Any) -> Any:
    """One vector of h from a step's gates and c."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, c)
        gates_, c_, h_ = (
            e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 2, 4)
        )
        e.store(lstm_hidden(e.load(gates_, 3 * e.lanes), e.load(c_)), h_)
        return context.get_dummy_value()

    index = types.intp
    return types.void(gates, index, c, index, h, index), generate


@intrinsic  # type: ignore[misc]
def backward_cell(typing: Any, gates: Any, go: Any, c_old: Any, oo: Any, c: Any, co: Any, dh: Any, dho: Any,
                  dc: Any, dco: Any, dz: Any, dzo: Any, panel: Any, po: Any) -> Any:  # fmt: skip
    """One vector of units of one sample: gradients of z, twice (a row to multiply by, a panel to sum), and
    dc carried to the step before, in place."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, dz)
        pointer = [
            e.at(data(context, builder, signature.args[n], args[n]), args[n + 1])
            for n in (0, 2, 4, 6, 8, 10, 12)
        ]
        gates_, old_, c_, dh_, dc_, dz_, panel_ = pointer
        saved = [e.load(gates_, v * e.lanes) for v in range(BLOCK)]
        out = lstm_backward(*saved, *(e.load(p) for p in (old_, c_, dh_, dc_)))
        for v in range(BLOCK):
            e.store(out[v], dz_, v * e.lanes)
            e.store(out[v], panel_, v * e.lanes)
        e.store(out[4], dc_)
        return context.get_dummy_value()

    index = types.intp
    signature = types.void(
        gates, index, c_old, index, c, index, dh, index, dc, index, dz, index, panel, index
    )
    return signature, generate
