"""Whether arrays share memory, in compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ...strides import apart, in_turn
from ..compiler.options import compiled
from ..vectors.emitter import data
from .faults import NAMES, SHARED

_WORD = ir.IntType(64)
_ZERO, _ONE = ir.Constant(_WORD, 0), ir.Constant(_WORD, 1)


class _Row(NamedTuple):
    """An array's memory: where it begins, its bytes, its argument, and whether it is to be left out."""

    low: Any
    size: Any
    name: Any
    nothing: Any


def _arrays(context: Any, builder: Any, kind: Any, value: Any) -> list[tuple[Any, Any]]:
    """Type and value of each array in nested tuples, but for a layout, which is empty."""
    if isinstance(kind, types.Array):
        return [(kind, context.make_array(kind)(context, builder, value))]
    if not isinstance(kind, types.BaseTuple):
        return []
    fields = getattr(kind, "fields", [""] * len(kind.types))
    parts = [(n, part) for n, part in enumerate(kind.types) if fields[n] != "layout"]
    return [pair for n, part in parts for pair in _arrays(context, builder, part, builder.extract_value(value, n))]


def _span(builder: Any, kind: Any, array: Any) -> tuple[Any, Any]:
    """The address of an array's first byte, and the bytes up to its last; of no meaning where it has no entries."""
    low = builder.ptrtoint(array.data, _WORD)
    if kind.layout == "C":
        return low, builder.mul(array.nitems, array.itemsize)
    first, size = _ZERO, array.itemsize
    lengths, strides = (cgutils.unpack_tuple(builder, part) for part in (array.shape, array.strides))
    for length, stride in zip(lengths, strides, strict=True):
        reach = builder.mul(builder.sub(length, _ONE), stride)
        back = builder.icmp_signed("<", reach, _ZERO)
        first = builder.add(first, builder.select(back, reach, _ZERO))
        size = builder.add(size, builder.select(back, builder.sub(_ZERO, reach), reach))
    return builder.add(low, first), size


def _memory(context: Any, builder: Any, kind: Any, value: Any, name: Any) -> list[_Row]:
    """An argument's arrays."""
    found = []
    for one, array in _arrays(context, builder, kind, value):
        found.append(_Row(*_span(builder, one, array), name, builder.icmp_signed("==", array.nitems, _ZERO)))
    return found


def _rows(context: Any, builder: Any, kind: Any, value: Any) -> list[_Row]:
    """The arrays of (argument, its arrays, argument, its arrays, ..)."""
    found = []
    for n in range(0, len(kind.types), 2):
        name = context.cast(builder, builder.extract_value(value, n), kind.types[n], types.intp)
        out = builder.icmp_signed("==", name, _ZERO)
        for row in _memory(context, builder, kind.types[n + 1], builder.extract_value(value, n + 1), name):
            found.append(row._replace(nothing=builder.or_(row.nothing, out)))
    return found


def _meet(builder: Any, one: _Row, other: _Row) -> Any:
    """Whether they have a byte in common. Only addresses differ from step to step of a user's loop: one comparison."""
    ahead = builder.add(other.low, builder.sub(builder.sub(other.size, _ONE), one.low))
    both = builder.sub(builder.add(one.size, other.size), _ONE)
    both = builder.select(builder.or_(one.nothing, other.nothing), _ZERO, both)
    return builder.icmp_unsigned("<", ahead, both)


def _search(builder: Any, rows: list[_Row], changed: int) -> Any:
    """The fault of two that meet, the first of which is among the first `changed`; or 0."""
    width = len(_Row._fields)
    table = cgutils.alloca_once(builder, ir.ArrayType(_WORD, width * len(rows)))

    def place(row: Any, part: int) -> Any:
        at = builder.add(builder.mul(row, ir.Constant(_WORD, width)), ir.Constant(_WORD, part))
        return builder.gep(table, [_ZERO, at])

    def load(row: Any) -> _Row:
        low, size, name, nothing = (builder.load(place(row, part)) for part in range(width))
        return _Row(low, size, name, builder.trunc(nothing, ir.IntType(1)))

    for n, row in enumerate(rows):
        for part, number in enumerate(row):
            builder.store(
                builder.zext(number, _WORD) if part == width - 1 else number, place(ir.Constant(_WORD, n), part)
            )
    result = cgutils.alloca_once_value(builder, _ZERO)
    with cgutils.for_range(builder, ir.Constant(_WORD, changed), intp=_WORD) as outer:
        one = load(outer.index)
        start = builder.add(outer.index, _ONE)
        with cgutils.for_range(builder, ir.Constant(_WORD, len(rows)), start, intp=_WORD) as inner:
            other = load(inner.index)
            with builder.if_then(_meet(builder, one, other), likely=False):
                below = builder.icmp_signed("<", one.name, other.name)
                first = builder.select(below, one.name, other.name)
                second = builder.select(below, other.name, one.name)
                number = builder.add(builder.mul(first, ir.Constant(_WORD, len(NAMES))), second)
                builder.store(builder.add(number, ir.Constant(_WORD, SHARED - len(NAMES) - 1)), result)
    return builder.load(result)


