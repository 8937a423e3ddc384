"""Where arrays are: in this process's memory, or on a device, where another engine computes.

What lies elsewhere is told by protocols alone, so that nothing of a device is imported where there is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .params import Array

HOST = "the host's memory"
_CUDA = (2, 13)  # kDLCUDA and kDLCUDAManaged in DLPack's table of devices
_KNOWN_HERE = (np.ndarray, list, tuple, int, float, bool, np.generic, type(None))


class Elsewhere:
    """An array on a device, as its engine has made it of a caller's. What else it has is as NumPy's arrays have it.

    Attributes
    ----------
    engine : Engine
        What computes there.
    where : str
        The device, as messages name it.
    """

    __slots__ = ()
    engine: Any
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    ndim: Any
    size: Any
    itemsize: Any
    nbytes: Any
    flags: Any
    base: Any

    @property
    def where(self) -> str:
        raise NotImplementedError

    def copy(self) -> Any:
        raise NotImplementedError

    def as_type(self, dtype: Any, *, copy: bool = False) -> Any:
        """In C order and of that type, on the device; itself where it is that already, unless copy."""
        raise NotImplementedError

    def on_host(self) -> Array:
        """Its numbers, read."""
        raise NotImplementedError

    def in_library(self, like: Any) -> Any:
        """As the library has it that another array is of."""
        raise NotImplementedError

    def shadow(self) -> Array:
        """An array of NumPy's with the same addresses, never to be read: to see whether memory is shared."""
        raise NotImplementedError

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TypeError(f"expected an array in {HOST}, got one on {self.where}")


ARRAYS = (np.ndarray, Elsewhere)  # what this package takes for arrays


def there(array: Any) -> bool:
    """Whether an array of this package's is on a device."""
    return isinstance(array, Elsewhere)


def is_elsewhere(value: Any) -> bool:
    """Whether a caller's argument is an array on a CUDA device, of whatever library."""
    if isinstance(value, _KNOWN_HERE):
        return False
    if isinstance(value, Elsewhere) or getattr(type(value), "__cuda_ndarray__", False) is True:  # the latter: Numba's
        return True
    try:
        if hasattr(value, "__cuda_array_interface__"):
            return True
    except Exception:  # PyTorch's tensors that want gradients, on a device only
        return True
    return _dlpack_device(value) in _CUDA


def _dlpack_device(value: Any) -> int:
    try:
        return int(value.__dlpack_device__()[0])
    except Exception:  # it has none, or does not say
        return 0


def where(array: Any) -> str:
    """The place of an array."""
    return array.where if isinstance(array, Elsewhere) else HOST


def together(arrays: list[tuple[str, Any]]) -> None:
    """Refuse arrays in several places, and say which is where."""
    places: dict[str, list[str]] = {}
    for name, array in arrays:
        places.setdefault(where(array), []).append(name)
    if len(places) > 1:
        found = "; ".join(f"{', '.join(names)} in {place}" if place == HOST else f"{', '.join(names)} on {place}"
                          for place, names in places.items())  # fmt: skip
        hint = '. pack(params, device="cuda") puts weights on a device' if HOST in places else ""
        raise ValueError(f"expected all arrays in one place, got {found}{hint}")
