"""Wrong input: an error that names the argument, what was expected and what came."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from oracles import assert_same, leaves, map_leaves, random_params, random_state, with_cells

import fastlstm
from fastlstm import Bidirectional, Hidden, Params, State, checks, init_params, reference
from fastlstm.params import CELLS

P = init_params(3, 5, rng=0)
WIDE = init_params(10, 5, rng=0)
I = init_params(3, 5, rng=0, cell="interpolated")  # noqa: E741
G, B = init_params(3, 5, rng=0, cell="gru"), init_params(5, 5, rng=0, cell="gru_before")
X = np.ones((2, 4, 3))
NAN = np.full((2, 5), np.nan)
Z = State(np.zeros((2, 5)), np.zeros((2, 5)))


@functools.cache
def tape() -> Any:
    """Not at import: each of pytest-xdist's workers would compile the same kernel."""
    return fastlstm.forward_train(X, P)[2]


CASES: list[tuple[str, Any, type[Exception], str]] = [
    ("x of one axis", lambda m: m.forward(np.ones(3), P), ValueError, r"x: expected shape .*got \(3,\)"),
    ("x of four axes", lambda m: m.forward(np.ones((1, 1, 1, 3)), P), ValueError, "x: expected shape"),
    ("x of another D", lambda m: m.forward(np.ones((2, 4, 7)), P), ValueError, "expected .*7"),
    ("complex x", lambda m: m.forward(X + 1j, P), TypeError, "x: expected real numbers, got .*complex128"),
    ("object x", lambda m: m.forward(X.astype(object), P), TypeError, "x: expected real numbers, got .*object"),
    ("no params", lambda m: m.forward(X, 5), TypeError, "params: expected Params.*got int"),
    ("empty stack", lambda m: m.forward(X, []), ValueError, "params: expected at least one layer"),
    ("tuple for a layer", lambda m: m.forward(X, [tuple(P)]), TypeError, "params.*: expected Params.*got tuple"),
    ("unlike types", lambda m: m.forward(X, Params(P.W, P.U.astype("f8"), P.b)), TypeError, "float32.*float64|float64"),
    ("integer weights", lambda m: m.forward(X, Params(*(a.astype(int) for a in P))), TypeError, "expected .*float"),
    ("W of another H", lambda m: m.forward(X, Params(P.W[:, :8], P.U, P.b)), ValueError, r"W.*\(3, 8\)"),
    ("b of another H", lambda m: m.forward(X, Params(P.W, P.U, P.b[:8])), ValueError, r"\(8,\)"),
    ("V of another H", lambda m: m.forward(X, I._replace(V=I.V[:, :4])), ValueError, r"V.*\(5, 5\).*\(5, 4\)"),
    ("b of another cell", lambda m: m.forward(X, I._replace(b=P.b)), ValueError, r"b.*\(15,\).*\(20,\)"),
    ("V of another type", lambda m: m.forward(X, I._replace(V=I.V.astype("f8"))), TypeError, "float64"),
    ("two cells in one layer", lambda m: m.forward(X, Bidirectional(P, I)), TypeError, "standard.*interpolated"),
    ("D is not the H below", lambda m: m.forward(X, [P, P]), ValueError, "expected .*5.*3"),
    ("both and reverse", lambda m: m.forward(X, Bidirectional(P, P), reverse=True), ValueError, "reverse: expected False"),
    ("reverse no bool", lambda m: m.forward(X, P, reverse=1), TypeError, "reverse: expected a bool, got int"),
    ("ragged x", lambda m: m.forward([X[0], X[0, :3]], P), ValueError, "x: expected sequences of one length, got 3 to 4 steps: pad them, and pass lengths"),
    ("ragged x of lists", lambda m: m.forward([[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]], P), ValueError, "x: expected sequences of one length, got 1 to 2 steps"),
    ("ragged x of objects", lambda m: m.forward(np.array([X[0], X[0, :3]], object), P), ValueError, "x: expected sequences of one length, got 3 to 4 steps"),
    ("ragged state", lambda m: m.forward(X, P, State([[1], [2, 3]], Z.c)), ValueError, "state.h: expected an array, got list that makes none"),
    ("masked x", lambda m: m.forward(np.ma.masked_less(X, 0), P), TypeError, "x: expected an array, got a masked one"),
    ("list of masked x", lambda m: m.forward([np.ma.masked_less(x, 0) for x in X], P), TypeError, "x: expected an array, got a masked one"),
    ("masked h", lambda m: m.forward(X, P, (np.ma.masked_less(Z.h, 0), Z.c)), TypeError, "state.h: expected an array, got a masked one"),
    ("masked lengths", lambda m: m.forward(X, P, lengths=np.ma.array([1, 2], mask=[True, False])), TypeError, "lengths: expected an array, got a masked one"),
    ("masked reset", lambda m: m.forward(X, P, reset=np.ma.array(np.ones((2, 4), bool))), TypeError, "reset: expected an array, got a masked one"),
    ("h for a state", lambda m: m.forward(X, P, Z.h), TypeError, r"state: expected State, or a pair \(h, c\), got ndarray"),
    ("three for a state", lambda m: m.forward(X, P, (Z.h, Z.c, Z.c)), TypeError, r"state: expected State, or a pair \(h, c\), got tuple"),
    ("a pair for a stack of two", lambda m: m.forward(X, [P, init_params(5, 5)], (Z.h, Z.c)), TypeError, r"state.*: expected State, or a pair \(h, c\), got ndarray"),
    ("a State for a stack of two", lambda m: m.forward(X, [P, init_params(5, 5)], Z), TypeError, "state: expected a tuple, an entry a layer of the stack, got State"),
    ("a number for a stack of one", lambda m: m.forward(X, [P], 3), TypeError, "state: expected a tuple, an entry a layer of the stack, got int"),
    ("None for a layer's state", lambda m: m.forward(X, [P], (None,)), TypeError, r"state.*: expected State, or a pair \(h, c\), got NoneType"),
    ("an array of h_masks", lambda m: m.forward(X, [P], h_mask=np.ones((1, 2, 5))), TypeError, "h_mask: expected a tuple, an entry a layer of the stack, got ndarray"),
    ("a pair for a stack of one", lambda m: m.forward(X, [P], (Z.h, Z.c)), ValueError, "state: expected 1 entries"),
    ("a pair for a Bidirectional", lambda m: m.forward(X, Bidirectional(P, P), (Z, Z)), TypeError, r"state: expected Bidirectional\(State, State\), got tuple"),
    ("state of another N", lambda m: m.forward(X[:1], P, Z), ValueError, r"state.h: expected shape \(1, 5\), got \(2, 5\)"),
    ("too few states", lambda m: m.forward(X, [P, init_params(5, 2)], (Z,)), ValueError, "state: expected 2 entries"),
    ("float lengths", lambda m: m.forward(X, P, lengths=[1.0, 2.0]), TypeError, "lengths: expected integers, got .*float64"),
    ("long lengths", lambda m: m.forward(X, P, lengths=[1, 5]), ValueError, "lengths: expected .*0 to 4, got"),
    ("negative lengths", lambda m: m.forward(X, P, lengths=[-1, 2]), ValueError, "lengths: expected .*0 to 4, got"),
    ("few lengths", lambda m: m.forward(X, P, lengths=[1]), ValueError, "lengths: expected"),
    ("numbers for reset", lambda m: m.forward(X, P, reset=np.zeros((2, 4), int)), TypeError, "reset: expected booleans, got dtype int64"),
    ("reset of another T", lambda m: m.forward(X, P, reset=np.zeros((2, 3), bool)), ValueError, r"reset: expected shape \(2, 4\), got \(2, 3\)"),
    ("reset (T,) for many", lambda m: m.forward_cells(X, P, reset=np.zeros(4, bool)), ValueError, r"reset: expected shape \(2, 4\), got \(4,\)"),
    ("reset (1, T) for one", lambda m: m.forward_train(X[0], P, reset=np.zeros((1, 4), bool)), ValueError, r"reset: expected shape \(4,\), got \(1, 4\)"),
    ("h_mask of another N", lambda m: m.forward(X, P, h_mask=np.ones((3, 5))), ValueError, r"h_mask: expected .*\(2, 5\)"),
    ("h_mask (1, H) for one", lambda m: m.forward(X[0], P, h_mask=np.ones((1, 5))), ValueError, r"h_mask: expected .*\(5,\)"),
    ("one h_mask for both", lambda m: m.forward(X, Bidirectional(P, P), h_mask=np.ones((2, 5))), TypeError, "h_mask: expected Bidirectional"),
    ("one h_mask for two", lambda m: m.forward_train(X, [P, init_params(5, 2)], h_mask=(None,)), ValueError, "h_mask: expected 2 entries"),
    ("h_mask of words", lambda m: m.forward(X, P, h_mask=[["a"] * 5] * 2), TypeError, "h_mask: expected real numbers"),
    ("a state with c for a GRU", lambda m: m.forward(X, G, Z), TypeError, "state: expected Hidden, as the gru cell has no c, got State"),
    ("a pair for a GRU", lambda m: m.forward(X, G, (Z.h, Z.c)), TypeError, "state: expected Hidden, as the gru cell has no c, got tuple"),
    ("a state without c", lambda m: m.forward(X, P, Hidden(Z.h)), TypeError, r"state: expected State, or a pair \(h, c\), got Hidden"),
    ("a GRU's state of another N", lambda m: m.forward(X, G, Hidden(np.zeros((1, 5)))), ValueError, r"state.h: expected shape \(2, 5\), got \(1, 5\)"),
    ("states with c for two GRUs", lambda m: m.forward(X, Bidirectional(G, G), (Z, Z)), TypeError, r"state: expected Bidirectional\(Hidden, Hidden\), got tuple"),
    ("c of a GRU", lambda m: m.forward_cells(X, G), TypeError, "params: expected cells with a c, got one of the gru cell, which has none"),
    ("c of a GRU in a stack", lambda m: m.forward_cells(X, [P, Bidirectional(B, B)]), TypeError, "got one of the gru_before cell, which has none"),
    ("lengths of one", lambda m: m.forward(X[0], P, lengths=4), ValueError, "lengths: expected None"),
]  # fmt: skip


