"""Vectors in the place of numbers of words, of classes, of whatever is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from ... import backend, checks
from ...arrays import size_of
from . import constraints, initializers, regularizers
from .base import KNOWN_LAYERS, SMALL, Array, Layer, Mask, Shape, Weight, flag
from .types import Common, ConstraintLike, InitializerLike, RegularizerLike, ShapeLike


class Embedding(Layer):
    """A vector for each of the numbers 0 to input_dim - 1, which stand for words, say. The vectors are learned.

    Parameters
    ----------
    input_dim : int
        V, how many vectors there are.
    output_dim : int
        D, their size.
    embeddings_initializer : str or Initializer
    embeddings_regularizer : str or Regularizer, optional
    embeddings_constraint : str or Constraint, optional
    mask_zero : bool
        Whether 0 stands for padding. The layers above leave steps of 0 out, wherever they are. So the vector of 0 gets
        no gradient.
    weights : array_like, shape (V, D), optional
        The first vectors, instead of the initializer's.
    **common
        As in `Layer`.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense. In a call, x that holds other numbers than 0 to V - 1.

    Notes
    -----
    Weights: embeddings (V, D). x is of whole numbers in any type, mostly (N, T), and y (N, T, D). There is no gradient
    at x: `backward` returns zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM, Dense, Embedding, Sequential
    >>> model = Sequential([Embedding(1000, 16, mask_zero=True), LSTM(8), Dense(1)], seed=0)
    >>> words = np.array([[5, 17, 999, 0, 0], [7, 7, 0, 0, 0]])
    >>> model.predict(words, verbose=0).shape
    (2, 1)
    >>> bool((model.predict(words[:, :3], verbose=0) == model.predict(words, verbose=0)).all())
    True
    """

    _fields = ("input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer", "embeddings_constraint",
               "mask_zero")  # fmt: skip
    _ndim = (1, None)
    _steps_from = 2

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: InitializerLike = "random_uniform",
        embeddings_regularizer: RegularizerLike = None,
        embeddings_constraint: ConstraintLike = None,
        mask_zero: bool = False,
        weights: ArrayLike | Sequence[ArrayLike] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.input_dim, self.output_dim = size_of("input_dim", input_dim), size_of("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer, "embeddings_initializer")
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer, "embeddings_regularizer")
        self.embeddings_constraint = constraints.get(embeddings_constraint, "embeddings_constraint")
        self.mask_zero = flag("mask_zero", mask_zero)
        self._first = None if weights is None else self._begins(weights)

    def _begins(self, given: Any) -> Array:
        if isinstance(given, (list, tuple)) and len(given) == 1:  # as from get_weights
            given = given[0]
        found, shape = checks.array("weights", given), (self.input_dim, self.output_dim)
        if found.shape != shape:
            raise ValueError(f"weights: expected shape {shape}, got {found.shape}")
        return checks.native(found, self.dtype, copy=True)

    def _weights(self, input_shape: Shape) -> list[Weight]:
        if self.mask_zero and len(input_shape) != 2:
            raise ValueError(f"{self.name}: expected x of shape (N, T) with mask_zero=True, got {input_shape}")
        shape = (self.input_dim, self.output_dim)
        how = self.embeddings_initializer, self.embeddings_regularizer, self.embeddings_constraint
        return [Weight("embeddings", shape, *how)]

    def _draw(self, rng: np.random.Generator) -> None:
        if self._first is None:
            super()._draw(rng)
        else:
            self.params["embeddings"] = self._first

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return (*input_shape, self.output_dim)

    def _native(self, name: str, x: Array, *, copy: bool = False) -> Array:
        """Numbers of vectors, which do not stay whole in every float type."""
        if x.dtype.kind == "f":
            broken = ~(np.isfinite(x) & (x == np.rint(x)))
            if broken.any():
                raise ValueError(f"{self.name}: {name}: expected whole numbers, got {x[broken][0]}")
        if x.size:
            low, high = x.min(), x.max()
            if not (low >= 0 and high < self.input_dim):
                wrong = low if low < 0 else high
                place = ", ".join(map(str, np.argwhere(x == wrong)[0]))
                raise ValueError(f"{self.name}: {name}: expected whole numbers from 0 to {self.input_dim - 1} "
                                 f"(input_dim - 1), got {wrong:.0f} at [{place}]")  # fmt: skip
        return checks.native(x, np.int64, copy=copy)

    def _repeats(self, input_shape: tuple[int, ...]) -> bool:
        return not self.mask_zero and 0 < int(np.prod(input_shape)) * self.output_dim <= SMALL

    def _forward(self, x: Array, mask: Mask, training: bool) -> tuple[Array, Mask]:
        numbers = self._native("x", x) if x.dtype != np.int64 else x
        flat = numbers.reshape(-1)
        y = backend.engine.empty((len(flat), self.output_dim), self.dtype)
        backend.engine.training.take(self.params["embeddings"], flat, y)
        if training:
            self._tape = (*x.shape, self.output_dim), flat
        if self.mask_zero:
            real = numbers != 0
            mask = real if mask is None else real & mask
        return y.reshape(*x.shape, self.output_dim), mask

    def _back(self, dy: Array) -> Array:
        shape, flat = self._tape
        backend.engine.training.scatter(flat, dy.reshape(-1, self.output_dim), self.grads["embeddings"])
        return np.zeros(shape[:-1], self.dtype)


KNOWN_LAYERS[Embedding.__name__] = Embedding
