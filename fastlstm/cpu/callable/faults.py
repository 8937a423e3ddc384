"""What can be wrong with the arguments of the in-place functions, and the errors that say so.

A fault is a number; 0 is none. fits.py finds out which it is, but for memory that arrays share: that is found here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from ...strides import choose, larger, smaller
from ..vectors.emitter import INT64
from ..vectors.whole import Truth, Whole
from .writer import Place, Record, Writer

NAMES = "x", "state", "packed", "y", "tape", "dy", "dstate", "grads", "params"


class Fault:
    """The faults of one argument, in the order of `NAMES`, and two others; then those of two that share memory."""

    X, STATE, PACKED, Y, TAPE, DY, DSTATE, GRADS, PARAMS = range(1, 10)
    STRIDES, LARGE = 10, 11
    SHARED = 12


_MESSAGES = {
    Fault.X: "x: expected as many numbers a step as packed has inputs, D",
    Fault.STATE: "state: expected h (N, P) and c (N, H), N that of x, P the output size of packed and H its units",
    Fault.PACKED: "packed: expected weights that fastlstm.pack laid out for this processor",
    Fault.Y: "y: expected shape (N, T, P), N and T those of x, P the output size of packed, steps in one piece, and no "
    "two steps in the same memory",
    Fault.TAPE: "tape: expected make_tape(packed, N, T) for the sizes of packed and x, its arrays as make_tape made "
    "them",
    Fault.DY: "dy: expected shape (N, T, P), that of y",
    Fault.DSTATE: "dstate: expected the shapes of the state",
    Fault.GRADS: "grads: expected make_grads(packed, N, T) for the sizes of packed and tape",
    Fault.PARAMS: "params: expected weights of the sizes of packed",
    Fault.STRIDES: "x, y: expected strides that are whole numbers of their float type",
    Fault.LARGE: "packed: expected fewer units, since a step of so many needs more than 64 KiB of the stack in "
    "compiled code; from Python, and in forward_train_into, there is no limit",
}


def shared_by(one: Any, other: Any) -> Any:
    """The fault of two arguments that share memory, or of two arrays of one."""
    return Fault.SHARED + (smaller(one, other) - 1) * len(NAMES) + larger(one, other) - 1


for _n, _one in enumerate(NAMES, 1):
    _MESSAGES[shared_by(_n, _n)] = f"{_one}: expected arrays that share no memory"
    for _m, _other in enumerate(NAMES[_n:], _n + 1):
        _MESSAGES[shared_by(_n, _m)] = f"{_one}, {_other}: expected arrays that share no memory with each other"


class Faults:
    """The faults of a call, while the code is written that looks for them: of several, the first is told."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.wrong = writer, Truth(writer.builder, False)
        self.possible: set[int] = set()
        self._found: list[tuple[Truth, Any]] = []

    def unless(self, right: Any, fault: int) -> None:
        """One where that is not so."""
        if right is not True:
            self._add(~right, fault, {fault})

    def one_of(self, fault: Whole, possible: set[int]) -> None:
        """One of those that are possible, or 0."""
        self._add(fault != 0, fault, possible)

    def _add(self, wrong: Truth, fault: Any, possible: set[int]) -> None:
        self.wrong = self.wrong | wrong
        self._found.append((wrong, fault))
        self.possible |= possible

    def first(self) -> Whole:
        """Its number, or 0."""
        builder, fault = self.writer.builder, self.writer.whole(0)
        before, none = builder.block, fault.value
        with builder.if_then(self.wrong.value, likely=False):
            for wrong, number in reversed(self._found):
                fault = choose(wrong, number, fault)
            behind = builder.block
        found = builder.phi(none.type)
        found.add_incoming(none, before)
        found.add_incoming(fault.value, behind)
        return self.writer.whole(found)


def refuse(writer: Writer, fault: Whole, possible: set[int]) -> None:
    """Code that raises the ValueError of a fault out of those that are possible, whose message is a constant, as
    compiled code wants it; nothing for 0."""
    context, builder = writer.context, writer.builder
    behind = builder.append_basic_block("no.fault")
    choice = builder.switch(fault.value, behind)
    for number in sorted(possible):
        block = builder.append_basic_block("fault")
        choice.add_case(ir.Constant(fault.value.type, number), block)
        with builder.goto_block(block):
            context.call_conv.return_user_exc(builder, ValueError, (_MESSAGES[number],))
        if hasattr(builder, "_in_try_block"):  # no end: where it is caught, Numba counts references down
            for instruction in block.instructions:
                instruction.metadata.pop("numba_exception_output", None)
    builder.position_at_end(behind)


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
