"""Weights from and to ONNX's LSTM and GRU nodes.

An LSTM node has gates in the order i, o, f, g and peepholes i, o, f; a GRU node z, r, n. Both have W (ways, K·H, D), R
(ways, K·H, H) and B (ways, 2·K·H), the biases of x and then of h. https://onnx.ai/onnx/operators/onnx__LSTM.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import checks
from ..files import file_name
from ..params import (
    AnyParams,
    AnyState,
    Array,
    Bidirectional,
    GRUBeforeParams,
    GRUParams,
    Hidden,
    Params,
    PeepholeParams,
    State,
    is_plain,
    shown,
)
from . import as_layers, onnx_constants, onnx_file, onnx_graph, onnx_own
from .onnx_file import Found
from .onnx_names import GATES, OUR_PEEPHOLES, OURS, PEEPHOLES, ordered
from .onnx_own import Own
from .plan import Masking, Plan, plan_of, run
from .proof import Proof, cases, compare, tolerance, write

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
        Its own, or that of its first output where it has none.
    params : Params, PeepholeParams, GRUParams, GRUBeforeParams or Bidirectional
    reverse : bool
        Whether it runs from the last step to the first, as `fastlstm.forward` does with ``reverse=True``.
    state : State, Hidden, Bidirectional or None
        The states that it begins with where the file holds them, h (N, H) and c (N, H); None where they are zeros, or
        come in when the model runs.
    """

    name: str
    params: Any
    reverse: bool
    state: Any

    def __repr__(self) -> str:
        return shown(self)


def from_onnx(path: str | os.PathLike[str], node: str | None = None) -> Any:
    """The weights of an LSTM or GRU node, from anywhere in an ONNX file.

    Parameters
    ----------
    path : str or path-like
        Of opset 7 or newer. Weights have to stand in it, as initializers or Constant nodes, or what nodes such
        as Slice and Concat make of these.
    node : str, optional
        The node's name; that of one of its outputs does too. May be left out where there is one such node, and for
        files of `to_onnx`, which are read whole.

    Returns
    -------
    Params, PeepholeParams, GRUParams, GRUBeforeParams or Bidirectional
        Copies, float32 or float64; half precision becomes float32. Of a GRU with linear_before_reset=1 GRUParams, else
        GRUBeforeParams. Of a whole file of `to_onnx` what it was given: a layer, a stack or a `Sequential`.

    Raises
    ------
    ImportError
        The package onnx is missing.
    ValueError
        No such file or a damaged one; no such node, or several, whose names are listed; activations, clipping and other
        options that the cells here have not, by name; weights that are known only when the model runs, or stand in
        another file, which is never looked for; a file of `to_onnx` that does not compute what stands in it.
    TypeError
        A path or a name of another type.
    OSError
        The file cannot be read.

    Notes
    -----
    What a node says besides its weights, `onnx_nodes` tells: its direction, and the states that it begins with. A node
    of direction "reverse" gives the weights of its one direction; `fastlstm.forward` runs them with ``reverse=True``.

    Examples
    --------
    See `to_onnx`.
    """
    if node is not None and not isinstance(node, str):
        raise TypeError(f"node: expected str or None, got {type(node).__name__}")
    name, model = onnx_file.read_model(path)
    found = _recurrent_nodes(model)
    written = _written(model, found, name)
    if node is None and written is not None:
        return _given_back(*written)
    listed = ", ".join(repr(one.name[:80]) for one in found[:20]) + (", ..." if len(found) > 20 else "") or "none"
    if node is not None:
        found = [one for one in found if one.node.name == node or node in one.node.output]
    if len(found) != 1:
        wanted = "one LSTM or GRU node" if node is None else f"one LSTM or GRU node named {node[:80]!r}"
        more = "; give the name of one as node" if node is None and found else ""
        raise ValueError(f"node: expected {wanted}, got {listed} in {name!r}{more}")
    return _read(found[0], name).params


def onnx_nodes(path: str | os.PathLike[str]) -> tuple[OnnxNode, ...]:
    """All LSTM and GRU nodes of an ONNX file, with what each says besides its weights.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    tuple of OnnxNode
        In the order of the file.

    Raises
    ------
    ImportError, ValueError, TypeError, OSError
        As `from_onnx`.
    """
    name, model = onnx_file.read_model(path)
    return tuple(_read(one, name) for one in _recurrent_nodes(model))


