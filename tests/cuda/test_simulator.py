"""The kernels, run in Numba's simulator: in processes of their own, where `numba.cuda` is that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted((HERE / "simulated").glob("test_*.py"))


@pytest.mark.parametrize("files", [FILES[::2], FILES[1::2]], ids=["half", "other half"])
def test_in_the_simulator(files: list[Path]) -> None:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, files)],
        env=mine | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True, cwd=HERE.parents[1], timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_importing_the_package_does_not_import_cuda() -> None:
    code = "import fastlstm, sys; print(*(name for name in sys.modules if '.cuda' in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.split() == []
