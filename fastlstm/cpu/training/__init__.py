"""Kernels of the layers, losses and optimizers of fastlstm.nn, as `fastlstm.backend` asks for them."""

from .dense import KINDS as ACTIVATIONS
from .dense import backward as dense_backward
from .dense import forward as dense_forward
from .losses import run_categorical as categorical
from .losses import run_pointwise as pointwise
from .moves import collect, copied, drop, expand, scatter, take, zeros
from .updates import cut, update

__all__ = [
    "ACTIVATIONS", "categorical", "collect", "copied", "cut", "dense_backward", "dense_forward", "drop", "expand",
    "pointwise", "scatter", "take", "update", "zeros",
]  # fmt: skip
