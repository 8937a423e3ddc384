"""What happens around training: callbacks with Keras's names and hooks, and the progress display.

A hook is a method with one of the names in `HOOKS`. Any object with some of them is a callback; `Callback` only spares
writing the others.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import inspect
import math
import os
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TextIO

import numpy as np
from numba.core import event

from ... import checks
from . import metrics, names
from .types import Array, Callbacks

if TYPE_CHECKING:
    from .model import Sequential

Logs = dict[str, Any]

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end",
    "on_predict_begin", "on_predict_end", "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip
"""Those of an epoch or a batch get its number and logs, the others logs; a hook may have fewer arguments by having
defaults, not by leaving them out."""


class Callback:
    """A callback that does nothing: derive from it, and write the hooks that you need.

    A hook is a method that `fit`, `evaluate` or `predict` calls at a certain moment. Epochs and batches are counted
    from 0. ``logs`` is a dict of str to float: the loss and the metrics by name, where they are known by then.
    `on_batch_begin` and `on_batch_end` are other names for the hooks of training batches.

    Attributes
    ----------
    model : Sequential
        The model, once a run has begun. A callback may read and change it: ``self.model.stop_training = True`` ends
        `fit`.
    params : dict
        Of the run: verbose, epochs, steps; rank and ranks too, if `fit` was given a communicator.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import Callback
    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print("EPOCH", epoch, "LOSS", logs["loss"])
    >>> Shout().on_epoch_end(3, {"loss": 0.5})
    EPOCH 3 LOSS 0.5
    """

    model: Sequential = None  # type: ignore[assignment]  # until set_model
    params: Mapping[str, Any] | None = None
    lazy_logs: ClassVar[bool] = False  # whether the hooks of batches take a function that makes the logs

    def __repr__(self) -> str:
        return names.call(self)

    @property
    def _speaks(self) -> bool:
        """Whether this process, of all that learn together, is the one that prints and writes files."""
        return not (self.params or {}).get("rank", 0)

    def _say(self, text: str) -> None:
        if self._speaks:
            print(text, flush=True)

    def set_model(self, model: Sequential) -> None:
        """Before a run: sets `model`."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Before a run: sets `params`."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before training."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After training, also where it was interrupted."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch. In logs are loss and metrics; those of the validation data have val_ before their names."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch, counted from 0 in its epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch. In logs are loss and metrics: means over the epoch so far."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, also of the validation data within `fit`."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction."""


