"""Layers that change the axes: steps from one vector, one vector from all steps, from their mean or their largest."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, Unpack

import numpy as np

from ... import backend
from ...arrays import size_of
from .base import KNOWN_LAYERS, Array, Layer, Mask, Shape, flag
from .own import lost
from .types import Common, ShapeLike


def last_axis(argument: str, value: Any) -> str:
    """Where features are, checked; None is here as there "channels_last"."""
    if value not in (None, "channels_last"):
        raise ValueError(f"{argument}: expected 'channels_last', as features are on the last axis here, got {value!r}")
    return "channels_last"


class RepeatVector(Layer):
    """Repeats a vector n times, as n steps: (N, D) -> (N, n, D).

    Parameters
    ----------
    n : int
        Steps.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        A number below 1, or none.

    Examples
    --------
    >>> from fastlstm.nn import LSTM, Dense, RepeatVector, Sequential
    >>> model = Sequential([LSTM(8, input_shape=(20, 3)), RepeatVector(5), LSTM(8, return_sequences=True), Dense(1)])
    >>> model.output_shape
    (None, 5, 1)
    """

    _fields = ("n",)
    _ndim = (2, 2)

    def __init__(self, n: int, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.n = size_of("n", n)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        N, D = input_shape
        return N, self.n, D

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        y = backend.engine.empty((len(x), self.n, x.shape[1]), self.dtype)
        y[...] = x[:, None]
        if training:
            self._tape = (y.shape,)
        return y, None

    def _back(self, dy: Array) -> Array:
        dx: Array = dy.sum(axis=1)
        return dx


class Flatten(Layer):
    """Puts all numbers of a sample into one vector: (N, T, D) -> (N, T·D).

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        There is no other.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense.

    Notes
    -----
    All batches have to have as many steps as the first. A mask ends here, with a warning, as in Keras.

    Examples
    --------
    >>> from fastlstm.nn import LSTM, Dense, Flatten, Sequential
    >>> model = Sequential([LSTM(8, return_sequences=True, input_shape=(20, 3)), Flatten(), Dense(1)])
    >>> model.layers[1].output_shape
    (None, 160)
    """

    _fields = ("data_format",)
    _ndim = (1, None)
    fixed_length = True

    def __init__(self, data_format: Literal["channels_last"] | None = None, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.data_format = last_axis("data_format", data_format)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        N, *others = input_shape
        sizes = [size for size in others if size is not None]
        return N, prod(sizes) if len(sizes) == len(others) else None

    def _repeats(self, input_shape: tuple[int, ...]) -> bool:
        return 0 not in input_shape  # both ways are views

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        lost(self, mask)
        y = x.reshape(len(x), prod(x.shape[1:]))
        if training:
            self._tape = y.shape, x.shape
        return y, None

    def _back(self, dy: Array) -> Array:
        return dy.reshape(self._tape[1])


class _Pooling(Layer):
    """One vector of all steps: (N, T, D) -> (N, D), or (N, 1, D)."""

    _fields = ("data_format", "keepdims")
    _ndim = (3, 3)

    def __init__(
        self, data_format: Literal["channels_last"] | None = None, keepdims: bool = False, **common: Unpack[Common]
    ) -> None:
        super().__init__(**common)
        self.data_format, self.keepdims = last_axis("data_format", data_format), flag("keepdims", keepdims)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        N, _, D = input_shape
        return (N, 1, D) if self.keepdims else (N, D)

    def _shaped(self, y: Array) -> Array:
        return y[:, None] if self.keepdims else y

    def _check_steps(self, x: Array) -> None:
        if x.shape[1] == 0:
            raise ValueError(f"{self.name}: expected x of at least one step, got shape {x.shape}")


class GlobalAveragePooling1D(_Pooling):
    """The mean over the steps: (N, T, D) -> (N, D). With a mask it is the mean over the real steps.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        There is no other.
    keepdims : bool
        Whether the axis of the steps stays: y is (N, 1, D) then.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense; in a call, sequences of no steps.

    Notes
    -----
    The mean of a sequence without real steps is 0; in Keras NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import GlobalAveragePooling1D
    >>> GlobalAveragePooling1D()(np.arange(6.0).reshape(1, 3, 2), mask=[[True, True, False]]).tolist()
    [[1.0, 2.0]]
    """

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        self._check_steps(x)
        if mask is None:
            share = np.full((len(x), 1), 1 / x.shape[1], self.dtype)
            y = x.sum(axis=1)
        else:
            share = (1 / np.maximum(mask.sum(axis=1, keepdims=True), 1)).astype(self.dtype)
            y = np.where(mask[..., None], x, self.dtype.type(0)).sum(axis=1)
        y = self._shaped(y * share)
        if training:
            self._tape = y.shape, x.shape, mask, share
        return y, None

    def _back(self, dy: Array) -> Array:
        _, shape, mask, share = self._tape
        each = dy.reshape(shape[0], 1, shape[2]) * share[:, None]
        return np.array(np.broadcast_to(each, shape)) if mask is None else each * mask[..., None]


class GlobalMaxPooling1D(_Pooling):
    """The largest number of all steps, feature by feature: (N, T, D) -> (N, D).

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        There is no other.
    keepdims : bool
        Whether the axis of the steps stays: y is (N, 1, D) then.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense; in a call, sequences of no steps.

    Notes
    -----
    If several steps are equally large, they share the gradient. A mask ends here, with a warning, as in Keras. After an
    LSTM that does no harm if the padding is at the end: masked steps repeat the last real one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import GlobalMaxPooling1D
    >>> GlobalMaxPooling1D()(np.array([[[1.0, 5.0], [3.0, 2.0]]])).tolist()
    [[3.0, 5.0]]
    """

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        self._check_steps(x)
        lost(self, mask)
        largest = x.max(axis=1, keepdims=True)
        y = largest if self.keepdims else largest[:, 0]
        if training:
            self._tape = y.shape, x == largest
        return y, None

    def _back(self, dy: Array) -> Array:
        _, largest = self._tape
        shares = largest / np.maximum(largest.sum(axis=1, keepdims=True), 1).astype(self.dtype)
        dx: Array = shares * dy.reshape(len(dy), 1, -1)
        return dx


KNOWN_LAYERS.update({one.__name__: one for one in (RepeatVector, Flatten, GlobalAveragePooling1D, GlobalMaxPooling1D)})
