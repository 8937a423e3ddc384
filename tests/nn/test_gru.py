"""The GRU as a layer, against Keras's own numbers and central differences.

Its cells are made for it, and take a quarter of a minute to compile. So what the layer makes of them is tested in
float64 by NumPy, and their kernels in float32 alone, which other tests need as well."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gru_cases
import numpy as np
import pytest
import reference_engine
from oracles import check_slopes, error

import fastlstm
from fastlstm import backend, nn
from fastlstm.nn._src import cells

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "gru_golden.npz")
F64, F32 = {"dtype": "float64"}, {"dtype": "float32"}
OLD_KERAS = {"activation": "softsign", "recurrent_activation": "hard_sigmoid_keras2", "reset_after": False}


@pytest.fixture
def by_numpy() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


def filled(layer: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    layer.build((None, None, shape[-1]))
    layer.set_weights([rng.uniform(-0.6, 0.6, array.shape) for array in layer.get_weights()])
    return layer


def again(layer: Any) -> Any:
    """The same layer with the same weights and a generator that begins anew."""
    new = type(layer).from_config(layer.get_config())
    new.build((None, *layer.input_shape[1:]))
    new.set_weights(layer.get_weights())
    return new


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "NumPy"])
@pytest.mark.parametrize("name", gru_cases.KERAS)
def test_against_keras(name: str, kernels: bool) -> None:
    with backend.use(backend.engine if kernels else reference_engine):
        check_against_keras(name, *((F32, 1e-6, 1e-5) if kernels else (F64, 1e-13, 1e-12)))


def check_against_keras(name: str, dtype: Any, bound: float, of_gradients: float) -> None:
    g = {key.rpartition("/")[2]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"keras/{name}/")}
    after, masked, backwards, bias = gru_cases.KERAS[name]
    layer = nn.GRU(4, use_bias=bias, reset_after=after, go_backwards=backwards, return_sequences=True, return_state=True,
                   zero_output_for_mask=masked, **dtype)  # fmt: skip
    layer.build((None, None, 2))
    names = ["kernel", "recurrent_kernel", "bias"][: 2 + bias]
    assert list(layer.params) == names
    layer.set_weights([g[f"weights.{one}"] for one in names])
    given = {"lengths": g["lengths"]} if masked else {}
    y, h = layer(g["x"], training=True, initial_state=[g["h"]], **given)
    assert error((y, h), (g["y"], g["hn"])) < bound
    dx = layer.backward(g["dy"], [g["dhn"]])
    assert error((dx, layer.state_grads.h), (g["gx"], g["gh"])) < of_gradients
    assert error([layer.grads[one] for one in names], [g[f"grads.{one}"] for one in names]) < of_gradients


@pytest.mark.parametrize("name", ["after", "after_backwards_no_bias", "before", "before_backwards_no_bias"])
def test_the_core_gives_kerass_numbers_with_a_layers_weights(name: str) -> None:
    g = {key.rpartition("/")[2]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"keras/{name}/")}
    after, _, backwards, bias = gru_cases.KERAS[name]
    layer = nn.GRU(4, use_bias=bias, reset_after=after, go_backwards=backwards, **F64)
    layer.build((None, None, 2))
    layer.set_weights([g[f"weights.{one}"] for one in layer.params])
    y, state = fastlstm.reference.forward(g["x"], layer.to_params(), fastlstm.Hidden(g["h"]), reverse=backwards)
    assert error((y[:, ::-1] if backwards else y, state.h), (g["y"], g["hn"])) < 1e-13


@pytest.mark.usefixtures("by_numpy")
def test_both_directions_in_the_core(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 5, 2))
    layer = filled(nn.Bidirectional(nn.GRU(4, return_sequences=True, **F64)), x.shape, rng)
    params = layer.to_params()
    y, _ = fastlstm.reference.forward(x, params)
    assert error(layer(x), y) < 1e-14
    before = layer.get_weights()
    for array in (*params.forward, *params.backward):
        array[...] = 0  # copies
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    softer = filled(nn.GRU(4, activation="softsign", return_sequences=True, **F64), x.shape, rng)
    assert error(softer(x), fastlstm.reference.forward(x, softer.to_params())[0]) < 1e-14


@pytest.mark.usefixtures("by_numpy")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_gradients(both: bool, sequences: bool, after: bool, rng: np.random.Generator) -> None:
    """Of x and all weights, with a mask that has holes, and with dropout of x and of h."""
    options: dict[str, Any] = {"return_sequences": sequences, "recurrent_dropout": 0.4, "dropout": 0.3, "seed": 2}
    layer = nn.GRU(5, kernel_regularizer="l2", reset_after=after, **options, **F64)
    x, mask = rng.standard_normal((4, 5, 3)), rng.random((4, 5)) < 0.6
    mask[0] = False
    layer = filled(nn.Bidirectional(layer) if both else layer, x.shape, rng)
    trained = again(layer)
    direction = rng.standard_normal(trained(x, training=True, mask=mask).shape)
    dx = trained.backward(direction)

    def loss() -> float:
        new = again(layer)
        return float((new(x, training=True, mask=mask) * direction).sum()) + new.penalty()

    pairs = [(x, dx), *((layer.params[name], trained.grads[name]) for name in layer.params)]
    check_slopes(loss, pairs, 6, rng)


@pytest.mark.usefixtures("by_numpy")
def test_old_keras(rng: np.random.Generator) -> None:
    """The reset gate before the product, and the gates' activation that Keras had before version 2.3: by the equations
    as they are in docs/equations.md, and by central differences."""
    x = rng.standard_normal((3, 4, 2))
    layer = filled(nn.GRU(5, return_sequences=True, **OLD_KERAS, **F64), x.shape, rng)
    W, U, b = layer.get_weights()
    (Wz, Wr, Wn), (Uz, Ur, Un), (bz, br, bn) = (np.split(a, 3, axis=-1) for a in (W, U, b))

    def gate(a: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * a + 0.5, 0, 1)

    h, ys = np.zeros((3, 5)), []
    for t in range(4):
        z, r = gate(x[:, t] @ Wz + h @ Uz + bz), gate(x[:, t] @ Wr + h @ Ur + br)
        a = x[:, t] @ Wn + (r * h) @ Un + bn
        h = (1 - z) * a / (1 + abs(a)) + z * h
        ys.append(h)
    y = layer(x, training=True)
    assert error(y, np.stack(ys, axis=1)) < 1e-14
    direction = rng.standard_normal(y.shape)
    dx = layer.backward(direction)
    pairs = [(x, dx), *((layer.params[name], layer.grads[name]) for name in layer.params)]
    check_slopes(lambda: float((again(layer)(x) * direction).sum()), pairs, 10, rng)


@pytest.mark.usefixtures("by_numpy")
def test_states(rng: np.random.Generator) -> None:
    """Carried from batch to batch, given and returned; of both directions."""
    x = rng.standard_normal((3, 6, 2))
    layer = filled(nn.GRU(4, return_sequences=True, stateful=True, **F64), x.shape, rng)
    whole = again(layer)(x)
    assert error(np.concatenate([layer(x[:, :2]), layer(x[:, 2:])], axis=1), whole) == 0
    layer.reset_state()
    assert error(layer(x), whole) == 0
    both = filled(nn.Bidirectional(nn.GRU(4, return_state=True, **F64)), x.shape, rng)
    y, one, two = both(x)
    assert error(y, np.concatenate([one, two], axis=1)) == 0
    y, *_ = both(x, initial_state=[one, two])
    assert error(both(x, initial_state=[one, two])[0], y) == 0
    with pytest.raises(ValueError, match="initial_state"):
        both(x, initial_state=[one, two, one])


def test_a_model(rng: np.random.Generator, tmp_path: Path) -> None:
    """It learns, also by recorded steps, is saved and loaded, and goes on as it was."""
    x = rng.standard_normal((64, 8, 3)).astype(np.float32)
    target = x.sum(axis=(1, 2))[:, None] > 0
    layers = [
        nn.GRU(8, return_sequences=True),
        nn.Bidirectional(nn.GRU(4, reset_after=False)),
        nn.Dense(1, activation="sigmoid"),
    ]
    model = nn.Sequential([nn.Input((8, 3)), *layers], seed=0)
    model.compile(optimizer=nn.optimizers.Adam(0.01), loss="binary_crossentropy")
    losses = model.fit(x, target, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    pytest.importorskip("safetensors")
    model.save(tmp_path / "gru.safetensors")
    loaded = nn.load_model(tmp_path / "gru.safetensors")
    assert (loaded.predict(x) == model.predict(x)).all()
    assert [layer["class_name"] for layer in loaded.get_config()["layers"]].count("GRU") == 1


@pytest.mark.usefixtures("by_numpy")
def test_first_weights() -> None:
    layer = nn.GRU(4, **F64)
    layer.build((None, 5, 3))
    assert [array.shape for array in layer.get_weights()] == [(3, 12), (4, 12), (2, 12)]
    before = nn.GRU(4, reset_after=False, **F64)
    before.build((None, 5, 3))
    assert [array.shape for array in before.get_weights()] == [(3, 12), (4, 12), (12,)]
    assert not layer.params["bias"].any()
    assert nn.layers.GRU is nn.GRU


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: nn.GRU(4, activation="gelu"),
            ValueError,
            "activation: expected one that a cell can compute, got 'gelu'",
        ),
        (lambda: nn.GRU(4, cell="gru"), TypeError, "cell"),
        (lambda: nn.GRU(0), ValueError, "units"),
        (lambda: nn.GRU(4).to_params(), ValueError, "gru.*: expected a layer that has been built"),
        (
            lambda: nn.Bidirectional(nn.GRU(4)).to_params(),
            ValueError,
            "bidirectional.*: expected a layer that has been",
        ),
        (lambda: nn.Bidirectional(nn.Dense(4)), TypeError, "layer: expected an LSTM or a GRU, got Dense"),
    ],
)
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("options", [{}, {"reset_after": False}], ids=["after", "before"])
def test_pickled_and_copied_between_the_two_passes(options: dict[str, Any], rng: np.random.Generator) -> None:
    layer = nn.GRU(4, **options)
    y = layer(rng.standard_normal((2, 3, 5)), training=True)
    others = pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)
    dx = layer.backward(np.ones_like(y))
    for other in others:
        np.testing.assert_array_equal(other.backward(np.ones_like(y)), dx)
        for name, gradient in layer.grads.items():
            np.testing.assert_array_equal(other.grads[name], gradient)


@pytest.mark.parametrize("make", [cells.lstm_with, cells.gru_with, cells.gru_before_with])
def test_a_cell_with_activations_in_a_pickle(make: Any) -> None:
    own = make("relu", "hard_sigmoid")
    params = own.record(*(np.ones(1) for _ in own.record._fields))
    for one in (pickle.loads(pickle.dumps(params)), copy.deepcopy(params)):
        assert type(one) is own.record
    assert pickle.loads(pickle.dumps(own)) is copy.deepcopy(own) is own
    assert own.record.__name__ != make("softsign", "hard_sigmoid").record.__name__
