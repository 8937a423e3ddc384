"""Functions of a layer's outputs: what `keras.activations` holds, as far as it exists here."""

from ._src.activations import elu, exponential, get, linear, relu, serialize, sigmoid, softmax, softplus, tanh

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
