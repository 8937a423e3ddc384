"""Steps and passes in place, from Python and from users' compiled code: bit for bit what the core gives."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError
from oracles import MIXED, assert_same, error, leaves, map_leaves, random_stack, random_state

import fastlstm
from fastlstm import Bidirectional, Hidden, State, reference
from fastlstm.cpu.callable import walks
from fastlstm.params import CELLS

GRU_ON_LSTM = "gru on standard"


@numba.njit
def all_steps(x: Any, packed: Any, state: Any) -> None:
    for t in range(x.shape[-2]):
        fastlstm.step(x[..., t, :], packed, state)


@numba.njit
def train(x: Any, packed: Any, state: Any, y: Any, tape: Any, dy: Any, dstate: Any, grads: Any) -> None:
    fastlstm.forward_train_into(x, packed, state, y, tape)
    fastlstm.backward_into(tape, packed, dy, dstate, grads)


def fresh(state: Any) -> Any:
    """A state's copy, of writable arrays."""
    return map_leaves(np.array, state)


def problem(
    rng: Any, N: int, T: int, D: int, plan: Any, dtype: Any, cell: str = "standard"
) -> tuple[Any, Any, Any, Any]:
    layers = random_stack(rng, D, plan, dtype, cell)
    params: Any = tuple(layers) if len(layers) > 1 else layers[0]
    state = map_leaves(lambda a: a.astype(dtype), random_state(rng, params, N))
    return params, fastlstm.pack(params), state, rng.standard_normal((N, T, D)).astype(dtype)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("H", [1, 5, 8, 16, 17, 32, 33, 50, 70])
@pytest.mark.parametrize("N", [1, 3, 4, 9])
def test_step(rng: Any, cell: str, N: int, H: int, dtype: Any) -> None:
    params, packed, state, x = problem(rng, N, 6, 3, [(H, False)], dtype, cell)
    y, last = fastlstm.forward(x, params, state)
    assert error(y, reference.forward(x, params, state)[0]) < (1e-5 if dtype == np.float32 else 1e-12)
    mine, theirs = fresh(state), fresh(state)
    for t in range(6):
        fastlstm.step(x[:, t].copy(), packed, mine)
        assert_same(mine.h, y[:, t].copy())
    assert_same(mine, last)
    if dtype == np.float32 or cell == "standard":  # each compiles; the same code of the other type steps above
        all_steps(x, packed, theirs)
        assert_same(theirs, last)
    chunked, out = fresh(state), np.full_like(y, np.nan)
    fastlstm.forward_into(x[:, :4], packed, chunked, out[:, :4])
    fastlstm.forward_into(x[:, 4:], packed, chunked, out[:, 4:])
    assert_same((out, chunked), (y, last))


@pytest.mark.parametrize("cell", ["standard", MIXED])
def test_a_stack_whose_steps_are_calls(rng: Any, cell: str) -> None:
    """Of more layers than become part of the user's function."""
    plan = [(5, False)] * (walks._INLINED + 1)
    params, packed, state, x = problem(rng, 2, 4, 3, plan, np.float32, cell)
    y, last = fastlstm.forward(x, params, state)
    steps, chunk, out = fresh(state), fresh(state), np.full_like(y, np.nan)
    all_steps(x, packed, steps)
    forward_into = numba.njit(lambda x, packed, state, y: fastlstm.forward_into(x, packed, state, y))
    forward_into(x, packed, chunk, out)
    assert_same((out, steps, chunk), (y, last, last))


@pytest.mark.parametrize("cell", ["standard", MIXED, GRU_ON_LSTM])
def test_a_stack(rng: Any, cell: str) -> None:
    params, packed, state, x = problem(rng, 5, 7, 3, [(20, False), (37, False), (4, False)], np.float32, cell)
    y, last = fastlstm.forward(x, params, state)
    for way in ("python", "compiled", "into"):
        mine, out = fresh(state), np.empty_like(y)
        if way == "python":
            for t in range(7):
                fastlstm.step(x[:, t], packed, mine)
        elif way == "compiled":
            all_steps(x, packed, mine)
        else:
            fastlstm.forward_into(x, packed, mine, out)
            assert_same(out, y)
        assert_same(mine, last)


