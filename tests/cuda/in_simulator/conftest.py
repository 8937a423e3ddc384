"""These run where Numba's simulator stands in for a GPU: `tests/cuda/test_simulator.py` runs them in a process of their
own, as NUMBA_ENABLE_CUDASIM is read once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import device_arrays
import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
    collect_ignore_glob = ["*"]


@pytest.fixture(autouse=True)
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of the names of the libraries."""
    for name, module in device_arrays.modules().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def reference_launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Passes by the reference, in the place of kernels."""
    import reference_launch

    from fastlstm.cuda import engine

    monkeypatch.setattr(engine, "launch", reference_launch)
    engine._regular.cache_clear()
    reference_launch.streams.clear()
    yield reference_launch
    engine._regular.cache_clear()
