"""Weights in a file of our own: NumPy's .npz, no pickle."""

from __future__ import annotations

import math
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from .. import checks
from ..checks import assemble
from ..files import file_name, regular, write_whole
from ..initial import NoSuchCell, own_named
from ..params import CELLS, ROWS, AnyParams, Array, Bidirectional, Layer, Params, cell_name
from ..types import Stack
from . import layers_of

_FORMAT = 1
_MARK = "fastlstm"  # the entry of a file that holds the number of its format
_CELL = "cell"  # the entry that holds the name of a layer's cell, where that is not the standard one
_FIELDS = sorted({field for record in ROWS for field in record._fields}, reverse=True)  # b_n before b
_ENTRY = re.compile(rf"(?:(0|[1-9][0-9]{{0,5}})\.)?(?:(forward|backward)\.)?({'|'.join(_FIELDS)}|{_CELL})")
_MAY_BE_EMPTY = "U", "w", "b"  # of a cell of one's own, which may have no gate of h, unit weights or gates of b
_NPY = b"\x93NUMPY\x01\x00"  # what an array in a file begins with; the length of its header follows, 2 bytes
_HEADER = re.compile(
    rb"\{'descr': '([<>](?:f[48]|i[48]|U[1-9][0-9]?))', 'fortran_order': (True|False), "
    rb"'shape': \((|(?:0|[1-9][0-9]{0,17}),|[1-9][0-9]{0,17}(?:, (?:0|[1-9][0-9]{0,17}))+)\), \} *\n"
)


def save(path: str | os.PathLike[str], params: Stack) -> None:
    """Write weights to an .npz file.

    The file is complete, or it is not there: it is written beside its place, and then moved. No suffix is added to its
    name. Its entries are `fastlstm`, the number of the format, and the arrays by their names, such as `W`. For every
    cell but the standard one there is also `cell`, its name. In a Bidirectional names begin with `forward.` or
    `backward.`, in a stack with the number of the layer: `1.forward.W`.

    Parameters
    ----------
    path : str or path-like
    params : Params, InterpolatedParams, ProjectedParams, PeepholeParams, NormalizedParams, Bidirectional
        Or what `pack` makes of them, or a stack of these.

    Raises
    ------
    ValueError, TypeError
        Weights that make no sense, or a path that is a device or a pipe; nothing is written then.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> params = fastlstm.init_params(16, 32, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastlstm.save(os.path.join(folder, "weights.npz"), params)
    ...     again = fastlstm.load(os.path.join(folder, "weights.npz"))
    >>> bool((again.W == params.W).all())
    True
    """
    levels, stacked = layers_of(params)
    where = file_name(path)
    entries: dict[str, Any] = {_MARK: np.array(_FORMAT)}
    for number, level in enumerate(levels):
        for way, layer in enumerate(level):
            prefix = f"{number}." if stacked else ""
            prefix += f"{Bidirectional._fields[way]}." if len(level) == 2 else ""
            for field, array in zip(layer._fields, layer, strict=True):
                entries[prefix + field] = array
            if not isinstance(layer, Params):
                entries[prefix + _CELL] = np.array(cell_name(type(layer)))
    write_whole(where, lambda file: np.savez(file, **entries))


def load(path: str | os.PathLike[str]) -> Layer | tuple[Layer, ...]:
    """Read weights that `save` wrote. No code in the file is ever run.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Params, InterpolatedParams, ProjectedParams, PeepholeParams, NormalizedParams, Bidirectional or a tuple of these
        As they were saved.

    Raises
    ------
    ValueError
        The file is damaged, was not written by `save`, or its weights make no sense. Whatever it says of sizes, no
        more memory is taken than the file holds.
    TypeError
        A path of another type.
    OSError
        The file cannot be read.

    Examples
    --------
    See `save`.
    """
    name = file_name(path)
    regular(name, "that save wrote")
    with open(name, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"path: expected a file that save wrote, got no .npz file: {name!r}")
        try:
            entries = _entries(file)
        except (ValueError, EOFError, OverflowError, RuntimeError, struct.error, zipfile.BadZipFile) as error:
            raise ValueError(f"path: expected a file that save wrote, got {name!r}: {error}") from error
    mark = entries.pop(_MARK, None)
    if mark is None or mark.shape != () or mark.dtype.kind != "i" or mark != _FORMAT:
        raise ValueError(f"path: expected an entry {_MARK!r} of {_FORMAT}, got {mark!r} in {name!r}")
    return _from_entries(entries, name)


