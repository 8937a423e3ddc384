"""Weights of recurrent layers from Keras's files. Neither Keras nor h5py is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, overload

import numpy as np

from .. import checks
from ..params import AnyParams, Bidirectional, GRUBeforeParams, Layer, Params
from . import gates
from .hdf5 import Damaged, Dataset, Group
from .keras_file import (
    DEEP,
    GROUPS_OF_LAYERS,
    MODELS,
    KerasFile,
    inner,
    layer_names,
    layers_of_model,
    lists_layers,
    name_of,
    named,
    names_in,
    opened,
    parts,
    variables,
    with_groups,
)

_CELLS = "LSTMCell", "GRUCell"


class _Layer(NamedTuple):
    """A recurrent layer in a file: [kernel, recurrent kernel, bias if any] of each direction, and what the file says of
    how each computes."""

    name: str
    ways: list[list[Dataset]]
    configs: list[Mapping[str, Any] | None]


@overload
def from_keras(path: str | os.PathLike[str], layer: None = None) -> dict[str, Layer]: ...


@overload
def from_keras(path: str | os.PathLike[str], layer: str) -> Layer: ...


def from_keras(path: str | os.PathLike[str], layer: str | None = None) -> Any:
    """Weights of the recurrent layers in a file of Keras's.

    These are weights alone; `fastlstm.nn.load_keras` reads whole models. How a layer is used there is up to the caller:
    for `go_backwards` run the weights with ``reverse=True``, and for masks give `lengths`. A Bidirectional joins the
    outputs of both directions.

    Parameters
    ----------
    path : str or path-like
        A .keras file, a .weights.h5 file, or an .h5 file, also one of Keras 2. Its content tells which it is.
    layer : str, optional
        The name of one layer; of one in a model within the model, "model/layer".

    Returns
    -------
    dict of str to Params, GRUParams, GRUBeforeParams or Bidirectional, or that of the one layer
        By the layers' names, in the file's order. Copies, float32 where the file has half precision.

    Raises
    ------
    ValueError
        A damaged file or one of another kind; no such layer; a layer with activations that no record stands for; a GRU
        without biases in a file that does not say where its reset gate acts.
    TypeError
        Arguments of other types.
    OSError
        The file cannot be read.

    Notes
    -----
    Keras's gates of an LSTM are in our order. Those of a GRU are z, r, n there, and r, z, n here. With reset_after=True
    its bias has two rows, of which those of r and z are added up; with reset_after=False it has one, and the record is
    a GRUBeforeParams. A layer without a bias gets zeros.

    Examples
    --------
    ``fastlstm.from_keras("m.keras", "memory")`` gives the weights of the layer of that name; docs/models.md has a whole
    one.
    """
    if layer is not None and not isinstance(layer, str):
        raise TypeError(f"layer: expected a name, got {type(layer).__name__}")
    with opened(path) as file:
        found: dict[str, _Layer] = {}
        for one in _recurrent(file):
            number = sum(name.split("#")[0] == one.name for name in found)
            found[f"{one.name}#{number + 1}" if number else one.name] = one
        if not found:
            raise Damaged(f"expected an LSTM or a GRU, got {', '.join(names_in(file)) or 'no layers'}")
        if layer is None:
            return {name: _as_weights(one) for name, one in found.items()}
        if layer not in found:
            raise ValueError(f"layer: expected one of {', '.join(found)}, got {layer!r}")
        return _as_weights(found[layer])


def _recurrent(file: KerasFile) -> Iterator[_Layer]:
    """The recurrent layers of a file, in its order."""
    if file.by_names:
        yield from _by_names(file)
    elif file.model is None or not lists_layers(file.model):
        yield from _by_groups(file.weights, "")
    else:
        yield from _by_model(layers_of_model(file.model), file.weights, "", 0)


def _by_model(layers: list[dict[str, Any]], model: Group, before: str, depth: int) -> Iterator[_Layer]:
    if depth > DEEP:
        raise Damaged(f"expected models within models {DEEP} deep at most")
    for record, group in with_groups(layers, model):
        if group is None:
            continue
        kind, config = parts(record)
        name = before + name_of(record)
        while kind == "TimeDistributed" and "layer" in group:
            record, group = inner(config), group.group("layer")
            kind, config = parts(record)
        if kind in MODELS:
            yield from _by_model(layers_of_model(record), group, f"{name}/", depth + 1)
        elif _is_recurrent(kind, config):
            yield _Layer(name, [variables(group, "cell")], [_of_cell(config)])
        elif kind == "Bidirectional" and "forward_layer" in group and "backward_layer" in group:
            ways = [variables(group, f"{way}_layer/cell") for way in Bidirectional._fields]
            yield _Layer(name, ways, _of_both(config))


def _is_recurrent(kind: str, config: Mapping[str, Any]) -> bool:
    """Whether a layer is an LSTM or a GRU, be it as an RNN with such a cell."""
    cell = config.get("cell")
    return kind in ("LSTM", "GRU") or (kind == "RNN" and isinstance(cell, dict) and cell.get("class_name") in _CELLS)


def _of_both(config: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    """The configurations of a Bidirectional's layers."""
    one = parts(inner(config))[1]
    two = parts(inner(config, "backward_layer"))[1] if config.get("backward_layer") is not None else one
    return [_of_cell(one), _of_cell(two)]


