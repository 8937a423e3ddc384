"""A thread of a block is a Python thread here, and all wait for each other often."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import device_arrays
import pytest

sys.setswitchinterval(5e-4)


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
