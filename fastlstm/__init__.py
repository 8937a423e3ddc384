"""An exact LSTM, forward and backward, for NumPy; its kernels are compiled by Numba."""

import importlib
from typing import TYPE_CHECKING, Any

from . import reference
from ._version import __version__
from .config import show_config
from .formats.c_header import to_c
from .formats.keras import from_keras
from .formats.npz import load, save
from .formats.numpy_file import to_numpy
from .formats.torch import from_torch, to_torch
from .in_place import backward_into, forward_into, forward_train_into, make_grads, make_tape, pack_into, step
from .initial import init_params, zero_state
from .params import (
    Bidirectional,
    Grads,
    GRUBeforeParams,
    GRUParams,
    Hidden,
    InterpolatedParams,
    NormalizedParams,
    OwnParams,
    Params,
    PeepholeParams,
    ProjectedParams,
    State,
)
from .sequences import backward, forward, forward_cells, forward_train, pack
from .stream import Stream
from .tape import Tape

__all__ = [
    "Bidirectional", "GRUBeforeParams", "GRUParams", "Grads", "Hidden", "InterpolatedParams", "NormalizedParams",
    "OwnParams", "Params", "PeepholeParams", "ProjectedParams", "State", "Stream", "Tape", "__version__", "backward",
    "backward_into", "forward", "forward_cells", "forward_into", "forward_train", "forward_train_into", "from_keras",
    "from_torch", "init_params", "load", "make_grads", "make_tape", "pack", "pack_into", "reference", "save",
    "show_config", "step", "to_c", "to_numpy", "to_torch", "zero_state",
]  # fmt: skip

_LATER = ("dask", "datasets", "nn", "sklearn")  # imported where they are first used
_FORMATS = ("from_nam", "from_onnx", "from_rtneural", "to_onnx", "to_rtneural")  # likewise, of formats

if TYPE_CHECKING:
    from . import dask as dask
    from . import datasets as datasets
    from . import nn as nn
    from . import sklearn as sklearn
    from .formats.nam import from_nam as from_nam
    from .formats.onnx import from_onnx as from_onnx
    from .formats.onnx import to_onnx as to_onnx
    from .formats.rtneural import from_rtneural as from_rtneural
    from .formats.rtneural import to_rtneural as to_rtneural
else:

    def __getattr__(name: str) -> Any:
        if name in _LATER:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _FORMATS:
            return getattr(importlib.import_module(f"{__name__}.formats"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, *_LATER, *_FORMATS))
