"""One thread compiles at a time, whatever it compiles; forks wait for it, and so does Ctrl-C."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from processes import SUITE, run

from fastlstm.cpu.compiler.compiling import compiling

# loading gives way to other threads, as compiling does
SLOWLY = """
import time
from fastlstm.cpu.compiler import cache
load = cache._KernelCache.load_overload
def slowly(self, sig, context):
    time.sleep(0.02)
    return load(self, sig, context)
cache._KernelCache.load_overload = slowly
"""

FIRST_CALLS = """
import threading, numpy as np, fastlstm
from fastlstm import nn

def calls_of(cell, dtype):
    D, H, N, T = 3, 5, 2, 4
    more = {"projection_size": 2} if cell == "projected" else {}
    params = fastlstm.init_params(D, H, cell=cell, rng=1, dtype=dtype, **more)
    P = len(params.U)
    x = np.random.default_rng(2).standard_normal((N, T, D)).astype(dtype)
    dy = np.random.default_rng(3).standard_normal((N, T, P)).astype(dtype)
    def step_2d():
        stream = fastlstm.Stream(params, batch_size=N)
        return [stream(x[:, t]) for t in range(T)]
    def step_1d():
        packed = fastlstm.pack(params)
        state = fastlstm.State(np.zeros(P, dtype), np.zeros(H, dtype))
        for t in range(T):
            fastlstm.step(x[0, t], packed, state)
        return list(state)
    def train():
        y, state, tape = fastlstm.forward_train(x, params)
        grads = fastlstm.backward(tape, dy)
        return [y, *state, grads.x, *grads.params]
    def into():
        packed, y = fastlstm.pack(params), np.empty((N, T, P), dtype)
        state, tape, grads = (fastlstm.zero_state(packed, N), fastlstm.make_tape(packed, N, T),
                              fastlstm.make_grads(packed, N, T))
        fastlstm.forward_train_into(x, packed, state, y, tape)
        fastlstm.backward_into(tape, packed, dy, None, grads)
        fastlstm.pack_into(params, packed)
        return [y, *grads.params, packed.panels]
    return [step_2d, step_1d, lambda: [fastlstm.forward(x, params)[0]], train, into]

def predictions_of(dtype):
    nn.set_random_seed(4)
    model = nn.Sequential([nn.LSTM(3, dtype=dtype, input_shape=(4, 2)), nn.Dense(2, "softmax", dtype=dtype)])
    return lambda: [model.predict(np.ones((5, 4, 2)), verbose=0)]

def at_once(calls):
    found, barrier = [None] * len(calls), threading.Barrier(len(calls))
    def one(i):
        barrier.wait()
        try:
            found[i] = [a.tobytes() for a in calls[i]()]
        except BaseException as error:
            found[i] = repr(error)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = [[a.tobytes() for a in call()] for call in calls]
    print([f for f, a in zip(found, alone) if f != a] or "right", len(calls))
"""


def test_first_calls_of_everything_from_many_threads() -> None:
    code = """
