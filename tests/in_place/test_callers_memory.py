"""Every in-place function of every cell, in compiled code too, and what memory they touch: their own, or none."""

from __future__ import annotations

import copy
import functools
import os
import pickle
import subprocess
import sys
import textwrap
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError
from numba.core.runtime import _nrt_python, rtsys
from numpy.lib.stride_tricks import as_strided
from oracles import assert_same, error, leaves, map_leaves, random_params, random_state

import fastlstm
from fastlstm import checks, reference
from fastlstm.cpu.callable import from_python
from fastlstm.params import CELLS, State

N, T, D, H = 5, 9, 3, 7


def everything(x: Any, params: Any, packed: Any, state: Any, y: Any, tape: Any, dy: Any, dstate: Any, grads: Any,
               steps: Any, chunk: Any, out: Any, times: int) -> None:  # fmt: skip
    for _ in range(times):
        for t in range(x.shape[-2]):
            fastlstm.step(x[..., t, :], packed, steps)
        fastlstm.forward_into(x, packed, chunk, out)
        fastlstm.forward_train_into(x, packed, state, y, tape)
        fastlstm.backward_into(tape, packed, dy, dstate, grads)
        fastlstm.pack_into(params, packed)


def train(x: Any, packed: Any, state: Any, y: Any, tape: Any, dy: Any, dstate: Any, grads: Any) -> None:
    fastlstm.forward_train_into(x, packed, state, y, tape)
    fastlstm.backward_into(tape, packed, dy, dstate, grads)


def one_step(x: Any, packed: Any, state: Any) -> None:
    fastlstm.step(x, packed, state)


def chunk(x: Any, packed: Any, state: Any, y: Any) -> None:
    fastlstm.forward_into(x, packed, state, y)


def pack(params: Any, packed: Any) -> None:
    fastlstm.pack_into(params, packed)


compiled = {function: numba.njit(function) for function in (everything, train, one_step, chunk, pack)}
WAYS = [lambda function: function, compiled.get]
ways = pytest.mark.parametrize("way", WAYS, ids=["python", "compiled"])


def copied(tree: Any) -> Any:
    return map_leaves(np.array, tree)


class Case:
    """A layer's problem, and what forward and backward make of it."""

    def __init__(self, cell: str, dtype: Any = np.float32, units: int = H, seed: int = 3, inputs: int = D) -> None:
        rng = np.random.default_rng(seed)
        self.params = random_params(rng, inputs, units, dtype, cell)
        self.packed = fastlstm.pack(self.params)
        self.state = map_leaves(lambda a: a.astype(dtype), random_state(rng, self.params, N))
        self.x = rng.standard_normal((N, T, inputs)).astype(dtype)
        self.tape, self.grads = fastlstm.make_tape(self.packed, N, T), fastlstm.make_grads(self.packed, N, T)
        self.y, self.last, tape = fastlstm.forward_train(self.x, self.params, self.state)
        self.dy = np.cos(self.y)
        self.expected = fastlstm.backward(tape, self.dy, self.last)

    def run(self, way: Any, **changes: Any) -> Any:
        """forward_train_into and backward_into, with some arguments changed."""
        arguments = {
            "x": self.x, "packed": self.packed, "state": copied(self.state), "y": np.zeros_like(self.y),
            "tape": self.tape, "dy": self.dy, "dstate": copied(self.last), "grads": self.grads,
        } | changes  # fmt: skip
        way(train)(*arguments.values())
        return arguments

    def refuses(self, way: Any, match: str, kind: Any = ValueError, **changes: Any) -> None:
        """The same, with an error, and nothing has changed: of gradients that do not fit, those have not."""
        state, y, grads = copied(self.state), np.full_like(self.y, 7), map_leaves(np.ones_like, self.grads)
        given = {"state": state, "y": y, "grads": grads} | changes
        kept = tuple(given["grads"]) if "grads" in changes else (given["state"], given["y"], tuple(given["grads"]))
        before = copied(kept)
        with pytest.raises(kind, match=match):
            self.run(way, **given)
        assert_same(kept, before)


# in_place/test_in_place.py trains these in compiled code
ELSEWHERE = "standard", "interpolated", "gru"


