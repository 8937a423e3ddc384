"""python -m fastlstm convert: from one kind of file to another, with what it says."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_cases import BOTH_WAYS, MODELS, D, built, masked
from onnx_files import made
from oracles import assert_same, leaves, random_params, random_stack

import fastlstm
from fastlstm import __main__, convert, nn
from fastlstm.formats import plan


def ran(*arguments: Any) -> None:
    __main__.main(["convert", *map(str, arguments)])


def test_weights_to_python_and_what_is_said(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    params = random_stack(rng, D, [(4, True), (3, False)], np.float32, "gru on peephole")
    fastlstm.save("w.npz", params)
    ran("w.npz", "m.py")
    said = capsys.readouterr().out.splitlines()
    assert said[:-1] == [
        "w.npz: weights of fastlstm.save, x (N, T, 5) -> y (N, T, 3), float32",
        "  0  peephole cell, 5 -> 4, both directions, concat",
        "     gates i f g o -> i f g o",
        "  1  gru cell, 8 -> 3",
        "     gates r z n -> r z n",
        "m.py: a Python file for NumPy alone",
    ]
    assert said[-1].startswith("proof: largest difference ")
    assert "on 54 numbers, run by NumPy" in said[-1]
    x = rng.standard_normal((2, 6, D)).astype(np.float32)
    expected, _ = fastlstm.reference.forward(x, params)
    assert np.abs(runpy.run_path("m.py")["Model"]()(x) - expected).max() < 1e-6


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_a_model_to_c(rng: Any, tmp_path: Path, capsys: Any) -> None:
    model = built([nn.Masking(), nn.LSTM(4, cell="projected", projection_size=2), nn.Dense(3, "softmax")], rng)
    model.save(tmp_path / "m.safetensors")
    ran(tmp_path / "m.safetensors", tmp_path / "m.h")
    said = capsys.readouterr().out
    assert (
        "-> y (N, 3), float32\n  0  steps of 0.0 alone are left out\n  1  projected cell, 5 -> 4 -> 2, its last" in said
    )
    assert "  2  dense, 2 -> 3, softmax\n" in said
    assert ".h: a C header\nproof: largest difference" in said
    assert fastlstm.formats.prove(tmp_path / "m.h").error < 1e-6


def test_without_a_compiler_it_says_that_nothing_ran(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    fastlstm.save(tmp_path / "w.npz", fastlstm.init_params(D, 3, rng=0))
    ran(tmp_path / "w.npz", tmp_path / "m.h")
    assert capsys.readouterr().out.endswith("proof: not run, as nothing is here to run such a file\n")


def test_weights_of_a_model_that_has_nothing_else(rng: Any, tmp_path: Path, capsys: Any) -> None:
    layers = [nn.Bidirectional(nn.GRU(4, return_sequences=True)), nn.LSTM(3, return_sequences=True)]
    model = built(layers, rng)
    model.save(tmp_path / "m.safetensors")
    ran(tmp_path / "m.safetensors", tmp_path / "w.npz")
    assert "proof: largest difference 0.0e+00 on 54 numbers, run by fastlstm.reference" in capsys.readouterr().out
    stages = plan.plan_of(model).recurrent
    assert_same(
        leaves(fastlstm.load(tmp_path / "w.npz")), [a for stage in stages for one in stage.records for a in one]
    )


def test_models_and_weights_to_their_own_kind(rng: Any, tmp_path: Path) -> None:
    for make in (MODELS | BOTH_WAYS).values():
        model = built(make(), rng)
        model.save(tmp_path / "a.safetensors")
        ran(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
        assert_same(nn.load_model(tmp_path / "b.safetensors").get_weights(), model.get_weights())
    params = random_params(rng, D, 4, np.float64, "normalized")
    fastlstm.save(tmp_path / "a.npz", params)
    ran(tmp_path / "a.npz", tmp_path / "b.npz")
    assert_same(leaves(fastlstm.load(tmp_path / "b.npz")), leaves(params))


def wrong(rng: Any, tmp_path: Path) -> list[tuple[list[str], str]]:
    fastlstm.save(tmp_path / "w.npz", fastlstm.init_params(D, 3, rng=0))
    fastlstm.save(tmp_path / "both.npz", random_stack(rng, D, [(3, True)], np.float32, "standard"))
    fastlstm.save(tmp_path / "norm.npz", fastlstm.init_params(D, 3, cell="normalized"))
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    for name in ("last step", "heads"):
        built(MODELS[name](), rng).save(tmp_path / f"{name}.safetensors")
    return [
        (
            ["w.npz", "w.txt"],
            "OUT: expected a file to write that ends in .npz, .safetensors, .keras, .onnx, .json, .py",
        ),
        (["w.txt", "w.npz"], "IN: expected a file to read that ends in .npz, .safetensors, .keras, .h5, .onnx, .json"),
        (["w.h", "w.npz"], "IN: expected a file to read that ends in .npz"),
        (["none.npz", "m.py"], "No such file or directory: 'none.npz'"),
        (["broken.npz", "m.py"], "path: expected a file that save wrote, got no .npz file: 'broken.npz'"),
        (["both.npz", "m.h"], "params: expected layers of one direction that run forwards"),
        (["w.npz", "w.py"], "path: expected no other file in the place of the weights, got 'w.npz'"),
        (["norm.npz", "m.safetensors"], "params: expected layers of the standard, the projected or the gru cell"),
        (
            ["heads.safetensors", "m.npz", "--part", "lstm"],
            "as 'heads.safetensors' is a model of fastlstm.nn, read whole",
        ),
        (["heads.safetensors", "m.npz"], "expected recurrent layers alone, got stage 0: dense, 5 -> 6, relu"),
        (["last step.safetensors", "m.npz"], "expected layers that forward runs, got stage 1: interpolated cell, 4"),
    ]


def test_what_cannot_be_is_one_line_and_exit_status_1(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    cases = wrong(rng, tmp_path)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    for arguments, message in cases:
        with pytest.raises(SystemExit) as error:
            ran(*arguments)
        assert error.value.code == 1
        said = capsys.readouterr().err
        assert said.startswith("convert: ")
        assert said.count("\n") == 1
        assert message in said
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_model_whose_layers_forward_does_not_run(rng: Any, tmp_path: Path) -> None:
    model = built([nn.LSTM(3, go_backwards=True, return_sequences=True)], rng)
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="expected layers that forward runs, got stage 0: standard cell, 5 -> 3, back"):
        convert.convert(str(tmp_path / "m.safetensors"), str(tmp_path / "w.npz"))


def test_parts_of_files_that_have_them(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    params = fastlstm.init_params(D, 3, cell="gru", rng=0)
    seen = []

    def read(path: str, part: str | None) -> Any:
        seen.append((path, part))
        return params

    row = convert.Format("a test", read, None, {"gru": "z r n"}, "a layer's name")
    monkeypatch.setitem(convert.FORMATS, ".test", row)
    ran("m.test", "w.npz", "--part", "encoder")
    assert seen == [("m.test", "encoder")]
    assert "     gates z r n -> r z n\n" in capsys.readouterr().out
    with pytest.raises(SystemExit) as error:
        ran("w.npz", "m.npz", "--part", "encoder")
    assert error.value.code == 1
    assert capsys.readouterr().err == "convert: --part: expected none, as 'w.npz' is read whole, got 'encoder'\n"


def test_audio_models(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"input_size": 1, "hidden_size": 3, "num_layers": 1}
    weights = rng.uniform(-1, 1, 70).tolist()
    Path("amp.nam").write_text(json.dumps({"architecture": "LSTM", "config": config, "weights": weights}))
    ran("amp.nam", "amp.py")
    assert "  0  standard cell, 1 -> 3, with an initial state\n" in capsys.readouterr().out
    fastlstm.formats.to_rtneural(fastlstm.init_params(1, 3, cell="gru", rng=0), "one.json")
    ran("one.json", "two.json")
    assert "     gates z r n -> z r n\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        ran("amp.nam", "amp.json")
    assert "begin with zeros" in capsys.readouterr().err


def test_onnx_files(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    stack = random_stack(rng, D, [(4, True), (3, False)], np.float32, "gru on peephole")
    fastlstm.save("w.npz", stack)
    ran("w.npz", "m.onnx")
    assert "     gates i f g o -> i o f g\n" in capsys.readouterr().out
    ran("m.onnx", "again.npz")
    assert_same(fastlstm.load("again.npz"), tuple(stack))
    ran("m.onnx", "one.npz", "--part", "recurrent1")
    assert_same(fastlstm.load("one.npz"), stack[1])
    onnx_file = made(0, direction="reverse")
    Path("back.onnx").write_bytes(onnx_file.SerializeToString())
    with pytest.raises(SystemExit):
        ran("back.onnx", "back.npz")
    assert "expected one that weights say all of, got 'the_node', of direction reverse" in capsys.readouterr().err


def test_files_of_pytorch(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    stack = [fastlstm.Bidirectional(random_params(rng, D, 4, np.float32), random_params(rng, D, 4, np.float32))]
    fastlstm.save("w.npz", stack)
    ran("w.npz", "w.safetensors")
    assert "by PyTorch's names, or a model of fastlstm.nn\nproof: largest difference 0.0e+00" in capsys.readouterr().out
    ran("w.safetensors", "again.npz")
    assert_same(leaves(fastlstm.load("again.npz")), leaves(stack))
    gru = random_params(rng, D, 4, np.float32, "gru")
    fastlstm.to_torch(gru, "encoder", "big.safetensors")
    ran("big.safetensors", "one.npz", "--part", "encoder")
    assert_same(leaves(fastlstm.load("one.npz")), leaves(gru))


def test_files_of_keras(rng: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    model = built([nn.GRU(4, return_sequences=True, name="low"), nn.LSTM(3, name="high"), nn.Dense(2, "tanh")], rng)
    model.save("m.keras")
    ran("m.keras", "m.py")
    said = capsys.readouterr().out
    assert "m.keras: a model of Keras, x (N, T, 5) -> y (N, 2), float32\n  0  gru cell, 5 -> 4\n" in said
    assert "     gates z r n -> r z n\n" in said
    x = masked(rng)
    y = runpy.run_path("m.py")["Model"]()(x)
    assert np.abs(y - model.predict(x, verbose=0)).max() < 1e-6
    ran("m.keras", "high.npz", "--part", "high")
    assert_same(leaves(fastlstm.load("high.npz")), model.get_layer("high").get_weights())
    ran("high.npz", "high.keras")
    assert_same(nn.load_keras("high.keras").get_weights(), model.get_layer("high").get_weights())


KERAS_FILES = Path(__file__).parent / "data" / "keras_files"
REFUSED = {  # by what is read and what is written; all other pairs work
    ("model.safetensors", ".npz"): "expected recurrent layers alone, got stage 1: dense, 3 -> 2, tanh",
    ("model.keras", ".npz"): "expected recurrent layers alone, got stage 1: dense, 3 -> 2, tanh",
    ("whole.h5", ".npz"): "expected recurrent layers alone, got stage 0: steps of",
    ("whole.h5", ".h"): "expected layers of one direction",
    ("whole.h5", ".json"): "got Masking",
    ("model.onnx", ".npz"): "expected recurrent layers alone, got stage 1: dense, 3 -> 2, tanh",
    ("model.json", ".npz"): "expected recurrent layers alone, got stage 1: dense, 3 -> 2, tanh",
    ("amp.nam", ".npz"): "expected layers that forward runs, got stage 0: standard cell, 1 -> 3, with an initial state",
    ("amp.nam", ".json"): "begin with zeros",
    ("amp.nam", ".keras"): "first_state",
}


def sources(folder: Path) -> list[str]:
    """A file of every kind that can be read."""
    layer = fastlstm.init_params(1, 3, cell="gru", rng=0)
    fastlstm.save(folder / "weights.npz", layer)
    fastlstm.to_torch(layer, "", folder / "torch.safetensors")
    model = nn.Sequential([nn.Input((None, 1)), nn.LSTM(3, return_sequences=True), nn.Dense(2, "tanh")], seed=1)
    fastlstm.to_onnx(layer, folder / "weights.onnx")
    fastlstm.to_onnx(model, folder / "model.onnx")
    model.save(folder / "model.safetensors")
    model.save(folder / "model.keras")
    fastlstm.formats.to_rtneural(model, folder / "model.json")
    shutil.copyfile(KERAS_FILES / "whole.h5", folder / "whole.h5")
    config = {"input_size": 1, "hidden_size": 3, "num_layers": 1}
    weights = np.linspace(-0.5, 0.5, 70).tolist()
    (folder / "amp.nam").write_text(json.dumps({"architecture": "LSTM", "config": config, "weights": weights}))
    return sorted(one.name for one in folder.iterdir())


def test_any_to_any(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    for package in ("onnx", "h5py", "safetensors"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")  # a C compiler for each header takes its time: others of these tests have it
    monkeypatch.delenv("CC", raising=False)
    refused, names = {}, sources(tmp_path)
    assert {Path(one).suffix for one in names} == {key for key, row in convert.FORMATS.items() if row.read}
    for source in names:
        given = convert.FORMATS[Path(source).suffix].read(source, None)
        cases = plan.run(plan.plan_of(given), np.linspace(-1, 1, 24).reshape(2, -1, plan.plan_of(given).input_size))
        for suffix, row in convert.FORMATS.items():
            if row.write is None:
                continue
            target = Path(f"to_{source.replace('.', '_')}{suffix}")
            status = 0
            try:
                ran(source, target)
            except SystemExit as error:
                status = error.code
            said = capsys.readouterr()
            if status:
                assert status == 1
                assert said.err.startswith("convert: ")
                assert said.err.count("\n") == 1
                assert not target.exists()
                refused[source, suffix] = said.err
                continue
            assert said.err == ""
            assert "\nproof: " in said.out
            if row.read:
                again = plan.plan_of(row.read(str(target), None))
                x = np.linspace(-1, 1, 24).reshape(2, -1, again.input_size)
                assert np.abs(plan.run(again, x)[0] - cases[0]).max() < 1e-7, (source, suffix)
            target.unlink()
            target.with_suffix(".npz").unlink(missing_ok=True)
    assert set(refused) == set(REFUSED), sorted(refused.items())
    for pair, message in REFUSED.items():
        assert message in refused[pair]


def test_a_part_of_keras_and_torch_files(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    ran(KERAS_FILES / "whole.keras", "w.npz", "--part", "both")
    said = capsys.readouterr().out
    assert "gates z r n -> r z n" in said
    assert_same(leaves(fastlstm.load("w.npz")), leaves(fastlstm.from_keras(KERAS_FILES / "whole.keras", "both")))
    layer = fastlstm.init_params(1, 3, rng=0)
    fastlstm.to_torch(layer, "encoder.rnn", "t.safetensors")
    ran("t.safetensors", "t.npz", "--part", "encoder.rnn")
    assert_same(leaves(fastlstm.load("t.npz")), leaves(layer))
