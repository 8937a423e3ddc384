"""An array as compiled code passes it on: a `Flat`, which is an address and a size.

Numba passes an array of one axis as seven numbers, and a kernel passes some thirty arrays to most of its functions: to
compile that took a sixth of the time. A `Flat` is made of an array that outlives it, and counts no references. Its
indices are not negative, and its slices lie inside it.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global, signature
from numba.extending import make_attribute_wrapper, models, register_model

_N = types.intp


class Flat(types.Type):  # type: ignore[misc]
    """The Numba type."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"Flat({dtype})")


@register_model(Flat)
class _Model(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("data", types.CPointer(kind.dtype)), ("size", _N)])


make_attribute_wrapper(Flat, "size", "size")


def fields(context: Any, builder: Any, kind: Any, value: Any = None) -> Any:
    """The struct that a value of that type is, with its fields by name."""
    return cgutils.create_struct_proxy(kind)(context, builder, value)


def made(context: Any, builder: Any, kind: Any, data: Any, size: Any) -> Any:
    """A Flat of that type."""
    new = fields(context, builder, kind)
    new.data, new.size = builder.bitcast(data, new.data.type), size
    return new._getvalue()


def flat_of(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """All of an array of that type, from its first number on."""
    whole = context.make_array(kind)(context, builder, array)
    return made(context, builder, Flat(kind.dtype), whole.data, whole.nitems)


def flat_kind(kind: Any) -> Any:
    """What stands for a kernel's argument of that type inside it: a Flat for an array of one axis."""
    return Flat(kind.dtype) if isinstance(kind, types.Array) and kind.ndim == 1 else kind


@infer_global(len)
class _Len(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(_N, *args) if isinstance(args[0], Flat) else None


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        array, index = args
        if isinstance(array, Flat) and isinstance(index, types.Integer):
            return signature(array.dtype, array, _N)
        if isinstance(array, Flat) and index == types.slice2_type:
            return signature(array, *args)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        array, index, _ = args
        if isinstance(array, Flat) and isinstance(index, types.Integer):
            return signature(types.none, array, _N, array.dtype)
        return None


@infer_getattr
class _Attributes(AttributeTemplate):  # type: ignore[misc]
    key = Flat

    def resolve_dtype(self, kind: Any) -> Any:
        return types.DType(kind.dtype)


@lower_builtin(len, Flat)
def _size(context: Any, builder: Any, found: Any, args: Any) -> Any:
    return fields(context, builder, found.args[0], args[0]).size


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(fields(context, builder, kind, array).data, [index])


@lower_builtin(operator.getitem, Flat, types.Integer)
def _get(context: Any, builder: Any, found: Any, args: Any) -> Any:
    return context.unpack_value(builder, found.return_type, _place(context, builder, found.args[0], *args))


@lower_builtin(operator.getitem, Flat, types.SliceType)
def _slice(context: Any, builder: Any, found: Any, args: Any) -> Any:
    ends = context.make_helper(builder, found.args[1], args[1])
    data = _place(context, builder, found.args[0], args[0], ends.start)
    return made(context, builder, found.args[0], data, builder.sub(ends.stop, ends.start))


@lower_builtin(operator.setitem, Flat, types.Integer, types.Any)
def _set(context: Any, builder: Any, found: Any, args: Any) -> Any:
    context.pack_value(builder, found.args[2], args[2], _place(context, builder, found.args[0], *args[:2]))
    return context.get_dummy_value()


@lower_getattr(Flat, "dtype")
def _dtype(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.get_dummy_value()
