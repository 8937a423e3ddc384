"""Models from the description of their layers."""

from __future__ import annotations

import json
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


def clone_model(model: Any) -> Any:
    """Another model of the same architecture, with first weights of its own.

    Parameters
    ----------
    model : Sequential

    Raises
    ------
    TypeError
        No model.

    Examples
    --------
    >>> from fastlstm.nn import Dense, Sequential
    >>> from fastlstm.nn.models import clone_model
    >>> clone_model(Sequential([Dense(2, input_shape=(3,))])).count_params()
    8
    """
    if not hasattr(model, "layers"):
        raise TypeError(f"model: expected a Sequential, got {type(model).__name__}")
    return type(model).from_config(model.get_config())


def model_from_json(json_string: str) -> Any:
    """A model from its description, with new weights.

    Parameters
    ----------
    json_string : str
        From ``model.to_json()``, here or of a `Sequential` of Keras 3.

    Raises
    ------
    ValueError, TypeError
        No such description; a layer, or an option, that is not here, by its name.

    Examples
    --------
    >>> from fastlstm.nn import Dense, Sequential
    >>> from fastlstm.nn.models import model_from_json
    >>> model_from_json(Sequential([Dense(2, input_shape=(3,))]).to_json()).count_params()
    8
    """
    from .model import Sequential

    if not isinstance(json_string, str):
        raise TypeError(f"json_string: expected a str, got {type(json_string).__name__}")
    try:
        found = json.loads(json_string)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"json_string: expected JSON, got {json_string!r:.80} ({error})") from error
    if not isinstance(found, Mapping) or found.get("class_name") != "Sequential":
        kind = found.get("class_name") if isinstance(found, Mapping) else found
        raise ValueError(f"json_string: expected the description of a Sequential, got {kind!r:.80}")
    return Sequential.from_config(found["config"]) if "config" in found else Sequential.from_config(found)


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
