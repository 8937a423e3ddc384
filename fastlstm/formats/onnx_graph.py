"""A plan as an ONNX graph: from x (N, T, D) to y, with any N and T.

Nodes run with layout 0, steps first: onnxruntime refuses layout 1, and OpenVINO takes it for 0. So x and y are
transposed at the two ends. Opset 13, of which all that is used here is known everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..params import ROWS, AnyParams, Array, GRUBeforeParams, GRUParams, PeepholeParams, cell_name, sizes
from .gates import GATES, OUR_PEEPHOLES, OURS, PEEPHOLES, ordered, two_biases
from .onnx_file import library
from .plan import Activation, Dense, Masking, Plan, Recurrent

OPSET = 13
_IR = 7  # the version of the file's format that came with that opset
_CELLS = ("standard", "peephole", "gru", "gru_before")
ACTIVATIONS = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax", "softplus": "Softplus", "elu": "Elu",
    "exponential": "Exp",
}  # fmt: skip
_MERGES = {"sum": "Add", "ave": "Add", "mul": "Mul"}


def check_plan(plan: Plan, *, stateful: bool, lengths: bool) -> None:
    """Refuse what an ONNX graph of these operators has not.

    Raises
    ------
    ValueError
        The message names it.
    """
    for number, stage in enumerate(plan.stages):
        if isinstance(stage, Recurrent):
            for record in stage.records:
                if cell_name(type(record)) not in _CELLS:
                    raise ValueError(f"params: expected cells that ONNX has, {', '.join(_CELLS)}, got one of the "
                                     f"{cell_name(type(record))} cell")  # fmt: skip
            if stateful and not stage.steps:
                raise ValueError("stateful: expected layers that all run forwards, got one that runs backwards, whose "
                                 "state no later chunk can go on from")  # fmt: skip
            if lengths and stage.backwards and stage.returns_sequences:
                raise ValueError("params: expected no go_backwards with return_sequences where there are lengths, as "
                                 "padding would come first, got a layer of both")  # fmt: skip
        elif isinstance(stage, Masking) and number > 0:
            raise ValueError("params: expected a Masking at the bottom, where lengths stand for it, got one above "
                             "another layer")  # fmt: skip
        name = (
            stage.activation if isinstance(stage, Dense) else stage.name if isinstance(stage, Activation) else "linear"
        )
        if name not in ("linear", *ACTIVATIONS):
            raise ValueError(f"params: expected an activation that ONNX has, {', '.join(ACTIVATIONS)}, got {name!r}")


def graph_of(plan: Plan, *, stateful: bool, lengths: bool) -> tuple[Any, list[dict[str, Any]]]:
    """A ModelProto, and of each stage what its reader has to know besides the nodes."""
    built = _Graph(plan, stateful, lengths)
    return built.model(), built.stages


class _Graph:
    """Nodes and initializers, as they are added."""

    def __init__(self, plan: Plan, stateful: bool, lengths: bool) -> None:
        onnx = library()
        self._plan, self._stateful, self._helper, self._numpy = plan, stateful, onnx.helper, onnx.numpy_helper
        self._kind = onnx.TensorProto.FLOAT if plan.dtype == np.float32 else onnx.TensorProto.DOUBLE
        self._integer = onnx.TensorProto.INT64
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._inputs = [self._value("x", ["N", "T", plan.input_size])]
        self._outputs: list[Any] = []
        self._lengths = self._batch = ""
        if lengths:
            self._inputs.append(self._value("lengths", ["N"], self._integer))
            self._lengths = self._add("Cast", ["lengths"], "lengths.int32", to=onnx.TensorProto.INT32)
        self.stages: list[dict[str, Any]] = []
        self._build()

    def model(self) -> Any:
        graph = self._helper.make_graph(
            self._nodes, "fastlstm", self._inputs, self._outputs, list(self._initializers.values())
        )
        return self._helper.make_model(
            graph, opset_imports=[self._helper.make_opsetid("", OPSET)], ir_version=_IR, producer_name="fastlstm"
        )

    def _build(self) -> None:
        y, steps = self._add("Transpose", ["x"], "x.steps_first", perm=[1, 0, 2]), True
        for number, stage in enumerate(self._plan.stages):
            name = f"{type(stage).__name__.lower()}{number}"
            if isinstance(stage, Recurrent):
                y, steps = self._recurrent(stage, y, name), stage.returns_sequences
            elif isinstance(stage, Dense):
                y = self._dense(stage, y, name)
            elif isinstance(stage, Activation):
                y = self._activation(stage.name, y, name)
                self.stages.append({"stage": "activation", "name": stage.name})
            else:
                self.stages.append({"stage": "masking", "value": stage.value})
        if steps:
            self._add("Transpose", [y], "y", perm=[1, 0, 2])
        else:
            self._add("Identity", [y], "y")
        M = self._plan.output_size
        shape: list[int | str] = ["N", "T", M] if steps else ["N", M]
        self._outputs.insert(0, self._value("y", shape))

    # what is added

    def _value(self, name: str, shape: Sequence[int | str], kind: int | None = None) -> Any:
        return self._helper.make_tensor_value_info(name, self._kind if kind is None else kind, shape)

    def _add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node of one output, whose name it gets."""
        self._nodes.append(self._helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def _constant(self, name: str, array: Any) -> str:
        whole = np.ascontiguousarray(array).reshape(np.shape(array))  # of a number the first makes a row
        self._initializers.setdefault(name, self._numpy.from_array(whole, name))
        return name

    def _axes(self, *axes: int) -> str:
        return self._constant(f"axes.{'.'.join(map(str, axes))}", np.array(axes, np.int64))

    # stages

    def _activation(self, name: str, x: str, output: str) -> str:
        if name == "linear":
            return x
        return self._add(ACTIVATIONS[name], [x], output, **({"axis": -1} if name == "softmax" else {}))

    def _dense(self, stage: Dense, x: str, name: str) -> str:
        W, b = self._constant(f"{name}.W", stage.W), self._constant(f"{name}.b", stage.b)
        self.stages.append({"stage": "dense", "W": W, "b": b, "activation": stage.activation})
        y = self._add("Add", [self._add("MatMul", [x, W], f"{name}.product"), b], f"{name}.sum")
        return self._activation(stage.activation, y, name)

    def _recurrent(self, stage: Recurrent, x: str, name: str) -> str:
        record, ways = stage.records[0], len(stage.records)
        operator = "GRU" if isinstance(record, (GRUParams, GRUBeforeParams)) else "LSTM"
        fields = ROWS[type(record)].state._fields
        arrays = [arrays_of(one) for one in stage.records]
        W, R, B, *P = (self._constant(f"{name}.{key}", np.stack([one[key] for one in arrays])) for key in arrays[0])
        states = self._states(stage, name)
        inputs = [x, W, R, B, self._lengths, *(states or [""] * len(fields)), *P]
        while not inputs[-1]:
            inputs.pop()
        ends = [f"{name}.Y_{field}" for field in fields]
        options: dict[str, Any] = {"hidden_size": sizes(record)[1]}
        options["direction"] = "bidirectional" if ways == 2 else "reverse" if stage.backwards else "forward"
        if isinstance(record, GRUParams):
            options["linear_before_reset"] = 1
        self._nodes.append(self._helper.make_node(operator, inputs, [f"{name}.Y", *ends], name=name, **options))
        self.stages.append({
            "stage": "recurrent", "node": name, "returns_sequences": stage.returns_sequences,
            "backwards": stage.backwards, "merge": stage.merge, "zeros": stage.zeros,
            "states": None if stage.states is None else [[one.tolist() for one in state] for state in stage.states],
        })  # fmt: skip
        if states and self._lengths:
            ends = [self._where_empty(*pair) for pair in zip(states, ends, strict=True)]
        if self._stateful:
            for field, end in zip(fields, ends, strict=True):
                self._add("Squeeze", [end, self._axes(0)], f"{name}.{field}_out")
                self._outputs.append(self._value(f"{name}.{field}_out", ["N", sizes(record)[1]]))
        return self._merged(stage, name, f"{name}.Y" if stage.returns_sequences else ends[0])

    def _merged(self, stage: Recurrent, name: str, y: str) -> str:
        """y (T, ways, N, H) or, of the last step, (ways, N, H) without the axis of the ways."""
        axis = 1 if stage.returns_sequences else 0
        if len(stage.records) == 1:
            y = self._add("Squeeze", [y, self._axes(axis)], f"{name}.steps")
            if not (stage.backwards and stage.returns_sequences):
                return y
            bounds = [("last", -1), ("before_first", -(2**31)), ("time", 0), ("back", -1)]
            given = [self._constant(f"slice.{key}", np.array([value], np.int64)) for key, value in bounds]
            return self._add("Slice", [y, *given], f"{name}.turned")
        halves = [
            self._add(
                "Gather", [y, self._constant(f"way.{way}", np.array(way, np.int64))], f"{name}.way{way}", axis=axis
            )
            for way in (0, 1)
        ]
        if stage.merge == "concat":
            return self._add("Concat", halves, f"{name}.both", axis=-1)
        y = self._add(_MERGES[stage.merge], halves, f"{name}.{stage.merge}")
        if stage.merge != "ave":
            return y
        return self._add("Mul", [y, self._constant("half", np.array(0.5, self._plan.dtype))], f"{name}.half")

    def _states(self, stage: Recurrent, name: str) -> list[str]:
        """Where a layer begins, (ways, N, H): inputs of the model, constants of the file, or none for zeros."""
        record = stage.records[0]
        found = []
        for number, field in enumerate(ROWS[type(record)].state._fields):
            if self._stateful:
                self._inputs.append(self._value(f"{name}.{field}_in", ["N", sizes(record)[1]]))
                found.append(self._add("Unsqueeze", [f"{name}.{field}_in", self._axes(0)], f"{name}.initial_{field}"))
            elif stage.states is not None:
                first = np.stack([np.asarray(one[number], self._plan.dtype) for one in stage.states])
                self._constant(f"{name}.{field}", first[:, None])
                found.append(self._add("Expand", [f"{name}.{field}", self._rows()], f"{name}.initial_{field}"))
        return found

    def _rows(self) -> str:
        """The shape (1, N, 1), which states are expanded to."""
        if not self._batch:
            count = self._constant("batch.first", np.array([0], np.int64))
            shape = self._add("Shape", ["x"], "x.shape")
            batch = self._add("Gather", [shape, count], "x.batch", axis=0)
            one = self._constant("one", np.array([1], np.int64))
            self._batch = self._add("Concat", [one, batch, one], "batch", axis=0)
        return self._batch

    def _where_empty(self, begin: str, end: str) -> str:
        """The state at the end, or at the beginning where a sequence has no step: onnxruntime makes zeros of it."""
        zero = self._constant("no_step", np.array(0, np.int64))
        if "lengths.none" not in {node.name for node in self._nodes}:
            none = self._add("Equal", ["lengths", zero], "lengths.empty")
            self._add("Unsqueeze", [none, self._axes(1)], "lengths.none")
        return self._add("Where", ["lengths.none", begin, end], f"{end}.kept")


def arrays_of(record: AnyParams) -> dict[str, Array]:
    """W, R, B and, where there are peepholes, P of one direction, as an operator has them."""
    kind = "GRU" if isinstance(record, (GRUParams, GRUBeforeParams)) else "LSTM"
    given = record.W.T, record.U.T, *two_biases(record)
    W, R, *biases = (ordered(array, OURS[kind], GATES[kind]) for array in given)
    found = {"W": W, "R": R, "B": np.concatenate(biases)}
    if isinstance(record, PeepholeParams):
        found["P"] = ordered(record.p, OUR_PEEPHOLES, PEEPHOLES)
    return found