@pytest.mark.parametrize("cell", CELLS)
def test_a_single_sequence_and_any_layout(rng: Any, cell: str) -> None:
    params, packed, _, x = problem(rng, 1, 8, 3, [(20, False)], np.float32, cell)
    y, last = fastlstm.forward(x[0], params)
    begin = map_leaves(np.zeros_like, last)
    state = fresh(begin)
    for row in x[0].astype(np.float64):
        fastlstm.step(row, packed, state)
    assert_same(state, last)
    strange = np.zeros((8, 6), np.float32, order="F")[::-1, ::-2]
    strange[...] = x[0]
    state = fresh(begin)
    all_steps(strange, packed, state)
    assert_same(state, last)
    state, out = fresh(begin), np.empty_like(y)
    fixed = x[0].copy()
    fixed.flags.writeable = False
    fastlstm.forward_into(fixed, packed, state, out)
    assert_same((out, state), (y, last))


OPTIONS = ["parallel", "fastmath", "boundscheck", "nogil"]


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPerformanceWarning")  # nothing to do in parallel
@pytest.mark.parametrize(
    ("cell", "options"),  # each by itself, and all of them with every cell
    [*(("standard", [option]) for option in OPTIONS), *((cell, OPTIONS) for cell in CELLS)],
)
def test_the_users_options_change_no_bit(rng: Any, cell: str, options: Any) -> None:
    params, packed, _, x = problem(rng, 2, 9, 3, [(20, False)], np.float32, cell)
    state = fastlstm.zero_state(packed, 2)

    @numba.njit(**dict.fromkeys(options, True))
    def loop(x: Any, packed: Any, state: Any) -> float:
        total = 0.0
        for t in range(x.shape[1]):
            fastlstm.step(x[:, t], packed, state)
            total += state.h[0, 0]
        return total

    loop(x, packed, state)
    assert_same(state, fastlstm.forward(x, params)[1])


def test_streams_side_by_side_in_a_parallel_loop(rng: Any) -> None:
    params, packed, _, x = problem(rng, 6, 9, 3, [(20, False)], np.float32)

    @numba.njit(parallel=True)
    def loop(x: Any, packed: Any, h: Any, c: Any) -> None:
        for n in numba.prange(x.shape[0]):
            for t in range(x.shape[1]):
                fastlstm.step(x[n, t], packed, State(h[n], c[n]))

    state = fastlstm.zero_state(packed, 6)
    loop(x, packed, state.h, state.c)
    assert_same(state, fastlstm.forward(x, params)[1])


ONE, TWO = [(37, False)], [(20, False), (33, False)]


