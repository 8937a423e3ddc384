"""Layers: what `keras.layers` holds, as far as it exists here."""

from ._src.base import Layer
from ._src.bidirectional import Bidirectional
from ._src.layers import Dense, Dropout, Input, Masking, TimeDistributed
from ._src.recurrent import LSTM

__all__ = ["LSTM", "Bidirectional", "Dense", "Dropout", "Input", "Layer", "Masking", "TimeDistributed"]
