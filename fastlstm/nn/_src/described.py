"""What a model predicts, as stages that files of other formats are written from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...formats import plan
from ...params import AnyState
from .base import Layer
from .bidirectional import Bidirectional
from .gru import GRU
from .layers import Activation, Dense, Dropout, Masking, SpatialDropout1D, TimeDistributed
from .recurrent import LSTM, Recurrent


def described(layers: Iterable[Layer]) -> tuple[plan.Stage, ...]:
    """The stages of a model's layers.

    Raises
    ------
    ValueError
        A layer that has no such description; the message names it.
    """
    return tuple(stage for layer in layers for stage in _stages(layer))


def _stages(layer: Layer) -> list[plan.Stage]:
    describe = _DESCRIBE.get(type(layer))  # a class of the caller's own may compute something else
    if describe is None:
        known = ", ".join(one.__name__ for one in _DESCRIBE)
        raise ValueError(f"model: expected layers of the kinds {known}, got {layer.name!r}, {type(layer).__name__}")
    return describe(layer)


def _recurrent(layer: Recurrent) -> list[plan.Stage]:
    one = plan.Recurrent(
        (layer.to_params(),), layer.return_sequences, layer.go_backwards,
        zeros=layer.zero_output_for_mask, states=_carried([layer]),
    )  # fmt: skip
    return [one]


def _bidirectional(layer: Bidirectional) -> list[plan.Stage]:
    halves = [layer.forward_layer, layer.backward_layer]
    merge = layer.merge_mode or "concat"  # there is no None in a model
    records = tuple(half.to_params() for half in halves)
    return [plan.Recurrent(records, layer.return_sequences, merge=merge, states=_carried(halves))]


def _carried(layers: list[Recurrent]) -> tuple[AnyState, ...] | None:
    """What sequences begin with: what stateful layers go on from, or their first states."""
    found = [_first(layer) for layer in layers]
    if all(state is None for state in found):
        return None
    zeros = (layer._state_type(*(np.zeros(width, layer.dtype) for width in layer._widths)) for layer in layers)
    return tuple(zero if state is None else state for zero, state in zip(zeros, found, strict=True))


def _first(layer: Recurrent) -> AnyState | None:
    if not layer.stateful or layer.state is None:
        return None if layer._first is None else type(layer._first)(*(array.copy() for array in layer._first))
    if len(layer.state.h) != 1:
        raise ValueError(f"{layer.name}: expected a state of one sample, from which a file's sequences can begin, got "
                         f"one of {len(layer.state.h)}; reset_state() begins anew")  # fmt: skip
    return type(layer.state)(*(array[0].copy() for array in layer.state))


def _dense(layer: Dense) -> list[plan.Stage]:
    kernel = layer.params["kernel"].copy()
    bias = layer.params["bias"].copy() if layer.use_bias else np.zeros(layer.units, layer.dtype)
    return [plan.Dense(kernel, bias, layer.activation)]


def _of_every_step(layer: TimeDistributed) -> list[plan.Stage]:
    if type(layer.layer) not in (Dense, Dropout):
        raise ValueError(
            f"{layer.name}: expected TimeDistributed of Dense or Dropout, got {type(layer.layer).__name__}"
        )
    return _stages(layer.layer)


_DESCRIBE: dict[type[Layer], Callable[[Any], list[plan.Stage]]] = {
    LSTM: _recurrent,
    GRU: _recurrent,
    Bidirectional: _bidirectional,
    Dense: _dense,
    Masking: lambda layer: [plan.Masking(float(layer.mask_value))],
    TimeDistributed: _of_every_step,
    Activation: lambda layer: [plan.Activation(layer.activation)],
    Dropout: lambda layer: [],
    SpatialDropout1D: lambda layer: [],
}
