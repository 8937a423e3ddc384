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
    """x itself, in whatever form it is.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    x

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.linear(-3.0)
    -3.0
    """
    return x


def relu(x: ArrayLike) -> Array:
    """x where it is above 0, else 0: the rectified linear unit.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Something that is no array of numbers.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return np.maximum(x, 0)


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), computed as (1 + tanh(x / 2)) / 2, which never overflows.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Something that is no array of numbers.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.sigmoid([0.0, 1000.0]).tolist()
    [0.5, 1.0]
    """
    return 0.5 * np.tanh(0.5 * np.asarray(x)) + 0.5


def tanh(x: ArrayLike) -> Array:
    """The hyperbolic tangent of x.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Something that is no array of numbers.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.tanh([0.0, 1000.0]).tolist()
    [0.0, 1.0]
    """
    return np.tanh(x)


def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """exp(x), divided by its sum along an axis.

    The largest x along the axis is taken off first, so that nothing overflows.

    Parameters
    ----------
    x : array_like, shape (..., K)
    axis : int
        The axis of the classes.

    Returns
    -------
    ndarray, shape of x
        Probabilities: along the axis they add up to 1.

    Raises
    ------
    TypeError
        Something that is no array of numbers.
    ValueError
        No such axis, or one of no entries.

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
    """log(1 + exp(x)): a smooth `relu`.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Something that is no array of numbers.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.softplus([0.0, 1000.0]).round(4).tolist()
    [0.6931, 1000.0]
    """
    return np.logaddexp(x, 0)


def elu(x: ArrayLike) -> Array:
    """The exponential linear unit [1]_: x where it is above 0, else exp(x) - 1.

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Something that is no array of numbers.

    References
    ----------
    .. [1] D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
       Units (ELUs)", ICLR 2016.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.elu([1.0, -1.0]).round(4).tolist()
    [1.0, -0.6321]
    """
    z = np.asarray(x)
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def exponential(x: ArrayLike) -> Array:
    """exp(x).

    Parameters
    ----------
    x : array_like

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Something that is no array of numbers.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.exponential([0.0, 1.0]).round(4).tolist()
    [1.0, 2.7183]
    """
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
    """The function of an activation's name.

    Parameters
    ----------
    identifier : str, function or None
        A name in any spelling; a function of this module, which is returned; None for `linear`.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one.
    TypeError
        A function of another module, or something else.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.deserialize("ReLU")([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    return FUNCTIONS[name_of(identifier)]


def serialize(activation: ActivationLike) -> str:
    """The name of an activation, from which `deserialize` makes it again.

    Parameters
    ----------
    activation : str, function or None
        As `deserialize` takes it.

    Returns
    -------
    str

    Raises
    ------
    ValueError, TypeError
        As `deserialize`.

    Examples
    --------
    >>> from fastlstm.nn import activations
    >>> activations.serialize(activations.relu)
    'relu'
    """
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
