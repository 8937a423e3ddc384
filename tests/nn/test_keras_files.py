"""Whole models from and to Keras's files."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import KERAS as FILES
from keras_cases import CASES, build
from keras_golden import live_keras

import fastlstm
from fastlstm import nn


def golden() -> dict[str, np.ndarray]:
    with np.load(FILES / "outputs.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["whole.keras", "whole.h5", "keras2.h5", "keras2.keras"])
def test_a_whole_model(name: str) -> None:
    model = nn.load_keras(FILES / name)
    arrays = golden()
    np.testing.assert_allclose(model.predict(arrays["whole/x"], verbose=0), arrays["whole/y"], rtol=0, atol=1e-6)
    names = [layer.name.split("_")[0] for layer in model.layers]
    assert names == ["mask", "memory", "both", "dropout", "each", "last", "head"]
    assert model.layers[1].kernel_regularizer.l2 == pytest.approx(0.01)
    assert model.layers[5].go_backwards
    for one, other in zip(model.get_weights(), [arrays[f"whole/{i}"] for i in range(15)], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_reset_gate_that_acts_before() -> None:
    model, arrays = nn.load_keras(FILES / "before.h5"), golden()
    assert [layer.reset_after for layer in model.layers] == [False, True]
    np.testing.assert_allclose(model.predict(arrays["before/x"], verbose=0), arrays["before/y"], rtol=0, atol=1e-6)


def test_it_goes_on_learning() -> None:
    model = nn.load_keras(FILES / "whole.keras")
    assert model.compiled
    assert model.optimizer.iterations == 2
    assert model.optimizer.clipnorm == 1.0
    assert np.abs(model.optimizer.state()["velocity"]).max() > 0
    assert nn.load_keras(FILES / "keras2.h5").optimizer.iterations == 0  # what Keras 2's has learned is left
    assert not nn.load_keras(FILES / "whole.keras", compile=False).compiled
    assert not nn.load_keras(FILES / "keras2.keras").compiled
    old = nn.load_keras(FILES / "whole.h5").optimizer.state()
    for key, array in model.optimizer.state().items():
        np.testing.assert_array_equal(array, old[key])


def archive(tmp_path: Path, change: Any) -> Path:
    with zipfile.ZipFile(FILES / "whole.keras") as old, zipfile.ZipFile(tmp_path / "m.keras", "w") as new:
        config = json.loads(old.read("config.json"))
        change(config, {one["config"]["name"].split("_")[0]: one for one in config["config"]["layers"]})
        new.writestr("config.json", json.dumps(config))
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    return tmp_path / "m.keras"


def lambda_(c: Any, layers: Any) -> None:
    layers["dropout"]["class_name"] = "Lambda"
    layers["dropout"]["config"] = {"name": "code", "function": {"class_name": "__lambda__", "config": ["4wEAAA", None]}}


def compiled(**change: Any) -> Any:
    return lambda c, layers: c["compile_config"].update(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda_, "got the Lambda 'code', which is code: nothing in a file is run"),
        (lambda c, layers: layers["dropout"].update(class_name="Conv1D"), "expected layers that nn has, .*got 'Conv1D'"),
        (lambda c, layers: layers["memory"].update(module="mine", registered_name="mine>LSTM"), "class of its author's own, 'LSTM'"),
        (lambda c, layers: layers["memory"]["config"].update(activity_regularizer={"class_name": "L2"}),
         "expected no 'activity_regularizer' in 'memory', which is not here"),
        (lambda c, layers: layers["memory"]["config"].update(dtype="float16"), "expected float32 or float64 in 'memory', got 'float16'"),
        (lambda c, layers: layers["memory"]["config"].update(units=10**12), r"expected arrays of shapes \[\(3, 4000000000000\)"),
        (lambda c, layers: layers["memory"]["config"].update(units=5), "expected arrays of shapes"),
        (lambda c, layers: layers["memory"]["config"].update(dropout=2.0), "dropout"),
        (lambda c, layers: layers["memory"]["config"].update(
            kernel_initializer={"class_name": "Mine", "config": {}}), "as memory.kernel_initializer, got 'Mine'"),
        (lambda c, layers: layers["head"]["config"].update(activation={"class_name": "function", "config": "mine",
         "registered_name": "mine>mine", "module": "builtins"}), "class of its author's own"),
        (lambda c, layers: layers["head"]["config"].update(activation="swish"), "activation: expected a known name, got 'swish'"),
        (lambda c, layers: c.update(class_name="Functional"), "^path: expected a Sequential, got 'Functional': if .* a chain, .* load_weights"),
        (lambda c, layers: (layers["input"]["config"].pop("batch_shape"), c.pop("build_config"),
                       c["config"].pop("build_input_shape")), "without the shape of its input"),
        (compiled(loss="hinge"), "loss: expected a known name, got 'hinge'.*compile=False"),
        (compiled(loss_weights=[2.0]), "loss_weights: expected none.*compile=False"),
        (compiled(metrics=["nonsense"]), "metric: expected a known name.*compile=False"),
        (compiled(metrics=["mae"] * 200), "metrics: expected at most 100"),
        (compiled(optimizer={"class_name": "Nadam", "config": {}}), "^path: expected one of .* as optimizer, got 'Nadam'.*compile=False"),
        (lambda c, layers: c["compile_config"]["optimizer"]["config"].update(use_ema=True), "expected no 'use_ema'"),
        (lambda c, layers: c["compile_config"]["optimizer"]["config"].update(amsgrad=True), "optimizer: expected 47 arrays of Adam, got 32"),
    ],
)  # fmt: skip
def test_what_is_not_here_is_named(change: Any, message: str, tmp_path: Path) -> None:
    path = archive(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        nn.load_keras(path)


def test_weights_alone_are_no_model() -> None:
    with pytest.raises(ValueError, match=r"^path: expected a whole model, got weights alone: fastlstm.from_keras.*h5"):
        nn.load_keras(FILES / "only.weights.h5")


def test_other_readers_say_where_to_go() -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(ValueError, match=r"a zip archive, as .keras files are.*fastlstm.nn.load_keras"):
        nn.load_model(FILES / "whole.keras")


# writing


def rich() -> nn.Sequential:
    model = nn.Sequential(
        [
            nn.Masking(0.5, input_shape=(None, 3)),
            nn.LSTM(4, return_sequences=True, dropout=0.1, kernel_regularizer="l2", bias_regularizer="l1_l2"),
            nn.Bidirectional(nn.GRU(3, return_sequences=True), "mul", name="both ways"),
            nn.Dropout(0.1, noise_shape=(None, 1, None)),
            nn.TimeDistributed(nn.Dense(2, "elu")),
            nn.LSTM(4, use_bias=False, return_sequences=True, bias_initializer=nn.initializers.RandomNormal(seed=3)),
            nn.GRU(3, go_backwards=True),
            nn.Dense(3, "softmax"),
        ],
        seed=1,
    )
    rate = nn.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)
    model.compile(nn.optimizers.Adam(rate, clipnorm=1.0, amsgrad=True), "sparse_categorical_crossentropy",
                  ["accuracy", nn.metrics.SparseTopKCategoricalAccuracy(2)])  # fmt: skip
    x = np.random.default_rng(0).standard_normal((8, 5, 3)).astype(np.float32)
    x[1, 2:] = 0.5
    model.fit(x, np.arange(8) % 3, epochs=2, verbose=0)
    return model


def test_what_was_written_is_read(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    model = rich()
    model.save(tmp_path / "m.keras")
    again = nn.load_keras(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.flat_params, model.flat_params)
    assert again.get_config() == model.get_config()
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for key, array in model.optimizer.state().items():
        np.testing.assert_array_equal(again.optimizer.state()[key], array)
    again.save(tmp_path / "n.keras")
    assert (tmp_path / "n.keras").read_bytes() == (tmp_path / "m.keras").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["m.keras", "n.keras"]


def changed(path: Path, change: Any) -> None:
    """The vectors of a .keras file, put through a function; None takes them out."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    vectors = change(json.loads(entries.pop("fastlstm.json")))
    if vectors is not None:
        entries["fastlstm.json"] = json.dumps(vectors).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def test_a_file_carries_its_proof(tmp_path: Path) -> None:
    """Of a model that carries a state, which the file does not. What reads the file runs it."""
    pytest.importorskip("h5py")
    path = tmp_path / "m.keras"
    model = nn.Sequential([nn.LSTM(4, stateful=True, return_sequences=True, input_shape=(None, 3)), nn.GRU(2)], seed=1)
    model.predict(np.ones((1, 5, 3)), verbose=0)
    model.save(path)
    proof = fastlstm.formats.prove(path)
    assert (proof.error, proof.numbers) == (0.0, 2 * (1 + 2 + 3))
    changed(path, lambda vectors: vectors | {"cases": vectors["cases"][:2]})
    with pytest.raises(ValueError, match=r"path: .*expected inputs of shapes \(1, 5\), \(2, 3\), \(3, 4\)"):
        nn.load_keras(path)
    model.save(path)
    changed(path, lambda vectors: vectors | {"cases": [vectors["cases"][0] | {"y": vectors["cases"][0]["x"]}] * 3})
    with pytest.raises(ValueError, match="path: "):
        nn.load_keras(path)
    model.save(path)
    numbers = json.loads(zipfile.ZipFile(path).read("fastlstm.json"))["cases"][0]["y"]["numbers"]
    changed(
        path,
        lambda vectors: json.loads(
            json.dumps(vectors).replace(numbers, "A" * len(numbers.rstrip("=")) + "=" * numbers.count("="))
        ),
    )
    for read in (nn.load_keras, fastlstm.formats.prove):
        with pytest.raises(ValueError, match=r"expected outputs within 1e-12 of fastlstm.reference, got a difference"):
            read(path)
    changed(path, lambda vectors: None)
    assert nn.load_keras(path).get_config() == model.get_config()
    with pytest.raises(ValueError, match=r"expected inputs and outputs, as model\.save writes them, got none in"):
        fastlstm.formats.prove(path)