@pytest.mark.parametrize(
    ("cell", "plan", "dtype"),  # each compiles for seconds
    [
        ("standard", ONE, np.float32),
        ("standard", TWO, np.float64),
        (MIXED, ONE, np.float64),
        (MIXED, TWO, np.float32),
        (GRU_ON_LSTM, TWO, np.float32),
        ("gru", ONE, np.float64),
        ("gru_before", ONE, np.float32),
    ],
)
def test_training(rng: Any, cell: str, plan: Any, dtype: Any) -> None:
    N, T, D = 5, 90, 3  # more than a block of the backward pass
    params, packed, state, x = problem(rng, N, T, D, plan, dtype, cell)
    y, last, tape = fastlstm.forward_train(x, params, state)
    dy = np.cos(y)
    expected = fastlstm.backward(tape, dy, last)
    room, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)
    ways = (_train_from_python, train) if dtype == np.float32 and len(plan) == 2 else (_train_from_python,)
    for run in (*ways, ways[-1]):  # again, in the same room
        mine, out = fresh(state), np.empty_like(y)
        for array in (grads.x, *leaves(grads.params)):
            array.fill(np.nan)
        run(x, packed, mine, out, room, dy, fresh(last), grads)
        assert_same((out, mine), (y, last))
        assert_same(tuple(grads), tuple(expected))
    fastlstm.backward_into(room, packed, None, last, grads)
    assert_same(tuple(grads), tuple(fastlstm.backward(tape, None, last)))
    fastlstm.backward_into(room, packed, dy, None, grads)
    assert_same(tuple(grads), tuple(fastlstm.backward(tape, dy)))
    if train in ways:  # compiled code finds shapes that do not fit
        short = (last[0], map_leaves(lambda a: a[1:], last[1]))
        for wrong, says in (
            ((np.empty_like(dy[:, 1:]), last, grads), "dy: "),
            ((dy, short, grads), "dstate"),
            ((dy, last, grads._replace(x=np.empty_like(grads.x[1:]))), "grads"),
        ):
            with pytest.raises(ValueError, match=says):
                train(x, packed, mine, out, room, wrong[0], fresh(wrong[1]), wrong[2])


def _train_from_python(x: Any, packed: Any, state: Any, y: Any, tape: Any, dy: Any, last: Any, grads: Any) -> None:
    fastlstm.forward_train_into(x, packed, state, y, tape)
    fastlstm.backward_into(tape, packed, dy, last, grads)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("N", "T"), [(0, 3), (2, 0)])
def test_nothing_to_do(rng: Any, cell: str, N: int, T: int) -> None:
    _, packed, state, x = problem(rng, N, T, 3, [(5, False)], np.float32, cell)
    mine, y = fresh(state), np.empty((N, T, state.h.shape[1]), np.float32)
    tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)
    fastlstm.forward_train_into(x, packed, mine, y, tape)
    fastlstm.backward_into(tape, packed, y, mine, grads)
    assert_same((mine, grads.state), (state, state))
    assert not grads.params.W.any()


@pytest.mark.parametrize("cell", ["standard", MIXED, GRU_ON_LSTM])
def test_pack_into(rng: Any, cell: str) -> None:
    params, *_ = problem(rng, 2, 4, 3, [(20, False), (5, False)], np.float32, cell)
    new = tuple(random_stack(rng, 3, [(20, False), (5, False)], np.float32, cell))

    @numba.njit
    def again(params: Any, packed: Any) -> None:
        fastlstm.pack_into(params, packed)

    for pack in (fastlstm.pack_into, again):
        packed = fastlstm.pack(params)
        pack(new, packed)
        arrays = [[a for a in (one.panels, one.second) if a is not None] for one in (*packed, *fastlstm.pack(new))]
        assert_same(arrays[:2], arrays[2:])
    with pytest.raises(TypingError, match=r"params: expected .*Params(, as in| for each layer of) packed"):
        again(new[:1], packed)


def test_gradients_cut_or_carried_over_chunks(rng: Any) -> None:
    """Truncated backpropagation through time: chunks with the gradient of the carried state are the whole."""
    params, _, state, x = problem(rng, 3, 12, 4, [(20, False)], np.float64)
    y, _, tape = fastlstm.forward_train(x, params, state)
    whole = fastlstm.backward(tape, np.cos(y), None)
    tapes, carried = [], state
    for t in range(0, 12, 4):
        _, carried, one = fastlstm.forward_train(x[:, t : t + 4], params, carried)
        tapes.append(one)
    dstate, dW = None, 0.0
    for t, one in zip((8, 4, 0), reversed(tapes), strict=True):
        grads = fastlstm.backward(one, np.cos(y[:, t : t + 4]), dstate)
        dstate, dW = grads.state, dW + grads.params.W
        assert error(grads.x, whole.x[:, t : t + 4]) < 1e-12
    assert error(dW, whole.params.W) < 1e-12
    assert error(dstate, whole.state) < 1e-12


