"""Layers: what `keras.layers` holds, as far as it exists here."""

from ._src.base import Layer
from ._src.layers import Dense, Dropout, Input, Masking, TimeDistributed
from ._src.recurrent import LSTM, Bidirectional

__all__ = ["LSTM", "Bidirectional", "Dense", "Dropout", "Input", "Layer", "Masking", "TimeDistributed"]
