"""What can be wrong with the arguments of the in-place functions in compiled code, and the errors that say so.

A fault is a number: 0 is none. Faults are found by comparing shapes, strides and addresses at every call, before
anything is touched.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .options import compiled
from .simd import data

NAMES = "x", "state", "packed", "y", "tape", "dy", "dstate", "grads", "params"
X, STATE, PACKED, Y, TAPE, DY, DSTATE, GRADS, PARAMS = range(1, 10)
STRIDES, LARGE = 10, 11
_SHARED = 12
"""The first of the faults of two arguments that share memory."""

_MESSAGES = {
    X: "x: expected as many numbers a step as packed has inputs, D",
    STATE: "state: expected h (N, P) and c (N, H), N that of x, P the output size of packed and H its units",
    PACKED: "packed: expected weights that fastlstm.pack laid out for this processor",
    Y: "y: expected shape (N, T, P), N and T those of x, P the output size of packed, steps in one piece, and no two "
    "steps in the same memory",
    TAPE: "tape: expected make_tape(packed, N, T) for the sizes of packed and x, its arrays as make_tape made them",
    DY: "dy: expected shape (N, T, P), that of y",
    DSTATE: "dstate: expected the shapes of the state",
    GRADS: "grads: expected make_grads(packed, N, T) for the sizes of packed and tape",
    PARAMS: "params: expected weights of the sizes of packed",
    STRIDES: "x, y: expected strides that are whole numbers of their float type",
    LARGE: "packed: expected fewer units, since a step of so many needs more than 64 KiB of the stack in compiled "
    "code; from Python, and in forward_train_into, there is no limit",
}


def _message_of_two(one: str, other: str) -> str:
    if one == other:
        return f"{one}: expected arrays that share no memory"
    return f"{one}, {other}: expected arrays that share no memory with each other"


def shared_by(one: int, other: int) -> int:
    """The fault of two arguments that share memory, or of two arrays of one."""
    return _SHARED + (min(one, other) - 1) * len(NAMES) + max(one, other) - 1


_MESSAGES |= {
    shared_by(one, other): _message_of_two(NAMES[one - 1], NAMES[other - 1])
    for one in range(1, len(NAMES) + 1)
    for other in range(one, len(NAMES) + 1)
}
X_AND_Y = shared_by(X, Y)


@intrinsic  # type: ignore[misc]
def _raise(typing: Any, fault: Any) -> Any:
    """A ValueError with that fault's message, which is a constant, as compiled code wants it; nothing for 0.

    Written as raise statements it would be typed, and take a second to compile."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        behind = builder.append_basic_block("no.fault")
        choice = builder.switch(args[0], behind)
        for number, message in _MESSAGES.items():
            block = builder.append_basic_block("fault")
            choice.add_case(ir.Constant(args[0].type, number), block)
            with builder.goto_block(block):
                context.call_conv.return_user_exc(builder, ValueError, (message,))
        builder.position_at_end(behind)
        return context.get_dummy_value()

    return types.void(types.intp), generate


@compiled
def refuse(fault: Any) -> None:
    """Raise what is wrong, if anything is."""
    _raise(fault)


def _arrays(context: Any, builder: Any, kind: Any, value: Any) -> list[tuple[Any, Any]]:
    """Type and value of each array in nested tuples."""
    if isinstance(kind, types.Array):
        return [(kind, context.make_array(kind)(context, builder, value))]
    if not isinstance(kind, types.BaseTuple):
        return []
    parts = enumerate(kind.types)
    return [pair for n, part in parts for pair in _arrays(context, builder, part, builder.extract_value(value, n))]


def _span(builder: Any, array: Any) -> tuple[Any, Any]:
    """The address of an array's first byte, and the one behind its last; 0 and 0 for one of no entries."""
    word = ir.IntType(64)
    zero, one = ir.Constant(word, 0), ir.Constant(word, 1)
    low = high = builder.ptrtoint(array.data, word)
    nothing = builder.icmp_signed("==", array.nitems, zero)
    sizes, strides = (cgutils.unpack_tuple(builder, part) for part in (array.shape, array.strides))
    for size, stride in zip(sizes, strides, strict=True):
        reach = builder.mul(builder.sub(size, one), stride)
        back = builder.icmp_signed("<", reach, zero)
        low = builder.add(low, builder.select(back, reach, zero))
        high = builder.add(high, builder.select(back, zero, reach))
    high = builder.add(high, array.itemsize)
    return builder.select(nothing, zero, low), builder.select(nothing, zero, high)


