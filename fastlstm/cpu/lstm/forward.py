"""The forward pass: rows, units or one sequence shared by the workers."""

from __future__ import annotations

from typing import Any

from ..compiler.options import kernel
from ..compiler.run import loaded
from ..machine.threads import SHARE_ROWS, SHARE_SEQUENCE
from .cell_type import width_of
from .forward_rows import forward_rows
from .forward_units import shared_begin, shared_end, shared_step
from .two_threads import follow, lead, take_ticket


@kernel
def forward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of some turns of the forward pass.

    arguments: share, turns, chunk, sync and patience; then what the other functions here take, in an order of its own:
    what changes from call to call, and what may stay (backend.ForwardPlan). share: SHARE_ROWS, rows, in one turn;
    SHARE_UNITS, units, in a turn a phase and one before and after: where the weights outgrow a core's cache, each core
    then reads only its part of them; SHARE_SEQUENCE, the halves of one sequence's units, in one turn (duo.py; sync and
    patience are its own).
    """
    arguments = loaded(pointer)
    share, turns, chunk, sync, patience = arguments[:5]
    x, h, c, y, ldy, column, cells, keep_cells, gates, cs, tape, reset, mask, reverse, work = arguments[5:20]
    cell, D, panels, second, H, P, order, lens, T = arguments[20:]
    P = width_of(cell, H, P)
    rows = (cell, x, D, panels, second, H, P, h, c, y, ldy, column, cells, keep_cells, gates, cs, tape, order, lens,
            reset, mask, reverse, T, work)  # fmt: skip
    for turn in range(first, last):
        if share == SHARE_ROWS:
            forward_rows(w, workers, chunk, *rows)
        elif share == SHARE_SEQUENCE:
            ticket = take_ticket(sync)
            if ticket == 0:
                shared_begin(*rows)
                lead(sync, patience, *rows)
                shared_end(*rows)
            elif ticket == 1:
                follow(sync, patience, *rows)
        elif 0 < turn < turns - 1:
            shared_step(w, workers, turn - 1, *rows)
        elif w == 0 and turn == 0:
            shared_begin(*rows)
        elif w == 0:
            shared_end(*rows)
