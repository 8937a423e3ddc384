"""The cell with peepholes: its gates see c, each unit its own."""

from __future__ import annotations

from .derive import Derived
from .number import Number, sigmoid, sigmoids, tanh
from .phases import Gates, Rows
from .standard import Kept


def equations(z: Gates, c: Number, w: Rows) -> tuple[Number, Number]:
    (p,) = w
    i, f = sigmoids(p.i.fma(c, z.i), p.f.fma(c, z.f))
    g = tanh(z.g)
    c = f.fma(c, i * g)
    t = tanh(c)  # before o: dc = dc' + p do + dt, from the left
    o = sigmoid(p.o.fma(c, z.o))
    return c, o * t


lstm_with_peepholes = Derived(equations, Gates(*Gates._fields), (Gates(i="i", f="f", o="o"),), Kept)
