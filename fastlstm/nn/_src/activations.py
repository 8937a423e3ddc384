"""Activations of a dense layer, by Keras's names: as names, which the kernels know, and as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from . import names
from .types import ActivationLike, Array

_T = TypeVar("_T")


def linear(x: _T) -> _T:
    """x itself."""
    return x


def relu(x: ArrayLike) -> Array:
    """x where it is above 0, else 0."""
    return np.maximum(x, 0)


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x))."""
    return 0.5 * np.tanh(0.5 * np.asarray(x)) + 0.5


def tanh(x: ArrayLike) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x)


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """exp(x), divided by its sum along an axis.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.softmax([0.0, 0.0, -1e9]).tolist()
    [0.5, 0.5, 0.0]
    """
    z = np.asarray(x)
    z = np.exp(z - z.max(axis=axis, keepdims=True))
    found: Array = z / z.sum(axis=axis, keepdims=True)
    return found


def softplus(x: ArrayLike) -> Array:
    """log(1 + exp(x))."""
    return np.logaddexp(x, 0)


def elu(x: ArrayLike) -> Array:
    """x where it is above 0, else exp(x) - 1."""
    z = np.asarray(x)
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def exponential(x: ArrayLike) -> Array:
    """exp(x)."""
    return np.exp(x)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    one.__name__: one for one in (linear, relu, sigmoid, tanh, softmax, softplus, elu, exponential)
}


_SLOPES: dict[str, Callable[[Any], Any]] = {  # of each function, from what it gives
    "linear": np.ones_like,
    "relu": lambda y: y > 0,
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "softplus": lambda y: -np.expm1(-y),
    "elu": lambda y: np.where(y > 0, 1, y + 1).astype(y.dtype),
    "exponential": lambda y: y,
}


def gradient(name: str, y: Any, dy: Any) -> Any:
    """dx, from dy and from y, what the function of that name gave."""
    if name == "softmax":
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dy * _SLOPES[name](y)


def get(identifier: ActivationLike) -> Callable[..., Array]:
    """A function by its name; None is linear.

    Raises
    ------
    ValueError, TypeError
        No such name; a function of another module.
    """
    return FUNCTIONS[name_of(identifier)]


def serialize(activation: ActivationLike) -> str:
    """The name of an activation, from which `get` makes it again."""
    return name_of(activation)


def name_of(identifier: Any) -> str:
    """The name of an activation, given by it or as a function; None is linear.

    Raises
    ------
    ValueError, TypeError
        None of those in `FUNCTIONS`.
    """
    if identifier is None:
        return "linear"
    if isinstance(identifier, str):
        return names.find("activation", identifier, FUNCTIONS).__name__
    for name, function in FUNCTIONS.items():
        if function is identifier:
            return name
    raise TypeError(f"activation: expected one of {', '.join(FUNCTIONS)}, or None, got {identifier!r:.60}")
