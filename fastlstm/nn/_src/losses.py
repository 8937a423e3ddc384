"""Losses with Keras's names, defaults and numbers: a value, and its gradient with respect to the predictions.

Letters: N samples, ... further axes such as time, K outputs of one sample or step.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import backend, checks
from ...arrays import integer
from ...backend import LossRule
from . import names
from .options import Checks, Options
from .types import Config, LossLike

Array = NDArray[Any]

EPSILON = 1e-7
"""Probabilities are clipped to EPSILON ... 1 - EPSILON before their logarithm is taken, as Keras does."""

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_NO_LABELS = np.zeros(0, np.int64)
_NONE: dict[Any, Array] = {dtype: np.zeros(0, dtype) for dtype in _FLOATS}


class Loss(Options):
    """What all losses have in common: a number for predictions beside targets, and its gradient.

    The number is a sum over all samples and steps: of the loss of each times its weight. It is divided by how many
    there are, and not by the sum of the weights: Keras's reduction "sum_over_batch_size".

    For one of your own, derive from it and write `value_and_gradient`; and `values`, if it is to be a metric too. If
    models with it are to be saved, register the class and write `get_config`.

    Parameters
    ----------
    name : str

    Raises
    ------
    ValueError, TypeError
        An empty name; something else than a str.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import losses
    >>> loss = losses.get("binary_crossentropy")
    >>> value, dy = loss.value_and_gradient([1, 0], np.array([[0.8], [0.4]]))
    >>> round(value, 4), dy.round(4).tolist()
    (0.367, [[-0.625], [0.8333]])

    One of your own, for forecasts that are to be exceeded once in ten times. y_true comes in y_pred's shape, (N, K);
    the weights, one a sample, are those of ``fit``, and 0 where a mask leaves something out.

    >>> from fastlstm import nn
    >>> @nn.saving.register_keras_serializable()  # so that files of models may name it
    ... class Pinball(losses.Loss):
    ...     def __init__(self, quantile=0.9, name="pinball"):
    ...         super().__init__(name)
    ...         self.quantile = quantile
    ...     def values(self, y_true, y_pred):
    ...         error = np.subtract(y_true, y_pred)
    ...         return np.maximum(self.quantile * error, (self.quantile - 1) * error).mean(axis=-1)
    ...     def value_and_gradient(self, y_true, y_pred, sample_weight=None):
    ...         N, K = y_pred.shape
    ...         weights = np.ones(N) if sample_weight is None else np.reshape(sample_weight, N)
    ...         slopes = np.where(y_true > y_pred, -self.quantile, 1 - self.quantile)
    ...         value = (weights * self.values(y_true, y_pred)).sum() / N
    ...         return value, weights[:, None] * slopes / (N * K)
    ...     def get_config(self):
    ...         return {"quantile": self.quantile, "name": self.name}
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((500, 5, 1)), rng.uniform(0, 1, (500, 1))
    >>> model = nn.Sequential([nn.LSTM(2, input_shape=(5, 1)), nn.Dense(1)], seed=0)
    >>> model.compile(nn.optimizers.Adam(0.02), Pinball(0.9))
    >>> history = model.fit(x, y, epochs=15, verbose=0)
    >>> 0.8 < float((y < model.predict(x, verbose=0)).mean()) < 0.97
    True
    """

    name = "loss"
    """Of one of your own that says none."""

    def __init__(self, name: str) -> None:
        self.name = names.text("name", name)

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The loss: what `value_and_gradient` returns first.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            As in `value_and_gradient`.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            As `check`.
        """
        return self.value_and_gradient(y_true, y_pred, sample_weight)[0]

    def value_and_gradient(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        """The loss, and its gradient with respect to y_pred.

        Parameters
        ----------
        y_true : array_like
            Targets, of y_pred's shape; also (N, ...) where K is 1. For a sparse loss (N, ...) or (N, ..., 1).
        y_pred : array_like, shape (N, ..., K)
            Predictions; (N,) is taken for (N, 1).
        sample_weight : array_like, shape (N,), (N, ...) or (N, ..., 1), optional
            Weights of samples or of steps. What has weight 0 is not looked at.

        Returns
        -------
        value : float
        dy : ndarray, of the shape and float type of y_pred

        Raises
        ------
        ValueError, TypeError
            As `check`.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected value_and_gradient to be overridden")

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
        """The loss of each sample or step.

        Parameters
        ----------
        y_true, y_pred
            As in `value_and_gradient`.

        Returns
        -------
        ndarray of float64, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            As `check`.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected values to be overridden")

    def check(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Raise an error that says what is wrong with targets for such predictions, if anything is.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            As in `value_and_gradient`.

        Raises
        ------
        ValueError
            Shapes that do not fit together; labels out of range, where their weight is not 0.
        TypeError
            No real numbers.
        """

    def _counted(self, y_true: Any, rows: int) -> int:
        """What the sum over that many samples or steps is divided by."""
        return rows

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same loss again.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        return {"name": self.name}

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Loss:
        """The loss that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Loss

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        return cls(**config)


def _class_number(name: str, value: Any) -> int | None:
    return None if value is None else integer(name, value, -(2**63) + 1)


_LOGITS = {"from_logits": names.flag}
_SMOOTHING = {"label_smoothing": lambda name, value: names.real(name, value, 0.0, 1.0)}


class _Compiled(Loss):
    """A loss that a kernel computes."""

    def value_and_gradient(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        p = _predictions(y_pred)
        values, dy, share = self._run(y_true, p, sample_weight)
        return float(values[-1]) * share, dy if dy.ndim == np.ndim(y_pred) else dy.reshape(np.shape(y_pred))

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
        p = _predictions(y_pred)
        return self._run(y_true, p, None)[0][:-1].reshape(p.shape[:-1])

    def check(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        p = _predictions(y_pred)
        weights = _weights(sample_weight, p)
        targets = self._targets(y_true, p)
        self._check_range(targets, p.shape[-1], weights)

    def _run(self, y_true: Any, p: Array, sample_weight: Any) -> tuple[Array, Array, float]:
        """Weighted losses and, behind them, their sum; the gradient; what the sum is to be multiplied by."""
        weights, targets = _weights(sample_weight, p), self._targets(y_true, p)
        dy = np.empty(p.shape, p.dtype)
        values = np.zeros(p.size // p.shape[-1] + 1)
        if p.size == 0:
            return values, dy, 0.0
        share = self._fill(targets, p, weights, values, dy.reshape(-1))
        if values[-1] != values[-1]:  # NaN in the predictions, or labels out of range
            self._check_range(targets, p.shape[-1], weights)
        return values, dy, share

    def _targets(self, y_true: Any, p: Array) -> Array:
        """Flat, as the kernel takes them."""
        found = checks.array("y_true", y_true)
        if found.shape != p.shape and in_shape(found, p.shape).shape != p.shape:
            raise ValueError(
                f"y_true: expected shape {p.shape} for {self.name}, got {found.shape}{self._advice(found, p)}"
            )
        return checks.native(found, p.dtype).reshape(-1)

    def _advice(self, y_true: Array, p: Array) -> str:
        return ""

    def _check_range(self, targets: Array, K: int, weights: Array) -> None:
        """Every number is a target."""

    def _fill(self, targets: Array, p: Array, weights: Array, values: Array, dy: Array) -> float:
        raise NotImplementedError


class _Pointwise(_Compiled):
    """The mean over the K outputs of a function of each."""

    _kind: str
    label_smoothing = 0.0
    delta = 1.0

    def _fill(self, targets: Array, p: Array, weights: Array, values: Array, dy: Array) -> float:
        share = 1.0 / (len(values) - 1)
        rule = LossRule(self._kind, _numbers(self.label_smoothing, self.delta)[p.dtype], share)
        backend.engine.training.pointwise(rule, targets, p, weights, values, dy)
        return share


class MeanSquaredError(_Pointwise):
    """Mean of (y_pred - y_true)².

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn.losses import MeanSquaredError
    >>> MeanSquaredError()([[0.0, 1.0]], [[0.0, 0.5]])
    0.125
    """

    _kind = "squared"

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)


class MeanAbsoluteError(_Pointwise):
    """Mean of |y_pred - y_true|; the gradient at 0 is 0.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> from fastlstm.nn.losses import MeanAbsoluteError
    >>> MeanAbsoluteError()([[0.0, 1.0]], [[0.0, 0.5]])
    0.25
    """

    _kind = "absolute"

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name)


class Huber(_Pointwise):
    """Mean of a function of the error e = y_pred - y_true [1]_: e²/2 up to |e| = delta, delta |e| - delta²/2 beyond.

    Parameters
    ----------
    delta : float
        Where the square turns into a line; above 0.
    name : str

    Raises
    ------
    ValueError, TypeError
        Another delta.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35 (1964).

    Examples
    --------
    >>> from fastlstm.nn.losses import Huber
    >>> Huber()([[0.0, 0.0]], [[0.5, 3.0]])
    1.3125
    """

    _kind = "huber"
    _options: ClassVar[Checks] = {"delta": lambda name, value: names.real(name, value, np.finfo(float).tiny)}

    def __init__(self, delta: float = 1.0, name: str = "huber_loss") -> None:
        super().__init__(name)
        self.delta = delta

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta, "name": self.name}


class BinaryCrossentropy(_Pointwise):
    """Mean of -t log p - (1 - t) log(1 - p); targets t from 0 to 1.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits, p = sigmoid(y_pred), and not probabilities p.
    label_smoothing : float
        From 0 to 1: how far targets are drawn towards 1/2.
    name : str

    Raises
    ------
    ValueError, TypeError
        Another label_smoothing.

    Notes
    -----
    Probabilities are clipped to `EPSILON` ... 1 - `EPSILON`, and where one is clipped its gradient is 0: logits keep
    learning where a probability has become 0 or 1.

    Examples
    --------
    >>> from fastlstm.nn.losses import BinaryCrossentropy
    >>> round(BinaryCrossentropy(from_logits=True)([1], [[0.0]]), 4)
    0.6931
    """

    _options = _LOGITS | _SMOOTHING

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, name: str = "binary_crossentropy"
    ) -> None:
        super().__init__(name)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing

    @property
    def _kind(self) -> str:  # type: ignore[override]
        return "binary_logits" if self.from_logits else "binary"

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "name": self.name}

    def _check_range(self, targets: Array, K: int, weights: Array) -> None:
        _check_probabilities(self.name, targets, K, weights)


