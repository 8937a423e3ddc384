"""What `keras.preprocessing.sequence` holds."""

from .._src.prepare import pad_sequences

__all__ = ["pad_sequences"]
