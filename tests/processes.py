"""Code in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def python(code: str, cache: Path | str, *, threads: int = 2, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process with a kernel cache of its own. It may have to compile on a busy machine."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": str(threads)} | more
    return subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, timeout=600
    )


def run(code: str, cache: Path | str, **more: Any) -> str:
    done = python(code, cache, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout
