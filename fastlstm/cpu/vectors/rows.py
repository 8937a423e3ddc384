"""Rows of numbers: copied, added up, scaled, cleared, transposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiler.options import compiled
from .activations import sigmoid, tanh
from .emitter import INT32, INT64, Vector, data, emitter


def _row(combine: str | None) -> Any:
    """row(out, oo, source, so, count): out[oo + j] = source[so + j], or with both what that instruction makes of them,
    for j < count; two different arrays. Rows are short: a call of memcpy would cost more than the loop."""

    @intrinsic  # type: ignore[misc]
    def row(typing: Any, out: Any, oo: Any, source: Any, so: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, out)
            target = e.at(data(context, builder, out, args[0]), args[1])
            origin = e.at(data(context, builder, source, args[2]), args[3])
            whole = builder.and_(args[4], e.index(-e.lanes))
            with cgutils.for_range_slice(builder, e.index(0), whole, e.index(e.lanes), intp=INT64) as (j, _):
                vector = e.load(origin, j)
                if combine:
                    vector = e.load(target, j).each(getattr(builder, combine), vector)
                e.store(vector, target, j)
            with cgutils.for_range_slice(builder, whole, args[4], e.index(1), intp=INT64) as (j, _):
                number, place = builder.load(e.at(origin, j)), e.at(target, j)
                if combine:
                    number = getattr(builder, combine)(builder.load(place), number)
                builder.store(number, place)
            return context.get_dummy_value()

        return types.void(out, types.intp, source, types.intp, types.intp), generate

    return row


copy, accumulate, scale = _row(None), _row("fadd"), _row("fmul")


@intrinsic  # type: ignore[misc]
def clear_behind(typing: Any, array: Any, offset: Any, vectors: Any, count: Any) -> Any:
    """Zeros behind the first `count` numbers of each of some vectors side by side, from array[offset] on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, array)
        place = e.at(data(context, builder, array, args[0]), args[1])
        with cgutils.for_range(builder, args[2], intp=INT64) as loop:
            one = e.times(e.lanes, loop.index)
            e.store(e.first(args[3], e.load(place, one)), place, one)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def transpose(typing: Any, out: Any, oo: Any, ldo: Any, source: Any, so: Any, lds: Any) -> Any:
    """out[oo + r ldo + k] = source[so + k lds + r] for r, k < lanes.

    Each stage exchanges one bit of the row's number with the same bit of the place in the row."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = emitter(context, builder, out)
        out_, source_ = (e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 3))
        rows = [e.load(source_, e.times(k, args[5])).values[0] for k in range(e.lanes)]
        bit = 1
        while bit < e.lanes:
            low = [k if not k & bit else e.lanes + k - bit for k in range(e.lanes)]
            high = [k + bit if not k & bit else e.lanes + k for k in range(e.lanes)]
            masks = [ir.Constant(ir.VectorType(INT32, e.lanes), choice) for choice in (low, high)]
            for r in range(e.lanes):
                if not r & bit:
                    pair = rows[r], rows[r | bit]
                    rows[r], rows[r | bit] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            bit *= 2
        for r, value in enumerate(rows):
            e.store(Vector(e, value), out_, e.times(r, args[2]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(out, n, n, source, n, n), generate


@compiled
def clear(array: Any, first: Any, count: Any) -> None:
    """Zeros from one place on."""
    for j in range(first, first + count):
        array[j] = 0


def _row_of(function: Callable[[Vector], Vector]) -> Any:
    """row(out, oo, x, xo, count): out = function(x), count numbers, a multiple of the lanes."""

    @intrinsic  # type: ignore[misc]
    def row(typing: Any, out: Any, oo: Any, x: Any, xo: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = emitter(context, builder, out)
            out_, x_ = (e.at(data(context, builder, signature.args[n], args[n]), args[n + 1]) for n in (0, 2))
            zero, step = e.index(0), e.index(e.lanes)
            with cgutils.for_range_slice(builder, zero, args[4], step, intp=zero.type) as (j, _):
                e.store(function(e.load(x_, j)), out_, j)
            return context.get_dummy_value()

        return types.void(out, types.intp, x, types.intp, types.intp), generate

    return row


sigmoid_row, tanh_row = _row_of(sigmoid), _row_of(tanh)