@pytest.mark.parametrize("module", [fastlstm, reference])
@pytest.mark.parametrize(("call", "kind", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_forward(module: Any, call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(module)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fastlstm.backward(None), TypeError, "tape: expected the Tape of forward_train, got NoneType"),
        (lambda: fastlstm.backward(tape(), np.ones((2, 4, 3))), ValueError, r"dy: expected shape \(2, 4, 5\).*\(2, 4, 3\)"),
        (lambda: fastlstm.backward(tape(), 1j * np.ones((2, 4, 5))), TypeError, "dy: expected real numbers"),
        (lambda: fastlstm.backward(tape(), dstate=NAN), TypeError, r"dstate: expected State, or a pair \(h, c\), got ndarray"),
        (lambda: fastlstm.backward(tape(), dstate=State(Z.h[:1], Z.c)), ValueError, "dstate.h: expected shape"),
        (lambda: fastlstm.Tape(), TypeError, "Tape: made by forward_train only"),
        (lambda: init_params(0, 5), ValueError, "input_size: expected at least 1, got 0"),
        (lambda: init_params(4.9, 5), TypeError, "input_size: expected an integer, got float"),
        (lambda: init_params(np.timedelta64(4, "s"), 5), TypeError, "input_size: expected an integer, got timedelta64"),
        (lambda: init_params(2**70, 5), ValueError, "input_size: expected at most"),
        (lambda: init_params(3, 5, forget_bias="1"), TypeError, "forget_bias: expected a number, got str"),
        (lambda: init_params(3, 5, forget_bias=np.nan), ValueError, "forget_bias: expected a finite number of float32, got nan"),
        (lambda: init_params(3, 5, forget_bias=1e39), ValueError, "finite number of float32, got 1e\\+39"),
        (lambda: init_params(3, 5, forget_bias=10**400), ValueError, "forget_bias: expected a finite number"),
        (lambda: init_params(3, 5, dtype=None), TypeError, "dtype: expected float32 or float64, got None"),
        (lambda: init_params(3, 5, dtype="foo"), TypeError, "dtype: expected float32 or float64, got 'foo'"),
        (lambda: init_params(3, 5, rng=1.5), TypeError, "rng: expected a numpy.random.Generator, a seed or None, got 1.5"),
        (lambda: init_params(3, 5, rng=-1), ValueError, "rng: expected a numpy.random.Generator, a seed or None, got -1"),
        (lambda: fastlstm.forward_into(X, fastlstm.pack(P), fastlstm.zero_state(P, 2), np.ma.array(np.zeros((2, 4, 5), "f4"))), TypeError, "y: expected an array of float32, got MaskedArray"),
        (lambda: init_params(3, 5.0), TypeError, "hidden_size: expected an integer, got float"),
        (lambda: init_params(3, 5, dtype=np.float16), TypeError, "dtype: expected float32 or float64, got float16"),
        (lambda: init_params(3, 5, cell="rnn"), ValueError, "cell: expected one of 'standard', 'interpolated', 'projected', 'peephole', 'normalized', 'gru', 'gru_before', got 'rnn'"),
        (lambda: init_params(3, 5, cell="gru", forget_bias=1.0), ValueError, "forget_bias: expected None for the gru cell, got 1.0"),
        (lambda: init_params(3, 5, cell="gru", projection_size=2), ValueError, "projection_size: expected None for the gru cell, got 2"),
        (lambda: fastlstm.zero_state(G._replace(U=np.ones((5, 20), "f4"))), ValueError, r"params.U: expected shape \(5, 15\) for the gru cell with D, H = 3, 5, got \(5, 20\)"),
        (lambda: fastlstm.zero_state(G._replace(b_n=G.b)), ValueError, r"params.b_n: expected shape \(5,\) for the gru cell with D, H = 3, 5, got \(15,\)"),
        (lambda: fastlstm.zero_state(B._replace(b=B.b[:5])), ValueError, r"params.b: expected shape \(15,\) for the gru_before cell with D, H = 5, 5, got \(5,\)"),
        (lambda: reference.forward(X, G._replace(b_n=G.b)), ValueError, r"b_n \(5,\), got .*b_n \(15,\)"),
        (lambda: init_params(3, 5, cell=1), TypeError, "cell: expected a name, or what fastlstm.cells.cell makes, got int"),
        (lambda: init_params(3, 5, cell="projected"), TypeError, "projection_size: expected an integer, got NoneType"),
        (lambda: init_params(3, 5, cell="projected", projection_size=2.0), TypeError, "projection_size: expected an integer, got float"),
        (lambda: init_params(3, 5, cell="projected", projection_size=0), ValueError, "projection_size: expected at least 1, got 0"),
        (lambda: init_params(3, 5, cell="projected", projection_size=6), ValueError, "projection_size: expected at most hidden_size, 5, got 6"),
        (lambda: init_params(3, 5, projection_size=2), ValueError, "projection_size: expected None for the standard cell, got 2"),
        (lambda: init_params(3, 5, cell="peephole", projection_size=2), ValueError, "projection_size: expected None for the peephole cell, got 2"),
        (lambda: init_params(3, 5, cell="normalized", projection_size=2), ValueError, "projection_size: expected None for the normalized cell, got 2"),
        (lambda: fastlstm.to_torch([P, init_params(5, 5, cell="interpolated")]), TypeError, "standard.*interpolated"),
        (lambda: fastlstm.forward(X, fastlstm.pack(I)._replace(second=None)), ValueError, "params: expected weights"),
        (lambda: fastlstm.forward(X, fastlstm.pack(P)._replace(layout=fastlstm.pack(I).layout)), ValueError, "params: expected weights"),
        (lambda: fastlstm.zero_state(P, -1), ValueError, "batch_size: expected at least 0, got -1"),
        (lambda: fastlstm.zero_state(P, 1.5), TypeError, "batch_size: expected an integer, got float"),
        (lambda: fastlstm.pack({}), TypeError, "params: expected Params.*got dict"),
        (lambda: fastlstm.forward(X, fastlstm.pack(P)._replace(hidden_size=99)), ValueError, "params: expected weights"),
        (lambda: fastlstm.forward(X, fastlstm.pack(P)._replace(panels=np.ma.masked_array(fastlstm.pack(P).panels))), TypeError, r"params: expected Packed\(array.*got Packed\(MaskedArray"),
        (lambda: fastlstm.forward(X, [fastlstm.pack(P), 3]), TypeError, r"params\[1\]: expected Params"),
    ],
)  # fmt: skip
def test_other_calls(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("module", [fastlstm, reference])
def test_any_pair_is_a_state(rng: Any, module: Any) -> None:
    """Where one layer's state belongs: for the layer itself, in a stack and in a Bidirectional."""
    top = init_params(10, 4, rng=1)
    stack = [Bidirectional(P, P), top]
    states = (Bidirectional(random_state(rng, P, 2), random_state(rng, P, 2)), random_state(rng, top, 2))
    pairs = [Bidirectional(*([h.tolist(), c] for h, c in states[0])), (states[1].h, states[1].c)]
    for params, state, pair in ((stack, states, pairs), (top, states[1], tuple(states[1]))):
        x = X if params is stack else rng.standard_normal((2, 4, 10))
        y, last, tape = module.forward_train(x, params, state)
        found, found_last, _ = module.forward_train(x, params, pair)
        assert_same((found, found_last), (y, last))
        assert_same((module.forward_cells(x, params, pair)[0], module.forward(x, params, pair)[0]), (y, y))
        assert type(found_last) is type(last)
        assert_same(tuple(module.backward(tape, y, pair)), tuple(module.backward(tape, y, state)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_numbers_beyond_all_sense_make_what_the_equations_make_of_them(rng: Any, cell: str, dtype: Any) -> None:
    """NaN where the reference has it, infinities and finite numbers alike elsewhere: above all in the interpolated cell
    a gate of minus infinity is closed, and 0 times an infinity is NaN."""
    info = np.finfo(dtype)
    huge = info.max / 64  # of which sums over all units are no infinity yet
    numbers = [np.inf, -np.inf, np.nan, huge, -huge, 1e30, -1e30, info.tiny / 3]
    params, x = random_params(rng, 2, 5, dtype, cell), rng.standard_normal((3, 4, 2)).astype(dtype)
    state = map_leaves(lambda a: a.astype(dtype), random_state(rng, params, 3))
    for array in (x, *state, *params):
        for number in numbers:
            at = tuple(rng.integers(size) for size in array.shape)
            kept = array[at]
            array[at] = number
            with np.errstate(all="ignore"):
                expected = leaves(with_cells(reference, x, params, state))
            for a, b in zip(leaves(with_cells(fastlstm, x, params, state)), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=100 * info.eps, atol=100 * info.eps, err_msg=f"{number} at {at}")
            array[at] = kept


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_that_are_no_numbers(rng: Any, cell: str, dtype: Any) -> None:
    """They spread as far as in the equations, and no further: not to the weights of a unit that they do not reach."""
    params, x = random_params(rng, 2, 5, dtype, cell), rng.standard_normal((2, 2, 2)).astype(dtype)
    state, last = (map_leaves(lambda a: a.astype(dtype), random_state(rng, params, 2)) for _ in range(2))
    dy = rng.standard_normal((2, 2, params.U.shape[0])).astype(dtype)
    tapes = [module.forward_train(x, params, state, lengths=[2, 1])[2] for module in (fastlstm, reference)]
    for array in (dy, *last):
        for number in (np.inf, -np.inf, np.nan):
            at = (0, *(rng.integers(size) for size in array.shape[1:]))
            kept = array[at]
            array[at] = number
            with np.errstate(all="ignore"):
                expected = reference.backward(tapes[1], dy, last)
            found = fastlstm.backward(tapes[0], dy, last)
            for a, b in zip(leaves(found), leaves(expected), strict=True):
                there = np.isfinite(b)
                if cell == "gru":  # of d (h - n) it makes d h - d n, which is NaN where d is infinite
                    assert (np.isfinite(a) == there).all()
                    a, b = a[there], b[there]
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=f"{number} at {at}")
            array[at] = kept


@pytest.mark.parametrize("module", [fastlstm, reference])
def test_infinite_weights_and_padding(rng: Any, module: Any) -> None:
    """A sequence that is all padding gives nothing to any gradient, whatever the weights are."""
    x = rng.standard_normal((1, 2, 3))
    for cell in CELLS:
        params = random_params(rng, 3, 5, np.float64, cell)
        for array in params:
            array.flat[-1] = np.inf
        with np.errstate(all="ignore"):
            y, _, tape = module.forward_train(x, params, lengths=[0])
            grads = module.backward(tape, np.ones_like(y))
        assert all((a == 0).all() for a in leaves(grads)), cell


def test_minus_infinity_closes_a_gate() -> None:
    x = X.copy()
    x[0, 1] = -np.inf
    positive = I._replace(W=np.abs(I.W))
    y, _, c = fastlstm.forward_cells(x, positive)
    assert np.isfinite(y[0, 0]).all()
    assert np.isnan(y[0, 1:]).all()
    assert np.isnan(c[0, 1:]).all()
    assert_same(y[1], fastlstm.forward(X, positive)[0][1])


def test_infinite_and_not_a_number_go_through() -> None:
    x = X.copy()
    x[1, 2, 0] = np.nan
    y, _ = fastlstm.forward(x, P)
    assert np.isnan(y[1, 2:]).all()
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[1, :2]).all()
    x[1, 2, 0] = 1e30
    assert np.isfinite(fastlstm.forward(x, P)[0]).all()


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("layout", ["as it is wanted", "transposed", "every other", "not aligned", "other bytes", "f8"])
def test_a_native_array_has_the_same_numbers_and_is_the_same_one_where_it_can_be(layout: str, copy: bool) -> None:
    numbers = np.arange(12, dtype="f4").reshape(4, 3)
    given = {
        "transposed": numbers.T,
        "every other": numbers[::2],
        "not aligned": np.zeros(49, "u1")[1:].view("f4").reshape(4, 3),
        "other bytes": numbers.astype(numbers.dtype.newbyteorder()),
        "f8": numbers.astype("f8"),
    }.get(layout, numbers)
    given[1] = np.inf, -0.0, np.finfo("f4").tiny / 3, *numbers.flat[: given.shape[1] - 3]
    found = checks.native(given, numbers.dtype, copy=copy)
    assert found.dtype.isnative
    assert found.flags.carray
    assert found.tobytes() == np.array(given, "f4", order="C").tobytes()
    assert (found is given) == (layout == "as it is wanted" and not copy)
    assert np.shares_memory(found, given) == (found is given)


@pytest.mark.parametrize("size", [1.0, True, np.float32(1)])
def test_a_size_that_is_no_integer_is_refused_also_where_one_of_that_value_fits(size: Any) -> None:
    packed = fastlstm.pack(init_params(3, 1, rng=0))
    fastlstm.forward(X, packed)
    for wrong in (packed._replace(hidden_size=size), packed._replace(output_size=size)):
        with pytest.raises(TypeError, match=r"params: expected Packed\(array, int, int\)"):
            fastlstm.forward(X, wrong)
