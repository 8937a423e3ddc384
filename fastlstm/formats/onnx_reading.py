"""LSTM and GRU nodes of ONNX files.

An LSTM node has gates in the order i, o, f, g and peepholes i, o, f; a GRU node z, r, n. Both have W (ways, K·H, D), R
(ways, K·H, H) and B (ways, 2·K·H), the biases of x and then of h. https://onnx.ai/onnx/operators/onnx__LSTM.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import checks
from ..params import (
    AnyParams,
    AnyState,
    Array,
    Bidirectional,
    GRUBeforeParams,
    Hidden,
    Layer,
    Params,
    PeepholeParams,
    State,
    shown,
)
from . import onnx_constants, onnx_file
from .gates import GATES, OUR_PEEPHOLES, OURS, PEEPHOLES, gru_of, ordered
from .onnx_file import Found

INPUTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}
_ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_ATTRIBUTES = {"activations", "activation_alpha", "activation_beta", "clip", "direction", "hidden_size", "layout",
               "input_forget", "linear_before_reset"}  # fmt: skip


class OnnxNode(NamedTuple):
    """An LSTM or GRU node of an ONNX file.

    Attributes
    ----------
    name : str
        Its own, or that of its first output if it has none.
    params : Params, PeepholeParams, GRUParams, GRUBeforeParams or Bidirectional
    reverse : bool
        Whether it runs from the last step to the first, as `fastlstm.forward` does with ``reverse=True``.
    state : State, Hidden, Bidirectional or None
        The states that it begins with, h (N, H) and c (N, H), if the file holds them. None if they are zeros, or come
        in when the model runs.

    Examples
    --------
    See `onnx_nodes`.
    """

    name: str
    params: Layer
    reverse: bool
    state: AnyState | Bidirectional[AnyState] | None

    def __repr__(self) -> str:
        return shown(self)


def recurrent_nodes(model: Any, file: str) -> list[Found]:
    """The LSTM and GRU nodes of a model, also in graphs within nodes and in functions. file: its name."""
    try:
        nodes = onnx_file.nodes_of(model)
    except ValueError as error:
        raise ValueError(f"path: {error} in {file!r}") from error
    return [one for one in nodes if one.node.op_type in INPUTS and one.node.domain in ("", "ai.onnx")]


def read_node(found: Found, file: str) -> OnnxNode:
    """What a node says. file: its name.

    Raises
    ------
    ValueError
        What the cells here do not compute; weights that are not in the file, or do not fit together.
    """
    try:
        return _node(found)
    except ValueError as error:
        raise ValueError(f"path: node {found.name[:80]!r}: {error} in {file!r}") from error


def _node(found: Found) -> OnnxNode:
    node = found.node
    kind: str = node.op_type
    names = dict(zip(INPUTS[kind], node.input, strict=False))
    attributes = {onnx_file.text(one.name): one for one in node.attribute}
    if len(node.input) > len(INPUTS[kind]):
        raise ValueError(f"expected at most {len(INPUTS[kind])} inputs, got {len(node.input)}")
    direction = _text(attributes, "direction", "forward")
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction: expected {', '.join(_DIRECTIONS)}, got {direction[:40]!r}")
    ways = _DIRECTIONS[direction]
    _check_options(kind, attributes, ways)
    arrays = {
        key: onnx_constants.constant(names.get(key, ""), found.scope, key)
        for key in ("W", "R", "B", "P")
        if key in "WR" or names.get(key)
    }
    dtype = np.result_type(*arrays.values())
    H = _checked(arrays, kind, ways)
    given = _integer(attributes, "hidden_size", H)
    if given != H:
        raise ValueError(f"hidden_size: expected {H} as R has, got {given}")
    after = _integer(attributes, "linear_before_reset", 0)
    arrays.setdefault("B", np.zeros((ways, 2 * len(GATES[kind]) * H)))
    halves = [{key: np.asarray(array[way], dtype) for key, array in arrays.items()} for way in range(ways)]
    records = [_record(kind, half, bool(after)) for half in halves]
    params = Bidirectional(*records) if ways == 2 else records[0]
    checks.weights(params, "weights")
    return OnnxNode(found.name, params, direction == "reverse", _states(found, names, attributes, ways, (H, dtype)))


def _text(attributes: Mapping[str, Any], key: str, default: str) -> str:
    return onnx_file.text(attributes[key].s) if key in attributes else default


def _integer(attributes: Mapping[str, Any], key: str, default: int) -> int:
    return int(attributes[key].i) if key in attributes else default


def _check_options(kind: str, attributes: Mapping[str, Any], ways: int) -> None:
    """Refuse what the cells here do not compute."""
    for key in attributes:
        if key not in _ATTRIBUTES or key == ("linear_before_reset" if kind == "LSTM" else "input_forget"):
            raise ValueError(f"{key[:40]}: expected no such attribute of a node {kind}")
    if "activations" in attributes:
        given = [onnx_file.text(one) for one in attributes["activations"].strings]
        expected = _ACTIVATIONS[kind] * ways
        if [one.lower() for one in given] != expected:
            raise ValueError(f"activations: expected {', '.join(expected)}, the only ones that are computed here, got "
                             f"{', '.join(given)[:200]}")  # fmt: skip
    if "clip" in attributes:
        raise ValueError(f"clip: expected none, as nothing is clipped here, got {attributes['clip'].f}")
    if _integer(attributes, "input_forget", 0) != 0:
        raise ValueError("input_forget: expected 0, as no cell here couples the two gates, got "
                         f"{attributes['input_forget'].i}")  # fmt: skip
    for key in ("layout", "linear_before_reset"):
        if _integer(attributes, key, 0) not in (0, 1):
            raise ValueError(f"{key}: expected 0 or 1, got {attributes[key].i}")


def _checked(arrays: Mapping[str, Array], kind: str, ways: int) -> int:
    """H of arrays whose shapes fit together."""
    K, W, R = len(GATES[kind]), arrays["W"], arrays["R"]
    if R.ndim != 3 or R.shape[:2] != (ways, K * R.shape[2]):
        raise ValueError(f"R: expected shape ({ways}, {K}H, H), got {R.shape}")
    H = R.shape[2]
    if W.ndim != 3 or W.shape[:2] != (ways, K * H):
        raise ValueError(f"W: expected shape ({ways}, {K * H}, D), got {W.shape}")
    for key, width in (("B", 2 * K * H), ("P", 3 * H)):
        if key in arrays and arrays[key].shape != (ways, width):
            raise ValueError(f"{key}: expected shape ({ways}, {width}), got {arrays[key].shape}")
    return int(H)


def _record(kind: str, arrays: Mapping[str, Array], after: bool) -> AnyParams:
    """One direction. after: the reset gate acts after the product."""
    gates, ours = GATES[kind], OURS[kind]
    W, R = (ordered(arrays[key], gates, ours).T for key in "WR")
    one, two = (ordered(half, gates, ours) for half in np.split(arrays["B"], 2))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        if kind == "GRU" and after:
            record: AnyParams = gru_of(W, R, one, two)
        elif kind == "GRU":
            record = GRUBeforeParams(W, R, one + two)
        elif "P" in arrays:
            record = PeepholeParams(W, R, ordered(arrays["P"], PEEPHOLES, OUR_PEEPHOLES), one + two)
        else:
            record = Params(W, R, one + two)
    for field, array in zip(record._fields, record, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"expected finite weights, got NaN or infinity in {field}")
    return type(record)(*(np.array(array, order="C") for array in record))


def _states(
    found: Found, names: Mapping[str, str], attributes: Mapping[str, Any], ways: int, expected: tuple[int, Any]
) -> Any:
    """What the file says of initial states."""
    H, dtype = expected
    given = []
    for key in ("initial_h", "initial_c")[: 2 if found.node.op_type == "LSTM" else 1]:
        array = onnx_constants.known(names.get(key, ""), found.scope, key)
        if array is not None and _integer(attributes, "layout", 0) == 1 and array.ndim == 3:
            array = array.swapaxes(0, 1)
        if array is not None and (array.ndim != 3 or (array.shape[0], array.shape[2]) != (ways, H)):
            raise ValueError(f"{key}: expected shape ({ways}, N, {H}), got {array.shape}")
        given.append(array)
    there = [array for array in given if array is not None]
    if not any(array.any() for array in there):
        return None
    if len({array.shape for array in there}) > 1:
        raise ValueError("initial_h, initial_c: expected one shape, got " + " and ".join(str(a.shape) for a in there))
    filled = [np.zeros_like(there[0]) if array is None else array for array in given]
    record: type[AnyState] = State if len(given) == 2 else Hidden
    halves = [record(*(np.array(array[way], dtype) for array in filled)) for way in range(ways)]
    return Bidirectional(*halves) if ways == 2 else halves[0]
