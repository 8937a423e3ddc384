"""Functions of a layer's outputs: what `keras.activations` holds, as far as it exists here."""

from ._src.activations import elu, exponential, get, linear, relu, sigmoid, softmax, softplus, tanh
from ._src.activations import name_of as serialize

deserialize = get

__all__ = [
    "deserialize",
    "elu",
    "exponential",
    "get",
    "linear",
    "relu",
    "serialize",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]
