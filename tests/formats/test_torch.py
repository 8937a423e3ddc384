"""Weights under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
