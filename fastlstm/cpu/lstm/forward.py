"""The forward pass: rows, units or one sequence shared by the workers."""

from __future__ import annotations

from typing import Any

from ..compiler.options import kernel
from ..compiler.run import loaded_as
from ..machine.threads import SHARE_ROWS, SHARE_SEQUENCE
from .arguments import ForwardArguments, forward_pass
from .forward_rows import forward_rows
from .forward_units import shared_begin, shared_end, shared_step
from .two_threads import follow, lead, take_ticket


@kernel
def forward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of some turns of the forward pass.

    pointer: to ForwardArguments. share: SHARE_ROWS, rows, in one turn; SHARE_UNITS, units, in a turn a phase and one
    before and after: where the weights outgrow a core's cache, each core then reads only its part of them;
    SHARE_SEQUENCE, the halves of one sequence's units, in one turn (two_threads.py; sync and patience are its own).
    """
    call = loaded_as(ForwardArguments, pointer)
    given = forward_pass(call)
    for turn in range(first, last):
        if call.share == SHARE_ROWS:
            forward_rows(w, workers, call.chunk, given)
        elif call.share == SHARE_SEQUENCE:
            ticket = take_ticket(call.sync)
            if ticket == 0:
                shared_begin(given)
                lead(call.sync, call.patience, given)
                shared_end(given)
            elif ticket == 1:
                follow(call.sync, call.patience, given)
        elif 0 < turn < call.turns - 1:
            shared_step(w, workers, turn - 1, given)
        elif w == 0 and turn == 0:
            shared_begin(given)
        elif w == 0:
            shared_end(given)
