"""Models of Neural Amp Modeler: the recurrent ones, as `.nam` files have them.

Their weights are one list of numbers. For each layer: [W_ih, W_hh] (4H, D + H), row by row, gates i, f, g, o; one bias
(4H,); the first h and c, which were trained. Then the head, its weights (M, H) and its bias (M,). So reads NAM/lstm.cpp
of NeuralAmpModelerCore.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..params import Array, Params, State
from . import as_layers
from .json_file import entry, numbers, read_json

if TYPE_CHECKING:
    from ..nn import Sequential

_KIND = "a .nam file of a recurrent model"
_MOST = 1 << 20  # of a size


def from_nam(path: str | os.PathLike[str]) -> Sequential:
    """A recurrent model of Neural Amp Modeler.

    Parameters
    ----------
    path : str or path-like
        A `.nam` file of the architecture "LSTM".

    Returns
    -------
    fastlstm.nn.Sequential
        float32, of sequences of any length: (N, T, D) to (N, T, M). Its LSTM layers have the states that the file
        begins with as `first_state`.

    Raises
    ------
    ValueError
        No such file or a damaged one; another architecture, by its name; more or fewer weights than its sizes ask for.
    TypeError
        A path of another type.
    OSError
        The file cannot be read.

    Notes
    -----
    Plug-ins run such a model on half a second of silence before they play it. Some compute tanh and the sigmoid by
    faster, coarser formulas; here they are exact.

    Examples
    --------
    >>> import json, os, tempfile
    >>> from fastlstm import formats
    >>> about = {"input_size": 1, "hidden_size": 1, "num_layers": 1}
    >>> content = {"version": "0.5.4", "architecture": "LSTM", "config": about, "weights": [0.5] * 16}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(os.path.join(folder, "amp.nam"), "w") as file:
    ...         json.dump(content, file)
    ...     model = formats.from_nam(os.path.join(folder, "amp.nam"))
    >>> model.layers[0].first_state, model.output_shape
    ([[0.5], [0.5]], (None, None, 1))
    """
    name, record = read_json(path, _KIND)
    try:
        return _model(record)
    except (ValueError, TypeError) as error:
        raise ValueError(f"path: expected {_KIND}, got {name!r}: {error}") from error


def _model(record: Mapping[str, Any]) -> Sequential:
    architecture = entry(record, "architecture", str)
    if architecture != "LSTM":
        raise ValueError(f"architecture: expected LSTM, got {architecture!r:.60}")
    config = entry(record, "config", dict)
    D, H, layers = (_size(config, key) for key in ("input_size", "hidden_size", "num_layers"))
    M = _size(config, "out_channels") if "out_channels" in config else 1
    if config.get("in_channels", D) != D:
        raise ValueError(f"config: in_channels: expected {D} as input_size, got {config['in_channels']!r:.50}")
    weights = numbers("weights", record.get("weights"), (None,))
    inputs = [D] + [H] * (min(layers, len(weights)) - 1)
    needed = sum(4 * H * (width + H) + 6 * H for width in inputs) + M * (H + 1)
    if len(inputs) != layers or len(weights) != needed:
        raise ValueError(f"weights: expected {needed} numbers for D = {D}, H = {H}, {layers} layers and M = {M}, got "
                         f"{len(weights)}")  # fmt: skip
    numbers_left = _Numbers(weights)
    found = [_layer(numbers_left, width, H) for width in inputs]
    kernel = np.ascontiguousarray(numbers_left.take(M, H).T)
    return as_layers.model_of([*found, as_layers.dense(kernel, numbers_left.take(M))], D)


def _size(config: Mapping[str, Any], key: str) -> int:
    size: int = entry(config, key, int, "config: ")
    if not 1 <= size <= _MOST:
        raise ValueError(f"config: {key}: expected a size from 1 to {_MOST}, got {size}")
    return size


class _Numbers:
    """A list of weights that is read from its beginning."""

    def __init__(self, weights: Array) -> None:
        self._weights, self._at = weights, 0

    def take(self, *shape: int) -> Array:
        first, self._at = self._at, self._at + int(np.prod(shape))
        return self._weights[first : self._at].reshape(shape)


def _layer(weights: _Numbers, D: int, H: int) -> Any:
    both, bias = weights.take(4 * H, D + H).T, weights.take(4 * H)
    params = Params(np.ascontiguousarray(both[:D]), np.ascontiguousarray(both[D:]), bias)
    return as_layers.recurrent(params, [State(weights.take(H), weights.take(H))])
