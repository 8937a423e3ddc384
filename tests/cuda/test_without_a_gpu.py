"""What holds in any process: nothing of CUDA is imported before an array of a device comes, and what lies here goes the
way that it went."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastlstm.cuda import dlpack
from fastlstm.places import HOST, is_elsewhere, together


def test_nothing_of_cuda_is_imported() -> None:
    code = """
import sys
import numpy as np
import fastlstm
from fastlstm import backend
params = fastlstm.init_params(2, 3, rng=0)
packed = fastlstm.pack(params)
fastlstm.zero_state(packed)
for bad in (lambda: fastlstm.forward(np.ones((1, 2)), [params, params]), lambda: fastlstm.forward("x", params)):
    try:
        bad()
    except (ValueError, TypeError):
        continue
    raise SystemExit("not refused")
found = [name for name in sys.modules if name.startswith(("fastlstm.cuda", "numba.cuda", "numba_cuda"))]
assert not [name for name in found if name.startswith("fastlstm")], found
assert found == SEEN, found
"""
    numba = "import numba, sys; print([n for n in sys.modules if n.startswith(('numba.cuda', 'numba_cuda'))])"
    seen = subprocess.run(
        [sys.executable, "-c", numba], check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    subprocess.run([sys.executable, "-c", code.replace("SEEN", seen.strip())], check=True)


def gone(self: Any) -> Any:
    raise AttributeError("is_cuda is False")


def wants_gradient(self: Any) -> Any:
    raise RuntimeError("requires grad")


def of(name: str, **members: Any) -> Any:
    return type(name, (), members)()


def dlpack_device(found: Any) -> Any:
    return {"__dlpack_device__": lambda self: found}


PLACES = [
    ("an array", np.ones(3), False),
    ("a list", [1, 2], False),
    ("None", None, False),
    ("a number", np.float32(1), False),
    ("a masked array", np.ma.ones(3), False),
    ("a text", "cuda", False),
    ("a tensor here", of("Tensor", __cuda_array_interface__=property(gone), **dlpack_device((1, 0))), False),
    ("a tensor there", of("Tensor", __cuda_array_interface__={}), True),
    ("one that wants a gradient", of("Tensor", __cuda_array_interface__=property(wants_gradient)), True),
    ("DLPack here", of("Array", **dlpack_device((1, 0))), False),
    ("DLPack there", of("Array", **dlpack_device((2, 1))), True),
    ("managed memory", of("Array", **dlpack_device((13, 0))), True),
    ("another kind of device", of("Array", **dlpack_device((10, 0))), False),
    ("one that does not say", of("Array", **dlpack_device(None)), False),
    ("Numba's", of("DeviceNDArray", __cuda_ndarray__=True), True),
]


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_what_is_elsewhere(value: Any, expected: bool) -> None:
    assert is_elsewhere(value) is expected


def test_arrays_here_are_together() -> None:
    together([("x", np.ones(1)), ("y", np.ones(2))])
    together([])
    assert "host" in HOST


def outlet(array: Any) -> Any:
    """What `np.from_dlpack` takes, made by ours."""
    seen = SimpleNamespace(
        pointer=array.ctypes.data, shape=array.shape, strides=array.strides, dtype=array.dtype, owner=array
    )
    return of("Outlet", __dlpack__=lambda self, **_: dlpack.capsule(seen, (1, 0)), **dlpack_device((1, 0)))


ARRAYS = [
    np.arange(12.0, dtype=np.float32).reshape(3, 4),
    np.arange(24.0).reshape(2, 3, 4)[:, ::-1, ::2],
    np.arange(6, dtype=np.int16),
    np.array([True, False]),
    np.zeros((0, 3)),
    np.array(1.5),
    np.arange(4, dtype=np.uint8).T,
]


@pytest.mark.parametrize("array", ARRAYS, ids=[f"{a.dtype} {a.shape}" for a in ARRAYS])
def test_dlpack_both_ways(array: Any) -> None:
    """NumPy's own reader and writer are the judges."""
    held = len(dlpack._alive)
    found = np.from_dlpack(outlet(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert np.shares_memory(found, array) or not array.size
    assert len(dlpack._alive) == held + 1
    del found
    assert len(dlpack._alive) == held
    outlet(array).__dlpack__()  # nobody takes it
    assert len(dlpack._alive) == held
    read = dlpack.taken(array.view(), None)
    assert (read.shape, read.dtype, read.device) == (array.shape, array.dtype, (1, 0))
    assert read.strides is None or array.size == 0 or read.strides == array.strides
    assert read.pointer == array.ctypes.data or not array.size


def test_dlpack_refuses_other_numbers() -> None:
    with pytest.raises(TypeError, match="expected real numbers, got DLPack's type 5 of 64 bits"):
        dlpack.taken(np.ones(2, np.complex64), None)
    capsule = np.ones(2).__dlpack__()
    given = type("Again", (), {"__dlpack__": lambda self: capsule})()
    dlpack.taken(given, None)
    with pytest.raises(TypeError, match="expected a new capsule"):
        dlpack.taken(given, None)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_dlpack_with_other_libraries(name: str) -> None:
    library = pytest.importorskip(name)
    from_dlpack = library.from_dlpack if name == "torch" else library.dlpack.from_dlpack
    array = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(np.asarray(from_dlpack(outlet(array))), array)
    read = dlpack.taken(from_dlpack(outlet(array)), None)
    assert (read.shape, read.dtype) == ((3, 4), np.float32)
