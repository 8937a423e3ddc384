"""The interpolated cell: o says how much of the old h stays."""

from __future__ import annotations

from typing import Any

from ..cpu.vectors.activations import sigmoid, tanh
from ..cpu.vectors.emitter import Vector


def gated_forward(zi: Vector, zf: Vector, a: Vector, zo: Vector, c_old: Vector) -> Any:
    i, f = sigmoid(Vector.together(zi, zf)).split(2)
    g = tanh(f.fma(c_old, i * a))
    return (i, f, a), f.fma(c_old, i * g), zo


def gated_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dh: Vector, dc: Vector) -> Any:
    i, f, a, _, h_old = kept
    g = tanh(f.fma(c_old, i * a))
    du = dc * i * (1.0 - g * g)
    dzi = dc.fma(g, du * a) * (i * (1.0 - i))
    both = dc + du
    dzf = both * c_old * (f * (1.0 - f))
    return (dzi, dzf, du * i), both * f, tanh(c_old), h_old


def between_forward(zo: Vector, c: Vector, h_old: Vector) -> Any:
    """h stays what it was exactly where o is 0, and becomes tanh(c) exactly where it is 1."""
    o = sigmoid(zo)
    return (o, h_old), o.fma(tanh(c), (1.0 - o) * h_old)


def between_backward(kept: list[Vector], t: Vector, dh: Vector, dc: Vector) -> Any:
    _, _, _, o, h_old = kept
    dzo = dh * (t - h_old) * (o * (1.0 - o))
    return dzo, dh * (1.0 - o), (dh * o).fma(1.0 - t * t, dc)