def _of_cell(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What says how a layer computes: its own configuration, or that of the cell in an RNN."""
    return parts(inner(config, "cell"))[1] if isinstance(config.get("cell"), dict) else config


def _by_groups(group: Group, before: str) -> Iterator[_Layer]:
    """Where there is no description: whatever has a cell."""
    within = [key for key in group.names() if isinstance(group[key], Group)]
    ways = []
    if {"forward_layer", "backward_layer"} <= set(within):
        ways = [variables(group, f"{way}_layer/cell") for way in Bidirectional._fields]
    elif "cell" in within:
        ways = [variables(group, "cell")]
    if ways and all(map(_looks_recurrent, ways)):
        yield _Layer(before + _called(group), ways, [None] * len(ways))
        return
    for key in within:
        if key not in ("vars", "optimizer"):
            own = group.group(key)
            is_model = key not in GROUPS_OF_LAYERS and any(one in own for one in GROUPS_OF_LAYERS)
            yield from _by_groups(own, f"{before}{_called(own)}/" if is_model else before)


def _called(group: Group) -> str:
    """The name of a layer, which its variables have since Keras 3.6; before, the name of its group."""
    try:
        name = group.group("vars").attributes.get("name")
    except Damaged:
        name = None
    return name if isinstance(name, str) and name else group.last


def _looks_recurrent(found: list[Dataset]) -> bool:
    """Whether arrays are those of an LSTM or a GRU."""
    if len(found) not in (2, 3) or any(len(one.shape) != 2 for one in found[:2]):
        return False
    H, columns = found[1].shape
    return H > 0 and columns in (3 * H, 4 * H) and found[0].shape[1] == columns


# arrays by names: .h5


def _by_names(file: KerasFile) -> Iterator[_Layer]:
    known = {} if file.model is None else {name_of(one): one for one in layers_of_model(file.model)}
    for name in layer_names(file):
        found = _pairs(named(file.weights.group(name)))
        if name in known:
            described = list(_described(known[name], "", 0))
            if not described:  # another layer, in which there may be cells
                continue
            if [len(configs) for _, configs in described] != [len(ways) for _, ways in found]:
                raise Damaged(f"expected weights of {len(described)} recurrent layers in {name!r}, got {len(found)}")
            for (own, configs), (_, ways) in zip(described, found, strict=True):
                yield _Layer(own, ways, configs)
        else:
            for path, ways in found:
                yield _Layer(name if len(found) == 1 else f"{name}/{path}", ways, [None] * len(ways))


def _pairs(named: Mapping[str, Dataset]) -> list[tuple[str, list[list[Dataset]]]]:
    """The recurrent layers among arrays, told by their names: bidirectional/forward_lstm/lstm_cell/kernel:0."""
    cells: dict[str, dict[str, Dataset]] = {}
    for key, array in named.items():
        cell, _, field = key.rpartition("/")
        cells.setdefault(cell, {})[field.split(":")[0]] = array
    found: list[tuple[str, list[list[Dataset]]]] = []
    for cell, arrays in cells.items():
        own = [arrays[field] for field in ("kernel", "recurrent_kernel", "bias") if field in arrays]
        if {"kernel", "recurrent_kernel"} <= set(arrays) and _looks_recurrent(own):
            if found and len(found[-1][1]) == 1 and _both(found[-1][0], cell):
                found[-1][1].append(own)
            else:
                found.append((cell, [own]))
    return found


def _both(one: str, two: str) -> bool:
    """Whether these are the paths of both directions of a Bidirectional."""
    pairs = list(zip(one.split("/"), two.split("/"), strict=False))
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    return at < len(pairs) and pairs[at][0].startswith("forward_") and pairs[at][1].startswith("backward_")


def _described(record: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, list[Mapping[str, Any] | None]]]:
    """Name and configurations of each recurrent layer in a layer's description."""
    if depth > DEEP:
        raise Damaged(f"expected models within models {DEEP} deep at most")
    kind, config = parts(record)
    name = before + name_of(record)
    if kind in MODELS:
        for one in layers_of_model(record):
            yield from _described(one, f"{name}/", depth + 1)
    elif kind == "TimeDistributed":
        for own, configs in _described(inner(config), before, depth + 1):
            yield (name if own.count("/") == before.count("/") else own), configs
    elif _is_recurrent(kind, config):
        yield name, [_of_cell(config)]
    elif kind == "Bidirectional":
        yield name, _of_both(config)


# records


def _as_weights(layer: _Layer) -> Any:
    records = [_record(layer.name, arrays, config) for arrays, config in zip(layer.ways, layer.configs, strict=True)]
    found = records[0] if len(records) == 1 else Bidirectional(*records)
    try:
        levels = checks.weights(found, layer.name).levels
    except TypeError as error:  # the caller's type is right, the file's content is not
        raise Damaged(str(error)) from error
    return checks.assemble(levels, False)


def _record(name: str, arrays: list[Dataset], config: Mapping[str, Any] | None) -> AnyParams:
    """The weights of one direction of a layer, copies."""
    if not _looks_recurrent(arrays):
        shapes = ", ".join(str(one.shape) for one in arrays)
        raise Damaged(
            f"expected kernels (D, 4H) and (H, 4H) of an LSTM in {name!r}, or 3H of a GRU, got {shapes or 'none'}"
        )
    if config is not None:
        _check(name, config)
    W, U, *biases = (one.read() for one in arrays)
    if any(one.dtype not in (np.float32, np.float64) for one in (W, U, *biases)):
        raise Damaged(f"expected floating-point weights in {name!r}, got {W.dtype}")
    H = len(U)
    if U.shape[1] == 4 * H:
        return Params(W, U, biases[0] if biases else np.zeros(4 * H, W.dtype))
    W, U = gates.from_keras(W), gates.from_keras(U)
    if biases:
        after = biases[0].ndim == 2
    elif config is None or not isinstance(config.get("reset_after", False), bool):
        raise Damaged(f"expected a file that says where the reset gate of {name!r} acts, as .keras files do: it has no "
                      "bias to tell by")  # fmt: skip
    else:
        after = config.get("reset_after", False)
    if not after:
        return GRUBeforeParams(W, U, gates.from_keras(biases[0]) if biases else np.zeros(3 * H, W.dtype))
    b = biases[0] if biases else np.zeros((2, 3 * H), W.dtype)
    if b.shape != (2, 3 * H):
        raise Damaged(f"expected a bias of shape (2, {3 * H}) in {name!r}, got {b.shape}")
    return gates.gru_of(W, U, *gates.from_keras(b))


def _check(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a layer that computes something else than its record says."""
    for key, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        found = config.get(key, expected)
        if isinstance(found, dict):
            found = found.get("config")
        if found != expected:
            raise Damaged(f"expected {key} {expected!r} in {name!r}, as records of weights have it, got {found!r:.60}; "
                          "fastlstm.nn.load_keras reads whole models")  # fmt: skip
