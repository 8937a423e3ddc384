"""Models from the description of their layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import names
from .base import KNOWN_LAYERS, Layer, Shape, sizes_of


def parts_of(config: Any) -> tuple[list[Layer], Shape | None]:
    """The layers and the input's shape that a model's configuration describes."""
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), (list, tuple)):
        raise ValueError(f"config: expected a dict with a list of layers, got {config!r:.200}")
    shape = config.get("input_shape")
    found = []
    for record in config["layers"]:
        if not isinstance(record, Mapping):
            raise ValueError(f"layers: expected dicts of class_name and config, got {record!r:.200}")
        kind = record.get("class_name")
        if not isinstance(kind, str) or kind not in KNOWN_LAYERS:
            raise ValueError(f"layers: expected one of {', '.join(KNOWN_LAYERS)}, got {kind!r:.200}")
        found.append(names.deserialize("layers", record, KNOWN_LAYERS))
    return found, None if shape is None else sizes_of("input_shape", shape)


def from_config(model_class: Any, config: Mapping[str, Any], *, draw: bool) -> Any:
    """A model that `Sequential.get_config` described."""
    layers, shape = parts_of(config)
    return of_layers(model_class(name=config.get("name", "sequential")), layers, shape, draw=draw)


def of_layers(model: Any, layers: list[Layer], shape: Shape | None, *, draw: bool) -> Any:
    """An empty model with these layers. draw: with first weights, and not zeros that others will replace."""
    model._input = shape
    for layer in layers:
        model._add(layer, draw=draw)
    return model


def planned(layers: list[Layer], shape: Shape) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of each weight, by its name in a file; nothing is made."""
    found = {}
    for layer in layers:
        for weight in layer._plan(shape):
            found[f"weights/{layer.name}/{weight.name}"] = weight.shape, layer.dtype
        shape = layer.compute_output_shape(shape)
    return found
