"""What many tests share: problems with random, distinct, non-zero numbers everywhere, independent answers, and how far
results are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_cells import record_of

from fastlstm import Bidirectional, Hidden, State
from fastlstm.params import CELLS, ROWS, ProjectedParams, shapes, sizes, state_widths

MIXED = "standard on interpolated"
KINDS = [*CELLS, MIXED]  # of stacks: the table of cells for every test of what they share
REFERENCE_KINDS = [*CELLS, MIXED, "gru on peephole", "projected on gru_before"]


def random_params(rng: np.random.Generator, D: int, H: int, dtype: Any = np.float64, cell: str = "standard",
                  P: int | None = None) -> Any:  # fmt: skip
    """P: of the projected cell, about two thirds of H where it is None. s of the normalized cell is near 1."""
    k = 1 / np.sqrt(H)
    record = record_of(cell)
    if record is not ProjectedParams:
        P = H
    elif P is None:
        P = max(1, (2 * H + 1) // 3)
    ranges = {"s": (0.5, 1.5)}
    return record(*(rng.uniform(*ranges.get(field, (-k, k)), shape).astype(dtype)
                    for field, shape in shapes(record, D, H, P).items()))  # fmt: skip


def random_stack(rng: np.random.Generator, D: int, plan: list[tuple[int, bool]], dtype: Any = np.float64,
                 cell: str = "standard") -> list[Any]:  # fmt: skip
    """Layers, an (H, both directions?) each. cell: a name, or several with "on" between them, which take turns."""
    layers: list[Any] = []
    kinds = cell.split(" on ")[::-1]
    for number, (H, both) in enumerate(plan):
        kind = kinds[number % len(kinds)]
        one = random_params(rng, D, H, dtype, kind)
        layers.append(Bidirectional(one, random_params(rng, D, H, dtype, kind)) if both else one)
        D = sizes(one)[2] * (2 if both else 1)
    return layers


def random_state(rng: np.random.Generator, layer: Any, N: int) -> Any:
    if isinstance(layer, (list, tuple)) and not hasattr(layer, "_fields"):
        return tuple(random_state(rng, one, N) for one in layer)
    if isinstance(layer, Bidirectional):
        return Bidirectional(random_state(rng, layer.forward, N), random_state(rng, layer.backward, N))
    widths = state_widths(layer).values()
    return ROWS[type(layer)].state(*(rng.standard_normal((N, width)) for width in widths))


def random_masks(rng: np.random.Generator, layer: Any, N: int, dtype: Any = np.float64) -> Any:
    """As recurrent dropout draws them."""
    if isinstance(layer, (list, tuple)) and not hasattr(layer, "_fields"):
        return tuple(random_masks(rng, one, N, dtype) for one in layer)
    if isinstance(layer, Bidirectional):
        return Bidirectional(*(random_masks(rng, one, N, dtype) for one in layer))
    return np.where(rng.random((N, len(layer.U))) < 0.3, 0, 1.25).astype(dtype)


def has_c(params: Any) -> bool:
    """Whether all layers have a c."""
    layers = params if isinstance(params, (list, tuple)) and not hasattr(params, "_fields") else [params]
    records = {type(layer.forward if isinstance(layer, Bidirectional) else layer) for layer in layers}
    return all(ROWS[record].state is State for record in records)


def with_cells(module: Any, x: Any, params: Any, state: Any = None, **options: Any) -> Any:
    """What `forward_cells` returns; what `forward` does, and nothing for c, where a layer has none."""
    if has_c(params):
        return module.forward_cells(x, params, state, **options)
    return *module.forward(x, params, state, **options), ()


def cells_of(module: Any, x: Any, params: Any, state: Any, **options: Any) -> Any:
    """c of every step, or nothing where a layer has none."""
    return with_cells(module, x, params, state, **options)[2]


def c_of(tape: Any, params: Any) -> Any:
    """The same, from a tape."""
    return tape.c if has_c(params) else ()


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
    if isinstance(forwards, (State, Hidden)):
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
        cs.append(cells_of(module, x[piece], params, begin, reverse=reverse))
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


def slopes(loss: Any, array: Any, directions: Any, length: float) -> Any:
    """How fast loss changes as array moves along each direction: central differences of sixth order.

    length: over which the function bends. The step is so much of it that the terms left out, step ** 6, are as small
    as rounding, eps / step, leaves the difference.
    """
    kept, step = array.copy(), length * np.finfo(array.dtype).eps ** (1 / 7)
    found = []
    for direction in directions:
        differences = []
        for k in (1, 2, 3):
            array[...] = kept + k * step * direction
            above = loss()
            array[...] = kept - k * step * direction
            differences.append(above - loss())
        found.append(np.dot((45, -9, 1), differences) / (60 * step))
    array[...] = kept
    return np.array(found)


def central_differences(loss: Any, array: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[int, float]]:
    """Central differences of a loss at some places of an array, which it reads."""
    flat, found = array.reshape(-1), []
    for i in rng.choice(flat.size, min(count, flat.size), replace=False):
        old, step = flat[i], 1e-5
        flat[i] = old + step
        up = loss()
        flat[i] = old - step
        down = loss()
        flat[i] = old
        found.append((int(i), (up - down) / (2 * step)))
    return found


def check_slopes(loss: Any, pairs: Any, count: int, rng: np.random.Generator) -> None:
    """Gradients against central differences. pairs: of an array that the loss reads, and its gradient."""
    for array, found in pairs:
        for at, slope in central_differences(loss, array, count, rng):
            assert found.reshape(-1)[at] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def of_nan(make: Any, shape: Any, dtype: Any) -> Any:
    """An array full of NaN, by a function that makes one."""
    array = make(shape, dtype)
    array.fill(np.nan if array.dtype.kind == "f" else -999)
    return array
