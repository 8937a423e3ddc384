"""Penalties on weights: what `keras.regularizers` holds, as far as it exists here."""

from ._src.names import serialize
from ._src.regularizers import L1, L1L2, L2, Regularizer, get, l1, l1_l2, l2

deserialize = get

__all__ = ["L1", "L1L2", "L2", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2", "serialize"]
