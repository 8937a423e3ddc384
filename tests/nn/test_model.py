"""Models: learning end to end, data of every kind, repeatability, and what is said about wrong input."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import ways

from fastlstm import nn

N, T, D = 50, 6, 4


def data(count: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, T, D)).astype(np.float32)
    return x, (x[:, :, 0].sum(axis=1) > 0).astype(np.float32)


def small(seed: int | None = 0, compiled: bool = True, **options: Any) -> nn.Sequential:
    model = nn.Sequential(
        [nn.Input((None, D)), nn.LSTM(5, return_sequences=True, **options), nn.LSTM(3), nn.Dense(1, "sigmoid")],
        seed=seed,
    )
    if compiled:
        model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    return model


def test_the_listing_of_the_post(capsys: pytest.CaptureFixture[str]) -> None:
    timesteps, data_dim, batch_size, epochs = 8, 16, 32, 2
    rng = np.random.default_rng(0)
    X_train, X_test = rng.random((1000, timesteps, data_dim)), rng.random((100, timesteps, data_dim))
    y_train, y_test = rng.integers(0, 2, (1000, 1)), rng.integers(0, 2, (100, 1))
    listing = """
import numpy as np
from fastlstm.nn import Sequential, LSTM, Dense

model = Sequential()
model.add(LSTM(32, return_sequences=True, input_shape=(timesteps, data_dim)))    # 8, 16
model.add(LSTM(32))
model.add(Dense(1, activation='sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='rmsprop', metrics=['accuracy'])
model.summary()
history = model.fit(X_train, y_train, batch_size=batch_size, epochs=epochs, validation_split=0.1, verbose=1)
score, acc = model.evaluate(X_test, y_test, batch_size=batch_size, verbose=0)
"""
    names: dict[str, Any] = dict(locals())
    exec(listing, names)
    out = capsys.readouterr().out
    for expected in ("lstm (LSTM)", "(None, 8, 32)", "6,272", "lstm_1 (LSTM)", "(None, 32)", "8,320", "14,625"):
        assert expected in out
    assert set(names["history"].history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [len(values) for values in names["history"].history.values()] == [2] * 4
    assert 0.6 < names["score"] < 0.8
    assert 0 <= names["acc"] <= 1


def test_it_learns() -> None:
    x, y = data(400)
    model = nn.Sequential([nn.LSTM(16, input_shape=(T, D)), nn.Dense(1, "sigmoid")], seed=0)
    model.compile(loss="binary_crossentropy", optimizer=nn.optimizers.Adam(0.01), metrics=["accuracy"])
    history = model.fit(x, y, epochs=30, verbose=0)
    assert history.history["loss"][-1] < 0.15 < 0.6 < history.history["loss"][0]
    x, y = data(200, seed=1)
    assert model.evaluate(x, y, verbose=0)[1] > 0.9


def test_flat_vectors() -> None:
    model = small()
    x, y = data()
    arrays = [array for layer in model.layers for array in layer.params.values()]
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in arrays]), model.flat_params)
    for layer in model.layers:
        for views, flat in ((layer.params, model.flat_params), (layer.grads, model.flat_grads)):
            assert all(np.may_share_memory(view, flat) for view in views.values())
    before = model.predict(x, verbose=0)
    model.flat_params *= 0.5
    assert np.abs(model.predict(x, verbose=0) - before).max() > 1e-3
    model.train_on_batch(x, y)
    grads = [array for layer in model.layers for array in layer.grads.values()]
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in grads]), model.flat_grads)
    other = small(seed=1)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other.flat_params, model.flat_params)
    assert model.count_params() == len(model.flat_params) == sum(a.size for a in model.get_weights())


def test_a_loop_of_ones_own_is_fit() -> None:
    """Layer by layer, with one's own loss gradient and update, the same bits as `fit`."""
    x, y = data()
    model = small()
    model.compile(loss="mse", optimizer=nn.optimizers.SGD(0.5))
    loop = small(compiled=False)
    losses = []
    for _ in range(3):
        for first in range(0, N, 32):
            bx, by = x[first : first + 32], y[first : first + 32, None]
            out = loop(bx, training=True)
            losses.append(((out - by) ** 2).mean())
            dx = loop.backward(nn.losses.get("mse").value_and_gradient(by, out)[1])
            assert dx.shape == bx.shape
            loop.flat_params -= np.float32(0.5) * loop.flat_grads
    history = model.fit(x, y, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.flat_params, loop.flat_params, rtol=0, atol=1e-7)
    expected = [(32 * a + 18 * b) / 50 for a, b in zip(losses[::2], losses[1::2], strict=True)]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-6)


def test_a_seed_repeats_a_run_bit_for_bit() -> None:
    x, y = data(300)
    results = []
    for way in ("one", "rows", "units"):
        model = nn.Sequential(
            [nn.LSTM(9, return_sequences=True, dropout=0.2, input_shape=(T, D)), nn.Dropout(0.1),
             nn.Bidirectional(nn.LSTM(5, dropout=0.1)), nn.Dense(40, "tanh", kernel_regularizer="l2"),
             nn.Dense(1, "sigmoid")], seed=4)  # fmt: skip
        model.compile(loss="binary_crossentropy", optimizer=nn.optimizers.Adam(global_clipnorm=1.0))
        with ways.forced(way):
            history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.2)
        results.append((model.flat_params.tobytes(), repr(history.history)))
    assert results[0] == results[1] == results[2]
    nn.set_random_seed(1)
    one = nn.Sequential([nn.LSTM(3, input_shape=(T, D))]).get_weights()
    nn.set_random_seed(1)
    two = nn.Sequential([nn.LSTM(3, input_shape=(T, D))]).get_weights()
    other = nn.Sequential([nn.LSTM(3, input_shape=(T, D))]).get_weights()
    np.testing.assert_array_equal(one[0], two[0])
    assert (two[0] != other[0]).all()


