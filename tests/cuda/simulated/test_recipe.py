"""The recipe of docs/cuda.md under PyTorch's own autograd, where it is installed: its tensors on the host stand in for
those on a device, as the simulator's memory is the host's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm import reference
from fastlstm.cuda import libraries
from fastlstm.params import Params

PAGE = Path(__file__).parents[3] / "docs" / "cuda.md"


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    torch = pytest.importorskip("torch")

    def interface(tensor: Any) -> dict[str, Any]:
        if tensor.requires_grad:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")
        return {**tensor.numpy().__array_interface__, "strides": tensor.numpy().strides, "version": 2}

    def empty(shape: Any, dtype: Any, number: int) -> Any:
        return torch.full(shape, float("nan"), dtype=getattr(torch, dtype.name))

    def taken(array: Any) -> Any:
        return torch.from_numpy(array.shadow())

    library = libraries._torch()._replace(stream_of=lambda number: 0, empty=empty, taken=taken)
    monkeypatch.setitem(libraries._found, torch, library)
    monkeypatch.setattr(torch.Tensor, "__cuda_array_interface__", property(interface))
    return torch


def test_gradients_come_through(rng: Any, torch: Any) -> None:
    (text,) = re.findall(r"```py\n(import torch, fastlstm\n\n\nclass.*?)y = LSTM", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(text, names)
    host = [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 2), (2, 8), (2, 8), (8,))]
    tensors = [torch.from_numpy(array.copy()).requires_grad_() for array in host]
    y = names["LSTM"].apply(*tensors)
    assert type(y) is torch.Tensor
    (y * y).sum().backward()
    y_, _, tape = reference.forward_train(host[0], Params(*host[1:]))
    grads = reference.backward(tape, 2 * y_)
    np.testing.assert_allclose(y.detach().numpy(), y_, 1e-5, 1e-6)
    for tensor, right in zip(tensors, (grads.x, *grads.params), strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), right, 1e-5, 1e-6)


def test_tensors_that_want_gradients_are_refused(torch: Any) -> None:
    import fastlstm

    params = Params(*(torch.zeros(shape) for shape in ((2, 8), (2, 8), (8,))))
    with pytest.raises(TypeError, match=r"x: expected an array, got Tensor that makes none .*grad.*docs/cuda.md"):
        fastlstm.forward(torch.zeros(1, 2, 2, requires_grad=True), params)


def test_the_page_has_the_recipe() -> None:
    assert "torch.autograd.Function" in PAGE.read_text()