class _Categorical(_Compiled):
    """Cross-entropy of K classes, from probabilities, which are divided by their sum, or from logits."""

    label_smoothing = 0.0

    def __init__(self, name: str, from_logits: bool) -> None:
        super().__init__(name)
        self.from_logits = from_logits

    def _crossentropy(self, t: Array, labels: Array, ignored: int, share: float, p: Array, weights: Array,
                      values: Array, dy: Array) -> float:  # fmt: skip
        kind = "categorical_logits" if self.from_logits else "categorical"
        rule = LossRule(kind, _numbers(self.label_smoothing, 1.0)[p.dtype], share)
        backend.engine.training.categorical(rule, t, labels, ignored, p, weights, values, dy)
        return share


class CategoricalCrossentropy(_Categorical):
    """-Σ t log p over K classes; targets t, one a class, from 0 to 1.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits, p = softmax(y_pred), and not probabilities, p = y_pred / Σ y_pred.
    label_smoothing : float
        From 0 to 1: how far targets are drawn towards 1/K.
    name : str

    Raises
    ------
    ValueError, TypeError
        Another label_smoothing.

    Notes
    -----
    Probabilities are clipped as in `BinaryCrossentropy`.

    Examples
    --------
    >>> from fastlstm.nn.losses import CategoricalCrossentropy
    >>> round(CategoricalCrossentropy()([[0, 1, 0]], [[0.05, 0.95, 0.0]]), 4)
    0.0513
    """

    _options = _LOGITS | _SMOOTHING

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, name: str = "categorical_crossentropy"
    ) -> None:
        super().__init__(name, from_logits)
        self.label_smoothing = label_smoothing

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, "name": self.name}

    def _fill(self, targets: Array, p: Array, weights: Array, values: Array, dy: Array) -> float:
        return self._crossentropy(targets, _NO_LABELS, -1, 1.0 / (len(values) - 1), p, weights, values, dy)

    def _advice(self, y_true: Array, p: Array) -> str:
        classes = y_true.shape in (p.shape[:-1], (*p.shape[:-1], 1))
        return "; class numbers go with sparse_categorical_crossentropy" if classes else ""

    def _check_range(self, targets: Array, K: int, weights: Array) -> None:
        _check_probabilities(self.name, targets, K, weights)


