"""What a file of `to_onnx` carries besides its graph: what was written, and the vectors that prove it.

It stands in the file's metadata, of which other readers take no notice: as JSON under "fastlstm", and under
"fastlstm.vectors", arrays in base64 there.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..params import ROWS, AnyParams, Array, Bidirectional
from .json_file import entry, numbers, parsed
from .onnx_file import text
from .plan import Activation, Dense, Masking, Plan, Recurrent, Stage, initial, planned
from .proof import Case, Proof, compare, rerun
from .vectors import cases_in, vectors_of

_ABOUT, _VECTORS = "fastlstm", "fastlstm.vectors"
_FORMAT = 1
_KINDS = ("layer", "stack", "model")
_CLOSE = 1e-9  # how far the weights' outputs may be from those in the file, both in float64


class Own(NamedTuple):
    """What a file of ours says.

    Attributes
    ----------
    kind : {"layer", "stack", "model"}
        What was written.
    stateful, lengths : bool
    stages : list of dict
        As `onnx_graph.graph_of` makes them.
    cases : list of Case
    """

    kind: str
    stateful: bool
    lengths: bool
    stages: list[dict[str, Any]]
    cases: list[Case]


def put(model: Any, own: Own, proof: Proof | None) -> None:
    """Write it into a ModelProto."""
    about = {
        "format": _FORMAT,
        "kind": own.kind,
        "stateful": own.stateful,
        "lengths": own.lengths,
        "stages": own.stages,
    }
    vectors = vectors_of(own.cases, proof)
    del model.metadata_props[:]
    for key, value in ((_ABOUT, about), (_VECTORS, vectors)):
        model.metadata_props.add(key=key, value=json.dumps(value))


def get(model: Any) -> Own | None:
    """What a file says; None of one that is not ours.

    Raises
    ------
    ValueError
        Something that `put` does not write.
    """
    found = {text(one.key): text(one.value) for one in model.metadata_props}
    if _ABOUT not in found:
        return None
    about, vectors = parsed(found[_ABOUT].encode()), parsed(found.get(_VECTORS, "").encode())
    if about.get("format") != _FORMAT or about.get("kind") not in _KINDS:
        raise ValueError(f"expected format {_FORMAT} of a {', '.join(_KINDS)}, got {about.get('format')!r:.40} of "
                         f"{about.get('kind')!r:.40}")  # fmt: skip
    stages = entry(about, "stages", list)
    if not all(isinstance(one, dict) for one in stages):
        raise ValueError("expected dicts as stages")
    stateful, lengths = (entry(about, key, bool) for key in ("stateful", "lengths"))
    return Own(about["kind"], stateful, lengths, stages, cases_in(vectors))


# what was written, from what stands in the file

Tensors = Callable[[str], Array]
"""The numbers of an initializer."""
Weights = Callable[[str], AnyParams | Bidirectional]
"""The weights of a node."""


def plan_in(own: Own, weights: Weights, tensors: Tensors) -> Plan:
    """The plan that a file was written from, checked by its vectors.

    Raises
    ------
    ValueError
        A stage that is not as `put` writes it; outputs that are not those in the file.
    """
    plan = planned(tuple(_stage(one, weights, tensors) for one in own.stages))
    try:
        for case, y in zip(own.cases, rerun(plan, own.cases), strict=True):
            compare([case], [y], np.float64, "fastlstm.reference", _CLOSE)
    except ValueError as error:
        raise ValueError(f"expected weights that give the outputs that stand in the file: {error}") from error
    return plan


def _stage(record: Mapping[str, Any], weights: Weights, tensors: Tensors) -> Stage:
    kind = record.get("stage")
    if kind == "masking":
        return Masking(float(entry(record, "value", (int, float))))
    if kind == "activation":
        return Activation(entry(record, "name", str))
    if kind == "dense":
        W, b = (tensors(entry(record, key, str)) for key in ("W", "b"))
        if W.ndim != 2 or b.shape != W.shape[1:]:
            raise ValueError(f"expected W (D, M) and b (M,) of a dense layer, got {W.shape} and {b.shape}")
        return Dense(W, b, entry(record, "activation", str))
    if kind != "recurrent":
        raise ValueError(f"expected stages recurrent, dense, activation and masking, got {kind!r:.40}")
    params = weights(entry(record, "node", str))
    records = tuple(params) if isinstance(params, Bidirectional) else (params,)
    returns, backwards, zeros = (entry(record, key, bool) for key in ("returns_sequences", "backwards", "zeros"))
    stage = Recurrent(records, returns, backwards, entry(record, "merge", str), zeros)
    if record.get("states") is None:
        return stage
    states = entry(record, "states", list)
    type_ = ROWS[type(records[0])].state
    if len(states) != len(records) or any(
        not isinstance(one, list) or len(one) != len(type_._fields) for one in states
    ):
        raise ValueError(f"expected {len(type_._fields)} arrays of {len(records)} states")
    found = tuple(
        type_(*(numbers("states", one, (len(records[0].U),), records[0].U.dtype) for one in state)) for state in states
    )
    return stage._replace(states=found)


# running a file

Run = Callable[[dict[str, Array]], dict[str, Array]]


def outputs_of(model: Any, own: Own, plan: Plan) -> tuple[list[Array], str]:
    """What the graph makes of the file's inputs, and what ran it: onnxruntime where it is installed and can, else the
    reference evaluator of the package onnx.

    Raises
    ------
    ValueError
        It does not run.
    """
    try:
        return _all_outputs(*_runner(model, plan), own, plan)
    except Exception as error:  # of any type that those packages have
        raise ValueError(f"expected a graph that runs, got one that does not: {str(error)[:300]}") from error


def _all_outputs(run: Run, by: str, at_once: bool, own: Own, plan: Plan) -> tuple[list[Array], str]:
    outputs = []
    for case in own.cases:
        if at_once or (case.lengths == case.x.shape[1]).all():
            outputs.append(_outputs(run, own, plan, case))
            continue
        y = np.zeros(case.y.shape)  # it knows no lengths: one sequence after the other
        for n, length in enumerate(case.lengths):
            one = Case(case.x[n : n + 1, :length], case.lengths[n : n + 1], case.y[n : n + 1])
            found = _outputs(run, own, plan, one)[0]
            y[n, : len(found) if y.ndim == 3 else None] = found
        outputs.append(y)
    return outputs, by


def _runner(model: Any, plan: Plan) -> tuple[Run, str, bool]:
    """A function from inputs to outputs, what it is, and whether it knows lengths."""
    content, names = model.SerializeToString(), [one.name for one in model.graph.output]
    if plan.dtype == np.float32:  # onnxruntime computes no LSTM in float64
        try:
            ort = importlib.import_module("onnxruntime")
        except ImportError:
            pass
        else:
            options = ort.SessionOptions()
            options.log_severity_level, options.intra_op_num_threads = 4, 1
            session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            return (lambda given: dict(zip(names, session.run(names, given), strict=True)),
                    f"onnxruntime {ort.__version__}", True)  # fmt: skip
    onnx = importlib.import_module("onnx")
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(model)
    return (lambda given: dict(zip(names, evaluator.run(names, given), strict=True)),
            f"the reference evaluator of onnx {onnx.__version__}", False)  # fmt: skip


def _outputs(run: Run, own: Own, plan: Plan, case: Case) -> Array:
    """y; of a stateful graph in two chunks, the second from the states that the first has left."""
    lengths = {"lengths": case.lengths} if own.lengths else {}
    if not own.stateful:
        return run({"x": case.x, **lengths})["y"]
    nodes = [one["node"] for one in own.stages if one["stage"] == "recurrent"]
    states = {
        f"{node}.{field}_in": array.astype(plan.dtype)
        for node, (state,) in zip(nodes, initial(plan, len(case.x)), strict=True)
        for field, array in state._asdict().items()
    }
    T, ys = case.x.shape[1], []
    for first, last in ((0, T // 2), (T // 2, T)) if T > 1 else ((0, 1),):
        given = {"lengths": np.clip(case.lengths - first, 0, last - first)} if own.lengths else {}
        found = run({"x": case.x[:, first:last], **given, **states})
        ys.append(found["y"])
        states = {key: found[key.removesuffix("_in") + "_out"] for key in states}
    return np.concatenate(ys, axis=1) if plan.returns_sequences else ys[-1]
