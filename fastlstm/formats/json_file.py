"""JSON files of others: read whole, checked before and after; no file takes much more memory than it has numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from ..files import file_name, regular
from ..params import Array

_BYTES = 32 << 20  # of a file
_WIDE_BYTES = 4 << 20  # of a file with letters beyond ASCII, whose text takes four times as much
_MEMORY = 100 << 20  # of all that it makes
_PIECE, _CONTAINER = 33, 80  # bytes that a number in a list takes, and an empty list or dict


def read_json(path: str | os.PathLike[str], what: str) -> tuple[str, dict[str, Any]]:
    """The name of a file, and the dict that it holds. what: in words, the file that is expected.

    Raises
    ------
    ValueError
        No JSON, nested too deeply, no dict; numbers that are not finite; more of them than belong in such a file.
    TypeError
        A path of another type.
    OSError
        The file cannot be read.
    """
    name = file_name(path)
    regular(name, f"that is {what}")
    size = os.path.getsize(name)
    if size > _BYTES:
        raise ValueError(f"path: expected {what} of at most {_BYTES} bytes, got {size} in {name!r}")
    with open(name, "rb") as file:
        content = file.read(_BYTES)
    try:
        return name, parsed(content)
    except ValueError as error:
        raise ValueError(f"path: expected {what}, got another file {name!r}: {str(error)[:200]}") from error


def parsed(content: bytes) -> dict[str, Any]:
    """The dict that JSON holds. How much memory it can take is known before any is taken.

    Raises
    ------
    ValueError
        No JSON, nested too deeply, no dict; numbers that are not finite; too many of them.
    """
    if not content.isascii() and len(content) > _WIDE_BYTES:
        raise ValueError(f"expected JSON in ASCII, or of at most {_WIDE_BYTES} bytes, got {len(content)}")
    needed = _PIECE * content.count(b",") + _CONTAINER * (content.count(b"[") + content.count(b"{"))
    if needed > _MEMORY:
        raise ValueError(f"expected JSON of at most {_MEMORY // _PIECE} numbers, got more")
    try:
        found = json.loads(content, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("expected JSON of a few levels, got one that is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected JSON of a dict, got {type(found).__name__}")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, got {word}")


def entry(record: Mapping[str, Any], key: str, kind: type | tuple[type, ...], where: str = "") -> Any:
    """record[key], which must be there and of that type; a bool is no number. where: what record is."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    named = " or ".join(one.__name__ for one in kinds)
    if key not in record:
        raise ValueError(f"{where}{key}: expected {named}, got none")
    found = record[key]
    if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
        raise ValueError(f"{where}{key}: expected {named}, got {type(found).__name__}")
    return found


def numbers(name: str, value: Any, shape: tuple[int | None, ...], dtype: Any = np.float32) -> Array:
    """Nested lists of numbers as an array of that shape, in which None is any size of at least 1.

    Raises
    ------
    ValueError
        Other sizes, lists of unlike lengths, anything that is no number, numbers beyond the range of the type.
    """
    sizes: list[int] = []
    level = [value]
    for expected in shape:
        if not all(isinstance(one, list) for one in level):
            raise ValueError(
                f"{name}: expected lists {len(shape)} deep, got {_kind(level, list)} at depth {len(sizes)}"
            )
        lengths = {len(one) for one in level}
        if len(lengths) > 1 or 0 in lengths or expected not in (None, *lengths):
            wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
            raise ValueError(f"{name}: expected shape {wanted}, got lists of "
                             f"{', '.join(map(str, sorted(lengths)[:3]))} at depth {len(sizes)}")  # fmt: skip
        sizes.append(lengths.pop())
        level = [inner for one in level for inner in one]
    if not all(type(one) is float or type(one) is int for one in level):
        raise ValueError(f"{name}: expected numbers, got {_kind(level, (float, int))}")
    try:
        with np.errstate(over="ignore"):
            found = np.array(level, np.float64).astype(dtype).reshape(sizes)
    except OverflowError:
        found = np.array([np.inf])
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: expected numbers in the range of {np.dtype(dtype)}, got a larger one")
    return found


def _kind(level: list[Any], wanted: Any) -> str:
    """The name of the type of the first that is not of a wanted one."""
    return next(type(one).__name__ for one in level if not isinstance(one, wanted) or isinstance(one, bool))
