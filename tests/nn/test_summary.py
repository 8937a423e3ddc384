"""A model's table and its configuration, against what Keras made of the same model, stored, and live where installed."""

from __future__ import annotations

import contextlib
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_golden import live_keras

from fastlstm import nn

DATA = Path(__file__).parents[1] / "data"
SURFACE = json.loads((DATA / "keras_surface.json").read_text())
MADE = runpy.run_path(str(DATA / "make_keras_surface.py"))


def ours() -> list[str]:
    found: list[str] = MADE["summaries"](nn, lambda model: model._build_optimizer())
    return found


def test_the_table_is_keras() -> None:
    assert ours() == SURFACE["summaries"]


def test_the_table_is_keras_live() -> None:
    keras = live_keras()
    assert ours() == MADE["summaries"](keras, lambda model: model.optimizer.build(model.trainable_variables))


def test_it_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "92")
    model = nn.Sequential([nn.LSTM(32, name="a"), nn.Dense(1)], name="m")
    model.summary()
    assert (
        "│ a (LSTM)                             │ ?                           │     0 (unbuilt) │"
        in capsys.readouterr().out
    )
    model.build((None, 8, 16))
    model.summary()
    assert (
        capsys.readouterr().out
        == """\
Model: "m"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
┃ Layer (type)                         ┃ Output Shape                ┃         Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
│ a (LSTM)                             │ (None, 32)                  │           6,272 │
├──────────────────────────────────────┼─────────────────────────────┼─────────────────┤
│ dense (Dense)                        │ (None, 1)                   │              33 │
└──────────────────────────────────────┴─────────────────────────────┴─────────────────┘
 Total params: 6,305 (24.63 KB)
 Trainable params: 6,305 (24.63 KB)
 Non-trainable params: 0 (0.00 B)
"""
    )


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"line_length": 0}, ValueError, "line_length: expected at least 1, got 0"),
        ({"line_length": 10}, ValueError, "line_length, positions: expected columns of at least 4 characters"),
        ({"positions": [0.5, 1]}, ValueError, "positions: expected 3 of them, one a column, got 2"),
        ({"positions": ["a", 1, 1]}, TypeError, r"positions\[0\]: expected a number, got str"),
        ({"show_trainable": 1}, TypeError, "show_trainable: expected True or False, got 1"),
    ],
)
def test_bad_tables(options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        nn.Sequential([nn.Dense(1)]).summary(**options)


# configurations


@contextlib.contextmanager
def configuration(live: bool) -> Iterator[dict[str, Any]]:
    yield MADE["model_of"](live_keras(), compiled=False).get_config() if live else SURFACE["config"]


@pytest.mark.parametrize("live", [False, True])
def test_a_model_from_the_configuration_of_keras(live: bool) -> None:
    with configuration(live) as config:
        model = nn.Sequential.from_config(config)
    assert [list(array.shape) for array in model.get_weights()] == SURFACE["weights"]
    assert model.get_config() == MADE["model_of"](nn, compiled=False).get_config()
    text = json.dumps({"module": "keras", "class_name": "Sequential", "config": config})
    for again in (nn.Sequential.from_config(model.get_config()), nn.models.model_from_json(text)):
        assert again.get_config() == model.get_config()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras's own
def test_and_its_weights_make_it_the_same() -> None:
    keras = live_keras()
    theirs = MADE["model_of"](keras, compiled=False)
    model = nn.Sequential.from_config(theirs.get_config())
    model.set_weights(theirs.get_weights())
    x = np.array([[3, 1999, 0, 7], [5, 0, 0, 0]])
    np.testing.assert_allclose(model.predict(x, verbose=0), np.asarray(theirs.predict(x, verbose=0)), atol=1e-6)


def changed(index: int, **config: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(SURFACE["config"]))
    found["layers"][index]["config"] |= config
    return found


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(2, activity_regularizer="l2"), "config: expected no 'activity_regularizer' in 'bidirectional', which is not here"),
        (changed(1, input_dim=0), "input_dim: expected at least 1, got 0"),
        (SURFACE["config"] | {"layers": [{"module": "keras.layers", "class_name": "Conv1D", "config": {}}]}, "config: expected layers that nn has, .* got 'Conv1D'"),
        ({"layers": [{"module": "keras.layers"}]}, "config: expected a dict of class_name and config"),
        ({"layers": 3}, "config: expected a dict with a list of layers"),
    ],
    ids=range(5),
)  # fmt: skip
def test_what_is_not_here_is_named(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.Sequential.from_config(config)