def test_validation() -> None:
    x, y = data()
    one, two, three = small(), small(), small()
    first = one.fit(x, y, epochs=2, validation_split=0.3, verbose=0, batch_size=16)
    second = two.fit(x[:35], y[:35], epochs=2, validation_data=(x[35:], y[35:]), verbose=0, batch_size=16)
    assert first.history == second.history
    np.testing.assert_array_equal(one.flat_params, two.flat_params)
    loss, accuracy = one.evaluate(x[35:], y[35:], verbose=0)
    assert (loss, accuracy) == (
        pytest.approx(first.history["val_loss"][-1], abs=1e-6), first.history["val_accuracy"][-1],
    )  # fmt: skip
    third = three.fit(x, y, epochs=4, validation_split=0.3, validation_freq=2, verbose=0)
    assert [len(third.history[name]) for name in ("loss", "val_loss")] == [4, 2]


def test_penalties_are_part_of_the_loss() -> None:
    x, y = data()
    model = nn.Sequential([nn.LSTM(3, kernel_regularizer="l2", input_shape=(T, D)), nn.Dense(1, bias_regularizer="l1")])
    model.set_weights([np.full(w.shape, 0.5) for w in model.get_weights()])
    model.compile(loss="mse", optimizer=nn.optimizers.SGD(0.0))
    penalty = 0.01 * 4 * 12 * 0.25 + 0.01 * 0.5
    expected = ((model.predict(x, verbose=0)[:, 0] - y) ** 2).mean() + penalty
    assert sum(layer.penalty() for layer in model.layers) == pytest.approx(penalty, rel=1e-6)
    found = [model.fit(x, y, verbose=0, batch_size=N).history["loss"][0], model.evaluate(x, y, verbose=0),
             model.train_on_batch(x, y), model.test_on_batch(x, y)]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_epochs_and_history() -> None:
    x, y = data()
    model = small()
    assert model.fit(x, y, epochs=2, verbose=0).epoch == [0, 1]
    assert model.epoch == 2
    history = model.fit(x, y, epochs=5, initial_epoch=model.epoch, verbose=0)
    assert history.epoch == [2, 3, 4]
    assert history is model.history
    with pytest.raises(ValueError, match="epochs: expected at least 0"):
        model.fit(x, y, epochs=-1)


