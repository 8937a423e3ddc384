"""Every way in which threads share a call's work gives the bits of one thread; so does every order of the threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import ways
from oracles import (
    MIXED,
    assert_same,
    c_of,
    error,
    map_leaves,
    random_masks,
    random_params,
    random_stack,
    random_state,
    with_cells,
)

import fastlstm
from fastlstm import reference
from fastlstm.cells import table
from fastlstm.cpu.lstm import backward, forward
from fastlstm.cpu.vectors.target import lanes
from fastlstm.params import CELLS

THREADS = (2, 3, 5, 8)
OPTIONS = ("", "reset state", "lengths reverse state", "lengths reset mask", "reset reverse mask",
           "lengths reset reverse mask state")  # fmt: skip


def sizes(dtype: Any) -> Iterator[tuple[int, int, int, int]]:
    """N, T, D, H: units enough for eight threads, or for two."""
    L = lanes(np.dtype(dtype).itemsize)
    yield from ((3, 5, 4, 20 * L - 3), (1, 5, 4, 20 * L - 3), (6, 5, 3, 2 * L + 1))


def shared(N: int) -> Iterator[tuple[str, int]]:
    """The ways for so many sequences."""
    yield from (
        (way, count) for way in ("rows", "units", "sequence") for count in THREADS if way != "sequence" or N == 1
    )


class Problem:
    """Random numbers, and all passes over them.

    Attributes
    ----------
    names : str
        Which options there are.
    """

    def __init__(self, params: Any, N: int, T: int, D: int, dtype: Any, names: str) -> None:
        rng = np.random.default_rng(N)
        given = lambda name, value: value if name in names.split() else None  # noqa: E731
        self.params, self.x = params, rng.standard_normal((N, T, D)).astype(dtype)
        self.dlast = random_state(rng, params, N)
        self.state = given("state", random_state(rng, params, N))
        lengths = rng.integers(1, T + 1, N)
        lengths[0] = T
        if N > 3:
            lengths[2] = 0
        self.options: dict[str, Any] = {
            "lengths": given("lengths", lengths),
            "reset": given("reset", rng.random((N, T)) < 0.3),
            "h_mask": given("mask", random_masks(rng, params, N, dtype)),
            "reverse": "reverse" in names,
        }

    def answers(self) -> Any:
        y, last, tape = fastlstm.forward_train(self.x, self.params, self.state, **self.options)
        grads = fastlstm.backward(tape, np.cos(y), self.dlast)
        return (y, last, c_of(tape, self.params), tuple(grads),
                fastlstm.forward(self.x, self.params, self.state, **self.options),
                with_cells(fastlstm, self.x, self.params, self.state, **self.options))  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_any_order(rng: Any, cell: str, dtype: Any) -> None:
    phases = len(table.cell_with(CELLS[cell]).phases)
    for N, T, D, H in sizes(dtype):
        params = random_params(rng, D, H, dtype, cell)
        for names in OPTIONS:
            problem = Problem(params, N, T, D, dtype, names)
            with ways.time_blocks(2 * N):
                with ways.forced("one"):
                    alone = problem.answers()
                for way, count in shared(N):
                    order = ways.backwards if count == 2 else ways.shuffled(count)
                    with ways.forced(way, count), ways.in_turns(order) as turns:
                        assert_same(problem.answers(), alone)
                    there = phases * T + 2 if way == "units" else 1
                    back = 1 + 3 * (2 if way == "rows" else 2 * phases + 2)  # blocks of two steps
                    once = (forward.forward, there, count)
                    ran = [one for one in turns.seen if one[0] in (forward.forward, backward.backward)]
                    assert ran == [once, (backward.backward, back, count), once, once]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_real_threads(rng: Any, cell: str, dtype: Any) -> None:
    for N, T, D, H in [*sizes(dtype)][:2]:
        problem = Problem(random_params(rng, D, H, dtype, cell), N, T, D, dtype, OPTIONS[-1])
        with ways.time_blocks(2 * N):
            with ways.forced("one"):
                alone = problem.answers()
            for way, count in shared(N):
                if N > 1 or way == "sequence":
                    with ways.forced(way, count):
                        assert_same(problem.answers(), alone)


def test_as_many_threads_as_workers() -> None:
    """More than there are cores, in a process of its own."""
    here = Path(__file__)
    chosen = [f"{here}::test_real_threads[{cell}-float32]" for cell in ("standard", "normalized")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *chosen]
    ran = subprocess.run(command, env=os.environ | {"NUMBA_NUM_THREADS": "8"}, cwd=here.parents[3],
                         capture_output=True, text=True)  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


@pytest.mark.parametrize("cell", CELLS)
def test_threads_that_are_late(rng: Any, cell: str) -> None:
    N, T, D, H = next(sizes(np.float32))
    problem = Problem(random_params(rng, D, H, np.float32, cell), N, 2 * T, D, np.float32, OPTIONS[-1])
    with ways.forced("one"):
        alone = problem.answers()
    for way in ("rows", "units"):
        for seed in range(3):
            with ways.forced(way, 2), ways.late(seed):
                assert_same(problem.answers(), alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", [*CELLS, MIXED])
def test_stacks(rng: Any, cell: str, dtype: Any) -> None:
    stack = random_stack(rng, 4, [(70, True), (37, False)], dtype, cell)
    for N in (4, 1):
        problem = Problem(stack, N, 6, 4, dtype, "lengths reset mask state")
        with ways.forced("one"):
            alone = problem.answers()
        for way, count in shared(N):
            if count == 3:
                with ways.forced(way, count):
                    assert_same(problem.answers(), alone)
                    with ways.in_turns(ways.backwards):
                        assert_same(problem.answers(), alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_normalized_sequence_on_two_threads(dtype: Any) -> None:
    """The first phase backwards once wrote what other threads still read: gradients were 5 to 15 % off."""
    params = fastlstm.init_params(16, 256, cell="normalized", rng=1, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((1, 40, 16)).astype(dtype)
    wide = lambda tree: map_leaves(lambda a: a.astype(np.float64), tree)  # noqa: E731
    y_, _, tape_ = reference.forward_train(wide(x), wide(params))
    expected = reference.backward(tape_, np.cos(y_))
    for order in (ways.forwards, ways.backwards, None):
        with ways.forced("units", 2):
            if order is None:
                y, _, tape = fastlstm.forward_train(x, params)
                grads = fastlstm.backward(tape, np.cos(y))
            else:
                with ways.in_turns(order):
                    y, _, tape = fastlstm.forward_train(x, params)
                    grads = fastlstm.backward(tape, np.cos(y))
        assert error(y, y_) < (1e-5 if dtype == np.float32 else 1e-13)
        assert error(tuple(grads), tuple(expected)) < (1e-4 if dtype == np.float32 else 1e-12)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
@pytest.mark.parametrize(
    ("N", "T", "D", "H", "there", "back"),
    [(1, 8, 1, 4, (1, 1), (3, 1)), (64, 8, 8, 64, (1, 2), (5, 2)), (1, 90, 8, 64, (1, 2), (3, 2)),
     (2, 3, 300, 512, (3 + 2, 2), (3, 2)), (1, 32, 8, 256, (1, 2), (1 + 33 + 1, 2))],
)  # fmt: skip
def test_the_choice(rng: Any, N: int, T: int, D: int, H: int, there: Any, back: Any) -> None:
    """Without force, by sizes and Numba's threads: turns and workers, forward and backward."""
    numba.set_num_threads(2)
    x = rng.standard_normal((N, T, D)).astype(np.float32)
    with ways.in_turns() as turns:
        y, _, tape = fastlstm.forward_train(x, random_params(rng, D, H, np.float32))
        fastlstm.backward(tape, y)
    (first,) = [one[1:] for one in turns.seen if one[0] is forward.forward]
    (then,) = [one[1:] for one in turns.seen if one[0] is backward.backward]
    assert (first, then) == (there, back)


