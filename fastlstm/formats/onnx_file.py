"""ONNX files: parsed only after a look at their bytes, so that none takes much more memory than it is long.

ONNX's files are protocol buffers (https://protobuf.dev/programming-guides/encoding): fields of a number and a length,
some of which are messages with fields again. A message of two bytes takes 200 in memory: so they are counted first.
"""

from __future__ import annotations

import importlib
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..files import file_name, regular

_BYTES = 1 << 30  # of a file
_ENTRIES = 300_000  # messages and fields in it
_DEPTH = 40  # of messages, and of functions that call functions
_CALLED = 100_000  # nodes in functions, each as often as it is called
_OPSET = 7  # since then LSTM and GRU mean what they do today

_Schema = Mapping[int, "str | int"]
_SCHEMAS: dict[str, _Schema] = {  # of a field: the message in it, or how many of its bytes count as an entry
    "model": {7: "graph", 8: 2, 14: 16, 20: 2, 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: 4, 12: 4, 13: 4, 14: 2, 15: 2, 16: 16},
    "node": {5: "attribute", 9: 16},
    "attribute": {5: "tensor", 6: "graph", 7: 8, 8: 8, 10: "tensor", 11: "graph", 14: 2, 15: 2, 22: 2, 23: 2},
    "function": {4: 2, 5: 2, 6: 2, 7: "node", 9: 2, 11: "attribute", 12: 4, 14: 16},
    "tensor": {1: 8, 3: 2, 5: 16, 7: 8, 11: 8, 13: 2, 16: 16},
}


class Scope(NamedTuple):
    """A graph's nodes and constants, and the graph around it.

    Attributes
    ----------
    opset : int
    constants : dict of str to TensorProto
    makers : dict of str to NodeProto
        The node that makes each value.
    outer : Scope or None
        Where a name is looked for that means nothing here.
    given : dict of str to str
        In a function: the names of its inputs, and what these are called in `outer`, where it is called.
    """

    opset: int
    constants: dict[str, Any]
    makers: dict[str, Any]
    outer: Scope | None = None
    given: Mapping[str, str] | None = None


class Found(NamedTuple):
    """A node and where it stands.

    Attributes
    ----------
    node : NodeProto
    scope : Scope
    calls : str
        The names of the nodes that call the function it stands in, outermost first, each with a slash behind it.
    """

    node: Any
    scope: Scope
    calls: str = ""

    @property
    def name(self) -> str:
        """Its own, or else that of the first thing it makes."""
        return self.calls + _name(self.node)

    def is_called(self, name: str) -> bool:
        """Whether that is its name, or that of something it makes."""
        return name in (self.calls + text(one) for one in (self.node.name, *self.node.output) if one)


def _name(node: Any) -> str:
    return text(node.name or next((output for output in node.output if output), ""))


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


def scope_of(model: Any) -> Scope:
    """The names that mean something in a model's graph."""
    (opset,) = (one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    return _scope(model.graph, opset, None)


def _scope(graph: Any, opset: int, outer: Scope | None) -> Scope:
    makers = {output: node for node in graph.node for output in node.output if output}
    return Scope(opset, {one.name: one for one in graph.initializer}, makers, outer)


def nodes_of(model: Any) -> list[Found]:
    """All nodes, also those of graphs within nodes and of functions of the file, where these are called.

    Raises
    ------
    ValueError
        Functions that call themselves, or too much of them.
    """
    functions = {(text(one.domain), text(one.name), text(one.overload)): one for one in model.functions}
    return list(_Walk(functions).nodes(model.graph.node, scope_of(model), "", 0))


class _Walk:
    """Through a model. left: an entry for each node in a function that may be gone through."""

    def __init__(self, functions: Mapping[tuple[str, str, str], Any]) -> None:
        self._functions, self._left = functions, iter(range(_CALLED))

    def nodes(self, nodes: Any, scope: Scope, calls: str, depth: int) -> Iterator[Found]:
        for node in nodes:
            function = self._functions.get((text(node.domain), text(node.op_type), text(node.overload)))
            if function is not None:
                yield from self._called(function, node, scope, calls, depth)
                continue
            yield Found(node, scope, calls)
            for attribute in node.attribute:
                inner = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
                for one in inner:
                    yield from self.nodes(one.node, _scope(one, scope.opset, scope), calls, depth)

    def _called(self, function: Any, call: Any, scope: Scope, calls: str, depth: int) -> Iterator[Found]:
        """The nodes of a function, with the attributes that its call gives them."""
        if depth > _DEPTH:
            raise ValueError(f"expected functions that call functions {_DEPTH} deep at most")
        if any(next(self._left, None) is None for _ in function.node):
            raise ValueError(f"expected at most {_CALLED} nodes in functions, each as often as it is called")
        attributes = {one.name: one for one in (*function.attribute_proto, *call.attribute)}
        inputs = dict.fromkeys(function.input, "") | dict(zip(function.input, call.input, strict=False))
        nodes = [_as_called(node, attributes, {name for name in inputs if not inputs[name]}) for node in function.node]
        makers = {output: node for node in nodes for output in node.output if output}
        opset = [one.version for one in function.opset_import if one.domain in ("", "ai.onnx")]
        own = Scope(opset[0] if opset else scope.opset, {}, makers, scope, inputs)
        yield from self.nodes(nodes, own, f"{calls}{_name(call)}/", depth + 1)


def _as_called(node: Any, attributes: Mapping[str, Any], missing: set[str]) -> Any:
    """A node of a function, with the attributes of the call that it refers to, and without those and the inputs that
    the call does not give."""
    if not any(one.ref_attr_name for one in node.attribute) and missing.isdisjoint(node.input):
        return node
    found = type(node)()
    found.CopyFrom(node)
    found.input[:] = ["" if name in missing else name for name in node.input]
    del found.attribute[:]
    for one in node.attribute:
        if not one.ref_attr_name:
            found.attribute.append(one)
        elif one.ref_attr_name in attributes:
            found.attribute.append(attributes[one.ref_attr_name])
            found.attribute[-1].name = one.name
    return found
