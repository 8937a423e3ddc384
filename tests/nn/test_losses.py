"""Losses: Keras's numbers, golden and live, and gradients against central differences."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import ways
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_golden import TABLES, live_keras, of
from oracles import central_differences

from fastlstm.cpu.training.losses import pointwise
from fastlstm.nn import losses
from fastlstm.nn._src import names
from fastlstm.nn._src.losses import masked_weights

CASES = TABLES["LOSSES"]


def made(case: str) -> losses.Loss:
    name, arguments, _ = CASES[case]
    return getattr(losses, name)(**arguments)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, dtype: Any) -> None:
    data, loss = of(f"loss/{case}/"), made(case)
    close = 1e-12 if dtype == np.float64 else 2e-6
    p = data["y_pred"].astype(dtype)
    for kind, weight in (("plain", None), ("weighted", data["weight"])):
        value, dy = loss.value_and_gradient(data["y_true"], p, weight)
        assert dy.dtype == dtype
        np.testing.assert_allclose(value, data[kind], rtol=close)
        expected = data[f"{kind}_gradient"]
        np.testing.assert_allclose(dy, expected, rtol=10 * close, atol=close * np.abs(expected).max())
        assert loss(data["y_true"], p, weight) == value


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_that_of_the_value(case: str) -> None:
    rng = np.random.default_rng(5)
    name, _, shape = CASES[case]
    loss = made(case)
    t = TABLES["targets"](name, shape, rng)
    p = rng.uniform(0.1, 0.9, shape)
    w = rng.uniform(0.5, 2, shape[:-1])
    _, dy = loss.value_and_gradient(t, p, w)
    for i, slope in central_differences(lambda: loss(t, p, w), p, p.size, rng):
        assert dy.reshape(-1)[i] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("logits", [False, True])
def test_gradient_with_soft_targets(logits: bool, rng: np.random.Generator) -> None:
    """Targets that do not add up to 1, smoothed."""
    loss = losses.CategoricalCrossentropy(from_logits=logits, label_smoothing=0.3)
    t, p = rng.uniform(size=(3, 4)), rng.uniform(0.1, 0.9, (3, 4))
    _, dy = loss.value_and_gradient(t, p)
    for i, slope in central_differences(lambda: loss(t, p), p, p.size, rng):
        assert dy.reshape(-1)[i] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(sorted(CASES)),
    shape=st.sampled_from([(1, 1), (2, 5), (7, 3, 4), (33, 1), (3, 2, 2, 6)]),
    seed=st.integers(0, 2**32 - 1),
    threads=st.sampled_from([1, 2]),
)
def test_values_weights_and_threads(case: str, shape: tuple[int, ...], seed: int, threads: int) -> None:
    """The loss is the weighted sum of its values over their number, a row of weight 0 counts for nothing whatever
    stands in it, and neither shape of weights nor threads change a bit."""
    rng = np.random.default_rng(seed)
    name, arguments, _ = CASES[case]
    loss = made(case)
    t = TABLES["targets"](name, shape, rng)
    p = rng.uniform(0.05, 0.95, shape).astype(np.float32)
    rows = shape[:-1]
    w = rng.uniform(0.5, 2, rows)
    dropped = rng.uniform(size=rows) < 0.3
    w[dropped] = 0
    values = loss.values(t, p)
    assert values.shape == rows
    count = (t != 1).sum() if arguments.get("ignore_class") else values.size
    expected = (values * w.astype(np.float32)).sum() / max(count, 1)
    bad_p, bad_t = p.copy(), np.array(t)
    bad_p[dropped], bad_t[dropped] = np.nan, t[dropped] if arguments.get("ignore_class") else 99
    with ways.forced("rows", threads):
        found, dy = loss.value_and_gradient(bad_t, bad_p, w)
    assert found == pytest.approx(expected, rel=1e-6)
    assert not dy[dropped].any()
    again, dy_again = loss.value_and_gradient(t, p, w[..., None])
    assert again == found
    assert dy_again.tobytes() == dy.tobytes()
    if dropped.all():
        return
    loss.check(bad_t, bad_p, w)


def test_samples_weigh_all_their_steps(rng: np.random.Generator) -> None:
    t, p, w = rng.standard_normal((5, 3, 2)), rng.standard_normal((5, 3, 2)), rng.uniform(size=5)
    loss = losses.MeanSquaredError()
    assert loss(t, p, w) == pytest.approx(((t - p) ** 2).mean(axis=(1, 2)) @ w / 5)


def test_masked_weights(rng: np.random.Generator) -> None:
    t, p = rng.standard_normal((5, 3, 2)), rng.standard_normal((5, 3, 2))
    mask, w = rng.uniform(size=(5, 3)) < 0.6, rng.uniform(size=5)
    loss = losses.MeanSquaredError()
    values = ((t - p) ** 2).mean(axis=2)
    assert loss(t, p, masked_weights(mask)) == pytest.approx(values[mask].mean())
    assert loss(t, p, masked_weights(mask, w)) == pytest.approx((values * w[:, None])[mask].sum() / mask.sum())
    assert not masked_weights(np.zeros((2, 3), bool)).any()


def test_far_logits_stay_finite() -> None:
    far = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    for name, t in (("binary", [[0, 1], [0, 1]]), ("categorical", [[0, 1], [0, 1]]), ("sparse", [1, 1])):
        loss = made(f"{name}_logits")
        value, dy = loss.value_and_gradient(t, far)
        assert value == pytest.approx(5e3 if name == "binary" else 1e4)
        assert np.isfinite(dy).all()


def test_saturated_probabilities() -> None:
    """As in Keras, finite, and without a gradient."""
    value, dy = losses.BinaryCrossentropy().value_and_gradient([1, 0], np.array([[0.0], [1.0]], np.float32))
    assert value == pytest.approx(16, abs=0.2)
    assert not dy.any()


def test_nothing_to_average() -> None:
    value, dy = losses.MeanSquaredError().value_and_gradient(np.zeros((0, 2)), np.zeros((0, 2)))
    assert (value, dy.shape) == (0.0, (0, 2))
    assert losses.SparseCategoricalCrossentropy(ignore_class=0)([0, 0], np.full((2, 3), 1 / 3)) == 0.0


def test_nan_predictions_are_nan() -> None:
    for case, (name, _, shape) in CASES.items():
        p = np.full(shape, 0.3)
        p[1] = np.nan
        t = np.zeros_like(TABLES["targets"](name, shape, np.random.default_rng(0)))
        if name.startswith("Categorical"):
            t[..., 0] = 1
        value, dy = made(case).value_and_gradient(t, p)
        assert np.isnan(value), case
        assert np.isnan(dy[1]).any(), case
        assert np.isfinite(dy[0]).all(), case


def test_inputs_of_any_layout(rng: np.random.Generator) -> None:
    t, p, w = rng.uniform(size=(4, 3)), rng.uniform(size=(4, 3)), rng.uniform(size=4)
    loss = losses.BinaryCrossentropy()
    expected, expected_dy = loss.value_and_gradient(t, p, w)
    before = len(pointwise.signatures)
    for change in (
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.astype(">f8"),
        np.ndarray.tolist,
    ):
        value, dy = loss.value_and_gradient(change(t), change(p), change(w))
        assert value == expected
        assert (dy == expected_dy).all()
    for array in (t, p, w):
        array.flags.writeable = False
    assert loss(t, p, w) == expected
    assert len(pointwise.signatures) == before
    assert loss.value_and_gradient(t[:, 0], p[:, 0])[1].shape == (4,)
    assert loss(t[:, 0], p[:, :1]) == loss(t[:, :1], p[:, 0])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: losses.get("binary_crossentrpy"), ValueError, "loss: .*'binary_crossentrpy'; did you mean 'binary_crossentropy'"),
        (lambda: losses.get("xyz"), ValueError, "known are .*huber"),
        (lambda: losses.get(5), TypeError, "loss: expected a name or a Loss.*got int"),
        (lambda: losses.get(lambda a, b: a), TypeError, "the gradient is needed"),
        (lambda: losses.get({"class_name": "Nope", "config": {}}), ValueError, "loss: expected a known name, got 'Nope'"),
        (lambda: losses.get({"class_name": "Huber", "config": {"sigma": 1}}), ValueError, "Huber does not take .*sigma"),
        (lambda: losses.get("mse")(np.ones((4, 2)), np.ones((4, 3))), ValueError, r"y_true: expected shape \(4, 3\).*\(4, 2\)"),
        (lambda: losses.get("mse")(np.ones(3), np.ones(4)), ValueError, "y_true: expected shape"),
        (lambda: losses.get("mse")(["a"], [1.0]), TypeError, "y_true: expected real numbers"),
        (lambda: losses.get("mse")(1.0, 1.0), ValueError, r"y_pred: expected shape \(N, ..., K\).*got \(\)"),
        (lambda: losses.get("mse")([1.0], [1.0], [1.0, 2.0]), ValueError, r"sample_weight: expected shape \(1,\).*\(2,\)"),
        (lambda: losses.get("bce")([0, 2], [[0.1], [0.2]]), ValueError, "y_true: expected 0 to 1 for binary_crossentropy, got 2"),
        (lambda: losses.get("bce").check([0, -1], [[0.1], [0.2]]), ValueError, "y_true: expected 0 to 1 .*got -1"),
        (lambda: losses.get("bce")([0, np.nan], [[0.1], [0.2]]), ValueError, "y_true: expected 0 to 1 .*got nan"),
        (lambda: losses.get("categorical_crossentropy")([1, 0], np.ones((2, 3))), ValueError, "go with sparse_categorical"),
        (lambda: losses.get("categorical_crossentropy")([[2, 0]], np.ones((1, 2))), ValueError, "y_true: expected 0 to 1"),
        (lambda: losses.get("sparse_categorical_crossentropy")([[0, 1, 0]], np.ones((1, 3))), ValueError, "go with categorical"),
        (lambda: losses.get("sparse_categorical_crossentropy")([3], np.ones((1, 3))), ValueError, "class numbers 0 to 2 .*got 3"),
        (lambda: losses.get("sparse_categorical_crossentropy")([-1], np.ones((1, 3))), ValueError, "class numbers 0 to 2 .*got -1"),
        (lambda: losses.get("sparse_categorical_crossentropy")([0.5], np.ones((1, 3))), ValueError, "whole class numbers.*got 0.5"),
        (lambda: losses.Huber(delta=0), ValueError, "delta: expected at least .*got 0"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=2), ValueError, "label_smoothing: expected 0 to 1, got 2"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class=0.5), TypeError, "ignore_class: expected an integer"),
        (lambda: masked_weights([1, 0]), TypeError, "mask: expected booleans"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_names_and_configurations() -> None:
    for case, (name, arguments, _) in CASES.items():
        loss = made(case)
        again = losses.get(json.loads(json.dumps(names.serialize(loss))))
        assert type(again) is type(loss)
        assert again.get_config() == loss.get_config()
        assert arguments.items() <= again.get_config().items()
        assert type(losses.get(name)) is type(loss) is type(losses.get(names.snake_case(name)))
    assert type(losses.get("MSE")) is losses.MeanSquaredError


def test_own_loss() -> None:
    class Linear(losses.Loss):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return float(y_pred.sum()), np.ones_like(y_pred)

    own = Linear("linear")
    assert losses.get(own) is own
    assert own(None, np.ones(3)) == 3
    own.check(None, np.ones(3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within Keras
@pytest.mark.parametrize("case", CASES)
def test_live(case: str) -> None:
    keras = live_keras()
    rng = np.random.default_rng(hash(case) % 2**32)
    name, arguments, shape = CASES[case]
    theirs, ours = getattr(keras.losses, name)(**arguments), made(case)
    for _ in range(3):
        shape = (int(rng.integers(1, 40)), *shape[1:])
        t = TABLES["targets"](name, shape, rng)
        p = TABLES["predictions"](name, arguments, (max(shape[0], 2), *shape[1:]), rng)[: shape[0]].astype(np.float32)
        w = rng.uniform(size=shape[:-1]).astype(np.float32)
        assert ours(t, p) == pytest.approx(float(theirs(t, p)), rel=1e-5)
        assert ours(t, p, w) == pytest.approx(float(theirs(t, p, w)), rel=1e-5)
