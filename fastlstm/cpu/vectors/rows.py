"""Rows of numbers: copied, added up, scaled, cleared, transposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.options import compiled
from .activations import sigmoid, tanh
from .emitted import Array, Int, Place, emitted
from .emitter import INT32, INT64, Emitter, Vector
from .view import View


def _row(combine: str | None) -> Any:
    """row(out, oo, source, so, count): out[oo + j] = source[so + j], or with both what that instruction makes of them,
    for j < count; two different arrays. Rows are short: a call of memcpy would cost more than the loop."""

    @emitted
    def row(e: Emitter, out: Array, oo: Int, source: Array, so: Int, count: Int) -> None:
        b, target, origin = e.builder, out.at(oo), source.at(so)
        whole = b.and_(count, e.index(-e.lanes))
        with cgutils.for_range_slice(b, e.index(0), whole, e.index(e.lanes), intp=INT64) as (j, _):
            vector = e.load(origin, j)
            if combine:
                vector = e.load(target, j).each(getattr(b, combine), vector)
            e.store(vector, target, j)
        with cgutils.for_range_slice(b, whole, count, e.index(1), intp=INT64) as (j, _):
            number, place = b.load(e.at(origin, j)), e.at(target, j)
            if combine:
                number = getattr(b, combine)(b.load(place), number)
            b.store(number, place)

    return row


copy, accumulate, scale = _row(None), _row("fadd"), _row("fmul")


@emitted
def clear_behind(e: Emitter, array: Array, offset: Int, vectors: Int, count: Int) -> None:
    """Zeros behind the first `count` numbers of each of some vectors side by side, from array[offset] on."""
    place = array.at(offset)
    with cgutils.for_range(e.builder, vectors, intp=INT64) as loop:
        one = e.times(e.lanes, loop.index)
        e.store(e.first(count, e.load(place, one)), place, one)


@emitted
def clear_vectors(e: Emitter, place: View, rows: Int, count: Int) -> None:
    """Zeros for the first `count` numbers, a multiple of the lanes, of each of some rows."""
    with cgutils.for_range(e.builder, rows, intp=INT64) as loop:
        row = place.at(e.builder.mul(loop.index, place.row))
        with cgutils.for_range_slice(e.builder, e.index(0), count, e.index(e.lanes), intp=INT64) as (j, _):
            e.store(e.splat(0.0), row, j)


@emitted
def transpose(e: Emitter, out: View, source: View) -> None:
    """out[r, k] = source[k, r] for r, k < lanes."""
    _transposed(e, out, [e.load(row).values[0] for row in source.rows(e.lanes)])


@emitted
def transpose_some(e: Emitter, out: View, source: View, count: Int) -> None:
    """The same of the first `count` rows, at least one; zeros in place of the others, which are not read."""
    b, rows, zeros = e.builder, [], e.splat(0.0).values[0]
    for k in range(e.lanes):
        there = b.icmp_signed("<", e.index(k), count)
        row = e.load(source.at(b.mul(b.select(there, e.index(k), e.index(0)), source.row)))
        rows.append(b.select(there, row.values[0], zeros))
    _transposed(e, out, rows)


def _transposed(e: Emitter, out: Place, rows: list[Any]) -> None:
    """Each stage exchanges one bit of the row's number with the same bit of the place in the row."""
    bit = 1
    while bit < e.lanes:
        low = [k if not k & bit else e.lanes + k - bit for k in range(e.lanes)]
        high = [k + bit if not k & bit else e.lanes + k for k in range(e.lanes)]
        masks = [ir.Constant(ir.VectorType(INT32, e.lanes), choice) for choice in (low, high)]
        for r in range(e.lanes):
            if not r & bit:
                pair = rows[r], rows[r | bit]
                rows[r], rows[r | bit] = (e.builder.shuffle_vector(*pair, mask) for mask in masks)
        bit *= 2
    for value, place in zip(rows, out.rows(e.lanes), strict=True):
        e.store(Vector(e, value), place)


@emitted
def _zeros(e: Emitter, array: Array, first: Int, count: Int) -> None:
    b, target, zero = e.builder, array.at(first), e.splat(0.0)
    whole = b.and_(count, e.index(-e.lanes))
    with cgutils.for_range_slice(b, e.index(0), whole, e.index(e.lanes), intp=INT64) as (j, _):
        e.store(zero, target, j)
    with cgutils.for_range_slice(b, whole, count, e.index(1), intp=INT64) as (j, _):
        b.store(ir.Constant(e.scalar, 0.0), e.at(target, j))


@compiled
def clear(array: Any, first: Any, count: Any) -> None:
    """Zeros from one place on. A loop of Numba's would write one number at a time: its index might be negative."""
    _zeros(array, first, count)


def _row_of(function: Callable[[Vector], Vector]) -> Any:
    """row(out, oo, x, xo, count): out = function(x), count numbers, a multiple of the lanes."""

    @emitted
    def row(e: Emitter, out: Array, oo: Int, x: Array, xo: Int, count: Int) -> None:
        target, origin, zero = out.at(oo), x.at(xo), e.index(0)
        with cgutils.for_range_slice(e.builder, zero, count, e.index(e.lanes), intp=zero.type) as (j, _):
            e.store(function(e.load(origin, j)), target, j)

    return row


sigmoid_row, tanh_row = _row_of(sigmoid), _row_of(tanh)
