"""The standard cell."""

from __future__ import annotations

from typing import Any

from ..cpu.vectors.activations import sigmoid, tanh
from ..cpu.vectors.emitter import Vector


def lstm_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector) -> Any:
    i, f, o = sigmoid(Vector.together(zi, zf, zo)).split(3)
    g = tanh(zg)
    c = f.fma(c_old, i * g)
    return (i, f, g, o), c, o * tanh(c)


def lstm_backward(kept: list[Vector], before: list[Vector], c_old: Vector, t: Vector, dh: Vector, dc: Vector) -> Any:
    """The old h is not on the tape: it is made again from what is."""
    i, f, g, o = kept
    t_old = tanh(c_old)
    dc = (dh * o).fma(1.0 - t * t, dc)
    dzi = dc * g * (i * (1.0 - i))
    dzf = dc * c_old * (f * (1.0 - f))
    dzg = dc * i * (1.0 - g * g)
    dzo = dh * t * (o * (1.0 - o))
    return (dzi, dzf, dzg, dzo), dc * f, t_old, before[3] * t_old
