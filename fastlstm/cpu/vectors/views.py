"""Arrays as kernels see them: flat, on the stack, or with a constant in place of a size."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from .emitted import Array, Int, emitted
from .emitter import INT64, Emitter
from .target import CACHE_LINE


@emitted
def lanes_of(e: Emitter, array: Array) -> Int:
    """Numbers of that array's type in a vector register; a constant in the compiled code."""
    return e.index(e.lanes)


@emitted
def line_of(e: Emitter, array: Array) -> Int:
    """Numbers of that array's type in a cache line; a constant in the compiled code."""
    return e.index(CACHE_LINE * 8 // e.bits)


@emitted
def numbers(e: Emitter, array: Array, size: Int) -> Int:
    """That many bytes, as numbers of that array's type: a stride's, without the division that `itemsize` would need."""
    return e.builder.ashr(size, e.index((e.bits // 8).bit_length() - 1))


@emitted
def lowest_bit(e: Emitter, array: Array, offset: Int) -> Int:
    """Of array[offset] as it stands in memory: 0 or 1, of any number, a NaN too."""
    b, whole = e.builder, ir.IntType(e.bits)
    bits = b.load(b.bitcast(array.at(offset), whole.as_pointer()))
    return b.zext(b.trunc(bits, ir.IntType(1)), INT64)


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
