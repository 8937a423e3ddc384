"""Functions of a layer's outputs: what `keras.activations` holds, as far as it exists here."""

from ._src.activations import elu, exponential, get, linear, relu, sigmoid, softmax, softplus, tanh

__all__ = ["elu", "exponential", "get", "linear", "relu", "sigmoid", "softmax", "softplus", "tanh"]
