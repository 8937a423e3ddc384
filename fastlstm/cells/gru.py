"""The GRUs.

The reset gate acts after the product in cuDNN, in PyTorch, and in Keras with reset_after=True; before it in Cho et al.
(2014), in ONNX by default, and in Keras with reset_after=False.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .number import Number, sigmoids, tanh
from .own import cell
from .phases import Back, Given, Made, Rows


@cell(gates="r z n m", unit_weights="b_n", gates_of_x="r z n", gates_of_h="r z m", gates_of_b="r z n")
def gru(z: Any, h: Number, w: Any) -> Number:
    """n is what x puts into the candidate, m what h does. In this form h is exactly the old one where u is 1."""
    r, u = sigmoids(z.r, z.z)
    n = tanh(z.n + r * (z.m + w.b_n))
    return (1.0 - u) * n + u * h


class BeforeGates(NamedTuple):
    """n reads x, and in the second phase p = r∘h; the others read x and h."""

    n: Any = None
    r: Any = None
    z: Any = None


class Before(NamedTuple):
    """What the tape keeps."""

    r: Number
    z: Number
    n: Number
    h_old: Number


def reset_forward(z: BeforeGates, _: Number, w: Rows, h: Number) -> Made:
    """p, in the place of c, for the product of the second phase, which goes on from n's sums."""
    r, u = sigmoids(z.r, z.z)
    return Made((r, u), r * h, z.n)


def reset_backward(given: Given) -> Back:
    """dh is already what reaches the old h past all products, dh'∘z; dc is the gradient of p."""
    r, u, n, h_old = given.kept
    dz = BeforeGates(r=given.dc * given.c * (1.0 - r), z=given.dh * (h_old - n) * (1.0 - u))
    return Back(dz, given.dc * r, None, h_old)


def candidate_forward(kept: Before, z: Number, p: Number, h_old: Number) -> Made:
    """In this form h is exactly the old one where u is 1."""
    u, n = kept.z, tanh(z)
    return Made((n, h_old), None, (1.0 - u).fma(n, u * h_old))


def candidate_backward(kept: Before, t: Number, dh: Number, dc: Number) -> tuple[Number, Number, Number]:
    u, n = kept.z, kept.n
    return dh * (1.0 - u) * (1.0 - n * n), dh * u, dc