def test_weights_of_samples_and_classes() -> None:
    x, y = data()
    weights = np.where(y > 0, 3.0, 0.5)
    one, two, three = small(), small(), small()
    one.fit(x, y, sample_weight=weights, verbose=0)
    two.fit(x, y, class_weight={1: 3.0, 0: 0.5}, verbose=0)
    np.testing.assert_array_equal(one.flat_params, two.flat_params)
    three.fit(x, y, sample_weight=weights[:, None], class_weight={0: 1}, verbose=0)
    np.testing.assert_array_equal(one.flat_params, three.flat_params)
    twice = np.concatenate([x, x[:10]]), np.concatenate([y, y[:10]])
    counts = np.ones(N)
    counts[:10] = 2
    loss = one.evaluate(x, y, sample_weight=counts, batch_size=N, verbose=0)[0] * N / (N + 10)
    assert loss == pytest.approx(one.evaluate(*twice, batch_size=N + 10, verbose=0)[0], rel=1e-6)
    with pytest.raises(TypeError, match="class_weight: expected a dict"):
        one.fit(x, y, class_weight=[1, 2], verbose=0)


def test_classes_by_number_and_one_hot() -> None:
    x, _ = data()
    y = np.random.default_rng(1).integers(0, 3, N)
    models = []
    for loss, targets in (("sparse_categorical_crossentropy", y), ("categorical_crossentropy", np.eye(3)[y])):
        model = nn.Sequential([nn.LSTM(4, input_shape=(T, D)), nn.Dense(3, "softmax")], seed=0)
        model.compile(loss=loss, optimizer="adam", metrics=["accuracy"])
        model.fit(x, targets, epochs=2, verbose=0, class_weight={0: 2.0})
        models.append((model.get_weights(), model.evaluate(x, targets, verbose=0)))
    np.testing.assert_allclose(models[0][1], models[1][1], rtol=1e-6)
    for a, b in zip(models[0][0], models[1][0], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_padding_does_not_count() -> None:
    """Sequences of unlike length with a target a step: as if each were given alone."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 6, 3)), rng.standard_normal((4, 6, 1))
    lengths = [6, 2, 4, 1]
    real = np.arange(6) < np.array(lengths)[:, None]
    x[~real] = 0

    def model(*first: Any) -> nn.Sequential:
        made = nn.Sequential([*first, nn.LSTM(4, return_sequences=True, dtype="float64"), nn.Dense(1, dtype="float64")])
        made.build((None, None, 3))
        made.set_weights([np.random.default_rng(5).uniform(-1, 1, w.shape) for w in made.get_weights()])
        made.compile(loss="mse", optimizer=nn.optimizers.SGD(0.0), metrics=["mae"], weighted_metrics=["mse"])
        return made

    masked = model(nn.Masking(dtype="float64"))
    loss, mae, mse = masked.train_on_batch(x, y)
    alone, total, absolute, grads = model(), 0.0, 0.0, 0.0
    for n, length in enumerate(lengths):
        one = alone.train_on_batch(x[n : n + 1, :length], y[n : n + 1, :length])
        total, absolute = total + one[0] * length, absolute + one[1] * length
        grads = grads + alone.flat_grads * length
    assert loss == pytest.approx(total / 13, rel=1e-12)
    assert mse == pytest.approx(loss, rel=1e-12)
    assert mae == pytest.approx(absolute / 13, rel=1e-12)
    np.testing.assert_allclose(masked.flat_grads, grads / 13, rtol=0, atol=1e-14)


class Indexed:
    """Like Keras's PyDataset."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y, self.ends = x, y, 0

    def __len__(self) -> int:
        return -(-len(self.x) // 32)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return self.x[32 * i : 32 * i + 32], self.y[32 * i : 32 * i + 32]

    def on_epoch_end(self) -> None:
        self.ends += 1


def test_batches_from_iterables() -> None:
    x, y = data()
    batches = [(x[:32], y[:32]), (x[32:], y[32:])]
    arrays = small()
    expected = arrays.fit(x, y, epochs=3, shuffle=False, verbose=0, validation_data=(x, y)).history

    def endless() -> Iterator[Any]:
        while True:
            yield from batches

    def once() -> Iterator[Any]:
        yield from batches * 3

    indexed = Indexed(x, y)
    for source, steps in ((batches, None), (endless(), 2), (once(), 2), (indexed, None), (batches, 2)):
        model = small()
        history = model.fit(source, epochs=3, steps_per_epoch=steps, verbose=0, validation_data=batches)
        np.testing.assert_array_equal(model.flat_params, arrays.flat_params)
        assert history.history == expected
    assert indexed.ends == 3
    assert arrays.evaluate(batches, verbose=0) == pytest.approx(arrays.evaluate(x, y, verbose=0))
    np.testing.assert_array_equal(arrays.predict([(x[:32],), (x[32:],)], verbose=0), arrays.predict(x, verbose=0))
    np.testing.assert_array_equal(arrays.predict(endless(), steps=2, verbose=0), arrays.predict(x, verbose=0))
    weighted = small()
    weighted.fit([(a, b, np.ones(len(a))) for a, b in batches], epochs=3, verbose=0)
    np.testing.assert_array_equal(weighted.flat_params, arrays.flat_params)

    with pytest.raises(ValueError, match="x: expected batches in epoch 2 of this run, got 0"):
        small().fit(iter(batches), epochs=2, verbose=0)
    with pytest.raises(ValueError, match="x: expected 3 batches in epoch 1 of this run, got 2"):
        small().fit(iter(batches), steps_per_epoch=3, verbose=0)
    with pytest.raises(ValueError, match="y: expected None where x yields batches"):
        small().fit(batches, y, verbose=0)
    with pytest.raises(ValueError, match="validation_split: expected 0 where x yields batches"):
        small().fit(batches, validation_split=0.5, verbose=0)
    with pytest.raises(ValueError, match="y: expected targets, got None"):
        small().fit([(x,)], verbose=0)
    with pytest.raises(ValueError, match="y: expected 32 samples, as in x, got 31"):
        small().fit([(x[:32], y[:31])], verbose=0)


def test_predict_and_evaluate_do_not_depend_on_batches() -> None:
    x, y = data()
    model = small()
    expected = model.predict(x, batch_size=N, verbose=0)
    for size in (1, 7, 49):
        np.testing.assert_array_equal(model.predict(x, batch_size=size, verbose=0), expected)
        np.testing.assert_allclose(model.evaluate(x, y, size, verbose=0), model.evaluate(x, y, N, verbose=0), rtol=1e-6)
    np.testing.assert_array_equal(model.predict_on_batch(x), expected)
    np.testing.assert_array_equal(model(x), expected)
    assert model.evaluate(x, y, verbose=0, return_dict=True).keys() == {"loss", "accuracy"}
    model.compile(loss="mse")
    assert isinstance(model.evaluate(x, y, verbose=0), float)
    assert model.test_on_batch(x, y) == pytest.approx(((expected[:, 0] - y) ** 2).mean())


def test_odd_arrays() -> None:
    x, y = data()
    model, expected = small(), small().predict(x, verbose=0)
    read_only = x.copy()
    read_only.flags.writeable = False
    for odd in (x.astype(">f4"), np.asfortranarray(x), x[::-1][::-1], read_only, x.tolist()):
        np.testing.assert_array_equal(model.predict(odd, verbose=0), expected)
        small().fit(odd, y, verbose=0)
    assert model.predict(np.ones((3, T, D), int), verbose=0).shape == (3, 1)


def test_an_interrupt_leaves_model_and_history() -> None:
    x, y = data()

    class Interrupt:
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if model.epoch == 2 and batch == 1:
                raise KeyboardInterrupt

    model, plain = small(), small()
    ended: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=5, verbose=0, callbacks=[Interrupt(), Ends(ended)])
    assert ended == ["end"]
    assert model.history is not None
    assert len(model.history.history["loss"]) == 2
    plain.fit(x, y, epochs=3, verbose=0)
    np.testing.assert_array_equal(model.flat_params, plain.flat_params)
    model.fit(x, y, verbose=0)
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_an_interrupt_within_a_batch() -> None:
    class Interrupted(nn.losses.MeanSquaredError):
        def value_and_gradient(self, *arguments: Any) -> Any:
            raise KeyboardInterrupt

    x, y = data()
    model = small()
    model.compile(loss=Interrupted())
    for learn in (model.fit, model.train_on_batch):
        with pytest.raises(KeyboardInterrupt):
            learn(x, y)
        model.backward(model(x, training=True))


class Ends:
    def __init__(self, ended: list[Any]) -> None:
        self.ended = ended

    def on_train_end(self, logs: Any = None) -> None:
        self.ended.append("end")


def test_callbacks_see_the_model_learn() -> None:
    x, y = data()
    model = small()
    calls: list[Any] = []

    class Watch(nn.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            calls.append(("epoch", epoch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            calls.append((batch, sorted(logs)))

        def on_test_begin(self, logs: Any = None) -> None:
            calls.append("test")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append((epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

    model.fit(x, y, epochs=9, batch_size=40, verbose=0, callbacks=[Watch()], validation_split=0.1)
    names = ["accuracy", "loss"]
    both = [*names, "val_accuracy", "val_loss"]
    one = [(0, names), (1, names), "test"]
    assert calls == [("epoch", 0), *one, (0, both), ("epoch", 1), *one, (1, both)]
    stop = nn.callbacks.EarlyStopping("loss", patience=1, min_delta=10.0, restore_best_weights=True)
    history = small().fit(x, y, epochs=9, verbose=0, callbacks=[stop])
    assert len(history.epoch) == 2


def test_gradient_norms() -> None:
    x, _ = data()
    model = small()
    with pytest.raises(RuntimeError, match="expected a batch to have been trained on"):
        model.gradient_norms()
    out = model(x, training=True)
    dx = model.backward(np.ones_like(out))
    norms = model.gradient_norms()
    assert list(norms.layers) == ["lstm", "lstm_1", "dense"]
    for layer in model.layers:
        expected = np.sqrt(sum((g.astype(float) ** 2).sum() for g in layer.grads.values()))
        assert norms.layers[layer.name] == pytest.approx(expected)
    np.testing.assert_allclose(norms.steps["lstm"], np.sqrt((dx.astype(float) ** 2).sum(axis=(0, 2))))
    assert norms.steps["lstm_1"].shape == (T,)
    assert sorted(norms.steps) == ["lstm", "lstm_1"]


def test_layers_come_and_go() -> None:
    model = nn.Sequential(name="tower", seed=0)
    model.add(nn.Input((T, D)))
    model.add(nn.LSTM(3, return_sequences=True))
    kept = model.get_weights()
    model.add(nn.LSTM(3))
    model.add(nn.Dense(2, name="head"))
    np.testing.assert_array_equal(model.get_weights()[0], kept[0])
    assert [layer.name for layer in model.layers] == ["lstm", "lstm_1", "head"]
    assert (model.input_shape, model.output_shape) == ((None, T, D), (None, 2))
    assert model.get_layer("head") is model.get_layer(index=-1) is model.layers[2]
    head = model.pop()
    weights = head.get_weights()
    assert len(model.flat_params) == sum(layer.count_params() for layer in model.layers)
    model.flat_params[...] = 0
    np.testing.assert_array_equal(head.get_weights()[0], weights[0])
    model.add(head)
    np.testing.assert_array_equal(model.get_weights()[-2], weights[0])
    again = nn.Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    for call, message in (
        (lambda: model.add(head), "head: expected a layer that is in no model yet"),
        (lambda: model.add(nn.Dense(1, name="head")), "name: expected one that no layer has yet, got 'head'"),
        (lambda: model.add(nn.LSTM(3)), "lstm_2: expected sequences, got the last step alone from lstm_1"),
        (lambda: model.add(nn.Input((3,))), "expected Input at the bottom only"),
        (lambda: model.add(nn.LSTM(3, return_state=True)), "expected one output in a model"),
        (lambda: model.get_layer("tail"), "name: expected one of lstm, lstm_1, head, got 'tail'"),
        (lambda: nn.Sequential().build((None, 3)), "expected at least one layer"),
        (lambda: nn.Sequential([nn.Dense(3)]).build(), "expected an Input, input_shape"),
        (lambda: nn.Sequential([nn.Dense(3)]).set_weights([]), "expected a model that has been built"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
    assert [layer.name for layer in model.layers] == ["lstm", "lstm_1", "head"]
    with pytest.raises(TypeError, match="expected float32 as in the layers below, got float64"):
        model.add(nn.Dense(3, dtype="float64"))
    with pytest.raises(TypeError, match="layer: expected a layer, got int"):
        model.add(3)


def test_a_stateful_model() -> None:
    x, y = data(32)
    model = nn.Sequential([nn.LSTM(3, stateful=True, input_shape=(None, D)), nn.Dense(1)], seed=0)
    model.compile(loss="mse", optimizer="sgd")
    first = model.predict(x, verbose=0)
    second = model.predict(x, verbose=0)
    assert np.abs(first - second).max() > 1e-4
    model.reset_state()
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)
    with pytest.raises(ValueError, match="lstm: expected batches of 32 samples"):
        model.fit(x, y, batch_size=20, verbose=0)
    model.reset_state()
    model.fit(x, y, batch_size=16, verbose=0, shuffle=False)


X, Y = data()
NAN = X.copy()
NAN[3, 2, 1] = np.nan
BAD_FIT = [
    ((X[:, :, :3], Y), {}, ValueError, r"lstm: expected x of shape \(N, T, 4\), got \(50, 6, 3\)"),
    ((X[:, 0], Y), {}, ValueError, r"lstm: expected x of 3 axes, \(N, T, D\), got shape \(50, 4\)"),
    ((X, Y[:-1]), {}, ValueError, "y: expected 50 samples, as in x, got 49"),
    ((X, None), {}, ValueError, "y: expected targets, got None"),
    ((X, Y * 2), {}, ValueError, "y_true: expected 0 to 1 for binary_crossentropy, got 2"),
    ((X, np.ones((N, 2))), {}, ValueError, r"y_true: expected shape \(50, 1\)"),
    ((NAN, Y), {}, ValueError, r"x: expected no NaN, got one at \[3, 2, 1\]: fill it, or .* lengths"),
    ((X, np.where(np.arange(N) == 7, np.nan, Y)), {}, ValueError, r"y: expected no NaN, got one at \[7\]"),
    ((X, Y), {"sample_weight": np.ones(3)}, ValueError, "sample_weight: expected 50 samples"),
    ((X[:1], Y[:1]), {"validation_split": 0.5}, ValueError, "got 0.5 of 1 samples: 0 to learn from and 1"),
    ((X, Y), {"validation_split": 1.0}, ValueError, "got 1 of 50 samples: 0 to learn from and 50"),
    ((X, Y), {"validation_split": -0.1}, ValueError, "validation_split: expected 0 to 1"),
    ((X, Y), {"validation_data": (X,)}, ValueError, r"validation_data: expected \(x, y\)"),
    ((X, Y), {"validation_data": (X, Y[:3])}, ValueError, "^validation_data: y: expected 50 samples, as in x, got 3"),
    ((X, Y), {"validation_data": X}, ValueError, "^validation_data: y: expected targets, got None"),
    ((X, Y), {"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
    ((X, Y), {"batch_size": 2.5}, TypeError, "batch_size: expected an integer, got float"),
    ((X, Y), {"epochs": "3"}, TypeError, "epochs: expected an integer, got str"),
    ((X, Y), {"verbose": 3}, ValueError, "verbose: expected 0, 1, 2 or 'auto', got 3"),
    ((X, Y), {"steps_per_epoch": 2}, ValueError, "steps: expected None with arrays"),
    ((X[:0], Y[:0]), {}, ValueError, "x: expected at least one sample, got none"),
    ((X, Y), {"callbacks": [3]}, TypeError, r"callbacks\[0\]: expected an object with hooks"),
    (("abc", Y), {}, TypeError, "x: expected real numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD_FIT)
def test_bad_fit(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    model = small()
    before = model.flat_params.copy()
    with pytest.raises(error, match=message):
        model.fit(*arguments, **options)
    np.testing.assert_array_equal(model.flat_params, before)


def test_bad_compile_and_calls() -> None:
    model = small(compiled=False)
    for call, error, message in (
        (lambda: model.fit(X, Y), RuntimeError, "fit: expected compile"),
        (lambda: model.evaluate(X, Y), RuntimeError, "evaluate: expected compile"),
        (lambda: model.compile(loss="binary_crossentrpy"), ValueError, "loss: .*did you mean 'binary_crossentropy'"),
        (lambda: model.compile(), ValueError, "loss: expected a name such as 'mse' or a Loss, got None"),
        (lambda: model.compile("rmsprp", "mse"), ValueError, "optimizer: .*did you mean 'rmsprop'"),
        (lambda: model.compile(loss="mse", metrics=["acuracy"]), ValueError, "metric: .*did you mean 'accuracy'"),
        (lambda: model.compile(loss="mse", metrics={"a": "mae"}), TypeError, "metrics: expected a list"),
        (lambda: model.predict(X[:, :, :2]), ValueError, r"lstm: expected x of shape \(N, T, 4\), got \(50, 6, 2\)"),
        (lambda: model.set_weights([np.ones(3)]), ValueError, "weights: expected 8 arrays, got 1"),
        (lambda: model.backward(Y), RuntimeError, "expected a call with training=True before backward"),
        (lambda: model.predict(NAN), ValueError, "x: expected no NaN"),
        (lambda: nn.Sequential(3), TypeError, "layers: expected a list of layers, got int"),
        (lambda: nn.Sequential(seed="a"), TypeError, "seed: expected an integer, got str"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert np.isnan(model.predict(NAN, allow_nan=True, verbose=0)[3]).all()
    with pytest.raises(ValueError, match=r"metric: .*did you mean 'accuracy'"):
        nn.Sequential([nn.LSTM(3)]).compile(loss="mse", metrics=["acuracy"])
    unbuilt = nn.Sequential([nn.LSTM(3), nn.Dense(1)])
    unbuilt.compile(loss="mse", metrics=["mae"])
    unbuilt.fit(X, Y, verbose=0)
    assert unbuilt.input_shape == (None, None, D)


def test_recompile_and_another_optimizer() -> None:
    x, y = data()
    model = small()
    model.fit(x, y, verbose=0)
    model.compile(loss="mse", optimizer=nn.optimizers.SGD(0.1, momentum=0.9), metrics=[nn.metrics.AUC()])
    history = model.fit(x, y, epochs=2, verbose=0)
    assert set(history.history) == {"loss", "auc"}
    model.pop()
    model.add(nn.Dense(1, "sigmoid"))
    model.fit(x, y, verbose=0)  # the optimizer learns of the new vector
    model.compile(loss="mse", optimizer=nn.optimizers.SGD(0.0))
    before = model.flat_params.copy()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.flat_params, before)
    assert model.flat_grads.any()


def test_importing_the_core_does_not_import_nn() -> None:
    code = "import sys, fastlstm; print([m for m in sys.modules if m.startswith('fastlstm.nn')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_learns_as_its_original_does(copied: Any) -> None:
    layers = [nn.Masking(), nn.Bidirectional(nn.LSTM(4, return_sequences=True)), nn.LSTM(3, dropout=0.2), nn.Dense(1)]
    model = nn.Sequential(layers, seed=0)
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, T, D)), rng.standard_normal(8)
    model.train_on_batch(x, y)
    other = copied(model)
    assert (other.flat_params == model.flat_params).all()
    assert (other.flat_grads == model.flat_grads).all()
    assert not np.shares_memory(other.flat_params, model.flat_params)
    before = model.flat_params.copy()
    other.train_on_batch(x, y)
    assert (model.flat_params == before).all()
    model.train_on_batch(x, y)
    assert (model.flat_params != before).all()
    assert (other.flat_params == model.flat_params).all()
    assert (other.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    assert nn.LSTM(2).__getstate__()  # one without weights as well
    assert copied(nn.LSTM(2)).units == 2
