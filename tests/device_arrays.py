"""Arrays that look like CuPy's, PyTorch's and JAX's on a GPU, and modules that look like theirs. Their memory is the
host's, as that of a device is under Numba's simulator."""

from __future__ import annotations

import contextlib
import types
from typing import Any

import numpy as np

from fastlstm.cuda import dlpack

STREAM = 1234  # the address of the libraries' current stream


class OnDevice:
    """What all of them have."""

    def __init__(self, array: Any, number: int = 0) -> None:
        self.array, self.number = np.asarray(array), number

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.array.__array_interface__, "version": 3, "strides": self.array.strides, "stream": None}

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.number

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert an array on a device: it would be copied")

    def reshape(self, *shape: Any) -> Any:
        return type(self)(self.array.reshape(*shape), self.number)


class Tensor(OnDevice):
    requires_grad = False

    @property
    def device(self) -> Any:
        return types.SimpleNamespace(type="cuda", index=self.number)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.requires_grad:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")
        return {**super().__cuda_array_interface__, "version": 2}


class ndarray(OnDevice):
    @property
    def device(self) -> Any:
        return types.SimpleNamespace(id=self.number)


class ArrayImpl(OnDevice):
    ready = False

    def block_until_ready(self) -> None:
        self.ready = True


class Foreign(OnDevice):
    """Of a library that nobody knows, with DLPack alone."""

    __cuda_array_interface__ = property(lambda self: self.nothing)  # AttributeError

    def __dlpack__(self, stream: Any = None) -> Any:
        assert stream == 1, "to be read on CUDA's default stream"
        view = types.SimpleNamespace(pointer=self.array.ctypes.data, shape=self.shape, strides=self.array.strides,
                                     dtype=self.array.dtype)  # fmt: skip
        return dlpack.capsule(view, (dlpack.CUDA, self.number))


Tensor.__module__, ndarray.__module__, ArrayImpl.__module__ = "torch", "cupy._core.core", "jaxlib._jax"


def _from_dlpack(kind: Any) -> Any:
    def from_dlpack(outlet: Any) -> Any:
        device, number = outlet.__dlpack_device__()
        assert device == dlpack.CUDA
        found = dlpack.taken(outlet, None)

        class Held:
            keeper = found.keeper
            __array_interface__ = {  # noqa: RUF012
                "shape": found.shape, "strides": found.strides, "typestr": found.dtype.str,
                "data": (found.pointer, False), "version": 3,
            }  # fmt: skip

        return kind(np.asarray(Held()), number)

    return from_dlpack


def modules() -> dict[str, Any]:
    """For `sys.modules`."""
    stream = types.SimpleNamespace(cuda_stream=STREAM, ptr=STREAM)
    torch: Any = types.ModuleType("torch")
    for name in ("float32", "float64", "int64", "bool"):
        setattr(torch, name, np.dtype(name))
    torch.device = lambda kind, number: (kind, number)
    torch.empty = lambda shape, dtype, device: Tensor(np.full(shape, np.nan, dtype), device[1])
    torch.cuda = types.SimpleNamespace(current_stream=lambda number: stream)
    torch.from_dlpack = _from_dlpack(Tensor)
    cupy: Any = types.ModuleType("cupy")
    current: list[int] = [0]

    @contextlib.contextmanager
    def device(number: int) -> Any:
        current.append(number)
        yield
        current.pop()

    cupy.empty = lambda shape, dtype: ndarray(np.full(shape, np.nan, dtype), current[-1])
    cupy.cuda = types.SimpleNamespace(Device=device, get_current_stream=lambda: stream)
    cupy.from_dlpack = _from_dlpack(ndarray)
    jax: Any = types.ModuleType("jax")
    jax.dlpack = types.SimpleNamespace(from_dlpack=_from_dlpack(ArrayImpl))
    return {"torch": torch, "cupy": cupy, "jax": jax}


def numba_array(array: Any, number: int = 0) -> Any:
    from numba import cuda

    return cuda.to_device(np.ascontiguousarray(array))


LIBRARIES = {"torch": Tensor, "cupy": ndarray, "jax": ArrayImpl, "numba": numba_array}


def kind_of(name: str) -> Any:
    """The type of a library's arrays."""
    return LIBRARIES[name] if name != "numba" else type(numba_array(np.zeros(1)))


def on(library: str, found: Any, number: int = 0) -> Any:
    """Arrays in records and tuples, each on the device."""
    if isinstance(found, np.ndarray):
        return LIBRARIES[library](found.copy(), number)
    if isinstance(found, tuple) and hasattr(found, "_fields"):
        return type(found)(*(on(library, one, number) for one in found))
    if isinstance(found, (list, tuple)):
        return type(found)(on(library, one, number) for one in found)
    return found


def off(found: Any) -> Any:
    """Back again, as NumPy's."""
    if isinstance(found, OnDevice):
        return found.array
    if hasattr(found, "copy_to_host"):
        return found.copy_to_host()
    if isinstance(found, tuple) and hasattr(found, "_fields"):
        return type(found)(*(off(one) for one in found))
    if isinstance(found, (list, tuple)):
        return type(found)(off(one) for one in found)
    return found
