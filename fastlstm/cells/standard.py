"""The standard cell."""

from __future__ import annotations

from typing import NamedTuple

from .cell import Back, Gates, Given, Made, Rows
from .number import Number, sigmoids, tanh


class Kept(NamedTuple):
    i: Number
    f: Number
    g: Number
    o: Number


def lstm_forward(z: Gates, c_old: Number, w: Rows) -> Made:
    i, f, o = sigmoids(z.i, z.f, z.o)
    g = tanh(z.g)
    c = f.fma(c_old, i * g)
    return Made((i, f, g, o), c, o * tanh(c))


def lstm_backward(given: Given) -> Back:
    """The tape does not have the old h: it is o tanh(c) of the step before, made again."""
    (i, f, g, o), c_old, t = given.kept, given.c_old, given.t
    t_old = tanh(c_old)
    dc = (given.dh * o).fma(1.0 - t * t, given.dc)
    dz = Gates(
        i=dc * g * (i * (1.0 - i)),
        f=dc * c_old * (f * (1.0 - f)),
        g=dc * i * (1.0 - g * g),
        o=given.dh * t * (o * (1.0 - o)),
    )
    return Back(dz, dc * f, t_old, given.before.o * t_old)
