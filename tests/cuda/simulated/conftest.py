"""A thread of a block is a Python thread here, and they take turns: on one core, since to wake a thread on another one
takes longer than its turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import device_arrays
import pytest

if hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that have the names of PyTorch, CuPy and JAX."""
    for name, module in device_arrays.modules().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def reference_launch(libraries: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Passes by the reference, in the place of kernels."""
    import reference_launch

    from fastlstm.cuda import engine

    monkeypatch.setattr(engine, "launch", reference_launch)
    engine._regular.cache_clear()
    reference_launch.streams.clear()
    yield reference_launch
    engine._regular.cache_clear()
