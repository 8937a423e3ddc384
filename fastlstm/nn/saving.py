"""Models to and from files: what `keras.saving` holds, as far as it exists here."""

from ._src.loading import load_model
from ._src.registry import custom_object_scope, register_keras_serializable
from ._src.saving import load_weights, save_model, save_weights

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
]
