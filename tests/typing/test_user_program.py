"""What checkers of types say of a user's program: `py.typed` is a promise."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastlstm
from fastlstm import cells, dask, datasets, formats, nn, sklearn

PROGRAM = Path(__file__).with_name("user_program.py")
ROOT = Path(fastlstm.__file__).parents[1]


def test_the_program_has_every_public_name() -> None:
    tree = ast.parse(PROGRAM.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    of_nn = [module for module in map(vars(nn).get, nn.__all__) if inspect.ismodule(module)]
    more = nn.optimizers.schedules, nn.preprocessing.sequence
    for module in (fastlstm, cells, dask, datasets, formats, sklearn, nn, *of_nn, *more):
        public = {*getattr(module, "__all__", ()), *(dir(module) if module is fastlstm else ())}
        assert not sorted(public - used), module.__name__


def checked(*command: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, PROGRAM.name],
        cwd=PROGRAM.parent,  # away from pyproject.toml, as a user is
        env={**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT), "XDG_CACHE_HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_no_error(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\nfollow_imports = silent\n")
    checked("mypy", "--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path), folder=tmp_path)


def test_pyright_finds_no_error(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    checked("pyright", "--pythonpath", sys.executable, folder=tmp_path)
