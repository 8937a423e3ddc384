"""Whether arrays share memory: formulas for Python's arrays and for those of the code that is being written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from ..vectors.emitter import INT64
from ..vectors.whole import Truth, Whole, choose, larger, smaller
from .faults import Faults, shared_by
from .writer import Place, Record, Writer


def apart(width: Any, N: Any, row: Any, T: Any, step: Any) -> Any:
    """Whether pieces of that many bytes at n row + t step have none in common, for n < N and t < T.

    They do not where those along one axis lie side by side, and so do the bands that they make, along the other. Pieces
    that interlock in another way, as in no slice of an array, count as if they overlapped."""
    row, step = abs(row), abs(step)
    rows, steps = (N <= 1) | (row >= width), (T <= 1) | (step >= width)
    bands = (N <= 1) | (T <= 1) | (row >= (T - 1) * step + width) | (step >= (N - 1) * row + width)
    return (N == 0) | (T == 0) | (width <= 0) | (rows & steps & bands)


def in_turn(x0: Any, x1: Any, y0: Any, y1: Any, N: Any, row: Any, T: Any, step: Any) -> Any:
    """Whether y may be written while x is read, whose pieces go from x0 to x1 and y0 to y1 and on by the same strides:
    where a step of y lies in the memory of that same step of x, or of none."""
    width = larger(x1, y1) - smaller(x0, y0)
    row, step = abs(row), abs(step)
    long, many = choose(row < step, step, row), choose(row < step, T, N)
    band = choose(row < step, (N - 1) * row, (T - 1) * step)  # or they take turns along the longer axis
    turns = ((y0 >= x1 + band) | (x0 >= y1 + band)) & ((many <= 1) | (long >= width + band))
    return apart(width, N, row, T, step) | turns


def in_step(x: Any, y: Any, ahead: Any) -> Any:
    """`in_turn` of arrays (N, T, ..) or (T, ..), the second of which begins that many bytes behind the first."""
    (N, row), (_, y_row) = rows_of(x), rows_of(y)
    T, step, y_step = x.shape[-2], x.strides[-2], y.strides[-2]
    reach = (x.shape[-1] - 1) * x.strides[-1]
    alike = ((N <= 1) | (row == y_row)) & ((T <= 1) | (step == y_step))
    return alike & in_turn(smaller(0, reach), larger(0, reach) + x.itemsize, ahead, ahead + y.shape[-1] * y.itemsize, N,
                           row, T, step)  # fmt: skip


def rows_of(x: Any) -> tuple[Any, Any]:
    """N, and bytes from one to the next."""
    return (x.shape[0], x.strides[0]) if x.ndim == 3 else (1, 0)


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
