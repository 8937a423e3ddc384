"""Compile every kernel ahead, so that no later call has to."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .cpu.callable import from_python
from .cpu.compiler.run import Recording, compile_region
from .cpu.lstm import engine, plans, records
from .cpu.training import arrays, dense, masks
from .nn import losses, optimizers
from .params import CELLS, shapes


def main(argv: Sequence[str] = ()) -> None:
    """Compile every kernel, or load it from the cache; say of each which it is, then what it took."""
    parser = argparse.ArgumentParser(
        prog="python -m fastlstm warmup",
        description="Compile every kernel ahead, or load it from the cache, so that no later call has to.",
    )
    parser.add_argument("cells", nargs="*", metavar="CELL", default=["standard"],
                        help=f"{', '.join(CELLS)} (default: standard, and what fastlstm.nn adds)")  # fmt: skip
    parser.add_argument("--dtype", choices=("float32", "float64"), help="of that float type alone (default: of both)")
    options = parser.parse_args(argv)
    if unknown := [cell for cell in options.cells if cell not in CELLS]:
        parser.error(f"expected names of cells ({', '.join(CELLS)}), got {' '.join(unknown)}")
    began = time.perf_counter()
    _timed([("threads", compile_region), ("recordings", Recording)])
    for cell in options.cells:
        for name in [options.dtype] if options.dtype else ["float32", "float64"]:
            _timed(_kernels(cell, np.dtype(name)), f"{name} ")
            if cell == "standard":
                _timed(_kernels_of_nn(np.dtype(name)), f"{name} ")
        print(f"{cell} cell ready after {time.perf_counter() - began:.1f} s")


_Calls = Iterable[tuple[str, Callable[[], object]]]


def _timed(calls: _Calls, before: str = "") -> None:
    """Each name, then a call, then the seconds it took."""
    for name, call in calls:
        print(f"{before + name:<22}", end="", flush=True)
        began = time.perf_counter()
        call()
        print(f"{time.perf_counter() - began:6.2f} s", flush=True)


def _kernels(cell: str, dtype: np.dtype[Any]) -> _Calls:
    """A call of each kernel on a small problem; each is made before the next one is asked for."""
    N, T, D, H = 2, 2, 3, 4
    record, x = CELLS[cell], np.ones((N, T, D), dtype)
    params = record(*(np.zeros(shape, dtype) for shape in shapes(record, D, H, H).values()))
    yield "pack", lambda: engine.pack(params)
    packed = engine.pack(params)
    kept = records.keep(packed, N, T)
    y, h, c = np.empty((N, T, H), dtype), np.zeros((N, H), dtype), np.zeros((N, H), dtype)
    there, back = plans.plan_forward(packed, N, T, None), plans.plan_backward(packed, N, T, None)
    yield "forward", lambda: engine.forward(there, x, h, c, y, 0, None, False, None, kept)
    yield "backward", lambda: engine.backward(back, x, h, kept, False, None, y, 0, h, c, np.zeros_like(x))
    for ndim in (1, 2):
        yield f"step {ndim}-D", partial(from_python.compile_step, dtype, packed.layout.dtype, ndim)


def _kernels_of_nn(dtype: np.dtype[Any]) -> _Calls:
    """The same for what `fastlstm.nn` adds."""
    M, D, U = 2, 3, 4
    x, W, y = (np.ones(shape, dtype) for shape in ((M, D), (D, U), (M, U)))
    yield "dense", partial(dense.forward, x, W, W[0], dense.TANH, y)
    yield "dense back", partial(dense.backward, x, W, y, y, dense.TANH, np.empty_like(W), np.empty_like(W[0]), None)
    yield "losses", partial(losses.MeanSquaredError().value_and_gradient, y, y)
    yield "categorical", partial(losses.CategoricalCrossentropy().value_and_gradient, y, y)
    for name in ("sgd", "rmsprop", "adam"):
        weights, optimizer = np.ones(8, dtype), optimizers.get(name)
        optimizer.build(weights)
        yield name, partial(optimizer.update, weights, weights.copy())
    yield "fill", partial(arrays.run_fill, y, y.copy())
    where, z = np.zeros((1, 2), np.int64), np.zeros((1, 2, 3), dtype)
    yield "masks", partial(masks.run_expand, z, z, where, z.copy())
    yield "dropout", partial(masks.run_dropped, z, np.ones((1, 3), np.float32), 0.5, z.copy())
    yield "masks back", partial(masks.run_collect, z, where, z.copy(), z[:, 0].copy())
