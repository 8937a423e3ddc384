"""Arrays of every layout, each in the middle of a larger one whose other bytes are watched."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

PAD = 192  # bytes before and behind an array: more than a vector
NANS = {4: 0x7FE5A5A5, 8: 0x7FFCA5A5A5A5A5A5}  # what stands there: NaN with a payload that no computation makes
LAYOUTS = ("plain", "read_only", "fortran", "backwards", "gaps", "turned", "repeated", "byte_order", "unaligned")
KINDS = ("list", "integers", "half", "other_float")
FORMS = (*LAYOUTS, *KINDS)  # of what is only read
KEPT = tuple(form for form in LAYOUTS if form != "repeated")  # that change no number
ROOMS = ("plain", "gaps", "turned", "backwards")  # of what is written to and may have strides


class Place(NamedTuple):
    """An array's memory: all of it, what stood in it, and which bytes are the array's own."""

    name: str
    memory: np.ndarray
    before: np.ndarray
    own: np.ndarray


class Arena:
    """Hands out arrays, and tells which bytes have changed since `begin`.

    form: a name in FORMS, or "any" for one that is drawn for each array.
    """

    def __init__(self, seed: int, form: str) -> None:
        self.seed, self.form = seed, form
        self.places: list[Place] = []

    def give(self, name: str, values: np.ndarray, forms: tuple[str, ...] = FORMS) -> Any:
        """values, to be read: in some form, which may round them, or repeat one of them."""
        rng, form = self._drawn(name, forms)
        if values.dtype.kind == "f":
            if form == "integers":
                values = np.nan_to_num(values, nan=9.0).astype(np.int16)
            elif form == "half":
                values = values.astype(np.float16)
            elif form == "other_float":
                values = values.astype(np.float32 if values.dtype == np.float64 else np.float64)
        if form == "list" and values.size:
            return values.tolist()
        shape = values.shape
        if form == "repeated" and values.size:
            values = values.take([0], int(rng.integers(values.ndim)))
        array = self._place(name, values.shape, values.dtype, rng, form)
        array[...] = values
        array.flags.writeable = form != "read_only"
        return np.broadcast_to(array, shape) if form == "repeated" else array

    def room(self, name: str, values: np.ndarray, forms: tuple[str, ...] = ("plain",)) -> np.ndarray:
        """An array that is written to; its last axis lies in one piece."""
        rng, form = self._drawn(name, forms)
        array = self._place(name, values.shape, values.dtype, rng, form, whole=True)
        array[...] = values
        return array

    def inside(self, outer: np.ndarray, like: np.ndarray) -> np.ndarray | None:
        """An array such as `like`, in C order, which begins where `outer` does; None where there is no room."""
        for place in self.places:
            offset = _address(outer) - _address(place.memory)
            if offset > 0 and offset + like.nbytes <= place.memory.size - PAD:
                found = np.ndarray(like.shape, like.dtype, place.memory, offset)
                place.own[offset : offset + like.nbytes] = True
                return found
        return None

    def begin(self) -> None:
        """From here on, changes count."""
        for place in self.places:
            place.before[...] = place.memory

    def changed(self, *, writing: tuple[str, ...] = ()) -> Iterator[str]:
        """Names of arrays of which something has changed: around them, or in them if `writing` does not have their
        name's beginning."""
        for place in self.places:
            different = place.memory != place.before
            if (different & ~place.own).any():
                yield f"memory around {place.name}"
            elif different.any() and not place.name.startswith(writing or "-"):
                yield place.name

    def _drawn(self, name: str, forms: tuple[str, ...]) -> tuple[np.random.Generator, str]:
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        if self.form == "any":
            return rng, "plain" if rng.random() < 0.4 else str(rng.choice(forms))
        return rng, self.form if self.form in forms else "plain"

    def _place(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Any, form: str, *, whole: bool = False
    ) -> np.ndarray:
        """whole: the last axis keeps its place, and its numbers are neighbours."""
        dtype = dtype.newbyteorder() if form == "byte_order" else dtype
        free = len(shape) - whole  # axes that may be moved about
        order = list(range(free))
        if form == "fortran":
            order.reverse()
        elif form == "turned":
            order = [int(axis) for axis in rng.permutation(free)]
        strides, span = [0] * len(shape), dtype.itemsize
        for axis in reversed([*order, *range(free, len(shape))]):
            span *= int(rng.integers(1, 4)) if form == "gaps" and axis < free else 1
            strides[axis] = span
            span *= max(shape[axis], 1)
        memory, begin = _sentinels(span, dtype)
        begin += 1 if form == "unaligned" else 0
        if form == "backwards":
            for axis in range(free):
                begin += (max(shape[axis], 1) - 1) * strides[axis]
                strides[axis] *= -1
        starts = np.full(shape, begin)
        for axis, size in enumerate(shape):
            starts += (np.arange(size) * strides[axis]).reshape(-1, *[1] * (len(shape) - axis - 1))
        own = np.zeros(memory.size, bool)
        own[(starts[..., None] + np.arange(dtype.itemsize)).ravel()] = True
        self.places.append(Place(name, memory, memory.copy(), own))
        return np.ndarray(shape, dtype, memory, begin, strides)


def _sentinels(span: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, int]:
    """Memory for that many bytes between two pads, and where in it they begin: on a cache line."""
    memory = np.full(2 * PAD + 64 + -(-span // 8) * 8, 0xA5, np.uint8)
    if dtype.kind == "f" and dtype.itemsize in NANS:
        memory.view(f"u{dtype.itemsize}").fill(NANS[dtype.itemsize])
    return memory, PAD + -(_address(memory) + PAD) % 64


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
