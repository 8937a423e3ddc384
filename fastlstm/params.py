"""The records that hold an LSTM's weights, states and gradients, and how weights begin.

Letters used everywhere: N batch, T time steps, D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]

GATES = ("i", "f", "g", "o")
"""Order of the gate blocks along the last axis of W, U and b: input, forget, candidate, output."""


class Params(NamedTuple):
    """Weights of one LSTM layer; the last axis holds the gate blocks i, f, g, o of H columns each.

    Attributes
    ----------
    W : ndarray, shape (D, 4H)
        Input weights.
    U : ndarray, shape (H, 4H)
        Recurrent weights.
    b : ndarray, shape (4H,)
        Bias.
    """

    W: Array
    U: Array
    b: Array


class State(NamedTuple):
    """Hidden and cell state of one layer: h and c, each (N, H), or (H,) for a single sequence."""

    h: Array
    c: Array


class Bidirectional(NamedTuple):
    """Two of a kind, one for each direction of time: Params, State or gradients."""

    forward: Any
    backward: Any


class Grads(NamedTuple):
    """Gradients; each field has the structure and the shapes of what it is the gradient of."""

    x: Array
    params: Any
    state: Any


Layer: TypeAlias = "Params | Bidirectional"
Stack: TypeAlias = "Layer | Sequence[Layer]"
_T = TypeVar("_T")


def init_params(
    input_size: int,
    hidden_size: int,
    *,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike = np.float32,
    forget_bias: float = 1.0,
) -> Params:
    """Random weights for one layer: Glorot uniform W, orthogonal U, zero b but for the forget gate.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H, both at least 1.
    rng : numpy.random.Generator, int or None
        Where the randomness comes from; a seed gives the same weights every time.
    dtype : float32 or float64
    forget_bias : float
        The forget gate's bias; 1 lets memory live at the start of training [1]_.

    Returns
    -------
    Params

    Raises
    ------
    ValueError
        A size below 1.
    TypeError
        A size that is no integer, or another dtype.

    References
    ----------
    .. [1] R. Jozefowicz, W. Zaremba, I. Sutskever, "An Empirical Exploration of Recurrent
       Network Architectures", ICML 2015.

    Examples
    --------
    >>> import fastlstm
    >>> params = fastlstm.init_params(input_size=16, hidden_size=32, rng=0)
    >>> params.W.shape, params.U.shape, params.b.shape
    ((16, 128), (32, 128), (128,))
    """
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"{name}: expected an integer, got {type(size).__name__}")
        if size < 1:
            raise ValueError(f"{name}: expected at least 1, got {size}")
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {kind}")
    generator = np.random.default_rng(rng)
    D, H = int(input_size), int(hidden_size)
    limit = np.sqrt(6.0 / (D + H))
    W = generator.uniform(-limit, limit, (D, 4 * H))
    U = np.empty((H, 4 * H))
    for gate in range(4):
        q, r = np.linalg.qr(generator.standard_normal((H, H)))
        U[:, gate * H : (gate + 1) * H] = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    b = np.zeros(4 * H)
    f = GATES.index("f")
    b[f * H : (f + 1) * H] = forget_bias
    return Params(W.astype(kind), U.astype(kind), b.astype(kind))
