"""The package as it is looked at: its names, and what its records show of themselves."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numba
import numpy as np
import pytest
from oracles import KINDS, assert_same, leaves, random_stack

import fastlstm
from fastlstm import State, reference


def test_modules_that_come_when_they_are_used() -> None:
    code = """
import sys, fastlstm
assert not {"fastlstm.nn", "fastlstm.dask", "fastlstm.datasets"} & set(sys.modules)
assert {"nn", "dask", "datasets", "sklearn"} < set(dir(fastlstm))
assert not {"fastlstm.nn", "fastlstm.dask", "fastlstm.datasets"} & set(sys.modules)
assert fastlstm.nn is sys.modules["fastlstm.nn"]
assert fastlstm.datasets is sys.modules["fastlstm.datasets"]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


OF_FORMATS = {"from_nam", "from_onnx", "from_rtneural", "to_onnx", "to_rtneural"}  # which come when they are used


def test_names_of_the_package() -> None:
    assert set(dir(fastlstm)) == {*fastlstm.__all__, "nn", "dask", "datasets", "sklearn", *OF_FORMATS}
    assert all(getattr(fastlstm, name) is not None for name in dir(fastlstm))
    readers_and_writers = {name for name in dir(fastlstm) if name.startswith(("from_", "to_"))} | {"save", "load"}
    assert all(getattr(fastlstm.formats, name) is getattr(fastlstm, name) for name in readers_and_writers)
    with pytest.raises(AttributeError, match="module 'fastlstm' has no attribute 'numba'"):
        fastlstm.numba  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("cell", KINDS)
def test_records_show_types_and_shapes(rng: Any, cell: str) -> None:
    params = random_stack(rng, 3, [(4, True), (5, False)], np.float32, cell)
    x = np.ones((2, 7, 3))
    y, last, tape = fastlstm.forward_train(x, params)
    grads, top, packed = fastlstm.backward(tape, y), params[1], fastlstm.pack(params[1])
    buffers, stream = fastlstm.make_tape(packed, 2, 7), fastlstm.Stream(packed, 2)
    for shown in (params, top, packed, last, tape, grads, buffers, stream, reference.forward_train(x, params)[2]):
        text = repr(shown)
        assert len(text) < 160 * len(leaves(params))
        assert "array" not in text
        assert "." not in text
        again = pickle.loads(pickle.dumps(shown))
        assert type(again) is type(shown)
        assert repr(again) == text
    for record in (top, packed, last[1], buffers):
        again = pickle.loads(pickle.dumps(record))
        assert numba.typeof(again) == numba.typeof(record)
        assert_same([a for a in again if isinstance(a, np.ndarray)], [a for a in record if isinstance(a, np.ndarray)])


def test_the_words_of_records() -> None:
    params = fastlstm.init_params(3, 5)
    assert repr(params) == "Params(W=float32 (3, 20), U=float32 (5, 20), b=float32 (20,))"
    assert repr(fastlstm.zero_state([params], 2)) == "(State(h=float32 (2, 5), c=float32 (2, 5)),)"
    assert repr(fastlstm.forward_train(np.ones((7, 3)), params)[2]) == "Tape(x=float32 (7, 3), layers=1)"
    packed = fastlstm.pack(params)
    assert "hidden_size=5, output_size=5" in repr(packed)
    assert repr(fastlstm.Stream(packed, 4)) == f"Stream({packed!r}, batch_size=4)"
    x = fastlstm.make_tape(packed, 2, 7)
    assert repr(x) == "Buffers(x=float32 (2, 7, 3), h=float32 (2, 5), and room to work in)"
    assert repr(State([1, 2], None)) == "State(h=(1, 2), c=None)"
