"""The functions that equations are written with, on the processor's vectors, over a sample of all floats;
docs/scripts/every_float.py visits all."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from array_numbers import Numbers
from vector_functions import compiled

from fastlstm.cells import exp, hard_sigmoid, log, maximum, minimum, relu, softplus, softsign, sqrt, where
from fastlstm.cells.derive import Derived
from fastlstm.cells.number import log1p
from fastlstm.cells.phases import Given

TYPES = [(np.float32, np.float64), (np.float64, np.longdouble)]
ULP = {np.float32: 4, np.float64: 8}


def exact_softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


FUNCTIONS = {
    "exp": (lambda x: exp(x), np.exp),
    "log": (lambda x: log(x), np.log),
    "log1p": (lambda x: log1p(x), np.log1p),
    "sqrt": (lambda x: sqrt(x), np.sqrt),
    "softplus": (lambda x: softplus(x), exact_softplus),
    "softsign": (lambda x: softsign(x), lambda x: x / (1 + abs(x))),
    "hard_sigmoid": (lambda x: hard_sigmoid(x), lambda x: np.clip((x + 3) / 6, 0, 1)),
    "reciprocal": (lambda x: 1 / x, lambda x: 1 / x),
    "relu": (lambda x: relu(x), lambda x: np.maximum(x, 0)),
    "abs": (lambda x: abs(x), np.abs),
}
found_by = {name: compiled(function) for name, (function, _) in FUNCTIONS.items()}


def sample(dtype: Any) -> np.ndarray:
    """Every magnitude, and the neighbourhoods of the places where something changes."""
    rng = np.random.default_rng(1)
    bits = 8 * np.dtype(dtype).itemsize
    info = np.finfo(dtype)
    every = np.exp2(rng.uniform(info.minexp - info.nmant, info.maxexp, 300_000)).astype(dtype)
    usual = rng.uniform(0, 100, 300_000).astype(dtype)
    around_1 = 1 + rng.uniform(-1e-3, 1e-3, 100_000).astype(dtype)
    places = np.array(
        [0, 0.5, 0.5**0.5, 1, 2**0.5, 2, 3, 87.3, 88.7, 103.9, 708.3, 709.7, 745.1, info.max, info.tiny], dtype
    )
    near = (places.view(f"i{bits // 8}")[:, None] + np.arange(-40, 41)).view(dtype)
    x = np.concatenate([every, usual, around_1, np.log(2).astype(dtype) * np.arange(1, 120, dtype=dtype), near.ravel()])
    x = x[np.isfinite(x)]
    return np.concatenate([-x, x])


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How far it is, in the spacing of floats there; what should be infinite or NaN has to be that."""
    dtype = found.dtype
    with np.errstate(over="ignore"):
        rounded = exact.astype(dtype)
    finite = np.isfinite(rounded)
    assert ((found == rounded) | (np.isnan(found) & np.isnan(rounded)) | finite).all()
    assert np.isfinite(found[finite & (abs(rounded) < np.finfo(dtype).max * (1 - 1e-6))]).all()
    unit = np.spacing(np.abs(rounded[finite])).astype(exact.dtype)
    return np.abs(np.minimum(found[finite], np.finfo(dtype).max) - exact[finite]) / unit


