"""What the benchmarks share: problems, the work to time, and the check that it is done right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastlstm
from fastlstm import reference

from .shapes import RECORDS, Shape

SYSTEMS = {"fastlstm": fastlstm, "reference": reference}
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}  # above rounding, the reference's too; far below any mistake


def problem(shape: Shape, dtype: str = "float32", cell: Any = "standard") -> tuple[Any, Any]:
    """x and params, random and unit-scale; the projected cell's h is half as wide as c."""
    N, T, D, H = shape
    if isinstance(cell, str) and not hasattr(fastlstm, RECORDS[cell]):
        raise NotImplementedError("a commit without that cell")  # ASV leaves it out
    kind = {} if cell == "standard" else {"cell": cell}
    if cell == "projected":
        kind["projection_size"] = H // 2
    params = fastlstm.init_params(D, H, rng=0, dtype=np.dtype(dtype).type, **kind)
    return np.random.default_rng(1).standard_normal((N, T, D)).astype(dtype), params


def make(system: str, mode: str, x: Any, params: Any, **options: Any) -> Callable[[], Any]:
    """A function that does the work once and returns all of its results."""
    module: Any = SYSTEMS[system]
    if mode == "infer":
        weights = fastlstm.pack(params) if system == "fastlstm" else params
        return lambda: module.forward(x, weights, **options)

    def train() -> Any:
        y, state, tape = module.forward_train(x, params, **options)
        return y, state, module.backward(tape, y)

    return train


def checked(system: str, mode: str, x: Any, params: Any, **options: Any) -> Callable[[], Any]:
    """`make`, its results held against the reference before anything is timed."""
    work = make(system, mode, x, params, **options)
    if system != "reference":
        found = error(work(), make("reference", mode, x, params, **options)())
        if not found < TOLERANCE[x.dtype.name]:
            raise AssertionError(f"{system} {mode}: off by {found:.1e} of the largest entry")
    return work


def in_float64(params: Any) -> Any:
    """The same numbers, in nested tuples and lists, as float64."""
    if isinstance(params, np.ndarray):
        return params.astype(float)
    parts = [in_float64(part) for part in params]
    return type(params)(*parts) if hasattr(params, "_fields") else parts


def leaves(tree: Any) -> Iterator[Any]:
    """The arrays of nested tuples and lists."""
    if isinstance(tree, np.ndarray):
        yield tree
    else:
        for branch in tree:
            yield from leaves(branch)


def error(found: Any, expected: Any) -> float:
    """Largest difference of any array, relative to that array's largest entry; NaN where there is one."""
    return float(
        max(
            np.abs(a - b).max() / np.abs(b).max()
            for a, b in zip(leaves(found), leaves(expected), strict=True)
            if a.size
        )  # some cells have no unit weights
    )
