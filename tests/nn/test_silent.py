"""What used to go wrong without a word: now right, by numbers computed here in NumPy, or refused."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm import nn
from fastlstm.nn import callbacks, losses, metrics, optimizers, regularizers
from fastlstm.nn._src import regularizers as known
from fastlstm.nn._src import repeat, schedules
from fastlstm.nn.callbacks import Callback, CallbackList

N, T, D = 12, 5, 3
RNG = np.random.default_rng(11)
X = RNG.standard_normal((N, T, D)).astype(np.float32)
Y = RNG.integers(0, 2, N).astype(np.float32)
NAN = float("nan")


def model_of(*layers: Any, loss: Any = "mse", optimizer: Any = "sgd", **options: Any) -> nn.Sequential:
    model = nn.Sequential([nn.Input((None, D)), *layers], seed=0)
    model.compile(optimizer, loss, **options)
    return model


def small(**options: Any) -> nn.Sequential:
    return model_of(nn.LSTM(4), nn.Dense(1), **options)


class At(Callback):
    """Does something at the end of an epoch."""

    def __init__(self, epoch: int, action: Any) -> None:
        self.epoch, self.action = epoch, action

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            self.action(self.model)


# metrics that nobody knows the direction of


def rmse(y_true: Any, y_pred: Any) -> Any:
    return np.sqrt(np.square(y_true - y_pred).mean())


class Closeness(metrics.MeanMetricWrapper):
    direction = "up"


class Nearness(metrics.MeanMetricWrapper):
    pass


WATCHERS: dict[str, Any] = {
    "EarlyStopping": lambda: callbacks.EarlyStopping("val_rmse", restore_best_weights=True),
    "ModelCheckpoint": lambda: callbacks.ModelCheckpoint("x", "val_rmse", save_best_only=True, save_weights_only=True),
    "ReduceLROnPlateau": lambda: callbacks.ReduceLROnPlateau("val_rmse"),
}  # fmt: skip


@pytest.mark.parametrize("watcher", WATCHERS)
@pytest.mark.parametrize("metric", [rmse, Nearness(rmse)])
def test_an_unknown_metric_asks_for_mode(watcher: str, metric: Any) -> None:
    model = small(metrics=[metric])
    before = model.flat_params.copy()
    with pytest.raises(ValueError, match=r"mode: expected 'min' or 'max' for 'val_rmse', .*got 'auto'"):
        model.fit(X, Y, validation_data=(X, Y), callbacks=WATCHERS[watcher](), verbose=0)
    assert (model.flat_params == before).all()


def test_a_refused_run_restores_nothing() -> None:
    """The best weights of the run before are not put back by one that another callback has refused."""
    model = small(metrics=[rmse])
    stop = callbacks.EarlyStopping("loss", restore_best_weights=True)
    model.fit(X, Y, callbacks=stop, verbose=0)
    model.flat_params[...] = 0.5
    with pytest.raises(ValueError, match="mode: expected"):
        model.fit(X, Y, callbacks=[callbacks.ReduceLROnPlateau("rmse"), stop], verbose=0)
    assert (model.flat_params == 0.5).all()


def test_the_best_weights_by_a_function() -> None:
    """Learning that goes wrong at a known epoch: the weights before it are put back."""
    model = small(metrics=[rmse], optimizer=optimizers.SGD(0.05))
    kept: list[Any] = []

    class Spoil(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kept.append(model.flat_params.copy())

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                model.flat_params += 3

    stop = callbacks.EarlyStopping("val_rmse", patience=2, mode="min", restore_best_weights=True)
    history = model.fit(X, Y, epochs=9, validation_data=(X, Y), callbacks=[Spoil(), stop], verbose=0).history
    best = int(np.argmin(history["val_rmse"]))
    assert (best, stop.stopped_epoch) == (1, 3)
    assert (model.flat_params == kept[1]).all()


@pytest.mark.parametrize(("name", "metric", "rises"), [
    ("close", Closeness(rmse, "close"), True), ("area", metrics.AUC(name="area"), True), ("mae", rmse, False),
    ("off", metrics.LossMetric(losses.Huber(), "off"), False), ("e", metrics.RootMeanSquaredError("e"), False),
    ("r2", metrics.R2Score(name="r2"), True), ("hit", metrics.TopKCategoricalAccuracy(name="hit"), True),
])  # fmt: skip
def test_known_directions(name: str, metric: Any, rises: bool) -> None:
    """By its class, whatever its name; of an unbuilt model too."""
    model = nn.Sequential([nn.LSTM(3), nn.Dense(1)])
    model.compile(loss="mse", metrics=[metric])
    for prefix in ("", "val_"):
        stop = callbacks.EarlyStopping(prefix + name)
        stop.set_model(model)
        stop.on_train_begin()
        for epoch, value in enumerate((1.0, 2.0)):
            stop.on_epoch_end(epoch, {prefix + name: value})
        assert stop.best == (2.0 if rises else 1.0)


# objects in two places


def test_an_optimizer_learns_for_one_model() -> None:
    adam = optimizers.Adam(0.1)
    one, two, unused = small(optimizer=adam), small(), small()
    before = two.flat_params.copy()
    two.compile(adam, "mse")  # neither has learned
    one.fit(X, Y, epochs=2, verbose=0)
    for learn in (lambda: two.fit(X, Y, verbose=0), lambda: two.train_on_batch(X, Y), lambda: two.compile(adam, "mse"),
                  lambda: unused.compile(adam, "mse")):  # fmt: skip
        with pytest.raises(ValueError, match="optimizer: expected one that no other model has learned with"):
            learn()
    assert (two.flat_params == before).all()
    two.evaluate(X, Y, verbose=0)
    fresh = optimizers.Adam.from_config(adam.get_config())
    two.compile(fresh, "mse")
    two.fit(X, Y, shuffle=False, verbose=0)
    three = small(optimizer=optimizers.Adam(0.1))
    three.fit(X, Y, shuffle=False, verbose=0)
    assert (two.flat_params == three.flat_params).all()


def test_an_optimizer_stays_with_its_model(tmp_path: Path) -> None:
    """Compiled again, copied, pickled, saved: all go on with the same moments."""
    pytest.importorskip("safetensors")
    adam = optimizers.Adam(0.1)
    model = small(optimizer=adam)
    model.train_on_batch(X, Y)
    model.save(tmp_path / "m.safetensors")
    loaded = nn.load_model(tmp_path / "m.safetensors")
    others = [loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    model.compile(adam, "mse", metrics=["mae"])
    model.train_on_batch(X, Y)
    assert adam.iterations == 2
    for other in others:
        other.train_on_batch(X, Y)
        assert other.optimizer.iterations == 2
        assert (other.flat_params == model.flat_params).all()
    assert others[1].optimizer is not adam


def test_a_changed_model_begins_anew() -> None:
    """A layer of the same shape in another's place has nothing of its moments; nor has any other weight."""
    model = small(optimizer=optimizers.SGD(0.1, momentum=0.9))
    model.fit(X, Y, epochs=2, verbose=0)
    model.pop()
    model.add(nn.Dense(1, name="dense"))
    before = model.flat_params.copy()
    model.train_on_batch(X, Y)
    assert model.optimizer.iterations == 1
    np.testing.assert_allclose(model.flat_params, before - np.float32(0.1) * model.flat_grads, rtol=1e-6, atol=1e-7)


