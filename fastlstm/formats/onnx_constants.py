"""The constants of an ONNX file: initializers, Constant nodes, and what nodes make of these that only put numbers in
other places, as exporters leave them that fold nothing. No constant is ever looked for in another file."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..params import Array
from .onnx_file import Scope, library, text

_MOVES = ("Cast", "Concat", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
_NODES = 200  # of them, behind one constant
_DEPTH = 40
_NUMBERS = 1 << 24  # that such a node may make


class Later(ValueError):
    """Something that is known only when the model runs."""


def constant(name: str, scope: Scope, where: str) -> Array:
    """Floating point numbers that a file holds; half precision as float32. where: what they are for.

    Raises
    ------
    ValueError
        Something that is known only when the model runs (`Later`); external data; numbers that do not fit their shape;
        others than floating point ones.
    """
    if not name:
        raise Later(f"{where}: expected an initializer or a Constant, got none")
    found = _value(name, scope, where, iter(range(_NODES)), 0)
    if found.dtype.kind in "biuSUO":
        raise ValueError(f"{where}: expected FLOAT, DOUBLE, FLOAT16 or BFLOAT16, got {found.dtype}")
    return found.astype(np.float64 if found.dtype == np.float64 else np.float32)


def known(name: str, scope: Scope, where: str) -> Array | None:
    """The numbers of an optional input where the file holds them; None where it has none, or they come in later."""
    try:
        return constant(name, scope, where)
    except Later:
        return None


def _value(name: str, scope: Scope, where: str, left: Iterator[int], depth: int) -> Array:
    """Numbers of any type. left: an entry for each node that may be gone through."""
    place: Scope | None = scope
    while place is not None and name not in place.constants and name not in place.makers:
        if place.given is not None:  # a function sees what it was given, and nothing else
            name = place.given.get(name, "")
        place = place.outer
    if place is None:
        raise Later(f"{where}: expected an initializer or a Constant, got {text(name)[:80]!r}, an input of the model")
    if name in place.constants:
        return array_of(place.constants[name], where)
    node = place.makers[name]
    values = [one for one in node.attribute if one.name == "value" and one.HasField("t")]
    if node.op_type == "Constant" and values:
        return array_of(values[0].t, where)
    if node.op_type not in _MOVES:
        raise Later(f"{where}: expected an initializer or a Constant, got {text(name)[:80]!r}, which a node "
                    f"{text(node.op_type)[:40]} makes; a simplifier that folds constants may help")  # fmt: skip
    if next(left, None) is None or depth > _DEPTH:
        raise ValueError(f"{where}: expected an initializer or a Constant, got one behind more than {_DEPTH} nodes")
    inputs = {one: _value(one, place, where, left, depth + 1) for one in node.input if one}
    return _moved(node, name, place, inputs, where)


def _moved(node: Any, name: str, scope: Scope, inputs: dict[str, Array], where: str) -> Array:
    """What a node makes of constants."""
    onnx = library()
    kinds, operator = onnx.TensorProto, node.op_type
    floats = (kinds.FLOAT, kinds.DOUBLE, kinds.FLOAT16, kinds.BFLOAT16)
    size = sum(inputs[one].size for one in node.input if one)
    casts = [one.i for one in node.attribute if one.name == "to"]
    if size > _NUMBERS or (operator == "Cast" and (len(casts) != 1 or casts[0] not in floats)):
        raise ValueError(
            f"{where}: expected at most {_NUMBERS} floating point numbers behind a node {operator}, got {size}"
        )
    given = [onnx.helper.make_tensor_value_info(one, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
             for one, array in inputs.items()]  # fmt: skip
    outputs = [onnx.helper.make_tensor_value_info(one, kinds.FLOAT, None) for one in node.output if one]
    graph = onnx.helper.make_graph([node], "one", given, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", scope.opset)])
    try:
        evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(model)
        return np.asarray(evaluator.run([name], inputs)[0])
    except Exception as error:  # of any type that the evaluator has
        raise ValueError(f"{where}: expected a node {operator} that makes sense, got {str(error)[:200]}") from error


def array_of(tensor: Any, where: str) -> Array:
    """A TensorProto as an array.

    Raises
    ------
    ValueError
        External data; a type that no constant here has; numbers that do not fill their shape.
    """
    onnx = library()
    kinds = onnx.TensorProto
    if tensor.data_location == kinds.EXTERNAL or len(tensor.external_data):
        raise ValueError(f"{where}: expected numbers in the file itself, got external data, which are not followed; "
                         "onnx.save(onnx.load(path), path) puts them into one file")  # fmt: skip
    stored = {  # the field that holds the numbers where raw_data does not, and the bytes of one
        kinds.FLOAT: ("float_data", 4), kinds.DOUBLE: ("double_data", 8), kinds.FLOAT16: ("int32_data", 2),
        kinds.BFLOAT16: ("int32_data", 2), kinds.INT64: ("int64_data", 8), kinds.INT32: ("int32_data", 4),
    }  # fmt: skip
    if tensor.data_type not in stored:
        named = dict(map(reversed, kinds.DataType.items())).get(tensor.data_type, tensor.data_type)
        raise ValueError(f"{where}: expected FLOAT, DOUBLE, FLOAT16 or BFLOAT16, got {named}")
    field, width = stored[tensor.data_type]
    shape = tuple(tensor.dims)
    there = len(tensor.raw_data) if tensor.HasField("raw_data") else width * len(getattr(tensor, field))
    if any(size < 1 for size in shape) or tensor.HasField("segment") or math.prod(shape) * width != there:
        raise ValueError(f"{where}: expected numbers that fill shape {shape!s:.100}, got {there // width}")
    found = np.asarray(onnx.numpy_helper.to_array(tensor))
    if tensor.data_type == kinds.BFLOAT16 and found.dtype.kind != "f":
        found = found.astype(np.float32)
    return found