class SparseCategoricalCrossentropy(_Categorical):
    """-log p of the right class; targets are class numbers from 0 to K - 1.

    Parameters
    ----------
    from_logits : bool
        As in `CategoricalCrossentropy`.
    ignore_class : int, optional
        A class number that marks samples or steps which do not count. The sum is divided by the number of the others.
    name : str

    Raises
    ------
    TypeError
        Another ignore_class.

    Notes
    -----
    Probabilities are clipped as in `BinaryCrossentropy`.

    Examples
    --------
    >>> from fastlstm.nn.losses import SparseCategoricalCrossentropy
    >>> round(SparseCategoricalCrossentropy()([1], [[0.05, 0.95, 0.0]]), 4)
    0.0513
    """

    _options = _LOGITS | {"ignore_class": _class_number}

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(name, from_logits)
        self.ignore_class = ignore_class

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "ignore_class": self.ignore_class, "name": self.name}

    def _targets(self, y_true: Any, p: Array) -> Array:
        found = checks.array("y_true", y_true)
        if found.shape not in (p.shape[:-1], (*p.shape[:-1], 1)):
            advice = "; targets with one number a class go with categorical_crossentropy" * (found.shape == p.shape)
            raise ValueError(f"y_true: expected class numbers of shape {p.shape[:-1]} for {self.name}, "
                             f"got shape {found.shape}{advice}")  # fmt: skip
        if found.dtype.kind == "f":
            whole = np.trunc(found)
            if not (whole == found).all():
                raise ValueError(
                    f"y_true: expected whole class numbers for {self.name}, got {found[whole != found][0]}"
                )
        return checks.native(found, np.int64).reshape(-1)

    def _fill(self, targets: Array, p: Array, weights: Array, values: Array, dy: Array) -> float:
        # a class number out of range is refused, so the smallest integer stands for none
        ignored, count = -(2**63), self._counted(targets, len(targets))
        if self.ignore_class is not None:
            ignored = self.ignore_class
        share = 1.0 / count if count else 0.0
        return self._crossentropy(_NONE[p.dtype], targets, ignored, share, p, weights, values, dy)

    def _counted(self, y_true: Any, rows: int) -> int:
        return rows if self.ignore_class is None else rows - int(np.count_nonzero(y_true == self.ignore_class))

    def _check_range(self, targets: Array, K: int, weights: Array) -> None:
        wrong = (targets < 0) | (targets >= K)
        if self.ignore_class is not None:
            wrong &= targets != self.ignore_class
        if weights.size:
            wrong &= weights != 0
        if wrong.any():
            raise ValueError(f"y_true: expected class numbers 0 to {K - 1} for {self.name}, got {targets[wrong][0]}")