def _entries(file: IO[bytes]) -> dict[str, Array]:
    """The arrays of an .npz file by their names. Before any of them is read, the file's directory is checked: nothing
    is compressed, each name stands there once, and all entries together are no larger than the file."""
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        found: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            if key == info.filename or (key != _MARK and _ENTRY.fullmatch(key) is None):
                raise ValueError(f"expected entries such as W.npy, forward.U.npy or 0.b.npy, got {info.filename!r}")
            if key in found:
                raise ValueError(f"expected each entry once, got two of {key!r}")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise ValueError(f"expected entries that are not compressed, got {info.file_size} bytes of {key!r} "
                                 f"in {info.compress_size}")  # fmt: skip
            if not 0 <= info.header_offset < size:
                raise ValueError(f"expected {key!r} in the {size} bytes of the file, got it at {info.header_offset}")
            found[key] = info
        total = sum(info.file_size for info in found.values())
        if total > size:
            raise ValueError(f"expected entries of at most the file's {size} bytes, got {total}")
        return {key: _array(archive, key, info) for key, info in found.items()}


def _array(archive: zipfile.ZipFile, key: str, info: zipfile.ZipInfo) -> Array:
    """One array of the file. NumPy's own reader evaluates the header, and takes memory for whatever shape it states."""
    with archive.open(info) as member:
        if member.read(len(_NPY)) != _NPY:
            raise ValueError(f"expected {key!r} to be an array in NumPy's format 1.0")
        length = int.from_bytes(member.read(2), "little")
        header = _HEADER.fullmatch(member.read(length))
        nothing = header is not None and re.search(rb"\b0\b", header[3]) is not None
        if header is None or (nothing and key.rpartition(".")[2] not in _MAY_BE_EMPTY):
            raise ValueError(f"expected {key!r} to be an array of float32 or float64 that is not empty, the number of "
                             "the format or the name of a cell")  # fmt: skip
        dtype, shape = np.dtype(header[1].decode()), tuple(int(n) for n in header[3].split(b",") if n)
        whole = len(_NPY) + 2 + length + math.prod(shape) * dtype.itemsize
        if whole != info.file_size:
            raise ValueError(f"expected {whole} bytes for {key!r} of shape {shape}, got {info.file_size}")
        # reading to the end also checks the sum over the content that the directory has
        numbers = np.frombuffer(bytearray(member.read()), dtype)
    if dtype.kind == "U" and (numbers.view(dtype.str[0] + "u4") >= 0x80).any():
        raise ValueError(f"expected {key!r} to be the name of a cell")
    return numbers.reshape(shape, order="F" if header[2] == b"True" else "C")


def _from_entries(entries: Mapping[str, Any], name: object) -> Layer | tuple[Layer, ...]:
    """Names and arrays -> the structure that the names spell out, checked."""
    tree: dict[int | None, dict[str | None, dict[str, Array]]] = {}
    for key, array in entries.items():
        ((number, way, field),) = _ENTRY.findall(key)
        tree.setdefault(int(number) if number else None, {}).setdefault(way or None, {})[field] = array
    stacked = None not in tree
    if stacked and sorted(k for k in tree if k is not None) != list(range(len(tree))):
        raise ValueError(f"path: expected layers 0 to {len(tree) - 1}, got {list(tree)} in {name!r}")
    if not tree or (not stacked and len(tree) > 1):
        raise ValueError(f"path: expected one layer or a numbered stack, got {list(entries)} in {name!r}")
    levels = []
    for _, ways in sorted(tree.items(), key=lambda item: item[0] or 0):
        if set(ways) not in ({None}, {"forward", "backward"}):
            raise ValueError(f"path: expected both directions or none, got {list(entries)} in {name!r}")
        order: tuple[str | None, ...] = (None,) if None in ways else Bidirectional._fields
        levels.append([_record(ways[way], name) for way in order])
    try:
        found = checks.weights(assemble(levels, stacked), "path")
    except TypeError as error:  # the caller's type is right, the file's content is not
        raise ValueError(f"{error} in {name!r}") from error
    checked: Layer | tuple[Layer, ...] = assemble(found.levels, stacked)
    return checked


def _record(arrays: Mapping[str, Array], name: object) -> AnyParams:
    """The weights of one direction of a layer."""
    given = dict(arrays)
    mark = given.pop(_CELL, np.array("standard"))
    cell = str(mark)
    if mark.dtype.kind != "U" or mark.shape != () or (cell not in CELLS and "#" not in cell):
        raise ValueError(f"path: expected an entry {_CELL!r} of {' or '.join(CELLS)}, got {mark!r} in {name!r}")
    try:
        kind = CELLS[cell] if cell in CELLS else own_named("path", cell).record
    except NoSuchCell as error:
        raise ValueError(f"{error}, in {name!r}") from None
    if set(given) != set(kind._fields):
        expected = ", ".join(kind._fields)
        others = [other for other, record in CELLS.items() if set(record._fields) == set(given)]
        found = ", ".join(given) + (f" of the {' or '.join(others)} cell" if others else "")
        raise ValueError(f"path: expected {expected} of the {cell} cell, got {found} in {name!r}")
    return kind(**given)