calls = [*calls_of("standard", "float32"), *calls_of("standard", "float64"), *calls_of("projected", "float64")[:2]]
at_once([*calls, *map(predictions_of, ("float32", "float64"))])
"""
    assert run(FIRST_CALLS + SLOWLY + code, SUITE).strip() == "right 14"


def test_two_streams_of_different_types_that_compile(tmp_path: Path) -> None:
    code = 'at_once([calls_of("standard", dtype)[0] for dtype in ("float32", "float64")])'
    assert run(FIRST_CALLS + code, tmp_path).strip() == "right 2"


# a child's new kernel and new function; only one that hangs takes minutes
FORKED = """
import gc, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numba, numpy as np, fastlstm
from fastlstm.cpu.compiler import cache, compiling
def forked(compiles=True):
    child = os.fork()
    if child == 0:
        if compiles:
            packed = fastlstm.pack(fastlstm.init_params(3, 5, dtype="float64"))
            fastlstm.step(np.ones((1, 3)), packed, fastlstm.zero_state(packed))
            assert numba.njit(lambda a: a + 1)(1.0) == 2.0
        os._exit(not gc.isenabled())
    for _ in range(25_000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "failed" if status else "done"
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return "hung"
"""
FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


@FORK
def test_a_child_forked_while_a_kernel_is_prepared() -> None:
    code = """
inside, load = threading.Event(), cache._KernelCache.load_overload
def held(self, sig, context):
    if threading.current_thread() is not threading.main_thread():
        inside.set()
        time.sleep(0.5)
    return load(self, sig, context)
cache._KernelCache.load_overload = held
params = fastlstm.init_params(3, 5)
thread = threading.Thread(target=lambda: fastlstm.pack(params))
thread.start()
inside.wait()
print(forked())
thread.join()
"""
    assert run(FORKED + code, SUITE).strip() == "done"


@FORK
def test_children_forked_while_the_users_functions_compile() -> None:
    code = """
ended = threading.Event()
def compile_on():
    while not ended.is_set():
        numba.njit(lambda a: np.sin(a) * 2)(1.0)
threads = [threading.Thread(target=compile_on) for _ in range(2)]
for thread in threads:
    thread.start()
for i in range(4):
    time.sleep(0.07 * i)
    print(forked())
ended.set()
for thread in threads:
    thread.join()
"""
    assert run(FORKED + code, SUITE).split() == ["done"] * 4


@FORK
def test_a_fork_does_not_wait_for_ever() -> None:
    code = """
compiling._PATIENCE = 0.2
held, ended = threading.Event(), threading.Event()
def hold():
    with compiling.compiling():
        held.set()
        ended.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
print(forked(compiles=False))
ended.set()
thread.join()
sys.stderr.write("end")
print(forked())  # nothing was released that another thread held
"""
    assert run(FORKED + code, SUITE).split() == ["done", "done"]


INTERRUPTED = """
import itertools, os, random, signal, sys, threading, time
import numpy as np, fastlstm
from fastlstm.cpu.callable import from_python
from fastlstm.cpu.compiler import run
from fastlstm.cpu.lstm import packing
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
def same(params, packed):
    return all((a == b).all() for a, b in zip(packing.unpack(packed), params, strict=True))
def made(cell, dtype):
    more = {"projection_size": 2} if cell == "projected" else {}
    return fastlstm.init_params(3, 5, cell=cell, rng=1, dtype=dtype, **more)
def steps(params):
    packed = fastlstm.pack(params)
    state = fastlstm.zero_state(packed)
    fastlstm.step(np.ones((1, 3)), packed, state)
    y, last = fastlstm.forward(np.ones((1, 1, 3)), packed)
    return same(params, packed) and (state.h == y[:, 0]).all() and (state.c == last.c).all()
"""


def test_an_interrupt_at_any_point_leaves_nothing_half_done() -> None:
    """At points that come before, between and after what is kept of a kernel: the next call does it again."""
    code = """
from numba.core.dispatcher import Dispatcher
from fastlstm.cpu.compiler import cache
def interrupt_once(owner, name, after):
    original = getattr(owner, name)
    def stop(*args, **kwargs):
        setattr(owner, name, original)
        if after:
            original(*args, **kwargs)
        raise KeyboardInterrupt
    setattr(owner, name, stop)
points = [(run.numba, "typeof"), (Dispatcher, "compile"), (run, "prepare"), (run.cpu_target.target_context,
          "get_abi_sizeof"), (run, "_address"), (run, "_misses"), (from_python, "prepare"), (from_python, "from_dtype"),
          (cache._KernelCache, "load_overload")]
points = [*itertools.product(points, (False, True)), ((Dispatcher, "_insert"), True)]
kinds = itertools.cycle([("standard", "float32"), ("projected", "float64")])
hit = 0
for (owner, name), after in points:
    params = made(*next(kinds))
    original = getattr(owner, name)
    interrupt_once(owner, name, after)
    for _ in range(2):
        try:
            assert steps(params)
        except KeyboardInterrupt:
            hit += 1
    setattr(owner, name, original)
    run._bodies.clear()
    from_python.compile_step.cache_clear()
    for one in (from_python.step, from_python.step_of_any):
        one._reset_overloads(), one.compiler._reset_overloads()
    assert steps(params)
    for one in (run._enter, run._repeat, from_python.step, from_python.step_of_any):
        assert not one._can_compile
print(hit)
"""
    assert run(INTERRUPTED + code, SUITE).strip() == "19"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals")
def test_ctrl_c_at_random_times(tmp_path: Path) -> None:
    code = """
random.seed(5)
caught = 0
def press(thread, delay):
    time.sleep(delay)
    signal.pthread_kill(thread, signal.SIGINT)
for number in range(4):
    params = made(("standard", "projected")[number // 2], ("float32", "float64")[number % 2])
    thread = threading.Thread(target=press, args=(threading.main_thread().ident, random.uniform(0, 0.6)))
    try:
        thread.start()
        packed = fastlstm.pack(params)
        while True:  # it was ready before
            time.sleep(0.01)
    except KeyboardInterrupt:
        caught += 1
    thread.join()
    if number % 2:
        assert same(params, fastlstm.pack(params))
    else:  # no lock is left behind
        found = []
        other = threading.Thread(target=lambda: found.append(same(params, fastlstm.pack(params))), daemon=True)
        other.start()
        other.join(300)
        assert found == [True]
assert not [name for name in os.listdir(cache_folder()) if name.endswith(".part")]
print(caught)
"""
    code = "from fastlstm.cpu.compiler.cache import cache_folder\n" + INTERRUPTED + code
    assert run(code, tmp_path).strip() == "4"


def test_the_collector_waits_and_is_as_it_was() -> None:
    with compiling():
        with compiling():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="mine"), compiling():
        raise ValueError("mine")
    assert gc.isenabled()
    gc.disable()
    try:
        with compiling():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


class TestInterrupts:
    """Of `compiling` itself."""

    @pytest.fixture(autouse=True)
    def _handler(self) -> Any:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    def test_one_comes_at_the_end(self) -> None:
        done = []

        def inner() -> None:
            with compiling():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")

        with pytest.raises(KeyboardInterrupt), compiling():
            inner()
        assert done == ["inner", "outer"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_many_come_as_one(self) -> None:
        with pytest.raises(KeyboardInterrupt), compiling():
            all(signal.raise_signal(signal.SIGINT) is None for _ in range(3))
        with compiling():
            pass
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_the_users_handler_is_called(self) -> None:
        calls: list[int] = []
        signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
        with compiling():
            signal.raise_signal(signal.SIGINT)
            assert calls == []
        assert calls == [signal.SIGINT]

    def test_an_error_goes_first_to_where_it_belongs(self) -> None:
        with pytest.raises(ValueError, match="own"), compiling():
            raise ValueError("own")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_other_threads_and_other_handlers(self) -> None:
        found = []

        def elsewhere() -> None:
            with compiling():
                found.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with compiling():
            found.append(signal.getsignal(signal.SIGINT))
            signal.raise_signal(signal.SIGINT)
        assert found == [signal.default_int_handler, signal.SIG_IGN]
