"""Layers, models and training by Keras's names, on NumPy arrays: no framework.

``from fastlstm.nn import Sequential, LSTM, Dense`` is all that a Keras script has to change, as far as this goes.
"""

from . import callbacks, initializers, losses, metrics, optimizers, regularizers, schedules
from .base import Layer
from .layers import Dense, Dropout, Input, Masking, TimeDistributed
from .model import Sequential
from .randomness import set_random_seed
from .recurrent import LSTM, Bidirectional
from .saving import load_model
from .stack import GradientNorms

__all__ = [
    "LSTM",
    "Bidirectional",
    "Dense",
    "Dropout",
    "GradientNorms",
    "Input",
    "Layer",
    "Masking",
    "Sequential",
    "TimeDistributed",
    "callbacks",
    "initializers",
    "load_model",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "schedules",
    "set_random_seed",
]
