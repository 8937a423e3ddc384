"""Layers: what `keras.layers` holds, as far as it exists here."""

from ._src.base import Layer
from ._src.bidirectional import Bidirectional
from ._src.embedding import Embedding
from ._src.gru import GRU
from ._src.layers import Activation, Dense, Dropout, Input, Masking, SpatialDropout1D, TimeDistributed
from ._src.recurrent import LSTM
from ._src.shaping import Flatten, GlobalAveragePooling1D, GlobalMaxPooling1D, RepeatVector

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Input",
    "Layer",
    "Masking",
    "RepeatVector",
    "SpatialDropout1D",
    "TimeDistributed",
]
