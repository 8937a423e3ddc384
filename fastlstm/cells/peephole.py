"""The cell with peepholes: its gates see c, each unit its own."""

from __future__ import annotations

from .cell import Back, Gates, Given, Made, Rows
from .number import Number, sigmoid, sigmoids, tanh
from .standard import lstm_backward


def peephole_forward(z: Gates, c_old: Number, w: Rows) -> Made:
    (p,) = w
    i, f = sigmoids(p.i.fma(c_old, z.i), p.f.fma(c_old, z.f))
    g = tanh(z.g)
    c = f.fma(c_old, i * g)
    o = sigmoid(p.o.fma(c, z.o))
    return Made((i, f, g, o), c, o * tanh(c))


def peephole_backward(given: Given) -> Back:
    (i, f, g, o), c_old, (p,) = given.kept, given.c_old, given.w
    dzo = given.dh * given.t * (o * (1.0 - o))
    dz, dc, t_old, h_old, _ = lstm_backward(given._replace(dc=p.o.fma(dzo, given.dc)))
    dc = p.i.fma(dz.i, p.f.fma(dz.f, dc))
    dp = Gates(i=dz.i * c_old, f=dz.f * c_old, o=dz.o * f.fma(c_old, i * g))
    return Back(dz, dc, t_old, h_old, (dp,))
