"""Windows of a series against loops by hand, and against Keras's own."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_golden import live_keras

from fastlstm.sklearn import windows

Y = np.random.default_rng(0).standard_normal((23, 2))


def by_hand(y: Any, length: int, horizon: int, stride: int) -> tuple[list[Any], list[Any]]:
    past, future, start = [], [], 0
    while start + length + horizon <= len(y):
        past.append([y[start + step] for step in range(length)])
        future.append([y[start + length + step] for step in range(horizon)])
        start += stride
    return past, future


@settings(max_examples=80, deadline=None)
@given(
    steps=st.integers(1, 30), length=st.integers(1, 12), horizon=st.integers(0, 6), stride=st.integers(1, 9),
    columns=st.sampled_from([(), (1,), (3,), (2, 2)]), dtype=st.sampled_from(["f4", "f8", "i8", "?"]),
)  # fmt: skip
def test_windows_are_those_of_a_loop(
    steps: int, length: int, horizon: int, stride: int, columns: tuple[int, ...], dtype: str
) -> None:  # fmt: skip
    y = np.random.default_rng(steps).integers(-99, 99, (steps, *columns)).astype(dtype)
    if steps < length + horizon:
        with pytest.raises(ValueError, match=re.escape(f"length + horizon = {length} + {horizon} steps, got {steps}")):
            windows(y, length, horizon, stride)
        return
    found, expected = windows(y, length, horizon, stride), by_hand(y, length, horizon, stride)
    for ours, theirs, size in zip(found, expected, (length, horizon), strict=True):
        assert ours.shape == (len(expected[0]), size, *columns)
        assert ours.dtype == y.dtype
        np.testing.assert_array_equal(ours, np.reshape(theirs, ours.shape))


def test_windows_share_the_memory_of_the_series_and_are_read_only() -> None:
    y = Y.copy()
    past, future = windows(y, 5, 3, 2)
    for part in (past, future):
        assert np.shares_memory(part, y)
        assert not part.flags.writeable
    y[4] = 7
    assert (past[0, 4] == 7).all()
    with pytest.raises(ValueError, match="read-only"):
        past[0] = 0
    assert y.flags.writeable


def test_any_layout_of_a_series_is_taken() -> None:
    expected = by_hand(Y, 4, 2, 3)
    for y in (np.asfortranarray(Y), Y[::-1].copy()[::-1], np.repeat(Y, 2, axis=1)[:, ::2], Y.tolist()):
        for ours, theirs in zip(windows(y, 4, 2, 3), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("stride", [1, 3])
def test_windows_are_those_of_keras(stride: int) -> None:
    keras = live_keras()
    pytest.importorskip("grain")  # one of the two packages that it yields batches by
    length = 5
    past, future = windows(Y, length, 1, stride)
    data = keras.utils.timeseries_dataset_from_array(
        Y[:-1], Y[length:], length, sequence_stride=stride, batch_size=None, format="grain"
    )
    theirs = [tuple(np.asarray(one) for one in pair) for pair in data]
    assert len(theirs) == len(past)
    for (x, y), ours, behind in zip(theirs, past, future[:, 0], strict=True):
        np.testing.assert_array_equal(ours, x)
        np.testing.assert_array_equal(behind, y)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Y, 0), ValueError, "length: expected at least 1, got 0"),
        ((Y, 2.0), TypeError, "length: expected an integer, got float"),
        ((Y, True), TypeError, "length: expected an integer, got bool"),
        ((Y, 3, -1), ValueError, "horizon: expected at least 0, got -1"),
        ((Y, 3, 1, 0), ValueError, "stride: expected at least 1, got 0"),
        ((Y, 20, 4), ValueError, "y: expected at least length + horizon = 20 + 4 steps, got 23"),
        (([], 1), ValueError, "y: expected at least length + horizon = 1 + 1 steps, got 0"),
        ((1.5, 1), ValueError, "y: expected a series of shape (T, ...), got a number"),
        ((["a", "b"], 1), TypeError, "y: expected real numbers, got dtype <U1"),
        (([[1, 2], [3]], 1), ValueError, "y: expected sequences of one length, got 1 to 2 steps"),
    ],
)
def test_bad_input(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        windows(*arguments)