def in_shape(y_true: Array, shape: tuple[int, ...]) -> Array:
    """Targets in the predictions' shape, where the two differ by a last axis of 1; else as they are."""
    lacking, surplus = (*y_true.shape, 1) == shape, y_true.shape == (*shape, 1)
    return y_true.reshape(shape) if lacking or surplus else y_true


def computed(loss: Loss, y_true: Any, y_pred: Array, sample_weight: Any) -> tuple[float, Array]:
    """`value_and_gradient`, with what a loss of the caller's own returns checked.

    Raises
    ------
    ValueError, TypeError
        More than one number; a gradient of another shape than y_pred, or of no numbers.
    """
    value, dy = loss.value_and_gradient(y_true, y_pred, sample_weight)
    if isinstance(loss, _Compiled):
        return value, dy
    dy = checks.array(f"{loss.name}: gradient", dy)
    if dy.shape != y_pred.shape:
        raise ValueError(f"{loss.name}: expected a gradient of shape {y_pred.shape}, got {dy.shape}")
    if np.ndim(value) != 0:
        raise ValueError(f"{loss.name}: expected one number as its value, got shape {np.shape(value)}")
    return float(value), checks.native(dy, y_pred.dtype)


def masked_weights(mask: Any, sample_weight: Any = None, *, scaled: bool = True) -> Array:
    """Weights under which a loss is the mean over what the mask leaves, as Keras weighs a masked output.

    Parameters
    ----------
    mask : array_like of bool, shape (N, ...)
        True where a sample or step counts.
    sample_weight : array_like, shape (N,) or (N, ...), optional
    scaled : bool
        False leaves 1, or the sample's weight, where the mask is true.

    Returns
    -------
    ndarray of float64, shape (N, ...)

    Raises
    ------
    ValueError, TypeError
        Shapes and types that do not fit.

    Examples
    --------
    >>> from fastlstm.nn._src.losses import masked_weights
    >>> masked_weights([[True, True, True], [True, False, False]]).tolist()
    [[1.5, 1.5, 1.5], [1.5, 0.0, 0.0]]
    """
    found = checks.array("mask", mask)
    if found.dtype != bool:
        raise TypeError(f"mask: expected booleans, got dtype {found.dtype}")
    weights = found * (found.size / max(int(np.count_nonzero(found)), 1) if scaled else 1.0)
    if sample_weight is not None:
        weights *= spread("sample_weight", checks.array("sample_weight", sample_weight), found.shape)
    return np.asarray(weights, np.float64)


