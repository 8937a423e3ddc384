"""Models of audio plug-ins in RTNeural's JSON: what its Keras script writes, AIDA-X's files, state dicts of PyTorch.

A layer of the first two has Keras's arrays: gates i, f, g, o of an LSTM; z, r, n and two rows of biases of a GRU; the
weights of a dense layer (D, M). The third is PyTorch's state dict, written as JSON; GuitarML's files have it too, with
`model_data` beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..params import Array, GRUParams, Params, cell_name
from . import as_layers
from .json_file import entry, numbers, read_json
from .plan import plan_of, run
from .torch import from_torch

if TYPE_CHECKING:
    from ..nn import Layer, Sequential

_KIND = "a model in RTNeural's JSON"
_ACTIVATIONS = ("tanh", "relu", "sigmoid", "softmax", "elu")  # RTNeural's, of those that a dense layer has here
_UNKNOWN = ("conv1d", "conv2d", "prelu", "batchnorm", "batchnorm2d")
_CLOSE = 1e-4  # how far outputs may be from those in the file, relative to the largest of them or 1


def from_rtneural(path: str | os.PathLike[str]) -> Sequential:
    """A model of an audio plug-in, from RTNeural's JSON.

    Parameters
    ----------
    path : str or path-like
        A file of RTNeural's Keras script or of AIDA-X (`in_shape` and `layers`), or a PyTorch state dict as JSON, as
        RTNeural's examples and GuitarML's models have it. Layers: LSTM, GRU, dense with tanh, relu, sigmoid, softmax,
        elu or no activation.

    Returns
    -------
    fastlstm.nn.Sequential
        float32, of sequences of any length: (N, T, D) to (N, T, M). Of a state dict the modules in the order of the
        file, as RTNeural's examples run them: it says of no activation between them, and none is made.

    Raises
    ------
    ValueError
        No such file or a damaged one; a layer, an activation or an option that is not there, by its name; samples in
        the file (`input_batch` and `output_batch`) that the model does not give.
    TypeError
        A path of another type.
    OSError
        The file cannot be read.

    Notes
    -----
    AIDA-X's gains, `in_gain` and `out_gain` in decibels, become part of the weights.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> from fastlstm import formats
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     formats.to_rtneural(fastlstm.init_params(1, 8, rng=0), os.path.join(folder, "amp.json"))
    ...     model = formats.from_rtneural(os.path.join(folder, "amp.json"))
    >>> model.output_shape
    (None, None, 8)
    """
    name, record = read_json(path, _KIND)
    try:
        if "layers" in record:
            model = _keras_flavour(record)
            _check_samples(model, record)
        else:
            model = _torch_flavour(record)
    except (ValueError, TypeError) as error:
        raise ValueError(f"path: expected {_KIND}, got {name!r}: {error}") from error
    return model


def _keras_flavour(record: Mapping[str, Any]) -> Sequential:
    D = width = _width(entry(record, "in_shape", list), "in_shape")
    if (skip := record.get("in_skip") or 0) != 0:
        raise ValueError(f"in_skip: expected none, as no layer adds the input to the output here, got {skip!r:.50}")
    layers = []
    for number, layer in enumerate(entry(record, "layers", list)):
        where = f"layers[{number}]: "
        if not isinstance(layer, dict):
            raise ValueError(f"{where}expected a dict, got {type(layer).__name__}")
        made = _keras_layer(layer, width, where)
        layers.append(made)
        width = _width(entry(layer, "shape", list, where), where + "shape")
    if not layers:
        raise ValueError("layers: expected one at least, got none")
    _with_gains(layers, record)
    return as_layers.model_of(layers, D)


def _keras_layer(layer: Mapping[str, Any], D: int, where: str) -> tuple[Layer, list[Array]]:
    """A layer and its weights. D: numbers that come in."""
    kind, weights = entry(layer, "type", str, where), entry(layer, "weights", list, where)
    M = _width(entry(layer, "shape", list, where), where + "shape")
    activation = layer.get("activation") or ""
    where += f"{kind[:40]}: "
    if kind in ("dense", "time-distributed-dense"):
        if activation not in ("", "linear", *_ACTIVATIONS):
            raise ValueError(
                f"{where}activation: expected one of {', '.join(_ACTIVATIONS)} or none, got {activation!r:.60}"
            )
        kernel, bias = _arrays(weights, ((D, M), (M,)), where)
        return as_layers.dense(kernel, bias, activation or "linear")
    if kind not in ("lstm", "gru"):
        known = "which this package has not" if kind in _UNKNOWN or kind == "activation" else "which is not known"
        raise ValueError(f"{where}expected lstm, gru, dense or time-distributed-dense, got a layer {known}")
    if activation not in ("", "tanh"):  # RTNeural computes tanh whatever stands there; AIDA-X writes ""
        raise ValueError(f"{where}activation: expected tanh or none, got {activation!r:.60}")
    if kind == "lstm":
        return as_layers.recurrent(Params(*_arrays(weights, ((D, 4 * M), (M, 4 * M), (4 * M,)), where)))
    from .. import nn

    return nn.GRU(M, return_sequences=True), _arrays(weights, ((D, 3 * M), (M, 3 * M), (2, 3 * M)), where)


def _arrays(weights: list[Any], forms: tuple[tuple[int, ...], ...], where: str) -> list[Array]:
    if len(weights) != len(forms):
        raise ValueError(f"{where}weights: expected {len(forms)} arrays, got {len(weights)}")
    return [
        numbers(f"{where}weights[{i}]", one, form) for i, (one, form) in enumerate(zip(weights, forms, strict=True))
    ]


def _width(shape: list[Any], name: str) -> int:
    """The last entry of a shape such as [null, null, 8]."""
    last = shape[-1] if shape else None
    if type(last) is not int or not 1 <= last <= 1 << 20:
        raise ValueError(f"{name}: expected a size from 1 to {1 << 20} at the end, got {last!r:.50}")
    return last


def _with_gains(layers: list[tuple[Layer, list[Array]]], record: Mapping[str, Any]) -> None:
    """AIDA-X's gains: of the sound that comes in, which is the first input, and of what comes out."""
    if (gain := _factor(record, "in_gain")) != 1:
        weights = layers[0][1]
        weights[0] = np.concatenate([weights[0][:1] * gain, weights[0][1:]])
    if (gain := _factor(record, "out_gain")) != 1:
        layer, weights = layers[-1]
        if getattr(layer, "activation", "tanh") != "linear":
            raise ValueError("out_gain: expected a dense layer without an activation at the end, got another one")
        weights[:] = [array * gain for array in weights]