class CallbackList:
    """Calls the hooks of many callbacks: `fit` makes one of what it is given.

    It has a method for each hook. A hook that a callback has not written is not called.

    Parameters
    ----------
    callbacks : callback, sequence of callbacks or None
        It may hold further lists.
    model : Sequential
        What each callback is given by `set_model`.
    params : mapping
        verbose, epochs, steps: what each callback is given by `set_params`.
    verbose : 0, 1 or 2
        Above 0 a `Progress` is added.

    Attributes
    ----------
    callbacks : list
        All of them: the caller's, History, Progress.
    history : History
        The caller's own, or a new one, whose hooks are called after those of the caller's callbacks.

    Notes
    -----
    Logs of a batch may be given as a function that makes them. It is called only if a callback looks at them.

    Raises
    ------
    TypeError
        Something without any hook.
    ValueError
        One callback twice.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import CallbackList
    >>> hooks = CallbackList()
    >>> hooks.on_train_begin(); hooks.on_epoch_end(0, {"loss": 0.5})
    >>> hooks.history.history
    {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Callbacks = None,
        model: Sequential | None = None,
        params: Mapping[str, Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.callbacks = list(_flat(callbacks))
        for i, callback in enumerate(self.callbacks):
            if isinstance(callback, type) or not any(callable(getattr(callback, hook, None)) for hook in
                                                     (*HOOKS, "on_batch_begin", "on_batch_end")):  # fmt: skip
                raise TypeError(f"callbacks[{i}]: expected an object with hooks such as on_epoch_end, got {callback!r}")
            if any(callback is other for other in self.callbacks[:i]):
                raise ValueError(f"callbacks[{i}]: expected each callback once, got {callback!r} again")
        own = [callback for callback in self.callbacks if isinstance(callback, History)]
        self.history: History = own[0] if own else History()
        if not own:
            self.callbacks.append(self.history)
        if verbose and not any(isinstance(callback, Progress) for callback in self.callbacks):
            self.callbacks.append(Progress(verbose))
        for callback in self.callbacks:
            for setter, value in (("set_model", model), ("set_params", dict(params or {}))):
                if callable(getattr(callback, setter, None)):
                    getattr(callback, setter)(value)
                else:  # what has no room for it does without
                    with contextlib.suppress(AttributeError):
                        setattr(callback, setter.removeprefix("set_"), value)
        self._hooks = {
            hook: [
                (method, getattr(callback, "lazy_logs", False))
                for callback in self.callbacks
                if (method := _found(callback, hook)) is not None
            ]
            for hook in HOOKS
        }

    def __repr__(self) -> str:
        return f"CallbackList({self.callbacks!r})"

    def check_names(self, logged: Sequence[str]) -> None:
        """Before training: raise an error if a callback watches a number that will not be in the logs.

        Parameters
        ----------
        logged : sequence of str
            Names of what the model will log, validation included.

        Raises
        ------
        ValueError
            There is such a callback. Nothing is said if a callback of the caller's own may add to the logs.
        """
        logged = list(logged)
        for callback in self.callbacks:
            if type(callback).__module__ != Callback.__module__ and _found(callback, "on_epoch_end") is not None:
                return
            if isinstance(callback, (ReduceLROnPlateau, LearningRateScheduler)):
                logged.append("learning_rate")
        for callback in self.callbacks:
            if isinstance(callback, _Monitor):
                callback.check_names(logged)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, {} if logs is None else logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._call_of_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._call_of_batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._call_of_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._call_of_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._call_of_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._call_of_batch("on_predict_batch_end", batch, logs)

    def _call(self, hook: str, *arguments: Any) -> None:
        for method, _ in self._hooks[hook]:
            method(*arguments)

    def _call_of_batch(self, hook: str, batch: int, logs: Logs | Callable[[], Logs] | None) -> None:
        for method, lazy in self._hooks[hook]:
            if not lazy and callable(logs):
                logs = logs()
            method(batch, logs)


class History(Callback):
    """The losses and metrics of all epochs: what `fit` returns.

    If it is given to several runs of one model, it goes on. With another model it begins anew.

    Attributes
    ----------
    epoch : list of int
        The epochs of the last run.
    history : dict of str to list of float
        By name in the logs: a number an epoch.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import History
    >>> history = History()
    >>> history.on_train_begin(); history.on_epoch_end(0, {"loss": 0.5}); history.on_epoch_end(1, {"loss": 0.25})
    >>> history.history
    {'loss': [0.5, 0.25]}
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def set_model(self, model: Sequential) -> None:
        if model is not self.model:  # another model's numbers are no part of this one's
            self.epoch, self.history = [], {}
        super().set_model(model)

    def __repr__(self) -> str:
        return f"<History: {len(self.epoch)} epoch(s) of {', '.join(self.history) or 'nothing yet'}>"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class _Monitor(Callback):
    """Watches whether a logged number becomes better; NaN never is."""

    MODES = ("auto", "min", "max")

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, best: float | None = None) -> None:
        if mode not in self.MODES:
            raise ValueError(f"mode: expected one of {self.MODES}, got {mode!r}")
        self.monitor, self.mode = names.text("monitor", monitor), mode
        self.min_delta = abs(names.real("min_delta", min_delta))
        self.best = self._first = best

    def set_model(self, model: Sequential) -> None:
        if model is not self.model:  # another model's best is nothing to be better than
            self.best = self._first
        super().set_model(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._rises()  # where that cannot be told, it is said before anything is computed

    def check_names(self, logged: Sequence[str]) -> None:
        """Before training: raise an error if what is watched will not be in the logs.

        Parameters
        ----------
        logged : sequence of str
            Names of what will be.

        Raises
        ------
        ValueError
            It will not.
        """
        if self.monitor not in logged:
            near = difflib.get_close_matches(self.monitor, logged, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            if self.monitor.startswith("val_") and not any(name.startswith("val_") for name in logged):
                hint = "; without data to validate with there is no val_ anything"
            raise ValueError(f"{type(self).__name__}: monitor: expected one of {', '.join(logged)}, got "
                             f"{self.monitor!r}{hint}")  # fmt: skip

    def _value(self, logs: Logs | None) -> Any:
        """What is watched, or None with a warning."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(f"{type(self).__name__}: {self.monitor} is not among {', '.join(logs or {})}", stacklevel=3)
        elif np.ndim(value) != 0:
            raise TypeError(f"monitor: expected one number as {self.monitor!r}, got {type(value).__name__}")
        return value

    def _better(self, value: float, than: float | None) -> bool:
        if math.isnan(value):
            return False
        if than is None:
            return True
        return value - self.min_delta > than if self._rises() else value + self.min_delta < than

    def _rises(self) -> bool:
        """Whether more is better."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        own = [metric for metric in getattr(self.model, "metrics", None) or () if getattr(metric, "name", None) == name]
        with contextlib.suppress(ValueError):  # a name may say it, whatever goes by that name
            own.append(metrics.get(name, output_shape=(None, 1)))
        for metric in own:
            if getattr(metric, "direction", None) in ("up", "down"):
                return bool(metric.direction == "up")
        raise ValueError(
            f"mode: expected 'min' or 'max' for {self.monitor!r}, whose direction is not known, got 'auto'"
        )


class EarlyStopping(_Monitor):
    """Ends training when a number has not become better for some epochs.

    Parameters
    ----------
    monitor : str
        The number's name in the logs.
    min_delta : float
        A smaller change than this does not count as better.
    patience : int
        Epochs without a better number before training ends.
    verbose : 0 or 1
        1 says when it ends, and which epoch's weights are restored.
    mode : "auto", "min" or "max"
        Whether less or more is better. "auto" goes by the metric's `direction`; a function has none, and needs "min" or
        "max".
    baseline : float, optional
        Patience begins anew only with a number that is better than this one too.
    restore_best_weights : bool
        Whether the weights of the best epoch are put back at the end.
    start_from_epoch : int
        Epochs before this are not looked at.

    Attributes
    ----------
    stopped_epoch, best_epoch : int
    best : float or None

    Raises
    ------
    ValueError, TypeError
        Another mode, another min_delta; when training begins, mode "auto" with a metric whose direction is not known.

    Notes
    -----
    NaN is never better.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fastlstm.nn.callbacks import EarlyStopping
    >>> stop = EarlyStopping(patience=2)
    >>> stop.set_model(SimpleNamespace(stop_training=False))
    >>> stop.on_train_begin()
    >>> for epoch, loss in enumerate([3.0, 2.0, 2.5, 2.1]):
    ...     stop.on_epoch_end(epoch, {"val_loss": loss})
    >>> stop.model.stop_training, stop.best_epoch, stop.stopped_epoch
    (True, 1, 3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: Literal["auto", "min", "max"] = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose = checks.count("patience", patience), _loudness(verbose)
        self.baseline = _threshold("baseline", baseline)
        self.restore_best_weights = names.flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = checks.count("start_from_epoch", start_from_epoch)
        self.best_weights: list[Array] | None = None
        self._begin()

    def _begin(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = None, None
        self._ended = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._ended:  # a run that another callback has refused before it began here
            return
        self._ended = True
        if self.stopped_epoch > 0 and self.verbose > 0:
            self._say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                self._say(f"Restoring the weights of epoch {self.best_epoch + 1}, the best")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Saves the model, or its weights, as training goes on.

    Parameters
    ----------
    filepath : str or path
        Where `model.save` writes. {epoch}, counted from 1, {batch}, and names in the logs, as in {val_loss:.3f}, are
        filled in. Folders that do not exist are made.
    monitor, mode
        As in `EarlyStopping`.
    verbose : 0 or 1
        1 says what is saved.
    save_best_only : bool
        Whether a model is saved only if it is better than all before.
    save_weights_only : bool
        Whether the weights alone are saved, by `model.save_weights`.
    save_freq : "epoch" or int
        When it saves: after each epoch, or after every so many batches, counted through all epochs.
    initial_value_threshold : float, optional
        The first model has to be better than this to be saved.

    Raises
    ------
    ValueError, TypeError
        Another mode, another save_freq.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import ModelCheckpoint
    >>> keep = ModelCheckpoint("best-{epoch:02d}.safetensors", save_best_only=True)
    """

    lazy_logs = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: Literal["auto", "min", "max"] = "auto",
        save_freq: Literal["epoch"] | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=_threshold("initial_value_threshold", initial_value_threshold))
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"save_freq: expected 'epoch' or a number of batches, got {save_freq!r}")
        self.filepath, self.verbose, self.save_freq = os.fspath(filepath), _loudness(verbose), save_freq
        self.save_best_only = names.flag("save_best_only", save_best_only)
        self.save_weights_only = names.flag("save_weights_only", save_weights_only)
        self._epoch = self._batches = 0

    def check_names(self, logged: Sequence[str]) -> None:
        if self.save_best_only:
            super().check_names(logged)
        numbers: dict[str, Any] = dict.fromkeys(logged, 0.5) | {"epoch": 1}
        if self.save_freq != "epoch":
            numbers["batch"] = 1
        try:
            self.filepath.format(**numbers)
        except (KeyError, IndexError):
            raise ValueError(f"filepath: expected names among {', '.join(numbers)}, got {self.filepath!r}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"filepath: expected formats of numbers, got {self.filepath!r} ({error})") from None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check = getattr(self.model, "_check_saving", None)
        if check is not None:
            check(self.filepath, weights_only=self.save_weights_only)
        if self.save_best_only:
            super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        if isinstance(self.save_freq, int):
            self._batches += 1
            if self._batches >= self.save_freq:
                self._batches = 0
                self._save(self._epoch, batch, (logs() if callable(logs) else logs) or {})

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        fields = {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1}) | logs
        try:
            path = self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(f"filepath: expected names among {', '.join(fields)}, got {self.filepath!r}") from error
        message = f"Epoch {epoch + 1}: "
        if self.save_best_only:
            value = self._value(logs)
            if value is not None:
                before = "None" if self.best is None else f"{self.best:.5f}"
                if not self._better(value, self.best):
                    if self.verbose > 0:
                        self._say(f"{message}{self.monitor} did not improve from {before}")
                    return
                message += f"{self.monitor} improved from {before} to {value:.5f}, "
                self.best = value
        if not self._speaks:
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose > 0:
            self._say(f"{message}saved to {path}")


