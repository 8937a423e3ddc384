"""Callbacks: what they do to a model, the same as Keras's own, and what a list of them costs and calls."""

from __future__ import annotations

import csv
import gc
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_golden import live_keras
from numba import types
from numba.core import event

from fastlstm.cpu.compiler import cache, options, run
from fastlstm.nn import callbacks, metrics
from fastlstm.nn._src.callbacks import HOOKS
from fastlstm.nn.callbacks import Callback, CallbackList


class Model:
    """Remembers what callbacks ask of it."""

    def __init__(self) -> None:
        self.stop_training, self.optimizer = False, SimpleNamespace(learning_rate=0.1)
        self.weights, self.metrics, self.saved = 0, [metrics.AUC(name="area")], []

    def get_weights(self) -> int:
        return self.weights

    def set_weights(self, weights: int) -> None:
        self.weights = -weights

    def save(self, path: str, **_: Any) -> None:
        self.saved.append(("model", path, self.weights))

    def save_weights(self, path: str, **_: Any) -> None:
        self.saved.append(("weights", path, self.weights))


def fit(hooks: Any, model: Model, values: list[float], name: str = "val_loss", batches: int = 3) -> list[Any]:
    """As a model trains: the numbers of the epochs that it came to, with the rate that each epoch had."""
    hooks.on_train_begin()
    seen = []
    for epoch, value in enumerate(values):
        hooks.on_epoch_begin(epoch)
        model.weights = epoch + 1
        for batch in range(batches):
            hooks.on_train_batch_end(batch, {"loss": value})
        logs = {"loss": value, name: value}
        hooks.on_epoch_end(epoch, logs)
        seen.append((logs, model.optimizer.learning_rate))
        if model.stop_training:
            break
    hooks.on_train_end()
    return seen


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "stop": ("EarlyStopping", {"patience": 2}),
    "stop_at_once": ("EarlyStopping", {"min_delta": 1.5}),
    "stop_max": ("EarlyStopping", {"mode": "max", "patience": 1, "restore_best_weights": True}),
    "stop_baseline": ("EarlyStopping", {"baseline": 1.5, "patience": 2, "restore_best_weights": True}),
    "stop_late": ("EarlyStopping", {"start_from_epoch": 3, "patience": 1, "restore_best_weights": True}),
    "lower": ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5}),
    "lower_cool": (
        "ReduceLROnPlateau",
        {"patience": 1, "cooldown": 2, "min_delta": 1.5, "min_lr": 0.05, "factor": 0.8},
    ),
    "lower_max": ("ReduceLROnPlateau", {"patience": 1, "mode": "max"}),
    "schedule": ("LearningRateScheduler", {"schedule": lambda epoch, rate: rate * 0.9}),
    "schedule_epoch": ("LearningRateScheduler", {"schedule": lambda epoch: 0.1 / (epoch + 1)}),
    "checkpoint": ("ModelCheckpoint", {"save_best_only": True}),
    "checkpoint_max": ("ModelCheckpoint", {"save_best_only": True, "mode": "max", "initial_value_threshold": 1.0}),
    "checkpoint_batches": ("ModelCheckpoint", {"save_freq": 4, "save_weights_only": True}),
    "nan": ("TerminateOnNaN", {}),
}


