"""Optimizers: what `keras.optimizers` holds, as far as it exists here."""

from .._src.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, get
from . import schedules

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules"]