def test_an_optimizer_of_ones_own_begins_anew_for_other_parameters() -> None:
    sgd, p = optimizers.SGD(1.0, momentum=0.5), np.zeros(2)
    sgd.build(p)
    sgd.update(p, np.ones(2))
    sgd.build(p)
    sgd.update(p, np.ones(2))
    assert p.tolist() == [-2.5, -2.5]
    q = np.zeros(2)
    sgd.build(q)
    sgd.update(q, np.ones(2))
    assert (q.tolist(), sgd.iterations) == ([-1.0, -1.0], 1)


def test_a_layer_is_in_one_place() -> None:
    layer, dense = nn.LSTM(2), nn.Dense(2)
    nn.Sequential([layer])
    with pytest.raises(ValueError, match="expected a layer that is in no model yet"):
        nn.Sequential([layer])
    nn.TimeDistributed(dense)
    for place in (nn.TimeDistributed, lambda one: nn.Sequential([one])):
        with pytest.raises(ValueError, match=r"expected .*in no model yet"):
            place(dense)
    with pytest.raises(ValueError, match=r"expected .*in no model yet"):
        nn.TimeDistributed(layer)


def test_a_metric_in_two_models() -> None:
    """The inner model's numbers are its own, and so are the outer's."""
    mae = metrics.get("mae")
    one, two, alone = small(metrics=[mae]), small(metrics=[mae]), small(metrics=["mae"])

    class Inner(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            two.evaluate(X[:3], Y[:3], verbose=0)

    found = one.fit(X, Y, batch_size=4, callbacks=Inner(), verbose=0).history
    assert found == alone.fit(X, Y, batch_size=4, verbose=0).history


def test_a_callback_twice() -> None:
    stop = callbacks.EarlyStopping("loss", patience=4)
    with pytest.raises(ValueError, match=r"callbacks\[2\]: expected each callback once"):
        CallbackList([stop, callbacks.History(), [stop]])


def test_a_callback_in_two_models(tmp_path: Path) -> None:
    """A checkpoint of another model is held against none of the first one's numbers; nor is a history added to."""
    pytest.importorskip("safetensors")
    path = tmp_path / "m.safetensors"
    keep, history = callbacks.ModelCheckpoint(path, "loss", save_best_only=True), callbacks.History()
    good, bad = small(optimizer=optimizers.SGD(0.0)), small(optimizer=optimizers.SGD(0.0))
    bad.flat_params += 2
    for model, saved in ((good, True), (good, False), (bad, True)):
        path.unlink(missing_ok=True)
        model.fit(X, Y, epochs=2, callbacks=[keep, history], verbose=0)
        assert path.exists() == saved
    assert len(history.history["loss"]) == 2


# weights of classes


def bce(y: Any, p: Any) -> Any:
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def loss_of(model: nn.Sequential, x: Any, y: Any, **options: Any) -> float:
    """As fit gives it, without learning."""
    model.compile(optimizers.SGD(0.0), model.loss)
    return float(model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0, **options).history["loss"][0])


WEIGHTS = {0: 0.5, 1: 3.0, 2: 7.0}


@pytest.mark.parametrize("last", [(), (1,)])
def test_classes_by_step(last: Any) -> None:
    """The issue's: y (16, 5) of 0 and 1, a step each."""
    model = model_of(nn.LSTM(4, return_sequences=True), nn.Dense(1, "sigmoid"), loss="binary_crossentropy")
    x, y = np.resize(X, (16, T, D)), np.random.default_rng(0).integers(0, 2, (16, T))
    values = bce(y, model.predict(x, verbose=0)[..., 0].astype(float)) * np.where(y, 3.0, 0.5)
    by_class = {0: 0.5, 1: 3.0}
    found = loss_of(model, x, y.reshape(16, T, *last), class_weight=by_class)
    assert found == pytest.approx(values.mean(), rel=1e-5)
    for shape in ((16,), (16, 1), (16, T), (16, T, 1)):
        w = np.random.default_rng(1).uniform(1, 2, shape)
        expected = (values * w.reshape(16, -1)).mean()
        found = loss_of(model, x, y, class_weight=by_class, sample_weight=w)
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("form", ["numbers", "numbers, 1", "one-hot"])
def test_classes_of_many(steps: bool, form: str) -> None:
    loss = "categorical_crossentropy" if form == "one-hot" else "sparse_categorical_crossentropy"
    model = model_of(nn.LSTM(4, return_sequences=steps), nn.Dense(3, "softmax"), loss=loss)
    y = np.random.default_rng(2).integers(0, 3, (N, T) if steps else N)
    p = model.predict(X, verbose=0).astype(float)
    own = np.take_along_axis(p, y[..., None], -1)[..., 0]
    expected = (-np.log(own) * np.array([0.5, 3.0, 7.0])[y]).mean()
    given = {"numbers": y, "numbers, 1": y[..., None], "one-hot": np.eye(3)[y]}[form]
    assert loss_of(model, X, given, class_weight=WEIGHTS) == pytest.approx(expected, rel=1e-5)
    model.compile("sgd", loss)
    assert model.train_on_batch(X, given, class_weight=WEIGHTS) == pytest.approx(expected, rel=1e-5)


