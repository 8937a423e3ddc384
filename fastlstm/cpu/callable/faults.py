"""What can be wrong with the arguments of the in-place functions, and the errors that say so.

A fault is a number: 0 is none."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ...strides import choose, larger, smaller
from ..vectors.whole import Truth, Whole
from .writer import Writer

NAMES = "x", "state", "packed", "y", "tape", "dy", "dstate", "grads", "params"
X, STATE, PACKED, Y, TAPE, DY, DSTATE, GRADS, PARAMS = range(1, 10)
STRIDES, LARGE = 10, 11
SHARED = 12
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


def shared_by(one: Any, other: Any) -> Any:
    """The fault of two arguments that share memory, or of two arrays of one."""
    return SHARED + (smaller(one, other) - 1) * len(NAMES) + larger(one, other) - 1


_MESSAGES |= {
    shared_by(one, other): _message_of_two(NAMES[one - 1], NAMES[other - 1])
    for one in range(1, len(NAMES) + 1)
    for other in range(one, len(NAMES) + 1)
}
X_AND_Y, X_AND_STATE = shared_by(X, Y), shared_by(X, STATE)


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
