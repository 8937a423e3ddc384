"""Lengths and masks given to fit, evaluate and predict: the same numbers as a Masking layer's, and nothing in padding
has any effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fastlstm import nn
from fastlstm.nn._src import repeat

N, T, D = 18, 5, 3
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, T, D)).astype(np.float32)
LENGTHS = RNG.integers(0, T + 1, N)
LENGTHS[:2] = 0, T
MASK = np.arange(T) < LENGTHS[:, None]
GAPS = RNG.random((N, T)) < 0.7
Y = {
    "sequence": RNG.standard_normal((N, T, 2)).astype(np.float32),
    "last": RNG.standard_normal((N, 2)).astype(np.float32),
}
WEIGHTS = {"none": None, "samples": RNG.random(N), "steps": RNG.random((N, T))}


def padded(array: np.ndarray, mask: np.ndarray, value: float) -> np.ndarray:
    return np.where(mask.reshape(N, T, *(1,) * (array.ndim - 2)), array, np.float32(value))


def model(kind: str, masking: bool, **compiled: Any) -> nn.Sequential:
    layers: list[Any] = [nn.Masking(-7.0)] if masking else []
    layers += [
        nn.Bidirectional(nn.LSTM(3, return_sequences=True)),
        nn.LSTM(4, return_sequences=kind == "sequence"),
        nn.Dense(2),
    ]
    made = nn.Sequential([nn.Input((None, D)), *layers], seed=3)
    made.compile(**{"loss": "mse", "optimizer": "rmsprop", "metrics": ["mae"], "weighted_metrics": ["mse"]} | compiled)
    return made


def by_name(x: Any, y: Any, weights: Any, how: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Batches of 8 as dicts."""
    for first in range(0, N, 8):
        part = slice(first, first + 8)
        found = {"x": x, "y": y, "sample_weight": weights, **how}
        yield {name: value[part] for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("kind", "weights"), [(kind, w) for kind in Y for w in WEIGHTS if (kind, w) != ("last", "steps")]
)
@pytest.mark.parametrize("how", ["lengths", "mask"])
def test_lengths_and_masks_are_a_masking_layer(how: str, kind: str, weights: str) -> None:
    mask, given = {"lengths": (MASK, {"lengths": LENGTHS}), "mask": (GAPS, {"mask": GAPS})}[how]
    w, y = WEIGHTS[weights], Y[kind]
    masked, plain, streamed = model(kind, True), model(kind, False), model(kind, False)
    x, bad_x = padded(X, mask, -7.0), padded(X, mask, np.nan)
    bad_y = padded(y, mask, np.nan) if kind == "sequence" else y
    fit = {"epochs": 2, "batch_size": 8, "verbose": 0, "shuffle": False}
    judged = {"x": bad_x, "y": bad_y, **given} | ({} if w is None else {"sample_weight": w})
    a = masked.fit(x, y, sample_weight=w, validation_data=(x, y) if w is None else (x, y, w), **fit)
    b = plain.fit(bad_x, bad_y, sample_weight=w, validation_data=judged, **given, **fit)
    c = streamed.fit(list(by_name(bad_x, bad_y, w, given)), validation_data=judged, validation_batch_size=8, epochs=2,
                     verbose=0)  # fmt: skip
    assert a.history == b.history == c.history
    np.testing.assert_array_equal(plain.flat_params, masked.flat_params)
    np.testing.assert_array_equal(streamed.flat_params, masked.flat_params)

    score = masked.evaluate(x, y, sample_weight=w, verbose=0)
    assert plain.evaluate(bad_x, bad_y, sample_weight=w, verbose=0, **given) == score
    np.testing.assert_array_equal(plain.predict(bad_x, verbose=0, **given), masked.predict(x, verbose=0))
    np.testing.assert_array_equal(plain.predict_on_batch(bad_x, **given), masked.predict_on_batch(x))
    assert plain.test_on_batch(bad_x, bad_y, w, **given) == masked.test_on_batch(x, y, w)
    assert plain.train_on_batch(bad_x, bad_y, w, **given) == masked.train_on_batch(x, y, w)
    np.testing.assert_array_equal(plain.flat_params, masked.flat_params)


