"""Layers that do not learn, weights that are bound, updates of the functional core. Numbers of Keras's: test_keras.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from keras_golden import live_keras

import fastlstm
from fastlstm import backend, nn, reference
from fastlstm.nn import constraints, optimizers

N, T, D = 6, 5, 3
RNG = np.random.default_rng(7)
X, Y = RNG.standard_normal((N, T, D)).astype(np.float32), RNG.standard_normal((N, 2)).astype(np.float32)


@pytest.fixture(autouse=True)
def plain_engine() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


def small(optimizer: Any = "adam") -> nn.Sequential:
    layers = [nn.LSTM(4, return_sequences=True, name="low"), nn.LSTM(3, name="high"), nn.Dense(2, name="top")]
    made = nn.Sequential([nn.Input((None, D)), *layers], seed=0)
    made.compile(optimizer, "mse")
    return made


def changed(model: nn.Sequential, before: list[np.ndarray]) -> list[bool]:
    return [bool((old != new).any()) for old, new in zip(before, model.get_weights(), strict=True)]


def sizes(arrays: list[np.ndarray]) -> list[int]:
    return [array.size for array in arrays]


# what learns


def test_a_frozen_layer_stays_and_the_others_learn() -> None:
    model = small()
    model.get_layer("low").trainable = False
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    assert changed(model, before) == [False] * 3 + [True] * 5
    assert sizes(model.non_trainable_weights) == sizes(model.layers[0].weights) == [48, 64, 16]
    assert sizes(model.trainable_weights) == sizes(model.layers[1].weights + model.layers[2].weights)
    assert model.weights[0] is model.layers[0].params["kernel"]


def test_it_may_change_between_batches_and_what_was_learned_stays() -> None:
    """Half of the batches with a layer frozen: the others' steps are those of a run in which it never was."""
    one, two = small("rmsprop"), small("rmsprop")
    for _ in range(3):
        one.train_on_batch(X, Y)
        two.train_on_batch(X, Y)
    kept, slots = one.get_weights(), one.optimizer.state()
    one.layers[2].trainable = False
    one.train_on_batch(X, Y)
    assert changed(one, kept) == [True] * 6 + [False] * 2
    assert one.optimizer.iterations == 4
    velocity, last = one.optimizer.state()["velocity"], one.layers[2].count_params()
    np.testing.assert_array_equal(velocity[-last:], slots["velocity"][-last:])
    two.train_on_batch(X, Y)
    np.testing.assert_array_equal(one.flat_params[:-last], two.flat_params[:-last])
    one.layers[2].trainable = True
    before = one.get_weights()
    one.train_on_batch(X, Y)
    assert all(changed(one, before))


