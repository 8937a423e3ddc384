"""Whether arrays share memory: formulas for Python's arrays and for those of the code that is being written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from ...strides import choose, smaller
from ..vectors.emitter import INT64
from ..vectors.whole import Truth, Whole
from .faults import Faults, shared_by
from .writer import Place, Record, Writer


class _Row(NamedTuple):
    """An array's memory: where it begins, its bytes, its argument, and whether it is to be left out."""

    low: Whole
    size: Whole
    name: Any
    nothing: Truth


def _arrays(value: Any) -> Iterable[Place]:
    """Each array in nested tuples and lists, but for a layout, which is empty."""
    if isinstance(value, Place):
        yield value
    elif isinstance(value, (Record, list)):
        names = getattr(value, "fields", ()) or [""] * len(value)
        for name, one in zip(names, value, strict=True):
            if name != "layout":
                yield from _arrays(one)


def _row(array: Place, name: int) -> _Row:
    """From its first byte to its last."""
    low, size = array.address, array.size * array.itemsize
    if array.kind.layout != "C":
        size = Whole(low.builder, array.itemsize)
        for length, stride in zip(array.shape, array.strides, strict=True):
            reach = (length - 1) * stride
            low, size = low + smaller(reach, 0), size + abs(reach)
    return _Row(low, size, name, array.size == 0)


def _meet(one: _Row, other: _Row) -> Truth:
    """Whether they have a byte in common. Only addresses differ from step to step of a user's loop: one comparison."""
    ahead = other.low + (other.size - 1 - one.low)
    return ahead.below(choose(one.nothing | other.nothing, 0, one.size + other.size - 1))


def meet(one: Place, others: Any) -> Truth:
    """Whether an array shares memory with one of some in nested tuples."""
    row, found = _row(one, 0), Truth(one.size.builder, False)
    for other in _arrays(others):
        found = found | _meet(_row(other, 0), row)
    return found


_PAIRS = 64
"""Up to that many pairs are compared without a branch first: a loop around them leaves out what stays the same."""


class Argument(NamedTuple):
    """Its number in `faults`, its arrays in nested tuples, and whether it is to be left out."""

    name: int
    value: Any
    nothing: Any = False


def share_nothing(faults: Faults, written: Sequence[Argument], read: Sequence[Argument]) -> None:
    """Refuse arrays that share memory, of which one at least is written to.

    What lies between the first byte of an array and its last counts as its memory."""
    writer, builder = faults.writer, faults.writer.builder
    changed, kept = (
        [row._replace(nothing=row.nothing | one.nothing)
         for one in arguments for row in (_row(array, one.name) for array in _arrays(one.value))]
        for arguments in (written, read)
    )  # fmt: skip
    rows = changed + kept
    pairs = [(one, other) for n, other in enumerate(rows) for one in changed[:n]]
    possible = {shared_by(one.name, other.name) for one, other in pairs}
    if len(pairs) > _PAIRS:
        faults.one_of(_search(writer, rows, len(changed)), possible)
        return
    met = Truth(builder, False)
    for one, other in pairs:
        met = met | _meet(one, other)
    result = cgutils.alloca_once(builder, INT64)
    builder.store(ir.Constant(INT64, 0), result)
    with builder.if_then(met.value, likely=False):
        builder.store(_search(writer, rows, len(changed)).value, result)
    faults.one_of(writer.whole(builder.load(result)), possible)


def _search(writer: Writer, rows: list[_Row], changed: int) -> Whole:
    """The fault of two that meet, the first of which is among the first `changed`; or 0."""
    builder, width = writer.builder, len(_Row._fields)
    table = cgutils.alloca_once(builder, ir.ArrayType(INT64, width * len(rows)))

    def place(row: Any, part: int) -> Any:
        return builder.gep(table, [ir.Constant(INT64, 0), (row * width + part).value])

    for n, row in enumerate(rows):
        for part, number in enumerate((row.low, row.size, writer.whole(row.name), choose(row.nothing, 1, 0))):
            builder.store(number.value, place(writer.whole(n), part))

    def load(n: Any) -> _Row:
        low, size, name, nothing = (writer.whole(builder.load(place(n, part))) for part in range(width))
        return _Row(low, size, name, nothing != 0)

    result = cgutils.alloca_once(builder, INT64)
    builder.store(ir.Constant(INT64, 0), result)
    with writer.each(writer.whole(changed)) as n:
        one = load(n)
        with writer.each(writer.whole(len(rows)), n + 1) as m:
            other = load(m)
            with builder.if_then(_meet(one, other).value, likely=False):
                builder.store(shared_by(one.name, other.name).value, result)
    return writer.whole(builder.load(result))
