"""ONNX files: parsed only after a look at their bytes, so that none takes much more memory than it is long; and the
constants in them, of which none is ever looked for in another file.

ONNX's files are protocol buffers (https://protobuf.dev/programming-guides/encoding): fields of a number and a length,
some of which are messages with fields again. A message of two bytes takes 200 in memory: so they are counted first.
"""

from __future__ import annotations

import importlib
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..files import file_name, regular
from ..params import Array

_BYTES = 1 << 30  # of a file
_ENTRIES = 300_000  # messages and fields in it
_DEPTH = 40  # of messages
_OPSET = 7  # since then LSTM and GRU mean what they do today

_Schema = Mapping[int, "str | int"]
_SCHEMAS: dict[str, _Schema] = {  # of a field: the message in it, or how many of its bytes count as an entry
    "model": {7: "graph", 8: 2, 14: 16, 20: 2, 25: 2},
    "graph": {1: "node", 5: "tensor", 11: 4, 12: 4, 13: 4, 14: 2, 15: 2, 16: 16},
    "node": {5: "attribute", 9: 16},
    "attribute": {5: "tensor", 6: "graph", 7: 8, 8: 8, 10: "tensor", 11: "graph", 14: 2, 15: 2, 22: 2, 23: 2},
    "tensor": {1: 8, 3: 2, 5: 16, 7: 8, 11: 8, 13: 2, 16: 16},
}


class Scope(NamedTuple):
    """A graph's nodes and constants, and the graph around it.

    Attributes
    ----------
    constants : dict of str to TensorProto
    makers : dict of str to NodeProto
        The node that makes each value.
    outer : Scope or None
    """

    constants: dict[str, Any]
    makers: dict[str, Any]
    outer: Scope | None


class Found(NamedTuple):
    """A node and where it stands."""

    node: Any
    scope: Scope

    @property
    def name(self) -> str:
        """Its own, or else that of the first thing it makes."""
        return text(self.node.name or next((output for output in self.node.output if output), ""))


def text(value: str | bytes) -> str:
    """A string of a message, which is bytes where it is no UTF-8."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def library() -> Any:
    """The package onnx.

    Raises
    ------
    ImportError
        It is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError("ONNX files: expected the package onnx, which is not installed (pip install "
                          "'fastlstm[onnx]')") from error  # fmt: skip