@pytest.mark.parametrize(("cell", "dtype", "single"), [  # each compiles for eight seconds
    *((cell, np.float32, False) for cell in CELLS if cell not in ELSEWHERE),
    ("standard", np.float64, True),
])  # fmt: skip
def test_every_function_compiled(cell: str, dtype: Any, single: bool) -> None:
    case, new = Case(cell, dtype), Case(cell, dtype, seed=4)
    x, state, params, grads = case.x, case.state, case.params, case.grads
    y, last, tape = fastlstm.forward_train(x, params, state)
    if single:
        x, state = x[2], map_leaves(lambda a: a[2], state)
        y, last, tape = fastlstm.forward_train(x, params, state)
        case.tape, grads = fastlstm.make_tape(case.packed, 1, T), fastlstm.make_grads(case.packed, 1, T)
        grads = grads._replace(x=grads.x[0], state=map_leaves(lambda a: a[0], grads.state))
    dy = np.cos(y)
    expected = fastlstm.backward(tape, dy, last)
    assert error(y, reference.forward(x, params, state)[0]) < 1e-5
    _, _, slow = reference.forward_train(x, params, state)
    assert error(tuple(expected), tuple(reference.backward(slow, dy, last))) < 1e-4
    for array in leaves(tuple(grads)):
        array.fill(np.nan)
    own, out = [copied(state) for _ in range(3)], [np.full_like(y, np.nan) for _ in range(2)]
    arguments = (x, new.params, case.packed, own[0], out[0], case.tape, dy, copied(last), grads, own[1], own[2], out[1])
    compiled[everything](*arguments, 1)
    assert_same((out, own), ([y] * 2, [last] * 3))
    assert_same(tuple(grads), tuple(expected))
    assert_same(fastlstm.forward(x, case.packed)[0], fastlstm.forward(x, new.params)[0])
    once, often = (allocations(lambda times=times: compiled[everything](*arguments, times)) for times in (1, 100))
    assert once == often  # each call allocates for its arguments, and nothing in it does


def allocations(call: Any) -> int:
    """How often compiled code asks for memory in a call."""
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats().alloc
        call()
        return rtsys.get_allocation_stats().alloc - before
    finally:
        _nrt_python.memsys_disable_stats()


def test_allocations_are_seen() -> None:
    make = numba.njit(lambda times: sum([np.zeros(times).sum() for _ in range(times)]))
    make(1)
    assert allocations(lambda: make(100)) >= allocations(lambda: make(1)) + 99


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("single", [False, True])
def test_every_function_from_python(cell: str, dtype: Any, single: bool) -> None:
    case = Case(cell, dtype)
    x, state, dy, last = case.x, case.state, case.dy, case.last
    tape, grads = case.tape, case.grads
    y, expected = case.y, case.expected
    if single:
        x, state = x[1], map_leaves(lambda a: a[1], state)
        y, last, kept = fastlstm.forward_train(x, case.params, state)
        dy = np.sin(y)
        expected = fastlstm.backward(kept, dy, last)
        tape, grads = fastlstm.make_tape(case.packed, 1, T), fastlstm.make_grads(case.packed, 1, T)
        grads = grads._replace(x=grads.x[0], state=map_leaves(lambda a: a[0], grads.state))
    mine, out = copied(state), np.full_like(y, np.nan)
    train(x, case.packed, mine, out, tape, dy, last, grads)
    assert_same((out, mine, tuple(grads)), (y, last, tuple(expected)))
    mine = copied(state)
    for t in range(T):
        fastlstm.step(x[..., t, :], case.packed, mine)
    assert_same(mine, last)


OTHERS = [
    ("peephole", 5, "standard", 5, "the peephole cell, got one for the standard cell"),
    ("standard", 5, "peephole", 5, "the standard cell, got one for the peephole cell"),
    ("projected", 7, "projected", 8, "tape: expected make_tape"),  # as many vectors, and P 5
    ("standard", 7, "standard", 5, "tape: expected make_tape"),
]


@ways
@pytest.mark.parametrize(("cell", "units", "other", "others", "says"), OTHERS)
def test_a_tape_of_other_weights(way: Any, cell: str, units: int, other: str, others: int, says: str) -> None:
    case, second = Case(cell, units=units), Case(other, units=others)
    case.refuses(way, says, (ValueError, TypingError), tape=second.tape)
    case.refuses(way, r"tape.*float32", (TypeError, TypingError), tape=Case(cell, np.float64, units=units).tape)
    if cell == other:
        case.refuses(way, "grads", tape=case.tape, grads=second.grads)
        case.refuses(way, "tape", tape=fastlstm.make_tape(case.packed, N, T + 1))
    if cell == other or way is WAYS[0]:  # else compiled code was refused before there was any
        case.run(way)
        assert_same(tuple(case.grads), tuple(case.expected))


