"""Activations of a dense layer, by Keras's names."""

from __future__ import annotations

from typing import Any

from ...kernels import dense
from . import names

KINDS = {
    "linear": dense.LINEAR,
    "relu": dense.RELU,
    "sigmoid": dense.SIGMOID,
    "tanh": dense.TANH,
    "softmax": dense.SOFTMAX,
    "softplus": dense.SOFTPLUS,
    "elu": dense.ELU,
    "exponential": dense.EXPONENTIAL,
}
"""Names, and the numbers by which the kernel knows them."""
_NAMES = {kind: name for name, kind in KINDS.items()}


def get(identifier: Any) -> str:
    """The name of an activation; None is linear.

    Raises
    ------
    ValueError, TypeError
        None of those in `KINDS`.
    """
    if identifier is None:
        return "linear"
    if not isinstance(identifier, str):
        raise TypeError(f"activation: expected one of {', '.join(KINDS)} or None, got {type(identifier).__name__}")
    return _NAMES[names.find("activation", identifier, KINDS)]
