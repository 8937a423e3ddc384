"""What `keras.utils` holds, as far as it exists here."""

from ._src.plots import plot_history, plot_model
from ._src.prepare import normalize, pad_sequences, to_categorical
from ._src.randomness import set_random_seed
from ._src.registry import custom_object_scope, register_keras_serializable

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "normalize",
    "pad_sequences",
    "plot_history",
    "plot_model",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]
