"""The simulator: threads of a block share an array, however they are switched, and wait for one another."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba.cuda.simulator import kernelapi

from fastlstm.cuda.device import cuda, kernel


def test_threads_that_ask_at_once_get_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    @kernel
    def exchange(out: Any) -> None:
        numbers = cuda.shared.array(4, np.float32)
        me = cuda.threadIdx.x
        numbers[me] = me
        cuda.syncthreads()
        out[me] = numbers[3 - me]

    def late(shape: int, dtype: Any) -> Any:
        time.sleep(0.05)  # threads that run at once would all have asked by then
        return np.full(shape, np.nan, dtype)

    monkeypatch.setattr(kernelapi, "np", SimpleNamespace(empty=late, zeros=np.zeros, byte=np.byte))
    out = np.zeros(4, np.float32)
    exchange[1, 4](out)
    assert out.tolist() == [3, 2, 1, 0]


def test_threads_that_end_are_not_waited_for() -> None:
    @kernel
    def halved(out: Any) -> None:
        numbers = cuda.shared.array(8, np.float64)
        me = cuda.threadIdx.x
        numbers[me] = me
        cuda.syncthreads()
        for half in (4, 2, 1):
            if me >= half:
                return
            numbers[me] += numbers[me + half]
            cuda.syncthreads()
        out[cuda.blockIdx.x] = numbers[0]

    out = np.zeros(3)
    halved[3, 8](out)
    assert out.tolist() == [28, 28, 28]


def test_what_a_thread_raises_ends_the_kernel() -> None:
    @kernel
    def wrong(out: Any) -> None:
        if cuda.threadIdx.x == 1:
            raise ValueError("no")
        cuda.syncthreads()
        out[cuda.threadIdx.x] = 1

    with pytest.raises(ValueError, match=r"tid=\[1, 0, 0\].*no"):
        wrong[1, 3](np.zeros(3))
