"""Models and cells of one's own that every writer of files has to get right."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastlstm
from fastlstm import nn
from fastlstm.cells import (
    cell,
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

D = 5
MODELS = {
    "heads": lambda: [nn.Dense(6, "relu"), nn.LSTM(4, return_sequences=True), nn.Dropout(0.5), nn.Dense(3, "softmax")],
    "last step": lambda: [nn.GRU(4, return_sequences=True), nn.LSTM(3, cell="interpolated"), nn.Dense(2, "elu")],
    "masks": lambda: [nn.Masking(), nn.LSTM(4, return_sequences=True), nn.GRU(3)],
    "zeros at masked steps": lambda: [
        nn.Masking(), nn.LSTM(4, return_sequences=True, zero_output_for_mask=True), nn.Dense(2, "softplus")
    ],
    "held at masked steps": lambda: [nn.Masking(), nn.GRU(4, return_sequences=True), nn.Dense(2, "exponential")],
    "every step": lambda: [
        nn.LSTM(4, cell="projected", projection_size=2, return_sequences=True),
        nn.TimeDistributed(nn.Dense(2, "sigmoid")),
    ],
    "no bias": lambda: [nn.LSTM(4, use_bias=False), nn.Dense(2, "tanh", use_bias=False)],
}  # fmt: skip
"""Layers that can run one step after another, for x (N, T, D)."""
BOTH_WAYS = {
    "backwards": lambda: [nn.Masking(), nn.LSTM(4, return_sequences=True, go_backwards=True), nn.GRU(3)],
    "both ways": lambda: [
        nn.Masking(), nn.Bidirectional(nn.LSTM(4, return_sequences=True), "ave"), nn.Bidirectional(nn.GRU(3), "mul")
    ],
    "concatenated": lambda: [nn.Bidirectional(nn.GRU(4, return_sequences=True)), nn.Bidirectional(nn.LSTM(3), "sum")],
}  # fmt: skip
"""Those that cannot."""


def built(layers: Any, rng: np.random.Generator) -> nn.Sequential:
    """A model of these layers, with biases that are not 0."""
    model = nn.Sequential([nn.Input((None, D)), *layers], seed=1)
    model.set_weights([a + rng.uniform(-0.3, 0.3, a.shape).astype(np.float32) for a in model.get_weights()])
    return model


def masked(rng: np.random.Generator) -> Any:
    """x (3, 7, D) with steps of zeros at the end, and with some between others."""
    x = rng.standard_normal((3, 7, D)).astype(np.float32)
    x[0, 4:] = 0
    x[1, [0, 2, 3]] = 0
    return x


@cell(gates="i f g o", unit_weights="p int")
def with_unit_weights(z: Any, c: Any, h: Any, w: Any) -> Any:
    i, f, o = sigmoid(z.i), sigmoid(z.f + w.p * c), hard_sigmoid(z.o - w.int * h)
    c = f * c + i * softsign(z.g)
    return c, o * tanh(c)


@cell("r u x h", gates_of_x="x r u", gates_of_h="r u h", gates_of_b="u h")
def of_some_blocks(z: Any, h: Any) -> Any:
    u = sigmoid(z.u)
    return u * h + (1 - u) * tanh(z.x + sigmoid(z.r) * z.h)


@cell("new add ζ")
def of_all_operations(z: Any, c: Any) -> Any:
    a, b = exp(-abs(z.new)), sqrt(softplus(z.add) + 0.5)
    c = fma(a, c, minimum(z.ζ, 1.25)) / (2 - a * b / 4) - maximum(b, z.new) * -0.125
    limited = where(c <= 1, where(z.add < z.ζ, c, c / 2), 0.75)
    return limited, relu(log(1.5 + a)) - tanh(limited) * a


@cell("a", gates_of_h="")
def swapped(z: Any, c: Any, h: Any) -> Any:
    return tanh(h + z.a), c


@cell("a")
def constant(z: Any, c: Any) -> Any:
    return where(z.a > 0, 1.0, -1.0) + 0 * c, tanh(z.a)


OWN = [with_unit_weights, of_some_blocks, of_all_operations, swapped, constant]


def own_params(own: Any, rng: np.random.Generator, H: int = 4, dtype: Any = np.float32) -> Any:
    zeros = fastlstm.init_params(D, H, cell=own, rng=0)
    return type(zeros)(*(rng.uniform(-0.6, 0.6, a.shape).astype(dtype) for a in zeros))
