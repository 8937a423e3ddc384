"""Cells of one's own in layers: the functional core's bits, weights by names, models, files."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from oracles import check_slopes, error
from own_cells import everything, minimal, of_x_alone, weighty
from processes import SUITE, python

import fastlstm
from fastlstm import backend, nn
from fastlstm.cells import OwnCell, cell, sigmoid, tanh

N, T, D, H = 4, 6, 3, 5
F64 = {"dtype": "float64"}
BOTH = everything, weighty  # with c, and h alone; kernels that tests/cpu/lstm/test_own_cells.py runs too


@pytest.fixture
def by_numpy() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


def filled(layer: Any, rng: np.random.Generator) -> Any:
    layer.build((None, None, D))
    layer.set_weights([rng.uniform(-0.6, 0.6, array.shape) for array in layer.get_weights()])
    return layer


def again(layer: Any) -> Any:
    """The same layer with the same weights and a generator that begins anew."""
    new = type(layer).from_config(layer.get_config())
    new.build((None, None, D))
    new.set_weights(layer.get_weights())
    return new


@pytest.mark.parametrize("own", BOTH, ids=lambda own: own.name)
def test_the_bits_of_the_functional_core(own: OwnCell, rng: np.random.Generator) -> None:
    params = fastlstm.init_params(D, H, cell=own, rng=1, dtype=np.float64)
    layer = filled(nn.LSTM(H, cell=own, return_sequences=True, return_state=True, **F64), rng)
    layer.set_weights([array for array in params if array.size])
    x, dy = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
    state = type(fastlstm.zero_state(params))(*(rng.standard_normal((N, H)) for _ in own.states))
    dstate = type(state)(*(rng.standard_normal((N, H)) for _ in own.states))
    y, *last = layer(x, training=True, initial_state=list(state))
    dx = layer.backward(dy, list(dstate))
    y_, last_, tape = fastlstm.forward_train(x, params, state)
    grads = fastlstm.backward(tape, dy, dstate)
    expected = [y_, *last_, grads.x, *grads.state, *(array for array in grads.params if array.size)]
    assert error([y, *last, dx, *layer.state_grads, *layer.grads.values()], expected) == 0
    assert len(layer.compute_output_shape((N, T, D))) == 1 + len(own.states)


@pytest.mark.usefixtures("by_numpy")
def test_weights_by_names() -> None:
    """Shapes, in an order; what would be empty is not there."""

    def of(own: OwnCell, **options: Any) -> dict[str, tuple[int, ...]]:
        layer = nn.LSTM(H, cell=own, **options)
        layer.build((None, T, D))
        return {name: array.shape for name, array in layer.params.items()}

    assert of(everything) == {
        "kernel": (D, 4 * H), "recurrent_kernel": (H, 4 * H), "unit_weights": (7 * H,), "bias": (5 * H,),
    }  # fmt: skip
    assert of(everything, use_bias=False) == {name: of(everything)[name] for name in list(of(everything))[:3]}
    assert of(minimal) == {"kernel": (D, 2 * H), "recurrent_kernel": (H, H), "bias": (2 * H,)}
    assert of(of_x_alone) == {"kernel": (D, 3 * H), "bias": (3 * H,)}
    no_bias = cell("a", gates_of_b="")(lambda z, h: tanh(z.a) + h)
    assert of(no_bias) == {"kernel": (D, H), "recurrent_kernel": (H, H)}


@pytest.mark.usefixtures("by_numpy")
def test_first_weights() -> None:
    """The kernels as of the standard cell, unit weights as peepholes; 1 for the bias of a forget gate beside a c."""

    @cell(gates="o f g", unit_weights="p", gates_of_b="o f")
    def remembers(z, c, w):
        c = sigmoid(z.f + w.p) * c + z.g
        return c, sigmoid(z.o) * c

    def built(own: Any, **options: Any) -> Any:
        layer = nn.LSTM(50, cell=own, seed=0, kernel_regularizer="l1", bias_regularizer="l2", **options, **F64)
        layer.build((None, T, D))
        return layer

    layer = built(remembers)
    assert (layer.params["bias"].reshape(2, 50) == [[0], [1]]).all()
    assert not built(remembers, unit_forget_bias=False).params["bias"].any()
    assert not built(minimal).params["bias"].any()
    w = layer.params["unit_weights"]
    assert 0.9 < np.abs(w).max() * 50**0.5 < 1
    np.testing.assert_allclose(
        layer.params["recurrent_kernel"] @ layer.params["recurrent_kernel"].T, np.eye(50), atol=1e-12
    )
    assert [type(weight.regularizer).__name__ for weight in layer.weights_] == ["L1", "NoneType", "NoneType", "L2"]


@pytest.mark.parametrize("own", BOTH, ids=lambda own: own.name)
@pytest.mark.parametrize("both", [False, True])
def test_gradients(own: OwnCell, both: bool, rng: np.random.Generator) -> None:
    """Of x and all weights, with a mask that has holes, and with dropout of x and of h."""
    options: dict[str, Any] = {"recurrent_dropout": 0.4, "dropout": 0.3, "seed": 2, "recurrent_regularizer": "l2"}
    layer = nn.LSTM(H, cell=own, return_sequences=both, use_bias=both, **options, **F64)
    layer = filled(nn.Bidirectional(layer) if both else layer, rng)
    x, mask = rng.standard_normal((N, T, D)), rng.random((N, T)) < 0.6
    mask[0] = False
    trained = again(layer)
    direction = rng.standard_normal(trained(x, training=True, mask=mask).shape)
    dx = trained.backward(direction)

    def loss() -> float:
        new = again(layer)
        return float((new(x, training=True, mask=mask) * direction).sum()) + new.penalty()

    pairs = [(x, dx), *((layer.params[name], trained.grads[name]) for name in layer.params)]
    check_slopes(loss, pairs, 4, rng)


@pytest.mark.parametrize("own", BOTH, ids=lambda own: own.name)
def test_states(own: OwnCell, rng: np.random.Generator) -> None:
    """Carried from batch to batch, and those of both directions."""
    x = rng.standard_normal((N, T, D))
    layer = filled(nn.LSTM(H, cell=own, return_sequences=True, stateful=True, **F64), rng)
    whole = again(layer)(x)
    assert error(np.concatenate([layer(x[:, :2]), layer(x[:, 2:])], axis=1), whole) == 0
    layer.reset_state()
    assert error(layer(x), whole) == 0
    both = filled(nn.Bidirectional(nn.LSTM(H, cell=own, return_state=True, **F64)), rng)
    y, *states = both(x)
    assert len(states) == 2 * len(own.states)
    assert error(y, np.concatenate([states[0], states[len(own.states)]], axis=1)) == 0
    assert error(both(x, initial_state=states)[0], y) > 0


def model_of(own: Any) -> nn.Sequential:
    model = nn.Sequential([nn.LSTM(8, cell=own, return_sequences=True, input_shape=(None, D), **F64),
                           nn.Bidirectional(nn.LSTM(4, cell=own, **F64)), nn.Dense(1, "sigmoid", **F64)], seed=0)  # fmt: skip
    model.compile(nn.optimizers.Adam(0.01), "binary_crossentropy")
    return model


def test_a_model(rng: np.random.Generator, tmp_path: Path) -> None:
    """It learns, also by recorded steps, and goes on as it was after a pickle, a copy and a file."""
    x = rng.standard_normal((64, 8, D))
    target = x.sum(axis=(1, 2))[:, None] > 0
    model = model_of(of_x_alone)
    losses = model.fit(x, target, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    pytest.importorskip("safetensors")
    model.save(tmp_path / "own.safetensors")
    others = pickle.loads(pickle.dumps(model)), copy.deepcopy(model), nn.load_model(tmp_path / "own.safetensors")
    model.fit(x, target, batch_size=16, epochs=1, verbose=0)
    for other in others:
        assert other.layers[0].cell is of_x_alone
        other.fit(x, target, batch_size=16, epochs=1, verbose=0)
        assert other.flat_params.tobytes() == model.flat_params.tobytes()


def test_a_file_that_has_a_cell(tmp_path: Path) -> None:
    """It says which one is missing; it takes one that computes the same from any place."""
    pytest.importorskip("safetensors")
    path = tmp_path / "own.safetensors"
    model = model_of(minimal)
    model.save(path)
    fastlstm.save(tmp_path / "own.npz", fastlstm.init_params(D, H, cell=minimal, rng=0))
    assert model.get_config()["layers"][0]["config"]["cell"] == f"own_cells.minimal#{minimal.fingerprint[:16]}"
    done = python(f"from fastlstm import nn; nn.load_model({str(path)!r})", SUITE)
    assert re.search(r"ValueError: path: '.*own.safetensors': cell: expected a cell of one's own 'own_cells.minimal', "
                     "defined or imported before$", done.stderr.strip()), done.stderr  # fmt: skip
    definition = """
