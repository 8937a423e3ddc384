"""A thread's numbers: each of their functions against NumPy, where it has a bound, at infinities and at NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastlstm.cells import number as numbers
from fastlstm.cuda.device import of_arrays
from fastlstm.cuda.scalars import Scalar

FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "exp": (numbers.exp, np.exp),
    "log": (numbers.log, np.log),
    "log1p": (numbers.log1p, np.log1p),
    "tanh": (numbers.tanh, np.tanh),
    "sqrt": (numbers.sqrt, np.sqrt),
    "abs": (abs, np.abs),
    "negative": (lambda x: -x, np.negative),
    "sigmoid": (numbers.sigmoid, lambda x: (1 / (1 + np.exp(-x.astype(np.longdouble)))).astype(x.dtype)),
    "one over": (lambda x: 1.0 / x, lambda x: 1 / x),
    "three over": (lambda x: 3.0 / x, lambda x: 3 / x),
    "one less": (lambda x: 1.0 - x, lambda x: 1 - x),
    "minimum": (numbers.minimum, np.minimum),
    "maximum": (numbers.maximum, np.maximum),
    "at most": (lambda x: numbers.minimum(x, 0.5), lambda x: np.minimum(x, x.dtype.type(0.5))),
    "at least": (lambda x: numbers.maximum(x, 0.5), lambda x: np.maximum(x, x.dtype.type(0.5))),
    "quotient": (lambda x, y: x / y, np.divide),
    "less": (lambda x, y: numbers.where(x < y, x, 2.0), lambda x, y: np.where(x < y, x, x.dtype.type(2))),
    "less or equal": (lambda x, y: numbers.where(x <= y, 1.0, y), lambda x, y: np.where(x <= y, x.dtype.type(1), y)),
    "more": (lambda x, y: numbers.where(x > 0.0, x, y), lambda x, y: np.where(x > 0, x, y)),
    "more or equal": (lambda x, y: numbers.where(x >= y, x, y), lambda x, y: np.where(x >= y, x, y)),
}
CLOSE = {"exp", "log", "log1p", "tanh"}  # others are rounded once


def values(dtype: Any, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    some = (rng.standard_normal(40), 50 * rng.standard_normal(40), 10.0 ** rng.uniform(-37, 37, 40))
    ends = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan]
    return rng.permutation(np.concatenate((*some, ends))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str, dtype: Any) -> None:
    mine, numpys = FUNCTIONS[name]
    x, y = values(dtype, 0), values(dtype, 1)
    rows = (x, y)[: max(numpys.nin if isinstance(numpys, np.ufunc) else numpys.__code__.co_argcount, 1)]
    f = of_arrays(lambda maker, raws: [mine(*(Scalar(maker, raw) for raw in raws)).raw], len(rows), "f")
    found = np.empty_like(x)
    for n, inputs in enumerate(zip(*rows, strict=True)):
        f(np.array(inputs), found[n : n + 1])
    with np.errstate(all="ignore"):
        right = numpys(*rows)
    finite = np.isfinite(right)
    np.testing.assert_array_equal(found[~finite], right[~finite])
    if name == "sigmoid":
        np.testing.assert_allclose(found[finite], right[finite], rtol=0, atol=np.finfo(dtype).eps)
        return
    np.testing.assert_array_max_ulp(found[finite], right[finite], 4 if name in CLOSE else 0)


def test_fused_multiply_adds_are_rounded_once() -> None:
    for dtype, tiny in ((np.float32, 2.0**-23), (np.float64, 2.0**-52)):
        f = of_arrays(lambda maker, raws: [maker.fma(*raws)], 3, "f")
        found = np.zeros(1, dtype)
        f(np.array([1 + tiny, 1 - tiny, -1], dtype), found)
        assert found == -(tiny**2)  # a product rounded before would leave 0
