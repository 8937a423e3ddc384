"""A place in memory with its strides, as compiled code passes it: three machine words, where an array takes seven.

A `View` is made inside a kernel, from an array that outlives it; it counts no references, and never is part of a
signature that is kept on disk. v + k: k numbers on; v.at(r, b): r rows and b blocks on; v.row, v.block: the strides.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    bound_function,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import intrinsic, make_attribute_wrapper, models, register_model

from ..compiler.flat import fields
from .emitter import data

_N = types.intp


class View(types.Type):  # type: ignore[misc]
    """The Numba type. Bodies of `emitted` name it in their annotations too."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"View({dtype})")


@register_model(View)
class _Model(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("data", types.CPointer(kind.dtype)), ("row", _N), ("block", _N)])


make_attribute_wrapper(View, "row", "row")
make_attribute_wrapper(View, "block", "block")


def _moved(builder: Any, view: Any, offset: Any) -> Any:
    view.data = builder.gep(view.data, [offset])
    return view._getvalue()


@intrinsic  # type: ignore[misc]
def view(typing: Any, array: Any, offset: Any, row: Any, block: Any) -> Any:
    """The View from array[offset] on, with those strides from row to row and from block to block."""
    kind = View(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer, offset, row, block = data(context, builder, array, args[0]), *args[1:]
        made = fields(context, builder, kind)
        made.data, made.row, made.block = builder.gep(pointer, [offset]), row, block
        return made._getvalue()

    return kind(array, _N, _N, _N), generate


@infer_global(operator.add)
class _Add(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and isinstance(args[0], View) and isinstance(args[1], types.Integer):
            return signature(args[0], args[0], _N)
        return None


@lower_builtin(operator.add, View, types.Integer)
def _add(context: Any, builder: Any, found: Any, args: Any) -> Any:
    return _moved(builder, fields(context, builder, found.args[0], args[0]), args[1])


@infer_getattr
class _Attributes(AttributeTemplate):  # type: ignore[misc]
    key = View

    @bound_function("view.at")
    def resolve_at(self, view: Any, args: Any, kws: Any) -> Any:
        return signature(view, _N, _N)


@lower_builtin("view.at", View, _N, _N)
def _at(context: Any, builder: Any, found: Any, args: Any) -> Any:
    place, row, block = fields(context, builder, found.args[0], args[0]), *args[1:]
    offset = builder.add(builder.mul(row, place.row), builder.mul(block, place.block))
    return _moved(builder, place, offset)
