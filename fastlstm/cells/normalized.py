"""The normalized cell: layer normalisation of each gate's z, and of the c that h shows."""

from __future__ import annotations

from typing import NamedTuple

from .number import Number, sigmoids, tanh
from .phases import Gates, Made, Moments, Normed, Rows


class Kept(NamedTuple):
    zi: Number
    zf: Number
    zg: Number
    zo: Number
    i: Number
    f: Number
    g: Number
    o: Number
    h_old: Number

    @property
    def z(self) -> Gates:
        return Gates(self.zi, self.zf, self.zg, self.zo)


class Norms(NamedTuple):
    """The unit weights: scale and shift behind each gate's norm, then those behind the norm of c, which stand in i."""

    z_scale: Gates = Gates()
    z_shift: Gates = Gates()
    c_scale: Gates = Gates()
    c_shift: Gates = Gates()


def raw_backward(kept: Kept, da: Gates, of_z: Gates, means: Gates, w: Rows) -> tuple[Gates, Number]:
    dz = Gates(*map(_through_norm, _times(da, Norms(*w).z_scale), kept.z, of_z, means))
    return dz, kept.h_old


def normal_gates_forward(z: Gates, c: Number, of_z: Gates, w: Rows) -> Made:
    a = Gates(*(s.fma(_norm(*v), b) for *v, s, b in zip(z, of_z, Norms(*w).z_scale, Norms(*w).z_shift, strict=True)))
    i, f, o = sigmoids(a.i, a.f, a.o)
    g = tanh(a.g)
    return Made((i, f, g, o), f.fma(c, i * g), o)


def normal_gates_backward(kept: Kept, given: Normed, of_z: Gates, w: Rows) -> tuple[Number, Rows]:
    i, f, g, scale = kept.i, kept.f, kept.g, Norms(*w).c_scale.i
    before = Norms(*given.dw)  # gradients that the phase behind has left
    dc = given.dc + _through_norm(before.c_shift.i * scale, given.c, given.of_c, given.means)
    da = Gates(
        i=dc * g * (i * (1.0 - i)),
        f=dc * given.c_old * (f * (1.0 - f)),
        g=dc * i * (1.0 - g * g),
        o=before.z_shift.o,
    )
    return dc * f, Norms(z_scale=_times(da, map(_norm, kept.z, of_z)), z_shift=da._replace(o=None))


def normal_output_forward(o: Number, h_old: Number, c: Number, of_c: Moments, w: Rows) -> Made:
    scale, shift = Norms(*w).c_scale.i, Norms(*w).c_shift.i
    return Made((h_old,), None, o * tanh(scale.fma(_norm(c, of_c), shift)))


def normal_output_backward(kept: Kept, c: Number, dh: Number, of_c: Moments, w: Rows) -> Rows:
    o, n = kept.o, _norm(c, of_c)
    t = tanh(Norms(*w).c_scale.i.fma(n, Norms(*w).c_shift.i))
    du = dh * o * (1.0 - t * t)
    return Norms(z_shift=Gates(o=dh * t * (o * (1.0 - o))), c_scale=Gates(i=du * n), c_shift=Gates(i=du))


def _norm(v: Number, of: Moments) -> Number:
    """v normalised."""
    return (v - of.mean) * of.scale


def _through_norm(dn: Number, v: Number, of: Moments, means: Moments) -> Number:
    """The gradient of v from that of v normalised."""
    return (dn - means.mean - _norm(v, of) * means.scale) * of.scale


def _times(ones: Gates, others: object) -> Gates:
    return Gates(*(one * other for one, other in zip(ones, others, strict=True)))  # type: ignore[call-overload]
