"""tanh and sigmoid as the kernels compute them, over a sample of all floats; docs/scripts/every_float.py visits all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastlstm.cpu.vectors import activations
from fastlstm.cpu.vectors.emitter import Emitter, data


def compiled(function: Any) -> Any:
    """A function of vectors as one of arrays, whose size is a multiple of the lanes."""

    @intrinsic
    def apply(typing: Any, x: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = Emitter(builder, context.get_data_type(x.dtype), x.dtype.bitwidth // 8)
            x_, out_ = (data(context, builder, x, arg) for arg in args)
            size = context.make_array(x)(context, builder, args[0]).nitems
            with cgutils.for_range_slice(builder, e.index(0), size, e.index(e.lanes), intp=size.type) as (j, _):
                e.store(function(e.load(x_, j)), out_, j)
            return context.get_dummy_value()

        return types.void(x, out), generate

    @njit
    def run(x: Any, out: Any) -> None:
        apply(x, out)

    def call(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        run(x, out)
        return out

    return call


tanh, sigmoid = compiled(activations.tanh), compiled(activations.sigmoid)


def sample(dtype: Any) -> np.ndarray:
    """Ascending: every magnitude, and the neighbourhoods of the places where something changes."""
    rng = np.random.default_rng(1)
    bits = 8 * np.dtype(dtype).itemsize
    info = np.finfo(dtype)
    every = np.exp2(rng.uniform(info.minexp - info.nmant, info.maxexp, 200_000)).astype(dtype)
    usual = rng.uniform(0, 100, 400_000).astype(dtype)
    places = np.array([0, 9.01, 9.02, 19.07, 87, 88.7, 104, 708, 709.8, info.max, info.tiny], dtype)
    near = (places.view(f"i{bits // 8}")[:, None] + np.arange(-40, 41)).view(dtype)
    x = np.concatenate([every, usual, np.log(2).astype(dtype) * np.arange(1, 120, dtype=dtype), near.ravel()])
    x = np.abs(x[np.isfinite(x)])
    return np.sort(np.concatenate([-x, x]))[len(x) % 8 :][: 2 * len(x) // 16 * 16 - 16]


@pytest.mark.parametrize(("dtype", "wide"), [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_errors(dtype: Any, wide: Any) -> None:
    x = sample(dtype)
    x = x[: len(x) // 16 * 16]
    exact = np.tanh(x.astype(wide))
    found = tanh(x)
    ulp = np.maximum(np.spacing(np.abs(exact).astype(dtype)).astype(wide), np.finfo(dtype).smallest_subnormal)
    normal = np.abs(x) >= np.finfo(dtype).tiny
    assert (np.abs(found - exact) / ulp)[normal].max() < 6
    assert np.abs(found - exact)[~normal].max() <= np.finfo(dtype).tiny  # some processors take them for 0
    assert (np.signbit(found) == np.signbit(x)).all()
    with np.errstate(over="ignore", under="ignore"):
        exact = 1 / (1 + np.exp(-x.astype(wide)))
    found = sigmoid(x)
    assert np.abs(found - exact).max() <= 2.0 ** (-23 if dtype is np.float32 else -51)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends(dtype: Any) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan] + [1.0] * 11, dtype)
    t, s = tanh(x), sigmoid(x)
    assert t[:4].tolist() == [0.0, 0.0, 1.0, -1.0]
    assert np.signbit(t[1])
    assert np.isnan(t[4])
    assert np.isnan(s[4])
    assert s[:4].tolist() == [0.5, 0.5, 1.0, 0.0]


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 87.0), (np.float64, 708.0)])
def test_sigmoid_is_normal_or_nothing(dtype: Any, limit: float) -> None:
    edge = dtype(-limit)
    x = np.array([edge, np.nextafter(edge, dtype(-np.inf)), 2 * edge, np.finfo(dtype).min] * 4, dtype)
    found = sigmoid(x)[:4]
    assert found[0] >= np.finfo(dtype).tiny
    assert found[1:].tolist() == [0.0, 0.0, 0.0]
