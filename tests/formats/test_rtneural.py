"""Models of audio plug-ins: RTNeural's JSON, AIDA-X's, GuitarML's."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import assert_same, error, random_params, random_stack

import fastlstm
from fastlstm import formats, nn
from fastlstm.formats.plan import plan_of, run

DATA = Path(__file__).parent.parent / "data"
GOLDEN = json.loads((DATA / "audio_golden.json").read_text())
SHARED = Path(__file__).parents[3] / "shared" / "data" / "models"


def outputs(model: Any, x: Any) -> Any:
    """By the reference, of one sound."""
    return run(plan_of(model), np.asarray(x)[None, :, None])[0][0, :, 0]


def put(path: Path, record: Any) -> Path:
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_models_give_what_pytorch_and_keras_gave(case: str, tmp_path: Path) -> None:
    model = formats.from_rtneural(put(tmp_path / "m.json", GOLDEN["cases"][case]["file"]))
    assert error(outputs(model, GOLDEN["x"]), np.array(GOLDEN["cases"][case]["y"])) < 1e-6


def test_the_layers_compute_what_the_plan_says(tmp_path: Path) -> None:
    model = formats.from_rtneural(put(tmp_path / "m.json", GOLDEN["cases"]["keras lstm"]["file"]))
    x = np.array(GOLDEN["x"], np.float32)
    assert error(model(x[None, :, None])[0, :, 0], outputs(model, x)) < 1e-6


def test_activations_by_themselves(tmp_path: Path) -> None:
    case = GOLDEN["cases"]["keras gru"]
    record, alone = copy.deepcopy(case["file"]), {"type": "activation", "weights": []}
    record["layers"][2]["activation"] = ""
    record["layers"].insert(3, alone | {"activation": "sigmoid", "shape": [None, None, 4]})
    model = formats.from_rtneural(put(tmp_path / "m.json", record))
    assert error(outputs(model, GOLDEN["x"]), np.array(case["y"])) < 1e-6
    for change in ({"activation": ""}, {"shape": [None, 5]}):
        record["layers"][3] |= change
        with pytest.raises(ValueError, match=r"layers\[3\]: activation: expected tanh, .* of 4 numbers"):
            formats.from_rtneural(put(tmp_path / "m.json", record))


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_torch", "gru_torch"])
def test_models_of_rtneural_give_their_authors_outputs(name: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the models stand beside some checkouts only")
    model = formats.from_rtneural(SHARED / f"rtneural_{name}.json")
    x, y = (np.loadtxt(SHARED / f"rtneural_{name}_{what}.csv") for what in "xy")
    assert abs(outputs(model, x) - y).max() < 1e-6


def test_gains_of_aida_x_are_of_the_sound(tmp_path: Path) -> None:
    record = copy.deepcopy(GOLDEN["cases"]["aida-x with a skip"]["file"])
    plain = formats.from_rtneural(put(tmp_path / "m.json", record))
    del record["input_batch"]
    loud = formats.from_rtneural(put(tmp_path / "m.json", record | {"in_gain": 3, "out_gain": -6.5}))
    x = np.array(GOLDEN["x"])
    assert error(outputs(loud, x), outputs(plain, x * 10 ** (3 / 20)) * 10 ** (-6.5 / 20)) < 1e-6


def test_samples_that_a_model_does_not_give_are_an_error(tmp_path: Path) -> None:
    record = copy.deepcopy(GOLDEN["cases"]["aida-x"]["file"])
    record["layers"][0]["weights"][1][2][3] += 0.1
    with pytest.raises(ValueError, match=r"output_batch: expected what the model makes of input_batch, got .* of 1"):
        formats.from_rtneural(put(tmp_path / "m.json", record))


LSTM = {"type": "lstm", "activation": "tanh", "shape": [None, None, 1],
        "weights": [[[1.0] * 4], [[1.0] * 4], [1.0] * 4]}  # fmt: skip
DENSE = {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [[[1.0]], [1.0]]}
PLAIN = {"in_shape": [None, None, 1], "layers": [LSTM, DENSE]}
STATE = {"lin.weight": [[1.0]], "lin.bias": [1.0]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (PLAIN | {"in_shape": []}, "in_shape: expected a size"),
        (PLAIN | {"in_shape": [None, True]}, "in_shape: expected a size"),
        (PLAIN | {"in_shape": [2]}, r"layers\[0\]: lstm: weights\[0\]: expected shape \(2, 4\)"),
        (PLAIN | {"in_shape": 3}, "in_shape: expected list, got int"),
        (PLAIN | {"layers": []}, "layers: expected one at least"),
        (PLAIN | {"layers": [3]}, r"layers\[0\]: expected a dict, got int"),
        (PLAIN | {"layers": [LSTM | {"type": "conv1d"}]}, "conv1d: expected lstm, gru, dense"),
        (PLAIN | {"layers": [LSTM | {"activation": "relu"}]}, "lstm: activation: expected tanh or none, got 'relu'"),
        (PLAIN | {"layers": [DENSE | {"activation": "swish"}]}, "dense: activation: expected tanh, relu.*got 'swish'"),
        (PLAIN | {"layers": [DENSE | {"activation": [1]}]}, r"activation: expected .*got \[1\]"),
        (PLAIN | {"layers": [DENSE | {"weights": [[[1.0]]]}]}, "weights: expected 2 arrays, got 1"),
        (PLAIN | {"layers": [DENSE | {"weights": [[["1"]], [1.0]]}]}, "expected numbers, got str"),
        (PLAIN | {"layers": [DENSE | {"weights": [[[True]], [1.0]]}]}, "expected numbers, got bool"),
        (PLAIN | {"layers": [DENSE | {"weights": [[[1e40]], [1.0]]}]}, "in the range of float32"),
        (PLAIN | {"layers": [DENSE | {"weights": [[[10**400]], [1.0]]}]}, "in the range of float32"),
        (PLAIN | {"layers": [DENSE | {"weights": [[[1.0], [1.0, 2.0]], [1.0]]}]}, r"expected shape \(1, 1\)"),
        (PLAIN | {"in_skip": 2}, "in_skip: expected 0 or 1, got 2"),
        (PLAIN | {"in_skip": 1, "layers": [LSTM]}, "in_skip: expected a dense layer of one output"),
        (PLAIN | {"in_skip": 1, "layers": [DENSE | {"activation": "relu"}, DENSE]}, "in_skip: .*got 'relu'"),
        (PLAIN | {"out_gain": 3, "layers": [LSTM]}, "out_gain: expected a dense layer"),
        (PLAIN | {"in_gain": "3"}, "in_gain: expected int or float, got str"),
        (PLAIN | {"in_gain": 1e9}, "in_gain: expected decibels"),
        (PLAIN | {"input_batch": [1.0], "output_batch": [1.0, 2.0]}, r"output_batch: expected shape \(1\)"),
        ({}, "got an empty one"),
        ({"a": 3}, "'a': expected in_shape and layers, or lists of a PyTorch state dict, got int"),
        (STATE | {"conv.weight": [[[1.0]]]}, "conv.weight: expected numbers, got list"),
        (STATE | {"rec.weight_ih_l0": [[1.0]]}, "'rec': expected a module LSTM, GRU or Linear"),
        ({"state_dict": STATE, "model_data": {"skip": 3}}, "skip: expected 0 or 1, got 3"),
        ({"state_dict": STATE, "model_data": 4}, "model_data: expected a dict, got int"),
        ({"state_dict": 3}, "state_dict: expected dict, got int"),
    ],
)
def test_files_that_make_no_sense(record: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        formats.from_rtneural(put(tmp_path / "m.json", record))


@pytest.mark.parametrize("cell", ["standard", "gru"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_comes_back_with_the_same_bits(rng: Any, cell: str, dtype: Any, tmp_path: Path) -> None:
    stack = random_stack(rng, 2, [(4, False), (3, False)], dtype, cell)
    proof = fastlstm.formats.to_rtneural(stack, tmp_path / "m.json")
    assert proof.error < 1e-14
    assert proof.by == "RTNeural's formulas in NumPy"
    assert formats.prove(tmp_path / "m.json") == proof
    found = plan_of(formats.from_rtneural(tmp_path / "m.json")).recurrent
    assert_same([one.records[0] for one in found], stack)


def test_a_written_model_has_its_head_and_samples(rng: Any, tmp_path: Path) -> None:
    layers = [nn.Input((None, 1)), nn.GRU(3, return_sequences=True), nn.Dense(2, activation="tanh"), nn.Dense(1)]
    formats.to_rtneural(nn.Sequential(layers, seed=0), tmp_path / "m.json")
    record = json.loads((tmp_path / "m.json").read_text())
    assert [(one["type"], one["activation"]) for one in record["layers"]] == [
        ("gru", "tanh"), ("dense", "tanh"), ("dense", "")
    ]  # fmt: skip
    model = formats.from_rtneural(tmp_path / "m.json")
    assert error(outputs(model, record["input_batch"]), np.array(record["output_batch"])) < 1e-14
    record["layers"][1]["weights"][1][0] += 0.01
    put(tmp_path / "m.json", record)
    with pytest.raises(ValueError, match="run by RTNeural's formulas in NumPy"):
        formats.prove(tmp_path / "m.json")


def test_what_rtneural_has_not(rng: Any, tmp_path: Path) -> None:
    target = tmp_path / "m.json"
    stateful = nn.Sequential([nn.Input((None, 1)), nn.LSTM(2, return_sequences=True, first_state=[[0, 1], [2, 3]])])
    for params, message in (
        (random_params(rng, 2, 3, cell="peephole"), "cells that RTNeural has, standard and gru, got peephole"),
        (random_stack(rng, 2, [(3, True)]), "which run forwards"),
        (nn.Sequential([nn.Input((None, 1)), nn.LSTM(2)]), "an output for each step"),
        (stateful, "begin with zeros"),
        (nn.Sequential([nn.Input((None, 1)), nn.Masking(), nn.LSTM(2, return_sequences=True)]), "got Masking"),
        (
            nn.Sequential([nn.Input((None, 1)), nn.LSTM(2, return_sequences=True), nn.Dense(1, "softplus")]),
            "'softplus'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            formats.to_rtneural(params, target)
    assert not target.exists()


def test_files_of_others_carry_nothing_to_prove(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a file of to_rtneural"):
        formats.prove(put(tmp_path / "m.json", PLAIN))
