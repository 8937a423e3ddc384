"""Recurrent layers whose sequences begin with given states."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import assert_same

from fastlstm import nn
from fastlstm.formats.plan import plan_of, run
from fastlstm.nn._src import repeat

H, D = 3, 2
STATE = [[0.5, -1.0, 2.0], [1.5, -0.25, 0.125]]


def layers() -> dict[str, Any]:
    return {
        "lstm": lambda **options: nn.LSTM(H, first_state=STATE, **options),
        "projected": lambda **options: nn.LSTM(
            H, cell="projected", projection_size=2, first_state=[STATE[0][:2], STATE[1]], **options
        ),
        "gru": lambda **options: nn.GRU(H, first_state=STATE[:1], **options),
    }


def begin(layer: Any, N: int) -> Any:
    return [np.tile(np.array(one, np.float32), (N, 1)) for one in layer.first_state]


@pytest.mark.parametrize("name", layers())
def test_it_is_what_initial_state_would_be(rng: Any, name: str) -> None:
    layer = layers()[name](return_sequences=True)
    x, dy = rng.standard_normal((4, 5, D)), rng.standard_normal((4, 5, 2 if name == "projected" else H))
    y, dx = layer(x, training=True), layer.backward(dy)
    grads = {key: array.copy() for key, array in layer.grads.items()}
    found = layer(x, training=True, initial_state=begin(layer, 4))
    assert_same([y, dx, *grads.values()], [found, layer.backward(dy), *layer.grads.values()])
    assert (layer(x, initial_state=[np.zeros_like(one) for one in begin(layer, 4)]) != y).any()


def test_recorded_passes_begin_with_it_too(rng: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rng.standard_normal((16, 5, D)), rng.standard_normal((16, 1))
    found = []
    for after in (0, 10**6):  # batches before a pass is recorded
        monkeypatch.setattr(repeat.Repeats, "AFTER", after)
        model = nn.Sequential([nn.Input((None, D)), layers()["lstm"](), nn.Dense(1)], seed=0)
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        found.append(model.get_weights())
    assert_same(*found)


def test_a_stateful_layer_begins_with_it_and_again_after_a_reset(rng: Any) -> None:
    layer, x = layers()["gru"](stateful=True), rng.standard_normal((4, 5, D))
    first, second = layer(x), layer(x)
    layer.reset_state()
    assert (layer(x) == first).all()
    assert (second != first).any()


@pytest.mark.parametrize("name", layers())
def test_plans_have_it(rng: Any, name: str) -> None:
    model = nn.Sequential([nn.Input((None, D)), nn.Bidirectional(layers()[name](return_sequences=True))], seed=0)
    x = rng.standard_normal((4, 5, D)).astype(np.float32)
    assert abs(run(plan_of(model), x)[0] - model(x)).max() < 1e-6
    assert plan_of(model).recurrent[0].states is not None


def test_files_copies_and_configurations_keep_it(rng: Any, tmp_path: Path) -> None:
    model = nn.Sequential([nn.Input((None, D)), layers()["lstm"](return_sequences=True), layers()["lstm"]()], seed=0)
    x = rng.standard_normal((4, 5, D))
    model.save(tmp_path / "m.safetensors")
    made = nn.Sequential.from_config(model.get_config())
    made.set_weights(model.get_weights())
    for again in (nn.load_model(tmp_path / "m.safetensors"), copy.deepcopy(model), made):
        assert (again(x) == model(x)).all()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (STATE[:1], ValueError, r"first_state: expected \[h, c\], got 1 entries"),
        (3, TypeError, r"first_state: expected \[h, c\], got int"),
        ([STATE[0], STATE[1][:2]], ValueError, r"first_state: c: expected shape \(3,\), got \(2,\)"),
        ([STATE[0], [1, 2, float("nan")]], ValueError, "first_state: c: expected finite numbers"),
        ([STATE[0], ["a"] * 3], TypeError, "first_state: c: expected real numbers"),
    ],
)
def test_states_that_make_no_sense(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.LSTM(H, first_state=given)


def test_it_is_given_when_the_layer_is_made() -> None:
    layer = layers()["lstm"]()
    with pytest.raises(AttributeError, match="first_state: expected to be given when the layer is made"):
        layer.first_state = None