_PAIRS = 64
"""Up to that many pairs are compared without a branch first: a loop around them leaves out what stays the same."""


@intrinsic  # type: ignore[misc]
def sharing(typing: Any, written: Any, read: Any) -> Any:
    """The fault of two arrays that share memory, one of which at least is written to; 0 where there are none.

    written, read: (argument, its arrays, argument, its arrays, ..), an argument being its fault, or 0 for one that is
    to be left out. What lies between the first byte of an array and its last counts
    as its memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        changed = _rows(context, builder, written, args[0])
        rows = changed + _rows(context, builder, read, args[1])
        if len(changed) * len(rows) > _PAIRS:
            return _search(builder, rows, len(changed))
        met = ir.Constant(ir.IntType(1), 0)
        for n, other in enumerate(rows):
            for one in changed[:n]:
                met = builder.or_(met, _meet(builder, one, other))
        result = cgutils.alloca_once_value(builder, _ZERO)
        builder.store(_ZERO, result)
        with builder.if_then(met, likely=False):
            builder.store(_search(builder, rows, len(changed)), result)
        return builder.load(result)

    return types.intp(written, read), generate


@intrinsic  # type: ignore[misc]
def meet(typing: Any, one: Any, others: Any) -> Any:
    """Whether an array shares memory with one of some in nested tuples."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = ir.Constant(ir.IntType(1), 0)
        (row,) = _memory(context, builder, one, args[0], _ZERO)
        for other in _memory(context, builder, others, args[1], _ZERO):
            found = builder.or_(found, _meet(builder, other, row))
        return found

    return types.boolean(one, others), generate


def _integers(context: Any, builder: Any, kind: Any, value: Any) -> list[Any]:
    """Those of nested tuples."""
    if not isinstance(kind, types.BaseTuple):
        return [context.cast(builder, value, kind, types.intp)]
    parts = enumerate(kind.types)
    return [one for n, part in parts for one in _integers(context, builder, part, builder.extract_value(value, n))]


@intrinsic  # type: ignore[misc]
def same(typing: Any, ones: Any, others: Any) -> Any:
    """Whether two nested tuples hold the same integers, without a branch: far sooner compiled than ==, and, ==, ..

    False where they hold not as many."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right = (_integers(context, builder, *pair) for pair in zip((ones, others), args, strict=True))
        differ = ir.Constant(_WORD, 0 if len(left) == len(right) else 1)
        for one, other in zip(left, right, strict=False):
            differ = builder.or_(differ, builder.xor(one, other))
        return builder.icmp_signed("==", differ, _ZERO)

    return types.boolean(ones, others), generate


@intrinsic  # type: ignore[misc]
def address(typing: Any, array: Any) -> Any:
    """Of the first number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(data(context, builder, array, args[0]), ir.IntType(64))

    return types.intp(array), generate


@intrinsic  # type: ignore[misc]
def uneven(typing: Any, array: Any) -> Any:
    """Whether a stride is no whole number of the array's type, as in fields of packed records: kernels count so."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = context.make_array(array)(context, builder, args[0])
        every = ir.Constant(ir.IntType(64), 0)
        for stride in cgutils.unpack_tuple(builder, whole.strides):
            every = builder.or_(every, stride)
        rest = builder.and_(every, ir.Constant(every.type, array.dtype.bitwidth // 8 - 1))
        return builder.icmp_signed("!=", rest, ir.Constant(every.type, 0))

    return types.boolean(array), generate


for _one in apart, in_turn:
    compiled(_one)