def to_onnx(params: Any, path: str | os.PathLike[str], *, stateful: bool = False, lengths: bool = False) -> Any:
    """Write weights or a model as an ONNX file, with any number of sequences and of steps.

    Parameters
    ----------
    params : Params, PeepholeParams, GRUParams, GRUBeforeParams, Bidirectional, a stack of these, or a `Sequential`
    path : str or path-like
    stateful : bool
        Whether states come in and go out, for sequences that arrive in chunks.
    lengths : bool
        Whether each sequence's number of real steps comes in. A model with a `Masking` at its bottom always takes it:
        in the place of steps that it would find, which have to stand at the end.

    Returns
    -------
    Proof
        Of the run of the file, as `fastlstm.formats.prove` gives it.

    Raises
    ------
    ImportError
        The package onnx is missing.
    ValueError
        A cell, a layer or an option that ONNX has not, by name; weights that make no sense; a file that would not
        compute what it should. What was at its place is there as before then.
    TypeError
        Neither weights nor a model.
    OSError
        The file cannot be written.

    Notes
    -----
    Inputs are `x` (N, T, D), `lengths` (N,) of int64, and for each recurrent layer its states, such as
    `recurrent0.h_in` and `recurrent0.c_in` (N, H). Outputs are `y`, (N, T, M) or (N, M), and `recurrent0.h_out` and
    so on. The file is of opset 13. It carries three inputs and their outputs, by which it was proven: by onnxruntime
    where that is installed, else, as in float64, which onnxruntime has not, by the reference evaluator of the package
    onnx.

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> params = fastlstm.init_params(16, 32, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = fastlstm.to_onnx(params, os.path.join(folder, "lstm.onnx"))
    ...     again = fastlstm.from_onnx(os.path.join(folder, "lstm.onnx"))
    >>> proof.error < 1e-5, bool((again.W == params.W).all())
    (True, True)
    """
    onnx_file.library()
    plan = plan_of(params)
    for option, value in (("stateful", stateful), ("lengths", lengths)):
        if not isinstance(value, bool):
            raise TypeError(f"{option}: expected a bool, got {type(value).__name__}")
    lengths = lengths or isinstance(plan.stages[0], Masking)
    onnx_graph.check_plan(plan, stateful=stateful, lengths=lengths)
    model, stages = onnx_graph.graph_of(plan, stateful=stateful, lengths=lengths)
    kind = "model" if hasattr(type(params), "_described") else "stack" if is_plain(params) else "layer"
    given = [one if lengths else one._replace(lengths=np.full_like(one.lengths, one.x.shape[1])) for one in cases(plan)]
    whole = [one if lengths else one._replace(y=run(plan, one.x)[0]) for one in given]
    own = Own(kind, stateful, lengths, stages, whole)

    def make(proof: Proof | None) -> dict[str, bytes]:
        onnx_own.put(model, own, proof)
        return {os.path.splitext(file_name(path))[1]: model.SerializeToString()}

    return write(path, make, check)


def check(path: str) -> Proof:
    """Run a file of `to_onnx` on the inputs in it.

    Raises
    ------
    ValueError
        It does not compute what stands there; it was not written by `to_onnx`.
    """
    name, model = onnx_file.read_model(path)
    written = _written(model, _recurrent_nodes(model), name)
    if written is None:
        raise ValueError("expected a file of to_onnx, which carries vectors, got another one")
    plan, own = written
    outputs, by = onnx_own.outputs_of(model, own, plan)
    return compare(own.cases, outputs, plan.dtype, by, tolerance(plan, own.cases))


def _written(model: Any, found: Sequence[Found], name: str) -> tuple[Plan, Own] | None:
    """The plan of a file of ours, and what the file says; None of another's."""
    nodes = {one.name: one for one in found}
    scope = onnx_file.scope_of(model)

    def weights(node: str) -> Any:
        if node not in nodes:
            raise ValueError(f"expected a node {node[:80]!r}, got none")
        return _read(nodes[node], name).params

    try:
        own = onnx_own.get(model)
        if own is None:
            return None
        plan = onnx_own.plan_in(own, weights, lambda key: onnx_constants.constant(key, scope, key[:80]))
        return plan, own
    except (ValueError, TypeError, AssertionError, KeyError) as error:
        raise ValueError(f"path: expected a file as to_onnx wrote it, got {name!r}: {error}") from error


def _given_back(plan: Plan, own: Own) -> Any:
    """What a file was written from."""
    if own.kind == "model":
        return as_layers.model_of_plan(plan)
    layers = [Bidirectional(*one.records) if len(one.records) == 2 else one.records[0] for one in plan.recurrent]
    return tuple(layers) if own.kind == "stack" else layers[0]


def _recurrent_nodes(model: Any) -> list[Found]:
    return [
        one for one in onnx_file.nodes_of(model)
        if one.node.op_type in INPUTS and one.node.domain in ("", "ai.onnx")
    ]  # fmt: skip


def _read(found: Found, name: str) -> OnnxNode:
    where = f"node {found.name[:80]!r}: "
    try:
        return _node(found, where)
    except ValueError as error:
        raise ValueError(f"path: {where}{error} in {name!r}") from error


def _node(found: Found, where: str) -> OnnxNode:
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
    records = [_record(kind, half, H, bool(after)) for half in halves]
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


def _record(kind: str, arrays: Mapping[str, Array], H: int, after: bool) -> AnyParams:
    """One direction. after: the reset gate acts after the product."""
    gates, ours = GATES[kind], OURS[kind]
    W, R = (ordered(arrays[key], gates, ours).T for key in "WR")
    one, two = (ordered(half, gates, ours) for half in np.split(arrays["B"], 2))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        fields = {"W": W, "U": R, "b": one + two}
    record: type[AnyParams] = Params
    if kind == "GRU":
        record = GRUParams if after else GRUBeforeParams
        if after:  # the candidate's biases are two
            fields |= {"b": np.concatenate([fields["b"][: 2 * H], one[2 * H :]]), "b_n": two[2 * H :]}
    elif "P" in arrays:
        record = PeepholeParams
        fields["p"] = ordered(arrays["P"], PEEPHOLES, OUR_PEEPHOLES)
    for field, array in fields.items():
        if not np.isfinite(array).all():
            raise ValueError(f"expected finite weights, got NaN or infinity in {field}")
    return record(**{field: np.array(array, order="C") for field, array in fields.items()})


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
