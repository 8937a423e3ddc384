"""Arrays on a device as this package sees them: a place in its memory, a shape, strides, a type; and whose they are.

Nothing here reads what stands in them. What moves numbers is in memory.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..places import Elsewhere
from .libraries import Place


class Flags(NamedTuple):
    """What NumPy's arrays say of themselves, of an array on a device."""

    c_contiguous: bool
    aligned: bool
    writeable: bool

    @property
    def behaved(self) -> bool:
        return self.aligned and self.writeable

    @property
    def carray(self) -> bool:
        return self.behaved and self.c_contiguous


class CudaArray(Elsewhere):
    """A view of memory on a device.

    Attributes
    ----------
    owner : object
        What the memory is alive with: an array of the caller's library, or of this package.
    pointer : int
    shape, strides : tuple of int
        Strides are in bytes.
    dtype : numpy dtype
    place : Place
        The device, and the library whose arrays the results become.
    readonly : bool
    """

    __slots__ = ("engine", "owner", "pointer", "shape", "strides", "dtype", "place", "readonly")

    def __init__(self, owner: Any, pointer: int, shape: tuple[int, ...], dtype: Any, *, place: Place, engine: Any,
                 strides: tuple[int, ...] | None = None, readonly: bool = False) -> None:  # fmt: skip
        self.owner, self.pointer, self.place, self.engine = owner, pointer, place, engine
        self.shape, self.dtype, self.readonly = shape, np.dtype(dtype), readonly
        self.strides = dense(shape, self.dtype.itemsize) if strides is None else strides

    @property
    def where(self) -> str:
        return self.place.device_name

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def flags(self) -> Flags:
        whole = self.size == 0 or all(
            n == 1 or stride == wide
            for n, stride, wide in zip(self.shape, self.strides, dense(self.shape, self.itemsize), strict=True)
        )
        aligned = self.pointer % max(self.itemsize, 1) == 0 and all(s % self.itemsize == 0 for s in self.strides)
        return Flags(whole, aligned, not self.readonly)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{self.dtype} {self.shape} on {self.where}>"

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "strides": self.strides,
            "typestr": self.dtype.str,
            "data": (self.pointer if self.size else 0, self.readonly),
            "version": 3,
            "stream": None,
        }

    def __reduce__(self) -> Any:
        raise TypeError(f"expected arrays in the host's memory to pickle, got one on {self.where}")

    def view(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, dtype: Any = None) -> CudaArray:
        """Another view of the same memory, offset bytes on."""
        return CudaArray(self.owner, self.pointer + offset, shape, self.dtype if dtype is None else dtype,
                           place=self.place, engine=self.engine, strides=strides, readonly=self.readonly)  # fmt: skip

    def reshape(self, *shape: Any) -> CudaArray:
        """Of an array in C order, or one that only gets or loses axes of one entry in front."""
        wanted = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        if -1 in wanted:
            rest = math.prod(n for n in wanted if n != -1)
            wanted = tuple(self.size // max(rest, 1) if n == -1 else n for n in wanted)
        if wanted == self.shape:
            return self
        if math.prod(wanted) != self.size:
            raise ValueError(f"expected {self.size} entries, got shape {wanted}")
        if self.flags.c_contiguous:
            return self.view(wanted, dense(wanted, self.itemsize))
        if wanted == (1, *self.shape):
            return self.view(wanted, (self.nbytes, *self.strides))
        if (1, *wanted) == self.shape:
            return self.view(wanted, self.strides[1:])
        raise ValueError(f"expected an array in C order, got strides {self.strides}")

    def __getitem__(self, index: Any) -> CudaArray:
        """array[...], array[None], array[n], array[a:b], and slices of several axes."""
        if index is Ellipsis:
            return self
        if index is None:
            return self.view((1, *self.shape), (self.nbytes, *self.strides))
        shape, strides, offset = list(self.shape), list(self.strides), 0
        taken = index if isinstance(index, tuple) else (index,)
        for axis, one in enumerate(taken):
            if isinstance(one, slice):
                begin, end, step = one.indices(self.shape[axis])
                shape[axis] = len(range(begin, end, step))
                offset += begin * self.strides[axis] if shape[axis] else 0
                strides[axis] *= step
            else:
                place = range(self.shape[axis])[one]
                offset += place * self.strides[axis]
                shape[axis] = -1
        kept = [axis for axis, n in enumerate(shape) if n != -1]
        return self.view(tuple(shape[axis] for axis in kept), tuple(strides[axis] for axis in kept), offset)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.engine.move(self[index], value)

    def copy(self) -> CudaArray:
        """In C order, in memory of its own."""
        found: CudaArray = self.engine.empty(self.shape, self.dtype)
        self.engine.move(found, self)
        return found

    def fill(self, value: float) -> None:
        self.engine.fill(self, value)

    def as_type(self, dtype: Any, *, copy: bool = False) -> CudaArray:
        """In C order, of that type, here; itself where it is that already, unless copy."""
        if not copy and self.dtype == dtype and self.flags.c_contiguous and self.flags.aligned:
            return self
        found: CudaArray = self.engine.empty(self.shape, dtype)
        self.engine.move(found, self)
        return found

    def on_host(self) -> Any:
        """The numbers as a NumPy array: waits for the device."""
        return self.engine.on_host(self)

    def in_library(self, like: CudaArray) -> Any:
        """As an array of the library of another one, without a copy."""
        return like.place.library.given(self)

    def shadow(self) -> Any:
        return np.asarray(_Shadow(self))


class _Shadow:
    """What NumPy makes an array of that has the same addresses, and keeps alive."""

    def __init__(self, array: CudaArray) -> None:
        self.owner = array.owner
        self.__array_interface__ = {"shape": array.shape, "strides": array.strides, "typestr": array.dtype.str,
                                    "data": (array.pointer, array.readonly), "version": 3}  # fmt: skip


def dense(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides of an array in C order."""
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
