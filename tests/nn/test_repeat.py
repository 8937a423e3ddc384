"""Passes in parts and recorded ones: the same bits as the layers' own, whatever the model, and no pass is cut or recorded
that could differ."""

from __future__ import annotations

import copy
import pickle
import signal
from typing import Any

import numba
import numpy as np
import pytest
import ways

from fastlstm import nn
from fastlstm.cpu.compiler.run import Recording, recording
from fastlstm.cpu.machine import memory, threads
from fastlstm.cpu.training import moves
from fastlstm.nn._src import repeat

D, T = 5, 7
F64 = {"dtype": "float64"}
MODELS: dict[str, Any] = {
    "the post's": lambda: [nn.LSTM(9, return_sequences=True), nn.LSTM(6), nn.Dense(1, "sigmoid")],
    "float64": lambda: [nn.LSTM(9, return_sequences=True, **F64), nn.LSTM(6, **F64), nn.Dense(1, "sigmoid", **F64)],
    "dropout": lambda: [
        nn.LSTM(9, return_sequences=True, dropout=0.3, recurrent_dropout=0.2), nn.LSTM(6, dropout=0.2, seed=3),
        nn.Dense(4, "relu"), nn.Dense(1, "sigmoid"),
    ],
    "interpolated": lambda: [nn.LSTM(20, return_sequences=True, cell="interpolated"), nn.LSTM(17), nn.Dense(1)],
    "projected": lambda: [nn.LSTM(20, cell="projected", projection_size=13), nn.Dense(1)],
    "peephole": lambda: [nn.LSTM(20, cell="peephole"), nn.Dense(1)],
    "normalized": lambda: [nn.LSTM(20, cell="normalized"), nn.Dense(1)],
    "backwards": lambda: [nn.LSTM(6, go_backwards=True, use_bias=False), nn.Dense(1, use_bias=False)],
    "a step's outputs": lambda: [nn.LSTM(70, return_sequences=True), nn.Dense(3, "softmax")],
    "regularizers": lambda: [
        nn.LSTM(6, kernel_regularizer="l2", bias_regularizer="l1"), nn.Dense(4), nn.Dense(1, kernel_regularizer="l1_l2"),
    ],
    "bound, frozen": lambda: [
        nn.LSTM(9, return_sequences=True, kernel_constraint="unit_norm"), nn.LSTM(6, trainable=False), nn.Dense(1)
    ],
    "words, flattened": lambda: [
        nn.Embedding(40, 6), nn.LSTM(4, return_sequences=True), nn.Flatten(), nn.Dense(1)
    ],
    "dense alone": lambda: [nn.Dense(3, "tanh"), nn.LSTM(4), nn.Dense(1)],
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "stateful": lambda: [nn.LSTM(6, stateful=True), nn.Dense(1)],
    "sequences backwards": lambda: [nn.LSTM(6, return_sequences=True, go_backwards=True), nn.LSTM(3), nn.Dense(1)],
    "masked": lambda: [nn.Masking(), nn.LSTM(6), nn.Dense(1)],
    "words, masked": lambda: [nn.Embedding(40, 6, mask_zero=True), nn.LSTM(6), nn.Dense(1)],
    "mean": lambda: [nn.LSTM(6, return_sequences=True), nn.GlobalAveragePooling1D(), nn.Dense(1)],
    "both ways": lambda: [nn.Bidirectional(nn.LSTM(6)), nn.Dense(1)],
    "dropped": lambda: [nn.LSTM(6), nn.Dropout(0.2), nn.Dense(1)],
}


