"""Losses as metrics, each by a name of its own, as Keras has them."""

from __future__ import annotations

from typing import Any

from . import losses, metrics
from .types import Config


class _OfLoss(metrics.LossMetric):
    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same metric again."""
        return {"name": self.name, **{key: value for key, value in self.loss.get_config().items() if key != "name"}}

    @classmethod
    def from_config(cls, config: Config) -> _OfLoss:
        """The metric that `get_config` described."""
        return cls(**config)


class MeanSquaredError(_OfLoss):
    """The mean squared error, by `losses.MeanSquaredError`.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> error = metrics.MeanSquaredError()
    >>> error.update_state([[0.0], [2.0]], [[1.0], [2.0]])
    >>> error.result()
    0.5
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(losses.MeanSquaredError(), name)


class MeanAbsoluteError(_OfLoss):
    """The mean absolute error, by `losses.MeanAbsoluteError`.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> error = metrics.MeanAbsoluteError()
    >>> error.update_state([[0.0], [2.0]], [[1.0], [2.0]])
    >>> error.result()
    0.5
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(losses.MeanAbsoluteError(), name)


class BinaryCrossentropy(_OfLoss):
    """The mean of `losses.BinaryCrossentropy`.

    Parameters
    ----------
    name : str
    from_logits, label_smoothing
        As in the loss.

    Raises
    ------
    ValueError, TypeError
        As the loss.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> crossentropy = metrics.BinaryCrossentropy()
    >>> crossentropy.update_state([[1], [0]], [[0.8], [0.4]])
    >>> round(crossentropy.result(), 4)
    0.367
    """

    def __init__(
        self, name: str = "binary_crossentropy", from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:  # fmt: skip
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name)


class CategoricalCrossentropy(_OfLoss):
    """The mean of `losses.CategoricalCrossentropy`.

    Parameters
    ----------
    name : str
    from_logits, label_smoothing
        As in the loss.

    Raises
    ------
    ValueError, TypeError
        As the loss.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> crossentropy = metrics.CategoricalCrossentropy()
    >>> crossentropy.update_state([[0, 1, 0]], [[0.05, 0.95, 0.0]])
    >>> round(crossentropy.result(), 4)
    0.0513
    """

    def __init__(
        self, name: str = "categorical_crossentropy", from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:  # fmt: skip
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing), name)


class SparseCategoricalCrossentropy(_OfLoss):
    """The mean of `losses.SparseCategoricalCrossentropy`.

    Parameters
    ----------
    name : str
    from_logits : bool
        As in the loss.

    Raises
    ------
    TypeError
        Something else than a bool.

    Examples
    --------
    >>> from fastlstm.nn import metrics
    >>> crossentropy = metrics.SparseCategoricalCrossentropy()
    >>> crossentropy.update_state([1], [[0.05, 0.95, 0.0]])
    >>> round(crossentropy.result(), 4)
    0.0513
    """

    def __init__(self, name: str = "sparse_categorical_crossentropy", from_logits: bool = False) -> None:
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits), name)

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same metric again."""
        return {key: value for key, value in super().get_config().items() if key != "ignore_class"}


metrics.CLASSES.update(
    {one.__name__: one for one in (MeanSquaredError, MeanAbsoluteError, BinaryCrossentropy, CategoricalCrossentropy,
                                   SparseCategoricalCrossentropy)}
)  # fmt: skip