@ways
def test_every_array_of_a_tape(way: Any) -> None:
    """Shorter, it is refused: the kernels would go past its end."""
    case = Case("standard")
    for name, array in zip(case.tape._fields, case.tape, strict=True):
        if not isinstance(array, np.ndarray) or name in ("layout", "reset", "dx"):
            continue
        short = np.delete(array, 0, array.ndim - 1) if name != "tmp" else array[:9].copy()  # one thread needs less
        case.refuses(way, "tape", tape=case.tape._replace(**{name: short}))
        if way is WAYS[0]:
            case.refuses(way, rf"tape\.{name}", tape=case.tape._replace(**{name: array[..., ::-1]}))
            case.refuses(
                way, rf"tape\.{name}", TypeError, tape=case.tape._replace(**{name: np.zeros(array.shape, np.int16)})
            )
            fixed = array.copy()
            fixed.flags.writeable = False
            case.refuses(way, rf"tape\.{name}", tape=case.tape._replace(**{name: fixed}))
    case.refuses(way, "tape", tape=case.tape._replace(hidden_size=H - 1))
    if way is not WAYS[0]:  # from Python they are not looked at
        for name in ("bases", "order", "lens"):
            changed = getattr(case.tape, name) + 1
            case.refuses(way, "tape", tape=case.tape._replace(**{name: changed}))
    case.run(way, tape=type(case.tape)(*map(np.copy, case.tape))._replace(hidden_size=H, output_size=H))
    assert_same(tuple(case.grads), tuple(case.expected))  # of pieces of its own, as from a pickle


def layouts(shape: tuple[int, int, int], dtype: Any) -> dict[str, Any]:
    """Arrays of that shape, in larger ones full of sevens, and those."""
    rows, steps, units = shape
    size = np.dtype(dtype).itemsize
    whole = np.full((2 * rows + 2, 2 * steps + 2, units + 3), 7, dtype)
    by_time = np.full((steps, rows, units), 7, dtype)
    flat = np.full(4 * rows * steps * units, 7, dtype)
    window = lambda *strides: as_strided(flat[units:], shape, [size * s for s in strides])  # noqa: E731
    return {
        "a slice": (whole[1::2, 1::2][:rows, :steps, 2 : 2 + units], whole),
        "backwards": (whole[:rows, :steps, :units][::-1, ::-1], whole),
        "time first": (by_time.transpose(1, 0, 2), by_time),
        "every step the same": (window(steps * units, 0, 1), flat),
        "every row the same": (window(0, units, 1), flat),
        "steps that overlap": (window(steps * units, units - 1, 1), flat),
        "rows that overlap": (window(units, units, 1), flat),
        "units apart": (window(3 * units * steps, 3 * units, 2), flat),
    }  # fmt: skip


@ways
@pytest.mark.parametrize("layout", layouts((1, 1, 1), "f4"))
def test_where_y_goes(way: Any, layout: str) -> None:
    case = Case("standard")
    y, whole = layouts(case.y.shape, np.float32)[layout]
    before, state = whole.copy(), copied(case.state)
    if layout in ("a slice", "backwards", "time first"):
        way(chunk)(case.x, case.packed, state, y)
        assert_same((np.ascontiguousarray(y), state), (case.y, case.last))
        y[...] = 7  # and nothing else
    else:
        with pytest.raises(ValueError, match="y: expected"):
            way(chunk)(case.x, case.packed, state, y)
        assert_same(state, case.state)
    assert_same(whole, before)


