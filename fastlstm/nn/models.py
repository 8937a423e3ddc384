"""Models: what `keras.models` holds, as far as it exists here."""

from ._src.keras_loading import load_keras
from ._src.loading import clone_model, load_model, model_from_json
from ._src.model import Sequential
from ._src.saving import save_model

__all__ = ["Sequential", "clone_model", "load_keras", "load_model", "model_from_json", "save_model"]
