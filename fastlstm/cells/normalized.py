"""The cell with layer normalisation of z and of c."""

from __future__ import annotations

from typing import Any

from ..cpu.vectors.activations import sigmoid, tanh
from ..cpu.vectors.emitter import Vector
from ..cpu.vectors.target import BLOCK


def raw_forward(zi: Vector, zf: Vector, zg: Vector, zo: Vector, c_old: Vector, *weights: Vector) -> Any:
    return (zi, zf, zg, zo), c_old, zo


def raw_backward(kept: list[Vector], da: list[Vector], of_z: list[Any], means: list[Any], own: list[Vector]) -> Any:
    scales = own[Z_SCALE:]
    return [_through_norm(d * s, z, *of) for d, s, z, *of in zip(da, scales, kept, of_z, means, strict=False)], kept[8]


def normal_gates_forward(z: list[Vector], c: Vector, h: Vector, h_old: Vector, of_z: list[Any],
                         own: list[Vector]) -> Any:  # fmt: skip
    scales, shifts = own[Z_SCALE : Z_SCALE + 4], own[Z_SHIFT : Z_SHIFT + 4]
    ai, af, ag, ao = (s.fma(_norm(v, of), b) for v, of, s, b in zip(z, of_z, scales, shifts, strict=True))
    i, f, o = sigmoid(Vector.together(ai, af, ao)).split(3)
    g = tanh(ag)
    return 4, (i, f, g, o), f.fma(c, i * g), o


def normal_gates_backward(kept: list[Vector], c: Vector, c_old: Vector, dc: Vector, dao: Vector, du: Vector, of_c: Any,
                          means: Any, of_z: list[Any], own: list[Vector]) -> Any:  # fmt: skip
    z, (i, f, g, _) = kept[:4], kept[4:8]
    dc = dc + _through_norm(du * own[C_SCALE], c, of_c, means)
    da = dc * g * (i * (1.0 - i)), dc * c_old * (f * (1.0 - f)), dc * i * (1.0 - g * g), dao
    sums = {n: d * _norm(v, of) for n, (d, v, of) in enumerate(zip(da, z, of_z, strict=True), Z_SCALE)}
    return dc * f, sums | dict(enumerate(da[:3], Z_SHIFT))


def normal_output_forward(z: list[Vector], c: Vector, o: Vector, h_old: Vector, of_c: list[Any],
                          own: list[Vector]) -> Any:  # fmt: skip
    return 8, (h_old,), None, o * tanh(own[C_SCALE].fma(_norm(c, of_c[0]), own[C_SHIFT]))


def normal_output_backward(kept: list[Vector], c: Vector, dh: Vector, of_c: Any, own: list[Vector]) -> Any:
    o, n = kept[7], _norm(c, of_c)
    t = tanh(own[C_SCALE].fma(n, own[C_SHIFT]))
    du = dh * o * (1.0 - t * t)
    return {Z_SHIFT + 3: dh * t * (o * (1.0 - o)), C_SCALE: du * n, C_SHIFT: du}


def _norm(v: Vector, of: tuple[Vector, Vector]) -> Vector:
    """v normalised, from its mean and the reciprocal of its deviation."""
    mean, reciprocal = of
    return (v - mean) * reciprocal


def _through_norm(dn: Vector, v: Vector, of: tuple[Vector, Vector], means: tuple[Vector, Vector]) -> Vector:
    """The gradient of v from that of v normalised, and the means of that and of its product with v normalised."""
    return (dn - means[0] - _norm(v, of) * means[1]) * of[1]


Z_SCALE, Z_SHIFT, C_SCALE, C_SHIFT = (BLOCK * row for row in range(4))  # vectors of the normalized cell's own weights
