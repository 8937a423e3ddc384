"""The backward time loop, and the weight gradients, in blocks of time.

First the workers share the transposition of the weights. Then, in each block, they go back through the block's steps
(gate gradients, then dh = dz @ U.T) and share the products over the block's M rows: dx = dz @ W.T by rows, and
d[W; b; U] = [x, 1, h].T @ dz by panels of columns. Last each brings its panels into the order of the weights. A sum
over rows runs in pieces of 128 in a fixed order: the error stays small, and no bit depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined, kernel
from ..compiler.run import loaded_as
from ..vectors.rows import clear
from ..vectors.target import BLOCK
from ..vectors.view import view
from ..vectors.views import lanes_of
from .arguments import BackwardArguments, backward_pass
from .packing import out_of_panels, transpose_gates, transpose_panels
from .sizes import panels_for, vectors_for
from .step import weights_of_h, weights_of_x
from .step_back import Share, first_state, hidden_back, last_state, memory_back, step_back
from .sums import backward_sums


@compiled
def backward_begins(w: Any, workers: Any, given: Any) -> None:
    """A worker's share of what comes before all steps: the gradients of the last state, and transposed weights."""
    cell, weights, room, sizes = given.weights.cell, given.weights, given.room, given.sizes
    H, P = sizes.H, sizes.P
    L = lanes_of(weights.panels)
    width = BLOCK * L
    share = room.dp.size // workers
    clear(room.dp, w * share, room.dp.size - w * share if w == workers - 1 else share)
    last_state(w, workers, given)
    transpose_gates(w, workers, cell, False, weights_of_x(weights, sizes), sizes, view(room.wt, 0, width, 0))
    transpose_gates(w, workers, cell, True, weights_of_h(weights, sizes), sizes, view(room.ut, 0, width, 0))
    if cell.multiplies_later:  # V transposed, behind U
        behind = panels_for(P, L) * width * vectors_for(H, L) * cell.of_h * L
        transpose_panels(w, workers, weights.second, H, P, view(room.ut, behind, width, 0))


@inlined
def phase_back(s: Any, phase: Any, share: Any, given: Any) -> None:
    """A phase of step s, and what comes to it from the one behind."""
    if given.weights.cell.multiplies_later:  # noqa: SIM102
        if phase == 0:
            memory_back(s, share, given)
    step_back(s, phase, share, given)


@compiled
def backward_share(w: Any, workers: Any, wide: Any, turn: Any, s0: Any, s1: Any, given: Any) -> None:
    """A worker's share of one turn's work on a block of time, steps s0 to s1.

    Where the rows are shared there is one turn: all steps of the worker's rows. Where the units are (wide), a turn
    takes dh of the worker's units from the turn before, then makes one step of them; the last turn takes dh only, and
    in a block of fewer steps than the others some turns have nothing to do. A cell of more phases than one has as many
    turns a step.
    """
    cell, room = given.weights.cell, given.room
    tall = room.ldh // (BLOCK * lanes_of(room.ut))  # panels of U.T or V.T
    share, steps = Share(w, w, workers, 0, tall, s0), s1 - s0
    phase, phases = cell.phase_count - 1, cell.phase_count  # the last that this turn makes, and how many
    if wide:
        share, steps = Share(w, 0, 1, w * tall // workers, (w + 1) * tall // workers, s0), 1
        phase, phases = phase - turn % cell.phase_count, 1
        turn //= cell.phase_count
        if 0 < turn <= s1 - s0 and phase == cell.phase_count - 1:
            hidden_back(s1 - turn, share, given)
    for back in range(steps):
        s = s1 - 1 - turn - back
        if s >= s0 and share.lo < share.hi:
            for each in range(phases):
                phase_back(s, phase - each, share, given)
            if not wide:
                hidden_back(s, share, given)


@kernel
def backward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of some turns of the backward pass. pointer: to BackwardArguments."""
    call = loaded_as(BackwardArguments, pointer)
    given = backward_pass(call)
    for turn in range(first, last):
        back, within = (turn - 1) // (call.inner + 1), (turn - 1) % (call.inner + 1)
        s0 = ((call.steps - 1) // call.time_block - back) * call.time_block
        s1 = min(s0 + call.time_block, call.steps)
        if turn == 0:
            backward_begins(w, workers, given)
        elif within < call.inner:
            backward_share(w, workers, call.wide, within, s0, s1, given)
        else:
            backward_sums(w, workers, given.bases[s1] - given.bases[s0], given)
            if turn == call.turns - 1:  # a worker has the sums of its own panels
                out_of_panels(w, workers, given)
                first_state(w, workers, given)
