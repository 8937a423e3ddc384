"""Vectors that prove a file, as JSON: arrays in base64, so that no digit is lost."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..params import Array
from .json_file import entry
from .proof import Case, Proof


def vectors_of(cases: Sequence[Case], proof: Proof | None) -> dict[str, Any]:
    """Cases, and what came of them, as JSON can hold it."""
    return {
        "cases": [{key: _packed(array) for key, array in case._asdict().items()} for case in cases],
        "proof": None if proof is None else proof._asdict(),
    }


def cases_in(record: Mapping[str, Any]) -> list[Case]:
    """The cases again.

    Raises
    ------
    ValueError
        Something that `vectors_of` does not make.
    """
    found = entry(record, "cases", list)
    if not found or not all(isinstance(one, dict) for one in found):
        raise ValueError("cases: expected dicts, one at least")
    return [_case(one) for one in found]


def _packed(array: Array) -> dict[str, Any]:
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return {"type": array.dtype.name, "shape": array.shape, "numbers": base64.b64encode(content.tobytes()).decode()}


def _unpacked(record: Any, kinds: Sequence[str], ndim: tuple[int, ...]) -> Array:
    if not isinstance(record, dict) or record.get("type") not in kinds:
        raise ValueError(f"expected an array of {' or '.join(kinds)}")
    shape, dtype = entry(record, "shape", list), np.dtype(record["type"]).newbyteorder("<")
    content = base64.b64decode(entry(record, "numbers", str), validate=True)
    whole = all(type(size) is int and size > 0 for size in shape) and len(shape) in ndim
    if not whole or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"expected numbers that fill shape {shape!s:.80}, got {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _case(record: Mapping[str, Any]) -> Case:
    x = _unpacked(record.get("x"), ("float32", "float64"), (3,))
    lengths, y = _unpacked(record.get("lengths"), ("int64",), (1,)), _unpacked(record.get("y"), ("float64",), (2, 3))
    if lengths.shape != x.shape[:1] or len(y) != len(x) or (lengths < 1).any() or (lengths > x.shape[1]).any():
        raise ValueError(f"expected lengths from 1 to {x.shape[1]} of {len(x)} sequences, and as many outputs")
    return Case(x, lengths, y)