def test_classes_with_a_mask() -> None:
    model = model_of(
        nn.Masking(), nn.LSTM(4, return_sequences=True), nn.Dense(1, "sigmoid"), loss="binary_crossentropy"
    )
    x, y = X.copy(), np.random.default_rng(3).integers(0, 2, (N, T))
    x[::2, 3:] = 0
    real = x.any(axis=-1)
    values = bce(y, model.predict(x, verbose=0)[..., 0].astype(float)) * np.where(y, 3.0, 0.5)
    found = loss_of(model, x, y, class_weight={0: 0.5, 1: 3.0})
    assert found == pytest.approx(values[real].mean(), rel=1e-5)


@pytest.mark.parametrize("last", ["mse", "binary_crossentropy", "categorical_crossentropy"])
def test_classes_where_nothing_counts(last: str) -> None:
    """Padding, and what has weight 0, need say no class."""
    activation = "softmax" if last[0] == "c" else "sigmoid"
    model = model_of(nn.LSTM(4, return_sequences=True), nn.Dense(3, activation), loss=last)
    rng, lengths = np.random.default_rng(4), np.arange(N) % T + 1
    y, w = np.eye(3)[rng.integers(0, 3, (N, T))], rng.uniform(1, 2, (N, T))
    real = np.arange(T) < lengths[:, None]
    w[real & (rng.random((N, T)) < 0.3)] = 0
    own = w * np.array([0.5, 3.0, 1.0])[y.argmax(axis=-1)]
    other = np.where((real & (w > 0))[..., None], y, 0.5)
    twin = copy.deepcopy(model)
    found = loss_of(model, X, other, class_weight={0: 0.5, 1: 3.0}, sample_weight=w, lengths=lengths)
    assert found == pytest.approx(loss_of(twin, X, y, sample_weight=own, lengths=lengths), rel=1e-5)
    np.testing.assert_allclose(model.flat_grads, twin.flat_grads, rtol=1e-4, atol=1e-7)


def test_class_numbers_where_nothing_counts() -> None:
    model = model_of(nn.LSTM(4), nn.Dense(1, "sigmoid"), loss="binary_crossentropy")
    w, y = np.arange(N) % 2, np.where(np.arange(N) % 2, Y, 0.3)
    twin = copy.deepcopy(model)
    found = loss_of(model, X, y, class_weight={1: 3.0}, sample_weight=w)
    assert found == pytest.approx(loss_of(twin, X, Y, sample_weight=w * np.where(Y, 3.0, 1.0)), rel=1e-6)


@pytest.mark.parametrize(("model", "y", "weights", "error", "message"), [
    ("one", Y + 0.25, {0: 2.0}, ValueError, "class_weight: expected class numbers in y, got 1.25|0.25"),
    ("many", np.tile([1.0, 1.0, 0.0], (N, 1)), {0: 2.0}, ValueError, "class_weight: expected one class a"),
    ("one", Y, {"1": 2.0}, TypeError, "class_weight: expected class numbers as keys, got '1'"),
    ("one", Y, {1: "2"}, TypeError, "class_weight: class 1: expected a number, got str"),
    ("one", Y, {1: NAN}, ValueError, "class_weight: class 1: expected a finite number, got nan"),
    ("one", Y, {1: np.ma.masked}, TypeError, "class_weight: .*masked"),
    ("sparse", Y, {1: 2.0, 3: 2.0}, ValueError, "class_weight: expected classes 0 to 2, got 3"),
    ("one", Y, [1.0, 2.0], TypeError, "class_weight: expected a dict"),
])  # fmt: skip
def test_class_weights_that_cannot_be(model: str, y: Any, weights: Any, error: Any, message: str) -> None:
    made = {
        "one": lambda: model_of(nn.LSTM(2), nn.Dense(1, "sigmoid"), loss="mse"),
        "many": lambda: model_of(nn.LSTM(2), nn.Dense(3, "sigmoid"), loss="binary_crossentropy"),
        "sparse": lambda: model_of(nn.LSTM(2), nn.Dense(3, "softmax"), loss="sparse_categorical_crossentropy"),
    }[model]()
    with pytest.raises(error, match=message):
        made.fit(X, y, class_weight=weights, verbose=0)


# shapes of targets and predictions


def off(t: Any, p: Any) -> Any:
    return abs(t - p)


class Off(metrics.Mean):
    """A metric of one's own, which trusts shapes."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.add(float(np.abs(y_true - y_pred).mean()), len(y_pred))


class Squares(losses.Loss):
    """A loss of one's own, which trusts shapes."""

    def __init__(self) -> None:
        super().__init__("squares")

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        e = y_pred - y_true
        return (e**2).mean(), 2 * e / e.size


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_targets_come_in_the_predictions_shape(steps: bool, last: bool) -> None:
    model = model_of(nn.LSTM(4, return_sequences=steps), nn.Dense(1), loss=Squares(), metrics=[off, Off("own"), "mae"],
                     weighted_metrics=[lambda t, p: abs(t - p)])  # fmt: skip
    y = np.random.default_rng(4).standard_normal((N, T) if steps else N)
    error = model.predict(X, verbose=0)[..., 0] - y
    given = y[..., None] if last else y
    for found in (model.evaluate(X, given, verbose=0), model.test_on_batch(X, given), model.train_on_batch(X, given)):
        np.testing.assert_allclose(found, [(error**2).mean(), *[abs(error).mean()] * 4], rtol=1e-5)
    twin = model_of(nn.LSTM(4, return_sequences=steps), nn.Dense(1))
    twin.train_on_batch(X, given)
    np.testing.assert_allclose(model.flat_grads, twin.flat_grads, rtol=1e-4, atol=1e-7)
    batches = [(X[:5], given[:5]), (X[5:], given[5:])]
    np.testing.assert_allclose(model.evaluate(batches, verbose=0), model.evaluate(X, given, verbose=0), rtol=1e-5)


