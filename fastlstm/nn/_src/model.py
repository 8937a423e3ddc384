"""A stack of layers that learns, by Keras's names: add, compile, fit, evaluate, predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import checks
from . import data, losses, metrics, names, optimizers, saving
from .base import Mask
from .callbacks import CallbackList, History
from .data import Arrays, Batch, Stream
from .metrics import get as known_metric
from .repeat import Repeated, Repeats
from .stack import Stack

Array = NDArray[Any]
_BATCH = 32  # samples, as in Keras
_CHECKED = 4096  # samples whose targets are checked at once


class Sequential(Stack):
    """A stack of layers.

    Parameters
    ----------
    layers : sequence of layers, optional
        Bottom first; it may begin with an `Input`.
    name : str
    seed : int, optional
        For first weights, dropout and the order of samples: with the same seed, the same layers and the same data all
        results have the same bits, with any number of threads. Without one the numbers come from the stream that
        `set_random_seed` begins.

    Attributes
    ----------
    layers : list
    flat_params, flat_grads : ndarray, shape (P,)
        All weights, and their gradients, of which `layer.params` and `layer.grads` are views, in the order of
        `get_weights`. To be changed in place.
    history : History
        Of the last `fit`, also of one that was interrupted.
    epoch : int
        Epochs that `fit` has finished, also before the model was saved: where to go on with initial_epoch.
    stop_training : bool
        A callback sets it to end `fit`.

    Raises
    ------
    ValueError, TypeError
        No layers; shapes that do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import LSTM, Dense, Sequential
    >>> model = Sequential([LSTM(8, input_shape=(5, 3)), Dense(1, activation="sigmoid")], seed=0)
    >>> model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    >>> x = np.random.default_rng(0).standard_normal((320, 5, 3))
    >>> y = x[:, :, 0].sum(axis=1) > 0
    >>> history = model.fit(x, y, epochs=40, verbose=0)
    >>> loss, accuracy = model.evaluate(x, y, verbose=0)
    >>> accuracy > 0.9, model.predict(x[:2], verbose=0).shape
    (True, (2, 1))
    """

    def __init__(self, layers: Sequence[Any] | None = None, *, name: str = "sequential", seed: int | None = None):
        self.compiled = self.stop_training = False
        self.optimizer: Any = None
        self.history: History | None = None
        self.epoch = 0
        self._loss: Any = None
        self._given_metrics: tuple[list[Any], list[Any]] = ([], [])
        self._metrics: list[tuple[Any, bool]] = []
        self._total = metrics.Mean("loss")
        self._built_for: Array | None = None  # the parameters that the optimizer knows
        super().__init__(layers, name, seed)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        """A model of that architecture, with new weights.

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make; an unknown layer.
        """
        made: Sequential = saving.from_config(cls, config, draw=True)
        return made

    def _joined(self) -> None:
        if self.compiled:
            self._choose_metrics()

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, weighted_metrics: Any = None
    ) -> None:
        """Say how the model learns.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
        metrics, weighted_metrics : list of str, Metric or functions, optional
            The latter take sample weights into account.

        Raises
        ------
        ValueError, TypeError
            Unknown names; the message says the nearest one.
        """
        if loss is None:
            raise ValueError("loss: expected a name such as 'mse' or a Loss, got None")
        found = optimizers.get(optimizer), losses.get(loss)
        given = (_listed("metrics", metrics), _listed("weighted_metrics", weighted_metrics))
        self.optimizer, self._loss = found
        self._given_metrics = given
        self._metrics = []
        if self.built:
            self._choose_metrics()
        else:  # names are checked now, for whatever outputs
            for one in (*given[0], *given[1]):
                known_metric(one, self._loss, (None, 1))
        self.compiled = True

    def _choose_metrics(self) -> None:
        self._metrics = [
            (metrics.get(one, self._loss, self.output_shape), weighted)
            for weighted, given in zip((False, True), self._given_metrics, strict=True)
            for one in given
        ]
        taken = ["loss", *(metric.name for metric, _ in self._metrics)]
        if len(set(taken)) < len(taken):
            raise ValueError(f"metrics: expected unlike names, got {', '.join(taken[1:])}")

    @property
    def loss(self) -> Any:
        """The Loss that compile was given or found."""
        return self._loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics, that of the loss first."""
        return [self._total, *(metric for metric, _ in self._metrics)]

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns."""
        return [metric.name for metric in self.metrics]

    def _ready(self, needed: str) -> None:
        if not self.compiled:
            raise RuntimeError(f"{needed}: expected compile(loss=..., optimizer=...) before, the model is not compiled")

    def _prepared(self, x: Any, y: Any, weights: Any, *, targets: bool, allow_nan: bool) -> Batch:
        """Samples as arrays of the model's types, checked against its shapes."""
        found = checks.array("x", x)
        self._make_for(found)
        first = self.layers[0]
        first._check_axes(found.shape)
        first._check_shape(found.shape)
        if targets and y is None:
            raise ValueError("y: expected targets, got None")
        x = checks.native(found, self.dtype)
        if not allow_nan:
            data.no_nan("x", x)
        if y is not None:
            y = checks.array("y", y)
            data.same_length(x, y=y)
            if y.dtype.kind != "f" and isinstance(self._loss, losses.SparseCategoricalCrossentropy):
                y = checks.native(y, np.int64)
            else:
                y = checks.native(y, self.dtype)
            if not allow_nan:
                data.no_nan("y", y)
        if weights is not None:
            weights = checks.array("sample_weight", weights)
            data.same_length(x, sample_weight=weights)
            weights = checks.native(weights, self.dtype)
        return Batch(x, y, weights)

    def _check_targets(self, batch: Batch) -> None:
        """Whether the loss can be had from such targets."""
        shape = [batch.x.shape[1] if size is None else size for size in self.output_shape[1:]]
        n = min(_CHECKED, len(batch.x))
        like = np.zeros((n, *shape), self.dtype)
        for first in range(0, len(batch.x), n or 1):
            y = batch.y[first : first + n]
            weights = None if batch.weights is None else batch.weights[first : first + n]
            self._loss.check(y, like[: len(y)], weights)

    def _source(
        self, x: Any, y: Any, weights: Any, size: int | None, steps: int | None, *,
        targets: bool = True, allow_nan: bool = False, class_weight: Any = None,
    ) -> Arrays | Stream:  # fmt: skip
        """Batches to go through."""
        if data.is_stream(x):
            for name, value in (("y", y), ("sample_weight", weights), ("batch_size", size)):
                if value is not None:
                    raise ValueError(f"{name}: expected None where x yields batches, got {type(value).__name__}")

            def prepare(bx: Any, by: Any, bw: Any) -> Batch:
                batch = self._prepared(bx, by, bw, targets=targets, allow_nan=allow_nan)
                return _weighted(batch, class_weight)

            return Stream(x, steps, prepare)
        if steps is not None:
            raise ValueError(f"steps: expected None with arrays, whose batches are counted, got {steps}")
        batch = _weighted(self._prepared(x, y, weights, targets=targets, allow_nan=allow_nan), class_weight)
        if not len(batch.x):
            raise ValueError("x: expected at least one sample, got none")
        if targets:
            self._check_targets(batch)
        return Arrays(batch, _batch_size("batch_size", size))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        allow_nan: bool = False,
    ) -> History:
        """Learn.

        Parameters
        ----------
        x : array_like, shape (N, ...), or an iterable of batches
            Batches are (x, y) or (x, y, sample_weight). What can be gone through again, is in each epoch; a generator
            can not, and needs steps_per_epoch.
        y : array_like, shape (N, ...)
        batch_size : int
            32 if None.
        epochs, initial_epoch : int
            Number of the last epoch, and of those that count as done.
        verbose : 0, 1, 2 or "auto"
            Silent, a progress bar, a line an epoch; "auto" is 1.
        callbacks : list of callbacks
            Objects with hooks such as on_epoch_end(epoch, logs).
        validation_split : float
            The share of the samples, the last ones, to validate with.
        validation_data : (x, y) or (x, y, sample_weight), or an iterable of batches
        shuffle : bool
            Whether arrays are gone through in an order drawn anew for each epoch.
        class_weight : dict of int to float
            Weights by class; they multiply sample_weight.
        sample_weight : array_like, shape (N,) or (N, T)
        steps_per_epoch, validation_steps : int
            Batches of an epoch, with an iterable.
        validation_batch_size : int
            batch_size if None.
        validation_freq : int
            Validates every so many epochs.
        allow_nan : bool
            Whether NaN in x or y is taken, and not an error.

        Returns
        -------
        History
            `history.history`: lists by name, a number an epoch. Losses are means over the samples, penalties included.

        Raises
        ------
        ValueError, TypeError
            Data or arguments that do not fit, before anything is changed.
        RuntimeError
            The model is not compiled.
        KeyboardInterrupt
            Ctrl-C: the weights are those after the last whole batch, `history` holds the epochs so far.
        """
        self._ready("fit")
        epochs, initial_epoch = checks.count("epochs", epochs), checks.count("initial_epoch", initial_epoch)
        shown = _verbosity(verbose)
        every = checks.count("validation_freq", validation_freq)
        if every < 1:
            raise ValueError("validation_freq: expected at least 1, got 0")
        split = names.real("validation_split", validation_split, 0.0, 1.0)
        if split and validation_data is None:
            x, y, sample_weight, validation_data = _split(x, y, sample_weight, split)
        train = self._source(x, y, sample_weight, batch_size, steps_per_epoch, allow_nan=allow_nan,
                             class_weight=class_weight)  # fmt: skip
        judge = None
        if validation_data is not None:
            vx, vy, vw = (validation_data, None, None) if _is_batches(validation_data) else _three(validation_data)
            size = None if data.is_stream(vx) else validation_batch_size or batch_size
            judge = self._source(vx, vy, vw, size, validation_steps, allow_nan=allow_nan)
        params = {"verbose": shown, "epochs": epochs, "steps": train.steps}
        hooks = CallbackList(callbacks, self, params, shown)
        self.history = hooks.history
        self.stop_training = False
        logs: dict[str, Any] = {}
        rng = self.rng if shuffle else None
        repeats = Repeats(self)
        try:
            hooks.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                hooks.on_epoch_begin(epoch)
                self._train_epoch(train.epoch(rng), hooks, repeats)
                logs = self._logs()
                if judge is not None and (epoch + 1) % every == 0:
                    logs |= {f"val_{name}": value for name, value in self._judge(judge, hooks).items()}
                self.epoch = epoch + 1
                hooks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            self._discard()
            hooks.on_train_end(logs)
        return self.history

    def _train_epoch(self, batches: Iterator[Batch], hooks: CallbackList, repeats: Repeats) -> None:
        self._reset_metrics()
        for step, (x, y, weights) in enumerate(batches):
            hooks.on_train_batch_begin(step)
            self._train(x, y, weights, repeats.of(x))
            hooks.on_train_batch_end(step, self._logs)
            if self.stop_training:
                break

    def _train(self, x: Array, y: Any, weights: Any, repeated: Repeated | None = None) -> None:
        """One update, and what the metrics see of it."""
        mask: Mask = None
        if repeated is not None:
            y_pred = repeated.forward(x)
        else:
            y_pred, mask = self._forward(x, None, True)
        counted = weights if mask is None else losses.masked_weights(mask, weights)
        value, dy = self._loss.value_and_gradient(y, y_pred, counted)
        for layer in self._regular:
            value += layer.penalty()
        if repeated is not None:
            repeated.backward(dy)
        else:
            self._backward(dy)
        optimizer = self.optimizer
        if not optimizer.built or self._built_for is not self.flat_params:
            self._build_optimizer()
        optimizer.update(self.flat_params, self.flat_grads)
        self._look(value, x, y, y_pred, mask, counted)

    def _build_optimizer(self) -> None:
        self.optimizer.build(self.flat_params, list(self._slices()))
        self._built_for = self.flat_params

    def _look(self, value: float, x: Array, y: Any, y_pred: Array, mask: Mask, weights: Any) -> None:
        self._total.add(value, len(x))
        for metric, weighted in self._metrics:
            if weighted:
                metric.update_state(y, y_pred, weights)
            elif mask is not None:
                metric.update_state(y, y_pred, mask)
            else:
                metric.update_state(y, y_pred)

    def _reset_metrics(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def _logs(self) -> dict[str, Any]:
        return {metric.name: metric.result() for metric in self.metrics}

    def _test(self, x: Array, y: Any, weights: Any) -> None:
        y_pred, mask = self._forward(x, None, False)
        counted = weights if mask is None else losses.masked_weights(mask, weights)
        value = self._loss(y, y_pred, counted)
        for layer in self._regular:
            value += layer.penalty()
        self._look(value, x, y, y_pred, mask, counted)

    def _judge(self, source: Arrays | Stream, hooks: CallbackList) -> dict[str, Any]:
        self._reset_metrics()
        hooks.on_test_begin()
        for step, (x, y, weights) in enumerate(source.epoch(None)):
            hooks.on_test_batch_begin(step)
            self._test(x, y, weights)
            hooks.on_test_batch_end(step, self._logs)
        logs = self._logs()
        hooks.on_test_end(logs)
        return logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        *,
        allow_nan: bool = False,
    ) -> Any:
        """Loss and metrics on data.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks, allow_nan
            As for `fit`.
        steps : int
            Batches, with an iterable.
        return_dict : bool

        Returns
        -------
        list of float, a float where there are no metrics, or a dict by name

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`.
        """
        self._ready("evaluate")
        shown = _verbosity(verbose)
        source = self._source(x, y, sample_weight, batch_size, steps, allow_nan=allow_nan)
        hooks = CallbackList(callbacks, self, {"verbose": shown, "epochs": 1, "steps": source.steps}, shown)
        logs = self._judge(source, hooks)
        return logs if return_dict else _flattened(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        *,
        allow_nan: bool = False,
    ) -> Array:
        """What the model makes of data.

        Parameters
        ----------
        x, batch_size, verbose, callbacks, allow_nan
            As for `fit`.
        steps : int
            Batches, with an iterable.

        Returns
        -------
        ndarray, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        shown = _verbosity(verbose)
        source = self._source(x, None, None, batch_size, steps, targets=False, allow_nan=allow_nan)
        hooks = CallbackList(callbacks, self, {"verbose": shown, "epochs": 1, "steps": source.steps}, shown)
        hooks.on_predict_begin()
        found = []
        for step, (bx, _, _) in enumerate(source.epoch(None)):
            hooks.on_predict_batch_begin(step)
            y, _ = self._forward(bx, None, False)
            found.append(y.copy() if np.may_share_memory(y, bx) else y)
            hooks.on_predict_batch_end(step, {"outputs": y})
        hooks.on_predict_end()
        return np.concatenate(found)

    def train_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One update.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, one batch.
        return_dict : bool

        Returns
        -------
        list of float, a float where there are no metrics, or a dict by name
            Loss and metrics of this batch alone, before the update.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`.
        """
        self._ready("train_on_batch")
        batch = self._one(x, y, sample_weight, class_weight)
        self._discard()
        try:
            self._train(*batch)
        finally:
            self._discard()
        logs = self._logs()
        return logs if return_dict else _flattened(logs)

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        return_dict : bool

        Returns
        -------
        As `evaluate`.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`.
        """
        self._ready("test_on_batch")
        self._test(*self._one(x, y, sample_weight, None))
        logs = self._logs()
        return logs if return_dict else _flattened(logs)

    def _one(self, x: Any, y: Any, weights: Any, class_weight: Any) -> Batch:
        batch = _weighted(self._prepared(x, y, weights, targets=True, allow_nan=False), class_weight)
        self._check_targets(batch)
        self._reset_metrics()
        return batch

    def predict_on_batch(self, x: Any) -> Array:
        """`predict` of one batch.

        Parameters
        ----------
        x : array_like, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        return self(x)

    def save(self, path: Any) -> None:
        """Write all to a file: see `saving.save_model`."""
        saving.save_model(self, path)

    def save_weights(self, path: Any) -> None:
        """Write the weights alone: see `saving.save_weights`."""
        saving.save_weights(self, path)

    def load_weights(self, path: Any) -> None:
        """Take the weights of a file: see `saving.load_weights`."""
        saving.load_weights(self, path)


def _listed(argument: str, given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        raise TypeError(f"{argument}: expected a list, as the model has one output, got a dict")
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _batch_size(argument: str, size: Any) -> int:
    if size is None:
        return _BATCH
    found = checks.count(argument, size)
    if found < 1:
        raise ValueError(f"{argument}: expected at least 1, got 0")
    return found


def _verbosity(verbose: Any) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', got {verbose!r}")
    return int(verbose)


def _weighted(batch: Batch, class_weight: Any) -> Batch:
    """The same, with weights by class multiplied in."""
    if class_weight is None:
        return batch
    if batch.y is None:
        raise ValueError("class_weight: expected y with it, got None")
    own = data.class_weights(batch.y, class_weight).astype(batch.x.dtype)
    weights = batch.weights
    if weights is not None:
        own = weights * own.reshape(-1, *(1,) * (weights.ndim - 1))
    return batch._replace(weights=own)


def _split(x: Any, y: Any, weights: Any, share: float) -> tuple[Any, Any, Any, Any]:
    """The first samples to learn from, and the last ones to validate with."""
    if data.is_stream(x):
        raise ValueError("validation_split: expected 0 where x yields batches: there is no telling where it ends")
    found = checks.array("x", x)
    y, weights = (None if value is None else checks.array(name, value) for name, value in
                  (("y", y), ("sample_weight", weights)))  # fmt: skip
    if found.ndim == 0:
        raise ValueError("x: expected shape (N, ...), got a number")
    data.same_length(found, y=y, sample_weight=weights)
    n = len(found)
    first = int(np.floor(n * (1.0 - share)))
    if not 0 < first < n:
        raise ValueError(f"validation_split: expected samples on both sides, got {share:g} of {n} samples: {first} to "
                         f"learn from and {n - first} to validate with")  # fmt: skip
    learn, judge = (tuple(None if array is None else array[part] for array in (found, y, weights))
                    for part in (slice(first), slice(first, None)))  # fmt: skip
    return learn[0], learn[1], learn[2], judge


def _is_batches(validation_data: Any) -> bool:
    return not isinstance(validation_data, (tuple, list)) or data.is_stream(validation_data)


def _three(validation_data: Any) -> tuple[Any, Any, Any]:
    if not 2 <= len(validation_data) <= 3:
        raise ValueError(f"validation_data: expected (x, y) or (x, y, sample_weight), got {len(validation_data)}")
    x, y, weights = (*validation_data, None)[:3]
    return x, y, weights


def _flattened(logs: dict[str, Any]) -> Any:
    found = list(logs.values())
    return found[0] if len(found) == 1 else found
