"""From what a caller gave to an array of real numbers or an integer, or an error that names the argument."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from .params import Array


def integer(name: str, value: Any, least: int) -> int:
    """An argument that counts something, checked."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if not least <= number <= sys.maxsize:
        bound = f"at least {least}" if number < least else f"at most {sys.maxsize}"
        raise ValueError(f"{name}: expected {bound}, got {number}")
    return number


def size_of(name: str, size: object) -> int:
    """A size, checked; name: the argument's."""
    return integer(name, size, 1)


def array(name: str, value: Any, of_text: str = "") -> Array:
    """value as an array of real numbers, of any type and layout. of_text: what an error says more where it is text."""
    found = value if type(value) is np.ndarray else _made_array(name, value)
    if found.dtype.kind not in "biuf":
        _refuse_ragged(name, value)
        hint = of_text if found.dtype.kind in "UT" or any(isinstance(one, str) for one in found.flat[:1]) else ""
        raise TypeError(f"{name}: expected real numbers, got dtype {found.dtype}{_culprit(value, found)}{hint}")
    return found


def _made_array(name: str, value: Any) -> Array:
    if _has_mask(value):
        raise TypeError(f"{name}: expected an array, got a masked one, whose mask would be lost: fill it, and pass "
                        "lengths where steps are missing")  # fmt: skip
    try:
        return np.asarray(value)
    except Exception as error:  # lists of different lengths, tensors that need their gradient, ...
        _refuse_ragged(name, value)
        wrong = ValueError if isinstance(error, ValueError) else TypeError
        raise wrong(f"{name}: expected an array, got {type(value).__name__} that makes none ({error})") from error


def _culprit(value: Any, found: Array) -> str:
    """What is no number in an array of objects, and where; by its column in a data frame."""
    columns = [str(column) for column in getattr(value, "columns", ())]
    named = found.ndim == 2 and len(columns) == found.shape[1]
    if found.ndim == 0 or not (named or found.dtype == object):
        return ""
    for place, one in np.ndenumerate(found):
        if not isinstance(one, (bool, int, float, np.bool_, np.integer, np.floating)):
            where = f"in column {columns[place[-1]]!r}" if named else f"at {list(place)}"
            return f": {one!r:.50} {where}"
    kinds = zip(columns, getattr(value, "dtypes", ()), strict=False)
    return "".join(f"; column {column!r} has dtype object" for column, kind in kinds if kind == np.dtype(object))


def _has_mask(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_has_mask(item) for item in value if isinstance(item, (list, tuple, np.ma.MaskedArray)))
    return isinstance(value, np.ma.MaskedArray)


def _refuse_ragged(name: str, value: Any) -> None:
    """Say what to do with sequences of different lengths, if that is what x or y holds."""
    if name.endswith(("x", "y")) and isinstance(value, (list, tuple, np.ndarray)):
        rows = [] if getattr(value, "ndim", 1) == 0 else value
        lengths = {len(row) for row in rows if isinstance(row, (list, tuple)) or np.ndim(row) > 0}
        if len(lengths) > 1:
            raise ValueError(f"{name}: expected sequences of one length, got {min(lengths)} to {max(lengths)} steps: "
                             "pad them, and pass lengths")  # fmt: skip
