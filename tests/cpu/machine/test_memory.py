"""Peaks of memory beyond the arguments, as tracemalloc sees NumPy's arrays."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.cpu.machine import memory
from fastlstm.cpu.vectors.target import lanes

N, T, D, H = 256, 125, 64, 256  # an array of all steps, as small as x, is larger than SLACK
FLOAT = 4
SLACK = 3_000_000  # what a call needs for itself, and rows of O(threads · rows · H)


def peak(call: Callable[[], Any]) -> tuple[int, Any]:
    call_once = call()  # compiled before it is measured
    del call_once
    memory.release()  # what is kept for another call counts as new
    tracemalloc.start()
    try:
        found = call()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def problem() -> Any:
    params = fastlstm.init_params(D, H, rng=0)
    return params, np.random.default_rng(0).standard_normal((N, T, D), np.float32)


def test_inference(problem: Any) -> None:
    params, x = problem
    y = N * T * H * FLOAT
    weights = 4 * H * (1 + D + H) * FLOAT
    assert peak(lambda: fastlstm.forward(x, params))[0] < y + weights + SLACK


def test_inference_of_a_stack(problem: Any) -> None:
    params, x = problem
    second = fastlstm.init_params(H, H, rng=1)
    y, weights = N * T * H * FLOAT, 4 * H * (1 + H + H) * FLOAT
    assert peak(lambda: fastlstm.forward(x, (params, second)))[0] < 2 * y + 2 * weights + SLACK


def test_training(problem: Any) -> None:
    params, x = problem
    y, weights = N * T * H * FLOAT, 4 * H * (1 + D + H) * FLOAT
    used, (_, state, tape) = peak(lambda: fastlstm.forward_train(x, params))
    assert H % lanes(FLOAT) == 0
    assert used < N * T * (6 * H + D) * FLOAT + 2 * weights + SLACK  # y is among the 6H
    dx = N * T * D * FLOAT
    used, _ = peak(lambda: fastlstm.backward(tape, dstate=state))
    block = 384 * (4 * H + H + D + 64) * FLOAT  # rows of a block, each with gates' gradients and operands
    assert used < dx + 5 * weights + block + SLACK
    assert y > used  # nothing of the size of all steps but dx


def test_memory_is_used_again_and_given_back() -> None:
    memory.release()
    shape = 1000, 300
    first = memory.empty(shape, np.float32)
    assert first.ctypes.data % 64 == 0
    place, part = first.ctypes.data, first[3:5]
    del first
    assert not memory._spare  # a part is still in use
    other = memory.empty(shape, np.float32)
    assert other.ctypes.data != place
    del part
    again = memory.empty((1000, 290), np.float32)  # a little less
    assert again.ctypes.data == place
    kept = [memory.empty((memory.KEPT // 12,), np.float32) for _ in range(5)]  # each a third of what is kept
    del kept, again, other
    assert 0 < sum(piece.nbytes for piece in memory._spare.values()) <= memory.KEPT
    memory.release()
    assert not memory._spare


def test_memory_of_many_threads() -> None:
    def work(number: int) -> bool:
        for _ in range(200):
            array = memory.empty((100_000,), np.float32)
            array.fill(number)
            if not (array == number).all():
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_garbage_collected_in_between() -> None:
    """Pieces that come back while spare ones are looked through, because a cycle that held them is collected then."""
    before = gc.get_threshold()
    memory.release()
    gc.freeze()  # else each collection goes through all that the tests have made
    held = [(i, i) for i in range(5000)]  # Python keeps some such tuples, and collects garbage for a new one only
    try:
        kept = [memory.aligned((memory.LARGE + 1024 * k,), np.float32) for k in range(40)]
        del kept
        for allocations in range(1, 80):  # the collection comes after so many
            gc.set_threshold(0)
            gc.collect()
            cycle: list[Any] = [memory.aligned((2 * memory.LARGE + 1024 * allocations,), np.float32)]
            cycle.append(cycle)
            del cycle
            gc.set_threshold(gc.get_count()[0] + allocations)
            memory.aligned((4 * memory.LARGE,), np.float32)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        memory.release()
    assert held
