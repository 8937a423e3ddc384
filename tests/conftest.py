"""What the tests share: problems with random, distinct, non-zero numbers everywhere, and how far results are apart."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

from fastlstm import Bidirectional, Params, State
from fastlstm.cpu import engine
from fastlstm.cpu.machine import memory, threads
from fastlstm.params import CELLS, ProjectedParams, shapes, sizes

MIXED = "standard on interpolated"
KINDS = [*CELLS, MIXED]  # of stacks: the table of cells for every test of what they share


def random_params(rng: np.random.Generator, D: int, H: int, dtype: Any = np.float64, cell: str = "standard",
                  P: int | None = None) -> Any:  # fmt: skip
    """P: of the projected cell, about two thirds of H where it is None. s of the normalized cell is near 1."""
    k = 1 / np.sqrt(H)
    record = CELLS[cell]
    if record is not ProjectedParams:
        P = H
    elif P is None:
        P = max(1, (2 * H + 1) // 3)
    ranges = {"s": (0.5, 1.5)}
    return record(*(rng.uniform(*ranges.get(field, (-k, k)), shape).astype(dtype)
                    for field, shape in shapes(record, D, H, P).items()))  # fmt: skip


def random_stack(rng: np.random.Generator, D: int, plan: list[tuple[int, bool]], dtype: Any = np.float64,
                 cell: str = "standard") -> list[Any]:  # fmt: skip
    """Layers, an (H, both directions?) each."""
    layers: list[Any] = []
    for number, (H, both) in enumerate(plan):
        kind = ("interpolated", "standard")[number % 2] if cell == MIXED else cell
        one = random_params(rng, D, H, dtype, kind)
        layers.append(Bidirectional(one, random_params(rng, D, H, dtype, kind)) if both else one)
        D = sizes(one)[2] * (2 if both else 1)
    return layers


def random_state(rng: np.random.Generator, layer: Any, N: int) -> Any:
    if isinstance(layer, (list, tuple)) and not hasattr(layer, "_fields"):
        return tuple(random_state(rng, one, N) for one in layer)
    if isinstance(layer, Bidirectional):
        return Bidirectional(random_state(rng, layer.forward, N), random_state(rng, layer.backward, N))
    _, H, P = sizes(layer)
    return State(rng.standard_normal((N, P)), rng.standard_normal((N, H)))


def random_masks(rng: np.random.Generator, layer: Any, N: int, dtype: Any = np.float64) -> Any:
    """As recurrent dropout draws them; None for the cells that take none."""
    if isinstance(layer, (list, tuple)) and not hasattr(layer, "_fields"):
        return tuple(random_masks(rng, one, N, dtype) for one in layer)
    if isinstance(layer, Bidirectional):
        return Bidirectional(random_masks(rng, layer.forward, N, dtype), random_masks(rng, layer.backward, N, dtype))
    return np.where(rng.random((N, len(layer.U))) < 0.3, 0, 1.25).astype(dtype) if isinstance(layer, Params) else None


def leaves(tree: Any) -> list[np.ndarray]:
    """The arrays of nested tuples and lists."""
    if isinstance(tree, np.ndarray):
        return [tree]
    return [leaf for branch in tree for leaf in leaves(branch)]


def map_leaves(function: Any, tree: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return function(tree)
    parts = [map_leaves(function, branch) for branch in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def error(found: Any, expected: Any) -> float:
    """Largest difference of any array, relative to that array's largest entry."""
    worst = 0.0
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert a.shape == b.shape
        if a.size:
            assert np.isfinite(a).all()
            worst = max(worst, float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)))
    return worst


def assert_same(found: Any, expected: Any) -> None:
    """Bit for bit."""
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        same = np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
        assert same, f"{np.count_nonzero(a != b)} of {a.size} numbers differ"  # pytest would show all bytes


def choose(forwards: Any, backwards: Any, reverse: bool) -> Any:
    """From two states of one structure: those of passes forwards in time from one, backwards in time from the other."""
    if isinstance(forwards, Bidirectional):
        return Bidirectional(forwards.forward, backwards.backward)
    if isinstance(forwards, State):
        return backwards if reverse else forwards
    return tuple(choose(a, b, reverse) for a, b in zip(forwards, backwards, strict=True))


def apart(module: Any, x: Any, params: Any, state: Any, reset: Any, dy: Any, dlast: Any, reverse: bool) -> Any:
    """What a reset means: y, the last state, c and all gradients of one sequence (T, D) cut at its resets, each piece
    by a call of its own. Only the outermost pieces have to do with the state from outside."""
    zero = map_leaves(np.zeros_like, state)
    cuts = [0, *(np.flatnonzero(reset[1:]) + 1), len(x)]
    count = len(cuts) - 1
    ys, lasts, cs, grads = [], [], [], []
    for k in range(count):
        piece = slice(cuts[k], cuts[k + 1])
        begin = choose(state if k == 0 and not reset[0] else zero, state if k == count - 1 else zero, reverse)
        end = choose(dlast if k == count - 1 else zero, dlast if k == 0 else zero, reverse)
        y, last, tape = module.forward_train(x[piece], params, begin, reverse=reverse)
        ys.append(y)
        lasts.append(last)
        cs.append(module.forward_cells(x[piece], params, begin, reverse=reverse)[2])
        grads.append(module.backward(tape, dy[piece], end))
    dparams = [leaves(one.params) for one in grads]
    return (
        np.concatenate(ys),
        choose(lasts[-1], lasts[0], reverse),
        [np.concatenate(parts) for parts in zip(*(leaves(c) for c in cs), strict=True)],
        np.concatenate([one.x for one in grads]),
        choose(zero if reset[0] else grads[0].state, grads[-1].state, reverse),
        [np.sum(parts, axis=0) for parts in zip(*dparams, strict=True)],
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(autouse=True, scope="session")
def _left_over_memory() -> Iterator[None]:
    """What stands in memory before it is written to must not matter: here it is all NaN."""
    with pytest.MonkeyPatch.context() as patch:
        for place, name in ((memory, "empty"), (memory, "aligned"), (memory, "scratch"), (engine, "empty")):
            patch.setattr(place, name, functools.partial(_of_nan, getattr(place, name)))
        yield


def _of_nan(make: Any, shape: Any, dtype: Any) -> Any:
    array = make(shape, dtype)
    array.fill(np.nan)
    return array


@pytest.fixture
def timed() -> None:
    """For tests of what the timing of calls does."""


@pytest.fixture(autouse=True)
def _not_timed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Which way was faster must not decide what a test covers: threads that may be used are."""
    with pytest.MonkeyPatch.context() as patch:
        if "timed" not in request.fixturenames:
            patch.setattr(threads.Payoff, "choose", lambda self: True)
        yield


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)
