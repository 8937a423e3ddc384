"""Weights under PyTorch's names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import assert_same, error, leaves, random_params, random_stack

import fastlstm
from fastlstm import Bidirectional, State, reference


@pytest.mark.parametrize("plan", [[(5, False)], [(5, True), (5, True)]])
@pytest.mark.parametrize("cell", ["standard", "projected", "gru"])
def test_names_of_torch(rng: Any, cell: str, plan: Any) -> None:
    stack = tuple(random_stack(rng, 3, plan, np.float32, cell))
    named = fastlstm.to_torch(stack)
    found = fastlstm.from_torch(named)
    assert_same(found, stack)
    for number, (name, array) in enumerate(named.items()):  # the byte order may be another one for each
        named[name] = array.astype(array.dtype.newbyteorder()) if number % 2 else array
    assert_same(fastlstm.from_torch(named), stack)
    one, expected = (s[0].forward if isinstance(s[0], Bidirectional) else s[0] for s in (found, stack))
    assert type(one) is type(expected)


def test_weights_that_torch_has_not(rng: Any) -> None:
    one, two = (random_params(rng, 5, 5, cell=cell, P=5) for cell in ("standard", "projected"))
    narrow, gru = random_params(rng, 5, 6, cell="projected", P=5), random_params(rng, 5, 5, cell="gru")
    for params, kind, message in (
        ([one, random_params(rng, 5, 4)], ValueError, r"H, P = 4, 4 .* H, P = 5, 5"),
        ([one, Bidirectional(one, one)], ValueError, r"in 1 direction.* in 2 direction"),
        ([one, narrow], ValueError, r"one cell.* got projected with H, P = 6, 5 .* standard with H, P = 5, 5"),
        ([narrow, random_params(rng, 5, 6, cell="projected", P=4)], ValueError, r"H, P = 6, 4 .* H, P = 6, 5"),
        (two, ValueError, "expected P below H = 5"),
        ([one, random_params(rng, 5, 5, cell="interpolated")], TypeError, "standard, interpolated"),
        ([one, gru], ValueError, r"one cell.* got gru with H, P = 5, 5 .* standard with H, P = 5, 5"),
        ([gru, Bidirectional(gru, gru)], ValueError, r"in 1 direction.* in 2 direction"),
        (random_params(rng, 5, 5, cell="gru_before"), TypeError, r"got one of another \(gru_before\)"),
        (random_params(rng, 5, 5, cell="peephole"), TypeError, r"got one of another \(peephole\)"),
        (random_params(rng, 5, 5, cell="normalized"), TypeError, r"got one of another \(normalized\)"),
    ):
        with pytest.raises(kind, match=message):
            fastlstm.to_torch(params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hr_l0": np.ones((2, 5))}, r"weight_hr_l0.*expected shape \(5, 5\), got \(2, 5\)"),
        ({"bias_hr_l0": np.ones(5)}, "got 'bias_hr_l0'"),
        ({"weight_ih_l2": np.ones((20, 5))}, "expected layers l0, l1"),
        ({"other": np.ones(3)}, "got 'other'"),
        ({"weight_hh_l0": np.ones((20, 4))}, "weight_hh_l0.*expected shape"),
        ({"bias_hh_l0": np.ones(3)}, "bias_hh_l0.*expected shape"),
    ],
)
def test_wrong_names_of_torch(rng: Any, change: Any, message: str) -> None:
    names = fastlstm.to_torch(random_params(rng, 3, 5)) | change
    with pytest.raises(ValueError, match=message):
        fastlstm.from_torch(names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hr_l0": None, "weight_hr_l1": None}, r"weight_hh_l0.*expected shape \(4H, H\), or .*got \(20, 3\)"),
        ({"weight_hr_l1": None}, "expected 'weight_hr_l1', as others have a projection, got none"),
        ({"weight_hr_l1": np.ones((5, 3))}, r"weight_hr_l1.*expected shape \(3, 5\), got \(5, 3\)"),
        ({"weight_hr_l1": np.ones(3)}, r"weight_hr_l1.*expected shape \(3, 5\), got \(3,\)"),
        ({"weight_hr_l1": np.ones((3, 5), np.float32)}, "weight_hr_l1.*expected float32 or float64, one for all"),
        ({"weight_hh_l1": np.ones((20, 6))}, r"weight_hh_l1.*expected shape \(4H, P\) with P from 1 to H"),
        ({"weight_hh_l1": np.ones((18, 3))}, r"weight_hh_l1.*expected shape \(4H, P\).*got \(18, 3\)"),
        ({"weight_ih_l1": np.ones((20, 5))}, r"layers\[1\].*expected input size 3.*got D = 5"),
    ],
)
def test_wrong_projections_of_torch(rng: Any, change: Any, message: str) -> None:
    names = fastlstm.to_torch(random_stack(rng, 4, [(5, False), (5, False)], cell="projected")) | change
    with pytest.raises((ValueError, TypeError), match=message):
        fastlstm.from_torch({name: array for name, array in names.items() if array is not None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh_l1": np.ones((20, 5))}, r"weight_hh_l1.*expected shape \(3H, H\), as .*got \(20, 5\)"),
        ({"weight_hh_l0": np.ones((16, 5))}, r"weight_hh_l0.*expected shape \(4H, H\), or .*got \(16, 5\)"),
        ({"weight_ih_l1": np.ones((20, 5))}, r"weight_ih_l1.*expected shape \(15, D\), got \(20, 5\)"),
        ({"bias_hh_l1": np.ones(5)}, r"bias_hh_l1.*expected shape \(15,\), got \(5,\)"),
        ({"bias_hh_l1": None}, "expected 'bias_hh_l1', got none"),
        ({"weight_hr_l1": np.ones((5, 5))}, "expected 'weight_hr_l0', as others have a projection"),
        ({"weight_hh_l0": None}, "expected 'weight_hh_l0', got none"),
    ],
)
def test_wrong_grus_of_torch(rng: Any, change: Any, message: str) -> None:
    names = fastlstm.to_torch(random_stack(rng, 4, [(5, False), (5, False)], cell="gru")) | change
    with pytest.raises(ValueError, match=message):
        fastlstm.from_torch({name: array for name, array in names.items() if array is not None})


def test_the_two_biases_of_a_gru() -> None:
    """Of r and z they are one sum; of n they are two, as the reset gate acts on the second."""
    names = {"weight_ih_l0": np.zeros((6, 3)), "weight_hh_l0": np.zeros((6, 2)), "bias_ih_l0": np.arange(1.0, 7),
             "bias_hh_l0": np.arange(10.0, 70, 10)}  # fmt: skip
    (layer,) = fastlstm.from_torch(names)
    assert layer.b.tolist() == [11, 22, 33, 44, 5, 6]
    assert layer.b_n.tolist() == [50, 60]
    again = fastlstm.to_torch(layer)
    assert again["bias_ih_l0"].tolist() == [11, 22, 33, 44, 5, 6]
    assert again["bias_hh_l0"].tolist() == [0, 0, 0, 0, 50, 60]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("module", [reference, fastlstm])
def test_live_torch_gru(rng: Any, module: Any, layers: int, both: bool) -> None:
    torch = pytest.importorskip("torch")

    def made() -> Any:
        return torch.nn.GRU(6, 9, layers, bidirectional=both, batch_first=True, dtype=torch.float64)

    gru, x = made(), torch.from_numpy(rng.standard_normal((4, 11, 6)))
    params = fastlstm.from_torch(gru.state_dict())
    y, _ = module.forward(x.numpy(), params)
    assert error(y, gru(x)[0].detach().numpy()) < 1e-13
    again = made()
    again.load_state_dict({k: torch.from_numpy(v) for k, v in fastlstm.to_torch(params).items()})
    assert error(again(x)[0].detach().numpy(), y) < 1e-13


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_live_torch(rng: Any, layers: int, both: bool) -> None:
    torch = pytest.importorskip("torch")
    lstm = torch.nn.LSTM(6, 9, layers, bidirectional=both, batch_first=True, dtype=torch.float64)
    params = fastlstm.from_torch(lstm.state_dict())
    x = torch.randn(4, 11, 6, dtype=torch.float64, requires_grad=True)
    expected, (h, c) = lstm(x)
    expected.square().sum().backward()
    y, last, tape = fastlstm.forward_train(x.detach().numpy(), params)
    assert error(y, expected.detach().numpy()) < 1e-13
    ends = [one for layer in last for one in (layer if isinstance(layer, Bidirectional) else (layer,))]
    assert error(State(*map(np.stack, zip(*ends, strict=True))), (h.detach().numpy(), c.detach().numpy())) < 1e-13
    grads = fastlstm.backward(tape, 2 * y)
    assert error(grads.x, x.grad.numpy()) < 1e-12
    again = torch.nn.LSTM(6, 9, layers, bidirectional=both, batch_first=True, dtype=torch.float64)
    again.load_state_dict({k: torch.from_numpy(v) for k, v in fastlstm.to_torch(params).items()})
    assert error(again(x)[0].detach().numpy(), y) < 1e-13
    assert len(leaves(grads.params)) == 3 * layers * (2 if both else 1)


def bigger(rng: Any, before: str = "") -> dict[str, Any]:
    """A state dict of a model with an LSTM, a GRU and other things in it."""
    lstm, gru = (random_stack(rng, 3, [(5, False)], np.float32, cell) for cell in ("standard", "gru"))
    found = fastlstm.to_torch(lstm, "encoder.lstm") | fastlstm.to_torch(gru, "decoder.")
    return {before + key: array for key, array in found.items()} | {f"{before}fc.weight": np.ones((2, 5))}


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("prefix", ["encoder.lstm", "encoder.lstm."])
def test_a_part_of_a_bigger_model(rng: Any, wrapper: str, prefix: str) -> None:
    names = bigger(rng, wrapper)
    expected = {key.rpartition(".")[2]: array for key, array in names.items() if "encoder" in key}
    (layer,) = fastlstm.from_torch(names, prefix)
    (other,) = fastlstm.from_torch(names, wrapper + prefix)
    assert_same(layer, other)
    np.testing.assert_array_equal(layer.W, expected["weight_ih_l0"].T)
    assert isinstance(fastlstm.from_torch(names, "decoder")[0], fastlstm.GRUParams)


def test_a_module_within_data_parallel(rng: Any) -> None:
    layers = tuple(random_stack(rng, 3, [(5, True)], np.float32))
    assert_same(fastlstm.from_torch(fastlstm.to_torch(layers, "module")), layers)


def test_names_that_have_no_prefix(rng: Any) -> None:
    names, cell = bigger(rng), fastlstm.to_torch(random_params(rng, 3, 5))
    for state_dict, prefix, message in (
        (names, "", r"got 'encoder.*no prefix given, names .* begin with 'encoder.lstm.' or 'decoder.'"),
        (names, "lstm", r"prefix: .* got 'lstm'; names of an LSTM or a GRU begin with 'encoder.lstm.' or 'decoder.'"),
        (names, "encoder", "prefix: .* got 'encoder'; names"),
        ({"fc.weight": np.ones(3)}, "", "there are none of either: names are 'fc.weight'"),
        ({}, "", "there are none of either: names are missing"),
        (cell | {"fc.weight": np.ones(3)}, "", "got 'fc.weight'"),
        (fastlstm.to_torch(random_params(rng, 3, 5), "module") | {"fc.weight": np.ones(3)}, "",
         "no prefix given, names of an LSTM or a GRU begin with 'module.'"),
        (names | {"encoder.lstm.weight_ci": np.ones(3)}, "encoder.lstm", "got 'encoder.lstm.weight_ci'"),
        (cell | {"weight_hh_l0_orig": np.ones(3)}, "", r"torch.nn.utils.prune.remove\(module, name\)"),
        (cell | {"weight_hh_l0_g": np.ones(3)}, "", r"torch.nn.utils.remove_weight_norm"),
        ({1: np.ones(3)}, "", "expected names such as 'weight_ih_l0', got 1"),
        (cell | {"weight_ih": np.ones((20, 3))}, "", "or of a cell, such as 'weight_ih', got both"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            fastlstm.from_torch(state_dict, prefix)
    with pytest.raises(TypeError, match="prefix: expected a str, got int"):
        fastlstm.from_torch(cell, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"or the path of a .safetensors file, got list"):
        fastlstm.from_torch([])  # type: ignore[arg-type]


def test_errors_that_know_what_they_see(rng: Any) -> None:
    lstm, gru = (fastlstm.to_torch(random_params(rng, 5, 5, cell=cell)) for cell in ("standard", "gru"))
    second = {key.replace("l0", "l1"): array for key, array in gru.items()}
    with pytest.raises(ValueError, match=r"weight_hh_l1.*three blocks of rows: these are a GRU's weights"):
        fastlstm.from_torch(lstm | second)
    second = {key.replace("l0", "l1"): array for key, array in lstm.items()}
    with pytest.raises(ValueError, match=r"weight_hh_l1.*four blocks of rows: these are an LSTM's weights"):
        fastlstm.from_torch(gru | second)
    rnn = {"weight_ih_l0": np.ones((5, 3)), "weight_hh_l0": np.ones((5, 5))}
    with pytest.raises(ValueError, match=r"m.rnn.weight_hh_l0.*one block of rows: these are a plain RNN's weights"):
        fastlstm.from_torch({f"m.rnn.{key}": array for key, array in rnn.items()}, "m.rnn")


@pytest.mark.parametrize("cell", ["standard", "gru"])
def test_names_of_a_cell(rng: Any, cell: str) -> None:
    layer = random_params(rng, 3, 5, cell=cell)
    names = {f"step.{key.removesuffix('_l0')}": array for key, array in fastlstm.to_torch(layer).items()}
    assert_same(fastlstm.from_torch(names, "step"), (layer,))
    del names["step.bias_hh"]
    with pytest.raises(ValueError, match=r"expected 'step.bias_hh', got none"):
        fastlstm.from_torch(names, "step")


def test_half_precision(rng: Any) -> None:
    names = {key: array.astype(np.float16) for key, array in fastlstm.to_torch(random_params(rng, 3, 5)).items()}
    (layer,) = fastlstm.from_torch(names)
    assert layer.W.dtype == layer.b.dtype == np.float32
    np.testing.assert_array_equal(layer.W, names["weight_ih_l0"].T)


# files


def test_files_of_weights(rng: Any, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    stack = tuple(random_stack(rng, 3, [(5, True), (5, True)], np.float32))
    named = fastlstm.to_torch(stack, "encoder", tmp_path / "m.safetensors")
    assert all(key.startswith("encoder.") for key in named)
    assert_same(fastlstm.from_torch(tmp_path / "m.safetensors", "encoder"), stack)
    assert os.listdir(tmp_path) == ["m.safetensors"]
    with pytest.raises(ValueError, match=r"no prefix given, names of an LSTM or a GRU begin with 'encoder.'"):
        fastlstm.from_torch(str(tmp_path / "m.safetensors"))
    with pytest.raises(ValueError, match=r"path: expected a name that ends in .safetensors, got 'm.pt'"):
        fastlstm.to_torch(stack, path="m.pt")


def tensors(path: Path, **arrays: tuple[str, Any]) -> Path:
    """A .safetensors file, written by hand: types by their names there, and numbers."""
    header, data = {}, b""
    for key, (kind, array) in arrays.items():
        header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    about = json.dumps(header).encode()
    path.write_bytes(len(about).to_bytes(8, "little") + about + data)
    return path


def test_files_in_half_precision(rng: Any, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    named = {key: array.astype(np.float32) for key, array in fastlstm.to_torch(random_params(rng, 3, 5)).items()}
    upper = {key: ("BF16", (array.view(np.uint32) >> 16).astype(np.uint16)) for key, array in named.items()}
    (layer,) = fastlstm.from_torch(tensors(tmp_path / "b.safetensors", **upper))
    assert layer.W.dtype == np.float32
    np.testing.assert_array_equal(layer.W.T.view(np.uint32), named["weight_ih_l0"].view(np.uint32) & 0xFFFF0000)
    mixed = upper | {"weight_hh_l0": ("F16", named["weight_hh_l0"].astype(np.float16))}
    (layer,) = fastlstm.from_torch(tensors(tmp_path / "h.safetensors", **mixed))
    np.testing.assert_array_equal(layer.U.T, named["weight_hh_l0"].astype(np.float16))
    wrong = upper | {"weight_hh_l0": ("I32", named["weight_hh_l0"].astype(np.int32))}
    with pytest.raises(ValueError, match="'weight_hh_l0': expected F16, BF16, F32, F64, got I32"):
        fastlstm.from_torch(tensors(tmp_path / "i.safetensors", **wrong))
    double = upper | {"weight_hh_l0": ("F64", named["weight_hh_l0"].astype(np.float64))}
    with pytest.raises(ValueError, match="expected float32 or float64, one for all"):
        fastlstm.from_torch(tensors(tmp_path / "d.safetensors", **double))


def test_files_that_are_no_such(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for content, message in (
        (b"", "expected a safetensors file, got one of 0 bytes"),
        ((2**62).to_bytes(8, "little") + b"{}", "got one of 10 bytes that begins with"),
        ((2).to_bytes(8, "little") + b"{]", "got a damaged one"),
        (b"PK\x03\x04" + bytes(30), "that begins with b'PK"),
    ):
        (tmp_path / "m.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            fastlstm.from_torch(tmp_path / "m.safetensors")
    with pytest.raises(FileNotFoundError):
        fastlstm.from_torch(tmp_path / "none.safetensors")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".PT"])
def test_pickles_are_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match=r"a pickle, which may run anything") as caught:
        fastlstm.from_torch(f"m{suffix}")
    assert f"torch.load('m{suffix}', map_location='cpu', weights_only=True)" in str(caught.value)


def test_live_torch_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two lines of the message do what it says."""
    torch, library = pytest.importorskip("torch"), pytest.importorskip("safetensors")
    pytest.importorskip("safetensors.torch")
    monkeypatch.chdir(tmp_path)
    lstm = torch.nn.LSTM(3, 5, bidirectional=True)
    torch.save(lstm.state_dict(), "m.pt")
    with pytest.raises(ValueError, match="these two lines") as caught:
        fastlstm.from_torch("m.pt")
    exec("\n".join(str(caught.value).split("\n")[-2:]), {"torch": torch, "safetensors": library})
    assert_same(fastlstm.from_torch("m.safetensors"), fastlstm.from_torch(lstm.state_dict()))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_live_torch_in_half_precision(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    gru = torch.nn.GRU(3, 5, dtype=getattr(torch, dtype))
    (layer,) = fastlstm.from_torch(gru.state_dict())
    assert layer.W.dtype == np.float32
    np.testing.assert_array_equal(layer.W.T, gru.weight_ih_l0.detach().float().numpy())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_live_torch_cells(rng: Any, kind: str, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    cell = getattr(torch.nn, f"{kind}Cell")(3, 5, bias=bias, dtype=torch.float64)
    x = rng.standard_normal((4, 3))
    (layer,) = fastlstm.from_torch(cell.state_dict())
    found = cell(torch.from_numpy(x))
    h = found[0] if kind == "LSTM" else found
    assert error(reference.forward(x[:, None], layer)[1].h, h.detach().numpy()) < 1e-13


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "projected"])
def test_live_torch_within_a_model(rng: Any, kind: str, both: bool) -> None:
    torch = pytest.importorskip("torch")
    more = {"proj_size": 3} if kind == "projected" else {}
    made = torch.nn.GRU if kind == "GRU" else torch.nn.LSTM
    inner = made(4, 5, 2, bias=False, bidirectional=both, batch_first=True, dtype=torch.float64, **more)
    model = torch.nn.DataParallel(torch.nn.ModuleDict({"lstm": inner, "fc": torch.nn.Linear(5, 1)}))
    x = rng.standard_normal((3, 6, 4))
    params = fastlstm.from_torch(model.state_dict(), "lstm")
    assert error(reference.forward(x, params)[0], inner(torch.from_numpy(x))[0].detach().numpy()) < 1e-13
    again = fastlstm.to_torch(params, "module.lstm")
    expected = {key: array for key, array in model.state_dict().items() if "lstm" in key}
    for key, array in expected.items():
        np.testing.assert_array_equal(again[key], array.numpy())


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["standard", "projected", "gru"]), st.integers(1, 3), st.integers(1, 6), st.integers(2, 6),
    st.booleans(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1), st.sampled_from(["", "a.b"]),
)  # fmt: skip
def test_any_weights_come_back(
    cell: str, layers: int, D: int, H: int, both: bool, dtype: Any, seed: int, prefix: str
) -> None:
    stack = tuple(random_stack(np.random.default_rng(seed), D, [(H, both)] * layers, dtype, cell))
    assert_same(fastlstm.from_torch(fastlstm.to_torch(stack, prefix), prefix), stack)
