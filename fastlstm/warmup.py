"""Compile every kernel ahead, so that no later call has to."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import backend
from .backend import Pass
from .nn import losses, optimizers
from .params import CELLS, Batch, State, shapes


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
    _timed(backend.engine.prepare())
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
    engine, record, x = backend.engine, CELLS[cell], np.ones((N, T, D), dtype)
    params = record(*(np.zeros(shape, dtype) for shape in shapes(record, D, H, H).values()))
    yield "pack", lambda: engine.pack(params)
    packed, batch, y = engine.pack(params), Batch(x), np.empty((N, T, H), dtype)
    state, kept = State(np.zeros((N, H), dtype), np.zeros((N, H), dtype)), engine.keep(packed, N, T)
    yield "forward", lambda: engine.forward(packed=packed, batch=batch, state=state, y=y, kept=kept)
    done = Pass(packed, batch, state.h, kept)
    yield "backward", lambda: engine.backward(done=done, dy=y, dstate=state, dx=np.zeros_like(x))
    yield "step 1-D", lambda: engine.step(x[0, 0], packed, State(state.h[0], state.c[0]))
    yield "step 2-D", lambda: engine.step(x[:, 0].copy(), packed, state)


def _kernels_of_nn(dtype: np.dtype[Any]) -> _Calls:
    """The same for what `fastlstm.nn` adds."""
    M, D, U = 2, 3, 4
    kernels, tanh = backend.engine.training, backend.engine.training.ACTIVATIONS["tanh"]
    x, W, y = (np.ones(shape, dtype) for shape in ((M, D), (D, U), (M, U)))
    yield "dense", partial(kernels.dense_forward, x, W, W[0], tanh, y)
    yield "dense back", partial(kernels.dense_backward, x, W, y, y, tanh, np.empty_like(W), np.empty_like(W[0]), None)
    yield "losses", partial(losses.MeanSquaredError().value_and_gradient, y, y)
    yield "categorical", partial(losses.CategoricalCrossentropy().value_and_gradient, y, y)
    for name in ("sgd", "rmsprop", "adam"):
        weights, optimizer = np.ones(8, dtype), optimizers.get(name)
        optimizer.build(weights)
        yield name, partial(optimizer.update, weights, weights.copy())
    yield "fill", partial(_recorded, kernels.copied, y)
    where, z = np.zeros((1, 2), np.int64), np.zeros((1, 2, 3), dtype)
    yield "masks", partial(kernels.expand, z, z, where, z.copy())
    yield "dropout", partial(kernels.drop, z, np.ones((1, 3), np.float32), 0.5, z.copy())
    yield "masks back", partial(kernels.collect, z, where, z.copy(), z[:, 0].copy())
    yield "embedding", partial(kernels.take, W, where[0], W[:2].copy())
    yield "embedding back", partial(kernels.scatter, where[0], W[:2], W.copy())


def _recorded(call: Callable[..., object], *arguments: Any) -> None:
    """That call where runs are recorded, which some kernels are for."""
    recorder = backend.engine.recorder
    if recorder is not None:
        with recorder():
            call(*arguments)
