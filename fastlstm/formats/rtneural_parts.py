"""Layers as RTNeural's JSON has them, with Keras's arrays: run by RTNeural's formulas, and with an input that goes
through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..params import Array, Params
from . import as_layers, plan

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    name: plan.ACTIVATIONS[name] for name in ("tanh", "relu", "sigmoid", "softmax", "elu")
}
"""RTNeural's, of those that a dense layer has here."""
_sigmoid = ACTIVATIONS["sigmoid"]
_SMALL = np.float32(2.0**-20)  # the factor of an input that goes through, for which tanh(x) is x
_SHUT = np.float32(64)  # what keeps a gate open, or with the other sign shut


class Part(NamedTuple):
    """A layer: its kind, lstm, gru or dense; its arrays; a dense layer's activation."""

    kind: str
    arrays: list[Array]
    activation: str = "linear"

    @property
    def size(self) -> int:
        """M, numbers that come out."""
        return len(self.arrays[1])

    @property
    def is_linear(self) -> bool:
        return (self.kind, self.activation) == ("dense", "linear")

    def layer(self) -> as_layers.Made:
        """As a layer of `fastlstm.nn`."""
        if self.kind == "dense":
            kernel, bias = self.arrays
            return as_layers.dense(kernel, bias, self.activation)
        if self.kind == "lstm":
            return as_layers.recurrent(Params(*self.arrays))
        return as_layers.gru(self.arrays)


def run_part(part: Part, x: Array) -> Array:
    """y (N, T, M) of x (N, T, D), in float64."""
    W, U, *rest = (array.astype(np.float64) for array in part.arrays)
    if part.kind == "dense":
        y = x @ W + U
        return y if part.activation == "linear" else ACTIVATIONS[part.activation](y)
    (b,) = rest
    h = c = np.zeros((len(x), part.size))
    y = np.empty((*x.shape[:2], part.size))
    for t in range(x.shape[1]):
        if part.kind == "lstm":
            i, f, g, o = np.split(x[:, t] @ W + h @ U + b, 4, axis=-1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        else:
            (z, r, n), (u, v, m) = np.split(x[:, t] @ W + b[0], 3, axis=-1), np.split(h @ U + b[1], 3, axis=-1)
            z = _sigmoid(z + u)
            h = (1 - z) * np.tanh(n + _sigmoid(r + v) * m) + z * h
        y[:, t] = h
    return y


def with_skip(parts: Sequence[Part]) -> list[Part]:
    """Layers that add their first input to what they give: each below the last has one unit more, the last one.

    Raises
    ------
    ValueError
        A dense layer with another activation than tanh in between, or one with any or several outputs at the end.
    """
    *below, top = parts
    if not below or not top.is_linear or top.size != 1:
        raise ValueError("in_skip: expected a dense layer of one output and no activation at the end, above others")
    found = [_widened(part, first=number == 0) for number, part in enumerate(below)]
    kernel, bias = top.arrays
    return [*found, Part("dense", [np.concatenate([kernel, [[1 / _SMALL]]]).astype(np.float32), bias])]


def _widened(part: Part, *, first: bool) -> Part:
    """With a unit that hands on the first input of the lowest layer, and the last one of every other."""
    M = part.size
    if part.kind == "dense":
        if part.activation not in ("linear", "tanh"):
            raise ValueError(f"in_skip: expected dense layers with tanh or none below, got {part.activation!r}")
        kernel, bias = part.arrays
        return Part("dense", [_fed(_columns(kernel, 1), M, first), _columns(bias, 1)], part.activation)
    K = 4 if part.kind == "lstm" else 3
    W, U, b = (_columns(array, K) for array in part.arrays)
    at = {gate: (number + 1) * (M + 1) - 1 for number, gate in enumerate("ifgo" if K == 4 else "zrg")}
    for gate, value in {"i": _SHUT, "f": -_SHUT, "o": _SHUT, "z": -_SHUT}.items():
        if gate in at:
            b[(..., at[gate]) if K == 4 else (0, at[gate])] = value
    return Part(part.kind, [_fed(W, at["g"], first), np.concatenate([U, np.zeros_like(U[:1])]), b])


def _columns(array: Array, blocks: int) -> Array:
    """A column of zeros behind each block of the last axis."""
    split = np.split(array, blocks, axis=-1)
    return np.concatenate([np.pad(one, [(0, 0)] * (array.ndim - 1) + [(0, 1)]) for one in split], axis=-1)


def _fed(W: Array, column: int, first: bool) -> Array:
    """W with the input in the new unit's column; of a layer above the lowest it comes behind all others."""
    W = W if first else np.concatenate([W, np.zeros_like(W[:1])])
    W[0 if first else -1, column] = _SMALL if first else 1
    return W
