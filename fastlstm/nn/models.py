"""Models: what `keras.models` holds, as far as it exists here."""

from ._src.keras_loading import load_keras
from ._src.loading import load_model
from ._src.model import Sequential
from ._src.saving import save_model

__all__ = ["Sequential", "load_keras", "load_model", "save_model"]