def fitted(layers: Any, monkeypatch: pytest.MonkeyPatch, after: int, N: int = 50) -> tuple[Any, int]:
    """A model that has learned, recorded after so many batches, and how many passes were."""
    monkeypatch.setattr(repeat.Repeats, "AFTER", after)
    made = []
    original = repeat.Repeated.__init__

    def noted(self: Any, *arguments: Any) -> None:
        made.append(self)
        original(self, *arguments)

    monkeypatch.setattr(repeat.Repeated, "__init__", noted)
    model = nn.Sequential(layers(), seed=0)
    rng = np.random.default_rng(1)
    x = a_batch(model, N, rng)
    outputs = 3 if layers is MODELS["a step's outputs"] else 1
    y = rng.integers(0, 2, (N, T, 3) if outputs == 3 else (N, 1))
    y = y / np.maximum(1, y.sum(axis=-1, keepdims=True)) if outputs == 3 else y
    model.compile("adam", "categorical_crossentropy" if outputs == 3 else "mse", metrics=["mae"])
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, sample_weight=rng.uniform(size=N))
    monkeypatch.setattr(repeat.Repeated, "__init__", original)
    return model, len(made)


def a_batch(model: Any, N: int, rng: np.random.Generator) -> np.ndarray:
    words = isinstance(model.layers[0], nn.Embedding)
    return rng.integers(0, 40, (N, T)) if words else rng.standard_normal((N, T, D))


def assert_same(one: Any, two: Any) -> None:
    assert (one.flat_params == two.flat_params).all()
    assert (one.flat_grads == two.flat_grads).all()
    assert one.history.history == two.history.history
    norms, others = one.gradient_norms(), two.gradient_norms()
    assert norms.layers == others.layers
    assert all((norms.steps[name] == others.steps[name]).all() for name in norms.steps)