def test_what_no_plan_describes_is_saved_all_the_same(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    model = nn.Sequential([nn.Dense(4, input_shape=(3,))])
    model.save(tmp_path / "m.keras")
    assert "fastlstm.json" not in zipfile.ZipFile(tmp_path / "m.keras").namelist()
    np.testing.assert_array_equal(nn.load_keras(tmp_path / "m.keras").flat_params, model.flat_params)


def test_checkpoints_of_a_run(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    model = nn.Sequential([nn.LSTM(2, input_shape=(3, 1)), nn.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3, 1)), np.ones(4), epochs=2, verbose=0,
              callbacks=[nn.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")])  # fmt: skip
    assert sorted(os.listdir(tmp_path)) == ["1.keras", "2.keras"]


def test_what_keras_has_not(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    model = nn.Sequential([nn.LSTM(4, cell="peephole", input_shape=(None, 3), name="own")])
    with pytest.raises(ValueError, match=r"own.cell: expected 'standard' in a .keras file.*got 'peephole'"):
        model.save(tmp_path / "m.keras")
    model = nn.Sequential([nn.GRU(1, first_state=[[0.5]], input_shape=(None, 3))])
    with pytest.raises(ValueError, match=r"gru.first_state: expected None in a .keras file"):
        model.save(tmp_path / "m.keras")
    model = nn.Sequential([nn.Dense(4, input_shape=(3,))])
    optimizer = nn.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(["bias"])
    model.compile(optimizer, "mse")
    with pytest.raises(ValueError, match=r"exclude_from_weight_decay: expected nothing in a .keras file"):
        model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="expected a model that has been built"):
        nn.Sequential([nn.Dense(4)]).save(tmp_path / "m.keras")
    assert os.listdir(tmp_path) == []


def test_the_old_file_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    from fastlstm.nn._src import keras_writing

    (tmp_path / "m.keras").write_bytes(b"old")
    monkeypatch.setattr(
        keras_writing, "_variables", lambda file, path, name, arrays: file.require_group(f"{path}/vars")
    )
    with pytest.raises(ValueError, match="expected arrays of shapes"):
        rich().save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m.keras"]


# weights alone


@pytest.mark.parametrize("name", ["whole.keras", "whole.h5", "keras2.h5", "keras2.keras"])
def test_a_model_takes_the_weights_of_a_file(name: str) -> None:
    whole = nn.load_keras(FILES / "whole.keras", compile=False)
    model = nn.Sequential([type(layer).from_config(layer.get_config()) for layer in whole.layers], seed=5)
    model.build(whole._input)
    assert not np.array_equal(model.flat_params, whole.flat_params)
    model.load_weights(FILES / name)
    np.testing.assert_array_equal(model.flat_params, whole.flat_params)


def test_a_model_takes_the_weights_of_a_chain_of_another_class(tmp_path: Path) -> None:
    path = archive(tmp_path, lambda c, layers: c.update(class_name="Functional"))
    whole = nn.load_keras(FILES / "whole.keras", compile=False)
    model = nn.Sequential([type(layer).from_config(layer.get_config()) for layer in whole.layers], seed=5)
    model.build(whole._input)
    model.load_weights(path)
    np.testing.assert_array_equal(model.flat_params, whole.flat_params)


def test_weights_alone_come_back(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    model, path = rich(), tmp_path / "m.weights.h5"
    model.save_weights(path)
    again = nn.Sequential.from_config(model.get_config())
    again.load_weights(path)
    np.testing.assert_array_equal(again.flat_params, model.flat_params)
    other = nn.Sequential([nn.LSTM(4, input_shape=(None, 3)), nn.Dense(3)], seed=2)
    before = other.flat_params.copy()
    with pytest.raises(ValueError, match=r"weights of the model's layers, got also those of bidirectional"):
        other.load_weights(path)
    alone = nn.Sequential([nn.LSTM(4, input_shape=(None, 3)), nn.Dense(3)], seed=3)
    alone.save_weights(path)
    wide = nn.Sequential([nn.LSTM(4, input_shape=(None, 3)), nn.Dense(2)])
    for one, message in [
        (wide, r"expected arrays of shapes \[\(4, 2\), \(2,\)\] of 'dense.*', got \[\(4, 3\), \(3,\)\]"),
        (nn.Sequential([nn.LSTM(4, input_shape=(None, 3))]), "got also those of dense"),
        (
            nn.Sequential([nn.LSTM(4, input_shape=(None, 3)), nn.Dense(3), nn.Dense(1)]),
            r"expected arrays of shapes \[\(3, 1\), \(1,\)\].*, got \[\]",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            one.load_weights(path)
    with pytest.raises(ValueError, match=r"^path: expected weights of 1 layers, got those of 5"):
        nn.Sequential([nn.Dense(3, input_shape=(3,))]).load_weights(FILES / "whole.h5")
    np.testing.assert_array_equal(other.flat_params, before)
    other.load_weights(path)
    np.testing.assert_array_equal(other.flat_params, alone.flat_params)


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_keras_and_we_take_each_others_weights(tmp_path: Path) -> None:
    keras = live_keras()
    mine = rich()
    mine.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras", compile=False)
    theirs.set_weights([array + 1 for array in theirs.get_weights()])
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    mine.load_weights(tmp_path / "theirs.weights.h5")
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    mine.flat_params *= 2
    mine.save_weights(tmp_path / "mine.weights.h5")
    theirs.load_weights(tmp_path / "mine.weights.h5")
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# against Keras


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize(
    "name", ["the post", "masked, both, sequences", "both backwards layer", "time distributed", "ave"]
)
def test_live_both_ways(name: str, tmp_path: Path, rng: Any) -> None:
    keras, case = live_keras(), CASES[name]
    theirs = build(keras.layers, keras.Sequential, keras.layers.Input, case)
    x = rng.standard_normal(case.shape).astype(np.float32)
    expected = theirs.predict(x, verbose=0)
    theirs.save(tmp_path / "theirs.keras")
    ours = nn.load_keras(tmp_path / "theirs.keras")
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=0, atol=1e-6)
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=0, atol=1e-6)
    for one, other in zip(again.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_live_other_cells_of_keras(tmp_path: Path, rng: Any) -> None:
    keras = live_keras()
    ours = nn.Sequential(
        [
            nn.GRU(
                4, reset_after=False, return_sequences=True, bias_initializer="glorot_normal", input_shape=(None, 3)
            ),
            nn.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True),
            nn.Bidirectional(nn.GRU(2, use_bias=False)),
        ],
        seed=2,
    )
    x = rng.standard_normal((4, 6, 3)).astype(np.float32)
    ours.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours.predict(x, verbose=0), rtol=0, atol=1e-6)
    theirs.save(tmp_path / "n.keras")
    again = nn.load_keras(tmp_path / "n.keras")
    np.testing.assert_array_equal(again.flat_params, ours.flat_params)
    np.testing.assert_array_equal(again.predict(x, verbose=0), ours.predict(x, verbose=0))


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize("file", ["m.keras", "m.h5"])
def test_live_how_it_learns(file: str, tmp_path: Path, rng: Any) -> None:
    """Losses and metrics as functions, names and objects; a schedule; a fixed size of batches."""
    keras = live_keras()
    theirs = keras.Sequential([keras.layers.Input(batch_shape=(2, 4, 2)), keras.layers.LSTM(2, stateful=True),
                               keras.layers.Dense(1, "sigmoid")])  # fmt: skip
    theirs.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10), momentum=0.9),
        keras.losses.binary_crossentropy,
        metrics=[keras.metrics.mean_absolute_error, "accuracy", keras.metrics.AUC(), keras.metrics.BinaryAccuracy()],
        weighted_metrics=["mse"],
    )
    x, y = rng.standard_normal((2, 4, 2)).astype(np.float32), np.array([[0.0], [1.0]], np.float32)
    theirs.fit(x, y, batch_size=2, epochs=3, verbose=0)
    theirs.save(tmp_path / file)
    ours = nn.load_keras(tmp_path / file)
    assert (ours.optimizer.iterations, ours.optimizer.momentum) == (3, 0.9)
    theirs.layers[0].reset_state()
    expected = theirs.evaluate(x, y, batch_size=2, verbose=0)
    assert ours.evaluate(x, y, batch_size=2, verbose=0)[: len(expected)] == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize(
    "optimizer",
    [nn.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
     nn.optimizers.Adam(nn.optimizers.schedules.CosineDecay(0.01, 50), amsgrad=True)],
)  # fmt: skip
def test_live_training_goes_on(optimizer: Any, tmp_path: Path, rng: Any) -> None:
    keras = live_keras()
    model = nn.Sequential([nn.LSTM(4, input_shape=(None, 3)), nn.Dense(2)], seed=0)
    x, y = rng.standard_normal((8, 5, 3)), rng.integers(0, 2, (8, 2)).astype(np.float32)
    model.compile(optimizer, nn.losses.Huber(), ["mae", nn.metrics.RootMeanSquaredError(), nn.metrics.R2Score()])
    model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0)
    model.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    assert int(theirs.optimizer.iterations) == model.optimizer.iterations
    assert theirs.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    theirs.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)
