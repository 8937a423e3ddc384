"""What `keras.utils` holds, as far as it exists here."""

from ._src.randomness import set_random_seed

__all__ = ["set_random_seed"]