_PAIRS = 64  # up to that many they are compared one by one, which a loop around them in a user's code can leave out


def _spans(context: Any, builder: Any, kind: Any, value: Any) -> list[tuple[Any, Any, Any]]:
    """Address, address and argument of the arrays of (argument, its arrays, argument, its arrays, ..)."""
    found = []
    for n in range(0, len(kind.types), 2):
        name = context.cast(builder, builder.extract_value(value, n), kind.types[n], types.intp)
        for _, array in _arrays(context, builder, kind.types[n + 1], builder.extract_value(value, n + 1)):
            found.append((*_span(builder, array), name))
    return found


@intrinsic  # type: ignore[misc]
def sharing(typing: Any, written: Any, read: Any) -> Any:
    """The fault of two arrays that share memory, one of which at least is written to; 0 where there are none.

    written, read: (argument, its arrays, argument, its arrays, ..), an argument being its fault, or 0 for one that is
    to be left out. What lies between the first byte of an array and its last counts as its memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        zero = ir.Constant(word, 0)
        changed = _spans(context, builder, written, args[0])
        rows = changed + _spans(context, builder, read, args[1])

        def fault(one: Any, other: Any) -> Any:
            (low, high, name), (low_, high_, name_) = one, other
            met = builder.and_(builder.icmp_unsigned("<", low, high_), builder.icmp_unsigned("<", low_, high))
            for number in (name, name_):
                met = builder.and_(met, builder.icmp_signed("!=", number, zero))
            below = builder.icmp_signed("<", name, name_)
            first, second = builder.select(below, name, name_), builder.select(below, name_, name)
            number = builder.add(builder.mul(first, ir.Constant(word, len(NAMES))), second)
            return builder.select(met, builder.add(number, ir.Constant(word, _SHARED - len(NAMES) - 1)), zero)

        if len(changed) * len(rows) <= _PAIRS:
            result = zero
            for n in range(len(changed)):
                for other in rows[n + 1 :]:
                    found = fault(rows[n], other)
                    result = builder.select(builder.icmp_signed("==", result, zero), found, result)
            return result
        table = cgutils.alloca_once(builder, ir.ArrayType(word, 3 * len(rows)))
        place = lambda row, part: builder.gep(table, [zero, builder.add(builder.mul(row, count), part)])  # noqa: E731
        count, parts = ir.Constant(word, 3), [ir.Constant(word, n) for n in range(3)]
        for n, row in enumerate(rows):
            for part, number in zip(parts, row, strict=True):
                builder.store(number, place(ir.Constant(word, n), part))
        result = cgutils.alloca_once_value(builder, zero)
        with cgutils.for_range(builder, ir.Constant(word, len(changed)), intp=word) as outer:
            one = [builder.load(place(outer.index, part)) for part in parts]
            start = builder.add(outer.index, ir.Constant(word, 1))
            with cgutils.for_range(builder, ir.Constant(word, len(rows)), start, intp=word) as inner:
                found = fault(one, [builder.load(place(inner.index, part)) for part in parts])
                with builder.if_then(builder.icmp_signed("!=", found, zero)):
                    builder.store(found, result)
        return builder.load(result)

    return types.intp(written, read), generate


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


@compiled
def apart(width: Any, N: Any, row: Any, T: Any, step: Any) -> Any:
    """Whether pieces of that many bytes at n row + t step have none in common, for n < N and t < T.

    They do not where those along one axis lie side by side, and so do the bands that they make, along the other. Pieces
    that interlock in another way, as in no slice of an array, count as if they overlapped."""
    row, step = abs(row), abs(step)
    if N == 0 or T == 0 or width <= 0:
        return True
    if N == 1 or T == 1:
        return (N == 1 or row >= width) and (T == 1 or step >= width)
    if row < step:
        N, row, T, step = T, step, N, row
    return step >= width and row >= (T - 1) * step + width


@compiled
def in_turn(x0: Any, x1: Any, y0: Any, y1: Any, N: Any, row: Any, T: Any, step: Any) -> Any:
    """Whether y may be written while x is read, whose pieces go from x0 to x1 and y0 to y1 and on by the same strides:
    where a step of y lies in the memory of that same step of x, or of none."""
    low, high = min(x0, y0), max(x1, y1)
    if apart(high - low, N, row, T, step):
        return True
    row, step = abs(row), abs(step)
    if row < step:
        N, row, T, step = T, step, N, row
    band = (T - 1) * step  # or they take turns along the longer axis
    return (y0 >= x1 + band or x0 >= y1 + band) and (N <= 1 or row >= high - low + band)