def made(module: Any, case: str, suffix: str) -> Any:
    name, arguments = CASES[case]
    if name == "ModelCheckpoint":
        ending = ".weights" + suffix if arguments.get("save_weights_only") else suffix
        arguments = arguments | {"filepath": "{epoch:02d}-{loss:.2f}" + ending}
    return getattr(module, name)(**arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within Keras
@pytest.mark.parametrize("case", CASES)
def test_live(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and Keras's see the same numbers, and do the same at the same moments."""
    keras = live_keras()
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    for _ in range(6):
        values = rng.integers(0, 6, 12).astype(float).tolist()
        if case == "nan":
            values[5] = float("inf")
        results = []
        for module, suffix in ((callbacks, ".h5"), (keras.callbacks, ".h5")):
            model = Model()
            if module is callbacks:
                hooks: Any = CallbackList(made(module, case, suffix), model)
            else:
                hooks = keras.callbacks.CallbackList([made(module, case, suffix)], model=model)
            rates = [rate for _, rate in fit(hooks, model, values)]
            results.append((rates, model.stop_training, model.weights, model.saved))
        ours, theirs = results
        assert ours == theirs


def trained(callback: Any, values: list[float], name: str = "val_loss") -> Model:
    model = Model()
    fit(CallbackList(callback, model), model, values, name)
    return model


def test_early_stopping(capsys: pytest.CaptureFixture[str]) -> None:
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    for _ in range(2):  # it can be used again
        model = trained(stop, [5, 3, 4, 3.5, 1])
        assert (stop.stopped_epoch, stop.best_epoch, stop.best) == (3, 1, 3)
        assert model.weights == -2
    assert "Epoch 4: early stopping" in capsys.readouterr().out
    assert not trained(callbacks.EarlyStopping(patience=3), [5, 3, 4, 3.5, 1]).stop_training


def test_min_delta() -> None:
    for mode, sign in (("min", 1), ("max", -1)):
        stop = callbacks.EarlyStopping(patience=2, min_delta=0.5, mode=mode)
        trained(stop, [sign * value for value in (3, 2.6, 2.4, 2.0, 1.95, 1.0)])
        assert (stop.best, stop.best_epoch, stop.stopped_epoch) == (sign * 2.4, 2, 4)


def test_reduce_on_plateau(capsys: pytest.CaptureFixture[str]) -> None:
    lower = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=2, min_lr=0.03, verbose=1)
    for values, expected in (
        ([1] * 10, [0.1, 0.1, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03]),
        ([1, 2, 0.5, 1, 1, 1], [0.1, 0.1, 0.1, 0.1, 0.05, 0.05]),
    ):
        model = Model()
        assert [rate for _, rate in fit(CallbackList(lower, model), model, values)] == expected
    assert "Epoch 3: learning rate reduced to 0.05" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "rises"), [("val_loss", False), ("area", True), ("val_acc", True), ("mae", False)])
def test_direction(name: str, rises: bool) -> None:
    stop = callbacks.EarlyStopping(name, patience=1)
    trained(stop, [1, 2, 3, 4], name)
    assert stop.best == (4 if rises else 1)


def test_unknown_direction_and_missing_numbers() -> None:
    with pytest.raises(ValueError, match="mode: expected 'min' or 'max' for 'strange'"):
        trained(callbacks.EarlyStopping("strange"), [1, 2], "strange")
    for callback in (callbacks.EarlyStopping("val_acc"), callbacks.ReduceLROnPlateau("val_acc")):
        with pytest.warns(UserWarning, match="val_acc is not among loss, val_loss"):
            trained(callback, [1])


def test_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("deep") / "{epoch}-{val_loss:.1f}.safetensors"
    model = trained(callbacks.ModelCheckpoint(path, save_best_only=True, verbose=1), [5, 3, 4])
    assert [(kind, Path(p).name) for kind, p, _ in model.saved] == [
        ("model", "1-5.0.safetensors"),
        ("model", "2-3.0.safetensors"),
    ]
    assert Path("deep").is_dir()
    shown = capsys.readouterr().out
    assert "val_loss improved from 5.00000 to 3.00000" in shown
    assert "did not improve from 3.00000" in shown
    model = trained(callbacks.ModelCheckpoint("{epoch}-{batch}", save_freq=2, save_weights_only=True), [5, 3])
    assert [path for _, path, _ in model.saved] == ["1-2", "2-1", "2-3"]
    with pytest.raises(KeyError, match="expected names among epoch, loss, val_loss"):
        trained(callbacks.ModelCheckpoint("{accuracy}"), [1])