def read_model(path: str | os.PathLike[str]) -> tuple[str, Any]:
    """The name of a file, and the ModelProto in it, of an opset that this package reads.

    Raises
    ------
    ValueError
        No ONNX file, a damaged one, an older opset, more messages than belong in such a file.
    TypeError
        A path of another type.
    OSError
        The file cannot be read.
    """
    onnx = library()
    name = file_name(path)
    regular(name, "of ONNX")
    size = os.path.getsize(name)
    if not 0 < size <= _BYTES:
        raise ValueError(f"path: expected an ONNX file of at most {_BYTES} bytes, got {size} in {name!r}")
    with open(name, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            _count(content, 0, len(content), "model", _ENTRIES, 0)
        except (ValueError, IndexError) as error:
            what = str(error) if isinstance(error, ValueError) else "it ends within a field"
            raise ValueError(
                f"path: expected an ONNX file, got another or a damaged one in {name!r}: {what}"
            ) from error
        data = content[:]
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # of a module of protobuf that has moved between its versions
        raise ValueError(f"path: expected an ONNX file, got a damaged one in {name!r}: {error}") from error
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not model.HasField("graph") or len(versions) != 1:
        raise ValueError(f"path: expected an ONNX file of a graph and one opset, got another in {name!r}")
    if versions[0] < _OPSET:
        raise ValueError(f"path: expected an opset of at least {_OPSET}, got {versions[0]} in {name!r}; "
                         "onnx.version_converter makes a newer one of it")  # fmt: skip
    return name, model


def _count(data: Any, at: int, end: int, kind: str, left: int, depth: int) -> int:
    """How many entries a message leaves of those that a file may have. Nothing is made of what it goes through."""
    if depth > _DEPTH:
        raise ValueError(f"expected messages at most {_DEPTH} deep")
    schema = _SCHEMAS[kind]
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        left -= 1
        if wire == 2:
            length, at = _varint(data, at)
            inner = schema.get(key >> 3)
            if length > end - at:
                raise ValueError("a field is longer than what it stands in")
            if isinstance(inner, str):
                left = _count(data, at, at + length, inner, left, depth + 1)
            elif inner is not None:
                left -= length // inner
            at += length
        elif wire == 0:
            _, at = _varint(data, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field of kind {wire}, which ONNX has not")
        if left < 0:
            raise ValueError(f"expected at most {_ENTRIES} messages and fields")
    if at > end:
        raise ValueError("a number is longer than what it stands in")
    return left


def _varint(data: Any, at: int) -> tuple[int, int]:
    """A number of up to ten bytes, and where it ends."""
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    number, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at + 1
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")


def nodes_of(model: Any) -> list[Found]:
    """All nodes, also those of graphs within nodes."""
    return list(_nodes(model.graph, None))


def scope_of(graph: Any, outer: Scope | None = None) -> Scope:
    """The names that mean something in a graph."""
    makers = {output: node for node in graph.node for output in node.output if output}
    return Scope({one.name: one for one in graph.initializer}, makers, outer)


def _nodes(graph: Any, outer: Scope | None) -> Iterator[Found]:
    scope = scope_of(graph, outer)
    for node in graph.node:
        yield Found(node, scope)
        for attribute in node.attribute:
            inner = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            for graph_within in inner:
                yield from _nodes(graph_within, scope)


def constant(name: str, scope: Scope, where: str) -> Array:
    """The numbers of an initializer, or of a Constant node.

    Raises
    ------
    ValueError
        Something that is known only when the model runs; external data; numbers that do not fit their shape.
    """
    place: Scope | None = scope
    if not name:
        raise ValueError(f"{where}: expected an initializer or a Constant, got none")
    for _ in range(100):  # through nodes that change nothing
        while place is not None and name not in place.constants and name not in place.makers:
            place = place.outer
        if place is None:
            raise ValueError(
                f"{where}: expected an initializer or a Constant, got {name[:80]!r}, an input of the model"
            )
        if name in place.constants:
            return array_of(place.constants[name], where)
        node = place.makers[name]
        if node.op_type == "Identity" and len(node.input) == 1:
            name = node.input[0]
            continue
        values = [one for one in node.attribute if one.name == "value" and one.HasField("t")]
        if node.op_type != "Constant" or not values:
            raise ValueError(f"{where}: expected an initializer or a Constant, got {name[:80]!r}, which a node "
                             f"{node.op_type[:40]} makes; a simplifier that folds constants may help")  # fmt: skip
        return array_of(values[0].t, where)
    raise ValueError(f"{where}: expected an initializer or a Constant, got Identity nodes without an end")


def array_of(tensor: Any, where: str) -> Array:
    """A TensorProto of floating point numbers as an array; half precision as float32.

    Raises
    ------
    ValueError
        As `constant`.
    """
    onnx = library()
    kinds = onnx.TensorProto
    if tensor.data_location == kinds.EXTERNAL or len(tensor.external_data):
        raise ValueError(f"{where}: expected numbers in the file itself, got external data, which are not followed; "
                         "onnx.save(onnx.load(path), path) puts them into one file")  # fmt: skip
    stored = {  # the field that holds the numbers where raw_data does not, and the bytes of one
        kinds.FLOAT: ("float_data", 4), kinds.DOUBLE: ("double_data", 8), kinds.FLOAT16: ("int32_data", 2),
        kinds.BFLOAT16: ("int32_data", 2),
    }  # fmt: skip
    if tensor.data_type not in stored:
        named = dict(map(reversed, kinds.DataType.items())).get(tensor.data_type, tensor.data_type)
        raise ValueError(f"{where}: expected FLOAT, DOUBLE, FLOAT16 or BFLOAT16, got {named}")
    field, width = stored[tensor.data_type]
    shape = tuple(tensor.dims)
    raw = tensor.HasField("raw_data")
    there = len(tensor.raw_data) if raw else width * len(getattr(tensor, field))
    if any(size < 1 for size in shape) or tensor.HasField("segment") or math.prod(shape) * width != there:
        raise ValueError(f"{where}: expected numbers that fill shape {shape!s:.100}, got {there // width}")
    found: Array = np.asarray(onnx.numpy_helper.to_array(tensor))
    return found.astype(np.float64 if tensor.data_type == kinds.DOUBLE else np.float32)


def known(name: str, scope: Scope, where: str) -> Array | None:
    """The numbers of an optional input where the file holds them; None where it has none, or they come in later."""
    place: Scope | None = scope
    while place is not None and name not in place.constants and name not in place.makers:
        place = place.outer
    later = place is None or (
        name not in place.constants and place.makers[name].op_type not in ("Constant", "Identity")
    )
    if not name or later:
        return None
    return constant(name, scope, where)
