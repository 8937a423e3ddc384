"""A stack of layers that learns, by Keras's names: add, compile, fit, evaluate, predict."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import checks
from ...arrays import size_of
from . import architecture, data, described, keras_reading, losses, metrics, names, optimizers, saving, summary
from .base import Layer, Mask, Trained
from .callbacks import CallbackList, History
from .data import Arrays, Batch, Given, Stream
from .layers import Input
from .ranks import Ranks
from .repeat import Repeats
from .stack import Stack
from .together import Alone, Seen, Together
from .types import (
    Callbacks,
    Communicator,
    Config,
    Counting,
    Data,
    LossLike,
    Metrics,
    OptimizerLike,
    ValidationData,
    Verbose,
)

Array = NDArray[Any]
_BATCH = 32  # samples, as in Keras
_CHECKED = 4096  # samples whose targets are checked at once
_COUNTING: set[int] = set()  # ids of metrics that a run is under way with


class Sequential(Stack):
    """A stack of layers.

    Parameters
    ----------
    layers : sequence of layers, optional
        Bottom first; it may begin with an `Input`.
    name : str
    seed : int, optional
        For first weights, dropout and the order of samples. With the same seed, the same layers and the same data all
        results have the same bits, with any number of threads. Without a seed the random numbers come from the stream
        that `set_random_seed` begins.

    Attributes
    ----------
    layers : list
    flat_params, flat_grads : ndarray, shape (P,)
        All weights, and all gradients, in the order of `get_weights`; `layer.params` and `layer.grads` are views of
        them. These arrays are never replaced: ``model.flat_params = numbers`` writes into the array that is there.
    history : History
        What the last `fit` returned, or had until it was interrupted.
    epoch : int
        How many epochs `fit` has finished, before the model was saved and read again too. Give it to `fit` as
        initial_epoch to go on.
    optimizer : Optimizer
        What `compile` was given or found; None before.
    stop_training : bool
        A callback sets it to end `fit`.

    Raises
    ------
    ValueError, TypeError
        No layers; shapes that do not fit together.

    Notes
    -----
    Validation within `fit` changes nothing of the training around it, and nor do `evaluate`, `predict` and their like
    in a callback. They have metrics of their own. Stateful layers begin them with zeros, and get their states back
    afterwards.

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

    optimizer: optimizers.Optimizer

    def __init__(
        self, layers: Sequence[Layer | Input] | None = None, *, name: str = "sequential", seed: int | None = None
    ) -> None:
        self.compiled = self.stop_training = False
        self.optimizer = None  # type: ignore[assignment]  # until compile
        self.history: History | None = None
        self.epoch = 0
        self._loss: Any = None
        self._given_metrics: tuple[list[Any], list[Any]] = ([], [])
        self._metrics: list[tuple[Any, bool]] = []
        self._total: Any = metrics.Mean("loss")
        self._switches = 0  # of what learns, when the optimizer was built
        self._fitting, self._runs = False, 0  # whether `fit` is under way; runs, one within another
        self._repeats: Repeats | None = None  # while it learns
        super().__init__(layers, name, seed)

    @classmethod
    def from_config(cls, config: Config) -> Sequential:
        """A model of that architecture, with new weights.

        Parameters
        ----------
        config : dict
            What `get_config` returns, here or of a `Sequential` of Keras 3.

        Returns
        -------
        Sequential

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make; a layer, or an option, that is not here, by its name.
        """
        if keras_reading.is_of_keras(config):
            config = keras_reading.of_config(config)
        made: Sequential = architecture.from_config(cls, config, draw=True)
        return made

    def _bare(self) -> Sequential:
        """A copy that predicts alike, without all that learning has made."""
        bare = object.__new__(type(self))
        nothing: dict[str, Any] = {
            "optimizer": None,
            "history": None,
            "_loss": None,
            "_given_metrics": ([], []),
            "_metrics": [],
            "_repeats": None,
        }
        vars(bare).update(vars(self) | nothing | {"compiled": False, "_total": metrics.Mean("loss"), "_shape": None})
        return copy.deepcopy(bare)

    def _rejoined(self, before: Array) -> None:
        if self.compiled:
            self._metrics = self._chosen(self._given_metrics, self._loss)
            if self.optimizer._knows(before):
                self.optimizer._forget()

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what is one array here may be two there, as joblib writes them."""
        taught = self.optimizer is not None and self.optimizer._knows(self.flat_params)
        return {**vars(self), "_taught": taught, "_repeats": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: value for name, value in state.items() if name != "_taught"})
        self._fitting, self._runs = False, 0
        if state["_taught"]:
            self.optimizer._moved(self.flat_params)

    def compile(
        self, optimizer: OptimizerLike = "rmsprop", loss: LossLike | None = None, metrics: Metrics = None,
        weighted_metrics: Metrics = None,
    ) -> None:  # fmt: skip
        """Say how the model learns.

        Parameters
        ----------
        optimizer : str or Optimizer
            An optimizer that has learned for this model goes on where it was.
        loss : str or Loss
        metrics : list of str, Metric or functions, optional
            They do not see sample weights.
        weighted_metrics : list of str, Metric or functions, optional
            They do.

        Raises
        ------
        ValueError, TypeError
            Unknown names; the message says the nearest one. An optimizer that has learned for another model.
        """
        if loss is None:
            raise ValueError("loss: expected a name such as 'mse' or a Loss, got None")
        found = optimizers.get(optimizer), losses.get(loss)
        self._check_optimizer(found[0])
        given = (_listed("metrics", metrics), _listed("weighted_metrics", weighted_metrics))
        chosen = self._chosen(given, found[1])
        self.optimizer, self._loss = found
        self._given_metrics, self._metrics = given, chosen
        self.compiled = True

    def _check_optimizer(self, optimizer: Any) -> None:
        """Refuse what another model has taught."""
        if optimizer.built and not optimizer._knows(self.flat_params):
            kind = type(optimizer).__name__
            raise ValueError(f"optimizer: expected one that no other model has learned with, got one of "
                             f"{optimizer.iterations} updates elsewhere; {kind}.from_config(optimizer.get_config()) "
                             "makes another like it")  # fmt: skip

    def _chosen(self, given: tuple[list[Any], list[Any]], loss: Any) -> list[tuple[Any, bool]]:
        """Metrics, and whether they are weighted; of a model without outputs yet those for one number a sample."""
        shape = self.output_shape if self.built else (None, 1)
        found = [(metrics.get(one, loss, shape), weighted)
                 for weighted, some in zip((False, True), given, strict=True) for one in some]  # fmt: skip
        taken = [metric.name for metric, _ in found]
        logged = ["loss", *taken, "val_loss", *(f"val_{name}" for name in taken), "learning_rate"]
        if len(set(logged)) < len(logged):
            raise ValueError(f"metrics: expected unlike names, none loss, learning_rate, or another's behind val_, "
                             f"got {', '.join(taken)}")  # fmt: skip
        return found

    @property
    def loss(self) -> losses.Loss | None:
        """The Loss that `compile` was given or found; None before."""
        found: losses.Loss | None = self._loss
        return found

    @property
    def metrics(self) -> list[Counting]:
        """The metrics, that of the loss first."""
        return [self._total, *(metric for metric, _ in self._metrics)]

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns."""
        return [metric.name for metric in self.metrics]

    def _ready(self, needed: str, *, learns: bool = False) -> None:
        if not self.compiled:
            raise RuntimeError(f"{needed}: expected compile(loss=..., optimizer=...) before, the model is not compiled")
        if learns:
            self._check_optimizer(self.optimizer)

    @contextlib.contextmanager
    def _run(self) -> Iterator[None]:
        """A run of batches. One within another, in a callback or of a model that shares metrics, counts for itself:
        by copies of the metrics."""
        outer = self._total, self._metrics
        if self._runs or any(id(metric) in _COUNTING for metric in self.metrics):
            try:
                self._total, self._metrics = copy.deepcopy(outer)
            except TypeError as error:
                raise TypeError("metrics: expected some that copy.deepcopy can copy, as a run within another counts by "
                                f"copies, got one that it can not ({error})") from error  # fmt: skip
        used = self._metrics
        counting = {id(metric) for metric in self.metrics}
        _COUNTING.update(counting)
        self._runs += 1
        try:
            yield
        finally:
            self._runs -= 1
            _COUNTING.difference_update(counting)
            self._total = outer[0]
            if self._metrics is used:  # and not others, since compile was called meanwhile
                self._metrics = outer[1]

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """A run that leaves a `fit` under way alone: stateful layers begin with zeros, and get their states back."""
        if not self._fitting:
            yield
            return
        states = [(one, one.state) for layer in self.layers for one in layer._stateful()]
        for one, _ in states:
            one.state = None
        try:
            yield
        finally:
            for one, state in states:
                one.state = state

    def _prepared(self, given: Given, *, targets: bool, allow_nan: bool) -> Batch:
        """Samples as arrays of the model's types, checked against its shapes; 0 at steps that do not count."""
        found, y, weights = checks.array("x", given.x), given.y, given.sample_weight
        self._make_for(found)
        first = self.layers[0]
        first._check_axes(found.shape)
        first._check_shape(found.shape)
        if targets and y is None:
            raise ValueError("y: expected targets, got None")
        mask = first._mask(given.mask, given.lengths, found)
        if mask is not None:
            found = data.without(found, mask)
        x = first._native("x", found)
        if not allow_nan:
            data.no_nan("x", x)
        if y is not None:
            y = data.targets(y)
            data.same_length(x, y=y)
            if y.dtype.kind != "f" and isinstance(self._loss, losses.SparseCategoricalCrossentropy):
                y = checks.native(y, np.int64)
            else:
                y = checks.native(y, self.dtype)
            if mask is not None and len(self.output_shape) > 2 and y.shape[:2] == mask.shape:
                y = data.without(y, mask)
            if not allow_nan:
                data.no_nan("y", y)
            y = losses.in_shape(y, self._predicted_shape(x))
        if weights is not None:
            weights = checks.array("sample_weight", weights)
            data.same_length(x, sample_weight=weights)
            weights = checks.native(weights, self.dtype)
            losses.spread("sample_weight", weights, self._predicted_shape(x)[:-1])
        return data.masked_where_needed(Batch(x, y, weights, mask))

    def _predicted_shape(self, x: Array) -> tuple[int, ...]:
        """Of what the model makes of x."""
        return len(x), *(x.shape[1] if size is None else size for size in self.output_shape[1:])

    def _weighted(self, batch: Batch, class_weight: Any) -> Batch:
        """The same, with weights by class multiplied in."""
        if class_weight is None:
            return batch
        if batch.y is None:
            raise ValueError("class_weight: expected y with it, got None")
        shape, loss = self._predicted_shape(batch.x), self._loss
        known = set(range(shape[-1])) if shape[-1] > 1 else set()
        if isinstance(loss, losses.BinaryCrossentropy):
            known |= {0, 1}
        if known and getattr(loss, "ignore_class", None) is not None:
            known.add(loss.ignore_class)
        largest = isinstance(loss, losses.CategoricalCrossentropy)
        weights, counted = batch.weights, None
        if weights is not None:
            weights = losses.spread("sample_weight", weights, shape[:-1])
            counted = weights != 0
        if batch.mask is not None and batch.mask.shape == shape[:-1][:2]:
            real = losses.spread("mask", batch.mask, shape[:-1])
            counted = real if counted is None else real & counted
        own = data.class_weights(batch.y, class_weight, shape, known, largest, counted)
        if weights is not None:
            own = own * weights
        return batch._replace(weights=own.astype(batch.x.dtype))

    def _check_targets(self, batch: Batch) -> None:
        """Whether the loss can be had from such targets."""
        shape = self._predicted_shape(batch.x)[1:]
        n = min(_CHECKED, len(batch.x))
        like = np.zeros((n, *shape), self.dtype)
        for first in range(0, len(batch.x), n or 1):
            y = batch.y[first : first + n]
            weights = None if batch.weights is None else batch.weights[first : first + n]
            try:
                self._loss.check(y, like[: len(y)], weights)
            except ValueError as error:
                if hint := self._about_sequences(batch):
                    raise ValueError(f"{error}; {hint}") from error
                raise

    def _about_sequences(self, batch: Batch) -> str:
        """Which layer to change where targets are a step's and outputs a sample's, or the other way round."""
        by_step = batch.y.shape[:2] == batch.x.shape[:2]
        for layer in reversed(self.layers):
            given = getattr(layer, "return_sequences", None)
            if given is not None and given != by_step and len(self.output_shape) == (3 if given else 2):
                kind = "steps" if by_step else "samples"
                return f"for targets of {kind} give {layer.name} return_sequences={by_step}"
        return ""

    def _source(
        self, given: Given, size: int | None, steps: int | None, *,
        targets: bool = True, allow_nan: bool = False, class_weight: Any = None, none_too: bool = False,
    ) -> Arrays | Stream:  # fmt: skip
        """Batches to go through. none_too: whether there may be no sample."""
        steps = _at_least_one("steps", steps)
        if data.is_stream(given.x):
            for name, value in (given._asdict() | {"batch_size": size}).items():
                if value is not None and name != "x":
                    hint = "; a batch may be a dict of x, y and lengths" if name in ("lengths", "mask") else ""
                    raise ValueError(f"{name}: expected None where x yields batches, got {type(value).__name__}{hint}")

            new = targets

            def prepare(item: Given) -> Batch:
                nonlocal new
                batch = self._weighted(self._prepared(item, targets=targets, allow_nan=allow_nan), class_weight)
                if new:  # the others are like the first; the loss says so where they are not
                    self._check_targets(batch)
                    new = False
                return batch

            return Stream(given.x, steps, prepare)
        if steps is not None:
            raise ValueError(f"steps: expected None with arrays, whose batches are counted, got {steps}")
        batch = self._weighted(self._prepared(given, targets=targets, allow_nan=allow_nan), class_weight)
        if not len(batch.x) and not none_too:
            raise ValueError("x: expected at least one sample, got none")
        if targets:
            self._check_targets(batch)
        return Arrays(batch, _at_least_one("batch_size", size) or _BATCH)

    def _judged_by(self, given: Any, size: int | None, steps: int | None, **options: Any) -> Arrays | Stream:
        """What `fit` validates with."""
        found = _validation(given)
        try:
            return self._source(found, None if data.is_stream(found.x) else size, steps, **options)
        except (ValueError, TypeError) as error:
            raise type(error)(f"validation_data: {error}") from error

    def fit(
        self,
        x: Data | None = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbose = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: ValidationData | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        allow_nan: bool = False,
        comm: Communicator | None = None,
    ) -> History:
        """Learn.

        Parameters
        ----------
        x : array_like, shape (N, ...), or an iterable of batches
            A batch is (x, y), (x, y, sample_weight), or a dict of x, y and any of sample_weight, lengths, mask. Each
            epoch goes through the iterable anew. A generator goes on where it was: it needs steps_per_epoch.
        y : array_like, shape (N, ...)
            Targets. None if x is an iterable of batches.
        batch_size : int
            Samples of a batch; 32 if None.
        epochs : int
            The number of the last epoch, counted from 1.
        initial_epoch : int
            How many epochs count as done: ``fit(epochs=10, initial_epoch=4)`` runs 6.
        verbose : 0, 1, 2 or "auto"
            Silent, a progress bar, or a line an epoch; "auto" is 1.
        callbacks : list of callbacks
            Objects with hooks such as on_epoch_end(epoch, logs): `fastlstm.nn.callbacks`.
        validation_split : float
            Which share of the samples, the last ones, is left out of training to validate with.
        validation_data : (x, y) or (x, y, sample_weight), a dict as of a batch, or an iterable of batches
        shuffle : bool
            Whether the order of the samples is drawn anew for each epoch. That of an iterable is its own affair.
        class_weight : dict of int to float
            A weight for each class, by which the weights of its samples are multiplied: or of its steps, if the model
            has an output for each step.
        sample_weight : array_like, shape (N,) or (N, T)
            Weights of samples, or of steps, in the loss.
        steps_per_epoch, validation_steps : int
            Batches of an epoch, with an iterable.
        validation_batch_size : int
            batch_size if None.
        validation_freq : int
            Validates after every so many epochs.
        lengths : array_like of int, shape (N,)
            Real steps of each sequence, from 0 to T. The steps behind them are padding, and may hold anything, NaN too.
            Layers leave padding out, as above a `Masking` layer. So do losses and metrics, if the model's outputs are
            sequences.
        mask : array_like of bool, shape (N, T)
            True at real steps: the same for sequences with gaps. At most one of lengths and mask may be given.
        allow_nan : bool
            Whether NaN in x or y is taken, and not an error.
        comm : communicator of mpi4py, optional
            Its processes, the ranks, learn one model together, each from data of its own. All of them call `fit`, with
            the same model, loss, metrics and epochs. docs/scale.md has more.

        Returns
        -------
        History
            Its `history` has a list for the loss and for each metric, by name: a number an epoch. Losses are means over
            the samples, penalties included.

        Raises
        ------
        ValueError, TypeError
            Data or arguments that do not fit, before anything is changed.
        RuntimeError
            The model is not compiled; a callback of `fit` calls `fit`; something has failed at another rank.
        KeyboardInterrupt
            Ctrl-C. The weights are those after the last whole batch, and `history` holds the epochs so far.

        Notes
        -----
        With `comm`, a batch is the batches of all ranks joined, batch_size samples from each. After it the weights have
        the same bits at all ranks. But for rounding, they are those of one process that learns from the joined batches.
        Ranks may have unlike numbers of samples, or none: one whose samples are used up adds nothing. Weights and
        optimizer begin as they are at rank 0. Dropout and shuffling draw other numbers at each rank. Losses and metrics
        in the logs are those of all data. Rank 0 alone prints, and writes the files of this package's callbacks. If one
        rank fails, all end.
        """
        ranks = Ranks.of(comm)
        how = Alone(self) if ranks is None else Together(self, ranks)
        with how.agreed():
            self._ready("fit", learns=True)
            if self._fitting:
                raise RuntimeError("fit: expected no fit of this model under way, got a call within a callback of one")
            epochs, initial_epoch = checks.count("epochs", epochs), checks.count("initial_epoch", initial_epoch)
            shown = _verbosity(verbose)
            every = size_of("validation_freq", validation_freq)
            steps_per_epoch = _at_least_one("steps_per_epoch", steps_per_epoch)
            validation_steps = _at_least_one("validation_steps", validation_steps)
            validation_batch_size = _at_least_one("validation_batch_size", validation_batch_size)
            split = names.real("validation_split", validation_split, 0.0, 1.0)
            given = Given(x, y, sample_weight, lengths, mask)
            options: dict[str, Any] = {"allow_nan": allow_nan, "none_too": ranks is not None}
            if split and validation_data is None:
                given, validation_data = _split(given, split, none_too=ranks is not None)
            train = self._source(given, batch_size, steps_per_epoch, class_weight=class_weight, **options)
            judge = None
            if validation_data is not None:
                size = validation_batch_size or batch_size
                judge = self._judged_by(validation_data, size, validation_steps, **options)
        params = {"verbose": shown, "epochs": epochs} | how.plan(train, judge, (initial_epoch, epochs, every))
        with how.agreed():
            hooks = CallbackList(callbacks, self, params, shown if how.first else 0)
            logged = self.metrics_names
            hooks.check_names([*logged, *(f"val_{name}" for name in logged)] if how.judges else logged)
        how.begin(hooks)
        self.history = hooks.history
        self.stop_training = False
        logs: dict[str, Any] = {}
        rng = self.rng if shuffle else None
        with how.guarded(), self._run():
            self._fitting = True
            try:
                with how.guarded():
                    how.attempt(hooks.on_train_begin)
                    for epoch in range(initial_epoch, epochs):
                        how.attempt(hooks.on_epoch_begin, epoch)
                        how.train(train.epoch(rng))
                        logs = how.attempt(self._logs) or {}
                        if how.judges and (epoch + 1) % every == 0:
                            logs |= {f"val_{name}": value for name, value in how.judge(judge).items()}
                        self.epoch = epoch + 1
                        how.attempt(hooks.on_epoch_end, epoch, logs)
                        if how.ends():
                            break
            finally:
                self._fitting, self._repeats = False, None
                self._discard()
                how.finish(hooks.on_train_end, logs)
        return hooks.history

    def _train_epoch(self, batches: Iterator[Batch], hooks: CallbackList) -> None:
        self._reset_metrics()
        for step, batch in enumerate(batches):
            hooks.on_train_batch_begin(step)
            self._train(batch)
            hooks.on_train_batch_end(step, self._logs)
            if self.stop_training:
                break

    def _train(self, batch: Batch) -> None:
        """One update, and what the metrics see of it."""
        seen, penalty = self._learn(batch), self._penalty()
        self._update()
        self._look(seen, penalty)

    def _learn(self, batch: Batch, *, part: bool = False) -> Seen:
        """Both passes: gradients into flat_grads, without those of penalties. part: as in `_seen`."""
        if self._repeats is None:
            self._repeats = Repeats(self)
        passes, mask = self._repeats.of(batch.x) if batch.mask is None else None, batch.mask
        if passes is not None:
            y_pred = passes.forward(batch.x)
        else:
            y_pred, mask = self._forward(batch.x, mask, True)
        seen, dy = self._compared(batch, y_pred, mask, part)
        if passes is not None:
            passes.backward(dy)
        else:
            self._back_through(dy)
        return seen

    def _seen(self, batch: Batch, *, part: bool = False) -> Seen:
        """What comes out of a batch that is not learnt from. part: whether it is a part of a larger one, by whose
        number of real steps weights are yet to be multiplied."""
        return self._compared(batch, *self._forward(batch.x, batch.mask, False), part)[0]

    def _compared(self, batch: Batch, y_pred: Array, mask: Mask, part: bool) -> tuple[Seen, Array]:
        """With the targets: and the gradient at y_pred."""
        weights = batch.weights if mask is None else losses.masked_weights(mask, batch.weights, scaled=not part)
        value, dy = losses.computed(self._loss, batch.y, y_pred, weights)
        return Seen(value, batch.y, y_pred, mask, weights), dy

    def _update(self) -> None:
        """Of the weights, by flat_grads and the penalties' gradients."""
        self._add_penalties()
        if self._switches != Trained.switches or not self.optimizer._knows(self.flat_params):
            self._build_optimizer()
        self.optimizer.update(self.flat_params, self.flat_grads)
        self.constrain()

    def _build_optimizer(self) -> None:
        self._check_optimizer(self.optimizer)
        self.optimizer.build(self.flat_params, self._learning())
        self._switches = Trained.switches

    def _look(self, seen: Seen, penalty: float) -> None:
        self._total.add(seen.loss + penalty, len(seen.y_pred))
        for metric, weighted in self._metrics:
            self._measure(metric, weighted, seen)

    def _measure(self, metric: Any, weighted: bool, seen: Seen) -> None:
        if weighted:
            metric.update_state(seen.y, seen.y_pred, seen.weights)
        elif seen.mask is not None:
            metric.update_state(seen.y, seen.y_pred, seen.mask)
        else:
            metric.update_state(seen.y, seen.y_pred)

    def _reset_metrics(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def _logs(self) -> dict[str, Any]:
        return {metric.name: metric.result() for metric in self.metrics}

    def _test(self, batch: Batch) -> None:
        self._look(self._seen(batch), self._penalty())

    def _judge(self, source: Arrays | Stream, hooks: CallbackList) -> dict[str, Any]:
        with self._apart():
            self._reset_metrics()
            hooks.on_test_begin()
            for step, batch in enumerate(source.epoch(None)):
                hooks.on_test_batch_begin(step)
                self._test(batch)
                hooks.on_test_batch_end(step, self._logs)
            logs = self._logs()
        hooks.on_test_end(logs)
        return logs

    @overload
    def evaluate(
        self, x: Data | None = ..., y: ArrayLike | None = ..., batch_size: int | None = ..., verbose: Verbose = ...,
        sample_weight: ArrayLike | None = ..., steps: int | None = ..., callbacks: Callbacks = ..., *,
        return_dict: Literal[True], lengths: ArrayLike | None = ..., mask: ArrayLike | None = ...,
        allow_nan: bool = ...,
    ) -> dict[str, float]: ...  # fmt: skip

    @overload
    def evaluate(
        self, x: Data | None = ..., y: ArrayLike | None = ..., batch_size: int | None = ..., verbose: Verbose = ...,
        sample_weight: ArrayLike | None = ..., steps: int | None = ..., callbacks: Callbacks = ...,
        return_dict: bool = ..., *, lengths: ArrayLike | None = ..., mask: ArrayLike | None = ...,
        allow_nan: bool = ...,
    ) -> Any: ...  # fmt: skip

    def evaluate(
        self,
        x: Data | None = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        allow_nan: bool = False,
    ) -> Any:
        """Loss and metrics on data.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks, lengths, mask, allow_nan
            As for `fit`.
        steps : int
            How many batches to take of an iterable.
        return_dict : bool
            Whether the result is a dict.

        Returns
        -------
        list of float, float, or dict of str to float
            Loss and metrics, in the order of `metrics_names`; the loss alone, if there are no metrics; a dict by name
            with return_dict.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`.
        """
        self._ready("evaluate")
        shown = _verbosity(verbose)
        source = self._source(Given(x, y, sample_weight, lengths, mask), batch_size, steps, allow_nan=allow_nan)
        hooks = CallbackList(callbacks, self, {"verbose": shown, "epochs": 1, "steps": source.steps}, shown)
        with self._run():
            logs = self._judge(source, hooks)
        return logs if return_dict else _flattened(logs)

    def predict(
        self,
        x: Data,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
        *,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        allow_nan: bool = False,
    ) -> Array:
        """What the model makes of data.

        Parameters
        ----------
        x, batch_size, verbose, callbacks, lengths, mask, allow_nan
            As for `fit`.
        steps : int
            How many batches to take of an iterable.

        Returns
        -------
        ndarray, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        shown = _verbosity(verbose)
        given = Given(x, lengths=lengths, mask=mask)
        source = self._source(given, batch_size, steps, targets=False, allow_nan=allow_nan)
        hooks = CallbackList(callbacks, self, {"verbose": shown, "epochs": 1, "steps": source.steps}, shown)
        found = []
        with self._apart():
            hooks.on_predict_begin()
            for step, batch in enumerate(source.epoch(None)):
                hooks.on_predict_batch_begin(step)
                y, _ = self._forward(batch.x, batch.mask, False)
                found.append(y.copy() if np.may_share_memory(y, batch.x) else y)
                hooks.on_predict_batch_end(step, {"outputs": y})
        hooks.on_predict_end()
        return np.concatenate(found)

    @overload
    def train_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = ...,
        class_weight: Mapping[int, float] | None = ..., *, return_dict: Literal[True],
        lengths: ArrayLike | None = ..., mask: ArrayLike | None = ...,
    ) -> dict[str, float]: ...  # fmt: skip

    @overload
    def train_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = ...,
        class_weight: Mapping[int, float] | None = ..., return_dict: bool = ..., *,
        lengths: ArrayLike | None = ..., mask: ArrayLike | None = ...,
    ) -> Any: ...  # fmt: skip

    def train_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None, return_dict: bool = False, *,
        lengths: ArrayLike | None = None, mask: ArrayLike | None = None,
    ) -> Any:  # fmt: skip
        """One update.

        Parameters
        ----------
        x, y, sample_weight, class_weight, lengths, mask
            As for `fit`: arrays of one batch.
        return_dict : bool
            Whether the result is a dict.

        Returns
        -------
        list of float, float, or dict of str to float
            As `evaluate`: loss and metrics of this batch alone, before the update.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`.
        """
        self._ready("train_on_batch", learns=True)
        batch = self._one(Given(x, y, sample_weight, lengths, mask), class_weight)
        self._discard()
        with self._run():
            self._reset_metrics()
            try:
                self._train(batch)
            finally:
                self._discard()
            logs = self._logs()
        return logs if return_dict else _flattened(logs)

    @overload
    def test_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = ..., *, return_dict: Literal[True],
        lengths: ArrayLike | None = ..., mask: ArrayLike | None = ...,
    ) -> dict[str, float]: ...  # fmt: skip

    @overload
    def test_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = ..., return_dict: bool = ..., *,
        lengths: ArrayLike | None = ..., mask: ArrayLike | None = ...,
    ) -> Any: ...  # fmt: skip

    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False, *, lengths: Any = None,
        mask: ArrayLike | None = None,
    ) -> Any:  # fmt: skip
        """Loss and metrics of one batch.

        Parameters
        ----------
        x, y, sample_weight, lengths, mask
            As for `fit`: arrays of one batch.
        return_dict : bool
            Whether the result is a dict.

        Returns
        -------
        list of float, float, or dict of str to float
            As `evaluate`.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `fit`.
        """
        self._ready("test_on_batch")
        batch = self._one(Given(x, y, sample_weight, lengths, mask), None)
        with self._run(), self._apart():
            self._reset_metrics()
            self._test(batch)
            logs = self._logs()
        return logs if return_dict else _flattened(logs)

    def _one(self, given: Given, class_weight: Any) -> Batch:
        batch = self._weighted(self._prepared(given, targets=True, allow_nan=False), class_weight)
        self._check_targets(batch)
        return batch

    def predict_on_batch(
        self, x: ArrayLike, *, lengths: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Array:
        """`predict` of one batch.

        Parameters
        ----------
        x : array_like, shape (N, ...)
        lengths, mask
            As for `fit`.

        Returns
        -------
        ndarray, shape (N, ...)

        Raises
        ------
        ValueError, TypeError
            As `fit`.
        """
        with self._apart():
            return self(x, mask=mask, lengths=lengths)

    def summary(
        self, line_length: int | None = None, positions: Sequence[float] | None = None,
        print_fn: Callable[[str], object] | None = None, show_trainable: bool = False,
    ) -> None:  # fmt: skip
        """Print a table of the layers, their outputs and numbers of weights, as Keras does.

        Parameters
        ----------
        line_length : int, optional
            88, or what the terminal has room for.
        positions : sequence of float, optional
            Where columns end, as shares of the line.
        print_fn : callable, optional
            Gets the text, all at once; else it is printed.
        show_trainable : bool
            Whether a column says which layers learn.

        Raises
        ------
        ValueError, TypeError
            No room for the columns; numbers that make no sense.
        """
        length = _at_least_one("line_length", line_length)
        text = summary.text_of(self, length, positions, names.flag("show_trainable", show_trainable))
        if print_fn is None:
            print(text, end="")
        else:
            print_fn(text)

    def _described(self) -> tuple[Any, ...]:
        """What it predicts, as stages (`fastlstm.formats.plan`)."""
        self._built()
        return described.described(self.layers)

    def _check_saving(self, path: Any, *, weights_only: bool) -> None:
        """Say now what `save`, or `save_weights`, would say later."""
        saving.check(self, path, weights_only=weights_only)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write architecture, weights and what training needs to go on: `fastlstm.nn.models.save_model`.

        Parameters
        ----------
        path : str or path-like
            It may end in .keras, for a file of Keras 3's.

        Raises
        ------
        ImportError, ValueError, TypeError, OSError
            As `save_model`.
        """
        saving.save_model(self, path)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the weights alone: `fastlstm.nn.saving.save_weights`.

        Parameters
        ----------
        path : str or path-like
            It may end in .weights.h5, for a file of Keras 3's.

        Raises
        ------
        ImportError, ValueError, TypeError, OSError
            As `save_weights`.
        """
        saving.save_weights(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the weights of a file: `fastlstm.nn.saving.load_weights`.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        ImportError, ValueError, TypeError, OSError
            As `load_weights`. The weights have not been changed then.
        """
        saving.load_weights(self, path)


def _listed(argument: str, given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        raise TypeError(f"{argument}: expected a list, as the model has one output, got a dict")
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _at_least_one(argument: str, value: Any) -> int | None:
    return None if value is None else size_of(argument, value)


def _verbosity(verbose: Any) -> int:
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if not isinstance(verbose, (int, np.integer)) or verbose not in (0, 1, 2):
        raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', got {verbose!r}")
    return int(verbose)


def _split(given: Given, share: float, *, none_too: bool) -> tuple[Given, Given]:
    """The first samples to learn from, and the last ones to validate with. none_too: whether there may be no sample."""
    if data.is_stream(given.x):
        raise ValueError("validation_split: expected 0 where x yields batches: there is no telling where it ends")
    found = {name: None if value is None else data.targets(value) if name == "y" else checks.array(name, value)
             for name, value in given._asdict().items()}  # fmt: skip
    x = checks.array("x", given.x)
    if x.ndim == 0:
        raise ValueError("x: expected shape (N, ...), got a number")
    data.same_length(**found)
    n = len(x)
    first = int(np.floor(n * (1.0 - share)))
    if not 0 < first < n and not (n == 0 and none_too):
        raise ValueError(f"validation_split: expected samples on both sides, got {share:g} of {n} samples: {first} to "
                         f"learn from and {n - first} to validate with")  # fmt: skip
    learn, judge = (Given(**{name: None if array is None else array[part] for name, array in found.items()})
                    for part in (slice(first), slice(first, None)))  # fmt: skip
    return learn, judge


def _validation(given: Any) -> Given:
    """What to validate with."""
    if isinstance(given, Given):
        return given
    if isinstance(given, Mapping):
        return data.named("validation_data", given)
    if not isinstance(given, (tuple, list)) or data.is_stream(given):
        return Given(given)
    if not 2 <= len(given) <= 3:
        raise ValueError("validation_data: expected (x, y), (x, y, sample_weight) or a dict of "
                         f"{', '.join(Given._fields)}, got {len(given)} entries")  # fmt: skip
    return Given(*given)


def _flattened(logs: dict[str, Any]) -> Any:
    found = list(logs.values())
    return found[0] if len(found) == 1 else found
