"""Promises 1 and 2, to the bit; the tape as a value; arrays of every kind."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import ways
from oracles import (
    MIXED,
    apart,
    assert_same,
    c_of,
    error,
    has_c,
    leaves,
    map_leaves,
    random_masks,
    random_params,
    random_stack,
    random_state,
    with_cells,
)

import fastlstm
from fastlstm import Bidirectional, State
from fastlstm.params import CELLS, sizes

SHAPES = [(13, 30, 5, 20, "rows"), (7, 40, 40, 70, "units"), (3, 60, 16, 64, "units"), (30, 12, 33, 100, "rows")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("N", "T", "D", "H", "way"), SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_depends_on_itself_alone(
    rng: Any, cell: str, N: int, T: int, D: int, H: int, way: str, dtype: Any
) -> None:
    params = random_params(rng, D, H, dtype, cell)
    x = rng.standard_normal((N, T, D)).astype(dtype)
    state = map_leaves(lambda a: a.astype(dtype), random_state(rng, params, N))
    with ways.forced("one"):
        whole = fastlstm.forward(x, params, state)
    pick = lambda chosen: map_leaves(lambda a: a[chosen], whole)  # noqa: E731
    begin = lambda chosen: map_leaves(lambda a: a[chosen], state)  # noqa: E731
    for n in range(N):
        with ways.forced("sequence"):
            assert_same(fastlstm.forward(x[n], params, begin(n)), pick(n))
    for count in range(1, N):
        chosen = rng.permutation(N)[:count]
        with ways.forced(way):
            assert_same(fastlstm.forward(x[chosen], params, begin(chosen)), pick(chosen))
    with ways.forced(way):
        assert_same(fastlstm.forward(x, params, state), whole)
    parts, carried, t = [], state, 0
    for size in (1, 2, 5, T):
        y, carried = fastlstm.forward(x[:, t : t + size], params, carried)
        parts.append(y)
        t += size
    assert_same((np.concatenate(parts, axis=1), carried), whole)
    assert_same(with_cells(fastlstm, x, params, state)[:2], whole)
    assert_same(fastlstm.forward_train(x, params, state)[:2], whole)
    assert_same(fastlstm.forward(x, fastlstm.pack(params), state), whole)
    assert_same(fastlstm.forward(x, params, state, lengths=np.full(N, T)), whole)
    assert_same(fastlstm.forward(x, params, state, reset=np.zeros((N, T), bool)), whole)
    lengths = rng.integers(0, T + 1, N)
    y, last = fastlstm.forward(x, params, state, lengths=lengths)
    for n, length in enumerate(lengths):
        alone = fastlstm.forward(x[n, :length], params, begin(n))
        assert_same((y[n, :length], map_leaves(lambda a, n=n: a[n], last)), alone)
        assert not y[n, length:].any()
    turned = fastlstm.forward(x[:, ::-1], params, state)
    assert_same(fastlstm.forward(x, params, state, reverse=True), (turned[0][:, ::-1], turned[1]))


PLANS = [[(20, False)], [(64, False), (37, False)], [(70, True), (33, True)]]


@pytest.mark.parametrize("cell", ["standard", MIXED])
@pytest.mark.parametrize(("many", "one"), [("rows", "sequence"), ("units", "units")])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_reset_is_a_cut(rng: Any, cell: str, plan: Any, dtype: Any, many: str, one: str) -> None:
    stack, N, T = random_stack(rng, 5, plan, dtype, cell), 7, 70
    state, dlast = (map_leaves(lambda a: a.astype(dtype), random_state(rng, stack, N)) for _ in range(2))
    x, reset, lengths = rng.standard_normal((N, T, 5)), rng.random((N, T)) < 0.1, np.array([T, T, T, T - 1, 40, 1, 0])
    reset[0], reset[2] = False, True
    reset[1, [0, 1, 2, T - 1]] = True
    for chosen, way in ((slice(N), many), (slice(0, 1), one), (slice(1, 2), one)):
        some = map_leaves(lambda a, chosen=chosen: a[chosen], (x, state, reset, lengths, dlast))
        check_cut(way, stack, *some, reverse=False)
        if not plan[0][1]:
            check_cut(way, stack, *some, reverse=True)


def check_cut(way: str, stack: Any, x: Any, state: Any, reset: Any, lengths: Any, dlast: Any, *, reverse: bool) -> None:
    """Bit for bit what the pieces between the resets give, each by itself, but for the sums over them."""
    options: Any = {"lengths": lengths, "reverse": reverse, "reset": reset}
    with ways.forced(way), nullcontext() if way == "sequence" else ways.in_turns(ways.backwards):
        y, last, tape = fastlstm.forward_train(x, stack, state, **options)
        assert_same(with_cells(fastlstm, x, stack, state, **options), (y, last, c_of(tape, stack)))
        assert_same(fastlstm.forward(x, stack, state, **options), (y, last))
        dy = np.cos(y)
        grads = fastlstm.backward(tape, dy, dlast)
    dparams = []
    for n, length in enumerate(lengths):
        begin, end, final, dstate = (
            map_leaves(lambda a, n=n: a[n], tree) for tree in (state, dlast, last, grads.state)
        )
        if length == 0:
            assert_same((final, dstate), (begin, end))
            continue
        *expected, weights = apart(
            fastlstm, x[n, :length], stack, begin, reset[n, :length], dy[n, :length], end, reverse
        )
        c = [a[n, :length] for a in leaves(c_of(tape, stack))]
        assert_same((y[n, :length], final, c, grads.x[n, :length], dstate), expected)
        dparams.append(weights)
    sums = [np.sum(parts, axis=0) for parts in zip(*dparams, strict=True)]
    assert error(leaves(grads.params), sums) < (1e-5 if y.dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("N", "H", "way"), [(7, 20, "rows"), (7, 20, "units"), (1, 20, "units"), (1, 70, "sequence")])
def test_a_mask_is_the_same_at_every_step(rng: Any, cell: str, N: int, H: int, way: str) -> None:
    """Bit for bit what steps by themselves give, and what an h that is multiplied before them does, where all of h goes
    through the product."""
    params, T = random_params(rng, 5, H, np.float32, cell), 40
    x, state, mask = rng.standard_normal((N, T, 5)), random_state(rng, params, N), random_masks(rng, params, N)
    with ways.forced(way):
        y, last, tape = fastlstm.forward_train(x, params, state, h_mask=mask)
        assert_same(with_cells(fastlstm, x, params, state, h_mask=mask), (y, last, c_of(tape, params)))
    for t in range(T):
        one, state_ = fastlstm.forward(x[:, [t]], params, state, h_mask=mask)
        if cell not in ("interpolated", "gru", "gru_before"):
            h = state.h.astype(np.float32) * mask.astype(np.float32)
            assert_same(fastlstm.forward(x[:, [t]], params, State(h, state.c)), (one, state_))
        state = state_
        assert_same(one, y[:, [t]])
    assert_same(state, last)
    ones = np.ones((N, len(params.U)))
    assert_same(fastlstm.forward(x, params, h_mask=ones), fastlstm.forward(x, params))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_nothing_passes_a_reset(rng: Any, cell: str, reverse: bool) -> None:
    """Not even a NaN."""
    params, N, T = random_params(rng, 3, 21, cell=cell), 3, 12
    x, state, reset = rng.standard_normal((N, T, 3)), random_state(rng, params, N), np.zeros((N, T), bool)
    reset[:, [4, 8]] = True
    for bad in (slice(0, 4), slice(4, 8), slice(8, 12)):
        good = np.r_[: bad.start, bad.stop : T]
        found = []
        for value in (0.0, np.nan):
            x[:, bad] = value
            y, _, tape = fastlstm.forward_train(x, params, state, reverse=reverse, reset=reset)
            grads = fastlstm.backward(tape, np.ones_like(y), state)
            assert np.isnan(y[:, bad]).all() == np.isnan(value)
            c = [a[:, good] for a in leaves(c_of(tape, params))]
            found.append((y[:, good], grads.x[:, good], c))
        assert_same(found[1], found[0])
        x[:, bad] = 1


@pytest.mark.parametrize("cell", ["standard", MIXED])
def test_a_reset_in_padding_means_nothing(rng: Any, cell: str) -> None:
    stack = random_stack(rng, 3, [(5, True), (6, True)], np.float32, cell)
    x, lengths, dlast = rng.standard_normal((5, 8, 3)), np.array([8, 0, 3, 5, 1]), random_state(rng, stack, 5)
    padding = np.arange(8) >= lengths[:, None]
    found = []
    for reset in (None, padding):
        y, last, tape = fastlstm.forward_train(x, stack, lengths=lengths, reset=reset)
        found.append((y, last, tape.c, tuple(fastlstm.backward(tape, y, dlast))))
    assert_same(found[1], found[0])


@pytest.mark.parametrize("cell", ["standard", MIXED])
def test_the_tape_is_a_value(rng: Any, cell: str) -> None:
    stack = [*random_stack(rng, 3, [(5, True), (4, False)], cell=cell)]
    x, state = rng.standard_normal((4, 6, 3)), random_state(rng, stack, 4)
    reset = rng.random((4, 6)) < 0.3
    y, last, tape = fastlstm.forward_train(x, stack, state, reset=reset)
    dy, dlast = rng.standard_normal(y.shape), random_state(rng, stack, 4)
    before = [a.copy() for a in leaves((dy, dlast))]
    first = tuple(fastlstm.backward(tape, dy, dlast))
    assert_same(leaves((dy, dlast)), before)
    saved = map_leaves(np.copy, first)
    again = pickle.loads(pickle.dumps(tape))
    for array in leaves((x, stack, state, y, last, first)):
        array[...] = np.nan
    reset[...] = ~reset
    assert_same(tuple(fastlstm.backward(tape, dy, dlast)), saved)
    assert_same(tuple(fastlstm.backward(again, dy, dlast)), saved)
    for array in leaves((tape.x, tape.c)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize("cell", ["standard", MIXED])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_padding_is_not_looked_at(rng: Any, cell: str, bad: float) -> None:
    stack = random_stack(rng, 3, [(5, True), (6, False)], np.float32, cell)
    x, lengths = rng.standard_normal((5, 8, 3)), np.array([8, 0, 3, 5, 1])
    padding = np.arange(8) >= lengths[:, None]
    y, _, tape = fastlstm.forward_train(x, stack, lengths=lengths)
    dy = rng.standard_normal(y.shape)
    expected = y, tuple(fastlstm.backward(tape, dy))
    x[padding], dy[padding] = bad, bad
    y, _, tape = fastlstm.forward_train(x, stack, lengths=lengths)
    assert_same((y, tuple(fastlstm.backward(tape, dy))), expected)
    assert not expected[1][0][padding].any()


def variants(a: np.ndarray) -> list[np.ndarray]:
    """The same numbers: read-only, reversed in memory, strided, of the other byte order, unaligned."""
    locked = a.copy()
    locked.flags.writeable = False
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype) if a.size else a
    odd = raw.reshape(a.shape)
    odd[...] = a
    back = np.ascontiguousarray(a[::-1])[::-1]
    return [locked, np.asfortranarray(a), wide[..., ::2], a.astype(a.dtype.newbyteorder()), odd, back]


@pytest.mark.parametrize("cell", CELLS)
def test_arrays_of_every_kind(rng: Any, cell: str) -> None:
    params = random_params(rng, 3, 5, np.float32, cell)
    x, state = rng.standard_normal((4, 6, 3)).astype(np.float32), random_state(rng, params, 4)
    state = map_leaves(lambda a: a.astype(np.float32), state)
    y, _, tape = fastlstm.forward_train(x, params, state)
    expected = y, tuple(fastlstm.backward(tape, y, state))
    for number, other in enumerate(variants(x)):
        give = lambda a, number=number: variants(a)[number]  # noqa: E731
        found, _, tape = fastlstm.forward_train(other, map_leaves(give, params), map_leaves(give, state))
        assert_same((found, tuple(fastlstm.backward(tape, give(y), map_leaves(give, state)))), expected)
    whole = rng.integers(-3, 4, (4, 6, 3))
    assert_same(fastlstm.forward(whole, params), fastlstm.forward(whole.astype(np.float32), params))


@pytest.mark.parametrize("cell", ["standard", MIXED])
def test_everything_is_pickled(rng: Any, cell: str) -> None:
    stack = random_stack(rng, 3, [(5, True), (4, False)], cell=cell)
    packed = fastlstm.pack(stack)
    y, last, tape = fastlstm.forward_train(np.ones((2, 3, 3)), stack)
    for thing in (tuple(stack), packed, last, fastlstm.backward(tape, y)):
        again = pickle.loads(pickle.dumps(thing))
        assert type(again) is type(thing)
        assert_same(leaves([a for a in again if not isinstance(a, int)]) if thing is not packed else [],
                    leaves([a for a in thing if not isinstance(a, int)]) if thing is not packed else [])  # fmt: skip
    assert_same(fastlstm.forward(tape.x, pickle.loads(pickle.dumps(packed)))[0], y)


@pytest.mark.parametrize("cell", CELLS)
def test_a_single_sequence_has_no_batch_axis(rng: Any, cell: str) -> None:
    one = random_params(rng, 3, 5, cell=cell)
    layer = Bidirectional(one, random_params(rng, 3, 5, cell=cell))
    x, reset = rng.standard_normal((6, 3)), np.arange(6) % 4 == 2
    y, last, tape = fastlstm.forward_train(x, layer, reset=reset)
    _, H, P = sizes(one)
    assert (y.shape, last.forward.h.shape, tape.x.shape) == ((6, 2 * P), (P,), (6, 3))
    assert [a.shape for a in leaves(c_of(tape, layer))] == [(6, H)] * (2 if has_c(layer) else 0)
    grads = fastlstm.backward(tape, y, last)
    many = fastlstm.forward_train(x[None], layer, reset=reset[None])
    assert_same(y, many[0][0])
    batch = fastlstm.backward(many[2], y[None], map_leaves(lambda a: a[None], last))
    assert_same(
        (grads.x, grads.params, grads.state), (batch.x[0], batch.params, map_leaves(lambda a: a[0], batch.state))
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("N", "T"), [(0, 5), (4, 0), (0, 0)])
def test_nothing_to_do_is_legal(rng: Any, cell: str, N: int, T: int) -> None:
    params = random_params(rng, 3, 5, np.float32, cell)
    P = sizes(params)[2]
    state = map_leaves(lambda a: np.full(a.shape, 0.5, np.float32), random_state(rng, params, N))
    y, last, tape = fastlstm.forward_train(np.empty((N, T, 3)), params, state)
    assert y.shape == (N, T, P)
    assert_same(last, state)
    grads = fastlstm.backward(tape, y, state)
    assert_same(grads.state, state)
    assert grads.x.shape == (N, T, 3)
    assert not any(a.any() for a in grads.params)
