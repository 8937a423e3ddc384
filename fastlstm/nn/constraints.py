"""Bounds of weights: what `keras.constraints` holds, as far as it exists here."""

from ._src.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, get
from ._src.names import serialize

max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
deserialize = get

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]
