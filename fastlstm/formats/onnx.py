"""Weights from and to ONNX files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from ..files import file_name
from ..params import Bidirectional, Layer, is_plain
from ..types import WeightsOrModel
from . import as_layers, onnx_constants, onnx_file, onnx_graph, onnx_own
from .onnx_file import Found
from .onnx_own import Own
from .onnx_reading import OnnxNode, read_node, recurrent_nodes
from .plan import Masking, Plan, plan_of, run
from .proof import Proof, cases, compare, tolerance, write


@overload
def from_onnx(path: str | os.PathLike[str], node: str) -> Layer: ...


@overload
def from_onnx(path: str | os.PathLike[str], node: None = None) -> Any: ...  # what `to_onnx` was given may be a model


def from_onnx(path: str | os.PathLike[str], node: str | None = None) -> Any:
    """The weights of an LSTM or GRU node, from anywhere in an ONNX file.

    Parameters
    ----------
    path : str or path-like
        Of opset 7 or newer. Weights have to stand in it, as initializers or Constant nodes, or what nodes such
        as Slice and Concat make of these.
    node : str, optional
        The node's name, or that of one of its outputs. It may be left out if there is one such node. A file of
        `to_onnx` is read whole without it.

    Returns
    -------
    Params, PeepholeParams, GRUParams, GRUBeforeParams or Bidirectional
        Copies, float32 or float64; half precision becomes float32. A GRU gives GRUParams with linear_before_reset=1,
        else GRUBeforeParams. A whole file of `to_onnx` gives what that was given: a layer, a stack or a `Sequential`.

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
    `onnx_nodes` tells what a node says besides its weights: its direction, and the states that it begins with. Run the
    weights of a node of direction "reverse" by `fastlstm.forward` with ``reverse=True``.

    Examples
    --------
    See `to_onnx`.
    """
    found = _chosen(path, node)
    return found.params if isinstance(found, OnnxNode) else found


def _chosen(path: Any, node: Any) -> Any:
    """A node, as an `OnnxNode`, or what a whole file was written from."""
    if node is not None and not isinstance(node, str):
        raise TypeError(f"node: expected str or None, got {type(node).__name__}")
    name, model = onnx_file.read_model(path)
    found = recurrent_nodes(model, name)
    written = _written(model, found, name)
    if node is None and written is not None:
        return _given_back(*written)
    listed = ", ".join(repr(one.name[:80]) for one in found[:20]) + (", ..." if len(found) > 20 else "") or "none"
    if node is not None:
        found = [one for one in found if one.is_called(node)]
    if len(found) != 1:
        wanted = "one LSTM or GRU node" if node is None else f"one LSTM or GRU node named {node[:80]!r}"
        more = "; give the name of one as node" if node is None and found else ""
        raise ValueError(f"node: expected {wanted}, got {listed} in {name!r}{more}")
    return read_node(found[0], name)


def all_of_onnx(path: Any, node: Any = None) -> Any:
    """As `from_onnx`, where weights are all that the node says.

    Raises
    ------
    ValueError
        They are not: it runs backwards, or begins with states that the file holds.
    """
    found = _chosen(path, node)
    if not isinstance(found, OnnxNode):
        return found
    if found.reverse or found.state is not None:
        what = "of direction reverse" if found.reverse else "with initial states"
        raise ValueError(f"node: expected one that weights say all of, got {found.name[:80]!r}, {what}")
    return found.params


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

    Examples
    --------
    >>> import os, tempfile, fastlstm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     proof = fastlstm.to_onnx(fastlstm.init_params(16, 32, rng=0), os.path.join(folder, "lstm.onnx"))
    ...     (node,) = fastlstm.formats.onnx_nodes(os.path.join(folder, "lstm.onnx"))
    >>> node.reverse, node.state, node.params.U.shape
    (False, None, (32, 128))
    """
    name, model = onnx_file.read_model(path)
    return tuple(read_node(one, name) for one in recurrent_nodes(model, name))


def to_onnx(
    params: WeightsOrModel, path: str | os.PathLike[str], *, stateful: bool = False, lengths: bool = False
) -> Proof:
    """Write weights or a model as an ONNX file, with any number of sequences and of steps.

    Parameters
    ----------
    params : Params, PeepholeParams, GRUParams, GRUBeforeParams, Bidirectional, a stack of these, or a `Sequential`
    path : str or path-like
    stateful : bool
        Whether states come in and go out, for sequences that arrive in chunks.
    lengths : bool
        Whether the number of real steps of each sequence is an input. A model with a `Masking` layer at its bottom
        always has it. Padding is told by it alone then, and has to be at the end of the sequences.

    Returns
    -------
    Proof
        Of the run of the file, as `fastlstm.formats.prove` gives it.

    Raises
    ------
    ImportError
        The package onnx is missing.
    ValueError
        A cell, a layer or an option that ONNX does not have, by name; weights that make no sense; a file that would not
        compute what it should. The file that was there before, if any, is left as it was.
    TypeError
        Neither weights nor a model.
    OSError
        The file cannot be written.

    Notes
    -----
    Inputs are `x` (N, T, D); `lengths` (N,) of int64, if there are any; and, if it is stateful, the states of each
    recurrent layer, such as `recurrent0.h_in` and `recurrent0.c_in` (N, H). Outputs are `y`, (N, T, M) or (N, M), and
    the new states, such as `recurrent0.h_out`. The file is of opset 13. It carries three inputs and their outputs, with
    which it is run before this function returns: by onnxruntime, if that is installed and the numbers are float32, else
    by the reference evaluator of the package onnx.

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

    def make(proof: Proof | None) -> list[tuple[str, bytes]]:
        onnx_own.put(model, own, proof)
        return [(os.path.splitext(file_name(path))[1], model.SerializeToString())]

    found = write(path, make, check)
    assert found is not None
    return found


def check(path: str) -> Proof:
    """Run a file of `to_onnx` on the inputs in it.

    Raises
    ------
    ValueError
        It does not compute what stands there; it was not written by `to_onnx`.
    """
    name, model = onnx_file.read_model(path)
    written = _written(model, recurrent_nodes(model, name), name)
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
        return read_node(nodes[node], name).params

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
