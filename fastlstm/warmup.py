"""Compile every kernel ahead, so that no later call has to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
import numpy as np

from .kernels import backend
from .params import Params, init_params


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


def _run(dtype: np.dtype[Any], parallel: bool) -> Iterator[tuple[str, float]]:
    """One call of each kernel on a problem just large enough for it; names and seconds."""
    N, T, D, H = (24, 32, 64, 64) if parallel else (2, 2, 3, 4)
    small, x = init_params(D, H, rng=0, dtype=dtype), np.ones((N, T, D), dtype)
    packed, kept = backend.pack(small), backend.keep(backend.pack(small), N, T)
    y = np.empty((N, T, H), dtype)
    h, c = np.zeros((N, H), dtype), np.zeros((N, H), dtype)
    yield "forward", _seconds(backend.forward, x, packed, h, c, y, 0, None, None, False, kept)
    yield "backward", _seconds(backend.backward, x, packed, h, kept, None, False, y, 0, h, c, np.zeros_like(x))
    if parallel:
        yield "duo", _seconds(backend.forward, x[:1], packed, h[:1], c[:1], y[:1], 0, None, None, False, None)
        large = Params(*(np.zeros(shape, dtype) for shape in ((512, 2048), (512, 2048), (2048,))))
        x, y = np.ones((2, 1, 512), dtype), np.empty((2, 1, 512), dtype)
        h, c = np.zeros((2, 512), dtype), np.zeros((2, 512), dtype)
        yield "wide", _seconds(backend.forward, x, backend.pack(large), h, c, y, 0, None, None, False, None)


def _seconds(kernel: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter()
    kernel(*arguments)
    return time.perf_counter() - began
