"""The standard cell."""

from __future__ import annotations

from typing import NamedTuple

from .derive import Derived
from .number import Number, sigmoids, tanh
from .phases import Gates


class Kept(NamedTuple):
    i: Number
    f: Number
    g: Number
    o: Number


def equations(z: Gates, c: Number) -> tuple[Number, Number]:
    i, f, o = sigmoids(z.i, z.f, z.o)
    g = tanh(z.g)
    c = f.fma(c, i * g)
    return c, o * tanh(c)


# the tape does not have the old h: it is o tanh(c) of the step before, made again
lstm = Derived(equations, Gates(*Gates._fields), tape=Kept)
