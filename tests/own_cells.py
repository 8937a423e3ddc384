"""Cells of one's own that several tests take: each compiles once."""

from __future__ import annotations

from typing import Any

from fastlstm.cells import cell, hard_sigmoid, sigmoid, softsign, tanh


@cell(gates="a b c d e k", unit_weights="p q r s t u v", gates_of_x="a c e k", gates_of_h="b c d e",
      gates_of_b="a b d e k")  # fmt: skip
def everything(z: Any, c: Any, h: Any, w: Any) -> Any:
    """Gates of x alone, of h alone and of both, more unit weights than gates, and h of its own unit beside c."""
    a, b, k = sigmoid(z.a + w.p * h), tanh(z.b * w.q), softsign(z.k + w.r * z.e)
    c = a * c * hard_sigmoid(w.s) + b * sigmoid(z.c + w.u) * k
    return c, sigmoid(z.d * w.t) * tanh(c) + 0.1 * h * sigmoid(w.v)


@cell(gates="f g", gates_of_h="f")
def minimal(z: Any, h: Any) -> Any:
    f = sigmoid(z.f)
    return f * h + (1 - f) * tanh(z.g)


@cell(gates="f g o", gates_of_h="")
def of_x_alone(z: Any, c: Any) -> Any:
    f = sigmoid(z.f)
    c = f * c + (1 - f) * tanh(z.g)
    return c, hard_sigmoid(z.o) * c


MANY = [f"w{n}" for n in range(130)]  # more than there is room for at once where their gradients are added up


@cell(gates="f g", gates_of_h="f", unit_weights=MANY)
def weighty(z: Any, h: Any, w: Any) -> Any:
    f = sigmoid(z.f)
    return f * h + (1 - f) * tanh(z.g + sum(weight * h for weight in w))


CELLS = everything, minimal, of_x_alone
