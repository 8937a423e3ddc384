"""Weights from files of Keras's: golden files of every kind against what Keras put out, and Keras itself."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import KERAS as FILES
from keras_golden import live_keras
from oracles import assert_same, error

import fastlstm
from fastlstm import Bidirectional, GRUBeforeParams, GRUParams, Params, reference
from fastlstm.formats import hdf5
from fastlstm.formats.hdf5 import File

WHOLE = "whole.keras", "whole.h5", "keras2.h5", "keras2.keras", "only.weights.h5"


def outputs(prefix: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """x, y and the weights of a model in the files."""
    with np.load(FILES / "outputs.npz") as file:
        weights = [file[f"{prefix}/{i}"] for i in range(sum(name.startswith(f"{prefix}/") for name in file) - 2)]
        return file[f"{prefix}/x"], file[f"{prefix}/y"], weights


@pytest.mark.parametrize("name", WHOLE)
def test_weights_of_every_kind_of_file(name: str) -> None:
    found = fastlstm.from_keras(FILES / name)
    assert sorted(found) == ["both", "last", "memory"]
    W, U, b, *gru = outputs("whole")[2]
    for one, other in zip(found["memory"], (W, U, b), strict=True):
        np.testing.assert_array_equal(one, other)
    assert isinstance(found["memory"], Params)
    for way, (kernel, recurrent, bias) in zip(found["both"], (gru[:3], gru[3:6]), strict=True):
        assert isinstance(way, GRUParams)
        np.testing.assert_array_equal(way.W, kernel[:, [*range(3, 6), *range(3), *range(6, 9)]])
        np.testing.assert_array_equal(way.U, recurrent[:, [*range(3, 6), *range(3), *range(6, 9)]])
        np.testing.assert_array_equal(way.b_n, bias[1, 6:])
        np.testing.assert_array_equal(way.b[:3], bias[:, 3:6].sum(axis=0))
        np.testing.assert_array_equal(way.b[6:], bias[0, 6:])
    assert found["last"].b.tolist() == [0] * 12  # it has no bias


def test_what_the_weights_compute() -> None:
    """The model by hand, on the records: masks, both directions added, a layer that goes backwards."""
    x, y, weights = outputs("whole")
    layers = fastlstm.from_keras(FILES / "whole.keras")
    lengths = np.array([5, 3, 5, 5])
    found, _ = reference.forward(x, layers["memory"], lengths=lengths)
    both, _ = reference.forward(found, layers["both"], lengths=lengths)
    found = both[..., :3] + both[..., 3:]
    each = weights[9:11] if weights[9].shape == (3, 2) else weights[-6:-4]
    found = np.tanh(found @ each[0] + each[1])
    _, last = reference.forward(found, layers["last"], lengths=lengths, reverse=True)
    z = last.h @ weights[-2] + weights[-1]
    z = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert error(z, y) < 1e-6


def test_both_kinds_of_gru() -> None:
    x, y, _ = outputs("before")
    found = fastlstm.from_keras(FILES / "before.h5")
    assert [type(one) for one in found.values()] == [GRUBeforeParams, GRUParams]
    first, _ = reference.forward(x, found["before"])
    _, last = reference.forward(first, found["after"])
    assert error(last.h, y) < 1e-6


def test_layers_in_models_in_models() -> None:
    found = fastlstm.from_keras(FILES / "functional.keras")
    assert list(found) == ["inside/deep", "cell", "both"]
    assert isinstance(found["both"], Bidirectional)
    x, y, weights = outputs("functional")
    z, _ = reference.forward(x, [found["inside/deep"], found["cell"]])
    kernel, bias = next((w, b) for w, b in pairwise(weights) if w.shape == (1, 3, 2))
    _, ends = reference.forward(z @ kernel[0] + bias, found["both"])
    assert error(np.concatenate([end.h for end in ends], axis=1) @ weights[-2] + weights[-1], y) < 1e-6


def test_one_layer() -> None:
    assert isinstance(fastlstm.from_keras(FILES / "whole.h5", "memory"), Params)
    with pytest.raises(ValueError, match="layer: expected one of memory, both, last, got 'head'"):
        fastlstm.from_keras(FILES / "whole.h5", "head")
    with pytest.raises(TypeError, match="layer: expected a name, got int"):
        fastlstm.from_keras(FILES / "whole.h5", 1)  # type: ignore[arg-type]


def changed(change: Any, source: str = "whole.keras") -> bytes:
    """A .keras file with another description, or other entries."""
    room = io.BytesIO()
    with zipfile.ZipFile(FILES / source) as old, zipfile.ZipFile(room, "w") as new:
        entries = {name: old.read(name) for name in old.namelist()}
        config = json.loads(entries["config.json"])
        found = change(config, entries)
        entries["config.json"] = json.dumps(config).encode() if found is None else found
        for name, data in entries.items():
            new.writestr(name, data, zipfile.ZIP_DEFLATED)
    return room.getvalue()


def layer(config: Any, name: str) -> Any:
    return next(one["config"] for one in config["config"]["layers"] if one["config"]["name"] == name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, e: layer(c, "memory").update(activation="relu"), "activation 'tanh' in 'memory'.*got 'relu'"),
        (lambda c, e: layer(c, "last").update(recurrent_activation="hard_sigmoid"), "recurrent_activation 'sigmoid'"),
        (lambda c, e: c["config"].update(layers=[]), "expected an LSTM or a GRU, got no layers"),
        (lambda c, e: c["config"].update(layers=c["config"]["layers"][-1:]), "got head \\(Dense\\)"),
        (lambda c, e: c["config"].update(layers=3), "expected a model with a list of layers"),
        (lambda c, e: c["config"]["layers"].append(3), "expected a model with a list of layers"),
        (lambda c, e: c["config"]["layers"].append({"class_name": "LSTM"}), "expected a dict as config of 'LSTM'"),
        (lambda c, e: e.update({"model.weights.h5": b"no"}), "expected an HDF5 file"),
        (lambda c, e: e.pop("model.weights.h5") and None, "expected model.weights.h5 in the archive"),
        (lambda c, e: b"[" * 10**6, "expected JSON as config.json"),
        (lambda c, e: b"[1]", "expected a dict as config.json, got list"),
        (lambda c, e: b" " * (17 << 20), "expected at most 16777216 bytes of config.json"),
        (lambda c, e: e.update({"model.weights.h5": bytes(100 << 20)}), "at most .* bytes of model.weights.h5"),
    ],
)  # fmt: skip
def test_wrong_archives(change: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(changed(change))
    with pytest.raises(ValueError, match=f"path: expected a .keras file, .*m.keras'.*{message}"):
        fastlstm.from_keras(tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("soft", "got a link to somewhere else"),
        ("external-link", "got links, to other files perhaps"),
        ("external-data", "expected the numbers of .* in this file, got a name of another"),
        ("virtual", "expected the layout of .* to be of version 3"),
        ("huge", "expected arrays that fit a file of 8120 bytes"),
        ("huge-chunk", "expected arrays that fit a file of 8120 bytes"),
        ("text", "expected numbers in .*, got text"),
        ("circle", "expected groups within groups 32 deep at most"),
    ],
)
def test_hostile_files(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"hostile-{name}.h5'.*{message}"):
        fastlstm.from_keras(FILES / f"hostile-{name}.h5")


def test_files_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="it begins with"):
        fastlstm.from_keras(tmp_path / "m.h5")
    (tmp_path / "empty.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="it begins with b''"):
        fastlstm.from_keras(tmp_path / "empty.h5")
    with pytest.raises(ValueError, match="a folder, a SavedModel of TensorFlow's perhaps"):
        fastlstm.from_keras(tmp_path)
    with pytest.raises(FileNotFoundError):
        fastlstm.from_keras(tmp_path / "none.keras")
    with pytest.raises(TypeError, match="path: expected str or path-like, got int"):
        fastlstm.from_keras(3)  # type: ignore[arg-type]


def test_a_later_superblock_is_named(tmp_path: Path) -> None:
    data = bytearray((FILES / "whole.h5").read_bytes())
    data[8] = 3
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(ValueError, match="got superblock 3"):
        fastlstm.from_keras(tmp_path / "m.h5")


def test_a_file_in_circles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_LOOKS", 20)
    with pytest.raises(ValueError, match="expected a file that is read in 20 looks"):
        fastlstm.from_keras(FILES / "whole.h5")


# against h5py and Keras


def test_all_that_h5py_writes(tmp_path: Path, rng: Any) -> None:
    h5py = pytest.importorskip("h5py")
    arrays = {
        "float64": rng.standard_normal((3, 4)), "half": rng.standard_normal(5).astype("f2"),
        "big end": rng.standard_normal(5).astype(">f4"), "none": np.zeros((0, 3)), "one": np.float64(3.0),
        "small": rng.integers(-100, 100, 7).astype("i1"),
    }  # fmt: skip
    with h5py.File(tmp_path / "m.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
        chunked = {"chunks": (16, 16), "compression": "gzip", "shuffle": True, "fletcher32": True}
        arrays["deep/packed"] = rng.standard_normal((100, 37)).astype("f4")
        file.create_dataset("deep/packed", data=arrays["deep/packed"], **chunked)
        for number in range(300):
            file[f"many/{number}"] = number
        file.attrs["text"], file.attrs["names"] = "é" * 70_000, ["a", "bcd"]
        file.attrs["fixed"], file.attrs["numbers"] = np.array([b"ab", b"c"]), np.arange(3)
    with open(tmp_path / "m.h5", "rb") as source:
        found = File(source).root
        for name, array in arrays.items():
            np.testing.assert_array_equal(found.dataset(name).read(), array)
        assert found.dataset("half").read().dtype == np.float32
        assert sorted(found.group("many").names()) == sorted(map(str, range(300)))
        assert int(found.dataset("many/299").read()) == 299
        about = found.attributes
    assert about["text"] == "é" * 70_000
    assert about["names"] == ["a", "bcd"]
    assert about["fixed"] == ["ab", "c"]
    assert about["numbers"].tolist() == [0, 1, 2]  # type: ignore[union-attr]


def test_a_bomb_of_zeros(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        group = file.create_group("layers/lstm/cell/vars")
        group.create_dataset("0", data=np.zeros((2**23, 8), np.float32), chunks=(2**20, 8), compression="gzip")
        group["1"], group["2"] = np.ones((2, 8), np.float32), np.ones(8, np.float32)
    with pytest.raises(ValueError, match="expected arrays that fit a file of"):
        fastlstm.from_keras(tmp_path / "m.h5")


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_live_models_of_other_classes(tmp_path: Path, rng: Any) -> None:
    """Functional models in .h5 files; classes derived from Model, in files of weights and in whole ones."""
    keras = live_keras()
    L = keras.layers

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = L.LSTM(3, return_sequences=True, name="first")
            self.others = [L.Bidirectional(L.GRU(2), name="both"), L.Dense(1)]

        def call(self, x: Any) -> Any:
            return self.others[1](self.others[0](self.first(x)))

    x = rng.standard_normal((2, 4, 3)).astype(np.float32)
    own, entry = Own(), L.Input((4, 3))
    own(x)
    inner = keras.Sequential([L.Input((4, 3)), L.LSTM(2, return_sequences=True, name="deep")], name="inside")
    stacked = L.RNN([L.LSTMCell(2), L.GRUCell(3)], return_sequences=True)(inner(entry))
    functional = keras.Model(entry, L.TimeDistributed(L.Dense(1))(L.Bidirectional(L.LSTM(2, name="a"), name="b")(
        L.SimpleRNN(2, return_sequences=True)(stacked)[:, None, :, :][:, 0])[:, None]))  # fmt: skip
    for model, names, files in (
        (own, ["first", "both"], ("own.keras",)),
        (functional, ["inside/deep", "b"], ("f.h5", "f.keras")),
    ):
        model.save_weights(tmp_path / "m.weights.h5")
        expected = fastlstm.from_keras(tmp_path / "m.weights.h5")
        assert sorted(expected) == sorted(names)
        for file in files:
            model.save(tmp_path / file)
            found = fastlstm.from_keras(tmp_path / file)
            for name in names:
                assert_same(found[name], expected[name])
    W, U, b = (np.array(w) for w in own.first.get_weights())
    assert_same(fastlstm.from_keras(tmp_path / "own.keras", "first"), Params(W, U, b))


@pytest.mark.filterwarnings("ignore")  # Keras's own
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_live_types(dtype: str, tmp_path: Path, rng: Any) -> None:
    keras = live_keras()
    model = keras.Sequential(
        [
            keras.layers.Input((None, 3)),
            keras.layers.LSTM(4, "tanh", recurrent_initializer="zeros", dtype=dtype, name="a"),
        ]
    )
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    model.save(tmp_path / "m.keras")
    found = fastlstm.from_keras(tmp_path / "m.keras", "a")
    expected = [np.asarray(w, np.float64) for w in model.get_weights()]
    assert found.W.dtype == np.float32
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