def test_csv_logger(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for append in (False, True):
        log = callbacks.CSVLogger(path, separator=";", append=append)
        hooks = CallbackList(log)
        hooks.on_train_begin()
        hooks.on_epoch_end(0, {"loss": 1.5, "acc": np.array([1, 2])})
        hooks.on_epoch_end(1, {"loss": 0.5, "acc": 0, "val_loss": 7})
        hooks.on_train_end()
    with open(path, newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    assert rows == [
        ["epoch", "acc", "loss", "val_acc", "val_loss"],
        *[["0", '"[1, 2]"', "1.5", "NA", "NA"], ["1", "0", "0.5", "NA", "7"]] * 2,
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within Keras
def test_csv_logger_live(tmp_path: Path) -> None:
    keras = live_keras()
    for name, module in (("ours", callbacks), ("theirs", keras.callbacks)):
        log = module.CSVLogger(str(tmp_path / name))
        log.on_train_begin()
        log.on_epoch_end(0, {"loss": 1.5, "accuracy": 0.25})
        log.on_epoch_end(1, {"loss": 0.5, "accuracy": np.array([1.0, 2.0])})
        log.on_train_end()
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(fit(CallbackList(callbacks.TerminateOnNaN(), model := Model()), model, [1, float("nan"), 2])) == 2
    assert "Batch 0: the loss is nan" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="expected a finite loss, got inf at batch 0"):
        trained(callbacks.TerminateOnNaN(raise_error=True), [float("inf")])


class Recorder:
    """A callback of someone who knows nothing of this package."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name in HOOKS:
            return lambda *arguments: self.calls.append((name, arguments))
        raise AttributeError(name)


def test_every_hook_is_called() -> None:
    recorder, model = Recorder(), Model()
    hooks = CallbackList([[recorder]], model, {"epochs": 3})
    assert recorder.model is model
    assert recorder.params == {"epochs": 3}
    for hook in HOOKS:
        getattr(hooks, hook)(*([2, {"loss": 1.0}] if "epoch" in hook or "batch" in hook else [{"loss": 1.0}]))
    assert [name for name, _ in recorder.calls] == list(HOOKS)
    assert all(arguments[-1] == {"loss": 1.0} for _, arguments in recorder.calls)
    assert [hook for hook in HOOKS if hasattr(Callback, hook) and hasattr(CallbackList, hook)] == list(HOOKS)


def test_batch_hooks_by_either_name() -> None:
    calls = []

    class Old(Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            calls.append((batch, logs))

    hooks = CallbackList([Old(), SimpleNamespace(on_batch_end=lambda batch, logs: calls.append((batch, logs)))])
    hooks.on_train_batch_end(4, lambda: {"loss": 2.0})
    assert calls == [(4, {"loss": 2.0})] * 2


def test_logs_nobody_looks_at_are_not_made(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError

    hooks = CallbackList(
        [callbacks.EarlyStopping(), callbacks.CSVLogger(tmp_path / "x"), callbacks.ModelCheckpoint("x")], verbose=2
    )
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    for batch in range(3):
        hooks.on_train_batch_begin(batch, never)
        hooks.on_train_batch_end(batch, never)
        hooks.on_test_batch_end(batch, never)
    made = []
    CallbackList([callbacks.TerminateOnNaN(), Recorder()]).on_train_batch_end(
        0, lambda: made.append(1) or {"loss": 1.0}
    )
    assert made == [1]  # once for all
    hooks.on_train_end()


def test_history_comes_after_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    hooks = CallbackList(callbacks.ReduceLROnPlateau(patience=1, factor=0.5), model)
    fit(hooks, model, [1.0, 2.0, 3.0])
    assert hooks.history.history == {"loss": [1, 2, 3], "val_loss": [1, 2, 3], "learning_rate": [0.1, 0.1, 0.05]}
    assert hooks.history.epoch == [0, 1, 2]
    own = callbacks.History()
    assert CallbackList([own]).history is own


@pytest.mark.parametrize("bar", [True, False])
@pytest.mark.parametrize("verbose", [1, 2])
def test_progress(verbose: int, bar: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if bar:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(callbacks.Progress, "PAUSE", 0.0)
    hooks = CallbackList(None, Model(), {"epochs": 2, "steps": 3}, verbose)
    fit(hooks, Model(), [1.25, 0.5])
    shown = "".join(capsys.readouterr())
    for text in ("Epoch 1/2", "Epoch 2/2", "loss 1.25", "val_loss 0.5"):
        assert text in shown
    if verbose == 2 or not bar:
        assert shown.count("\n") == 2
        assert "3 batches" in shown
    else:
        assert "3/3" in shown
    hooks.on_test_begin()
    hooks.on_test_batch_end(0, lambda: {"loss": 9.5})
    hooks.on_test_end({"loss": 9.5})
    hooks.on_predict_begin()
    hooks.on_predict_batch_end(0)
    hooks.on_predict_end()
    shown = "".join(capsys.readouterr())
    assert "Evaluation" in shown
    assert "loss 9.5" in shown
    assert "Prediction" in shown
    assert capsys.readouterr() == ("", "")


def test_evaluation_within_training_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    hooks = CallbackList(verbose=2)
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    hooks.on_test_begin()
    hooks.on_test_batch_end(0, {"loss": 1.0})
    hooks.on_test_end({"loss": 1.0})
    assert "".join(capsys.readouterr()) == ""
    hooks.on_epoch_end(0, {"loss": 2.0})
    hooks.on_train_end()


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=15),
    patience=st.integers(0, 4),
    mode=st.sampled_from(["min", "max"]),
)
def test_best_weights_are_of_the_best_epoch(values: list[int], patience: int, mode: str) -> None:
    stop = callbacks.EarlyStopping(patience=patience, mode=mode, restore_best_weights=True)
    model = trained(stop, [float(value) for value in values])
    ran = values[: stop.stopped_epoch + 1] if stop.stopped_epoch else values
    best = min(ran) if mode == "min" else max(ran)
    assert model.weights == -(ran.index(best) + 1)
    if stop.stopped_epoch:
        assert len(ran) - 1 - ran.index(best) == max(patience, 1)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: CallbackList([object()]), TypeError, r"callbacks\[0\]: expected an object with hooks"),
        (lambda: CallbackList(callbacks.History), TypeError, r"callbacks\[0\]: expected an object with hooks"),
        (lambda: callbacks.EarlyStopping(mode="low"), ValueError, "mode: expected one of .*got 'low'"),
        (lambda: callbacks.EarlyStopping(min_delta="x"), TypeError, "min_delta: expected a number, got str"),
        (lambda: callbacks.ReduceLROnPlateau(factor=1), ValueError, "factor: expected less than 1, got 1"),
        (lambda: callbacks.ModelCheckpoint("x", save_freq="batch"), ValueError, "save_freq: expected 'epoch' or a number"),
        (lambda: callbacks.ModelCheckpoint("x", save_freq=0), ValueError, "save_freq: .*got 0"),
        (lambda: callbacks.LearningRateScheduler(0.1), TypeError, "schedule: expected a function"),
        (lambda: trained(callbacks.LearningRateScheduler(lambda epoch: "x"), [1]), TypeError, "schedule: expected a number"),
        (lambda: callbacks.EarlyStopping(monitor=3), TypeError, "monitor: expected a str, got int"),
        (lambda: callbacks.EarlyStopping(patience="3"), TypeError, "patience: expected an integer, got str"),
        (lambda: callbacks.EarlyStopping(start_from_epoch=-1), ValueError, "start_from_epoch: expected at least 0"),
        (lambda: callbacks.EarlyStopping(restore_best_weights="no"), TypeError, "restore_best_weights: expected True or"),
        (lambda: callbacks.EarlyStopping(verbose="1"), TypeError, "verbose: expected an integer, got str"),
        (lambda: callbacks.ModelCheckpoint("x", save_best_only=None), TypeError, "save_best_only: expected True or False"),
        (lambda: callbacks.ReduceLROnPlateau(patience=2.5), TypeError, "patience: expected an integer, got float"),
        (lambda: callbacks.ReduceLROnPlateau(cooldown=None), TypeError, "cooldown: expected an integer, got NoneType"),
        (lambda: callbacks.CSVLogger("x", separator=";;"), ValueError, "separator: expected one character, got ';;'"),
        (lambda: callbacks.CSVLogger("x").on_epoch_end(0), RuntimeError, "expected on_train_begin"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(kind, match=message):
        call()


class Compiles(Callback):
    """Compiles a kernel, as far as a progress display sees: anew, or from the cache."""

    kept: ClassVar[list[Any]] = []  # Numba's cache needs what a function of no module has compiled to be alive

    def __init__(self, module: str) -> None:
        self.module = module

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        def function(x):  # type: ignore[no-untyped-def]
            return x + 1

        function.__module__ = self.module
        entrance = options.compiled_from_python(function)
        run.prepare(entrance, (types.int64,))
        self.kept.append(entrance)
        assert entrance(batch) == batch + 1

    on_test_batch_begin = on_train_batch_begin


@pytest.mark.parametrize("bar", [True, False])
def test_progress_says_that_kernels_are_compiled(
    bar: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if bar:
        pytest.importorskip("tqdm")
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(cache, "cache_folder", lambda: str(folders[0]))
    monkeypatch.setattr(callbacks.Progress, "PAUSE", 0.0)
    before = list(event._registered["numba:compile"])
    note = "compiling the kernels, once on this machine"

    def shown(module: str) -> str:
        hooks = CallbackList(Compiles(module), Model(), {"epochs": 2, "steps": 1}, 1 if bar else 2)
        hooks.on_epoch_begin(0)
        for batch in range(3):
            hooks.on_train_batch_begin(batch)
            hooks.on_train_batch_end(batch, {"loss": 1.5})
        hooks.on_epoch_end(0, {"loss": 1.5})
        hooks.on_train_end()
        return "".join(capsys.readouterr())

    text = shown("fastlstm.cpu.own")
    assert text.count(note) == 1  # compiled once, the later ones come from the cache
    assert text.rindex("loss 1.5") > text.index(note)
    assert text.index("Epoch 1/2") < text.index(note)
    assert note not in shown("fastlstm.cpu.own")
    folders.pop(0)
    assert note not in shown("somebody.elses")
    assert event._registered["numba:compile"] == before


def test_progress_that_ends_by_an_error_stops_listening() -> None:
    hooks = CallbackList(None, Model(), {"epochs": 2, "steps": 1}, 2)
    hooks.on_test_begin()
    before = len(event._registered["numba:compile"])
    assert before
    del hooks
    gc.collect()
    assert len(event._registered["numba:compile"]) == before - 1