from fastlstm import backend, nn
from fastlstm.cells import cell, sigmoid, tanh
@cell(gates="f g", gates_of_h="f")
def moved(z, h):
    f = sigmoid(z.f)
    return f * h + {} * tanh(z.g)
"""
    call = f"""
import fastlstm
model, params = nn.load_model({str(path)!r}), fastlstm.load({str(tmp_path / "own.npz")!r})
print(model.layers[0].cell.name, model.flat_params.sum(), params.cell.name)
"""
    found = python(definition.format("(1 - f)") + call, SUITE)
    assert found.stdout.split() == ["moved", str(model.flat_params.sum()), "moved"], found.stderr
    other = definition.replace("moved(", "minimal(") + call
    wrong = python("__name__ = 'own_cells'" + other.format("(2 - f)"), SUITE)
    assert wrong.stderr.strip().endswith("before; the one of that name that is there computes something else")


def test_what_it_says_of_itself() -> None:
    layer = nn.LSTM(H, cell=everything)
    assert repr(layer) == "<LSTM(units=5, cell=everything) 'lstm'>"
    assert nn.LSTM.from_config(layer.get_config()).cell is everything


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.LSTM(3, cell="gru"), ValueError, "cell: expected one of .*'normalized', or what fastlstm.cells.cell mak"),
        (lambda: nn.LSTM(3, cell=lambda z, c: (c, c)), ValueError, "cell: expected one of .* got <function"),
        (lambda: nn.LSTM(3, cell="a.b#12"), ValueError, "^cell: expected a cell of one's own 'a.b', defined or imp.* before$"),
        (lambda: nn.LSTM(3, cell="own_cells.minimal#12"), ValueError, "before; the one of that name .* something else$"),
        (lambda: nn.LSTM(3, cell=minimal, projection_size=2), ValueError, "projection_size: expected None for the own_"),
        (lambda: nn.LSTM(3, "relu", cell=minimal), ValueError,
         "^activation: expected 'tanh' for a cell of one's own, which says its own, got 'relu'"),
        (lambda: nn.LSTM(3, cell=minimal)(np.ones((2, 3, 4)), initial_state=[np.ones((2, 3))] * 2), ValueError,
         r"initial_state: expected \[h\], got 2 entries"),
        (lambda: nn.GRU(3, cell=minimal), TypeError, "GRU: no argument 'cell' here"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