def test_room_for_fewer_threads_than_there_are(rng: Any) -> None:
    """As on a tape from another process."""
    packed, (N, T) = fastlstm.pack(random_params(rng, 30, 64, np.float32)), (8, 40)
    x, y = rng.standard_normal((N, T, 30)).astype(np.float32), np.empty((N, T, 64), np.float32)
    with ways.forced("one"):
        tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)
    with ways.in_turns() as turns:
        fastlstm.forward_train_into(x, packed, fastlstm.zero_state(packed, N), y, tape)
        fastlstm.backward_into(tape, packed, y, None, grads)
    assert turns.seen[-1][::2] == (backward.backward, 1)


def test_what_cannot_be_forced(rng: Any) -> None:
    params = random_params(rng, 3, 5, np.float32)
    x = rng.standard_normal((2, 4, 3)).astype(np.float32)
    with ways.forced("sequence"), pytest.raises(ValueError, match="expected one sequence, got 2"):
        fastlstm.forward(x, params)
    packed = fastlstm.pack(params)
    tape, grads = fastlstm.make_tape(packed, 2, 4), fastlstm.make_grads(packed, 2, 4)
    count = 1 + len(tape.tmp) // 24 // (4 * lanes(4))
    with ways.forced("rows", count), pytest.raises(ValueError, match=f"room for {count} threads, got it for"):
        fastlstm.backward_into(tape, packed, None, fastlstm.zero_state(params, 2), grads)
