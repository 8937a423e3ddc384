"""Models of audio plug-ins in RTNeural's JSON: what its Keras script writes, AIDA-X's files, state dicts of PyTorch.

A layer of the first two has Keras's arrays: gates i, f, g, o of an LSTM; z, r, n and two rows of biases of a GRU; the
weights of a dense layer (D, M). The third is PyTorch's state dict, written as JSON; GuitarML's files have it too, with
`model_data` beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import file_name
from ..params import Array, GRUParams, Params, cell_name
from ..types import WeightsOrModel
from . import as_layers
from .json_file import entry, numbers, read_json
from .plan import Dense, Recurrent, Stage, plan_of, run
from .proof import Proof, cases, compare, write
from .rtneural_parts import ACTIVATIONS, Part, run_part, with_skip
from .torch import from_torch
from .vectors import cases_in, vectors_of

if TYPE_CHECKING:
    from ..nn import Sequential

_KIND = "a model in RTNeural's JSON"
_SAMPLES = 256  # that a file has as AIDA-X's
_CLOSE = 2e-5  # how far outputs may be from those in the file, relative to the largest of them or 1


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
        float32, for sequences of any length: (N, T, D) to (N, T, M). The modules of a state dict are run in the order
        of the file, as in RTNeural's examples. A state dict does not tell of activations between them, so there are
        none.

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
    AIDA-X's gains, `in_gain` and `out_gain` in decibels, become part of the weights. If the input is to be added to the
    output (`in_skip` of AIDA-X, `skip` of GuitarML), each layer below the last has one unit more, which hands the input
    on. It is scaled down there so far that tanh does not bend it.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> from fastlstm import formats
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = formats.to_rtneural(fastlstm.init_params(1, 8, rng=0), os.path.join(folder, "amp.json"))
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
    D, parts = _keras_parts(record, _dtype(record) or "float32")
    if _skips(record, "in_skip"):
        parts = with_skip(parts)
    _apply_gains(parts, record)
    return as_layers.model_of([part.layer() for part in parts], D)


def _keras_parts(record: Mapping[str, Any], dtype: str) -> tuple[int, list[Part]]:
    """D and the layers."""
    D = width = _width(entry(record, "in_shape", list), "in_shape")
    parts: list[Part] = []
    for number, layer in enumerate(entry(record, "layers", list)):
        where = f"layers[{number}]: "
        if not isinstance(layer, dict):
            raise ValueError(f"{where}expected a dict, got {type(layer).__name__}")
        parts.append(_keras_layer(layer, width, where, dtype))
        width = parts[-1].size
    if not parts:
        raise ValueError("layers: expected one at least, got none")
    return D, parts


def _dtype(record: Mapping[str, Any]) -> str | None:
    """What a file of `to_rtneural` was written from; None of another's."""
    about = record.get("fastlstm")
    given = about.get("dtype") if isinstance(about, dict) else None
    return given if given in ("float32", "float64") else None


def _keras_layer(layer: Mapping[str, Any], D: int, where: str, dtype: str) -> Part:
    """D: numbers that come in."""
    kind, weights = entry(layer, "type", str, where), entry(layer, "weights", list, where)
    M = _width(entry(layer, "shape", list, where), where + "shape")
    activation = layer.get("activation") or ""
    where += f"{kind[:40]}: "
    if kind in ("dense", "time-distributed-dense"):
        if activation not in ("", "linear", *ACTIVATIONS):
            raise ValueError(f"{where}activation: expected {', '.join(ACTIVATIONS)} or none, got {activation!r:.60}")
        return Part("dense", _arrays(weights, ((D, M), (M,)), where, dtype), activation or "linear")
    if kind == "activation":  # by itself: of a dense layer that changes nothing
        if activation not in ACTIVATIONS or D != M:
            raise ValueError(f"{where}expected {', '.join(ACTIVATIONS)} of {D} numbers, got {activation!r:.60} of {M}")
        return Part("dense", [np.eye(M, dtype=dtype), np.zeros(M, dtype)], activation)
    if kind not in ("lstm", "gru"):
        raise ValueError(f"{where}expected lstm, gru, dense, time-distributed-dense or activation, got another layer")
    if activation not in ("", "tanh"):  # RTNeural computes tanh whatever stands there; AIDA-X writes ""
        raise ValueError(f"{where}activation: expected tanh or none, got {activation!r:.60}")
    K, bias = (4, (4 * M,)) if kind == "lstm" else (3, (2, 3 * M))
    return Part(kind, _arrays(weights, ((D, K * M), (M, K * M), bias), where, dtype))


