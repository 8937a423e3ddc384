"""Compile every kernel ahead, so that no later call has to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from .kernels import arrays, backend, dense, inplace, masks
from .kernels.options import Recording, compile_region
from .nn import losses, optimizers
from .params import CELLS, shapes


def main(argv: Sequence[str] = ()) -> None:
    """Compile, or load from the cache, every kernel for both float types: of the standard cell, or of the cells that
    are named."""
    cells = list(argv) or ["standard"]
    if unknown := [cell for cell in cells if cell not in CELLS]:
        raise SystemExit(f"warmup: expected names of cells ({', '.join(CELLS)}), got {' '.join(unknown)}")
    began = time.perf_counter()
    for name, compiling in (("threads", compile_region), ("recordings", Recording().run)):
        print(f"{name:<20} {_seconds(compiling):6.2f} s", flush=True)
    for cell in cells:
        for dtype in (np.float32, np.float64):
            found = _run(cell, np.dtype(dtype))
            if cell == "standard":
                found = chain(found, _run_nn(np.dtype(dtype)))
            for name, seconds in found:
                print(f"{np.dtype(dtype).name} {name:<12} {seconds:6.2f} s", flush=True)
        print(f"{cell} cell ready after {time.perf_counter() - began:.1f} s")


def _run(cell: str, dtype: np.dtype[Any]) -> Iterator[tuple[str, float]]:
    """One call of each kernel on a small problem; names and seconds."""
    N, T, D, H = 2, 2, 3, 4
    record, x = CELLS[cell], np.ones((N, T, D), dtype)
    params = record(*(np.zeros(shape, dtype) for shape in shapes(record, D, H, H).values()))
    yield "pack", _seconds(backend.pack, params)
    packed = backend.pack(params)
    kept = backend.keep(packed, N, T)
    y, h, c = np.empty((N, T, H), dtype), np.zeros((N, H), dtype), np.zeros((N, H), dtype)
    there, back = backend.plan_forward(packed, N, T, None), backend.plan_backward(packed, N, T, None)
    yield "forward", _seconds(backend.forward, there, x, h, c, y, 0, None, False, None, kept)
    yield "backward", _seconds(backend.backward, back, x, h, kept, False, None, y, 0, h, c, np.zeros_like(x))
    for ndim in (1, 2):
        compiling = inplace.compile_step, dtype, packed.layout.dtype, ndim
        yield f"step {ndim}-D", _seconds(*compiling)


def _run_nn(dtype: np.dtype[Any]) -> Iterator[tuple[str, float]]:
    """The same for what `fastlstm.nn` adds."""
    M, D, U = 2, 3, 4
    x, W, y = (np.ones(shape, dtype) for shape in ((M, D), (D, U), (M, U)))
    yield "dense", _seconds(dense.forward, x, W, W[0], dense.TANH, y)
    yield "dense back", _seconds(dense.backward, x, W, y, y, dense.TANH, np.empty_like(W), np.empty_like(W[0]), None)
    yield "losses", _seconds(losses.MeanSquaredError().value_and_gradient, y, y)
    yield "categorical", _seconds(losses.CategoricalCrossentropy().value_and_gradient, y, y)
    for name in ("sgd", "rmsprop", "adam"):
        weights, optimizer = np.ones(8, dtype), optimizers.get(name)
        optimizer.build(weights)
        yield name, _seconds(optimizer.update, weights, weights.copy())
    yield "fill", _seconds(arrays.run_fill, y, y.copy())
    where, z = np.zeros((1, 2), np.int64), np.zeros((1, 2, 3), dtype)
    yield "masks", _seconds(masks.run_expand, z, z, where, z.copy())
    yield "dropout", _seconds(masks.run_dropped, z, np.ones((1, 3), np.float32), 0.5, z.copy())
    yield "masks back", _seconds(masks.run_collect, z, where, z.copy(), z[:, 0].copy())


def _seconds(kernel: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter()
    kernel(*arguments)
    return time.perf_counter() - began
