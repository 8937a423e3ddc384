"""What `keras.preprocessing` holds, as far as it exists here."""

from . import sequence

__all__ = ["sequence"]