def get(identifier: LossLike) -> Loss:
    """A loss by its name.

    Parameters
    ----------
    identifier : str, dict or Loss
        A name as Keras has it ("binary_crossentropy", "BinaryCrossentropy", "bce"), the function of that name, what
        `serialize` made, or a loss, which is returned.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one.
    TypeError
        Something else.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, Loss):
        return identifier
    with contextlib.suppress(TypeError):  # what has no hash is no function
        if identifier in FUNCTIONS:
            return FUNCTIONS[identifier]()
    wanted = "a name or a Loss (derive from it for one of your own: the gradient is needed too)"
    found: Loss = names.made("loss", identifier, KNOWN, wanted)
    return found


KNOWN: dict[str, Callable[[], Loss]] = {
    "binary_crossentropy": BinaryCrossentropy, "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError, "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError, "mae": MeanAbsoluteError,
    "huber": Huber,
}  # fmt: skip
"""Names that `get` knows."""
FUNCTIONS: dict[Callable[..., Array], Callable[[], Loss]] = {}
"""The same as functions, of Keras's names too."""


@functools.lru_cache
def _numbers(smoothing: float, delta: float) -> dict[Any, Array]:
    """For the kernels, in either float type."""
    return {dtype: np.array([EPSILON, 1 - EPSILON, smoothing, delta], dtype) for dtype in _FLOATS}


def _predictions(y_pred: Any) -> Array:
    """(N, ..., K) of a float type in C order."""
    found = checks.array("y_pred", y_pred)
    if found.ndim == 0 or (found.ndim > 1 and found.shape[-1] == 0):
        raise ValueError(f"y_pred: expected shape (N, ..., K) with K at least 1, got {found.shape}")
    kind = found.dtype
    if kind not in _FLOATS:
        native = kind.newbyteorder("=")
        kind = native if native in _FLOATS else _FLOATS[1]
    found = checks.native(found, kind)
    return found[:, None] if found.ndim == 1 else found


def _weights(sample_weight: Any, p: Array) -> Array:
    """Flat, a number a row of p; none is an array without entries."""
    if sample_weight is None:
        return _NONE[p.dtype]
    found = checks.array("sample_weight", sample_weight)
    rows = p.shape[:-1]
    if found.shape != rows:
        found = spread("sample_weight", found, rows)
    return checks.native(found, p.dtype).reshape(-1)


def spread(name: str, weights: Array, shape: tuple[int, ...]) -> Array:
    """Weights of samples, or of all axes up to some one, as weights of steps: shape (N, ...)."""
    leading = weights.shape[:-1] if weights.shape[-1:] == (1,) and weights.ndim > 1 else weights.shape
    if not leading or leading != shape[: len(leading)]:
        wanted = " or ".join(dict.fromkeys(map(str, (shape[:1], shape))))
        raise ValueError(f"{name}: expected shape {wanted}, got {weights.shape}")
    return np.broadcast_to(weights.reshape(leading + (1,) * (len(shape) - len(leading))), shape)


def _check_probabilities(name: str, targets: Array, K: int, weights: Array) -> None:
    wrong = ~((targets >= 0) & (targets <= 1))  # NaN too
    if weights.size:
        wrong &= np.repeat(weights != 0, K)
    if wrong.any():
        raise ValueError(f"y_true: expected 0 to 1 for {name}, got {targets[wrong][0]}")
