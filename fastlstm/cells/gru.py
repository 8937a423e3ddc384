"""The GRU whose reset gate acts after the product: that of cuDNN, PyTorch, and Keras with reset_after=True."""

from __future__ import annotations

from typing import Any

from .number import Number, sigmoids, tanh
from .own import cell


@cell(gates="r z n m", unit_weights="b_n", gates_of_x="r z n", gates_of_h="r z m", gates_of_b="r z n")
def gru(z: Any, h: Number, w: Any) -> Number:
    """n is what x puts into the candidate, m what h does. In this form h is exactly the old one where u is 1."""
    r, u = sigmoids(z.r, z.z)
    n = tanh(z.n + r * (z.m + w.b_n))
    return (1.0 - u) * n + u * h
