"""Mistakes that people make with libraries of this kind: what the message says, and that it comes before training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm import nn

N, T, D = 12, 4, 3
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((N, T, D)).astype(np.float32), RNG.standard_normal((N, 1)).astype(np.float32)
callbacks = nn.callbacks


def small(**compiled: Any) -> nn.Sequential:
    model = nn.Sequential([nn.LSTM(2, input_shape=(T, D)), nn.Dense(1)], seed=0)
    model.compile(**{"loss": "mse", "optimizer": "sgd"} | compiled)
    return model


class Loader:
    """As torch's DataLoader over an iterable data set: it has a length, which raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for first in range(0, N, 4):
            yield [X[first : first + 4], Y[first : first + 4]]

    def __len__(self) -> int:
        raise self.error


@pytest.mark.parametrize("error", [TypeError("object of type 'Rows' has no len()"), NotImplementedError()])
def test_a_loader_that_does_not_know_its_length(error: Exception) -> None:
    one, two = small(), small()
    a = one.fit(Loader(error), epochs=2, validation_data=Loader(error))
    b = two.fit(X, Y, batch_size=4, epochs=2, shuffle=False, validation_data=(X, Y), verbose=0)
    assert a.history == b.history
    np.testing.assert_array_equal(one.predict(Loader(error), verbose=2), two.predict(X, batch_size=4, verbose=0))
    assert one.evaluate(Loader(error), verbose=0) == two.evaluate(X, Y, batch_size=4, verbose=0)


def rows(array: np.ndarray, kind: type) -> Any:
    """As tuples, or lists, of rows all the way down."""
    return kind(rows(part, kind) for part in array) if array.ndim else float(array)


@pytest.mark.parametrize(
    "given",
    [
        lambda a: rows(a, tuple),
        lambda a: rows(a, list),
        lambda a: [rows(part, tuple) for part in a],
        tuple,
        lambda a: [tuple(part) for part in a],
    ],
)
def test_rows_are_no_batches(given: Callable[[np.ndarray], Any]) -> None:
    x, y = given(X), given(Y)
    model, other = small(), small()
    a = model.fit(x, y, validation_data=(x, y), verbose=0)
    assert a.history == other.fit(X, Y, validation_data=(X, Y), verbose=0).history
    np.testing.assert_array_equal(model.predict(x, verbose=0), other.predict(X, verbose=0))
    a = model.fit(X, Y, validation_data=[x, y], verbose=0)
    assert a.history == other.fit(X, Y, validation_data=[(X, Y)], verbose=0).history


