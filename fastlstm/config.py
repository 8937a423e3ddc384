"""What the kernels run on: versions, processor, threads, cache, GPUs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import backend
from ._version import __version__


def show_config() -> None:
    """Print versions, processor, vector width, threading layer, thread count and cache folder; and GPUs, or what is
    missing for them.

    Examples
    --------
    >>> import fastlstm
    >>> fastlstm.show_config()  # doctest: +SKIP
    """
    for name, value in {"fastlstm": __version__, **backend.engine.facts(), **backend.device_facts()}.items():
        print(f"{name:<16} {value}")


def main(argv: Sequence[str] = ()) -> None:
    """`show_config` from the command line."""
    argparse.ArgumentParser(
        prog="python -m fastlstm info", description="Versions, processor, vector width, threads, cache folder and GPUs."
    ).parse_args(argv)
    show_config()
