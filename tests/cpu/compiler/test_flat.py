"""What compiled code does with a Flat, held against NumPy's arrays."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from fastlstm.cpu.compiler.flat import Flat
from fastlstm.cpu.compiler.options import OPTIONS
from fastlstm.cpu.compiler.run import loaded, stored
from fastlstm.cpu.vectors.views import flat, flat_or, on_stack


@numba.njit
def _written(array: Any, at: Any, value: Any) -> Any:
    whole = flat(array)
    part = whole[at : at + 3]
    part[1] = value
    return len(whole), whole.size, part.size, whole[at], part[2], whole.dtype.type(7) / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_numbers_are_read_and_written(dtype: Any, rng: np.random.Generator) -> None:
    array = rng.integers(0, 100, (4, 5)).astype(dtype)
    expected = array.copy()
    expected.reshape(-1)[8] = 1
    found = _written(array, 7, 1)
    np.testing.assert_array_equal(array, expected)
    assert found == (20, 20, 3, array.reshape(-1)[7], array.reshape(-1)[9], dtype(7) / 2)


def test_what_is_written_has_the_type_of_the_numbers() -> None:
    array = np.zeros((2, 3), np.float32)
    _written(array, 0, 0.1)
    assert array[0, 1] == np.float32(0.1)


@numba.njit
def _either(given: Any, other: Any) -> Any:
    return flat_or(given, other)[1]


def test_another_array_where_there_is_none() -> None:
    array, other = np.array([[3.0, 4.0]]), np.array([5.0, 6.0])
    assert (_either(array, other), _either(None, other)) == (4, 6)


@numba.njit
def _reversed(array: Any) -> Any:
    room = on_stack(array, array.size)
    for i in range(array.size):
        room[room.size - 1 - i] = array[i]
    for i in range(array.size):
        array[i] = room[i]
    return room.size


def test_room_on_the_stack(rng: np.random.Generator) -> None:
    array = rng.standard_normal(37)
    expected = array[::-1].copy()
    assert _reversed(array) == 37
    np.testing.assert_array_equal(array, expected)


@numba.njit(_nrt=False, **OPTIONS)  # as kernels: nothing counts references of what is loaded
def _through_memory(place: Any, arguments: Any) -> Any:
    a, count, b, table, truth = loaded(stored(place, arguments))
    a[count] = b[0]
    return a.size, table[1, 0], truth


@pytest.mark.parametrize("kept", [True, False])
def test_a_kernels_arguments(kept: bool) -> None:
    room, a = np.zeros(16, np.int64), np.zeros(5, np.float32)
    arguments = a, 3, np.array([2.5, 0.0]), np.array([[1, 2], [3, 4]]), True
    assert _through_memory(room.ctypes.data if kept else 0, arguments) == (5, 3, True)
    assert a.tolist() == [0, 0, 0, 2.5, 0]
    assert room[:2].tolist() == ([a.ctypes.data, 5] if kept else [0, 0])


def test_two_words_in_place_of_seven() -> None:
    context = numba.core.registry.cpu_target.target_context
    sizes = [context.get_abi_sizeof(context.get_data_type(kind)) for kind in (
        Flat(numba.float32), numba.types.Array(numba.float32, 1, "C"))]  # fmt: skip
    assert sizes == [16, 56]