def _arrays(weights: list[Any], forms: tuple[tuple[int, ...], ...], where: str, dtype: str) -> list[Array]:
    if len(weights) != len(forms):
        raise ValueError(f"{where}weights: expected {len(forms)} arrays, got {len(weights)}")
    return [
        numbers(f"{where}weights[{i}]", one, form, dtype)
        for i, (one, form) in enumerate(zip(weights, forms, strict=True))
    ]


def _width(shape: list[Any], name: str) -> int:
    """The last entry of a shape such as [null, null, 8]."""
    last = shape[-1] if shape else None
    if type(last) is not int or not 1 <= last <= 1 << 20:
        raise ValueError(f"{name}: expected a size from 1 to {1 << 20} at the end, got {last!r:.50}")
    return last


def _skips(record: Mapping[str, Any], key: str) -> bool:
    """Whether the first input is added to the output."""
    given = record.get(key)
    if given not in (None, 0, 1):
        raise ValueError(f"{key}: expected 0 or 1, got {given!r:.50}")
    return bool(given)


def _apply_gains(parts: list[Part], record: Mapping[str, Any]) -> None:
    """AIDA-X's gains: of the sound that comes in, which is the first input, and of what comes out."""
    if (gain := _factor(record, "in_gain")) != 1:
        parts[0].arrays[0][0] *= gain
    if (gain := _factor(record, "out_gain")) != 1:
        if not parts[-1].is_linear:
            raise ValueError("out_gain: expected a dense layer without an activation at the end, got another one")
        for array in parts[-1].arrays:
            array *= gain


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
    given = np.zeros((1, len(x), model.input_shape[-1] or 1))
    given[0, :, 0] = x
    y, _ = run(plan_of(model), given)
    error = float(abs(y[0, :, 0] - expected).max())
    if not error <= _CLOSE * max(1.0, float(abs(expected).max())):
        raise ValueError(f"output_batch: expected what the model makes of input_batch, got a difference of {error:.1e};"
                         " without that entry nothing is checked")  # fmt: skip


def _torch_flavour(record: Mapping[str, Any]) -> Sequential:
    state: Mapping[str, Any] = record
    about: Any = {}
    if "state_dict" in record:
        state, about = entry(record, "state_dict", dict), record.get("model_data") or {}
    if not isinstance(about, dict):
        raise ValueError(f"model_data: expected a dict, got {type(about).__name__}")
    parts = [part for module, arrays in _modules(state) for part in _torch_parts(module, arrays)]
    if not parts:
        raise ValueError("expected in_shape and layers, or a PyTorch state dict, got an empty one")
    D = len(parts[0].arrays[0])
    if _skips(about, "skip"):
        parts = with_skip(parts)
    return as_layers.model_of([part.layer() for part in parts], D)


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


def _torch_parts(module: str, arrays: Mapping[str, Any]) -> list[Part]:
    if "weight" in arrays and set(arrays) <= {"weight", "bias"}:
        weight = numbers(f"{module}.weight", arrays["weight"], (None, None))
        bias = numbers(f"{module}.bias", arrays["bias"], (len(weight),)) if "bias" in arrays else np.zeros(len(weight))
        return [Part("dense", [np.ascontiguousarray(weight.T), bias.astype(np.float32)])]
    found = {
        key: numbers(f"{module}.{key}", value, (None, None) if key.startswith("weight") else (None,))
        for key, value in arrays.items()
    }
    try:
        return [_part(layer) for layer in from_torch(found)]
    except ValueError as error:
        raise ValueError(f"{module[:60]!r}: expected a module LSTM, GRU or Linear: {error}") from error


def _part(layer: Any) -> Part:
    if isinstance(layer, GRUParams):
        return Part("gru", as_layers.gru_weights(layer))
    if isinstance(layer, Params):
        return Part("lstm", list(layer))
    raise ValueError(f"expected one direction and no projections, got {type(layer).__name__}")


