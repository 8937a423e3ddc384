"""Files are written whole or not at all, and nothing is left beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastlstm import files

KILLED = """
import os, runpy, signal, sys
def write(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
runpy.run_path(sys.argv[1])["write_whole"](sys.argv[2], write)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL")
def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    target = tmp_path / "weights.npz"
    target.write_text("before")
    command = [sys.executable, "-c", KILLED, files.__file__, str(target)]
    for _ in range(2):
        assert subprocess.run(command, timeout=600).returncode == -signal.SIGKILL
    assert target.read_text() == "before"
    old, young = (path for path in tmp_path.iterdir() if path != target)
    others = [
        tmp_path / name for name in ("weights.npz.part", ".fastlstm-0123.part", "x.fastlstm-0123456789abcdef.part")
    ]
    for path in (old, *others):
        path.touch()
        os.utime(path, (0, path.stat().st_mtime - 2 * files._OLD))
    files.write_whole(str(target), lambda file: file.write(b"after"))
    assert target.read_text() == "after"
    assert set(tmp_path.iterdir()) == {target, young, *others}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def write(file: Any) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(error):
        files.write_whole(str(tmp_path / "weights"), write)
    assert list(tmp_path.iterdir()) == []


def test_an_error_names_the_callers_file(tmp_path: Path) -> None:
    name = str(tmp_path / "none" / "weights")
    with pytest.raises(FileNotFoundError) as caught:
        files.write_whole(name, lambda file: None)
    assert caught.value.filename == name
    assert name in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder") as found:
        files.write_whole(str(tmp_path / "folder"), lambda file: None)
    assert found.value.filename == str(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_listed_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Any) -> Any:
        raise PermissionError(path)

    monkeypatch.setattr(files.os, "scandir", refused)
    files.write_whole(str(tmp_path / "weights"), lambda file: file.write(b"all"))
    assert (tmp_path / "weights").read_bytes() == b"all"
