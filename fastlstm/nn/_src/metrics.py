"""Metrics with Keras's names, defaults and numbers, summed up over any number of batches.

Letters: N samples, ... further axes such as time, K outputs of one sample or step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import checks
from ...arrays import size_of
from . import losses, names
from .types import Config, MetricLike, ShapeLike

Array = NDArray[Any]
_MOST_THRESHOLDS = 100_000


class Metric:
    """What all metrics have in common: batches come in by `update_state`, and `result` is the metric of all of them.

    For one of your own, derive from it and write `update_state`, `result` and `reset_state`. A function of y_true and
    y_pred that returns a number for each sample is a metric too: give it to `compile`.

    Parameters
    ----------
    name : str
        What logs call it.

    Attributes
    ----------
    name : str
    direction : "up", "down" or None
        Whether more is better or less. Where it is None, callbacks that watch the metric need to be given `mode`.

    Raises
    ------
    ValueError, TypeError
        An empty name; something else than a str.

    Examples
    --------
    The largest error so far; `fit` starts each epoch, and each validation, with `reset_state`.

    >>> import numpy as np
    >>> from fastlstm import nn
    >>> @nn.saving.register_keras_serializable()  # so that files of models may name it
    ... class LargestError(nn.metrics.Metric):
    ...     direction = "down"
    ...     def __init__(self, name="largest_error"):
    ...         super().__init__(name)
    ...     def reset_state(self):
    ...         self.largest = 0.0
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         errors = np.abs(np.subtract(y_true, y_pred))
    ...         if sample_weight is not None:  # 0 where a sample or a step does not count
    ...             errors = errors[np.reshape(sample_weight, errors.shape[:-1]) != 0]
    ...         self.largest = max(self.largest, float(errors.max(initial=0.0)))
    ...     def result(self):
    ...         return self.largest
    >>> model = nn.Sequential([nn.LSTM(2, input_shape=(5, 1)), nn.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse", metrics=[LargestError()])
    >>> x, y = np.ones((8, 5, 1)), np.arange(8.0)
    >>> loss, largest = model.evaluate(x, y, verbose=0)
    >>> bool(abs(largest - np.abs(model.predict(x, verbose=0)[:, 0] - y).max()) < 1e-5)
    True
    """

    direction: ClassVar[Literal["up", "down"] | None] = None

    def __init__(self, name: str) -> None:
        self.name = names.text("name", name)
        self.reset_state()

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in a batch.

        Parameters
        ----------
        y_true : array_like
            Targets, of y_pred's shape; also (N, ...) where K is 1, and class numbers (N, ...) or (N, ..., 1) for a
            sparse metric.
        y_pred : array_like, shape (N, ..., K)
        sample_weight : array_like, shape (N,), (N, ...) or (N, ..., 1), optional

        Raises
        ------
        ValueError, TypeError
            Shapes and types that do not fit.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected update_state to be overridden")

    def result(self) -> float:
        """The metric over all that came in since the last `reset_state`.

        Returns
        -------
        float
        """
        raise NotImplementedError(f"{type(self).__name__}: expected result to be overridden")

    def reset_state(self) -> None:
        """Forget all that came in."""
        raise NotImplementedError(f"{type(self).__name__}: expected reset_state to be overridden")

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same metric again.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        return {"name": self.name}

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Metric:
        """The metric that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Metric

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        return cls(**config)


class Mean(Metric):
    """The mean of numbers, weighted.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn.metrics import Mean
    >>> mean = Mean()
    >>> mean.add(0.5, 30)
    >>> mean.add(0.8, 10)
    >>> round(mean.result(), 3)
    0.575
    """

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)

    def add(self, value: float, weight: float = 1.0) -> None:
        """Take in a number.

        Parameters
        ----------
        value : float
        weight : float
            How many times it counts.
        """
        self.total += value * weight
        self.count += weight

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0

    def reset_state(self) -> None:
        self.total, self.count = 0.0, 0.0


class _MeanOfValues(Mean):
    """The mean over samples; a sample's number is the mean over its steps and outputs."""

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        predicted = checks.array("y_pred", y_pred)
        values, N = self._values(y_true, predicted), len(predicted)
        if not N:
            return
        if values.ndim == 0:
            values, sample_weight = np.full(N, values), _weight_of_all(self.name, sample_weight, N)
        if not _leads(values.shape, predicted.shape):
            raise ValueError(f"{self.name}: expected numbers of shape {predicted.shape[:1]} or {predicted.shape} for "
                             f"such predictions, got {values.shape}")  # fmt: skip
        if sample_weight is None:
            # a count of what is true is a tenth of the cost of a sum
            total = int(np.count_nonzero(values)) if values.dtype == bool else float(values.sum(dtype=np.float64))
            self.total += total * N / values.size
            self.count += N
            return
        weights = _spread(sample_weight, values.shape)
        of_each = values.size // N
        self.total += float(np.where(weights == 0, 0, values * weights).sum()) / of_each
        self.count += float(weights.sum()) / of_each

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
        """What it is the mean of: a number for each sample or step.

        Parameters
        ----------
        y_true, y_pred : array_like
            As in `update_state`.

        Returns
        -------
        ndarray, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            As `update_state`.
        """
        found: Array = self._values(y_true, checks.array("y_pred", y_pred))
        return found

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        raise NotImplementedError


class MeanMetricWrapper(_MeanOfValues):
    """The mean of what a function returns.

    Parameters
    ----------
    fn : callable
        `fn(y_true, y_pred, **kwargs)` gives numbers of y_pred's shape or of its first axes, (N,) or (N, ...); or one
        number for all of the batch. y_true comes in y_pred's shape where the two differ by a last axis of 1 only.
    name : str, optional
        The function's by default.
    kwargs
        Given to the function.

    Raises
    ------
    ValueError, TypeError
        In `update_state`: a function that returns no numbers, or of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.metrics import MeanMetricWrapper
    >>> within = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred) < 0.1, name="within")
    >>> within.update_state(np.array([0.0, 1.0]), np.array([0.05, 0.5]))
    >>> within.result()
    0.5
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **kwargs: Any) -> None:
        self._fn, self._kwargs = fn, kwargs
        super().__init__(name or str(getattr(fn, "__name__", type(fn).__name__)))

    def __repr__(self) -> str:
        return names.call(self, fn=self._fn)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        y_true = losses.in_shape(checks.array("y_true", y_true), y_pred.shape)
        return checks.array(self.name, self._fn(y_true, y_pred, **self._kwargs))

    def get_config(self) -> dict[str, Any]:
        raise TypeError(f"{self.name}: expected a metric that can be described by its name, got a function")


class BinaryAccuracy(_MeanOfValues):
    """How often y_pred > threshold agrees with y_true, 0 or 1.

    Parameters
    ----------
    name : str
    threshold : float
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        Another threshold.

    Examples
    --------
    >>> from fastlstm.nn.metrics import BinaryAccuracy
    >>> accuracy = BinaryAccuracy()
    >>> accuracy.update_state([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])
    >>> accuracy.result()
    0.75
    """

    direction = "up"

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        self.threshold = names.real("threshold", threshold, 0.0, 1.0)
        super().__init__(name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        return np.equal(y_pred > self.threshold, _like(y_true, y_pred, self.name))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(_MeanOfValues):
    """How often the largest prediction is of the class with the largest target.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn.metrics import CategoricalAccuracy
    >>> accuracy = CategoricalAccuracy()
    >>> accuracy.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
    >>> accuracy.result()
    0.5
    """

    direction = "up"

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        return np.equal(_like(y_true, y_pred, self.name).argmax(axis=-1), y_pred.argmax(axis=-1))


class SparseCategoricalAccuracy(_MeanOfValues):
    """How often the largest prediction is of the class whose number is the target.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn.metrics import SparseCategoricalAccuracy
    >>> accuracy = SparseCategoricalAccuracy()
    >>> accuracy.update_state([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
    >>> accuracy.result()
    0.5
    """

    direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        return np.equal(_classes(y_true, y_pred, self.name), y_pred.argmax(axis=-1))


class TopKCategoricalAccuracy(_MeanOfValues):
    """How often the class with the largest target is among the k largest predictions, equal ones counted in.

    Parameters
    ----------
    k : int
        At least 1.
    name : str

    Raises
    ------
    ValueError, TypeError
        Another k.

    Examples
    --------
    >>> from fastlstm.nn.metrics import TopKCategoricalAccuracy
    >>> accuracy = TopKCategoricalAccuracy(k=2)
    >>> accuracy.update_state([[0, 0, 1], [1, 0, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]])
    >>> accuracy.result()
    0.5
    """

    direction = "up"

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        self.k = size_of("k", k)
        super().__init__(name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        return _in_top(_like(y_true, y_pred, self.name).argmax(axis=-1), y_pred, self.k)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, "name": self.name}


class SparseTopKCategoricalAccuracy(_MeanOfValues):
    """How often the class whose number is the target is among the k largest predictions, equal ones counted in.

    Parameters
    ----------
    k : int
        At least 1.
    name : str

    Raises
    ------
    ValueError, TypeError
        Another k.

    Examples
    --------
    >>> from fastlstm.nn.metrics import SparseTopKCategoricalAccuracy
    >>> accuracy = SparseTopKCategoricalAccuracy(k=2)
    >>> accuracy.update_state([2, 0], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]])
    >>> accuracy.result()
    0.5
    """

    direction = "up"

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        self.k = size_of("k", k)
        super().__init__(name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        classes = _classes(y_true, y_pred, self.name)
        inside = (classes >= 0) & (classes < y_pred.shape[-1])
        return np.logical_and(_in_top(np.where(inside, classes, 0).astype(np.int64), y_pred, self.k), inside)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, "name": self.name}


class LossMetric(_MeanOfValues):
    """A loss as a metric: the weighted mean of its values.

    In training a loss is the weighted sum divided by the number of samples. The two differ where weights are not 1.

    Parameters
    ----------
    loss : Loss
    name : str, optional
        The loss's by default.

    Examples
    --------
    >>> from fastlstm.nn import losses, metrics
    >>> error = metrics.LossMetric(losses.MeanAbsoluteError())
    >>> error.update_state([[1.0], [2.0]], [[1.5], [2.0]])
    >>> error.result()
    0.25
    """

    direction = "down"

    def __init__(self, loss: losses.Loss, name: str | None = None) -> None:
        self.loss = loss
        super().__init__(name or loss.name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        return self.loss.values(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"loss": names.serialize(self.loss), "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> LossMetric:
        loss: Any = config.get("loss")
        return cls(**{**config, "loss": losses.get(loss)})


class RootMeanSquaredError(_MeanOfValues):
    """The root of the mean squared error.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn.metrics import RootMeanSquaredError
    >>> error = RootMeanSquaredError()
    >>> error.update_state([[0, 1], [0, 0]], [[1, 1], [0, 0]])
    >>> error.result()
    0.5
    """

    direction = "down"

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name)

    def _values(self, y_true: ArrayLike, y_pred: Array) -> Any:
        return np.square(y_pred - _like(y_true, y_pred, self.name).astype(np.float64), dtype=np.float64)

    def result(self) -> float:
        return float(np.sqrt(super().result()))


class R2Score(Metric):
    """The coefficient of determination of each output: 1 - Σ (y_true - y_pred)² / Σ (y_true - mean of y_true)².

    Parameters
    ----------
    class_aggregation : "uniform_average", "variance_weighted_average" or None
        How the scores of the K outputs become one. With None `result` is an array (K,).
    name : str

    Raises
    ------
    ValueError
        Another class_aggregation.

    Examples
    --------
    >>> from fastlstm.nn.metrics import R2Score
    >>> score = R2Score()
    >>> score.update_state([[1], [4], [3]], [[2], [4], [4]])
    >>> round(score.result(), 4)
    0.5714
    """

    direction = "up"

    _sums: list[Array] | None
    _origin: Array | None
    WAYS = ("uniform_average", "variance_weighted_average", None)

    def __init__(
        self, class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = "uniform_average",
        name: str = "r2_score",
    ) -> None:  # fmt: skip
        if class_aggregation not in self.WAYS:
            raise ValueError(f"class_aggregation: expected one of {self.WAYS}, got {class_aggregation!r}")
        self.class_aggregation = class_aggregation
        super().__init__(name)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        p = checks.array("y_pred", y_pred)
        if p.ndim != 2:
            raise ValueError(f"y_pred: expected shape (N, K) for {self.name}, got {p.shape}")
        t = _like(y_true, p, self.name).astype(np.float64)
        weights = np.ones((1, 1)) if sample_weight is None else _spread(sample_weight, p.shape[:1])[:, None]
        weights = np.broadcast_to(weights, t.shape)
        # about a point of the data, as the squares of large numbers leave nothing of a small spread
        if not len(t):
            return
        if self._origin is None:
            self._origin = t[0].copy()
        moved = t - self._origin
        sums = [(w * weights).sum(axis=0) for w in (np.ones(()), moved, moved * moved, (t - p) ** 2)]
        self._sums = sums if self._sums is None else [a + b for a, b in zip(self._sums, sums, strict=True)]

    def result(self) -> Any:  # a float; an array where class_aggregation is None
        if self._sums is None:
            return 0.0
        count, total, squares, residual = self._sums
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = squares - total * (total / count)
            scores = 1 - residual / spread
            scores[np.isinf(scores)] = 0.0
            if self.class_aggregation is None:
                return scores
            if self.class_aggregation == "uniform_average":
                return float(scores.mean())
            return float((spread * scores).sum() / spread.sum())

    def reset_state(self) -> None:
        self._sums = self._origin = None

    def get_config(self) -> dict[str, Any]:
        return {"class_aggregation": self.class_aggregation, "name": self.name}


class AUC(Metric):
    """The area under a curve: of true against false positives (ROC), or of precision against recall (PR).

    It is computed from counts at some thresholds.

    Parameters
    ----------
    num_thresholds : int
        From 2 to 100000, spread evenly over 0 to 1.
    curve : "ROC" or "PR"
    summation_method : "interpolation", "minoring" or "majoring"
        Which height the curve has between two thresholds: one in between [1]_ (for PR as [2]_ derives it), the lower
        one, or the upper one.
    name : str
    thresholds : sequence of float, optional
        From 0 to 1; in place of num_thresholds.
    from_logits : bool
        Whether predictions are logits and not probabilities.

    Raises
    ------
    ValueError, TypeError
        Other arguments.

    References
    ----------
    .. [1] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006).
    .. [2] J. Davis, M. Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006.

    Examples
    --------
    >>> from fastlstm.nn.metrics import AUC
    >>> area = AUC(num_thresholds=3)
    >>> area.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    >>> area.result()
    0.75
    """

    direction = "up"

    CURVES, METHODS = ("ROC", "PR"), ("interpolation", "minoring", "majoring")

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: Literal["ROC", "PR"] = "ROC",
        summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation",
        name: str = "auc",
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in self.CURVES:
            raise ValueError(f"curve: expected one of {self.CURVES}, got {curve!r}")
        if summation_method not in self.METHODS:
            raise ValueError(f"summation_method: expected one of {self.METHODS}, got {summation_method!r}")
        self.curve, self.summation_method, self.from_logits = (
            curve,
            summation_method,
            names.flag("from_logits", from_logits),
        )
        self._given = None
        if thresholds is not None:
            self._given = sorted(names.reals("thresholds", thresholds, 0.0, 1.0))
            inner = self._given
        else:
            if not 2 <= size_of("num_thresholds", num_thresholds) <= _MOST_THRESHOLDS:
                raise ValueError(f"num_thresholds: expected 2 to {_MOST_THRESHOLDS}, got {num_thresholds}")
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        # below every prediction and above
        self.thresholds = np.array([-losses.EPSILON, *inner, 1 + losses.EPSILON])
        self.num_thresholds = len(self.thresholds)
        super().__init__(name)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        p = checks.array("y_pred", y_pred)
        if p.ndim == 0:
            raise ValueError(f"y_pred: expected shape (N, ..., K) for {self.name}, got ()")
        positive = _like(y_true, p, self.name).reshape(-1) != 0
        weights = None if sample_weight is None else _spread(sample_weight, p.shape).reshape(-1)
        probabilities = p.astype(np.float64).reshape(-1)
        if self.from_logits:
            probabilities = 0.5 * (1 + np.tanh(0.5 * probabilities))
        if weights is not None:
            kept = weights != 0
            positive, weights, probabilities = positive[kept], weights[kept], probabilities[kept]
        off = 1e-6  # a softmax may round to a little more than 1
        if not ((probabilities >= -off) & (probabilities <= 1 + off)).all():
            raise ValueError(f"y_pred: expected 0 to 1 for {self.name}, got {probabilities.min()} to "
                             f"{probabilities.max()}")  # fmt: skip
        # how many thresholds each prediction lies above
        above = np.searchsorted(self.thresholds, probabilities.clip(0, 1), side="left")
        for counts, chosen in ((self._positives, positive), (self._negatives, ~positive)):
            counts += np.bincount(above[chosen], None if weights is None else weights[chosen], len(counts))

    def result(self) -> float:
        # true and false positives at each threshold, falling
        tp, fp = (counts[::-1].cumsum()[::-1][1:] for counts in (self._positives, self._negatives))
        positives, negatives = self._positives.sum(), self._negatives.sum()
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated(tp, tp + fp, positives)
        recall = _ratio(tp, positives)
        x, y = (_ratio(fp, negatives), recall) if self.curve == "ROC" else (recall, _ratio(tp, tp + fp))
        if self.summation_method == "interpolation":
            height = (y[:-1] + y[1:]) / 2
        else:
            height = (np.minimum if self.summation_method == "minoring" else np.maximum)(y[:-1], y[1:])
        return float(((x[:-1] - x[1:]) * height).sum())

    @staticmethod
    def _interpolated(tp: Array, p: Array, positives: float) -> float:
        """Between two thresholds true positives and predicted positives p change in proportion, so that precision
        is (intercept + slope p) / p; its integral over recall is a logarithm."""
        dtp, dp = tp[:-1] - tp[1:], p[:-1] - p[1:]
        slope = _ratio(dtp, dp)
        intercept = tp[1:] - slope * p[1:]
        both = (p[:-1] > 0) & (p[1:] > 0)
        ratio = np.where(both, _ratio(p[:-1], p[1:]), 1.0)
        return float(_ratio(slope * (dtp + intercept * np.log(ratio)), positives).sum())

    def reset_state(self) -> None:
        # weights by the number of thresholds that the prediction is above
        self._positives = np.zeros(self.num_thresholds + 1)
        self._negatives = np.zeros(self.num_thresholds + 1)

    def __repr__(self) -> str:
        return names.call(self, thresholds=self._given)

    def get_config(self) -> dict[str, Any]:
        return {
            "num_thresholds": self.num_thresholds, "curve": self.curve, "summation_method": self.summation_method,
            "name": self.name, "thresholds": self._given, "from_logits": self.from_logits,
        }  # fmt: skip


def adds_up(metric: Any) -> bool:
    """Whether a metric of several batches is that of the sums of theirs: the state of `Mean` or `AUC`, and no more."""
    own = getattr(type(metric), "reset_state", None)
    return isinstance(metric, (Mean, AUC)) and own in (Mean.reset_state, AUC.reset_state)


def sums(metric: Any) -> Array:
    """What such a metric has added up."""
    if isinstance(metric, AUC):
        return np.concatenate([metric._positives, metric._negatives])
    return np.array([metric.total, metric.count], np.float64)


def set_sums(metric: Any, sums: Array) -> None:
    """Have a metric go on from those."""
    if isinstance(metric, AUC):
        metric._positives, metric._negatives = (part.copy() for part in np.split(sums, 2))
    else:
        metric.total, metric.count = sums.tolist()


def _loss_metric(loss: Callable[[], losses.Loss]) -> Callable[[], Metric]:
    return lambda: LossMetric(loss())


KNOWN: dict[str, Callable[[], Metric]] = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "root_mean_squared_error": RootMeanSquaredError,
    "r2_score": R2Score,
    "auc": AUC,
} | {name: _loss_metric(loss) for name, loss in losses.KNOWN.items()}
"""Names that `get` knows, besides accuracy."""

CLASSES: dict[str, Any] = {
    made.__name__: made
    for made in (
        BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy, RootMeanSquaredError, R2Score, AUC, LossMetric,
    )
}  # fmt: skip
"""What a record of `names.serialize` may be of."""


def get(identifier: MetricLike, loss: losses.Loss | None = None, output_shape: ShapeLike | None = None) -> Metric:
    """A metric by its name.

    Parameters
    ----------
    identifier : str, callable, dict or Metric
        A name as Keras has it, which becomes the metric's name; a function for `MeanMetricWrapper`; what `serialize`
        made; or a metric, which is returned. Whatever has `update_state`, `result` and `reset_state` is a metric.
    loss : Loss, optional
    output_shape : sequence of int, (N, ..., K), optional
        These two decide what "accuracy" and "acc" mean: binary where K is 1, sparse where the loss is, else
        categorical.

    Returns
    -------
    Metric

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one. Accuracy without loss or output_shape.
    TypeError
        Something else.

    Examples
    --------
    >>> from fastlstm.nn import losses, metrics
    >>> type(metrics.get("accuracy", losses.get("bce"), (None, 1))).__name__
    'BinaryAccuracy'
    """
    if all(hasattr(identifier, method) for method in ("update_state", "result", "reset_state")):
        if isinstance(identifier, type):
            raise TypeError(f"metric: expected a metric, got the class {identifier.__name__}: call it")
        if not isinstance(getattr(identifier, "name", None), str):
            raise TypeError(f"metric: expected one with a name, a str, got {type(identifier).__name__} without")
        return identifier  # type: ignore[return-value]
    if isinstance(identifier, Mapping):
        return names.deserialize("metric", identifier, CLASSES)  # type: ignore[no-any-return]
    if isinstance(identifier, str):
        if identifier.lower() in ("accuracy", "acc"):
            if output_shape is None or (loss is None and output_shape[-1] != 1):
                raise ValueError(f"metric: expected loss and output_shape to choose {identifier!r} by, got "
                                 f"{loss} and {output_shape}")  # fmt: skip
            made: Metric
            if output_shape[-1] == 1:
                made = BinaryAccuracy()
            elif isinstance(loss, losses.SparseCategoricalCrossentropy):
                made = SparseCategoricalAccuracy()
            else:
                made = CategoricalAccuracy()
        else:
            made = names.find("metric", identifier, KNOWN | {"accuracy": BinaryAccuracy})()
        made.name = identifier
        return made
    if callable(identifier):
        if identifier in losses.FUNCTIONS:
            return LossMetric(losses.get(identifier))
        return MeanMetricWrapper(identifier)
    raise TypeError(f"metric: expected a name, a Metric or a function, got {type(identifier).__name__}")


def _like(y_true: Any, y_pred: Array, name: str) -> Array:
    """Targets in the predictions' shape."""
    found = checks.array("y_true", y_true)
    if found.shape == y_pred.shape:
        return found
    if found.shape + (1,) == y_pred.shape or found.shape == (*y_pred.shape, 1):
        return found.reshape(y_pred.shape)
    raise ValueError(f"y_true: expected shape {y_pred.shape} for {name}, got {found.shape}")


def _classes(y_true: Any, y_pred: Array, name: str) -> Array:
    """Class numbers, shape (N, ...)."""
    found = checks.array("y_true", y_true)
    if y_pred.ndim > 1 and found.shape == (*y_pred.shape[:-1], 1):
        found = found[..., 0]
    if y_pred.ndim < 2 or found.shape != y_pred.shape[:-1]:
        raise ValueError(f"y_true: expected class numbers for predictions (N, ..., K) for {name}, got shapes "
                         f"{found.shape} and {y_pred.shape}")  # fmt: skip
    return found


def _in_top(classes: Array, y_pred: Array, k: int) -> Array:
    """Whether the class's prediction is at least the k-th largest."""
    K = y_pred.shape[-1]
    own = np.take_along_axis(y_pred, classes[..., None], axis=-1)
    least = np.partition(y_pred, K - min(k, K), axis=-1)[..., K - min(k, K), None]
    return (own >= least)[..., 0]


def _spread(sample_weight: Any, shape: tuple[int, ...]) -> Array:
    """Weights of samples, or of all axes up to some one, as weights of all numbers of that shape."""
    found = checks.array("sample_weight", sample_weight)
    leading = found.shape
    if leading != shape[: len(leading)] and leading[-1:] == (1,):
        leading = leading[:-1]
    if not leading or leading != shape[: len(leading)]:
        raise ValueError(f"sample_weight: expected shape {shape[:1]} or the like for numbers of shape {shape}, "
                         f"got {found.shape}")  # fmt: skip
    weights = found.reshape(leading + (1,) * (len(shape) - len(leading)))
    return np.broadcast_to(weights, shape).astype(np.float64)


def _leads(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a shape, but for last axes of 1, is the beginning of another."""
    if shape == whole or shape == whole[:-1]:
        return True
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape == whole[: len(shape)]


def _weight_of_all(name: str, sample_weight: Any, N: int) -> Array | None:
    """The weight of a number for a whole batch, N times; there has to be one only."""
    if sample_weight is None:
        return None
    found = checks.array("sample_weight", sample_weight)
    if not (found == found.flat[0]).all():
        raise ValueError(f"{name}: expected a number for each sample, as there are weights or a mask, got one for all")
    return np.full(N, found.flat[0], np.float64)


def _ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is not above 0."""
    b = np.broadcast_to(b, np.shape(a))
    return np.divide(a, b, out=np.zeros(np.shape(a)), where=b > 0)
