"""An exact LSTM, forward and backward, for NumPy; its kernels are compiled by Numba."""

from . import reference
from .config import show_config
from .io import from_torch, load, save, to_torch
from .layer import Tape, backward, forward, forward_cells, forward_train, pack, zero_state
from .params import Bidirectional, Grads, Params, State, init_params

__version__ = "0.1.0"

__all__ = [
    "Bidirectional",
    "Grads",
    "Params",
    "State",
    "Tape",
    "__version__",
    "backward",
    "forward",
    "forward_cells",
    "forward_train",
    "from_torch",
    "init_params",
    "load",
    "pack",
    "reference",
    "save",
    "show_config",
    "to_torch",
    "zero_state",
]
