"""One sequence on two threads: the bits of one thread, whatever the scheduler does to the two."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
import ways
from oracles import assert_same, c_of, random_params, random_state, with_cells

import fastlstm
from fastlstm.cpu.lstm import engine, plans
from fastlstm.cpu.machine import threads
from fastlstm.params import CELLS

two = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")


def both(x: Any, params: Any, state: Any, **options: Any) -> Any:
    """Inference with c, and training, of one thread; then a function that does it again."""

    def answers() -> Any:
        y, last, tape = fastlstm.forward_train(x, params, state, **options)
        return with_cells(fastlstm, x, params, state, **options), y, last, c_of(tape, params)

    with ways.forced("one"):
        alone = answers()
    return alone, answers


@pytest.mark.parametrize("patience", [20_000, 100, 3, 0])
@pytest.mark.parametrize(
    ("T", "D", "H", "dtype"), [(300, 5, 64, np.float32), (61, 70, 150, np.float64), (33, 1, 65, np.float32)]
)
@pytest.mark.parametrize("cell", CELLS)
def test_same_bits(
    monkeypatch: pytest.MonkeyPatch, rng: Any, cell: str, T: int, D: int, H: int, dtype: Any, patience: int
) -> None:
    monkeypatch.setattr(engine, "_PATIENCE", patience)  # 0: whoever has to wait gives up at once
    params = random_params(rng, D, H, dtype, cell)
    state = random_state(rng, params, 1)
    reset = rng.random((1, T)) < 0.1
    for options in ({}, {"reverse": True, "reset": reset}, {"lengths": [T - 1], "reset": reset},
                    {"lengths": [T - 1], "reverse": True}):  # fmt: skip
        alone, again = both(rng.standard_normal((1, T, D)), params, state, **options)
        with ways.forced("sequence"):
            for _ in range(10):
                assert_same(again(), alone)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("patience", [20_000, 50])
def test_same_bits_under_load(monkeypatch: pytest.MonkeyPatch, rng: Any, cell: str, patience: int) -> None:
    monkeypatch.setattr(engine, "_PATIENCE", patience)
    params = random_params(rng, 20, 80, np.float32, cell)
    alone, again = both(rng.standard_normal((1, 400, 20)), params, random_state(rng, params, 1))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        with ways.forced("sequence"):
            for _ in range(10):
                assert_same(again(), alone)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_same_bits_from_many_threads(rng: Any) -> None:
    params = random_params(rng, 20, 80, np.float32)
    alone, again = both(rng.standard_normal((1, 200, 20)), params, random_state(rng, params, 1))
    with ways.forced("sequence"), ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: again(), range(100)):
            assert_same(found, alone)


def seconds_taken(payoff: threads.Payoff, together: float, alone: float, calls: int) -> float:
    """What so many calls take in all, where one takes that long."""
    total = 0.0
    for _ in range(calls):
        way = payoff.choose()
        took = together if way else alone
        payoff.took(way, took, 10)
        total += took
    return total


@pytest.mark.usefixtures("timed")
def test_the_faster_way_is_taken() -> None:
    payoff = threads.Payoff()
    payoff.took(payoff.choose(), 1000.0, 10)  # compiling
    for together, alone in ((1.0, 2.0), (3.0, 2.0), (1.0, 2.0), (500.0, 2.0), (2.0, 2.1), (50.0, 2.0)):
        assert seconds_taken(payoff, together, alone, 3000) < 1.1 * 3000 * min(together, alone) + 600
        assert seconds_taken(payoff, together, alone, 3000) < 1.2 * 3000 * min(together, alone)
        seconds_taken(payoff, 50.0, alone, 1)  # a call that is held up


@pytest.mark.usefixtures("timed")
def test_what_surely_pays_is_doubted_where_calls_take_long() -> None:
    payoff = threads.Payoff(sure=True)
    payoff.took(payoff.choose(), 1000.0, 10)  # compiling
    assert seconds_taken(payoff, 1.0, 2.0, 3000) == 3000
    assert seconds_taken(payoff, 50.0, 2.0, 1) == 50  # one call that is held up
    assert seconds_taken(payoff, 1.0, 2.0, 3000) == 3000
    assert seconds_taken(payoff, 10.0, 2.0, 3000) < 1.1 * 3000 * 2.0
    assert seconds_taken(payoff, 1.0, 2.0, 3000) < 1.2 * 3000


@two
@pytest.mark.usefixtures("timed")
def test_both_ways_are_tried(monkeypatch: pytest.MonkeyPatch, rng: Any) -> None:
    monkeypatch.setattr(plans, "_payoffs", {})
    params = random_params(rng, 3, 64, np.float32)
    x = rng.standard_normal((1, 40, 3))
    numba.set_num_threads(2)
    first = fastlstm.forward(x, params)
    for _ in range(10):
        assert_same(fastlstm.forward(x, params), first)
    (payoff,) = plans._payoffs.values()
    assert sorted(payoff.cost) == [False, True]
    assert min(payoff.cost.values()) > 0
