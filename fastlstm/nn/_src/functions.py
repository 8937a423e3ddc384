"""Losses and accuracies as functions, by Keras's names: a number for each sample or step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from . import losses, metrics

Array = NDArray[Any]


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Mean of (y_pred - y_true)² over the last axis.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `losses.MeanSquaredError`.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `losses.MeanSquaredError`.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.mean_squared_error([[0.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]).tolist()
    [0.5, 0.0]
    """
    return losses.MeanSquaredError().values(y_true, y_pred)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Mean of |y_pred - y_true| over the last axis.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `losses.MeanAbsoluteError`.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `losses.MeanAbsoluteError`.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.mean_absolute_error([[0.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]).tolist()
    [0.5, 0.0]
    """
    return losses.MeanAbsoluteError().values(y_true, y_pred)


def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Array:
    """`losses.Huber` of each sample or step.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `losses.Huber`.
    delta : float
        Where the square turns into a line; above 0.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `losses.Huber`.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.huber([[0.0], [0.0]], [[0.5], [3.0]]).tolist()
    [0.125, 2.5]
    """
    return losses.Huber(delta).values(y_true, y_pred)


def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:  # fmt: skip
    """`losses.BinaryCrossentropy` of each sample or step.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `losses.BinaryCrossentropy`.
    from_logits : bool
        Whether predictions are logits, and not probabilities.
    label_smoothing : float
        From 0 to 1: how far targets are drawn towards 1/2.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `losses.BinaryCrossentropy`.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.binary_crossentropy([[1], [0]], [[0.8], [0.4]]).round(4).tolist()
    [0.2231, 0.5108]
    """
    return losses.BinaryCrossentropy(from_logits, label_smoothing).values(y_true, y_pred)


def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:  # fmt: skip
    """`losses.CategoricalCrossentropy` of each sample or step.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `losses.CategoricalCrossentropy`.
    from_logits : bool
        Whether predictions are logits, and not probabilities.
    label_smoothing : float
        From 0 to 1: how far targets are drawn towards 1/K.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `losses.CategoricalCrossentropy`.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.categorical_crossentropy([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]]).round(4).tolist()
    [0.2231, 0.9163]
    """
    return losses.CategoricalCrossentropy(from_logits, label_smoothing).values(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, ignore_class: int | None = None
) -> Array:  # fmt: skip
    """`losses.SparseCategoricalCrossentropy` of each sample or step.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `losses.SparseCategoricalCrossentropy`.
    from_logits : bool
        Whether predictions are logits, and not probabilities.
    ignore_class : int, optional
        A class number whose samples or steps have loss 0.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `losses.SparseCategoricalCrossentropy`.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.sparse_categorical_crossentropy([1, 0], [[0.2, 0.8], [0.4, 0.6]]).round(4).tolist()
    [0.2231, 0.9163]
    """
    return losses.SparseCategoricalCrossentropy(from_logits, ignore_class).values(y_true, y_pred)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """Whether y_pred > threshold agrees with y_true: 1 or 0 for each number.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (N, ..., K)
    threshold : float
        From 0 to 1.

    Returns
    -------
    ndarray of float64, shape (N, ..., K)

    Raises
    ------
    ValueError, TypeError
        As `metrics.BinaryAccuracy`.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> metrics.binary_accuracy([[1.0], [0.0]], [[0.9], [0.7]]).tolist()
    [[1.0], [0.0]]
    """
    return _of_metric(metrics.BinaryAccuracy(threshold=threshold), y_true, y_pred)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`metrics.CategoricalAccuracy` of each sample or step: 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `metrics.CategoricalAccuracy`.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `metrics.CategoricalAccuracy`.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]]).tolist()
    [1.0, 0.0]
    """
    return _of_metric(metrics.CategoricalAccuracy(), y_true, y_pred)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`metrics.SparseCategoricalAccuracy` of each sample or step: 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `metrics.SparseCategoricalAccuracy`.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `metrics.SparseCategoricalAccuracy`.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> metrics.sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.4, 0.6]]).tolist()
    [1.0, 0.0]
    """
    return _of_metric(metrics.SparseCategoricalAccuracy(), y_true, y_pred)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """`metrics.TopKCategoricalAccuracy` of each sample or step: 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `metrics.TopKCategoricalAccuracy`.
    k : int
        At least 1.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `metrics.TopKCategoricalAccuracy`.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> metrics.top_k_categorical_accuracy([[0, 0, 1], [1, 0, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]], k=2).tolist()
    [1.0, 0.0]
    """
    return _of_metric(metrics.TopKCategoricalAccuracy(k), y_true, y_pred)


def sparse_top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """`metrics.SparseTopKCategoricalAccuracy` of each sample or step: 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like
        As of `metrics.SparseTopKCategoricalAccuracy`.
    k : int
        At least 1.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        As `metrics.SparseTopKCategoricalAccuracy`.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> metrics.sparse_top_k_categorical_accuracy([2, 0], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]], k=2).tolist()
    [1.0, 0.0]
    """
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
