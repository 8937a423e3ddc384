"""Models to and from files: what `keras.saving` holds, as far as it exists here."""

from ._src.loading import load_model
from ._src.saving import load_weights, save_model, save_weights

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]
