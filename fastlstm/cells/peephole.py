"""The cell with peepholes: its gates see c, each unit its own."""

from __future__ import annotations

from typing import Any

from ..cpu.vectors.activations import sigmoid, tanh
from ..cpu.vectors.emitter import Vector
from .standard import lstm_backward


def peephole_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector, pi: Vector, pf: Vector, _: Vector,
                     po: Vector) -> Any:  # fmt: skip
    i, f = sigmoid(Vector.together(pi.fma(c_old, zi), pf.fma(c_old, zf))).split(2)
    g = tanh(zg)
    c = f.fma(c_old, i * g)
    o = sigmoid(po.fma(c, zo))
    return (i, f, g, o), c, o * tanh(c)


def peephole_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dh: Vector, dc: Vector,
                      pi: Vector, pf: Vector, _: Vector, po: Vector) -> Any:  # fmt: skip
    i, f, g, o = kept
    dzo = dh * t * (o * (1.0 - o))
    through_c = po.fma(dzo, dc)
    (dzi, dzf, dzg, dzo), dc, t_old, h_old = lstm_backward(kept, before, c_old, t, dh, through_c)
    dc = pi.fma(dzi, pf.fma(dzf, dc))
    return (dzi, dzf, dzg, dzo), dc, t_old, h_old, dzi * c_old, dzf * c_old, None, dzo * f.fma(c_old, i * g)
