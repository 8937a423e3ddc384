"""What can be wrong with the arguments of the in-place functions, and the errors that say so.

A fault is a number: 0 is none."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

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


def shared_by(one: int, other: int) -> int:
    """The fault of two arguments that share memory, or of two arrays of one."""
    return SHARED + (min(one, other) - 1) * len(NAMES) + max(one, other) - 1


_MESSAGES |= {
    shared_by(one, other): _message_of_two(NAMES[one - 1], NAMES[other - 1])
    for one in range(1, len(NAMES) + 1)
    for other in range(one, len(NAMES) + 1)
}
X_AND_Y, X_AND_STATE = shared_by(X, Y), shared_by(X, STATE)


def refuse(context: Any, builder: Any, fault: Any) -> None:
    """Code that raises the ValueError of a fault, whose message is a constant, as compiled code wants it; nothing
    for 0."""
    behind = builder.append_basic_block("no.fault")
    choice = builder.switch(fault, behind)
    for number, message in _MESSAGES.items():
        block = builder.append_basic_block("fault")
        choice.add_case(ir.Constant(fault.type, number), block)
        with builder.goto_block(block):
            context.call_conv.return_user_exc(builder, ValueError, (message,))
        if hasattr(builder, "_in_try_block"):  # no end: where it is caught, Numba counts references down
            for instruction in block.instructions:
                instruction.metadata.pop("numba_exception_output", None)
    builder.position_at_end(behind)