def _factor(record: Mapping[str, Any], key: str) -> np.float32:
    """A gain in decibels as a factor."""
    if record.get(key) is None:
        return np.float32(1)
    decibels = float(entry(record, key, (int, float)))
    if not -120 <= decibels <= 120:
        raise ValueError(f"{key}: expected decibels from -120 to 120, got {decibels}")
    return np.float32(10 ** (decibels / 20))


def _check_samples(model: Sequential, record: Mapping[str, Any]) -> None:
    """Whether the model gives what the file says. Inputs besides the sound are 0 in such samples."""
    if record.get("input_batch") is None or record.get("output_batch") is None:
        return
    x = numbers("input_batch", record["input_batch"], (None,))
    expected = numbers("output_batch", record["output_batch"], (len(x),))
    given = np.zeros((1, len(x), model.input_shape[-1]))
    given[0, :, 0] = x
    y, _ = run(plan_of(model), given)
    error = float(abs(y[0, :, 0] - expected).max())
    if not error <= _CLOSE * max(1.0, float(abs(expected).max())):
        raise ValueError(
            f"output_batch: expected what the model makes of input_batch, got numbers that are {error:.3g} apart"
        )


def _torch_flavour(record: Mapping[str, Any]) -> Sequential:
    state, about = record, {}
    if "state_dict" in record:
        state, about = entry(record, "state_dict", dict), record.get("model_data") or {}
    if not isinstance(about, dict):
        raise ValueError(f"model_data: expected a dict, got {type(about).__name__}")
    if about.get("skip") not in (None, 0, False):
        raise ValueError(f"skip: expected 0, as no layer adds the input to the output here, got {about['skip']!r:.50}")
    layers = [layer for module, arrays in _modules(state) for layer in _torch_layers(module, arrays)]
    if not layers:
        raise ValueError("expected in_shape and layers, or a PyTorch state dict, got an empty one")
    return as_layers.model_of(layers, layers[0][1][0].shape[0])


def _modules(state: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules of a state dict in their order, each with its arrays by their names in it."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        module, _, field = key.rpartition(".")
        if not isinstance(value, list):
            raise ValueError(f"{key[:60]!r}: expected in_shape and layers, or lists of a PyTorch state dict, got "
                             f"{type(value).__name__}")  # fmt: skip
        found.setdefault(module, {})[field] = value
    yield from found.items()


def _torch_layers(module: str, arrays: Mapping[str, Any]) -> list[tuple[Layer, list[Array]]]:
    if set(arrays) <= {"weight", "bias"} and "weight" in arrays:
        weight = numbers(f"{module}.weight", arrays["weight"], (None, None))
        bias = numbers(f"{module}.bias", arrays["bias"], (len(weight),)) if "bias" in arrays else None
        return [as_layers.dense(np.ascontiguousarray(weight.T), bias)]
    found = {
        key: numbers(f"{module}.{key}", value, (None, None) if key.startswith("weight") else (None,))
        for key, value in arrays.items()
    }
    try:
        return [as_layers.recurrent(layer) for layer in from_torch(found)]
    except ValueError as error:
        raise ValueError(f"{module[:60]!r}: expected a module LSTM, GRU or Linear: {error}") from error


def to_rtneural(params: Any, path: str | os.PathLike[str]) -> None: ...
