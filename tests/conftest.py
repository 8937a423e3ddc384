"""What holds in every test: memory that nobody has written to is all NaN, and nothing hangs on how fast a call was."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator

# Threads that have nothing to do sleep, in this process and in those that tests start: else they keep busy the cores
# that the other test's threads wait for. Before NumPy and Numba come.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import numpy as np
import pytest
from oracles import of_nan

from fastlstm.cpu import engine
from fastlstm.cpu.machine import memory, threads


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first two of pytest-xdist's workers begin with the kernels of a type each: else they compile the same ones at
    the same time. A worker's first share of the tests is a quarter of an even one."""
    warmups = [item for item in items if item.name.startswith("test_warmup_of_one_type[")]
    others = [item for item in items if item not in warmups]
    share = len(items) // (4 * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for place, item in zip((0, share), warmups, strict=False):
        others.insert(place, item)
    items[:] = others


def pytest_collection_finish() -> None:
    """What is there now stays, and compiling makes much that goes without the collector, which looks less often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(autouse=True, scope="session")
def _left_over_memory() -> Iterator[None]:
    """What stands in memory before it is written to must not matter: here it is all NaN."""
    with pytest.MonkeyPatch.context() as patch:
        for place, name in ((memory, "empty"), (memory, "aligned"), (memory, "scratch"), (engine, "empty")):
            patch.setattr(place, name, functools.partial(of_nan, getattr(place, name)))
        yield


@pytest.fixture
def timed() -> None:
    """For tests of what the timing of calls does."""


@pytest.fixture(autouse=True)
def _not_timed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Which way was faster must not decide what a test covers: threads that may be used are."""
    with pytest.MonkeyPatch.context() as patch:
        if "timed" not in request.fixturenames:
            patch.setattr(threads.Payoff, "choose", lambda self: True)
        yield


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)