def cut(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """Every batch into as many parts, of a sample each if need be."""
    monkeypatch.setattr(repeat, "parts_of", lambda shape, weights: min(parts, shape[0]))


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("together", [False, True])
def test_same_bits(name: str, together: bool, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts: by twins, on one thread or more, and by recordings of what these do."""
    cut(monkeypatch, parts if parts < 3 else 2 if name == "dense alone" else 3)
    with ways.forced("rows" if together else "one"):
        own, none = fitted(MODELS[name], monkeypatch, 10**9)
        recorded, some = fitted(MODELS[name], monkeypatch, 1)
    assert (none, some) == (0, 2 if parts == 1 else 1)  # batches of 8, and the last of 2: no part of that is of two
    assert_same(recorded, own)
    x = a_batch(own, 3, np.random.default_rng(2))
    assert (recorded.predict(x, verbose=0) == own.predict(x, verbose=0)).all()


@pytest.mark.parametrize(("shape", "weights", "parts"), [
    ((32, 8, 16), 12_961, 2), ((31, 8, 16), 12_961, 1), ((127, 8, 16), 12_961, 2), ((128, 8, 16), 12_961, 4),
    ((32, 8, 16), 12_287, 1), ((32, 8, 16), 12_288, 2), ((128, 1, 4), 40_000, 2), ((32, 100), 10_486, 1), ((32, 100), 10_485, 2),
    ((4096, 10, 3), 1_000, 1), ((0, 8, 16), 12_961, 1),
])  # fmt: skip
def test_into_how_many_parts_a_batch_is_cut(shape: tuple[int, ...], weights: int, parts: int) -> None:
    """From 32 and 128 samples on; parts of 1.5 million weights times steps at least, batches of 33 million at most."""
    assert repeat.parts_of(shape, weights) == parts


@pytest.mark.parametrize("name", ["the post's", "a step's outputs", "words, flattened", "regularizers"])
@pytest.mark.parametrize("recorded", [False, True])
def test_parts_add_up_to_the_batch(name: str, recorded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their gradients, in their order: to the bit what a model of its own finds for each part; and up to rounding what one
    finds for the batch."""
    rng = np.random.default_rng(0)
    model, alike = (nn.Sequential(MODELS[name](), seed=0) for _ in range(2))
    x = a_batch(model, 8, rng).astype(np.int64 if name == "words, flattened" else np.float32)
    y = model(x)
    alike(x)
    stacks = [model, model.twin(), model.twin()]
    passes = repeat.Repeated(stacks, x) if recorded else repeat.Passes(stacks, len(x))
    assert (passes.forward(x) == y).all()
    dy = rng.standard_normal(y.shape).astype(np.float32)
    passes.backward(dy)
    found, norms = model.flat_grads.copy(), model.gradient_norms()
    expected = np.zeros_like(found)
    for part in (slice(0, 2), slice(2, 5), slice(5, 8)):
        alike._forward(x[part], None, True)
        alike._back_through(dy[part])
        expected += alike.flat_grads
    np.testing.assert_array_equal(found, expected)
    alike._forward(x, None, True)
    alike._back_through(dy)
    np.testing.assert_allclose(found, alike.flat_grads, rtol=0, atol=1e-5 * abs(found).max())
    for layer, steps in alike.gradient_norms().steps.items():
        np.testing.assert_allclose(norms.steps[layer], steps, rtol=1e-5)


def test_parts_share_nothing_but_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever thread has a part, and whichever part comes first."""
    monkeypatch.setattr(threads.Payoff, "choose", lambda self: True)
    found = []
    for workers, order in ((1, ways.forwards), (2, ways.forwards), (2, ways.backwards), (5, ways.backwards)):
        model = nn.Sequential(MODELS["dropout"](), seed=0)
        x = a_batch(model, 8, np.random.default_rng(0)).astype(np.float32)
        with ways.forced("one" if workers == 1 else "rows", workers), ways.in_turns(order) as turns:
            model(x)
            repeated = repeat.Repeated([model, model.twin(), model.twin()], x)
            turns.seen.clear()
            y = repeated.forward(x)
            repeated.backward(np.ones_like(y))
            assert [seen[1:] for seen in turns.seen] == [(1, min(workers, 3))] * 2
            found.append((y.copy(), model.flat_grads))
    for y, grads in found[1:]:
        np.testing.assert_array_equal(y, found[0][0])
        np.testing.assert_array_equal(grads, found[0][1])


def test_threads_are_given_up_for_parts_only_where_they_are_slow() -> None:
    model, x = nn.Sequential(MODELS["the post's"](), seed=0), np.zeros((8, T, D), np.float32)
    model(x)
    assert repeat.Repeated([model, model.twin()], x)._payoff.sure
    assert not repeat.Repeated([model], x)._payoff.sure


def test_what_cannot_be_recorded_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Sequential(OTHERS["both ways"](), seed=0), np.zeros((8, T, D), np.float32)
    model(x)
    asked = []
    monkeypatch.setattr(repeat.Repeats, "_possible", lambda self, shape: asked.append(shape))
    repeats = repeat.Repeats(model)
    assert [repeats.of(x) for _ in range(9)] == [None] * 9
    assert asked == [x.shape]


def test_a_twin_has_weights_and_generators_in_common_and_nothing_else() -> None:
    model = nn.Sequential(MODELS["dropout"](), seed=0)
    x = a_batch(model, 8, np.random.default_rng(0)).astype(np.float32)
    model(x)
    twin = model.twin()
    for own, other in zip(model.layers, twin.layers, strict=True):
        assert own is not other
        assert own.rng is other.rng
        for name in own.params:
            assert own.params[name] is not other.params[name]
            assert np.shares_memory(own.params[name], other.params[name])
            assert not np.shares_memory(own.grads[name], other.grads[name])
    model.set_weights([array + 1 for array in model.get_weights()])
    assert (twin._forward(x, None, False)[0] == model(x)).all()


@pytest.mark.parametrize("parts", [1, 3])
def test_train_on_batch_learns_as_fit_does(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a fit in two halves as a whole one; copies and files have none of what it works in."""
    cut(monkeypatch, parts)
    monkeypatch.setattr(repeat.Repeats, "AFTER", 2)
    rng = np.random.default_rng(0)
    made = []
    for how in ("fit", "halves", "batches"):
        model = nn.Sequential(MODELS["dropout"](), seed=0)
        rng = np.random.default_rng(0)
        x, y = a_batch(model, 40, rng), rng.standard_normal((40, 1))
        model.compile("adam", "mse")
        if how == "batches":
            for _ in range(2):
                for i in range(0, 40, 8):
                    model.train_on_batch(x[i : i + 8], y[i : i + 8])
            assert (pickle.loads(pickle.dumps(model)).predict(x, verbose=0) == model.predict(x, verbose=0)).all()
            assert copy.deepcopy(model)._repeats is None
        for epochs in {"fit": [2], "halves": [1, 1], "batches": []}[how]:
            model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
            assert model._repeats is None
        made.append(model.flat_params)
    assert (made[0] == made[1]).all()
    assert (made[0] == made[2]).all()


def test_threads_may_change_within_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    layers = nn.Sequential(MODELS["the post's"](), seed=0)
    x = np.random.default_rng(0).standard_normal((8, T, D)).astype(np.float32)
    layers(x)
    repeated = repeat.Repeated([layers], x)
    grads = []
    for count in (numba.get_num_threads(), 1):
        numba.set_num_threads(count)
        y = repeated.forward(x)
        repeated.backward(np.ones_like(y))
        grads.append(layers.flat_grads.copy())
        assert numba.get_num_threads() == count
    assert (grads[0] == grads[1]).all()
    layers(x, training=True)
    layers.backward(np.ones_like(y))
    assert (layers.flat_grads == grads[0]).all()


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = fitted(OTHERS[name], monkeypatch, 1, N=48)
    assert made == 0


def test_one_sequence_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    _, made = fitted(MODELS["the post's"], monkeypatch, 1, N=49)  # the last batch is of one
    assert made == 1


def test_a_recording_owns_its_arrays_and_its_generators_stay() -> None:
    layer = nn.LSTM(4, dropout=0.5, seed=1)
    layer(np.zeros((3, T, D)))
    before = layer.rng.bit_generator.state
    x = np.random.default_rng(0).standard_normal((3, T, D)).astype(np.float32)
    repeated = repeat.Repeated([nn.Sequential([layer])], x)
    assert layer.rng.bit_generator.state == before
    first = repeated.forward(x).copy()
    expected = nn.LSTM(4, dropout=0.5, seed=1)
    expected(x)
    expected.set_weights(layer.get_weights())
    assert (first == expected(x, training=True)).all()
    expected.discard()
    assert (repeated.forward(x) == expected(x, training=True)).all()  # other features are dropped


def test_fill() -> None:
    record = Recording()
    source = np.arange(6.0).reshape(2, 3)
    with record:
        zeros, copy = moves.zeros((2, 3), source.dtype), moves.copied(source)
    assert (zeros == 0).all()
    assert (copy == source).all()
    zeros[...], copy[...], source[...] = 1, 1, 7
    record.run()
    assert (zeros == 0).all()
    assert (copy == 7).all()
    assert (moves.zeros((2, 3), source.dtype) == 0).all()
    assert (moves.copied(source) == 7).all()
    assert threads.available() >= 1


def test_a_recording_has_room_of_its_own() -> None:
    kind = np.dtype(np.float32)
    with Recording():
        own = memory.scratch(100, kind)
    assert not np.shares_memory(own, memory.scratch(100, kind))
    assert np.shares_memory(memory.scratch(100, kind), memory.scratch(100, kind))


def test_an_interrupt_leaves_no_thread_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it strikes: here before what is recorded could be closed."""
    model = nn.Sequential([nn.LSTM(6), nn.Dense(1)])
    model.compile("rmsprop", "mse")
    x, y = np.ones((4, T, D), np.float32), np.ones((4, 1), np.float32)
    leave, struck = Recording.__exit__, []

    def interrupted(self: Recording, *error: object) -> None:
        struck.append(self)
        signal.raise_signal(signal.SIGINT)
        leave(self, *error)

    monkeypatch.setattr(Recording, "__exit__", interrupted)
    threads_before = numba.get_num_threads()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, epochs=3, batch_size=2, verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert struck
    assert recording() is None
    assert numba.get_num_threads() == threads_before
