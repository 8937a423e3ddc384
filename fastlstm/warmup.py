"""Compile every kernel ahead, so that no later call has to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from .kernels import backend
from .params import init_params


def main(argv: Sequence[str] = ()) -> None:
    """Compile, or load from the cache, the forward and backward kernels of both float types and shells."""
    if argv:
        raise SystemExit(f"warmup: takes no arguments, got {' '.join(argv)}")
    began = time.perf_counter()
    threads = numba.get_num_threads()
    for dtype in (np.float32, np.float64):
        for shell in ("serial", "parallel"):
            if shell == "parallel" and threads == 1:
                continue  # one thread never takes the parallel kernels
            for name, seconds in _run(np.dtype(dtype), shell == "parallel"):
                print(f"{np.dtype(dtype).name} {shell:<8} {name:<8} {seconds:6.2f} s", flush=True)
    print(f"ready after {time.perf_counter() - began:.1f} s")


def _run(dtype: np.dtype[Any], parallel: bool) -> list[tuple[str, float]]:
    """One call of each kernel on a problem just large enough for its shell; names and seconds."""
    N, T, D, H = (24, 32, 64, 64) if parallel else (2, 2, 3, 4)
    params = init_params(D, H, rng=0, dtype=dtype)
    packed = backend.pack(params)
    x = np.ones((N, T, D), dtype)
    y, kept = np.empty((N, T, H), dtype), backend.keep(packed, N, T)
    h, c, dh, dc = (np.zeros((N, H), dtype) for _ in range(4))
    times = [time.perf_counter()]
    backend.forward(x, packed, h, c, y, 0, None, None, False, kept)
    times.append(time.perf_counter())
    backend.backward(x, params, h, kept, None, False, y, 0, dh, dc, np.zeros_like(x))
    times.append(time.perf_counter())
    if parallel:
        backend.forward(x[:1], packed, h[:1], c[:1], y[:1], 0, None, None, False, None)
        times.append(time.perf_counter())
    return [
        (name, after - before)
        for name, before, after in zip(("forward", "backward", "duo"), times, times[1:], strict=False)
    ]
