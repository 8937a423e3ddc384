"""Numba's arrays: what kernels take, and what holds memory where no other library does."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def for_kernels(array: Any) -> Any:
    """What a kernel of Numba takes for an array of this package."""
    if not SIMULATED:
        from numba import cuda

        return cuda.as_cuda_array(array, sync=False)
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(as_numpy(array))


def as_numpy(array: Any) -> Any:
    """The array itself, under the simulator, where a device's memory is the host's."""
    return array.shadow() if array.size else np.zeros(array.shape, array.dtype)


def empty(shape: tuple[int, ...], dtype: Any, number: int) -> Any:
    """New memory on a device."""
    from numba import cuda

    with cuda.gpus[number] if number else contextlib.nullcontext():
        return cuda.device_array(shape, dtype)


def current() -> int:
    """The number of the current device."""
    from numba import cuda

    return 0 if SIMULATED else int(cuda.current_context().device.id)
