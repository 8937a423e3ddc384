"""fastlstm.nn against Keras: golden arrays everywhere, Keras itself where it is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from keras_cases import CASES, run_keras, run_nn

from fastlstm import backend

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "keras_golden.npz", allow_pickle=False)


os.environ.setdefault("KERAS_BACKEND", "jax")


def assert_close(found: Any, expected: Any) -> None:
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        tolerance = 1e-6 * max(1, float(np.abs(array).max()))
        np.testing.assert_allclose(found[name], array, rtol=0, atol=tolerance, err_msg=name)


# Cells that are made for their activations, each of which takes ten seconds to compile: what the layers make of them is
# held against Keras by NumPy, the kernels by "old keras" and in tests/cpu/lstm/test_own_cells.py.
MADE = "lstm relu", "masked gru softsign"


@pytest.mark.filterwarnings("ignore:.*the mask ends here, as in Keras")
@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    expected = {key.removeprefix(f"{name}/"): GOLDEN[key] for key in GOLDEN.files if key.startswith(f"{name}/")}
    with backend.use(reference_engine if name in MADE else backend.engine):
        assert_close(run_nn(name), expected)


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="no Keras")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_live(name: str) -> None:
    assert_close(run_nn(name), run_keras(name))
