"""Arrays in .safetensors files, by their names; half precision becomes float32. The package safetensors is an extra."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from ..files import regular, write_whole
from ..params import Array
from .hdf5 import from_bfloat16

SUFFIX = ".safetensors"
HEADER = 16 << 20  # bytes of a file's header at most: names, types, shapes
_FLOATS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}


class Tensors:
    """An open file. `names` are those of its arrays; `about` is what else its header says."""

    def __init__(self, found: Any, file: IO[bytes], header: int) -> None:
        self.names: list[str] = list(found.keys())
        self.about: dict[str, str] = found.metadata() or {}
        self._found, self._file, self._header = found, file, header
        self._places: dict[str, Any] | None = None

    def read(self, name: str) -> Array:
        """An array, float32 or float64.

        Raises
        ------
        ValueError
            Another type.
        """
        part = self._found.get_slice(name)
        kind, shape = part.get_dtype(), tuple(part.get_shape())
        if kind not in _FLOATS:
            raise ValueError(f"{name!r}: expected {', '.join(_FLOATS)}, got {kind}")
        dtype = np.dtype(_FLOATS[kind])
        if self._places is None:
            self._file.seek(8)
            self._places = json.loads(self._file.read(self._header))
        start, end = self._places[name]["data_offsets"]
        if end - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name!r}: expected bytes for shape {shape}, got {end - start}")
        self._file.seek(8 + self._header + start)
        numbers = np.frombuffer(self._file.read(end - start), dtype).reshape(shape)
        if kind == "BF16":
            return from_bfloat16(numbers)
        return numbers.astype(np.float32 if kind == "F16" else dtype.newbyteorder("="))


def library(what: str) -> Any:
    """The package; what: is done with it, for the message where it is missing."""
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"{what}: expected the package safetensors, which is not installed "
                          "(pip install safetensors)") from error  # fmt: skip
    return safetensors


@contextmanager
def damage_said(package: Any, name: str) -> Iterator[None]:
    """What the package says of a damaged file, as a ValueError."""
    try:
        yield
    except package.SafetensorError as error:
        raise ValueError(f"path: expected a safetensors file, got a damaged one: {name!r} ({error})") from error


@contextmanager
def opened(name: str) -> Iterator[Tensors]:
    """A file whose sizes are held against its own before anything is read.

    Raises
    ------
    ImportError
        The package safetensors is missing.
    ValueError
        A damaged file or one of another kind.
    OSError
        The file cannot be read.
    """
    package = library(".safetensors files")
    regular(name, "in the format of safetensors")
    size = os.path.getsize(name)
    with open(name, "rb") as file:
        start = file.read(8)
        header = int.from_bytes(start, "little")
        if len(start) < 8 or header > min(size - 8, HEADER):
            raise ValueError(f"path: expected a safetensors file, got one of {size} bytes that begins with {start!r}: "
                             f"{name!r}")  # fmt: skip
        with damage_said(package, name), package.safe_open(name, framework="numpy") as found:
            yield Tensors(found, file, header)


def save(name: str, arrays: Mapping[str, Array]) -> None:
    """Write arrays by their names: the file is whole, or as it was before."""
    content = library(".safetensors files").numpy.save(
        {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    )
    write_whole(name, lambda file: file.write(content))
