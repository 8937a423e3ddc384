"""Arrays as kernels see them: flat, on the stack, or with a constant in place of a size."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from .emitter import INT64, data
from .target import CACHE_LINE, lanes


@intrinsic  # type: ignore[misc]
def lanes_of(typing: Any, array: Any) -> Any:
    """Numbers of that array's type in a vector register; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(INT64, lanes(array.dtype.bitwidth // 8))

    return types.intp(array), generate


@intrinsic  # type: ignore[misc]
def line_of(typing: Any, array: Any) -> Any:
    """Numbers of that array's type in a cache line; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(INT64, CACHE_LINE * 8 // array.dtype.bitwidth)

    return types.intp(array), generate


@intrinsic  # type: ignore[misc]
def numbers(typing: Any, array: Any, size: Any) -> Any:
    """That many bytes, as numbers of that array's type: a stride's, without the division that `itemsize` would need."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ashr(args[1], ir.Constant(INT64, (array.dtype.bitwidth // 8).bit_length() - 1))

    return types.intp(array, types.intp), generate


def _flat_type(array: Any) -> Any:
    return types.Array(array.dtype, 1, "C")


def _flat_array(context: Any, builder: Any, kind: Any, pointer: Any, count: Any) -> Any:
    """An array of that many numbers, whose memory is none of its business."""
    made = context.make_array(kind)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    pointer = builder.bitcast(pointer, made.data.type)
    context.populate_array(made, data=pointer, shape=[count], strides=[size], itemsize=size, meminfo=None)
    return made._getvalue()


@intrinsic  # type: ignore[misc]
def on_stack(typing: Any, like: Any, count: Any) -> Any:
    """An array of that many numbers on the stack, beginning on a cache line; gone when the function returns."""
    kind = _flat_type(like)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.alloca(context.get_data_type(kind.dtype), args[1])
        place.align = CACHE_LINE
        return _flat_array(context, builder, kind, place, args[1])

    return kind(like, types.intp), generate


@intrinsic  # type: ignore[misc]
def flat(typing: Any, array: Any) -> Any:
    """The memory from an array's first number on, as an array of one type whatever that of the whole; no owner."""
    kind = _flat_type(array)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = context.make_array(array)(context, builder, args[0])
        return _flat_array(context, builder, kind, whole.data, whole.nitems)

    return kind(array), generate


@intrinsic  # type: ignore[misc]
def array_or_flat(typing: Any, given: Any, other: Any) -> Any:
    """`given` where that is an array; where it is None, flat(other), another type that can be told from the first."""
    kind = given if isinstance(given, types.Array) else _flat_type(other)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(given, types.Array):
            return impl_ret_borrowed(context, builder, kind, args[0])
        whole = context.make_array(other)(context, builder, args[1])
        return _flat_array(context, builder, kind, whole.data, whole.nitems)

    return kind(given, other), generate


@intrinsic  # type: ignore[misc]
def lowest_bit(typing: Any, array: Any, offset: Any) -> Any:
    """Of array[offset] as it stands in memory: 0 or 1, of any number, a NaN too."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.gep(data(context, builder, signature.args[0], args[0]), [args[1]])
        whole = ir.IntType(8 * context.get_abi_sizeof(place.type.pointee))
        bits = builder.load(builder.bitcast(place, whole.as_pointer()))
        return builder.zext(builder.trunc(bits, ir.IntType(1)), args[1].type)

    return types.intp(array, types.intp), generate
