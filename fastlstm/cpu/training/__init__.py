"""Kernels of the layers, losses and optimizers of fastlstm.nn, as `fastlstm.backend` asks for them."""

from .arrays import copied, zeros
from .dense import KINDS as ACTIVATIONS
from .dense import backward as dense_backward
from .dense import forward as dense_forward
from .losses import run_categorical as categorical
from .losses import run_pointwise as pointwise
from .masks import run_collect as collect
from .masks import run_dropped as drop
from .masks import run_expand as expand
from .updates import cut, update

__all__ = [
    "ACTIVATIONS", "categorical", "collect", "copied", "cut", "dense_backward", "dense_forward", "drop", "expand",
    "pointwise", "update", "zeros",
]  # fmt: skip
