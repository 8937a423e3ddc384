"""Problems for kernels on a device, and what they give: by the launchers, and by the reference."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from oracles import random_params, random_state

from fastlstm import reference
from fastlstm.cells.table import cell_with
from fastlstm.cuda import launch
from fastlstm.cuda.records import DeviceBatch
from fastlstm.params import sizes

COLUMN = 1  # of y, where a layer's h begins: there are numbers on both sides of it


class Problem(NamedTuple):
    params: Any
    x: Any
    state: Any
    dy: Any
    dstate: Any
    options: dict[str, Any]


class Found(NamedTuple):
    y: Any
    state: Any
    cells: Any
    dx: Any = None
    dstate: Any = None
    dparams: Any = None


def to_device(tree: Any) -> Any:
    return type(tree)(*(cuda.to_device(np.ascontiguousarray(array)) for array in tree))


def to_host(tree: Any) -> Any:
    return type(tree)(*(array.copy_to_host() for array in tree))


def problem(params: Any, N: int, T: int, options: str, seed: int = 0) -> Problem:
    """options: names of "lengths", "reset", "mask", "reverse", in one string."""
    rng = np.random.default_rng(seed)
    (D, _, P), dtype = sizes(params), params.W.dtype

    def some(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    def states() -> Any:
        state = random_state(rng, params, N)
        return type(state)(*(array.astype(dtype) for array in state))

    given: dict[str, Any] = {}
    if "lengths" in options:
        given["lengths"] = rng.permutation(np.arange(N) % (T + 1))
    if "reset" in options:
        given["reset"] = rng.random((N, T)) < 0.4
    if "mask" in options:
        given["h_mask"] = np.where(rng.random((N, P)) < 0.3, 0, 1.25).astype(dtype)
    if "reverse" in options:
        given["reverse"] = True
    return Problem(params, some(N, T, D), states(), some(N, T, P + 2), states(), given)


def params_of(cell: str, D: int, H: int, dtype: Any, seed: int = 1) -> Any:
    return random_params(np.random.default_rng(seed), D, H, dtype, cell)


def expected(given: Problem) -> Found:
    params, x, state, dy, dstate, options = given
    P = sizes(params)[2]
    y, last, tape = reference.forward_train(x, params, state, **options)
    grads = reference.backward(tape, dy[:, :, COLUMN : COLUMN + P], dstate)
    cells = None
    if hasattr(state, "c"):
        cells = reference.forward_cells(x, params, state, **options)[2]
    return Found(y, last, cells, grads.x, grads.state, grads.params)


def batch_of(given: Problem, kind: str | None) -> DeviceBatch:
    """The batch of a problem on the device."""
    options, (N, T, _) = given.options, given.x.shape
    mask = options.get("h_mask")
    schedule = launch.schedule(
        N, T, options.get("lengths"), options.get("reset"), reverse=options.get("reverse", False)
    )
    return DeviceBatch(cuda.to_device(given.x), schedule, None if mask is None else cuda.to_device(mask), kind)


def forward(given: Problem, kind: str | None, kept: Any = None) -> Found:
    """Without a tape, if none is given."""
    params, x, state, *_ = given
    (N, T, _), P = x.shape, sizes(params)[2]
    weights, batch = launch.pack(to_device(params)), batch_of(given, kind)
    y, last = cuda.to_device(np.full((N, T, P + 2), 7, x.dtype)), to_device(state)
    launch.run_forward(weights, batch, last, y, COLUMN, kept)
    found = y.copy_to_host()
    assert (found[:, :, [*range(COLUMN), *range(COLUMN + P, P + 2)]] == 7).all()
    return Found(found[:, :, COLUMN : COLUMN + P], to_host(last), None)


def forward_and_backward(given: Problem, kind: str | None) -> Found:
    params, x, _, dy, dstate, _ = given
    (N, T, _), (_, H, _) = x.shape, sizes(params)
    weights, batch = launch.pack(to_device(params)), batch_of(given, kind)
    kept = launch.keep(weights, batch)
    found = forward(given, kind, kept)
    cells = None
    if not cell_with(type(params)).alone:
        c = cuda.to_device(np.full((N, T, H), 7, x.dtype))
        launch.cells_of(weights, batch, kept, c)
        cells = c.copy_to_host()
    first, dx = to_device(dstate), cuda.to_device(np.ones_like(x))
    grads = launch.run_backward(weights, batch, kept, cuda.to_device(dy), first, dx, COLUMN)
    return Found(found.y, found.state, cells, dx.copy_to_host() - 1, to_host(first), to_host(grads))