class Table:
    """As a data frame: columns with names and types of their own."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns, self._data = list(columns), list(columns.values())
        self.dtypes = [np.asarray(column).dtype for column in self._data]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(list(zip(*self._data, strict=True)), dtype or object)

    def __len__(self) -> int:
        return len(self._data[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


TABLE = Table({"rain": [0.5, 1.0], "wind": [1, 2], "sky": [3.0, "cloudy"]})
OBJECTS = Table({"a": [0.5, 1.0], "b": [1, 2]})
OBJECTS.dtypes = [np.dtype(float), np.dtype(object)]


class NoName:
    def update_state(self, *batch: Any) -> None:
        """Nothing."""

    result = reset_state = update_state


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # ragged data
    (lambda: small().fit([X[0], X[1, :2]], Y[:2]), ValueError, "x: expected sequences of one length, got 2 to 4 steps: pad them, and pass lengths"),
    (lambda: small().predict(np.array([[[1.0] * 3], [[1.0] * 3] * 2], dtype=object)), ValueError, "x: expected sequences of one length, got 1 to 2 steps"),
    (lambda: fastlstm.forward([[[1.0]], [[1.0], [2.0]]], fastlstm.init_params(1, 2)), ValueError, "x: expected sequences of one length, got 1 to 2 steps"),
    # tables
    (lambda: small().fit(TABLE, Y), TypeError, "x: expected real numbers, got dtype object: 'cloudy' in column 'sky'"),
    (lambda: small().fit(X, Table({"a": [1.0], "b": [None]})), TypeError, "y: expected real numbers, got dtype object: None in column 'b'"),
    (lambda: small().fit(X, OBJECTS), TypeError, "y: expected real numbers, got dtype object; column 'b' has dtype object$"),
    (lambda: small().fit(X, ["ok", "worn"] * (N // 2)), TypeError, r"y: expected real numbers, got dtype <U4; np.unique\(y, return_inverse=True\)"),
    (lambda: small().fit(X, np.array(["ok"] * N, object), validation_split=0.5), TypeError, r"y: .*'ok' at \[0\]; np.unique\(y"),
    (lambda: small().fit(np.ones((N, T, D), object), Y), TypeError, "x: expected real numbers, got dtype object$"),
    (lambda: small().fit(np.array([1, "a"], object), Y), TypeError, r"x: expected real numbers, got dtype object: 'a' at \[1\]"),
    # layers
    (lambda: nn.Masking(np.nan), ValueError, r"mask_value: expected a number that a step can equal, got NaN.*mask=~np.isnan\(x\)"),
    (lambda: nn.Masking(np.float32("nan")), ValueError, "mask_value: expected a number that a step can equal"),
    (lambda: nn.Masking("0"), TypeError, "mask_value: expected a number, got str"),
    (lambda: nn.initializers.Constant(np.nan), ValueError, "value: expected a finite number, got nan"),
    (lambda: nn.Sequential([nn.LSTM(2, input_shape=(T, D)), nn.LSTM(2)]), ValueError, "lstm_1: expected sequences, got the last step alone from lstm: give lstm return_sequences=True"),
    (lambda: nn.Sequential([nn.LSTM(2, input_shape=(T, D)), nn.Dropout(0.2), nn.LSTM(2)]), ValueError, "lstm_1: expected sequences, got the last step alone from lstm"),
    (lambda: nn.Sequential([nn.LSTM(2), nn.Bidirectional(nn.LSTM(2))]).build((None, T, D)), ValueError, "bidirectional: expected sequences, got the last step alone from lstm"),
    (lambda: nn.Sequential([nn.Bidirectional(nn.LSTM(2)), nn.TimeDistributed(nn.Dense(2))]).predict(X), ValueError, "time_distributed: expected sequences, got the last step alone from bidirectional"),
    (lambda: nn.Sequential([nn.Dense(2, input_shape=(D,)), nn.LSTM(2)]), ValueError, "lstm: expected x of 3 axes"),
    (lambda: small().fit(X, np.zeros((N, T))), ValueError, r"y_true: expected shape \(12, 1\).*; for targets of steps give lstm return_sequences=True"),
    (lambda: small().fit([(X, np.zeros((N, T)))], verbose=0), ValueError, "for targets of steps give lstm return_sequences=True"),
    (lambda: sequences().fit(X, Y), ValueError, r"y_true: expected shape \(12, 4, 1\).*; for targets of samples give lstm return_sequences=False"),
    (lambda: nn.Masking(1e308), ValueError, r"mask_value: expected -3.40282e\+38 to 3.40282e\+38, got 1e\+308"),
    (lambda: nn.LSTM(2, dtype="9" * 5000), TypeError, "dtype: expected float32 or float64, got '999"),
    # batches
    (lambda: small().fit(iter([[]]), steps_per_epoch=1), ValueError, r"lstm: expected x of 3 axes, \(N, T, D\), got shape \(0\)"),
    (lambda: small().fit(iter([(X, Y)]), steps_per_epoch="2"), TypeError, "steps_per_epoch: expected an integer, got str"),
    (lambda: small().fit([(X, Y)], validation_data=[(X, Y)], validation_steps=0), ValueError, "validation_steps: expected at least 1, got 0"),
    (lambda: small().evaluate([(X, Y)], steps=-1), ValueError, "steps: expected at least 1, got -1"),
    (lambda: small().fit(X, Y, validation_data=(X, Y), validation_batch_size=0), ValueError, "validation_batch_size: expected at least 1, got 0"),
    (lambda: small().fit(X, Y, verbose=np.array([1, 2])), ValueError, r"verbose: expected 0, 1, 2 or 'auto', got array"),
    # names and numbers
    (lambda: nn.LSTM(2, name=""), ValueError, "name: expected a str that is not empty"),
    (lambda: nn.Sequential(name=3), TypeError, "name: expected a str, got int"),
    (lambda: small(metrics=[nn.metrics.MeanMetricWrapper(abs, "val_loss")]), ValueError, "metrics: expected unlike names, .* got val_loss"),
    (lambda: small(metrics=["mae", nn.metrics.MeanMetricWrapper(abs, "val_mae")]), ValueError, "metrics: expected unlike names"),
    (lambda: small(metrics=[nn.metrics.MeanMetricWrapper(abs, "learning_rate")]), ValueError, "metrics: expected unlike names"),
    (lambda: small(metrics=[NoName()]), TypeError, "metric: expected one with a name, a str, got NoName without"),
    (lambda: nn.optimizers.get({"class_name": "Adam", "beta_1": 0.5}), ValueError, "optimizer: expected a dict of class_name and config"),
    (lambda: nn.metrics.get({"class_name": "LossMetric", "config": {}}), ValueError, "metric: LossMetric does not take {}"),
    (lambda: setattr(nn.optimizers.AdamW(), "weight_decay", None), TypeError, "weight_decay: expected a number, got None; Adam"),
    (lambda: nn.optimizers.Adam(np.True_), TypeError, "learning_rate: expected a float or LearningRateSchedule, got bool"),
    (lambda: nn.optimizers.Adam().exclude_from_weight_decay(3), TypeError, "var_names: expected a sequence of str, got 3"),
    (lambda: nn.optimizers.schedules.PiecewiseConstantDecay(5, [0.1, 0.2]), TypeError, "boundaries: expected a sequence of numbers, got int"),
    (lambda: nn.metrics.AUC(thresholds=0.5), TypeError, "thresholds: expected a sequence of numbers, got float"),
    # states
    (lambda: nn.LSTM(2)(X, initial_state=np.zeros((N, 2))), ValueError, r"lstm: initial_state: expected \[h, c\], got 12 entries"),
    (lambda: nn.LSTM(2)(X, initial_state={"h": 1, "c": 2}), TypeError, r"lstm: initial_state: expected \[h, c\], got dict"),
    (lambda: nn.LSTM(2)(X, initial_state=3), TypeError, r"lstm: initial_state: expected \[h, c\], got int"),
    (lambda: nn.Bidirectional(nn.LSTM(2))(X, initial_state=[X, X]), ValueError, r"initial_state: expected \[h, c, h, c\], got 2 entries"),
]  # fmt: skip


def sequences() -> nn.Sequential:
    model = nn.Sequential([nn.LSTM(2, return_sequences=True, input_shape=(T, D)), nn.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_what_the_message_says(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_any_pair_is_a_state() -> None:
    h, c = RNG.standard_normal((2, N, 2)).astype(np.float32)
    layer = nn.LSTM(2)
    wanted = layer(X, initial_state=fastlstm.State(h, c))
    assert not np.array_equal(wanted, layer(X))
    for pair in ((h, c), [h, c], [h.tolist(), c.tolist()], np.stack([h, c]), iter([h, c])):
        np.testing.assert_array_equal(layer(X, initial_state=pair), wanted)
    both = nn.Bidirectional(nn.LSTM(2))
    wanted = both(X, initial_state=[h, c, c, h])
    np.testing.assert_array_equal(both(X, initial_state=np.stack([h, c, c, h])), wanted)


# before training


def distance(y_true: Any, y_pred: Any) -> Any:
    return abs(y_true - y_pred)


LATE: list[tuple[dict[str, Any], Any, type[Exception], str]] = [
    ({"metrics": [distance]}, lambda path: callbacks.ModelCheckpoint(path), ValueError, "metrics: expected one of fastlstm.nn's own to be saved.*save_weights"),
    ({}, lambda path: callbacks.ModelCheckpoint(path.with_suffix(".h5")), ValueError, "path: expected a name that ends in .safetensors.*m.safetensors' would do"),
    ({}, lambda path: callbacks.ModelCheckpoint(path.with_suffix(".h5"), save_weights_only=True), ValueError, "path: expected a name that ends in .safetensors"),
    ({}, lambda path: callbacks.ModelCheckpoint(f"{path}-{{val_loss}}"), ValueError, "filepath: expected names among loss, epoch, got"),
    ({}, lambda path: callbacks.ModelCheckpoint(f"{path}-{{batch}}"), ValueError, "filepath: expected names among loss, epoch, got"),
    ({}, lambda path: callbacks.ModelCheckpoint(f"{path}-{{}}"), ValueError, "filepath: expected names among loss, epoch, got"),
    ({}, lambda path: callbacks.ModelCheckpoint(f"{path}-{{loss:d}}"), ValueError, "filepath: expected formats of numbers, got"),
    ({}, lambda path: callbacks.ModelCheckpoint(path, save_best_only=True), ValueError, "ModelCheckpoint: monitor: expected one of loss, got 'val_loss'; without data to validate with"),
    ({}, lambda path: callbacks.EarlyStopping(), ValueError, "EarlyStopping: monitor: expected one of loss, got 'val_loss'; without data to validate with"),
    ({"metrics": ["mae"]}, lambda path: callbacks.EarlyStopping("ma"), ValueError, "EarlyStopping: monitor: expected one of loss, mae, got 'ma'; did you mean 'mae'"),
    ({"metrics": ["accuracy"]}, lambda path: callbacks.ReduceLROnPlateau("acc"), ValueError, "ReduceLROnPlateau: monitor: expected one of loss, accuracy, learning_rate, got 'acc'"),
]  # fmt: skip


@pytest.mark.parametrize(("compiled", "callback", "error", "message"), LATE)
@pytest.mark.parametrize("known", [True, False])
def test_before_training(
    compiled: Any, callback: Any, error: type[Exception], message: str, known: bool, tmp_path: Path
) -> None:
    """Of a model that is built and of one that learns its shapes from the first batch."""
    model = nn.Sequential([nn.Dense(1, **({"input_shape": (D,)} if known else {}))])
    model.compile(**{"loss": "mse", "optimizer": "sgd"} | compiled)
    taken: list[int] = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        taken.append(1)
        yield X[:, 0], Y

    with pytest.raises(error, match=message):
        model.fit(batches(), steps_per_epoch=1, callbacks=[callback(tmp_path / "m")], verbose=0)
    assert not taken
    assert not list(tmp_path.iterdir())


def test_numbers_that_other_callbacks_log(tmp_path: Path) -> None:
    class Own(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["own"] = 3 - epoch

    stop = callbacks.EarlyStopping("own", mode="max")
    small().fit(X, Y, epochs=5, verbose=0, callbacks=[Own(), stop])
    assert stop.stopped_epoch == 1
    keep = callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch:02d}-{learning_rate:.2f}.safetensors"), "loss", save_best_only=True
    )
    small().fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.25), keep])
    assert [path.name for path in tmp_path.iterdir()] == ["01-0.25.safetensors"]


@pytest.mark.parametrize("name", ["m.h5", "m.H5", "m.npz", "m.pt", "m.onnx"])
def test_names_of_other_formats(name: str, tmp_path: Path) -> None:
    model = small()
    for save in (model.save, model.save_weights):
        with pytest.raises(ValueError, match=r"path: expected a name that ends in \.safetensors"):
            save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "m.v2")
    model.save(tmp_path / "m")
    assert nn.load_model(tmp_path / "m.v2").get_config() == model.get_config()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04" + bytes(200), "a zip archive, as .keras"), (b"\x89HDF\r\n\x1a\n" + bytes(200), "an HDF5")],
)
def test_files_of_other_formats(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"path: expected a safetensors file, got {kind}.*load_keras reads"):
        nn.load_model(path)
    with pytest.raises(
        ValueError, match=r"path: expected a \.keras file, a \.weights\.h5 file or an \.h5 file of Keras, got"
    ):
        small().load_weights(path)