@ways
def test_what_may_share_memory(way: Any) -> None:
    case = Case("standard", inputs=H)
    shared, state = case.x.copy(), copied(case.state)
    way(chunk)(shared, case.packed, state, shared)  # y is x
    assert_same((shared, state), (case.y, case.last))
    shared = case.x.copy()
    case.run(way, x=shared, y=shared)
    assert_same(shared, case.y)
    state = copied(case.state)
    way(one_step)(state.h, case.packed, state)  # x is the old h
    assert_same(state.h, fastlstm.forward(case.state.h[:, None], case.params, case.state)[0][:, 0].copy())
    grads = map_leaves(np.zeros_like, case.grads)
    for mine, last in zip(grads.state, case.last, strict=True):
        mine[...] = last
    case.run(way, dstate=grads.state, grads=grads)
    assert_same(tuple(grads), tuple(case.expected))
    both = np.zeros((N, T, 2 * H), np.float32)  # side by side in one array: they share nothing
    for x, y in ((both[..., :H], both[..., H:]), (both[..., ::2], np.zeros_like(case.y))):
        x[...] = case.x
        state = copied(case.state)
        way(chunk)(x, case.packed, state, y)
        assert_same((np.ascontiguousarray(y), state), (case.y, case.last))
    for x, y in ((np.zeros((2 * N, T, H), "f4"), (slice(0, None, 2), slice(1, None, 2))),):
        x[y[0]] = case.x
        state = copied(case.state)
        way(chunk)(x[y[0]], case.packed, state, x[y[1]])
        assert_same((x[y[1]].copy(), state), (case.y, case.last))


