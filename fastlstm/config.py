"""What the kernels run on: versions, processor, threads, cache."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence

import llvmlite
import numba
import numpy as np

from ._version import __version__
from .cpu.compiler.cache import cache_folder
from .cpu.machine.threads import layer
from .cpu.vectors.target import vector_bytes


def show_config() -> None:
    """Print versions, processor, vector width, threading layer, thread count and cache folder.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.show_config()  # doctest: +SKIP
    """
    target = numba.core.registry.cpu_target.target_context.codegen()
    folder = cache_folder()
    rows = {
        "fastlstm": __version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "processor": f"{target.magic_tuple()[1]} ({platform.machine()}, {os.cpu_count()} cores)",
        "vector width": f"{8 * vector_bytes()} bits",
        "threading layer": layer(),
        "threads": numba.get_num_threads(),
        "cache folder": f"{folder} (writable)" if folder else "none: compiles in every process",
    }
    for name, value in rows.items():
        print(f"{name:<16} {value}")


def main(argv: Sequence[str] = ()) -> None:
    """`show_config` from the command line."""
    argparse.ArgumentParser(
        prog="python -m fastlstm info", description="Versions, processor, vector width, threads and cache folder."
    ).parse_args(argv)
    show_config()
