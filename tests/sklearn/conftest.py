"""Estimators are tested on the plain reference in the kernels' place, but where a test asks for the kernels."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import reference_engine

from fastlstm import backend

_found = importlib.util.find_spec("sklearn")  # this very folder, which is no package, where there is no scikit-learn
collect_ignore_glob = [] if _found is not None and _found.origin else ["test_*.py"]


@pytest.fixture(autouse=True)
def _engine(request: pytest.FixtureRequest) -> Iterator[None]:
    if "kernels" in request.fixturenames:
        yield
    else:
        with backend.use(reference_engine):
            yield


@pytest.fixture
def kernels() -> None:
    """For tests of what the compiled kernels do."""


@pytest.fixture
def ragged(rng: Any) -> list[np.ndarray]:
    return [3 + 5 * rng.standard_normal((length, 2)) for length in rng.integers(2, 7, 30)]
