"""The interpolated cell: the new h lies between the old one and tanh(c), where o says."""

from __future__ import annotations

from typing import NamedTuple

from .number import Number, sigmoid, sigmoids, tanh
from .phases import Back, Gates, Given, Made, Rows


class Kept(NamedTuple):
    i: Number
    f: Number
    a: Number
    o: Number
    h_old: Number


def gated_forward(z: Gates, c_old: Number, w: Rows) -> Made:
    """The candidate g sees the gated memory too. o waits for the new c of all units: its sums are handed on."""
    i, f = sigmoids(z.i, z.f)
    g = tanh(f.fma(c_old, i * z.g))
    return Made((i, f, z.g), f.fma(c_old, i * g), z.o)


def gated_backward(given: Given) -> Back:
    (i, f, a, _, h_old), c_old, dc = given.kept, given.c_old, given.dc
    g = tanh(f.fma(c_old, i * a))
    du = dc * i * (1.0 - g * g)
    both = dc + du
    dz = Gates(i=dc.fma(g, du * a) * (i * (1.0 - i)), f=both * c_old * (f * (1.0 - f)), g=du * i)
    return Back(dz, both * f, tanh(c_old), h_old)


def between_forward(_: None, z: Number, c: Number, h_old: Number) -> Made:
    """In this form h is exactly the old one where o is 0, and exactly tanh(c) where o is 1."""
    o = sigmoid(z)
    return Made((o, h_old), None, o.fma(tanh(c), (1.0 - o) * h_old))


def between_backward(kept: Kept, t: Number, dh: Number, dc: Number) -> tuple[Number, Number, Number]:
    o = kept.o
    dz = dh * (t - kept.h_old) * (o * (1.0 - o))
    return dz, dh * (1.0 - o), (dh * o).fma(1.0 - t * t, dc)