@pytest.mark.parametrize(("t", "p"), [((4,), (4, 1)), ((4, 1), (4,)), ((4, 3), (4, 3, 1)), ((4, 3, 1), (4, 3))])
def test_a_function_alone(t: Any, p: Any) -> None:
    rng = np.random.default_rng(5)
    y, predicted, weights = rng.standard_normal(t), rng.standard_normal(p), rng.uniform(size=4)
    error = abs(y.reshape(4, -1) - predicted.reshape(4, -1)).mean(axis=1)
    metric = metrics.get(off)
    metric.update_state(y, predicted)
    assert metric.result() == pytest.approx(error.mean())
    metric.reset_state()
    metric.update_state(y, predicted, weights[:, None])
    assert metric.result() == pytest.approx((error * weights).sum() / weights.sum())


def test_what_a_function_returns() -> None:
    t, p = np.arange(4.0), np.arange(4.0)[:, None] + 1
    wrong = metrics.MeanMetricWrapper(lambda t, p: t.ravel() - p, "wrong")
    with pytest.raises(ValueError, match=r"wrong: expected numbers of shape \(4,\) .*got \(4, 4\)"):
        wrong.update_state(t, p)

    class Apart(Squares):
        def values(self, y_true: Any, y_pred: Any) -> Any:
            return (y_pred - y_true) ** 2

    with pytest.raises(ValueError, match=r"squares: expected numbers of shape \(4,\) .*got \(4, 4\)"):
        metrics.LossMetric(Apart()).update_state(t, p)
    whole = metrics.MeanMetricWrapper(lambda t, p: np.abs(t - p).mean(), "whole")
    whole.update_state(t, p, [2, 2, 2, 2])
    assert whole.result() == 1.0
    with pytest.raises(ValueError, match="whole: expected a number for each sample, as there are weights"):
        whole.update_state(t, p, [1, 2, 3, 4])


def test_what_a_loss_returns() -> None:
    class Wrong(Squares):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            e = y_pred - y_true
            return (e.mean(), e.T) if self.name == "gradient" else (e, e)

    for name, message in (
        ("gradient", r"gradient of shape \(12, 1\), got \(1, 12\)"),
        ("value", "one number as its value"),
    ):
        loss = Wrong()
        loss.name = name
        model = small(loss=loss)
        before = model.flat_params.copy()
        with pytest.raises(ValueError, match=f"{name}: expected .*{message}"):
            model.fit(X, Y, verbose=0)
        assert (model.flat_params == before).all()


# penalties


@pytest.mark.parametrize("name", ["l1_l2", "l1l2", "L1L2"])
def test_a_penalty_by_name(name: str) -> None:
    model = model_of(
        nn.LSTM(2, kernel_regularizer=name, recurrent_regularizer=name), nn.Dense(1, bias_regularizer=name)
    )
    model.flat_params[...] = 0.5
    count = D * 8 + 2 * 8 + 1
    assert sum(layer.penalty() for layer in model.layers) == pytest.approx(0.01 * count * (0.5 + 0.25))
    free = model_of(nn.LSTM(2), nn.Dense(1))
    free.flat_params[...] = 0.5
    for one in (model, free):
        one.train_on_batch(X, Y)
    layer = "lstm"
    difference = model.get_layer(layer).grads["kernel"] - free.get_layer(layer).grads["kernel"]
    np.testing.assert_allclose(difference, 0.01 * (1 + 2 * 0.5), rtol=1e-4)


def test_every_name_of_a_penalty_penalises() -> None:
    for name in known.KNOWN:
        assert regularizers.get(name)(np.ones(3)) > 0  # type: ignore[misc]
    explicit = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.5}}
    assert regularizers.get(explicit)(np.ones(3)) == 1.5  # type: ignore[misc]

    class Half(regularizers.Regularizer):
        def __call__(self, w: Any) -> float:
            return float(np.abs(w).sum())

    with pytest.raises(TypeError, match=r"kernel_regularizer: expected add_gradient .*Half"):
        nn.Dense(1, kernel_regularizer=Half())


# masked arrays

MASKED = np.ma.masked_array(np.ones((N, T, D)), mask=np.zeros((N, T, D)))
MASKED_Y = np.ma.masked_equal(Y, 1)


@pytest.mark.parametrize(("name", "call"), [
    ("x", lambda model: model.fit(MASKED, Y)),
    ("y", lambda model: model.fit(X, MASKED_Y)),
    ("x", lambda model: model.fit(list(MASKED), Y)),
    ("y", lambda model: model.fit(X, [*Y[1:], np.ma.masked])),
    ("sample_weight", lambda model: model.fit(X, Y, sample_weight=MASKED_Y)),
    ("y", lambda model: model.fit(X, Y, validation_data=(X, MASKED_Y))),
    ("x", lambda model: model.fit(MASKED, Y, validation_split=0.5)),
    ("x", lambda model: model.fit([(MASKED, Y)])),
    ("y", lambda model: model.evaluate(X, MASKED_Y)),
    ("x", lambda model: model.predict(MASKED)),
    ("x", lambda model: model(MASKED)),
    ("y", lambda model: model.train_on_batch(X, MASKED_Y)),
    ("mask", lambda model: model(X, mask=np.ma.masked_array(np.ones((N, T), bool)))),
    ("lstm/kernel", lambda model: model.set_weights([np.ma.masked_array(w) for w in model.get_weights()])),
    ("y_true", lambda _: losses.MeanSquaredError()(MASKED_Y, Y)),
    ("y_pred", lambda _: metrics.get("mae").update_state(Y, MASKED_Y)),
    ("sample_weight", lambda _: metrics.get("mae").update_state(Y, Y, MASKED_Y)),
])  # fmt: skip
def test_masked_arrays_are_refused(name: str, call: Any) -> None:
    with pytest.raises(TypeError, match=f"{name}: expected an array.* got a masked "):
        call(small())


# runs within runs