def refused_pairs(case: Case) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Names of two, function, and arguments in which they share memory."""
    x, y, zeros = case.x, np.zeros_like(case.y), lambda *shape: np.zeros(shape, np.float32)
    state, packed, tape, grads = case.state, case.packed, case.tape, case.grads
    step = {"x": x[:, 0].copy(), "packed": packed, "state": state}
    into = {"x": x, "packed": packed, "state": state, "y": y}
    pass_ = {**into, "tape": tape, "dy": case.dy, "dstate": copied(case.last), "grads": grads}
    long = zeros(N, T + 1, H)
    panels = packed.panels.reshape(-1)[: N * H].reshape(N, H)
    return [
        ("state", "state", one_step, step | {"state": State(state.h, state.h)}),
        ("x", "state", one_step, step | {"x": state.c}),
        ("packed", "state", one_step, step | {"state": State(panels, state.c)}),
        ("state", "state", chunk, into | {"state": State(state.c, state.c)}),
        ("y", "state", chunk, into | {"state": State(y.reshape(-1)[: N * H].reshape(N, H), state.c)}),
        ("x", "state", chunk, into | {"state": State(x.reshape(-1)[: N * H].reshape(N, H), state.c)}),
        ("x", "y", chunk, into | {"x": long[:, :-1], "y": long[:, 1:]}),
        ("y", "packed", chunk, into | {"y": packed.panels.reshape(-1)[: y.size].reshape(y.shape)}),
        ("tape", "y", train, pass_ | {"y": tape.x}),
        ("tape", "x", train, pass_ | {"x": tape.x}),
        ("grads", "dy", train, pass_ | {"dy": grads.x}),
        ("grads", "grads", train, pass_ | {"grads": grads._replace(state=State(grads.state.h, grads.state.h))}),
        ("grads", "grads", train, pass_ | {"grads": grads._replace(params=grads.params._replace(W=grads.params.U))}),
        ("grads", "tape", train, pass_ | {"grads": grads._replace(x=tape.x)}),
        ("grads", "dstate", train, pass_ | {"dstate": State(grads.state.c, grads.state.h)}),
        ("packed", "params", pack, {"params": case.params._replace(W=packed.panels.reshape(-1)[: 4 * H * H]
                                                                   .reshape(H, 4 * H)), "packed": packed}),
    ]  # fmt: skip


@ways
def test_what_may_not_share_memory(way: Any) -> None:
    for one, other, function, arguments in refused_pairs(Case("standard", inputs=H, units=H)):
        # backward_into comes behind a pass that nothing is wrong with
        kept = leaves_of(tuple(arguments[name] for name in ("grads", "dy", "dstate") if one == "grads") or arguments)
        before = [array.copy() for array in kept]
        with pytest.raises(ValueError, match=one if one == other else f"{one}.*{other}|{other}.*{one}"):
            way(function)(*arguments.values())
        for array, old in zip(kept, before, strict=True):
            assert array.tobytes() == old.tobytes(), (one, other)


def leaves_of(tree: Any) -> list[np.ndarray]:
    """The arrays of nested tuples and dictionaries."""
    if isinstance(tree, np.ndarray):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, tuple) else ()
    return [leaf for branch in branches for leaf in leaves_of(branch)]


def test_layers_of_a_stack_that_share_a_state() -> None:
    case = Case("standard", inputs=H)
    stack, state = (case.packed, case.packed), copied(case.state)
    shared = r"state\[[01]\]\.(h|c): expected memory of its own, got some that state\[[01]\]\.\1 uses too"
    with pytest.raises(ValueError, match=shared):
        fastlstm.step(case.x[:, 0], stack, (state, state))
    with pytest.raises(ValueError, match="state: expected arrays that share no memory"):
        compiled[one_step](case.x[:, 0].copy(), stack, (state, state))
    both = (state, copied(case.state))
    compiled[one_step](case.x[:, 0].copy(), stack, both)  # one layer's weights may be another's
    assert_same(both, fastlstm.forward(case.x[:, :1], stack, (case.state, case.state))[1])


@ways
@pytest.mark.parametrize("cell", ["standard", "projected"])
def test_packed_weights_that_cannot_be_written(way: Any, cell: str) -> None:
    case, new = Case(cell), Case(cell, seed=4)
    for field in ("panels", "second"):
        array = getattr(case.packed, field)
        if array is None:
            continue
        fixed, strided = array.copy(), np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)[..., ::2]
        fixed.flags.writeable = False
        strided[...] = array
        for wrong in (fixed, strided):
            packed = case.packed._replace(**{field: wrong})
            with pytest.raises(
                (ValueError, TypingError), match=rf"packed\.{field}: expected an? .*(writable|in C order)"
            ):
                way(pack)(new.params, packed)
            assert_same(wrong, array)
        packed, state = case.packed._replace(**{field: strided}), copied(case.state)
        if way is WAYS[0]:  # read in the order of their strides
            fastlstm.step(case.x[:, 0], packed, state)
            assert_same(state.h, case.y[:, 0].copy())
        else:
            with pytest.raises(TypingError, match=rf"packed\.{field}: expected a C-ordered array"):
                compiled[one_step](case.x[:, 0].copy(), packed, state)
        state = copied(case.state)
        way(one_step)(case.x[:, 0].copy(), case.packed._replace(**{field: fixed}), state)
        assert_same(state.h, case.y[:, 0].copy())


@pytest.mark.parametrize("cell", ["standard", "projected"])
def test_sizes_are_integers(cell: str) -> None:
    case = Case(cell)
    packed = case.packed
    for field in ("hidden_size", "output_size"):
        size = getattr(packed, field)
        for wrong in (size + 0.9, float(size), None):
            state = copied(case.state)
            with pytest.raises((TypeError, ValueError), match="packed: expected"):
                fastlstm.step(case.x[:, 0].copy(), packed._replace(**{field: wrong}), state)
            assert_same(state, case.state)
        with pytest.raises(TypingError, match=rf"packed\.{field}: expected an integer"):
            compiled[one_step](case.x[:, 0].copy(), packed._replace(**{field: float(size)}), state)
        fastlstm.step(case.x[:, 0].copy(), packed._replace(**{field: np.int64(size)}), state)
        assert_same(state.h, case.y[:, 0].copy())
    for call in (
        lambda: fastlstm.make_tape(packed, 4.9, 2), lambda: fastlstm.make_tape(packed, 4, 2.0),
        lambda: fastlstm.make_grads(packed, 1.5, 2), lambda: fastlstm.Stream(case.params, 4.9),
        lambda: fastlstm.zero_state(packed, 4.9), lambda: fastlstm.make_tape(packed, True, 2),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="expected an integer, got"):
            call()
    assert fastlstm.make_tape(packed, np.int32(2), np.int64(3)).x.shape == (2, 3, D)


def test_an_error_of_types_begins_with_what_is_wrong() -> None:
    case = Case("standard")
    with pytest.raises(TypingError) as raised:
        compiled[one_step](case.x[:, 0].astype(float), case.packed, case.state)
    assert "x: expected an array of float32 with 2 dimensions, got array(float64" in str(raised.value).splitlines()[1]
    assert len(str(raised.value).splitlines()) < 15


def test_fields_of_packed_records() -> None:
    """Numbers that lie no whole number of their size apart."""
    case = Case("standard", np.float64)
    records = np.zeros((N, T, D), [("a", "f4"), ("x", "f8")])
    records["x"] = case.x
    state, y = copied(case.state), np.zeros_like(case.y)
    fastlstm.forward_into(records["x"], case.packed, state, y)
    assert_same((y, state), (case.y, case.last))
    with pytest.raises(ValueError, match="strides"):
        compiled[one_step](records["x"][:, 0], case.packed, state)


def test_a_small_stack() -> None:
    """A thread with 256 KiB of it, with as many units as find room there and with more."""
    code = """
        import sys, threading
        import numpy as np, numba, fastlstm
        from fastlstm.params import CELLS, shapes
        threading.stack_size(256 * 1024)
        def in_thread(function, *arguments):
            failed = []
            def run():
                try:
                    function(*arguments)
                except BaseException as error:
                    failed.append(error)
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            if failed:
                raise failed[0]
        def steps(x, packed, state, times):
            for _ in range(times):
                for t in range(x.shape[1]):
                    fastlstm.step(x[:, t], packed, state)
        inside = numba.njit(steps)
        def layer(cell, H, dtype, P=None):
            record, rng = CELLS[cell], np.random.default_rng(0)
            return record(*(rng.uniform(-0.1, 0.1, shape).astype(dtype)
                            for shape in shapes(record, 2, H, P or H).values()))
        def check(params, N=5, T=2):
            packed = fastlstm.pack(params)
            x = np.random.default_rng(1).standard_normal((N, T, 2)).astype(params.W.dtype)
            state = fastlstm.zero_state(params, N)
            for t in range(T):  # compiles, where nothing is yet
                fastlstm.step(x[:, t].copy(), packed, state)
            last = fastlstm.forward(x, params)[1]
            for a, b in zip(state, last):
                assert (a == b).all()
            state = fastlstm.zero_state(params, N)
            in_thread(steps, x.astype(np.float64), packed, state, 1)
            in_thread(steps, x, packed, fastlstm.zero_state(params, N), 3)
            for a, b in zip(state, last):
                assert (a == b).all()
            return x, packed, state
        for cell in ("standard", "interpolated", "peephole", "normalized", "gru", "gru_before"):
            check(layer(cell, 600, np.float64))
        check(layer("normalized", 1000, np.float32))  # more than four rows find room for
        for H in (1500, 8000, 8300, 300_000):  # four rows at once, one, and none
            x, packed, state = check(layer("projected", H, np.float32, 1))
            inside(x[:, :0], packed, state, 1)
            try:
                in_thread(inside, x, packed, state, 50)
                assert H <= 8000
            except ValueError as error:
                assert H > 8000 and "64 KiB" in str(error), (H, error)
            for x_, stream in ((x[:, 0], fastlstm.Stream(packed, 5)), (x[0, 0], fastlstm.Stream(packed))):
                in_thread(stream, x_)
                assert (stream.state.c == fastlstm.forward(x[:len(stream.state.c), :1], packed)[1].c).all()
        """
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], env=os.environ | {
        "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}, text=True,
        capture_output=True, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("single", [False, True])
def test_a_step_reads_no_other_byte_order(single: bool) -> None:
    """Nor writes it: Numba may take such an array for one of this processor's."""
    case = Case("standard")
    x, state = case.x[:, 0], copied(case.state)
    if single:
        x, state = x[0], State(*(a[0].copy() for a in state))
    right = copied(state)
    fastlstm.step(x, case.packed, right)
    swapped = x.astype(x.dtype.newbyteorder())
    with pytest.MonkeyPatch.context() as patch:  # as if Numba did
        patch.setattr(from_python, "step", functools.partial(_native, from_python.step))
        fastlstm.step(swapped, case.packed, state)
    assert_same(state, right)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("made", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_step_of_what_was_copied_goes_the_short_way(monkeypatch: pytest.MonkeyPatch, cell: str, made: Any) -> None:
    """An array from a pickle has a dtype object of its own."""
    case = Case(cell)
    right = copied(case.state)
    fastlstm.step(case.x[:, 0].copy(), case.packed, right)
    x, packed, state = made((case.x[:, 0].copy(), case.packed, copied(case.state)))
    monkeypatch.setattr(checks, "steppable", None)
    fastlstm.step(x, packed, state)
    assert_same(state, right)


def _native(step: Any, x: np.ndarray, *rest: Any) -> Any:
    assert x.dtype.isnative
    return step(x, *rest)
