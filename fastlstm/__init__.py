"""An exact LSTM, forward and backward, for NumPy; its kernels are compiled by Numba."""

from . import reference
from .config import show_config
from .inplace import (
    Stream,
    backward_into,
    forward_into,
    forward_train_into,
    make_grads,
    make_tape,
    pack_into,
    step,
)
from .io import from_torch, load, save, to_torch
from .layer import Tape, backward, forward, forward_cells, forward_train, pack, zero_state
from .params import (
    Bidirectional,
    Grads,
    InterpolatedParams,
    NormalizedParams,
    Params,
    PeepholeParams,
    ProjectedParams,
    State,
    init_params,
)

__version__ = "0.1.0"

__all__ = [
    "Bidirectional",
    "Grads",
    "InterpolatedParams",
    "NormalizedParams",
    "Params",
    "PeepholeParams",
    "ProjectedParams",
    "State",
    "Stream",
    "Tape",
    "__version__",
    "backward",
    "backward_into",
    "forward",
    "forward_cells",
    "forward_into",
    "forward_train",
    "forward_train_into",
    "from_torch",
    "init_params",
    "load",
    "make_grads",
    "make_tape",
    "pack",
    "pack_into",
    "reference",
    "save",
    "show_config",
    "step",
    "to_torch",
    "zero_state",
]
