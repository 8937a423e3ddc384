"""Examples in docstrings and in the README run as they stand."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import fastlstm

MODULES = ["params", "layer", "inplace", "io", "config", "datasets"]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"fastlstm.{name}"))
    assert tried
    assert not failed


def test_every_public_name_is_documented() -> None:
    for name in fastlstm.__all__:
        thing = getattr(fastlstm, name)
        assert name.startswith("__") or thing.__doc__
        if callable(thing) and thing.__module__ in ("fastlstm.layer", "fastlstm.io", "fastlstm.params"):
            assert len(thing.__doc__.split("\n")) > 1 or isinstance(thing, type)


@pytest.mark.parametrize("page", ["README.md", "docs/cells.md", "docs/streaming.md"])
def test_pages(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent.parent / page).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