def inner_runs(model: nn.Sequential) -> None:
    model.evaluate(X[:5], Y[:5], verbose=0)
    model.evaluate(X[:6], Y[:6], verbose=0, batch_size=3)
    model.predict(X[:5], verbose=0)
    model.test_on_batch(X[:2], Y[:2])
    model.predict_on_batch(X[:2])


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_test_batch_end", "on_epoch_end"])
def test_runs_within_callbacks_leave_a_run_alone(hook: str, stateful: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All numbers and bits are the same with and without."""
    monkeypatch.setattr(repeat.Repeats, "AFTER", 1)
    results = []
    for inner in (False, True):
        seen: list[Any] = []

        class Inner(Callback):
            pass

        def run(self: Any, number: int, logs: Any = None, inner: bool = inner) -> None:
            if inner:
                inner_runs(self.model)
            seen.append(dict(logs or {}))  # noqa: B023

        setattr(Inner, hook, run)
        model = model_of(nn.LSTM(4, dropout=0.3, stateful=stateful), nn.Dense(1), optimizer="adam", metrics=[off, "mae"],
                         weighted_metrics=[metrics.RootMeanSquaredError()])  # fmt: skip
        history = model.fit(X, Y, batch_size=4, epochs=3, validation_data=(X, Y), callbacks=Inner(), verbose=0)
        results.append((history.history, seen, model.flat_params.tobytes(), model.flat_grads.tobytes()))
    assert results[0] == results[1]


def test_a_fit_within_a_fit_is_refused() -> None:
    model = small()
    with pytest.raises(RuntimeError, match="fit: expected no fit of this model under way"):
        model.fit(X, Y, callbacks=At(0, lambda model: model.fit(X, Y, verbose=0)), verbose=0)
    model.fit(X, Y, verbose=0)


def test_a_step_within_a_fit_keeps_its_numbers() -> None:
    """train_on_batch in a callback learns, and the epoch's loss is that of its own batches."""
    model = small(optimizer=optimizers.SGD(0.0), metrics=["mae"])
    expected = model.evaluate(X, Y, verbose=0, return_dict=True)

    class Step(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            found = self.model.train_on_batch(X[:1], Y[:1], return_dict=True)
            assert found["mae"] == pytest.approx(float(abs(model.predict(X[:1], verbose=0)[0, 0] - Y[0])), rel=1e-5)

    history = model.fit(X, Y, batch_size=4, callbacks=Step(), verbose=0).history
    assert {name: values[0] for name, values in history.items()} == pytest.approx(expected, rel=1e-5)
    assert model.optimizer.iterations == 6


# NaN


class Fake:
    """What callbacks ask of a model."""

    def __init__(self) -> None:
        self.stop_training, self.saved, self.weights = False, [], 0
        self.optimizer = optimizers.SGD(1.0)

    def get_weights(self) -> int:
        return self.weights

    def set_weights(self, weights: int) -> None:
        self.weights = -weights

    def save(self, path: str) -> None:
        self.saved.append(self.weights)


def seen(callback: Any, values: list[float]) -> Fake:
    model = Fake()
    hooks = CallbackList(callback, model)
    hooks.on_train_begin()
    for epoch, value in enumerate(values):
        model.weights = epoch + 1
        hooks.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    hooks.on_train_end()
    return model


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("first", [[NAN], [NAN, NAN]])
def test_a_nan_is_never_best(mode: str, first: list[float]) -> None:
    sign, count = (1 if mode == "min" else -1), len(first)
    values = [*first, *(sign * value for value in (5.0, 3.0, NAN, 4.0, 2.0))]
    stop = callbacks.EarlyStopping(patience=3, mode=mode, restore_best_weights=True)
    assert seen(stop, values).weights == -(count + 5)
    assert (stop.best, stop.best_epoch) == (sign * 2.0, count + 4)
    keep = callbacks.ModelCheckpoint("x", save_best_only=True, mode=mode)
    assert seen(keep, values).saved == [count + 1, count + 2, count + 5]
    lower = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, mode=mode)
    assert seen(lower, values).optimizer.learning_rate == (0.5 if count == 1 else 0.25)


def test_nothing_but_nan() -> None:
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    model = seen(stop, [NAN] * 5)
    assert (stop.best, stop.stopped_epoch, model.weights) == (None, 1, 2)
    assert seen(callbacks.ModelCheckpoint("x", save_best_only=True), [NAN] * 5).saved == []
    for wrong in (lambda: callbacks.EarlyStopping(baseline=NAN), lambda: callbacks.EarlyStopping(min_delta=NAN),
                  lambda: callbacks.ModelCheckpoint("x", initial_value_threshold=NAN)):  # fmt: skip
        with pytest.raises(ValueError, match="got nan"):
            wrong()
    with pytest.raises(TypeError, match="monitor: expected one number as 'val_loss', got ndarray"):
        seen(callbacks.EarlyStopping(), [np.ones(2)])  # type: ignore[list-item]


# what changes while passes are recorded


def dropped(model: nn.Sequential) -> None:
    model.layers[0].dropout = 0.5


def dropped_within(model: nn.Sequential) -> None:
    model.layers[0].recurrent_dropout = 0.5


def turned(model: nn.Sequential) -> None:
    model.layers[0].go_backwards = True


def carried(model: nn.Sequential) -> None:
    model.layers[0].stateful = True


def activated(model: nn.Sequential) -> None:
    model.layers[-1].activation = "tanh"


def added(model: nn.Sequential) -> None:
    model.add(nn.Dense(1, kernel_initializer="ones"))


def taken(model: nn.Sequential) -> None:
    model.pop()
    model.add(nn.Dense(1, "sigmoid", kernel_initializer="ones"))


def put_back(model: nn.Sequential) -> None:
    """The same layers, whose weights then stand elsewhere."""
    model.add(model.pop())
    model.flat_params *= 0.5


def other_weights(model: nn.Sequential) -> None:
    model.set_weights([w * 0.5 for w in model.get_weights()])


def other_optimizer(model: nn.Sequential) -> None:
    model.compile(optimizers.SGD(0.5, momentum=0.5), "mse")


def other_loss(model: nn.Sequential) -> None:
    model.loss.delta = 0.01


def learned(model: nn.Sequential) -> None:
    model.train_on_batch(X[:4], Y[:4])


def other_rate(model: nn.Sequential) -> None:
    model.optimizer.learning_rate = 0.5


CHANGES = [dropped, dropped_within, turned, carried, activated, added, taken, put_back, other_weights, other_optimizer, other_loss,
           learned, other_rate]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("between", ["epochs", "batches"])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_change_is_heeded(change: Any, between: str, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With recorded passes, of the batch or of its parts, the bits are those without, and not those of a run without the
    change."""
    monkeypatch.setattr(repeat, "parts_of", lambda shape, weights: parts)

    class Change(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if (epoch, between) == (1, "epochs"):
                change(self.model)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (batch, between) == (3, "batches") and self.model.epoch == 0:
                change(self.model)

    results = []
    for after, hook in ((1, Change()), (10**9, Change()), (1, None)):
        monkeypatch.setattr(repeat.Repeats, "AFTER", after)
        model = model_of(nn.LSTM(4), nn.Dense(1), loss=losses.Huber(), optimizer=optimizers.SGD(0.1))
        x, y = np.concatenate([X] * parts), np.concatenate([Y] * parts)
        model.fit(x, y, batch_size=2 * parts, epochs=2, shuffle=False, verbose=0, callbacks=hook)
        results.append(
            np.concatenate([model.predict(x[: 2 * parts], verbose=0).ravel(), model.flat_params[:60]]).tobytes()
        )
    assert results[0] == results[1] != results[2]


def test_a_change_to_its_own_value_by_hand() -> None:
    """A layer whose options change between a pass and its way back: the pass's own hold, by central differences."""
    layer = nn.LSTM(3, dtype="float64")
    layer(X)
    x, dy = X.astype(float), np.random.default_rng(6).standard_normal((N, 3))
    layer(x, training=True)
    layer.go_backwards, layer.dropout = True, 0.5
    dx = layer.backward(dy)
    layer.go_backwards, layer.dropout = False, 0.0
    moved = np.zeros_like(x)
    moved[2, 1, 0] = 1e-5
    expected = ((layer(x + moved) - layer(x - moved)) * dy).sum() / 2e-5
    assert dx[2, 1, 0] == pytest.approx(expected, rel=1e-6)
    dense = nn.Dense(2, "tanh", dtype="float64")
    dense(x[:, 0])
    dense(x[:, 0], training=True)
    dense.activation = "relu"
    dx = dense.backward(dy[:, :2])
    dense.activation = "tanh"
    expected = ((dense((x + moved)[:, 1]) - dense((x - moved)[:, 1])) * dy[:, :2]).sum() / 2e-5
    dense(x[:, 1], training=True)
    dense.activation = "relu"
    assert dense.backward(dy[:, :2])[2, 0] == pytest.approx(expected, rel=1e-6)
    assert dx.shape == (N, D)


def test_a_subclass_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does in Python would be left out."""
    monkeypatch.setattr(repeat.Repeats, "AFTER", 1)
    calls = []

    class Counted(nn.Dense):
        def _forward(self, x: Any, mask: Any, training: bool) -> Any:
            calls.append(training)
            return super()._forward(x, mask, training)

    model_of(nn.LSTM(2), Counted(1)).fit(X, Y, batch_size=2, verbose=0)
    assert len(calls) == N // 2


@pytest.mark.parametrize(("layer", "option", "value"), [
    (nn.LSTM(3), "units", 4), (nn.LSTM(3), "return_sequences", True), (nn.LSTM(3), "kernel_regularizer", "l2"),
    (nn.LSTM(3), "cell", "peephole"), (nn.LSTM(3), "dtype", "float64"), (nn.LSTM(3), "seed", 3),
    (nn.Dense(3), "units", 4), (nn.Dense(3), "use_bias", False), (nn.Dropout(0.5), "noise_shape", (1, 1, 1)),
    (nn.Bidirectional(nn.LSTM(3)), "merge_mode", "sum"), (nn.TimeDistributed(nn.Dense(3)), "layer", nn.Dense(4)),
])  # fmt: skip
def test_an_option_that_cannot_change(layer: nn.Layer, option: str, value: Any) -> None:
    layer(X)
    before = getattr(layer, option)
    with pytest.raises(AttributeError, match=f"{layer.name}.{option}: expected to be given when the layer is made"):
        setattr(layer, option, value)
    assert getattr(layer, option) == before


@pytest.mark.parametrize(("layer", "option", "value", "error"), [
    (nn.LSTM(3), "dropout", 1.5, ValueError), (nn.LSTM(3), "go_backwards", 1, TypeError),
    (nn.LSTM(3, cell="peephole"), "recurrent_dropout", 1.5, ValueError), (nn.Dropout(0.5), "rate", -1, ValueError),
    (nn.Dense(3), "activation", "tanhh", ValueError), (nn.LSTM(3), "trainable", 0, TypeError), (nn.Sequential(), "trainable", None, TypeError),
    (losses.Huber(), "delta", -1, ValueError), (losses.BinaryCrossentropy(), "label_smoothing", 2, ValueError),
    (optimizers.SGD(), "momentum", 2, ValueError), (optimizers.Adam(clipnorm=1), "clipvalue", 1, ValueError),
])  # fmt: skip
def test_a_change_is_checked(layer: Any, option: str, value: Any, error: Any) -> None:
    before = getattr(layer, option)
    with pytest.raises(error, match=option):
        setattr(layer, option, value)
    assert getattr(layer, option) == before


def test_arrays_that_are_set_are_written_to() -> None:
    """And not put in the place of those that the kernels and the optimizer know."""
    model, twin = small(), small()
    for layer in (*model.layers, nn.Bidirectional(nn.LSTM(2)), nn.TimeDistributed(nn.Dense(2))):
        layer(X if layer.name != "dense" else X[:, 0, :]) if not layer.built else None
        for name, array in layer.params.items():
            layer.params[name] = layer.params[name] * 0
            layer.params |= {name: np.full(array.shape, 0.5)}  # type: ignore[misc]
            assert layer.params[name] is array
            assert (array == 0.5).all()
    twin.flat_params[...] = 0.5
    assert (model.flat_params == 0.5).all()
    model.flat_params = model.flat_params * 0.25
    model.flat_params *= 2
    twin.flat_params *= 0.5
    np.testing.assert_array_equal(model.predict(X, verbose=0), twin.predict(X, verbose=0))
    layer = model.layers[0]
    for wrong, error, message in (
        (lambda: layer.params.__setitem__("kernle", 1), KeyError, "expected one of kernel, recurrent_kernel, bias"),
        (lambda: layer.params.__setitem__("bias", [1.0]), ValueError, r"bias: expected shape \(16,\), got \(1,\)"),
        (lambda: layer.params.pop("bias"), TypeError, "expected arrays that stay"),
        (lambda: setattr(layer, "params", {}), AttributeError, "lstm.params: expected to be changed in place"),
        (lambda: setattr(model, "flat_params", np.zeros(3)), ValueError, "flat_params: expected shape"),
        (lambda: nn.LSTM(3).params.__setitem__("bias", 1), KeyError, "the arrays that build makes"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            wrong()


def test_the_list_of_layers_changes_with_the_model() -> None:
    model = small()
    first = model.layers[0]
    for wrong in (
        lambda: model.layers.pop(), lambda: model.layers.append(nn.Dense(1)), lambda: model.layers.clear(),
        lambda: model.layers.__setitem__(0, nn.LSTM(4)), lambda: model.layers.__delitem__(0),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="layers: expected add or pop of the model"):
            wrong()
    with pytest.raises(AttributeError, match="layers: expected to be changed by add and pop"):
        model.layers = [nn.Dense(1)]
    assert model.layers[:1] == [first] == copy.copy(model.layers)[:1]
    assert len(model.layers) == len(copy.deepcopy(model).layers) == 2
    assert model.layers == list(model.layers)


@pytest.mark.parametrize("thing", [lambda: small(), lambda: nn.LSTM(3), lambda: nn.Bidirectional(nn.LSTM(3))])
def test_a_copy_shares_nothing(thing: Any) -> None:
    made = thing()
    made(X)
    with pytest.raises(TypeError, match=r"expected copy.deepcopy, got copy.copy"):
        copy.copy(made)
    y, other = made(X), copy.deepcopy(made)
    for layer in getattr(other, "layers", [other]):
        for array in layer.params.values():
            array += 1
    assert (made(X) == y).all()
    assert (other(X) != y).any()


def test_halves_may_change() -> None:
    layer = nn.Bidirectional(nn.LSTM(40), merge_mode="sum")
    layer(X)
    layer.forward_layer.dropout = 0.9
    layer.forward_layer.stateful = True
    assert np.abs(layer(X, training=True) - layer(X)).max() > 1e-3
    assert layer.forward_layer.state is not None
    assert layer.backward_layer.state is None


def test_halves_are_described_as_they_are(tmp_path: Path) -> None:
    both = nn.Bidirectional(nn.LSTM(3, return_sequences=True, seed=5, name="own"))
    model = model_of(both, nn.Dense(1))
    both.layer.dropout, both.backward_layer.recurrent_dropout = 0.25, 0.5
    assert both.forward_layer.dropout == 0.25
    model.save(tmp_path / "m.safetensors")
    for again in (nn.load_model(tmp_path / "m.safetensors").layers[0], nn.Bidirectional.from_config(both.get_config())):
        for before, after in zip(both._halves, again._halves, strict=True):
            assert after.get_config() == before.get_config()
        assert again.get_config() == both.get_config()


def test_settings_of_an_optimizer_are_heeded() -> None:
    """Momentum, clipping and decay that come and go, against the rules in NumPy."""
    sgd, p, g = optimizers.SGD(0.1), np.array([3.0, 4.0]), np.array([3.0, 4.0])
    sgd.build(p)
    expected, m = p.copy(), np.zeros(2)
    for settings in ({}, {"momentum": 0.5}, {"clipnorm": 1.0}, {"weight_decay": 0.1}, {"nesterov": True},
                     {"clipnorm": None, "clipvalue": 2.0}, {"clipvalue": None, "global_clipnorm": 2.5},
                     {"momentum": 0.25, "learning_rate": 0.2}):  # fmt: skip
        for name, value in settings.items():
            setattr(sgd, name, value)
        rate, clipped = sgd.learning_rate, g
        if sgd.clipnorm or sgd.global_clipnorm:
            clipped = g * ((sgd.clipnorm or sgd.global_clipnorm) / 5.0)
        if sgd.clipvalue:
            clipped = np.clip(g, -sgd.clipvalue, sgd.clipvalue)
        expected -= rate * (sgd.weight_decay or 0.0) * expected
        m = sgd.momentum * m - rate * clipped
        expected += sgd.momentum * m - rate * clipped if sgd.nesterov else m
        if not sgd.momentum:
            m[...] = 0
        sgd.update(p, g)
        np.testing.assert_allclose(p, expected, rtol=1e-12)
    sgd.momentum = 0.0
    assert "momentum" not in sgd.state()
    adam, p = optimizers.Adam(0.1), np.zeros(1)
    adam.build(p)
    adam.update(p, np.ones(1))
    before = p.copy()
    adam.beta_1, adam.beta_2, adam.epsilon, adam.amsgrad = 0.5, 0.5, 0.25, True
    adam.update(p, np.ones(1))
    m, v = 0.1 + 0.5 * 0.9, 0.001 + 0.5 * 0.999
    step = 0.1 * np.sqrt(1 - 0.5**2) / (1 - 0.5**2) * m / (np.sqrt(v) + 0.25)
    np.testing.assert_allclose(p, before - step, rtol=1e-12)
    assert set(adam.state()) == {"momentum", "velocity", "velocity_hat", "iterations", "learning_rate"}


def test_settings_of_a_loss_are_heeded() -> None:
    huber = losses.Huber()
    huber.delta = 2.0
    assert huber([[0.0]], [[3.0]]) == 4.0
    cross = losses.BinaryCrossentropy()
    cross.from_logits, cross.label_smoothing = True, 1.0
    assert cross([[1.0]], [[0.7]]) == pytest.approx(-0.5 * np.log(1 / (1 + np.exp(-0.7)) / (1 + np.exp(0.7))))
    for one, y in ((losses.CategoricalCrossentropy(), [[0.0, 1.0]]), (losses.SparseCategoricalCrossentropy(), [1])):
        one.from_logits = True
        assert one(y, [[0.0, 2.0]]) == pytest.approx(np.log(1 + np.exp(-2.0)))


# rates by a schedule


@pytest.mark.parametrize("callback", [
    lambda: callbacks.ReduceLROnPlateau("loss", patience=1),
    lambda: callbacks.LearningRateScheduler(lambda epoch: 0.1),
])  # fmt: skip
def test_a_schedule_is_not_thrown_away(callback: Any) -> None:
    rate = schedules.ExponentialDecay(0.1, 2, 0.5)
    model = small(optimizer=optimizers.SGD(rate))
    before = model.flat_params.copy()
    with pytest.raises(TypeError, match=r"learning_rate: expected a number .*ExponentialDecay"):
        model.fit(X, Y, epochs=9, callbacks=callback(), verbose=0)
    assert (model.flat_params == before).all()
    with pytest.raises(TypeError, match=r"learning_rate: expected a LearningRateSchedule .*ExponentialDecay"):
        model.optimizer.learning_rate = 0.5
    model.fit(X, Y, batch_size=N, epochs=2, verbose=0)
    assert model.optimizer.learning_rate == pytest.approx(0.05)
    model.optimizer.learning_rate = schedules.PiecewiseConstantDecay([5], [0.25, 0.125])
    assert model.optimizer.learning_rate == 0.25
    plain = optimizers.SGD(0.1)
    plain.learning_rate = rate
    assert plain.learning_rate == 0.1


def test_a_schedule_that_goes_wrong() -> None:
    class Wrong(schedules.LearningRateSchedule):
        def __call__(self, step: int) -> float:
            return 0.1 - step

    sgd, p = optimizers.SGD(Wrong()), np.zeros(1)
    sgd.build(p)
    sgd.update(p, np.ones(1))
    with pytest.raises(ValueError, match=r"learning_rate: expected at least 0, got -0.9"):
        sgd.update(p, np.ones(1))
    assert p[0] == -0.1


# states that layers carry


def stateful_model(both: bool) -> nn.Sequential:
    layer: Any = nn.LSTM(4, stateful=True)
    return model_of(nn.Bidirectional(layer) if both else layer, nn.Dense(1))


@pytest.mark.parametrize("both", [False, True])
def test_validation_leaves_the_state_alone(both: bool) -> None:
    """Training is the same with it and without; each validation begins with zeros and carries from batch to batch."""
    with_it, without, apart = stateful_model(both), stateful_model(both), stateful_model(both)
    vx, vy = X[:6] + 1, Y[:6]
    expected = []

    class Judge(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            apart.set_weights(self.model.get_weights())
            apart.reset_state()
            expected.append(apart.evaluate(vx, vy, batch_size=3, verbose=0))

    options: dict[str, Any] = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
    found = with_it.fit(X, Y, validation_data=(vx, vy), validation_batch_size=3, **options).history
    assert found["loss"] == without.fit(X, Y, callbacks=Judge(), **options).history["loss"]
    assert (with_it.flat_params == without.flat_params).all()
    assert found["val_loss"] == expected
    for one, two in zip(with_it.layers[0]._carried().values(), without.layers[0]._carried().values(), strict=True):
        assert (one == two).all()


@pytest.mark.parametrize("both", [False, True])
def test_a_state_that_waits(both: bool) -> None:
    """A layer that is not stateful for an epoch: validation leaves its state alone too."""
    found = []
    for validated in (None, (X, Y)):
        layer: Any = nn.LSTM(4, stateful=True)
        model = model_of(nn.Bidirectional(layer) if both else layer, nn.Dense(1))
        parts = model.layers[0]._halves if both else [layer]
        pause = [At(epoch, lambda _, on=bool(epoch), part=parts[-1]: setattr(part, "stateful", on)) for epoch in (0, 1)]
        model.fit(X, Y, batch_size=N, epochs=4, validation_data=validated, callbacks=pause, verbose=0)
        found.append(model.flat_params)
    np.testing.assert_array_equal(*found)


def test_steps_of_their_own_carry_nothing() -> None:
    layer = nn.TimeDistributed(nn.LSTM(3))
    x = np.ones((2, 4, 5, D))
    layer(x)
    layer.layer.stateful = True
    with pytest.raises(ValueError, match="layer: expected one without states for TimeDistributed"):
        layer(x)


def test_a_metric_that_cannot_be_copied() -> None:
    model = small(metrics=[metrics.MeanMetricWrapper(lambda t, p: abs(t - p), "own")])
    model.metrics[1].lock = threading.Lock()
    inner = At(0, lambda model: model.evaluate(X, Y, verbose=0))
    with pytest.raises(TypeError, match=r"metrics: expected some that copy\.deepcopy can copy.*lock"):
        model.fit(X, Y, callbacks=[inner], verbose=0)


def test_a_loss_without_a_name() -> None:
    class Bare(losses.Loss):
        def __init__(self) -> None:
            """Nothing."""

        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            e = y_pred - y_true
            return (e * e).mean(), 2 * e / e.size

    one, two = small(loss=Bare()), small()
    found, expected = (model.fit(X, Y, verbose=0).history["loss"] for model in (one, two))
    assert found == pytest.approx(expected, rel=1e-6)


def test_outside_of_fit_states_are_carried() -> None:
    """As in Keras, `evaluate` and `predict` go on with the state there is."""
    model = stateful_model(False)
    first, second = model.predict(X, verbose=0), model.predict(X, verbose=0)
    assert np.abs(first - second).max() > 1e-4
    model.reset_state()
    model.predict(X, verbose=0)
    state = model.layers[0].state
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(float(((second[:, 0] - Y) ** 2).mean()), rel=1e-5)
    assert (state.h != model.layers[0].state.h).any()


def test_a_state_is_put_back_after_an_error() -> None:
    model = stateful_model(False)
    kept: list[Any] = []

    class Stop(Callback):
        def on_test_begin(self, logs: Any = None) -> None:
            assert self.model.layers[0].state is None

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            kept.append(self.model.layers[0].state)

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=6, validation_data=(X, Y), callbacks=Stop(), verbose=0)
    assert (model.layers[0].state.h == kept[-1].h).all()