class ReduceLROnPlateau(_Monitor):
    """Lowers the learning rate when a number has not become better for some epochs.

    Parameters
    ----------
    monitor, mode, min_delta
        As in `EarlyStopping`.
    factor : float
        What the rate is multiplied by; below 1.
    patience : int
        Epochs without a better number before it does so.
    verbose : 0 or 1
        1 says when it does.
    cooldown : int
        Epochs after that which do not count for patience.
    min_lr : float
        The lowest rate.

    Raises
    ------
    ValueError, TypeError
        Another mode, min_delta or factor; when training begins, mode "auto" with a metric whose direction is not known,
        or a learning rate that is a `LearningRateSchedule`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fastlstm.nn.callbacks import ReduceLROnPlateau
    >>> lower = ReduceLROnPlateau(factor=0.5, patience=1)
    >>> lower.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.1)))
    >>> lower.on_train_begin()
    >>> for epoch, loss in enumerate([3.0, 3.0]):
    ...     lower.on_epoch_end(epoch, {"val_loss": loss})
    >>> lower.model.optimizer.learning_rate
    0.05
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if names.real("factor", factor, 0.0) >= 1:
            raise ValueError(f"factor: expected less than 1, got {factor}")
        self.factor, self.patience, self.verbose = factor, checks.count("patience", patience), _loudness(verbose)
        self.cooldown, self.min_lr = checks.count("cooldown", cooldown), names.real("min_lr", min_lr, 0.0)
        self._begin()

    def _begin(self) -> None:
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()
        _check_rate(self)
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        value = self._value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                lower = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = lower
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose > 0:
                    self._say(f"Epoch {epoch + 1}: learning rate reduced to {lower:g}")


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Parameters
    ----------
    schedule : callable
        schedule(epoch, learning_rate) -> float, or schedule(epoch).
    verbose : 0 or 1
        1 says what is set.

    Raises
    ------
    TypeError
        Something that is no function; a function that returns no number, when it is called; when training begins, a
        learning rate that is a `LearningRateSchedule`, as the two would contradict each other.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import LearningRateScheduler
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function of epoch and rate, got {type(schedule).__name__}")
        self.schedule, self.verbose = schedule, _loudness(verbose)
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False
        except ValueError:  # compiled code without a signature
            self._takes_rate = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        _check_rate(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        before = float(self.model.optimizer.learning_rate)
        rate = self.schedule(epoch, before) if self._takes_rate else self.schedule(epoch)
        self.model.optimizer.learning_rate = names.real("schedule", rate, 0.0)
        if self.verbose > 0:
            self._say(f"Epoch {epoch + 1}: learning rate set to {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class CSVLogger(Callback):
    """Writes the losses and metrics of each epoch into a file, as a line of comma-separated values.

    Parameters
    ----------
    filename : str or path
    separator : str
        One character.
    append : bool
        Whether to write behind what is in the file. There is no header then, unless the file is empty or new.

    Raises
    ------
    OSError
        When training begins: the file cannot be written.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import CSVLogger
    >>> log = CSVLogger("training.csv")
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        if len(names.text("separator", separator)) != 1:
            raise ValueError(f"separator: expected one character, got {separator!r}")
        self.filename, self.separator, self.append = os.fspath(filename), separator, names.flag("append", append)
        self._file: TextIO | None = None
        self._columns: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.on_train_end()
        if not self._speaks:
            return
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115, until training ends
        self._columns = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if not self._speaks:
            return
        if self._file is None:
            raise RuntimeError(f"CSVLogger: expected on_train_begin before on_epoch_end for {self.filename}")
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._columns is None:
            self._columns = sorted(logs)
            if not any(name.startswith("val_") for name in logs):  # they may come with a later epoch
                self._columns += [f"val_{name}" for name in self._columns]
            if self._file.tell() == 0:
                writer.writerow(["epoch", *self._columns])
        writer.writerow([epoch, *(_cell(logs.get(name, "NA")) for name in self._columns)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class TerminateOnNaN(Callback):
    """Ends training when the loss is NaN or infinite.

    Parameters
    ----------
    raise_error : bool
        Whether it raises a RuntimeError, which ends `fit` at once.

    Raises
    ------
    RuntimeError
        With raise_error, after a batch whose loss is NaN or infinite.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from fastlstm.nn.callbacks import TerminateOnNaN
    >>> stop = TerminateOnNaN()
    >>> stop.set_model(SimpleNamespace(stop_training=False))
    >>> stop.on_train_batch_end(7, {"loss": float("nan")})
    Batch 7: the loss is nan; training ends
    >>> stop.model.stop_training
    True
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = names.flag("raise_error", raise_error)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"TerminateOnNaN: expected a finite loss, got {loss} at batch {batch}")
        self._say(f"Batch {batch}: the loss is {loss}; training ends")
        self.model.stop_training = True


class _Compiling(event.Listener):
    """Tells a `Progress`, as long as there is one, when a kernel begins to be compiled; one from the cache is not."""

    KIND = "numba:compile"

    def __init__(self, progress: Progress) -> None:
        self._progress = weakref.ref(progress)

    def on_start(self, event: Any) -> None:
        function = getattr(event.data["dispatcher"], "py_func", None)
        progress = self._progress()
        if progress is not None and getattr(function, "__module__", "").startswith("fastlstm."):
            progress._compiles()

    def on_end(self, event: Any) -> None:
        """What comes next is shown by the next batch."""


class Progress(Callback):
    """Shows how far training, an evaluation or a prediction is.

    Parameters
    ----------
    verbose : 1 or 2
        1 shows a bar, if the package tqdm is installed. 2, or 1 without tqdm, prints a line an epoch. Both say when
        kernels are being compiled, which happens once on a machine.

    Examples
    --------
    >>> from fastlstm.nn.callbacks import Progress
    >>> show = Progress(verbose=2)
    >>> show.set_params({"epochs": 2, "steps": 10})
    >>> show.on_train_begin(); show.on_epoch_begin(0)
    """

    lazy_logs = True
    PAUSE: ClassVar[float] = 0.1  # seconds between two looks at the numbers

    def __init__(self, verbose: int = 1) -> None:
        self.verbose = verbose
        self._training = False
        self._bar: Any = None
        self._began = self._shown = 0.0
        self._done = 0
        self._told = False  # that kernels are being compiled
        self._stop_listening: Callable[[], Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._training = False
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        epochs = (self.params or {}).get("epochs")
        self._open(f"Epoch {epoch + 1}" + (f"/{epochs}" if epochs else ""))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs)

    def on_train_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._advance(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._open("Evaluation")

    def on_test_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        if not self._training:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._open("Prediction")

    def on_predict_batch_end(self, batch: int, logs: Logs | Callable[[], Logs] | None = None) -> None:
        self._advance(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish(None)

    def _open(self, title: str) -> None:
        self._close()
        if not self._speaks:
            return
        self._title, self._began, self._done = title, time.perf_counter(), 0
        self._shown = self._began
        if self.verbose == 1:
            with contextlib.suppress(ImportError):
                from tqdm import tqdm

                self._bar = tqdm(total=(self.params or {}).get("steps"), desc=title, unit="batch", mininterval=0)
        listener = _Compiling(self)
        event.register(listener.KIND, listener)  # type: ignore[no-untyped-call]
        # also where an error keeps the end from being told
        self._stop_listening = weakref.finalize(self, event.unregister, listener.KIND, listener)

    def _compiles(self) -> None:
        if self._told:
            return
        self._told = True
        if self._bar is not None:
            self._bar.set_postfix_str("compiling the kernels, once on this machine")
        else:
            print(f"{self._title}: compiling the kernels, once on this machine", flush=True)

    def _advance(self, batch: int, logs: Any) -> None:
        self._done += 1
        if self._bar is not None and time.perf_counter() - self._shown >= self.PAUSE:
            self._show(logs() if callable(logs) else logs)

    def _show(self, logs: Logs | None) -> None:
        self._shown, self._told = time.perf_counter(), False
        self._bar.set_postfix_str(_listed(logs), refresh=False)
        self._bar.update(self._done - self._bar.n)

    def _finish(self, logs: Logs | None) -> None:
        if not self._speaks:
            return
        if self._bar is not None:
            self._show(logs)
            self._close()
            return
        self._close()
        seconds = time.perf_counter() - self._began
        print(" - ".join(filter(None, (f"{self._title}: {self._done} batches", f"{seconds:.2f} s", _listed(logs)))),
              flush=True)  # fmt: skip

    def _close(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _loudness(verbose: Any) -> int:
    """How much a callback says, as a count."""
    return int(verbose) if isinstance(verbose, bool) else checks.count("verbose", verbose)


def _threshold(argument: str, value: Any) -> float | None:
    """A number, which NaN is not, or None."""
    return None if value is None else names.real(argument, value)


def _check_rate(callback: Callback) -> None:
    """Refuse to set a learning rate in the place of a schedule.

    Raises
    ------
    TypeError
        The model's optimizer has one.
    """
    schedule = getattr(callback.model.optimizer, "_schedule", None)
    if schedule is not None:
        raise TypeError(f"learning_rate: expected a number for {type(callback).__name__} to change, got the schedule "
                        f"{type(schedule).__name__}")  # fmt: skip


def _flat(callbacks: object) -> Sequence[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, CallbackList):
        return callbacks.callbacks
    if isinstance(callbacks, (list, tuple)):
        return [one for callback in callbacks for one in _flat(callback)]
    return [callbacks]


def _found(callback: Any, hook: str) -> Callable[..., None] | None:
    """The callback's method for a hook, where it has one that does something."""
    for name in (hook, hook.replace("_train_batch_", "_batch_")):
        method = getattr(callback, name, None)
        if callable(method) and getattr(method, "__func__", method) is not getattr(Callback, name):
            return method  # type: ignore[no-any-return]
    return None


def _listed(logs: Logs | None) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, (int, float)) else f"{name} {value}"
                     for name, value in (logs or {}).items())  # fmt: skip


def _cell(value: Any) -> Any:
    """As Keras writes arrays."""
    if getattr(value, "ndim", 0) or isinstance(value, (list, tuple)):
        return f'"[{", ".join(map(str, value))}]"'
    return value
