"""What tests hold against Keras: golden arrays with the tables of what made them, and Keras itself where installed."""

from __future__ import annotations

import functools
import os
import runpy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"
TABLES = runpy.run_path(str(DATA / "make_keras_training_golden.py"))


@functools.cache
def golden() -> dict[str, np.ndarray]:
    with np.load(DATA / "keras_training_golden.npz", allow_pickle=False) as file:
        return dict(file)


def of(prefix: str) -> dict[str, np.ndarray]:
    """The arrays below a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in golden().items() if name.startswith(prefix)}


def live_keras() -> Any:
    """Keras in float32, or the test is skipped."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras", minversion="3")
        keras.config.set_floatx("float32")
    return keras
