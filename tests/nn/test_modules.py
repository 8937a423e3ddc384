"""The modules of fastlstm.nn: a script changes `keras` to `fastlstm.nn`; what they show, and where it says it is from."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys

import numpy as np
import pytest
from keras_golden import live_keras

from fastlstm import nn
from fastlstm.nn import _src

MODULES = [
    "layers", "models", "optimizers", "optimizers.schedules", "losses", "metrics", "callbacks", "regularizers", "constraints",
    "initializers", "activations", "saving", "utils",
    "preprocessing", "preprocessing.sequence",
]  # fmt: skip
OURS = {"callbacks": {"Progress"}, "metrics": {"LossMetric"}, "models": {"load_keras"}, "utils": {"plot_history"}}

POST = """
from keras.models import Sequential
from keras.layers import Dense
from keras.layers import LSTM
model = Sequential()
model.add(LSTM(4, return_sequences=True, input_shape=(3, 2)))
model.add(LSTM(4))
model.add(Dense(1, activation='sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='rmsprop', metrics=['accuracy'])
model.fit(x_train, y_train, batch_size=16, epochs=1, verbose=0)
score = model.evaluate(x_test, y_test, batch_size=16, verbose=0)
"""


def test_a_script_of_keras_changes_one_word() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 3, 2)), rng.integers(0, 2, 32)
    there = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    exec(POST.replace("keras", "fastlstm.nn"), there)
    assert np.shape(there["score"]) == (2,)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_shows_public_names_alone(name: str) -> None:
    module = importlib.import_module(f"fastlstm.nn.{name}")
    assert dir(module) == sorted(module.__all__)
    assert not any(one.startswith("_") for one in dir(module))
    for one in module.__all__:
        thing = getattr(module, one)
        assert thing.__doc__, one
        if not inspect.ismodule(thing):
            assert re.fullmatch(r"fastlstm\.nn(\.[a-z]+)*", thing.__module__)
            assert pickle.loads(pickle.dumps(thing)) is thing


def test_examples_of_what_is_inside() -> None:
    """They import what is there; those of public names are run with these."""
    for module in pkgutil.iter_modules(_src.__path__):
        assert not doctest.testmod(importlib.import_module(f"{_src.__name__}.{module.name}")).failed, module.name


def test_nn_shows_public_names_alone() -> None:
    assert dir(nn) == sorted(nn.__all__)
    assert set(nn.__all__) >= {name for name in MODULES if "." not in name}
    assert [repr(one) for one in (nn.LSTM, nn.Sequential, nn.GradientNorms, nn.optimizers.schedules.CosineDecay)] == [
        "<class 'fastlstm.nn.layers.LSTM'>",
        "<class 'fastlstm.nn.models.Sequential'>",
        "<class 'fastlstm.nn.GradientNorms'>",
        "<class 'fastlstm.nn.optimizers.schedules.CosineDecay'>",
    ]


@pytest.mark.parametrize("name", MODULES)
def test_keras_has_these_names(name: str) -> None:
    theirs = live_keras()
    for part in name.split("."):
        theirs = getattr(theirs, part)
    ours = importlib.import_module(f"fastlstm.nn.{name}")
    assert set(ours.__all__) - OURS.get(name, set()) <= set(dir(theirs))


def test_what_few_need_is_imported_late() -> None:
    code = f"""import importlib, sys
for name in ["", *(f".{{one}}" for one in {MODULES})]:
    importlib.import_module("fastlstm.nn" + name)
    print(name, [m for m in ("tqdm", "safetensors", "matplotlib") if m in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [f"{name} []" for name in ["", *(f".{one}" for one in MODULES)]]
