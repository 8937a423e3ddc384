"""Layers of `fastlstm.nn` with given weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..params import AnyParams, AnyState, Array, Bidirectional, GRUParams, ProjectedParams, cell_name, sizes

if TYPE_CHECKING:
    from ..nn import Layer, Sequential


def recurrent(params: AnyParams | Bidirectional, first: AnyState | None = None) -> tuple[Layer, list[Array]]:
    """A layer that returns sequences, not built yet, and the weights that it is to get. first: the state that its
    sequences begin with, h (P,) and c (H,)."""
    from .. import nn

    if isinstance(params, Bidirectional):
        one, weights = recurrent(params.forward)
        _, others = recurrent(params.backward)
        return nn.Bidirectional(one), weights + others
    H = sizes(params)[1]
    begin = None if first is None else [np.asarray(array).tolist() for array in first]
    options: dict[str, Any] = {"return_sequences": True, "first_state": begin}
    if isinstance(params, GRUParams):
        return nn.GRU(H, **options), gru_weights(params)
    if isinstance(params, ProjectedParams):
        options["projection_size"] = sizes(params)[2]
    return nn.LSTM(H, cell=cell_name(type(params)), **options), list(params)


def gru_weights(params: GRUParams) -> list[Array]:
    """As Keras has them: blocks z, r, n; two rows of biases, of x and of h."""
    H = len(params.U)
    order = np.r_[H : 2 * H, :H, 2 * H : 3 * H]
    biases = np.stack([params.b[order], np.concatenate([np.zeros(2 * H, params.b_n.dtype), params.b_n])])
    return [params.W[:, order], params.U[:, order], biases]


def dense(kernel: Array, bias: Array | None, activation: str = "linear") -> tuple[Layer, list[Array]]:
    """A dense layer, not built yet, and the weights that it is to get."""
    from .. import nn

    layer = nn.Dense(kernel.shape[1], activation=activation, use_bias=bias is not None)
    return layer, [kernel] if bias is None else [kernel, bias]


def model_of(layers: Sequence[tuple[Layer, list[Array]]], D: int, name: str = "sequential") -> Sequential:
    """A model of such layers, bottom first, of sequences of any length with D inputs a step."""
    from .. import nn

    model = nn.Sequential([nn.Input((None, D)), *(layer for layer, _ in layers)], name=name)
    model.set_weights([array for _, weights in layers for array in weights])
    return model
