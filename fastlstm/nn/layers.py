"""Layers: what `keras.layers` holds, as far as it exists here."""

from ._src.base import Layer
from ._src.bidirectional import Bidirectional
from ._src.gru import GRU
from ._src.layers import Dense, Dropout, Input, Masking, TimeDistributed
from ._src.recurrent import LSTM

__all__ = ["GRU", "LSTM", "Bidirectional", "Dense", "Dropout", "Input", "Layer", "Masking", "TimeDistributed"]
