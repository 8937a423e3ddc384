"""The kernels against the reference in float64: every remainder of the tiles, both types, all options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ways
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import KINDS, MIXED, c_of, cells_of, error, map_leaves, random_masks, random_stack, random_state

import fastlstm
from fastlstm import reference
from fastlstm.params import CELLS

BENCHMARKED = [
    (1, 20),
    (1, 128),
    (8, 128),
    (16, 32),
    (16, 64),
    (32, 16),
    (32, 32),
    (32, 64),
    (32, 128),
    (32, 256),
    (32, 512),
    (64, 128),
    (128, 128),
    (128, 256),
    (256, 256),
    (512, 128),
    (512, 512),
    (1024, 1024),
]  # D and H of what asv_benchmarks measures
TOLERANCE = {np.float32: (4e-6, 8e-6), np.float64: (1e-13, 1e-12)}  # states, gradients


def check(seed: int, N: int, T: int, D: int, plan: Any, dtype: Any, cell: str = "standard", *, lengths: Any = None,
          reverse: bool = False, reset: float = 0, masked: bool = False, begin: bool = True, dy: bool = True,
          dlast: bool = True) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    stack = random_stack(rng, D, plan, dtype, cell)
    params = stack[0] if len(plan) == 1 else stack
    x = rng.standard_normal((N, T, D)).astype(dtype)
    state = random_state(rng, params, N) if begin else None
    state = None if state is None else map_leaves(lambda a: a.astype(dtype), state)
    wide = lambda tree: None if tree is None else map_leaves(lambda a: a.astype(np.float64), tree)  # noqa: E731
    exact = [wide(one) for one in stack] if len(plan) > 1 else wide(params)
    starts = rng.random((N, T)) < reset if reset else None  # reset: how many of all steps begin an episode
    masks = random_masks(rng, params, N, dtype) if masked else None
    options = {"lengths": lengths, "reverse": reverse, "reset": starts, "h_mask": masks}
    y, last, tape = fastlstm.forward_train(x, params, state, **options)
    y_, last_, tape_ = reference.forward_train(wide(x), exact, wide(state), **options)
    near, near_gradients = TOLERANCE[dtype]
    if cell == "normalized" and dtype == np.float32:  # a division by the deviation: of few units it may be small
        near, near_gradients = 20 * near, 20 * near_gradients
    assert error((y, last), (y_, last_)) < near
    c = cells_of(fastlstm, x, params, state, **options)
    c_ = cells_of(reference, wide(x), exact, wide(state), **options)
    assert error(c, c_) < near
    assert error(c_of(tape, params), c_) < near
    up = rng.standard_normal(y.shape).astype(dtype) if dy else None
    down = map_leaves(lambda a: rng.standard_normal(a.shape).astype(dtype), last) if dlast else None
    grads = fastlstm.backward(tape, up, down)
    grads_ = reference.backward(tape_, wide(up), wide(down))
    assert error(tuple(grads), tuple(grads_)) < near_gradients


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("N", [*range(1, 14), 25])
@pytest.mark.parametrize("cell", CELLS)
def test_rows(N: int, cell: str, dtype: Any) -> None:
    check(N, N, 5, 3, [(9, False)], dtype, cell)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("H", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 130])
@pytest.mark.parametrize("cell", CELLS)
def test_units(H: int, cell: str, dtype: Any) -> None:
    check(H, 5, 4, 6, [(H, False)], dtype, cell)


@pytest.mark.parametrize("D", [1, 2, 5, 16, 17, 64, 65, 130])
@pytest.mark.parametrize("cell", CELLS)
def test_features(D: int, cell: str) -> None:
    check(D, 4, 5, D, [(6, False)], np.float32, cell)
    check(D, 7, 30, D, [(6, False)], np.float32, cell, reverse=True)


@pytest.mark.parametrize(("D", "H"), BENCHMARKED)
def test_benchmarked_sizes(D: int, H: int) -> None:
    check(D + H, 3, 2, D, [(H, False)], np.float64)


@pytest.mark.parametrize("T", [1, 2, 23, 24, 25, 49, 400])
@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_steps(N: int, cell: str, T: int) -> None:
    check(T, N, T, 3, [(5, False)], np.float64, cell)
    check(T, N, T, 3, [(5, False)], np.float64, cell, reverse=True, lengths=[T - 1, 0, T][:N])


@pytest.mark.parametrize("plan", [[(5, True)], [(4, False), (7, False)], [(4, True), (3, False), (6, True)]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", KINDS)
def test_stacks_and_lengths(plan: Any, cell: str, dtype: Any) -> None:
    check(1, 6, 9, 4, plan, dtype, cell)
    check(2, 6, 9, 4, plan, dtype, cell, lengths=[9, 0, 3, 9, 1, 5])
    check(3, 6, 9, 4, plan, dtype, cell, lengths=[0] * 6)


@pytest.mark.parametrize("reset", [0.1, 0.5, 1])
@pytest.mark.parametrize("plan", [[(5, True)], [(4, False), (17, False)], [(4, True), (3, False), (33, True)]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", KINDS)
def test_resets(plan: Any, cell: str, dtype: Any, reset: float) -> None:
    for N, lengths in ((6, None), (6, [9, 0, 3, 9, 1, 5]), (1, None)):
        check(6, N, 9, 4, plan, dtype, cell, lengths=lengths, reset=reset)
        if not any(both for _, both in plan):
            check(7, N, 9, 4, plan, dtype, cell, lengths=lengths, reset=reset, reverse=True)


@pytest.mark.parametrize("reset", [0, 0.2])
@pytest.mark.parametrize("plan", [[(5, True)], [(4, False), (17, False)], [(4, True), (33, True)], [(70, False)]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", ["standard", MIXED])
def test_masks(plan: Any, cell: str, dtype: Any, reset: float) -> None:
    for N, lengths in ((6, None), (6, [9, 0, 3, 9, 1, 5]), (1, None)):
        for reverse in (False, True)[: 1 if any(both for _, both in plan) else 2]:
            check(8, N, 9, 4, plan, dtype, cell, lengths=lengths, reset=reset, reverse=reverse, masked=True)


@pytest.mark.parametrize(("dy", "dlast"), [(True, False), (False, True), (False, False)])
def test_where_gradients_arrive(dy: bool, dlast: bool) -> None:
    check(4, 5, 6, 3, [(4, True), (5, True)], np.float32, MIXED, dy=dy, dlast=dlast, begin=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", KINDS)
def test_parallel(cell: str, dtype: Any) -> None:
    with ways.forced("rows"):
        check(5, 37, 11, 40, [(50, True), (33, False)], dtype, cell, lengths=np.arange(37) % 12)
    with ways.forced("units"):
        check(6, 37, 11, 40, [(50, True), (33, False)], dtype, cell, lengths=np.arange(37) % 12, reset=0.2, masked=True)
    if cell != "normalized" or dtype == np.float64:  # so many steps of it make much of a rounding
        with ways.forced("sequence"):
            check(7, 1, 90, 5, [(70, False)], dtype, cell, masked=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_anything(data: Any) -> None:
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    N, T = draw(0, 9), draw(0, 40)
    plan = [(draw(1, 40), bool(draw(0, 1))) for _ in range(draw(1, 2))]
    lengths = data.draw(st.lists(st.integers(0, T), min_size=N, max_size=N)) if draw(0, 1) else None
    reverse = bool(draw(0, 1)) and not any(both for _, both in plan)
    check(draw(0, 10**6), N, T, draw(1, 40), plan, data.draw(st.sampled_from([np.float32, np.float64])),
          data.draw(st.sampled_from(KINDS)), lengths=lengths, reverse=reverse,
          reset=data.draw(st.sampled_from([0, 0.1, 0.6])), masked=bool(draw(0, 1)),
          begin=bool(draw(0, 1)), dy=bool(draw(0, 1)), dlast=bool(draw(0, 1)))  # fmt: skip


@pytest.mark.parametrize(("dtype", "near", "near_gradients"), [(np.float32, 2e-6, 2e-6), (np.float64, 1e-13, 1e-12)])
@pytest.mark.parametrize("cell", CELLS)
def test_promised_error(rng: Any, cell: Any, dtype: Any, near: float, near_gradients: float) -> None:
    N, T, D, H, P = 64, 100, 32, 256, 170 if cell == "projected" else None
    params = fastlstm.init_params(D, H, rng=3, dtype=dtype, cell=cell, projection_size=P)
    x, dy = rng.standard_normal((N, T, D)).astype(dtype), rng.standard_normal((N, T, P or H)).astype(dtype)
    exact = map_leaves(lambda a: a.astype(np.float64), params)
    if cell == "normalized" and dtype == np.float32:
        near, near_gradients = 1e-5, 1e-5  # docs/cells.md
    y, last, tape = fastlstm.forward_train(x, params)
    y_, last_, tape_ = reference.forward_train(x.astype(np.float64), exact)
    assert error((y, last), (y_, last_)) < near
    assert error(tuple(fastlstm.backward(tape, dy)), tuple(reference.backward(tape_, dy))) < near_gradients
