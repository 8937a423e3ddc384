"""Arrays as kernels see them: flat, on the stack, or with a constant in place of a size."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..compiler.flat import Flat, flat_of, made
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


@intrinsic  # type: ignore[misc]
def on_stack(typing: Any, like: Any, count: Any) -> Any:
    """So many numbers on the stack, beginning on a cache line; gone when the function returns."""
    kind = Flat(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.alloca(context.get_data_type(kind.dtype), args[1])
        place.align = CACHE_LINE
        return made(context, builder, kind, place, args[1])

    return kind(like, types.intp), generate


@intrinsic  # type: ignore[misc]
def flat(typing: Any, array: Any) -> Any:
    """The memory from an array's first number on, as a Flat."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return flat_of(context, builder, array, args[0])

    return Flat(array.dtype)(array), generate


@intrinsic  # type: ignore[misc]
def flat_or(typing: Any, array: Any, other: Any) -> Any:
    """flat(array), or flat(other) where array is None."""
    which = 0 if isinstance(array, types.Array) else 1

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return flat_of(context, builder, (array, other)[which], args[which])

    return Flat(other.dtype)(array, other), generate
