"""Files that are there whole, or as they were before."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable
from typing import IO, Any

_PART = re.compile(r"\.fastlstm-[0-9a-f]{16}\.part")  # what is being written, or was when its process was killed
_OLD = 3600.0  # seconds since it was last written to, after which nobody goes on with it


def write_whole(name: str, write: Callable[[IO[bytes]], Any], *, durable: bool = True) -> None:
    """A file that is there whole or as it was before: written beside its place, and then moved to it.

    What killed processes left in that folder while they wrote is removed, once it is old. durable: flushed to the disk
    first, so that it is whole even after a power failure."""
    target = os.path.realpath(name)  # through a link: its file is replaced, not the link
    regular(target, "to write")
    folder = os.path.dirname(target)
    beside = os.path.join(folder, f".fastlstm-{secrets.token_hex(8)}.part")
    try:
        with open(beside, "xb") as file:
            _remove_old(folder, os.fstat(file.fileno()).st_mtime)
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        if isinstance(error, OSError) and error.filename == beside:
            error.filename = name  # the caller's, of which the message speaks
        raise


def regular(name: str, use: str) -> None:
    """Refuse a device, a pipe and the like: one would be replaced by a file, or read without an end."""
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(name).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder the system says what is wrong
            raise ValueError(f"path: expected a file {use}, got a device, a pipe or a socket: {name!r}")


def _remove_old(folder: str, now: float) -> None:
    """now: by the clock of the folder's file system, which need not be this machine's."""
    ignored = contextlib.suppress(OSError)  # this is not what the caller came for
    with ignored, os.scandir(folder) as entries:
        for entry in entries:
            with ignored:  # another process may be faster
                if _PART.fullmatch(entry.name) and now - entry.stat(follow_symlinks=False).st_mtime > _OLD:
                    os.unlink(entry.path)


def file_name(path: Any) -> str:
    """path as a str."""
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"path: expected str or path-like, got {type(path).__name__}")
    return name
