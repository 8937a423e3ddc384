"""Memory on a device: made, moved, filled, and read back. All of it on a given stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from .arrays import CudaArray, dense
from .numba_arrays import SIMULATED, as_numpy, for_kernels

_THREADS = 4 if SIMULATED else 256
_MOST_BLOCKS = 4096


def stream_at(address: int) -> Any:
    """Numba's name for a stream."""
    return 0 if SIMULATED or address == 0 else cuda.external_stream(address)


@cuda.jit
def _move(to: Any, given: Any) -> None:
    """Arrays of three axes of one shape, any strides and types."""
    T, K = to.shape[1], to.shape[2]
    for i in range(cuda.grid(1), to.shape[0] * T * K, cuda.gridsize(1)):
        row = i // K
        to[row // T, row % T, i % K] = given[row // T, row % T, i % K]


@cuda.jit
def _fill(to: Any, value: Any) -> None:
    T, K = to.shape[1], to.shape[2]
    for i in range(cuda.grid(1), to.shape[0] * T * K, cuda.gridsize(1)):
        row = i // K
        to[row // T, row % T, i % K] = value


def _launch(size: int, stream: int) -> tuple[int, int, Any]:
    return min(-(-size // _THREADS), _MOST_BLOCKS), _THREADS, stream_at(stream)


def _of_three_axes(array: CudaArray) -> CudaArray:
    if array.flags.c_contiguous:
        return array.view((1, 1, array.size), dense((1, 1, array.size), array.itemsize))
    missing = 3 - array.ndim
    if missing < 0:
        raise ValueError(f"expected an array of up to three axes, or in C order, got shape {array.shape}")
    return array.view((1,) * missing + array.shape, (0,) * missing + array.strides)


def _as_integers(array: CudaArray) -> CudaArray:
    """Booleans as bytes: Numba's kernels read both alike."""
    return array.view(array.shape, array.strides, dtype=np.uint8) if array.dtype == np.bool_ else array


def move(to: CudaArray, given: CudaArray, stream: int) -> None:
    """to[...] = given, of the same shape; numbers are converted as NumPy does."""
    if to.shape != given.shape:
        raise ValueError(f"expected shape {to.shape}, got {given.shape}")
    if to.size == 0:
        return
    pair = [_as_integers(one) for one in (to, given)]
    whole = all(one.flags.c_contiguous for one in pair)
    to, given = (_of_three_axes(one) if whole else _spread(one) for one in pair)
    _move[_launch(to.size, stream)](for_kernels(to), for_kernels(given))


def _spread(array: CudaArray) -> CudaArray:
    """Three axes in front of which others are, of any strides."""
    missing = 3 - array.ndim
    if missing < 0:
        raise ValueError(f"expected an array of up to three axes, or in C order, got shape {array.shape}")
    return array.view((1,) * missing + array.shape, (0,) * missing + array.strides)


def fill(to: CudaArray, value: float, stream: int) -> None:
    if to.size:
        one = _of_three_axes(_as_integers(to))
        _fill[_launch(one.size, stream)](for_kernels(one), one.dtype.type(value))


def on_host(array: CudaArray, stream: int) -> Any:
    """The numbers, when all that was to be done on that stream is done."""
    if SIMULATED:
        return as_numpy(array).copy()
    whole = array if array.flags.c_contiguous else array.as_type(array.dtype)
    found = for_kernels(whole).copy_to_host(stream=stream_at(stream))
    wait(stream)
    return found


def from_host(to: CudaArray, given: Any, stream: int) -> None:
    """Numbers of a NumPy array, which is read before this returns."""
    if to.size:
        for_kernels(to).copy_to_device(np.ascontiguousarray(given, to.dtype), stream=stream_at(stream))
        wait(stream)


def wait(stream: int) -> None:
    """Until all that was to be done on that stream is done."""
    if not SIMULATED:
        (stream_at(stream) if stream else cuda.default_stream()).synchronize()
