"""Layers of `fastlstm.nn` with given weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..params import (
    AnyParams,
    AnyState,
    Array,
    Bidirectional,
    GRUBeforeParams,
    GRUParams,
    ProjectedParams,
    cell_name,
    sizes,
)
from .gates import to_keras, two_biases
from .plan import Dense, Masking, Merge, Plan, Recurrent

if TYPE_CHECKING:
    from ..nn import Layer, Sequential

Made: TypeAlias = "tuple[Layer, list[Array]]"
"""A layer that is not built yet, and the weights that it is to get."""


def recurrent(
    params: AnyParams | Bidirectional, first: Sequence[AnyState] | None = None, merge: Merge = "concat", **options: Any
) -> Made:
    """A recurrent layer, which returns sequences unless options say otherwise. first: of each direction the state that
    its sequences begin with, h (P,) and c (H,). merge: of a Bidirectional.

    Raises
    ------
    ValueError
        A cell that no layer has.
    """
    from .. import nn

    ways = [params.forward, params.backward] if isinstance(params, Bidirectional) else [params]
    begin: Sequence[AnyState | None] = first or [None] * len(ways)
    options = {"return_sequences": True, "dtype": ways[0].W.dtype, **options}
    made = [_one_way(*way, options) for way in zip(ways, begin, strict=True)]
    if len(made) == 1:
        return made[0]
    (one, weights), (two, others) = made
    if begin[1] is not None:  # else its options are those of the other
        two = type(two).from_config(two.get_config() | {"go_backwards": True})
        return nn.Bidirectional(one, merge_mode=merge, backward_layer=two), weights + others
    return nn.Bidirectional(one, merge_mode=merge), weights + others


def _one_way(params: AnyParams, first: AnyState | None, options: dict[str, Any]) -> Made:
    from .. import nn

    H = sizes(params)[1]
    options = options | {"first_state": None if first is None else [np.asarray(one).tolist() for one in first]}
    if isinstance(params, GRUParams):
        return nn.GRU(H, **options), gru_weights(params)
    if isinstance(params, GRUBeforeParams):
        return nn.GRU(H, reset_after=False, **options), list(map(to_keras, params))
    if isinstance(params, ProjectedParams):
        options["projection_size"] = sizes(params)[2]
    return nn.LSTM(H, cell=cell_name(type(params)), **options), list(params)


def gru(weights: list[Array]) -> Made:
    """A GRU with Keras's arrays."""
    from .. import nn

    return nn.GRU(len(weights[1]), return_sequences=True, dtype=weights[1].dtype), weights


def gru_weights(params: GRUParams) -> list[Array]:
    """As Keras has them: blocks z, r, n; two rows of biases, of x and of h."""
    return [to_keras(params.W), to_keras(params.U), to_keras(np.stack(two_biases(params)))]


def dense(kernel: Array, bias: Array | None, activation: str = "linear") -> Made:
    """A dense layer."""
    from .. import nn

    layer = nn.Dense(kernel.shape[1], activation=activation, use_bias=bias is not None, dtype=kernel.dtype)
    return layer, [kernel] if bias is None else [kernel, bias]


def model_of(layers: Sequence[Made], D: int) -> Sequential:
    """A model of such layers, bottom first, of sequences of any length with D inputs a step."""
    from ..nn import Sequential
    from ..nn._src.architecture import of_layers

    model: Sequential = of_layers(Sequential(), [layer for layer, _ in layers], (None, None, D), draw=False)
    model.set_weights([array for _, weights in layers for array in weights])
    return model


def model_of_plan(plan: Plan) -> Sequential:
    """A model that computes what a plan says.

    Raises
    ------
    ValueError
        A stage that no layer computes.
    """
    from .. import nn

    layers: list[Made] = []
    for stage in plan.stages:
        if isinstance(stage, Recurrent):
            params = Bidirectional(*stage.records) if len(stage.records) == 2 else stage.records[0]
            options = {"return_sequences": stage.returns_sequences, "zero_output_for_mask": stage.zeros}
            options |= {"go_backwards": True} if stage.backwards else {}
            layers.append(recurrent(params, stage.states, stage.merge, **options))
        elif isinstance(stage, Dense):
            layers.append(dense(stage.W, stage.b, stage.activation))
        elif isinstance(stage, Masking):
            layers.append((nn.Masking(stage.value, dtype=plan.dtype), []))
        else:
            raise ValueError(f"expected stages that layers compute, got the activation {stage.name!r} by itself")
    return model_of(layers, plan.input_size)