def to_rtneural(params: WeightsOrModel, path: str | os.PathLike[str]) -> Proof:
    """Write weights or a model as RTNeural's JSON, of the flavour that its Keras script writes.

    Parameters
    ----------
    params : Params, GRUParams, a stack of these, or a `Sequential` of LSTM, GRU and dense layers
    path : str or path-like

    Returns
    -------
    Proof
        Of the run of the file, as `fastlstm.formats.prove` gives it.

    Raises
    ------
    ValueError
        A cell, a layer or an option that RTNeural has not, by name; weights that make no sense.
    TypeError
        Neither weights nor a model.
    OSError
        The file cannot be written.

    Notes
    -----
    The file has samples as AIDA-X's have, `input_batch` and `output_batch`, which that plug-in checks, and three inputs
    with their outputs under `fastlstm`. It is run by RTNeural's formulas in NumPy.

    Examples
    --------
    See `from_rtneural`.
    """
    plan = plan_of(params)
    record = {"in_shape": [None, None, plan.input_size], "layers": [_written(stage) for stage in plan.stages]}
    x = np.zeros((1, _SAMPLES, plan.input_size), plan.dtype)
    x[0, :, 0] = np.sin(np.arange(_SAMPLES) * 0.1) * np.linspace(0, 1, _SAMPLES)
    record |= {"input_batch": x[0, :, 0].tolist(), "output_batch": run(plan, x)[0][0, :, 0].tolist()}

    def make(proof: Proof | None) -> list[tuple[str, bytes]]:
        content = json.dumps(record | {"fastlstm": vectors_of(cases(plan), proof) | {"dtype": plan.dtype.name}})
        return [(os.path.splitext(file_name(path))[1], content.encode())]

    proof = write(path, make, check)
    assert proof is not None
    return proof


def _written(stage: Stage) -> dict[str, Any]:
    """A layer of the file."""
    if isinstance(stage, Dense):
        if stage.activation not in ("linear", *ACTIVATIONS):
            raise ValueError(f"params: expected an activation that RTNeural has, {', '.join(ACTIVATIONS)}, got "
                             f"{stage.activation!r}")  # fmt: skip
        name = "" if stage.activation == "linear" else stage.activation
        return _layer("dense", name, stage.W.shape[1], [stage.W, stage.b])
    if not isinstance(stage, Recurrent):
        raise ValueError(f"params: expected layers that RTNeural has, lstm, gru and dense, got {type(stage).__name__}")
    record = stage.records[0]
    if len(stage.records) > 1 or stage.backwards or not stage.returns_sequences or stage.states is not None:
        raise ValueError("params: expected layers that RTNeural has, which run forwards, begin with zeros and give an "
                         "output for each step, got a layer that does not")  # fmt: skip
    if not isinstance(record, (Params, GRUParams)):
        raise ValueError(f"params: expected cells that RTNeural has, standard and gru, got {cell_name(type(record))}")
    part = _part(record)
    return _layer(part.kind, "tanh", len(record.U), part.arrays)


def _layer(kind: str, activation: str, M: int, arrays: list[Array]) -> dict[str, Any]:
    weights = [array.tolist() for array in arrays]
    return {"type": kind, "activation": activation, "shape": [None, None, M], "weights": weights}


def check(path: str) -> Proof:
    """Run a file of `to_rtneural` on the inputs in it, by RTNeural's formulas.

    Raises
    ------
    ValueError
        It does not compute what stands there; it was not written by `to_rtneural`.
    """
    _, record = read_json(path, _KIND)
    dtype = _dtype(record)
    if dtype is None:
        raise ValueError("expected a file of to_rtneural, which carries vectors, got another one")
    found, (D, parts) = cases_in(record["fastlstm"]), _keras_parts(record, "float64")
    if any(case.x.shape[2] != D for case in found):
        raise ValueError(f"expected inputs of {D} numbers a step")
    outputs = []
    for case in found:
        y = case.x.astype(np.float64)
        for part in parts:
            y = run_part(part, y)
        outputs.append(y)
    return compare(found, outputs, dtype, "RTNeural's formulas in NumPy")
