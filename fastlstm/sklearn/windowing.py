"""A series cut into windows: what went before, and what came after."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import array, integer, size_of

Array = NDArray[Any]


class Windows(NamedTuple):
    """Windows of a series: read-only views of it, where it is an array.

    Attributes
    ----------
    past : ndarray, shape (N, length, ...)
    future : ndarray, shape (N, horizon, ...)
        What comes directly behind `past`.
    """

    past: Array
    future: Array


def windows(y: ArrayLike, length: int, horizon: int = 1, stride: int = 1) -> Windows:
    """All windows of a series, each with the steps that come behind it.

    They are what `keras.utils.timeseries_dataset_from_array` yields, as two arrays that share y's memory: nothing is
    copied, however many windows there are.

    Parameters
    ----------
    y : array_like, shape (T, ...)
        Time is the first axis.
    length : int
        Steps of a window, at least 1.
    horizon : int
        Steps behind it, at least 0.
    stride : int
        Steps from the beginning of a window to that of the next, at least 1.

    Returns
    -------
    Windows
        Window i is ``past[i] = y[s : s + length]`` and ``future[i] = y[s + length : s + length + horizon]``, where
        ``s = i * stride``. There are ``N = (T - length - horizon) // stride + 1``. Both are read-only.

    Raises
    ------
    ValueError
        A series shorter than ``length + horizon``; a number instead of a series; sizes out of range.
    TypeError
        Something else than real numbers.

    See Also
    --------
    numpy.lib.stride_tricks.sliding_window_view

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.sklearn import windows
    >>> past, future = windows(np.arange(6), length=3, horizon=2)
    >>> past
    array([[0, 1, 2],
           [1, 2, 3]])
    >>> future
    array([[3, 4],
           [4, 5]])
    """
    length, horizon, stride = size_of("length", length), integer("horizon", horizon, 0), size_of("stride", stride)
    series = array("y", y)
    if series.ndim == 0:
        raise ValueError("y: expected a series of shape (T, ...), got a number")
    if len(series) < length + horizon:
        raise ValueError(f"y: expected at least length + horizon = {length} + {horizon} steps, got {len(series)}")
    past = _rolled(series[: len(series) - horizon], length, stride)
    return Windows(past, _rolled(series[length:], horizon, stride))


def _rolled(series: Array, size: int, stride: int) -> Array:
    """All views of that many steps, every so many steps; time is the second axis."""
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(series, size, axis=0)[::stride], -1, 1)
