"""Arrays for models, as `keras.utils` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ... import checks
from ...arrays import size_of
from . import names

Array = NDArray[Any]
_SIDES = ("pre", "post")


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """Class numbers as vectors, float64: 1 at the place of the class, and 0 elsewhere.

    Parameters
    ----------
    x : array_like of whole numbers, shape (...) or (..., 1)
    num_classes : int, optional
        K, the length of the vectors; by default one more than the largest number.

    Returns
    -------
    ndarray, shape (..., K)

    Raises
    ------
    ValueError, TypeError
        Numbers that are no classes from 0 to K - 1.

    Examples
    --------
    >>> from fastlstm.nn.utils import to_categorical
    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    found = checks.array("x", x)
    if found.ndim > 1 and found.shape[-1] == 1:
        found = found[..., 0]
    wrong = ~np.isfinite(found) | (found != np.rint(found))
    if wrong.any():
        raise ValueError(f"x: expected whole class numbers, got {found[wrong][0]}")
    classes = found.astype(np.int64)
    if num_classes is None and not classes.size:
        raise ValueError("num_classes: expected a number for no classes, got None")
    K = int(classes.max()) + 1 if num_classes is None else size_of("num_classes", num_classes)
    wrong = (classes < 0) | (classes >= K)
    if wrong.any():
        raise ValueError(f"x: expected class numbers 0 to {K - 1}, got {classes[wrong][0]}")
    vectors: Array = (classes[..., None] == np.arange(K)).astype(np.float64)
    return vectors


def pad_sequences(
    sequences: Sequence[ArrayLike],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: float = 0.0,
) -> Array:
    """Sequences of unlike lengths in one array.

    With ``padding="post"`` the real lengths may go to `fit` and `predict` as ``lengths``. No value has to stand for
    padding then.

    Parameters
    ----------
    sequences : sequence of array_like, shapes (T_i,) or (T_i, ...)
    maxlen : int, optional
        T; that of the longest by default.
    dtype : data type
        Of what comes out; "int32" cuts fractions off, so "float32" for other than whole numbers.
    padding, truncating : {"pre", "post"}
        Where padding goes, and where what is beyond maxlen is cut off.
    value : float
        Of padding.

    Returns
    -------
    ndarray, shape (N, T, ...)

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense; sequences whose steps are of unlike shapes.

    Examples
    --------
    >>> from fastlstm.nn.utils import pad_sequences
    >>> pad_sequences([[1, 2, 3], [4]], padding="post").tolist()
    [[1, 2, 3], [4, 0, 0]]
    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2).tolist()
    [[2, 3], [0, 4]]
    """
    for argument, side in (("padding", padding), ("truncating", truncating)):
        if side not in _SIDES:
            raise ValueError(f"{argument}: expected 'pre' or 'post', got {side!r}")
    if isinstance(sequences, str) or not hasattr(sequences, "__len__"):
        raise TypeError(f"sequences: expected a list of sequences, got {type(sequences).__name__}")
    value = names.real("value", value)
    found = [checks.array(f"sequences[{i}]", one) for i, one in enumerate(sequences)]
    for i, one in enumerate(found):
        if one.ndim == 0:
            raise ValueError(f"sequences[{i}]: expected a sequence, got a number")
    T = max(map(len, found), default=0) if maxlen is None else size_of("maxlen", maxlen)
    step = next((one.shape[1:] for one in found if len(one)), ())
    y = np.full((len(found), T, *step), value, dtype)
    for i, one in enumerate(found):
        if not len(one):
            continue
        if one.shape[1:] != step:
            raise ValueError(f"sequences[{i}]: expected steps of shape {step}, as before, got {one.shape[1:]}")
        kept = one[-T:] if truncating == "pre" else one[:T]
        where = slice(T - len(kept), T) if padding == "pre" else slice(0, len(kept))
        y[i, where] = kept
    return y


def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> Array:
    """x, divided by its norms along an axis. Where a norm is 0, x stays 0.

    Parameters
    ----------
    x : array_like
    axis : int
    order : int
        Of the norm, at least 1: (Σ|x|**order)**(1 / order).

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Examples
    --------
    >>> from fastlstm.nn.utils import normalize
    >>> normalize([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    found, order = checks.array("x", x), size_of("order", order)
    if not found.ndim:
        raise ValueError("x: expected an array with axes, got a number")
    norms = np.linalg.norm(np.atleast_1d(found), order, axis, keepdims=True)
    normalized: Array = found / np.where(norms == 0, 1, norms)
    return normalized
