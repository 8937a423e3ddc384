"""What `keras.utils` holds, as far as it exists here."""

from ._src.prepare import normalize, pad_sequences, to_categorical
from ._src.randomness import set_random_seed

__all__ = ["normalize", "pad_sequences", "set_random_seed", "to_categorical"]
