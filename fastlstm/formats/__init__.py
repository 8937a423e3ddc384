"""Weights to and from files and other packages."""

from __future__ import annotations

import importlib
from typing import Any

from .. import backend, checks
from ..backend import Packed
from ..params import AnyParams
from ..places import there
from ..types import Stack

_LATER = {  # names of modules here that are imported where they are first used
    "OnnxNode": "onnx",
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


def prove(path: Any) -> Any:
    """Run a file that carries inputs and outputs, and compare what comes out with what stands there.

    The file is run as it is: a Python file is executed, a C header compiled and executed. So prove what is your own. Of
    ONNX, JSON and Keras files no code is executed.

    Parameters
    ----------
    path : str or path-like
        What `to_numpy` (.py), `to_c` (.h), `to_onnx` (.onnx), `to_rtneural` (.json) or `model.save` (.keras) wrote.

    Returns
    -------
    Proof
        `error`, the largest difference, as a part of the largest number expected, or of 1; `numbers`, how many
        were compared; `by`, what ran the file.

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
    return importlib.import_module(".proof", __name__).prove(path)
