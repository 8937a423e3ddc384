"""Cells of one's own in the kernels, and all that they share with the cells of the table.

The reference runs the derived equations over NumPy arrays; here it is held against central differences, and the kernels
against it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from oracles import assert_same, central_differences, error, map_leaves, random_masks, random_state
from own_cells import everything, minimal, of_x_alone, weighty
from processes import run
from ways import forced, time_blocks

import fastlstm
from fastlstm import Hidden, State, reference
from fastlstm.cells import cell, tanh
from fastlstm.nn._src.cells import lstm_with

D, N, T = 5, 7, 11
LENGTHS = [3, 0, 11, 7, 7, 1, 10]
CELLS = everything, weighty, of_x_alone  # each takes a quarter of a minute to compile; others: tests/fuzz.py --own


def weights(own: Any, H: int, dtype: Any = np.float64, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    params = fastlstm.init_params(D, H, cell=own, rng=seed, dtype=dtype)
    return type(params)(*[(a + 0.1 * rng.standard_normal(a.shape)).astype(dtype) for a in params])


def problem(own: Any, H: int, rng: Any, dtype: Any = np.float64) -> tuple[Any, ...]:
    """x, weights, state, dy, and the gradient of the last state."""
    params = weights(own, H, dtype)
    given = random_state(rng, params, N), random_state(rng, params, N)
    state, down = (map_leaves(lambda a: a.astype(dtype), one) for one in given)
    return rng.standard_normal((N, T, D)).astype(dtype), params, state, rng.standard_normal((N, T, H)), down


def options(params: Any, rng: Any) -> list[dict[str, Any]]:
    reset = rng.random((N, T)) < 0.2
    return [
        {},
        {"lengths": LENGTHS, "reset": reset, "h_mask": random_masks(rng, params, N)},
        {"lengths": LENGTHS, "reset": reset, "h_mask": random_masks(rng, params, N), "reverse": True},
    ]


@pytest.mark.parametrize("own", [everything, minimal, of_x_alone], ids=lambda own: own.name)
def test_the_reference_against_differences(own: Any, rng: Any) -> None:
    x, params, state, dy, down = problem(own, 6, rng)
    given = options(params, rng)[1]
    grads = reference.backward(reference.forward_train(x, params, state, **given)[2], dy, down)
    every = (x, *params, *state), (grads.x, *grads.params, *grads.state)

    def loss() -> Any:
        y, last = reference.forward(x, params, state, **given)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(last, down, strict=True))

    for array, found in zip(*every, strict=True):
        for at, slope in central_differences(loss, array, 8, rng):
            assert abs(found.reshape(-1)[at] - slope) < 1e-6 * max(1, np.abs(found).max())


@pytest.mark.parametrize("H", [1, 37])
@pytest.mark.parametrize("own", CELLS, ids=lambda own: own.name)
def test_against_the_reference(own: Any, H: int, rng: Any) -> None:
    x, params, state, dy, down = problem(own, H, rng)
    for given in options(params, rng):
        y, last, tape = fastlstm.forward_train(x, params, state, **given)
        y_, last_, tape_ = reference.forward_train(x, params, state, **given)
        assert error((y, last), (y_, last_)) < 1e-13
        assert_same(fastlstm.forward(x, params, state, **given), (y, last))
        grads, grads_ = fastlstm.backward(tape, dy, down), reference.backward(tape_, dy, down)
        assert error(tuple(grads), tuple(grads_)) < 1e-12


def test_float32(rng: Any) -> None:
    """A cell of tests/nn/test_keras.py: "old keras" there runs on these kernels."""
    own = lstm_with("elu", "hard_sigmoid_keras2")
    x, params, state, dy, down = problem(own, 37, rng, np.float32)
    wide = lambda tree: map_leaves(lambda a: a.astype(np.float64), tree)  # noqa: E731
    y, last, tape = fastlstm.forward_train(x, params, state)
    y_, last_, tape_ = reference.forward_train(wide(x), wide(params), wide(state))
    assert error((y, last), (y_, last_)) < 2e-6
    grads, grads_ = fastlstm.backward(tape, dy.astype(np.float32), down), reference.backward(tape_, dy, wide(down))
    assert error(tuple(grads), tuple(grads_)) < 2e-6


@pytest.mark.parametrize("own", CELLS, ids=lambda own: own.name)
def test_the_same_bits_however_it_is_shared(own: Any, rng: Any) -> None:
    x, params, state, dy, down = problem(own, 37, rng)
    for given in options(params, rng)[:2]:
        found = []
        for way in ("one", "rows", "units"):
            with forced(way):
                y, last, tape = fastlstm.forward_train(x, params, state, **given)
                found.append((y, last, tuple(fastlstm.backward(tape, dy, down))))
        assert_same(found[1], found[0])
        assert_same(found[2], found[0])
    first = map_leaves(lambda a: a[:1], state)
    with forced("one"):
        alone = fastlstm.forward(x[:1], params, first)
    with forced("sequence"):
        assert_same(fastlstm.forward(x[:1], params, first), alone)
    assert_same(fastlstm.forward(x, params, state)[0][:1], alone[0])


@numba.njit
def by_steps(x: Any, packed: Any, state: Any, y: Any) -> None:
    for t in range(x.shape[0]):
        fastlstm.step(x[t], packed, state)
        y[t] = state.h


@numba.njit
def trained(x: Any, packed: Any, state: Any, y: Any, tape: Any, dy: Any, grads: Any) -> None:
    fastlstm.forward_train_into(x, packed, state, y, tape)
    fastlstm.backward_into(tape, packed, dy, None, grads)


def test_in_place_and_in_compiled_code(rng: Any) -> None:
    own = weighty
    x, params, state, dy, _ = problem(own, 37, rng)
    packed, fresh = fastlstm.pack(params), lambda: map_leaves(np.copy, state)
    y, last, tape = fastlstm.forward_train(x, params, state)
    now, by_hand, found = fresh(), np.empty((T, N, 37)), np.empty((T, N, 37))
    for t in range(T):
        fastlstm.step(np.ascontiguousarray(x[:, t]), packed, now)
        by_hand[t] = now.h
    assert_same((by_hand.transpose(1, 0, 2).copy(), now), (y, last))
    now = fresh()
    by_steps(np.ascontiguousarray(x.transpose(1, 0, 2)), packed, now, found)
    assert_same((found, now), (by_hand, last))
    now, out = fresh(), np.empty_like(y)
    fastlstm.forward_into(x, packed, now, out)
    assert_same((out, now), (y, last))
    grads, buffers, now = fastlstm.make_grads(packed, N, T), fastlstm.make_tape(packed, N, T), fresh()
    trained(x, packed, now, out, buffers, dy, grads)
    assert_same((out, now), (y, last))
    assert_same(tuple(grads), tuple(fastlstm.backward(tape, dy)))
    stream = fastlstm.Stream(params, batch_size=N)
    stream.state = state
    assert_same(stream.run(x), y)
    other = weights(own, 37, seed=2)
    fastlstm.pack_into(other, packed)
    assert_same(fastlstm.forward(x, packed, state)[0], fastlstm.forward(x, other, state)[0])


def test_many_unit_weights(rng: Any) -> None:
    """More than there is room for at once where their gradients are added up: behind it are the weights that the next
    block of time reads. On two threads too."""
    x, params, state, dy, down = problem(weighty, 5, rng)
    expected = tuple(reference.backward(reference.forward_train(x, params, state)[2], dy, down))
    for way in ("one", "rows"):
        with forced(way), time_blocks(2 * N):
            tape = fastlstm.forward_train(x, params, state)[2]
            assert error(tuple(fastlstm.backward(tape, dy, down)), expected) < 1e-12


def test_stacks_of_several_cells(rng: Any) -> None:
    stack = [weights(weighty, 5), fastlstm.init_params(5, 4, rng=0, dtype=np.float64), weights(of_x_alone, 5)]
    stack[2] = stack[2]._replace(W=rng.standard_normal((4, 15)))
    x = rng.standard_normal((N, T, D))
    y, last, tape = fastlstm.forward_train(x, stack)
    y_, last_, tape_ = reference.forward_train(x, stack)
    assert [type(one) for one in last] == [Hidden, State, State]
    assert error((y, last), (y_, last_)) < 1e-13
    assert error(tuple(fastlstm.backward(tape, y)), tuple(reference.backward(tape_, y))) < 1e-12


def test_first_weights() -> None:
    params = fastlstm.init_params(3, 4, cell=everything, rng=0)
    assert [a.shape for a in params] == [(3, 16), (4, 16), (28,), (20,)]
    assert isinstance(params, fastlstm.OwnParams)
    assert isinstance(fastlstm.zero_state(params), State)
    assert isinstance(fastlstm.zero_state(fastlstm.init_params(3, 4, cell=minimal)), Hidden)
    assert not fastlstm.init_params(3, 4, cell=minimal, rng=0).b.any()  # it forgets with f, but has no c
    assert_same(fastlstm.init_params(3, 4, cell=of_x_alone).b, np.repeat(np.float32([1, 0, 0]), 4))
    with pytest.raises(TypeError, match=r"cell: expected a name, or what fastlstm.cells.cell makes, got function"):
        fastlstm.init_params(3, 4, cell=lambda z: z)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"params: expected weights that know their cell, as mine.record\(W, U, w, b\)"):
        fastlstm.forward(np.ones((2, 3)), fastlstm.OwnParams(*params))
    assert_same(everything.record(*params), params)
    with pytest.raises(ValueError, match=r"params.w: expected shape \(28,\)"):
        fastlstm.forward(np.ones((2, 3)), params._replace(w=params.w[:-1]))


def test_the_same_once_more() -> None:
    def defined(factor: float) -> Any:
        @cell(gates="a")
        def one(z: Any, h: Any) -> Any:
            return tanh(z.a) + factor * h

        return one

    assert defined(0.5) is defined(0.5)
    other = defined(0.25)
    assert (other.name, other is defined(0.5)) == (defined(0.5).name, False)
    with pytest.raises(TypeError, match=r"expected weights of the .*one#.* cell, as in packed, got those of the"):
        fastlstm.pack_into(weights(other, 5), fastlstm.pack(weights(defined(0.5), 5)))


def test_pickles(rng: Any) -> None:
    x, params, state, dy, _ = problem(weighty, 5, rng)
    packed, (y, _, tape) = fastlstm.pack(params), fastlstm.forward_train(x, params, state)
    params_, packed_, tape_ = pickle.loads(pickle.dumps((params, packed, tape)))
    assert_same(params_, params)
    assert_same(fastlstm.forward(x, packed_, state)[0], y)
    assert_same(tuple(fastlstm.backward(tape_, dy)), tuple(fastlstm.backward(tape, dy)))


def test_two_cells_in_compiled_code() -> None:
    """Weights of two cells are of two types, where compiled code is called: Numba must not take one for the other."""

    @numba.njit
    def first(params: Any) -> Any:
        return params.W[0, 0]

    for own in (minimal, of_x_alone, minimal):
        params = weights(own, 5)
        assert first(params) == params.W[0, 0]
    assert len(first.signatures) == 2


@cell("a", gates_of_h="", gates_of_b="")
def little(z: Any, h: Any) -> Any:
    return tanh(z.a) + 0.5 * h


def test_files(tmp_path: Path) -> None:
    params = weights(everything, 5)
    fastlstm.save(tmp_path / "own.npz", [params, weights(minimal, 5)])
    assert_same(fastlstm.load(tmp_path / "own.npz")[0], params)
    for own in (minimal, little):  # of packed weights there is no U, w or b, if the cell has none
        fastlstm.save(tmp_path / "packed.npz", fastlstm.pack(weights(own, 5)))
        assert_same(fastlstm.load(tmp_path / "packed.npz"), weights(own, 5))
    code = f"import fastlstm\nfastlstm.load({str(tmp_path / 'own.npz')!r})"
    with pytest.raises(Exception, match=r"expected a cell of one's own '.*everything', defined or imported before"):
        run(code, tmp_path / "cache")


DEFINED = """
import numpy as np, fastlstm
from fastlstm import reference
from fastlstm.cells import cell, tanh
def made(sign):
    @cell(gates="a")
    def mine(z, h):
        return tanh(z.a + sign * h)
    return mine
for sign in ({signs}):
    params = fastlstm.init_params(3, 4, cell=made(sign), rng=0, dtype=np.float64)
    x, state = np.random.default_rng(0).standard_normal((5, 3)), fastlstm.zero_state(params)
    packed, (y, _) = fastlstm.pack(params), reference.forward(x, params)
    for t in range(5):
        fastlstm.step(x[t : t + 1], packed, state)
        assert abs(state.h - y[t]).max() < 1e-14, sign
"""


def test_two_cells_of_one_name(tmp_path: Path) -> None:
    """Each compiled by a process, both loaded by a third: one must not run for the other. All that is compiled for a
    cell is named in the same way: here the least of it."""
    for signs in ("1.0,", "-1.0,", "1.0, -1.0"):
        run(DEFINED.format(signs=signs), tmp_path)
