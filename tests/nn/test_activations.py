"""Keras's activations of the LSTM and of the GRU: each as a function, and whole layers with them, against Keras."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import activation_cases
import numpy as np
import pytest
from array_numbers import Numbers
from keras_golden import live_keras
from oracles import error

from fastlstm import nn, reference
from fastlstm.cells import cell
from fastlstm.cells.phases import Given
from fastlstm.nn._src import cells
from fastlstm.params import CELLS

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "activations_golden.npz", allow_pickle=False)
NAMES = list(cells.FUNCTIONS)
has_keras = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="no Keras")
F64 = {"dtype": "float64"}


@pytest.mark.parametrize("name", NAMES)
def test_values_and_slopes(name: str) -> None:
    """Those of a cell that has no other equation."""

    @cell("a")
    def one(z):
        return cells.FUNCTIONS[name](z.a)

    x, y, slope = GOLDEN["x"], GOLDEN[f"{name}/y"], GOLDEN[f"{name}/slope"]
    numbers, zeros = x.view(Numbers), np.zeros_like(x).view(Numbers)
    kept, _, h = one.phase.forward((numbers,), zeros, ())
    back = one.phase.backward(Given(kept, kept, zeros, zeros, np.ones_like(x).view(Numbers), zeros, ()))
    exact = name in ("celu", "elu", "selu")  # for small numbers too, where exp(x) - 1 would not be
    np.testing.assert_allclose(h, y, rtol=2e-15, atol=0 if exact else 1e-15)
    np.testing.assert_allclose(np.broadcast_to(back.dz[0], x.shape), slope, rtol=1e-13, atol=1e-15)


@has_keras
def test_values_and_slopes_live() -> None:
    assert activation_cases.names() == NAMES
    for name in NAMES:
        for key, array in activation_cases.values(name).items():
            np.testing.assert_allclose(array, GOLDEN[f"{name}/{key}"], rtol=1e-13, atol=1e-15)


@has_keras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "pair"),
    [("LSTM", ("relu", "hard_sigmoid")), ("LSTM", ("elu", "hard_sigmoid_keras2")), ("LSTM", ("linear", "softsign")),
     ("GRU", ("softsign", "hard_sigmoid")), ("GRU", ("silu", "tanh")), ("GRU", ("relu6", "sparse_sigmoid"))],
)  # fmt: skip
def test_layers_live(kind: str, pair: tuple[str, str], rng: np.random.Generator) -> None:
    """Forward and backward, by `fastlstm.reference`."""
    g = activation_cases.layer(kind, *pair, rng)
    layer = getattr(nn, kind)(activation_cases.H, *pair, **F64)
    layer.build((None, None, activation_cases.D))
    names = list(layer.params)
    y, _, tape = reference.forward_train(g["x"], layer._as_record(dict(zip(names, g["weights"], strict=True))))
    assert error(y, g["y"]) < 1e-13
    found = reference.backward(tape, g["dy"])
    expected = layer._as_record(dict(zip(names, g["grads"], strict=True)))
    assert error((found.x, found.params), (g["dx"], expected)) < 1e-11


def test_there_are_all_of_keras() -> None:
    """But one that cannot be had by its name alone."""
    keras = live_keras()
    there = {name for name in dir(keras.activations) if callable(getattr(keras.activations, name))}
    there -= {"get", "serialize", "deserialize", "threshold"}
    assert there == (set(NAMES) - {"hard_sigmoid_keras2"}) | {"hard_swish", "swish"} | set(cells.NOT_HERE)


def test_names() -> None:
    config = nn.GRU(2, activation="Swish", recurrent_activation="HardSigmoid").get_config()
    assert (config["activation"], config["recurrent_activation"]) == ("silu", "hard_sigmoid")
    assert nn.GRU.from_config(config).get_config() == config
    layer = nn.LSTM(2, None, nn.activations.elu)
    assert (layer.activation, layer.recurrent_activation) == ("linear", "elu")
    assert repr(layer) == "<LSTM(units=2, activation='linear', recurrent_activation='elu') 'lstm'>"


def test_the_usual_ones_are_the_usual_cells() -> None:
    for name in ("standard", "peephole", "interpolated"):
        layer = nn.LSTM(2, activation=nn.activations.tanh, recurrent_activation="Sigmoid", cell=name)
        assert layer._of is CELLS[name]
    assert nn.LSTM(2, "relu")._of is nn.LSTM(3, nn.activations.relu)._of
    assert nn.LSTM(2, "relu")._of is not nn.LSTM(2, "relu", "hard_sigmoid")._of


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.LSTM(3, activation="gelu"), ValueError, "^activation: expected one that a cell .*'gelu': it takes the err"),
        (lambda: nn.GRU(3, activation=nn.activations.softmax), ValueError, "^activation: .*'softmax': it takes all units"),
        (lambda: nn.LSTM(3, recurrent_activation="glu"), ValueError, "^recurrent_activation: .*'glu': it takes all units"),
        (lambda: nn.GRU(3, recurrent_activation="sparsemax"), ValueError, "^recurrent_activation: .*'sparsemax'"),
        (lambda: nn.LSTM(3, "log_softmax"), ValueError, "^activation: .*'log_softmax'"),
        (lambda: nn.LSTM(3, "hardsigmoid2"), ValueError, "^activation: expected a known name, .*'hard_sigmoid"),
        (lambda: nn.LSTM(3, "threshold"), ValueError, "^activation: expected a known name, got 'threshold'"),
        (lambda: nn.LSTM(3, np.tanh), TypeError, "^activation: expected a name, or a function of fastlstm.nn.activ"),
        (lambda: nn.GRU(3, recurrent_activation=lambda x: x), TypeError, "^recurrent_activation: expected a name, or a f"),
        (lambda: nn.LSTM(3, 1.5), TypeError, "^activation: expected a name, .*, got 1.5; a cell of your own"),
        (lambda: nn.LSTM(3, "relu", cell="peephole"), ValueError, "^activation: expected 'tanh' for the peephole cell"),
        (lambda: nn.LSTM(3, recurrent_activation="relu", cell="projected", projection_size=2), ValueError,
         "^recurrent_activation: expected 'sigmoid' for the projected cell, got 'relu'"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
