"""Code in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from fastlstm.cpu.compiler.cache import cache_folder

SUITE = Path(cache_folder()).parent.parent  # the cache where most kernels stand already

# in front of code: notes which files of the cache it reads or writes
NOTING = """
import atexit, pathlib
from fastlstm.cpu.compiler import cache as _noted
_path, _files = _noted._Files._path, set()
def _noting(self, key):
    _files.add(_path(self, key))
    return _path(self, key)
_noted._Files._path = _noting
atexit.register(lambda: pathlib.Path({list!r}).write_text("\\n".join(sorted(_files))))
"""


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


def cache_of(code: str, folder: Path) -> str:
    """Make `folder` the cache that code leaves where it is the first to run; what code prints. Nothing is compiled that
    the suite has compiled."""
    names = folder / "names"
    said = run(NOTING.format(list=str(names)) + code, SUITE)
    for name in map(Path, names.read_text().split("\n")):
        copy = folder / name.relative_to(SUITE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, copy)
    return said
