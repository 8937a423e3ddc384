"""The network behind an estimator: built of `fastlstm.nn`, fitted by its `fit`, stopped when it learns no more."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ..nn import GRU, LSTM, Bidirectional, Dense, Dropout, Sequential
from ..nn.callbacks import Callback
from ..nn.metrics import Metric
from ..nn.optimizers import Adam
from ..nn.regularizers import L2
from .sequences import Sequences
from .settings import Network, Training

Array = NDArray[Any]
LARGEST_BATCH = 200  # of "auto"


class Head(NamedTuple):
    """What stands on top of the recurrent layers, and how it is judged."""

    units: int
    activation: str
    loss: str
    metric: Callable[[], Metric]  # of which more is better


class Examples(NamedTuple):
    """Sequences of the network's type and scale, their targets, and weights (N,) or None."""

    sequences: Sequences
    y: Array
    weights: Array | None


def build(network: Network, head: Head, features: int, dtype: Any, seed: int) -> Sequential:
    """A network with first weights, compiled.

    Parameters
    ----------
    features : int
        D.
    """
    model = Sequential(seed=seed)
    *lower, top = network.hidden_layer_sizes
    shape: dict[str, Any] = {"input_shape": (None, features)}
    for units, sequences in (*((size, True) for size in lower), (top, False)):
        layer = _recurrent(network, units, dtype=dtype, return_sequences=sequences)
        model.add(Bidirectional(layer, dtype=dtype, **shape) if network.bidirectional else layer)
        if network.dropout:
            model.add(Dropout(network.dropout, dtype=dtype))
        shape = {}
    penalty = L2(0.0) if network.alpha else None
    model.add(Dense(head.units, activation=head.activation, kernel_regularizer=penalty, dtype=dtype))
    model.build((None, None, features))
    compile_(model, network, head, judged=False)
    return model


def compile_(model: Sequential, network: Network, head: Head, *, judged: bool) -> None:
    """judged: whether there are data to validate with, of which the metric is wanted."""
    optimizer = model.optimizer if model.compiled else Adam(network.learning_rate_init, clipnorm=network.clipnorm)
    model.compile(optimizer, head.loss, weighted_metrics=[head.metric()] if judged else None)


def _recurrent(network: Network, units: int, **options: Any) -> LSTM | GRU:
    penalties = {f"{name}_regularizer": L2(0.0) if network.alpha else None for name in ("kernel", "recurrent")}
    options |= penalties | {"recurrent_dropout": network.recurrent_dropout}
    if isinstance(network.cell, str) and network.cell in ("gru", "gru_before"):
        return GRU(units, reset_after=network.cell == "gru", **options)
    return LSTM(units, cell=network.cell, **options)


class Penalty(Callback):
    """Lets penalties be alpha / (2 W) Σw², where W is the sum of a batch's weights: as `MLPClassifier` has it, and
    twice that beside the squared error, which `MLPRegressor` halves."""

    def __init__(self, model: Sequential, alpha: float, samples: int, size: int, weight: float) -> None:
        """size: of a batch; weight: of a sample, on average."""
        self._regularizers = [
            weight.regularizer for layer in model.layers for weight in layer.weights_ if weight.regularizer is not None
        ]
        self._factor, self._samples, self._size = alpha / 2 / weight, samples, size
        self._last, self._count = (samples - 1) // size, 0  # of the batches, and samples that the penalty is for

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        count = self._size if batch < self._last else self._samples - batch * self._size
        if count != self._count:
            self._count = count
            for regularizer in self._regularizers:
                regularizer.l2 = self._factor / count


class Watch(Callback):
    """Stops where a number has not become better by tol for more than some epochs in a row; keeps the best weights.

    Parameters
    ----------
    metric : str or None
        Of the validation data: more is better. None: the training loss, less is better.
    """

    def __init__(self, training: Training, metric: str | None, judged: str | None) -> None:
        self._training, self._metric, self._judged = training, metric, judged
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.best, self.waited, self.stopped = -math.inf, 0, False
        self.best_weights: Array | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        if self._judged is not None:
            self.scores.append(logs[f"val_{self._judged}"])
        value = -self.losses[-1] if self._metric is None else self.scores[-1]
        self.waited = 0 if value >= self.best + self._training.tol else self.waited + 1
        if value > self.best:
            self.best = value
            if self._metric is not None:
                self.best_weights = self.model.flat_params.copy()
        if self.waited > self._training.n_iter_no_change:
            self.model.stop_training = self.stopped = True


def train(
    model: Sequential, network: Network, training: Training, head: Head, learn: Examples, judge: Examples | None,
    epochs: int,
) -> Watch:  # fmt: skip
    """Fit the network.

    Parameters
    ----------
    learn, judge : Examples
        To learn from, and to validate with, if there is anything.
    epochs : int
        At most.

    Returns
    -------
    Watch
        What it has seen.

    Raises
    ------
    ValueError
        The weights are no longer finite.
    """
    sequences, y, weights = learn
    samples = len(sequences.x)
    size = min(LARGEST_BATCH if training.batch_size is None else training.batch_size, samples)
    average = 1.0 if weights is None else float(weights.mean())
    judged = None if judge is None else head.metric().name
    watch = Watch(training, judged if training.early_stopping else None, judged)
    callbacks: list[Callback] = [watch]
    if network.alpha:
        alpha = network.alpha * (2 if head.loss == "mse" else 1)
        callbacks.append(Penalty(model, alpha, samples, size, average))
    compile_(model, network, head, judged=judge is not None)
    interrupted = False
    try:
        model.fit(
            sequences.x, y, batch_size=size, epochs=epochs, verbose=2 if training.verbose else 0, callbacks=callbacks,
            validation_data=None if judge is None else _named(judge), shuffle=training.shuffle,
            sample_weight=None if weights is None else weights / average, lengths=sequences.lengths,
        )  # fmt: skip
    except KeyboardInterrupt:
        interrupted = True
        warnings.warn("Training interrupted by user.", stacklevel=2)
    if training.early_stopping and watch.best_weights is not None:
        model.flat_params[...] = watch.best_weights
    if not np.isfinite(model.flat_params).all():
        raise ValueError("fit: expected finite weights, got others: X or y may hold large values, or "
                         "learning_rate_init be too large; scale=True and clipnorm help")  # fmt: skip
    _say_how_it_ended(watch, training, done=interrupted or epochs < training.max_iter)
    return watch


def _named(examples: Examples) -> dict[str, Any]:
    sequences, y, weights = examples
    return {"x": sequences.x, "y": y, "sample_weight": weights, "lengths": sequences.lengths}


def _say_how_it_ended(watch: Watch, training: Training, *, done: bool) -> None:
    if watch.stopped and training.verbose:
        what = "Validation score" if training.early_stopping else "Training loss"
        print(f"{what} did not improve more than tol={training.tol:f} for {training.n_iter_no_change} consecutive "
              "epochs. Stopping.")  # fmt: skip
    elif not watch.stopped and not done and training.n_iter_no_change < math.inf:
        warnings.warn(f"Stochastic Optimizer: Maximum iterations ({training.max_iter}) reached and the optimization "
                      "hasn't converged yet.", ConvergenceWarning, stacklevel=2)  # fmt: skip


def outputs(model: Sequential, sequences: Sequences) -> Array:
    """What comes out for each sequence, (N, K)."""
    return model.predict(sequences.x, batch_size=LARGEST_BATCH, verbose=0, lengths=sequences.lengths)


def input_gradient(model: Sequential, sequences: Sequences, dy: Array) -> Array:
    """Gradient at each sequence, (N, T, D), of Σ dy·y for what comes out for it; no dropout drops."""
    found = np.zeros(sequences.x.shape, model.dtype)
    for first in range(0, len(found), LARGEST_BATCH):
        rows = slice(first, first + LARGEST_BATCH)
        lengths = None if sequences.lengths is None else sequences.lengths[rows]
        model(sequences.x[rows], training=True, lengths=lengths)
        found[rows] = model.backward(dy[rows])
    return found