@pytest.mark.parametrize(("dtype", "wide"), TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors(name: str, dtype: Any, wide: Any) -> None:
    x = sample(dtype)
    with np.errstate(all="ignore"):
        errors = ulps(found_by[name](x), FUNCTIONS[name][1](x.astype(wide)))
    assert errors.max() <= {"sqrt": 0.51, "reciprocal": 0.51, "relu": 0, "abs": 0}.get(name, ULP[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        ("exp", [-np.inf, np.inf, np.nan, 0.0, -0.0], [0, np.inf, np.nan, 1, 1]),
        ("log", [-np.inf, np.inf, np.nan, 0.0, -0.0, -1, 1], [np.nan, np.inf, np.nan, -np.inf, -np.inf, np.nan, 0]),
        ("log1p", [-np.inf, np.inf, np.nan, 0.0, -1, -2], [np.nan, np.inf, np.nan, 0, -np.inf, np.nan]),
        ("sqrt", [-1, np.inf, np.nan, 0], [np.nan, np.inf, np.nan, 0]),
        ("softplus", [-np.inf, np.inf, np.nan], [0, np.inf, np.nan]),
        ("reciprocal", [-np.inf, np.inf, np.nan, 0, -0.0], [-0.0, 0, np.nan, np.inf, -np.inf]),
        ("relu", [-np.inf, np.inf, np.nan], [0, np.inf, np.nan]),
        ("hard_sigmoid", [-np.inf, np.inf, np.nan, -3, 3], [0, 1, np.nan, 0, 1]),
        ("abs", [-np.inf, np.inf, np.nan], [np.inf, np.inf, np.nan]),
    ],
)
def test_ends(name: str, x: list[float], wanted: list[float], dtype: Any) -> None:
    assert np.array_equal(found_by[name](np.array(x, dtype)), np.array(wanted, dtype), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_two(dtype: Any) -> None:
    """Every pair of some numbers, NaN and infinities among them."""
    some = np.array([-np.inf, -2.5, -1, 0, 0.75, 3, np.inf, np.nan], dtype)
    a, b = (grid.ravel() for grid in np.meshgrid(some, some))
    with np.errstate(all="ignore"):
        for found, wanted in (
            (compiled(lambda a, b: minimum(a, b)), np.minimum(a, b)),
            (compiled(lambda a, b: maximum(a, b)), np.maximum(a, b)),
            (compiled(lambda a, b: minimum(0.5, a) + 0 * where(b < b, b, 1)), np.minimum(a, 0.5)),
            (compiled(lambda a, b: a / b), a / b),
            (compiled(lambda a, b: where(a < b, a, b)), np.where(a < b, a, b)),
            (compiled(lambda a, b: where(a <= b, 1.0, b)), np.where(a <= b, 1, b)),
            (compiled(lambda a, b: where(a > b, a, -1)), np.where(a > b, a, -1)),
            (compiled(lambda a, b: where(a <= 0.0, 1, 2) + b), np.where(a <= 0, 1, 2) + b),
            (compiled(lambda a, b: where(a < 0.5, b, a)), np.where(a < 0.5, b, a)),
        ):
            assert np.array_equal(found(a, b), wanted, equal_nan=True)


def odd(z, c, w):
    i, f = exp(-relu(z.i)), hard_sigmoid(z.f + w.a)
    c = maximum(f * c + i * sqrt(1.0 + z.g * z.g), -0.5) / (1.0 + minimum(exp(c), z.i * z.i))
    u = where(z.o < 0.0, 0.1 * z.o, log(1.0 + exp(z.o)))
    return c, u * softplus(c) + softsign(z.g) - abs(w.b)


def test_a_derived_cell_on_vectors_and_on_arrays(rng: Any) -> None:
    z, w = (namedtuple("Names", text)(*text.split()) for text in ("i f g o", "a b"))
    derived = Derived(odd, z, w)

    def forward(i, f, g, o, c, a, b):
        made = derived.forward(type(z)(i, f, g, o), c, type(w)(a, b))
        return (*made.kept, made.c, made.h)

    def backward(i, f, g, o, c, a, b, dh, dc):
        *kept, c_new, _ = forward(i, f, g, o, c, a, b)
        back = derived.backward(Given(kept, kept, c, c_new.tanh(), dh, dc, type(w)(a, b)))
        return (*back.dz, back.dc, back.h_old, *back.dw)

    rows = rng.standard_normal((9, 64))
    for function, count in ((forward, 7), (backward, 9)):
        wanted = function(*rows[:count].view(Numbers))
        for n, one in enumerate(wanted):
            text = f"lambda {', '.join('abcdefghi'[:count])}: function({', '.join('abcdefghi'[:count])})[{n}]"
            found = compiled(eval(text, {"function": function}))(*rows[:count])
            assert np.allclose(found, one, rtol=1e-11, atol=1e-12), (function, n)
