"""Writing is all or nothing: after a kill at any moment there is the old file or the new one."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "killed_writers.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_old_file_or_the_new_one_after_a_kill() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    writers = runpy.run_path(str(PROGRAM))["WRITERS"]
    assert done.stdout.split() == [name for name, row in writers.items() if importlib.util.find_spec(row[2])]
