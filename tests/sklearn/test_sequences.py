"""Sequences as they are given, padded, and brought to one scale."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastlstm.sklearn.sequences import Sequences, read, scale_of, scale_of_steps, scaled


def taken(X: Any) -> tuple[Sequences, Any]:
    estimator = SimpleNamespace()
    return read(estimator, X, reset=True), estimator


def test_what_is_padded_and_what_comes_back(ragged: list[np.ndarray]) -> None:
    found, estimator = taken(ragged)
    assert estimator.n_features_in_ == 2
    assert found.lengths is not None
    for one, x, length in zip(ragged, found.x, found.lengths, strict=True):
        assert (x[:length] == one).all()
        assert not x[length:].any()
    assert all((a == b).all() for a, b in zip(found.like_given(found.x), ragged, strict=True))


def test_a_part_has_no_more_padding_than_it_needs(ragged: list[np.ndarray]) -> None:
    found, _ = taken(ragged)
    assert found.lengths is not None
    shortest = np.flatnonzero(found.lengths == found.lengths.min())
    part = found.part(shortest)
    assert part.lengths is None
    assert part.x.shape == (len(shortest), found.lengths.min(), 2)
    two = found.part([int(found.lengths.argmax()), shortest[0]])
    assert two.x.shape[1] == found.lengths.max()
    assert two.lengths is not None


FORMS: dict[str, Any] = {
    "array": lambda x: x,
    "list of arrays": list,
    "tuple": tuple,
    "nested lists": lambda x: x.tolist(),
    "big endian": lambda x: x.astype(">f8"),
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "Fortran": np.asfortranarray,
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_same(form: str, rng: Any) -> None:
    x = rng.standard_normal((4, 3, 2))
    found, _ = taken(FORMS[form](x))
    assert found.lengths is None
    assert (found.x == x).all()


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        (np.ones((2, 3, 1), np.float32), np.float32),
        (np.ones((2, 3, 1), np.float16), np.float64),
        (np.ones((2, 3, 1), np.int8), np.float64),
        (np.ones((2, 3, 1), bool), np.float64),
        ([np.ones((3, 1), np.float32), np.ones((2, 1), np.float32)], np.float32),
        ([np.ones((3, 1), np.float32), np.ones((2, 1))], np.float64),
        ([[1, 2], [3, 4, 5]], np.float64),
    ],
)
def test_types(X: Any, dtype: Any) -> None:
    assert taken(X)[0].x.dtype == dtype


def test_scale_is_of_real_steps_alone(ragged: list[np.ndarray], rng: Any) -> None:
    found, _ = taken(ragged)
    weights = rng.uniform(0.5, 2, len(ragged))
    steps = np.concatenate(ragged)
    scale = scale_of_steps(found, None)
    np.testing.assert_allclose(scale.mean, steps.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(scale.deviation, steps.std(axis=0), rtol=1e-13)
    each = np.concatenate([np.full(len(one), weight) for one, weight in zip(ragged, weights, strict=True)])
    mean = np.average(steps, axis=0, weights=each)
    weighted = scale_of_steps(found, weights)
    np.testing.assert_allclose(weighted.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(weighted.deviation**2, np.average((steps - mean) ** 2, axis=0, weights=each), rtol=1e-12)
    seen = scaled(found, weighted, np.float32)
    assert seen.x.dtype == np.float32
    assert found.lengths is not None
    for one, x, length in zip(ragged, seen.x, found.lengths, strict=True):
        np.testing.assert_allclose(x[:length], (one - mean) / weighted.deviation, rtol=1e-5, atol=1e-6)
        assert not x[length:].any()


def test_large_offsets_and_constant_features() -> None:
    rows = np.array([[1e9 + 1e-3, 0.1, 7], [1e9 + 2e-3, 0.1, 7], [1e9 + 3e-3, 0.1, 7]])
    scale = scale_of(rows, None)
    np.testing.assert_allclose(scale.deviation[1:], 1)
    assert not scale.apply(rows, np.float64)[:, 2].any()
    np.testing.assert_allclose(scale.undo(scale.apply(rows, np.float64)), rows, rtol=1e-15)
    wide = scale_of(1e6 + np.arange(4.0)[:, None], None)
    np.testing.assert_allclose(wide.apply(1e6 + np.arange(4.0)[:, None], np.float32)[:, 0],
                               (np.arange(4) - 1.5) / np.std(np.arange(4)), rtol=1e-6)  # fmt: skip