def test_a_sequence_of_its_own_is_what_a_padded_one_is() -> None:
    made = model("sequence", False)
    y = made.predict(np.where(MASK[..., None], X, np.nan), lengths=LENGTHS, verbose=0)
    for n, length in enumerate(LENGTHS):
        if length:
            np.testing.assert_array_equal(y[n : n + 1, :length], made.predict(X[n : n + 1, :length], verbose=0))


@pytest.mark.parametrize("shuffle", [False, True])
def test_shuffled_and_split_with_weights_of_classes(shuffle: bool) -> None:
    """Masks go with their samples, also into the held out part; weights by class multiply."""
    y = np.arange(N) % 2
    kwargs = {"epochs": 2, "batch_size": 4, "verbose": 0, "shuffle": shuffle, "class_weight": {0: 3.0, 1: 0.5}}
    found = []
    for masking in (True, False):
        made = nn.Sequential(
            [nn.Input((T, D)), *([nn.Masking(-7.0)] * masking), nn.LSTM(4), nn.Dense(1, "sigmoid")], seed=1
        )
        made.compile("adam", "binary_crossentropy", weighted_metrics=["accuracy"])
        x, given = (padded(X, MASK, -7.0), {}) if masking else (padded(X, MASK, np.nan), {"lengths": LENGTHS})
        found.append((made.fit(x, y, validation_split=0.3, **given, **kwargs).history, made.flat_params))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_whole_sequences_take_the_recorded_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths of T change no bit; batches with padding between recorded ones are learnt from as ever."""
    recorded: list[int] = []
    original = repeat.Repeated.forward
    monkeypatch.setattr(repeat.Repeated, "forward", lambda self, x: recorded.append(len(x)) or original(self, x))
    lengths = np.full(N, T)
    lengths[12:] = LENGTHS[12:]
    x = np.concatenate([X, X])
    made = []
    for masking, given in ((False, None), (False, np.full(2 * N, T)), (True, None), (False, np.tile(lengths, 2))):
        recorded.clear()
        # what Masking would mark: only where there is such a layer
        mask = np.arange(T) < (given if given is not None and given.min() < T else np.tile(lengths, 2))[:, None]
        there = (
            np.where(mask[..., None], x, np.float32(-7)) if masking or (given is not None and given.min() < T) else x
        )
        layers = [nn.Masking(-7.0)] * masking + [nn.LSTM(4), nn.Dense(2)]
        one = nn.Sequential([nn.Input((T, D)), *layers], seed=2)
        one.compile("sgd", "mse")
        one.fit(there, np.tile(Y["last"], (2, 1)), batch_size=2, shuffle=False, verbose=0, lengths=given)
        made.append((one.flat_params.copy(), len(recorded)))
    (plain, often), (whole, as_often), (masked, never), (padded_, seldom) = made
    np.testing.assert_array_equal(whole, plain)
    np.testing.assert_array_equal(padded_, masked)
    assert often == as_often > seldom > 0 == never


def test_masks_join_what_a_masking_layer_finds() -> None:
    made = nn.Sequential([nn.Input((T, D)), nn.Masking(-7.0), nn.LSTM(3)], seed=0)
    x = X.copy()
    x[:, 1] = -7
    both = MASK & (np.arange(T) != 1)
    expected = nn.Sequential([nn.Input((T, D)), nn.LSTM(3)], seed=0).predict(x, mask=both, verbose=0)
    np.testing.assert_array_equal(made.predict(x, lengths=LENGTHS, verbose=0), expected)
    np.testing.assert_array_equal(made(x, mask=MASK), expected)
    np.testing.assert_array_equal(made(x, lengths=LENGTHS), expected)


def test_padding_below_a_dense_layer_has_no_effect() -> None:
    """A dense layer computes all steps: NaN in padding must not reach its gradients."""
    found = []
    for value in (0.0, np.nan):
        made = nn.Sequential([nn.Dense(3, input_shape=(T, D)), nn.LSTM(3), nn.Dense(1)], seed=0)
        made.compile("sgd", "mse")
        made.fit(padded(X, MASK, value), Y["last"][:, :1], lengths=LENGTHS, verbose=0)
        found.append(made.flat_params)
        out = made(padded(X, MASK, value), training=True, lengths=LENGTHS)
        made.backward(out)
        found.append(made.flat_grads.copy())
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])


def test_targets_of_padding_may_be_no_class() -> None:
    labels = np.where(MASK, RNG.integers(0, 2, (N, T)), -1)
    made = model("sequence", False, loss=nn.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
                 weighted_metrics=None)  # fmt: skip
    loss, accuracy = made.evaluate(X, labels, lengths=LENGTHS, batch_size=N, verbose=0)
    z = made.predict(X, lengths=LENGTHS, verbose=0).astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    own = np.take_along_axis(p, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    assert loss == pytest.approx(-np.log(own[MASK]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((z.argmax(axis=-1) == labels)[MASK].mean())


BAD: list[tuple[Callable[[nn.Sequential], Any], type[Exception], str]] = [
    (lambda m: m.fit(X, Y["sequence"], lengths=LENGTHS, mask=MASK), ValueError, "expected mask or lengths, got both"),
    (lambda m: m.fit(X, Y["sequence"], lengths=LENGTHS[:3]), ValueError, r"lengths: expected shape \(18,\), got \(3,\)"),
    (lambda m: m.fit(X, Y["sequence"], lengths=LENGTHS + 1), ValueError, "lengths: expected 0 to 5, got 1 to 6"),
    (lambda m: m.evaluate(X, Y["sequence"], mask=MASK.astype(int)), TypeError, "mask: expected booleans"),
    (lambda m: m.predict(X, mask=MASK[:, :2]), ValueError, r"mask: expected shape \(18, 5\), got \(18, 2\)"),
    (lambda m: m.fit([(X, Y["sequence"])], lengths=LENGTHS), ValueError, "lengths: expected None where x yields batches.*dict of x"),
    (lambda m: m.fit(X, Y["sequence"], lengths=LENGTHS[:3], validation_split=0.5), ValueError, "lengths: expected 18 samples"),
    (lambda m: m.fit([{"x": X, "length": LENGTHS}]), ValueError, "batch: expected a dict of x and any of y, .*lengths, mask, got one of x, length"),
    (lambda m: m.fit([{"y": X}]), ValueError, "batch: expected a dict of x"),
    (lambda m: m.fit(X, Y["sequence"], validation_data={"x": X, "z": X}), ValueError, "validation_data: expected a dict of x"),
    (lambda m: m.fit([(X, Y["sequence"], None, LENGTHS)]), ValueError, "batch: expected .*a dict of x, y, sample_weight, lengths, mask, got a tuple of 4"),
    (lambda m: m.fit(X, Y["sequence"], validation_data=(X, Y, None, LENGTHS)), ValueError, "validation_data: expected .*dict of .*lengths.*, got 4 entries"),
    (lambda m: m.fit(np.where(GAPS[..., None], X, np.nan), Y["sequence"], lengths=LENGTHS), ValueError, "x: expected no NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_lengths(call: Callable[[nn.Sequential], Any], error: type[Exception], message: str) -> None:
    made = model("sequence", False)
    before = made.flat_params.copy()
    with pytest.raises(error, match=message):
        call(made)
    np.testing.assert_array_equal(made.flat_params, before)


def test_no_steps_no_lengths() -> None:
    made = nn.Sequential([nn.Dense(2, input_shape=(3,))])
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="expected no mask or lengths with x of shape"):
        made.fit(X[:, 0], Y["last"], lengths=LENGTHS, verbose=0)
