"""Weights to and from files and other packages."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from .. import backend, checks
from ..backend import Packed
from ..params import AnyParams
from ..places import there
from ..types import Stack

if TYPE_CHECKING:
    from .c_header import to_c as to_c
    from .keras import from_keras as from_keras
    from .nam import from_nam as from_nam
    from .npz import load as load
    from .npz import save as save
    from .numpy_file import to_numpy as to_numpy
    from .onnx import from_onnx as from_onnx
    from .onnx import onnx_nodes as onnx_nodes
    from .onnx import to_onnx as to_onnx
    from .onnx_reading import OnnxNode as OnnxNode
    from .proof import Proof as Proof
    from .rtneural import from_rtneural as from_rtneural
    from .rtneural import to_rtneural as to_rtneural
    from .torch import from_torch as from_torch
    from .torch import to_torch as to_torch

_LATER = {  # names of modules here that are imported where they are first used
    "OnnxNode": "onnx",
    "Proof": "proof",
    "from_keras": "keras",
    "from_nam": "nam",
    "from_onnx": "onnx",
    "from_rtneural": "rtneural",
    "from_torch": "torch",
    "load": "npz",
    "onnx_nodes": "onnx",
    "save": "npz",
    "to_c": "c_header",
    "to_numpy": "numpy_file",
    "to_onnx": "onnx",
    "to_rtneural": "rtneural",
    "to_torch": "torch",
}
__all__ = [*_LATER, "prove"]


if not TYPE_CHECKING:  # for a checker, only the names above are there

    def __getattr__(name: str) -> Any:
        if name in _LATER:
            return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def layers_of(params: Stack) -> tuple[list[list[AnyParams]], bool]:
    """Checked records of weights of every direction of every level, and whether they were a stack."""
    found = checks.weights(params)
    return [[_record(layer) for layer in level] for level in found.levels], found.stacked


def _record(layer: AnyParams | Packed) -> AnyParams:
    """In the host's memory, wherever it lies."""
    if isinstance(layer, Packed):
        return backend.engine_of(layer.panels).unpack(layer)
    arrays: list[Any] = list(layer)
    return type(layer)(*(array.on_host() if there(array) else array for array in arrays))


def prove(path: str | os.PathLike[str]) -> Proof:
    """Run a file on the inputs that it carries, and compare what comes out with the outputs that it carries.

    A Python file is executed, and a C header compiled and executed: prove only files that you trust. ONNX, JSON and
    Keras files hold no code that is executed.

    Parameters
    ----------
    path : str or path-like
        What `to_numpy` (.py), `to_c` (.h), `to_onnx` (.onnx), `to_rtneural` (.json) or `model.save` (.keras) wrote.

    Returns
    -------
    Proof
        The largest difference, how many numbers were compared, and what ran the file.

    Raises
    ------
    ValueError
        The outputs differ, or the file is none of these.
    RuntimeError
        Nothing is there to run it, such as a C compiler.
    ImportError
        The package onnx is missing, for an ONNX file.
    OSError
        The file cannot be read.

    Examples
    --------
    See `fastlstm.to_numpy`.
    """
    found: Proof = importlib.import_module(".proof", __name__).prove(path)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
