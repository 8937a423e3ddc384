"""Losses and accuracies as functions, by Keras's names: a number for each sample or step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from . import losses, metrics

Array = NDArray[Any]


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Mean of (y_pred - y_true)² over the last axis.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.mean_squared_error([[0.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]).tolist()
    [0.5, 0.0]
    """
    return losses.MeanSquaredError().values(y_true, y_pred)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Mean of |y_pred - y_true| over the last axis."""
    return losses.MeanAbsoluteError().values(y_true, y_pred)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Array:
    """`losses.Huber` of each sample or step."""
    return losses.Huber(delta).values(y_true, y_pred)


def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:  # fmt: skip
    """`losses.BinaryCrossentropy` of each sample or step."""
    return losses.BinaryCrossentropy(from_logits, label_smoothing).values(y_true, y_pred)


def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:  # fmt: skip
    """`losses.CategoricalCrossentropy` of each sample or step."""
    return losses.CategoricalCrossentropy(from_logits, label_smoothing).values(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, ignore_class: int | None = None
) -> Array:  # fmt: skip
    """`losses.SparseCategoricalCrossentropy` of each sample or step."""
    return losses.SparseCategoricalCrossentropy(from_logits, ignore_class).values(y_true, y_pred)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """Whether y_pred > threshold agrees with y_true, as 0 or 1, of each number.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> metrics.binary_accuracy([[1.0], [0.0]], [[0.9], [0.7]]).tolist()
    [[1.0], [0.0]]
    """
    return _of_metric(metrics.BinaryAccuracy(threshold=threshold), y_true, y_pred)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`metrics.CategoricalAccuracy` of each sample or step, 0 or 1."""
    return _of_metric(metrics.CategoricalAccuracy(), y_true, y_pred)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`metrics.SparseCategoricalAccuracy` of each sample or step, 0 or 1."""
    return _of_metric(metrics.SparseCategoricalAccuracy(), y_true, y_pred)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """`metrics.TopKCategoricalAccuracy` of each sample or step, 0 or 1."""
    return _of_metric(metrics.TopKCategoricalAccuracy(k), y_true, y_pred)


def sparse_top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """`metrics.SparseTopKCategoricalAccuracy` of each sample or step, 0 or 1."""
    return _of_metric(metrics.SparseTopKCategoricalAccuracy(k), y_true, y_pred)


def _of_metric(metric: Any, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    found: Array = metric.values(y_true, y_pred).astype(float)
    return found


_LOSSES: dict[Callable[..., Array], Callable[[], losses.Loss]] = {
    mean_squared_error: losses.MeanSquaredError,
    mean_absolute_error: losses.MeanAbsoluteError,
    huber: losses.Huber,
    binary_crossentropy: losses.BinaryCrossentropy,
    categorical_crossentropy: losses.CategoricalCrossentropy,
    sparse_categorical_crossentropy: losses.SparseCategoricalCrossentropy,
}
losses.FUNCTIONS.update(_LOSSES)