def test_bad_input_from_python(rng: Any) -> None:
    params, packed, _, _ = problem(rng, 2, 4, 3, [(5, False)], np.float32)
    state, x = fastlstm.zero_state(packed, 2), np.zeros((2, 3), np.float32)
    fixed = State(state.h, state.c.copy())
    fixed.c.flags.writeable = False
    both, gru = fastlstm.pack(Bidirectional(params, params)), fastlstm.pack(fastlstm.init_params(3, 5, cell="gru"))
    for call, wrong, says in (
        (lambda: fastlstm.step(np.zeros((2, 4)), packed, state), ValueError, "x: expected shape"),
        (lambda: fastlstm.step(np.zeros((3, 3)), packed, state), ValueError, "state.h: expected shape"),
        (lambda: fastlstm.step(x, params, state), TypeError, "packed: expected what pack makes"),
        (lambda: fastlstm.step(x, both, state), ValueError, "cannot step"),
        (lambda: fastlstm.step(x, packed, (state.h, state.c)), TypeError, "state: expected State"),
        (lambda: fastlstm.step(x, packed, Hidden(state.h)), TypeError, "state: expected State, got Hidden"),
        (lambda: fastlstm.step(x, gru, state), TypeError, "state: expected Hidden, got State"),
        (lambda: fastlstm.step(x, packed, fixed), ValueError, "state.c: expected a writable array"),
        (lambda: fastlstm.step(x, packed, State(*(a.astype(float) for a in state))), TypeError, "state.h"),
        (lambda: fastlstm.step(x, packed._replace(layout=np.empty(())), state), ValueError, "packed"),
        (lambda: fastlstm.step(x, packed._replace(layout=np.empty(0, bool)), state), ValueError, "packed"),
        (lambda: fastlstm.forward_into(x[:, None], packed, state, np.zeros((2, 1, 4), "f4")), ValueError, "y: "),
        (lambda: fastlstm.forward_into(x[:, None], packed, state, np.zeros((2, 1, 5))), TypeError, "y: "),
        (lambda: fastlstm.make_tape(packed, -1, 2), ValueError, "N: "),
        (lambda: fastlstm.make_grads(params, 1, 2), TypeError, "packed: "),
        (lambda: fastlstm.pack_into(fastlstm.init_params(3, 6), packed), ValueError, "params: "),
        (lambda: fastlstm.pack_into((params,), packed), ValueError, "params: "),
        (lambda: fastlstm.Stream(Bidirectional(params, params)), ValueError, "params: "),
        (lambda: fastlstm.Stream(params).reset([1]), TypeError, "mask: "),
        (lambda: fastlstm.Stream(params).reset([True, False]), ValueError, "mask: "),
        (lambda: fastlstm.Stream(params).run(np.zeros((2, 3))), ValueError, "x: "),
        (lambda: fastlstm.Stream(params, 4)(x), ValueError, r"x: expected shape \(4, 3\), got \(2, 3\)"),
        (lambda: fastlstm.Stream((params,))([[1, 2]]), ValueError, r"x: expected shape \(1, 3\), got \(1, 2\)"),
    ):
        with pytest.raises(wrong, match=says):
            call()
    tape, grads = fastlstm.make_tape(packed, 2, 4), fastlstm.make_grads(packed, 2, 4)
    y, long = np.zeros((2, 4, 5), np.float32), np.zeros((2, 4, 3), np.float32)
    other = tape._replace(gates=tape.gates[..., ::2].copy())  # of vectors half as wide
    for call, wrong, says in (
        (lambda: fastlstm.forward_train_into(long, packed, state, y, None), TypeError, "tape: "),
        (lambda: fastlstm.forward_train_into(long[:, :3], packed, state, y[:, :3], tape), ValueError, "tape: "),
        (lambda: fastlstm.backward_into(other, packed, y, None, grads), ValueError, r"tape\.gates: "),
        (lambda: fastlstm.backward_into(tape, packed, y[:, 1:], None, grads), ValueError, "dy: "),
        (lambda: fastlstm.backward_into(tape, packed, y, State(y, y), grads), ValueError, "dstate.h: "),
        (lambda: fastlstm.backward_into(tape, packed, y, None, (1, 2)), TypeError, "grads: "),
        (lambda: fastlstm.backward_into(tape, packed, y, None, fastlstm.make_grads(packed, 3, 4)), ValueError, "grads"),
    ):
        with pytest.raises(wrong, match=says):
            call()


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "standard"])
def test_another_cell(rng: Any, cell: str) -> None:
    """An error that names both."""
    params, packed, *_ = problem(rng, 2, 4, 3, [(5, False)], np.float32)
    other, second, *_ = problem(rng, 2, 4, 3, [(5, False)], np.float32, cell)
    tape, grads = fastlstm.make_tape(second, 2, 4), fastlstm.make_grads(packed, 2, 4)
    grads = grads._replace(params=fastlstm.make_grads(second, 2, 4).params)
    state, x, y = fastlstm.zero_state(packed, 2), np.zeros((2, 4, 3), np.float32), np.zeros((2, 4, 5), np.float32)
    mine = fastlstm.make_tape(packed, 2, 4)
    for call, wrong in (
        (lambda: fastlstm.pack_into(other, packed), TypeError),
        (lambda: fastlstm.forward_train_into(x, packed, state, y, tape), ValueError),
        (lambda: fastlstm.backward_into(mine, packed, y, None, grads), TypeError),
    ):
        with pytest.raises(wrong, match=rf"standard cell.*{cell}"):
            call()

    @numba.njit
    def pack(params: Any, packed: Any) -> None:
        fastlstm.pack_into(params, packed)

    @numba.njit
    def train(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
        fastlstm.forward_train_into(x, packed, state, y, tape)

    @numba.njit
    def step(x: Any, packed: Any, state: Any) -> None:
        fastlstm.step(x, packed, state)

    with pytest.raises(TypingError, match=r"params: expected \w+Params for each layer of packed \(1\), got Params"):
        pack(params, second)
    with pytest.raises(TypingError, match=f"tape: expected one for the standard cell, got one for the {cell} cell"):
        train(x, packed, state, y, tape)
    if second.second is not None:
        with pytest.raises(TypingError, match=r"packed\.second: expected None for the standard cell"):
            step(x[:, 0], packed._replace(second=second.second), state)
        its = fastlstm.zero_state(second, 2)
        with pytest.raises(TypingError, match=r"packed\.second: expected"):
            step(x[:, 0], second._replace(second=None), its)
        with pytest.raises(ValueError, match="packed: "):
            step(x[:, 0], second._replace(second=second.second[:, 1:].copy()), its)
    with pytest.raises(ValueError, match="packed: "):  # another width of h than of c, of a cell that has none
        step(x[:, 0], packed._replace(output_size=packed.output_size - 1), state)


def test_bad_input_in_compiled_code(rng: Any) -> None:
    params, packed, _, _ = problem(rng, 2, 4, 3, [(5, False)], np.float32)
    state, x = fastlstm.zero_state(packed, 2), np.zeros((2, 3), np.float32)

    @numba.njit
    def one(x: Any, packed: Any, state: Any) -> None:
        fastlstm.step(x, packed, state)

    gru = fastlstm.pack(fastlstm.init_params(3, 5, cell="gru"))
    one(x, packed, state)
    before = fresh(state)
    small = fastlstm.zero_state(fastlstm.init_params(3, 4), 2)
    cut, torn = (packed._replace(panels=packed.panels[:, :-vectors].copy()) for vectors in (4, 1))  # a row, or less
    for arguments, says in (
        ((x[:, :2].copy(), packed, state), "x: "),
        ((np.zeros((3, 3), np.float32), packed, state), "state: "),
        ((x, packed, small), "state: "),
        ((x, packed, State(state.h, small.c)), "state: "),
        ((x, cut, state), "x: "),
        ((x, torn, state), "packed: "),
        ((x, packed._replace(hidden_size=500), state), "packed: "),
        ((x, packed._replace(hidden_size=-1), state), "packed: "),
    ):
        with pytest.raises(ValueError, match=says):
            one(*arguments)
    assert_same(state, before)
    fixed = State(state.h, state.c.copy())
    fixed.c.flags.writeable = False
    for arguments, says in (
        ((x.astype(float), packed, state), "x: expected a"),
        ((x, params, state), "packed: expected Packed"),
        ((x, packed, (state.h, state.c)), "state: expected State"),
        ((x, packed, Hidden(state.h)), "state: expected State"),
        ((x, gru, state), "state: expected Hidden"),
        ((x, packed, fixed), "state.c: expected a C-ordered, writable"),
        ((x, packed, State(state.h, state.c.astype(float))), "state.c: expected"),
        ((x[0], packed, state), "x: expected"),
        ((x, packed._replace(layout=np.empty(0, bool)), state), "packed.layout"),
        ((x, (packed, packed), state), "state: expected"),
    ):
        with pytest.raises(TypingError, match=says):
            one(*arguments)


def in_process(code: str, folder: Path, **environment: str) -> str:
    env = os.environ | environment
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], env=env, text=True,
                          capture_output=True, cwd=folder, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_caught_frees_what_it_held(tmp_path: Path) -> None:
    """No more and no less: an error ends the loop's turn, not the function."""
    in_process("""
        import numpy as np, fastlstm
        from numba import njit
        from numba.core.runtime import rtsys
        packed = fastlstm.pack(fastlstm.init_params(3, 4, rng=0))
        @njit
        def loop(packed, state, times):
            refused = 0
            for _ in range(times):
                x = np.ones((2, 3 + times % 2), np.float32)  # as wide as the weights want it, or wider
                for n in range(2):
                    try:
                        fastlstm.step(x[n], packed, state)
                    except Exception:
                        refused += 1
                    x[n, 0] += refused
            return refused
        state = fastlstm.zero_state(packed, 1)
        state = fastlstm.State(state.h[0], state.c[0])
        loop(packed, state, 1)
        for times in (101, 100):
            before = rtsys.get_allocation_stats()
            assert loop(packed, state, times) == times % 2 * 2 * times
            after = rtsys.get_allocation_stats()
            assert after.alloc - before.alloc >= times
            assert after.alloc - before.alloc == after.free - before.free, (before, after)
        """, tmp_path, NUMBA_NRT_STATS="1")  # fmt: skip


def test_a_users_cached_function_after_a_change_of_layout(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(textwrap.dedent("""
        import fastlstm
        from numba import njit
        @njit(cache=True)
        def one(x, packed, state):
            fastlstm.step(x, packed, state)
        """))  # fmt: skip
    code = """
        import sys
        sys.path.insert(0, ".")
        import numpy as np
        import fastlstm
        from fastlstm.cpu.lstm import cell_type
        {change}
        from mine import one
        layout = np.empty((0,) * cell_type.LAYOUT, bool)
        packed = fastlstm.pack(fastlstm.init_params(3, 5, rng=0))._replace(layout=layout)
        state = fastlstm.zero_state(fastlstm.init_params(3, 5), 2)
        one(np.ones((2, 3), np.float32), packed, state)
        print(sum(one.stats.cache_hits.values()), state.h.any())
        """
    change = "cell_type.LAYOUT = 3"
    again = partial(in_process, folder=tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert again(code.format(change="")).split() == ["0", "True"]
    assert again(code.format(change="")).split() == ["1", "True"]
    assert again(code.format(change=change)).split() == ["0", "True"]  # compiled again
    assert again(code.format(change="")).split() == ["1", "True"]
