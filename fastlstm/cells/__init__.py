"""The cells: equations, and what each is made of; and what a cell of one's own is written with.

from fastlstm.cells import cell, sigmoid, tanh

@cell(gates="f g o")
def coupled(z, c):
    f, o = sigmoid(z.f), sigmoid(z.o)
    c = f * c + (1 - f) * tanh(z.g)
    return c, o * tanh(c)
"""

from .number import (
    exp,
    fma,
    hard_sigmoid,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    softsign,
    sqrt,
    tanh,
    where,
)
from .own import OwnCell, cell

__all__ = [
    "OwnCell",
    "cell",
    "exp",
    "fma",
    "hard_sigmoid",
    "log",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
    "where",
]
