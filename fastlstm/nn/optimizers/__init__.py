"""Optimizers: what `keras.optimizers` holds, as far as it exists here."""

from .._src.names import serialize
from .._src.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, get
from . import schedules

deserialize = get

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "deserialize", "get", "schedules", "serialize"]