def test_a_callback_thaws_a_layer_within_fit() -> None:
    model = small()
    model.layers[0].trainable = False
    seen = []

    class Thaw(nn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(changed(model, before)[0])
            model.layers[0].trainable = epoch >= 1

    before = model.get_weights()
    model.fit(X, Y, epochs=4, callbacks=[Thaw()], verbose=0)
    assert seen == [False, False, True, True]


def test_a_model_as_a_whole() -> None:
    model = small()
    model.trainable = False
    assert not any(layer.trainable for layer in model.layers)
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert not any(changed(model, before))
    model.layers[1].trainable = True
    assert model.trainable_weights == []  # as in Keras
    model.trainable = True
    assert len(model.trainable_weights) == len(model.weights) == 8


def test_wrappers_pass_it_on() -> None:
    both, each = nn.Bidirectional(nn.LSTM(2)), nn.TimeDistributed(nn.Dense(2))
    for wrapper, inner in ((both, [both.forward_layer, both.backward_layer]), (each, [each.layer])):
        wrapper.build((None, T, D))
        assert len(wrapper.trainable_weights) == len(wrapper.weights) > 0
        wrapper.trainable = False
        assert not any(one.trainable for one in inner)
        assert wrapper.trainable_weights == []
        wrapper.trainable = True
        inner[0].trainable = False
        assert len(wrapper.non_trainable_weights) == len(inner[0].weights)
        again = type(wrapper).from_config(wrapper.get_config())
        again.build((None, T, D))
        assert sizes(again.trainable_weights) == sizes(wrapper.trainable_weights)


def test_penalties_of_frozen_layers_do_not_count() -> None:
    model = nn.Sequential([nn.LSTM(2, input_shape=(T, D)), nn.Dense(2, kernel_regularizer="l2")], seed=0)
    model.compile("sgd", "mse")
    with_it = model.evaluate(X, Y, verbose=0)
    model.layers[1].trainable = False
    without = model.evaluate(X, Y, verbose=0)
    assert with_it - without == pytest.approx(0.01 * float(np.square(model.layers[1].params["kernel"]).sum()), rel=1e-4)


def test_the_norm_of_the_whole_gradient_is_of_what_learns() -> None:
    model = small(optimizers.SGD(1.0, global_clipnorm=1e-3))
    model.layers[0].trainable = False
    before = model.flat_params.copy()
    model.train_on_batch(X, Y)
    assert np.linalg.norm(model.flat_params - before) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_files_keep_it(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors" if suffix == ".safetensors" else "h5py")
    one = small()
    one.layers[0].trainable = False
    one.fit(X, Y, verbose=0)
    one.save(tmp_path / f"m{suffix}")
    two = (nn.load_model if suffix == ".safetensors" else nn.load_keras)(tmp_path / f"m{suffix}")
    assert [layer.trainable for layer in two.layers] == [False, True, True]
    for model in (one, two):
        model.train_on_batch(X, Y)
    exact = suffix == ".safetensors"  # Keras's learning rates are of float32
    np.testing.assert_allclose(one.flat_params, two.flat_params, rtol=0, atol=0 if exact else 1e-8)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own
def test_keras_goes_on_with_a_frozen_layer(tmp_path: Path) -> None:
    """Adam has arrays of the other layers alone, there and here."""
    keras = live_keras()
    one = small()
    one.layers[0].trainable = False
    one.fit(X, Y, verbose=0)
    one.save(tmp_path / "one.keras")
    theirs = keras.saving.load_model(tmp_path / "one.keras")
    theirs.train_on_batch(X, Y)
    theirs.save(tmp_path / "two.keras")
    two = nn.load_keras(tmp_path / "two.keras")
    one.train_on_batch(X, Y)
    np.testing.assert_allclose(one.flat_params, two.flat_params, atol=1e-6)
    assert two.optimizer.iterations == 2
    for slot, array in one.optimizer.state().items():
        np.testing.assert_allclose(array, two.optimizer.state()[slot], atol=1e-6)


# what weights are bound to

W = RNG.standard_normal((5, 4))
FORMULAS: list[tuple[constraints.Constraint, Any]] = [
    (constraints.NonNeg(), np.where(W > 0, W, 0)),
    (constraints.UnitNorm(), W / np.linalg.norm(W, axis=0)),
    (constraints.UnitNorm(axis=1), W / np.linalg.norm(W, axis=1, keepdims=True)),
    (constraints.MaxNorm(1.5), np.where(np.linalg.norm(W, axis=0) > 1.5, 1.5 * W / np.linalg.norm(W, axis=0), W)),
    (constraints.MaxNorm(1.5, axis=[0, 1]), 1.5 * W / np.linalg.norm(W)),
    (constraints.MinMaxNorm(3.0, 4.0, rate=0.5), W * (0.5 + 0.5 * np.clip(np.linalg.norm(W, axis=0), 3, 4) / np.linalg.norm(W, axis=0))),
]  # fmt: skip


@pytest.mark.parametrize(("constraint", "expected"), FORMULAS, ids=lambda one: repr(one)[:40])
def test_formulas(constraint: constraints.Constraint, expected: np.ndarray) -> None:
    before = W.copy()
    np.testing.assert_allclose(constraint(W), expected, atol=1e-6)
    assert constraint(W.astype(np.float32)).dtype == np.float32
    assert (before == W).all()
    again = constraints.get({"class_name": type(constraint).__name__, "config": constraint.get_config()})
    assert (again(W) == constraint(W)).all()
    assert repr(again) == repr(constraint)


def test_names_of_keras() -> None:
    for name in ("max_norm", "MaxNorm", "non_neg", "unit_norm", "min_max_norm"):
        assert isinstance(constraints.get(name), constraints.Constraint)
    assert constraints.max_norm is constraints.MaxNorm


class Half(constraints.Constraint):
    def __call__(self, w: np.ndarray) -> np.ndarray:
        return w * 0 + 0.5


class Column(constraints.Constraint):
    def __call__(self, w: np.ndarray) -> np.ndarray:
        return w[:1]


def test_one_of_ones_own_holds_after_each_update() -> None:
    model = nn.Sequential([nn.Dense(2, kernel_constraint=Half(), input_shape=(D,))], seed=0)
    model.compile("sgd", "mse")
    model.train_on_batch(X[:, 0], Y)
    assert (model.layers[0].params["kernel"] == 0.5).all()
    assert (model.layers[0].params["bias"] != 0.5).all()


def test_a_layer_of_a_loop_of_ones_own(rng: np.random.Generator) -> None:
    layer = nn.LSTM(3, kernel_constraint="unit_norm")
    layer.build((None, T, D))
    layer.params["kernel"][...] = rng.uniform(0.5, 1, (D, 12))  # of no small norm: Keras adds 1e-7 to it
    layer.constrain()
    np.testing.assert_allclose(np.linalg.norm(layer.params["kernel"], axis=0), 1, rtol=1e-6)


# the functional core


def problem(dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(3)
    params = [
        fastlstm.init_params(D, 4, rng=1, dtype=dtype),
        fastlstm.Bidirectional(*(fastlstm.init_params(4, 3, rng=seed, dtype=dtype) for seed in (2, 3))),
    ]
    x, target = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, 6))

    def gradients() -> Any:
        y, _, tape = reference.forward_train(x.astype(dtype), params)
        return reference.backward(tape, (y - target).astype(dtype))

    return params, gradients


RULES = [optimizers.SGD(0.1, momentum=0.9), optimizers.RMSprop(0.01, centered=True),
         optimizers.Adam(0.01, amsgrad=True, weight_decay=0.1), optimizers.Adam(clipnorm=0.01)]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_steps_are_updates_of_the_vector(rule: Any, dtype: Any) -> None:
    one, two = (type(rule).from_config(rule.get_config()) for _ in range(2))
    params, gradients = problem(dtype)
    arrays = [*params[0], *params[1].forward, *params[1].backward]
    flat, ends = np.concatenate([array.ravel() for array in arrays]), np.cumsum(sizes(arrays))
    two.build(
        flat,
        [
            (str(i), slice(end - array.size, end))
            for i, (array, end) in enumerate(zip(arrays, ends.tolist(), strict=True))
        ],
    )
    for step in range(3):
        grads = gradients()
        one.step(params, grads if step else grads.params)
        slopes = [*grads.params[0], *grads.params[1].forward, *grads.params[1].backward]
        two.update(flat, np.concatenate([array.ravel() for array in slopes]))
        np.testing.assert_array_equal(np.concatenate([array.ravel() for array in arrays]), flat)
    assert one.iterations == 3


def test_names_of_records() -> None:
    params, _ = problem()
    rule = optimizers.SGD(0.1, weight_decay=1.0)
    rule.exclude_from_weight_decay(["bias"])
    before = [array.copy() for array in params[0]]
    zero = [type(one)(*(np.zeros_like(array) for array in one)) for one in (params[0], *params[1])]
    rule.step(params, [zero[0], fastlstm.Bidirectional(*zero[1:])])
    np.testing.assert_allclose(params[0].W, before[0] * 0.9)
    assert (params[0].b == before[2]).all()


def test_heads_of_ones_own_beside_records() -> None:
    """Any arrays, of any layout; those of a view are written into it."""
    whole = np.ones((4, 6))
    params = {"cell": fastlstm.init_params(2, 2, rng=0, dtype=np.float64), "head": [whole[:, ::2], np.ones(())]}
    before = params["cell"].W.copy()
    grads = {"cell": params["cell"], "head": (np.ones((4, 3)), 2)}
    with pytest.raises(
        TypeError, match="grads: expected arrays, or records, tuples, lists and dicts of them, got int at head/1"
    ):
        optimizers.SGD(0.5).step(params, grads)
    grads["head"] = (np.ones((4, 3)), np.array(2))
    optimizers.SGD(0.5).step(params, grads)
    np.testing.assert_array_equal(params["cell"].W, before / 2)
    assert whole.tolist() == [[0.5, 1] * 3] * 4
    assert params["head"][1] == 0


def frozen_array() -> np.ndarray:
    array = np.ones(3)
    array.flags.writeable = False
    return array


def used(rule: Any) -> Any:
    params, gradients = problem()
    rule.step(params, gradients())
    return rule


P = fastlstm.Params(np.ones((2, 4)), np.ones((1, 4)), np.ones(4))
BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: optimizers.SGD().step(P, P[:2]), ValueError, "grads: expected those of kernel, recurrent_kernel, bias, as in params, got 0, 1"),
    (lambda: optimizers.SGD().step(P, P._replace(W=np.ones((2, 3)))), ValueError, r"grads: kernel: expected shape \(2, 4\), got \(2, 3\)"),
    (lambda: optimizers.SGD().step(P, P._replace(W=np.ones((2, 4), complex))), TypeError, "grads: kernel: expected real numbers"),
    (lambda: optimizers.SGD().step(P._replace(U=np.ones((1, 4), "f4")), P), TypeError, "params: recurrent_kernel: expected float64, got float32"),
    (lambda: optimizers.SGD().step([np.ones(2, int)], [np.ones(2)]), TypeError, "params: 0: expected float32 or float64, got int64"),
    (lambda: optimizers.SGD().step(frozen_array(), np.ones(3)), ValueError, "params: weights: expected an array that may be written to"),
    (lambda: optimizers.SGD().step((), ()), ValueError, "params: expected arrays, got none"),
    (lambda: optimizers.SGD().step(3.0, 3.0), TypeError, "params: expected arrays, or records.*, got float"),
    (lambda: used(optimizers.Adam()).step(P, P), ValueError, r"params: expected 0/kernel \(3, 16\) float64, .*1/backward/bias .*as at the first call, got kernel \(2, 4\)"),
    (lambda: small(used(optimizers.Adam())), ValueError, "optimizer: expected one that no other model has learned with"),
    (lambda: small_fitted().optimizer.step(P, P), RuntimeError, "adam: expected an optimizer that was not built"),
    (lambda: nn.LSTM(2, trainable=0), TypeError, "trainable: expected True or False, got 0"),
    (lambda: setattr(small(), "trainable", "no"), TypeError, "trainable: expected True or False, got 'no'"),
    (lambda: nn.LSTM(2, kernel_constraint="max"), ValueError, "kernel_constraint: expected a known name, got 'max'; did you mean 'max_norm'"),
    (lambda: nn.Dense(2, bias_constraint=abs), TypeError, "bias_constraint: expected a name, a Constraint or None"),
    (lambda: nn.Embedding(2, 2, embeddings_constraint=2), TypeError, "embeddings_constraint: expected a name, a Constraint or None, got int"),
    (lambda: constraints.MaxNorm(-1), ValueError, "max_value: expected at least 0, got -1"),
    (lambda: constraints.MinMaxNorm(2, 1), ValueError, "max_value: expected at least 2, got 1"),
    (lambda: constraints.MinMaxNorm(rate=2), ValueError, "rate: expected 0 to 1, got 2"),
    (lambda: constraints.UnitNorm(axis=0.5), TypeError, "axis: expected an integer, got float"),
    (lambda: constraints.MaxNorm(axis=["a"]), TypeError, r"axis\[0\]: expected an integer, got str"),
    (lambda: wrong_shape(), ValueError, r"kernel: expected shape \(3, 2\), got \(1, 2\)"),
]  # fmt: skip


def small_fitted() -> nn.Sequential:
    model = small()
    model.fit(X, Y, verbose=0)
    return model


def wrong_shape() -> None:
    model = nn.Sequential([nn.Dense(2, kernel_constraint=Column(), input_shape=(D,))])
    model.compile("sgd", "mse")
    model.train_on_batch(X[:, 0], Y)


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=lambda one: one if isinstance(one, str) else "")
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
