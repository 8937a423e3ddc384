"""The cells of Keras's layers with activations other than tanh and sigmoid: each is made when it is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...cells import (
    OwnCell,
    cell,
    exp,
    hard_sigmoid,
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
from ...cells.gru import ResetBefore
from ...cells.number import sigmoids
from ...cells.phases import register
from . import activations, names


def _expm1_below(x: Any) -> Any:
    """exp(x) - 1 where x < 0, exact for small numbers too; 0 elsewhere. By t = tanh(x / 2): (1 + t) / (1 - t) - 1."""
    t = tanh(0.5 * minimum(x, 0.0))
    return 2.0 * t / (1.0 - t)


def _elu(x: Any) -> Any:
    return where(x > 0.0, x, _expm1_below(x))


def _selu(x: Any) -> Any:
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return where(x > 0.0, scale * x, scale * alpha * _expm1_below(x))


def _sparse_plus(x: Any) -> Any:
    return where(x <= -1.0, 0.0, where(x < 1.0, 0.25 * (x + 1.0) * (x + 1.0), x))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "celu": _elu,
    "elu": _elu,
    "exponential": exp,
    "hard_shrink": lambda x: where(abs(x) > 0.5, x, 0.0),
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_keras2": lambda x: minimum(maximum(0.2 * x + 0.5, 0.0), 1.0),
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "hard_tanh": lambda x: minimum(maximum(x, -1.0), 1.0),
    "leaky_relu": lambda x: where(x >= 0.0, x, 0.2 * x),
    "linear": lambda x: x,
    "log_sigmoid": lambda x: -softplus(-x),
    "mish": lambda x: x * tanh(softplus(x)),
    "relu": relu,
    "relu6": lambda x: minimum(relu(x), 6.0),
    "selu": _selu,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "soft_shrink": lambda x: x - minimum(maximum(x, -0.5), 0.5),
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": lambda x: minimum(maximum(0.5 * x + 0.5, 0.0), 1.0),
    "squareplus": lambda x: 0.5 * (x + sqrt(x * x + 4.0)),
    "tanh": tanh,
    "tanh_shrink": lambda x: x - tanh(x),
}
"""By Keras 3's names, with its defaults. What Keras called hard_sigmoid before version 3 is hard_sigmoid_keras2."""
USUAL = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_NAMES = {name: name for name in FUNCTIONS} | {"swish": "silu", "hard_swish": "hard_silu"}
_ALL_UNITS = "it takes all units together, a cell each by itself"
NOT_HERE = {
    "gelu": "it takes the error function, which cells do not have", "glu": _ALL_UNITS, "log_softmax": _ALL_UNITS,
    "softmax": _ALL_UNITS, "sparsemax": _ALL_UNITS,
}  # fmt: skip


def name_of(argument: str, given: Any) -> str:
    """An activation's name, from that in any spelling or from a function of `fastlstm.nn.activations`; None is linear.

    Raises
    ------
    ValueError, TypeError
        None that a cell can compute.
    """
    known = {function: name for name, function in activations.FUNCTIONS.items()}
    name = "linear" if given is None else known.get(given, given) if callable(given) else given
    if not isinstance(name, str):
        raise TypeError(f"{argument}: expected a name, or a function of fastlstm.nn.activations, got {given!r:.60}; a "
                        "cell of your own may compute any other (docs/cells.md)")  # fmt: skip
    found = names.find(argument, name, _NAMES | {refused: refused for refused in NOT_HERE})
    if found in NOT_HERE:
        raise ValueError(f"{argument}: expected one that a cell can compute, got {name!r}: {NOT_HERE[found]}")
    return found


@functools.cache
def lstm_with(activation: str, recurrent_activation: str) -> OwnCell:
    """Keras's LSTM."""
    squashed, gate = FUNCTIONS[activation], FUNCTIONS[recurrent_activation]

    @cell(gates="i f g o")
    def lstm(z: Any, c: Any) -> Any:
        i, f, o = gate(z.i), gate(z.f), gate(z.o)
        c = f * c + i * squashed(z.g)
        return c, o * squashed(c)

    lstm.maker = lstm_with, (activation, recurrent_activation)
    return lstm


@functools.cache
def gru_with(activation: str, recurrent_activation: str) -> OwnCell:
    """Keras's GRU with reset_after=True, and its weights: its blocks, and its second row of biases as unit weights."""
    squashed, gate = FUNCTIONS[activation], FUNCTIONS[recurrent_activation]

    @cell(gates="z r n m", unit_weights="z r n", gates_of_x="z r n", gates_of_h="z r m", gates_of_b="z r n")
    def gru(z: Any, h: Any, w: Any) -> Any:
        u, r = gate(z.z + w.z), gate(z.r + w.r)
        n = squashed(z.n + r * (z.m + w.n))
        return (1 - u) * n + u * h

    gru.maker = gru_with, (activation, recurrent_activation)
    return gru


@functools.cache
def gru_before_with(activation: str, recurrent_activation: str) -> ResetBefore:
    """Keras's GRU with reset_after=False, and its order of blocks."""
    gate = FUNCTIONS[recurrent_activation]
    both = sigmoids if recurrent_activation == "sigmoid" else lambda a, b: (gate(a), gate(b))
    again = gru_before_with, (activation, recurrent_activation)
    found = ResetBefore(both, FUNCTIONS[activation], "z r n", again)
    register(found.cell, found.record)
    return found
