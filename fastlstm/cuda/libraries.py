"""Whose an array is: CuPy, PyTorch, JAX or Numba; how each makes memory, and which stream is its current one.

A library is looked at only where one of its arrays has come, so that it is imported already.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from . import dlpack, numba_arrays


class Library(NamedTuple):
    """How to speak to a library. `number` is a device's.

    Attributes
    ----------
    name : str
        As results say whose they are.
    device_of : callable
        array -> number.
    stream_of : callable
        number -> its current stream, as an address; 0 is CUDA's default stream.
    empty : callable
        shape, dtype, number -> an array of this library, or of Numba where it makes no memory to be written to.
    taken : callable
        An array of this package -> one of this library on the same memory.
    ready : callable
        An array -> None, when its numbers may be read on the library's current stream.
    frozen : bool
        Whether its arrays are never written to, and have no stream that others can join: results must be finished
        before the library gets them.
    """

    name: str
    device_of: Callable[[Any], int]
    stream_of: Callable[[int], int]
    empty: Callable[[tuple[int, ...], Any, int], Any]
    taken: Callable[[Any], Any]
    ready: Callable[[Any], None] = lambda array: None
    frozen: bool = False

    def given(self, array: Any) -> Any:
        """An array of this package as one of this library: what its memory was made as, or a view of it."""
        owner = array.owner
        if library_of(owner) is self and array.flags.c_contiguous and shape_of(owner) == array.shape:
            return owner
        if library_of(owner) is self and array.flags.c_contiguous and _size(owner) == array.size:
            return owner.reshape(array.shape)
        return self.taken(array)


class Place(NamedTuple):
    """A device, and the library that results there are given to."""

    library: Library
    number: int

    @property
    def device_name(self) -> str:
        return f"cuda:{self.number}"

    @property
    def stream(self) -> int:
        return self.library.stream_of(self.number)


class Outlet:
    """An array of this package as DLPack's protocol wants it."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self.array.place.number

    def __dlpack__(self, **_: Any) -> Any:  # on the stream that the library asked us to work on
        return dlpack.capsule(self.array, self.__dlpack_device__())


def _torch() -> Library:
    torch = importlib.import_module("torch")
    return Library(
        "torch",
        lambda array: int(array.device.index or 0),
        lambda number: int(torch.cuda.current_stream(number).cuda_stream),
        lambda shape, dtype, number: torch.empty(
            shape, dtype=getattr(torch, dtype.name), device=torch.device("cuda", number)
        ),
        lambda array: torch.from_dlpack(Outlet(array)),
    )


def _cupy() -> Library:
    cupy = importlib.import_module("cupy")

    def stream(number: int) -> int:
        with cupy.cuda.Device(number):
            return int(cupy.cuda.get_current_stream().ptr)

    def empty(shape: tuple[int, ...], dtype: Any, number: int) -> Any:
        with cupy.cuda.Device(number):
            return cupy.empty(shape, dtype)

    def taken(array: Any) -> Any:
        with cupy.cuda.Device(array.place.number):
            return cupy.from_dlpack(Outlet(array))

    return Library("cupy", lambda array: int(array.device.id), stream, empty, taken)


def _jax() -> Library:
    jax = importlib.import_module("jax")
    return Library(
        "jax",
        lambda array: int(array.__dlpack_device__()[1]),
        lambda number: 0,
        NUMBA.empty,  # its arrays are never written to
        lambda array: jax.dlpack.from_dlpack(Outlet(array)),
        lambda array: array.block_until_ready(),
        frozen=True,
    )


def _numba_device(array: Any) -> int:
    """Of an array of Numba, or of a library that nobody knows, whose memory is on the current device unless it says."""
    try:
        return int(array.gpu_data.context.device.id)
    except AttributeError:
        pass
    try:
        return int(array.__dlpack_device__()[1])
    except AttributeError:
        return numba_arrays.current()


NUMBA = Library("numba", _numba_device, lambda number: 0, numba_arrays.empty, numba_arrays.for_kernels)
_MAKERS = {"torch": _torch, "cupy": _cupy, "jax": _jax, "jaxlib": _jax}
_found: dict[Any, Library] = {}


def library_of(array: Any) -> Library:
    """Whose that is; Numba's where it is nobody's that is known here."""
    for kind in type(array).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in _MAKERS:
            module = sys.modules.get("jax" if root == "jaxlib" else root)
            if module not in _found:
                _found[module] = _MAKERS[root]()
            return _found[module]
    return NUMBA


def shape_of(array: Any) -> tuple[int, ...]:
    return tuple(getattr(array, "shape", ()))


def _size(array: Any) -> int:
    size = 1
    for n in shape_of(array):
        size *= n
    return size
