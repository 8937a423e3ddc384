"""Examples in docstrings and in the README run as they stand."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import inspect
import re
import types
from pathlib import Path

import pytest
import reference_engine
from keras_golden import live_keras

import fastlstm
from fastlstm import backend, nn

ROOT = Path(__file__).parents[2]
MODULES = [
    "cells.own", "config", "datasets", "formats.c_header", "formats.nam", "formats.npz", "formats.numpy_file",
    "formats.proof", "formats.rtneural", "formats.torch", "in_place", "initial", "params", "reference", "sequences",
    "stream", "tape",
]  # fmt: skip
NN_MODULES = [nn, nn.optimizers.schedules, nn.preprocessing.sequence,
              *(module for module in map(vars(nn).get, nn.__all__)
                if inspect.ismodule(module) and module is not nn.preprocessing)]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"fastlstm.{name}"))
    assert tried
    assert not failed


@pytest.mark.parametrize("module", NN_MODULES, ids=lambda module: module.__name__)
def test_docstrings_of_nn(module: types.ModuleType) -> None:
    runner, tests = doctest.DocTestRunner(), []
    for name in module.__all__:
        if not inspect.ismodule(thing := getattr(module, name)):
            assert thing.__doc__, name
            tests += doctest.DocTestFinder().find(thing, name, module=False, globs={})
    assert sum(runner.run(test).attempted for test in tests)
    assert not runner.failures


def test_every_public_name_is_documented() -> None:
    for name in fastlstm.__all__:
        thing = getattr(fastlstm, name)
        assert name.startswith("__") or thing.__doc__
        if inspect.isfunction(thing):
            assert len(thing.__doc__.split("\n")) > 1


# their cells of one's own take long to compile; .ci/run runs the README's with kernels, test_own_cells.py has others
NO_KERNELS = "README.md", "docs/cells.md"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/cells.md",
        "docs/streaming.md",
        "docs/keras.md",
        "docs/vanishing-gradients.md",
        "docs/index.md",
        "docs/first-steps.md",
        "docs/train.md",
        "docs/ragged.md",
        "docs/from-pytorch.md",
    ],
)
def test_pages(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / page).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with backend.use(reference_engine) if page in NO_KERNELS else contextlib.nullcontext():
        for block in blocks:
            exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", ["models.md", "from-onnx.md", "from-rtneural.md"])
def test_pages_of_models(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example by itself, where the package that it needs is installed."""
    needs = {".keras": "h5py", ".safetensors": "safetensors", "onnx": "onnx"}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for block in blocks:
        if all(importlib.util.find_spec(needs[part]) for part in needs if part in block):
            exec(compile(block, f"docs/{page}", "exec"), {})


@pytest.mark.parametrize("name", ["estimators", "forecaster", "windowing"])
def test_docstrings_of_estimators(name: str) -> None:
    pytest.importorskip("sklearn.base")
    result = doctest.testmod(importlib.import_module(f"fastlstm.sklearn.{name}"))
    assert result.attempted
    assert not result.failed


def test_page_of_estimators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn.base")
    test_pages("docs/estimators.md", tmp_path, monkeypatch)


def test_docstrings_of_onnx() -> None:
    pytest.importorskip("onnx")
    assert not doctest.testmod(importlib.import_module("fastlstm.formats.onnx")).failed


def test_keras_page_has_every_option() -> None:
    page = (ROOT / "docs" / "keras.md").read_text()
    table = page.split("## `LSTM`")[1].split("## Around it")[0]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    ours = set(inspect.signature(nn.LSTM).parameters) | set(inspect.signature(nn.LSTM.__call__).parameters)
    assert ours - named == {"common", "self", "x"}
    assert set(inspect.signature(live_keras().layers.LSTM).parameters) - {"kwargs"} <= named
