"""One sequence on two threads: each owns half of the hidden units, and no step has a barrier.

No threading layer promises that two iterations of a prange run at the same time, so neither may count on the
other. The first to come leads; it computes all units until a second thread has really arrived. From then on each
computes its half of a step, publishes the number of steps it has finished, and waits for the other's number before
the next. Waiting is bounded: a thread that waits too long asks the other to retire, or retires itself, always
between steps, with nothing half done; then the leader computes all units again. The same multiply-adds in the same
order give the same bits, whoever computes them. A cell of more phases takes as many such steps for each step in time.
"""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..machine.atomics import fetch_add, load_acquire, store_release, wait_a_little
from ..vectors.target import BLOCK
from ..vectors.view import view
from ..vectors.views import lanes_of
from .episodes import row_of
from .forward_units import shared_phase
from .sizes import INPUT_STEPS, duo_room, operand_row, operand_rows, panels_for, tape_room, vectors_for
from .step import Operands, blocks_in, inputs, panels_of, weights_of_h

# words of `sync`, each in a cache line pair of its own
TICKETS, MAIL, SPLIT, LEADER, FOLLOWER, RETIRE = (16 * n for n in range(6))
SYNC_WORDS = 16 * 6
JOINED, RETIRED = 1, 2  # MAIL: what the follower says
_FEW_STEPS = 8  # with fewer left, a second thread is not let in


@inlined
def _inputs_of(thread: Any, given: Any) -> Any:
    """Where in the work array the inputs of a thread begin."""
    sizes, weights, cell = given.sizes, given.weights, given.weights.cell
    L = lanes_of(weights.panels)
    operands = operand_rows(cell) * operand_row(sizes, weights)
    return duo_room(L, sizes.H, cell.gate_count, operands, tape_room(cell, vectors_for(sizes.H, L)), thread)


@compiled
def take_ticket(sync: Any) -> Any:
    """0 for the first thread that asks, 1 for the next. sync: zeros, but for -1 at SPLIT."""
    return fetch_add(sync, TICKETS, 1)


@inlined
def _row(given: Any) -> Any:
    """Numbers of a step's inputs."""
    L = lanes_of(given.weights.panels)
    return vectors_for(given.sizes.H, L) * given.weights.cell.gate_count * L


@compiled
def _inputs(t: Any, count: Any, lo: Any, hi: Any, zx: Any, given: Any) -> None:
    """x @ W + b of some steps from t on, for blocks lo to hi, to the work array from zx on."""
    cell, schedule, D, L = given.weights.cell, given.batch.schedule, given.sizes.D, lanes_of(given.weights.panels)
    x = view(given.batch.x, row_of(schedule, 0, t) * D, -D if schedule.reverse else D, 0)
    panels, out = panels_of(given.weights, given.sizes), view(given.work, zx, _row(given), cell.gate_count * L)
    for b in range(lo, hi):
        inputs(cell, x, count, D, panels.at(0, b), out.at(0, b))


@inlined
def _parts(number: Any, given: Any) -> Any:
    """Blocks of units in all, and those of the leader's half, in a phase, by its number of all phases."""
    cell, sizes = given.weights.cell, given.sizes
    phase = number % cell.phase_count
    every = blocks_in(phase, sizes, given.weights)
    mid = (every + 1) // 2
    if cell.multiplies_later:  # noqa: SIM102
        if phase == 1:  # whole panels
            mid = min(every, (panels_for(sizes.P, lanes_of(given.weights.panels)) + 1) // 2 * BLOCK)
    return every, mid


@compiled
def _step(number: Any, lo: Any, hi: Any, zx: Any, w: Any, given: Any) -> None:
    """A phase, by its number of all phases, for blocks lo to hi; zx: where its step's inputs are; w: 0 or 1, whose
    scratch."""
    if lo == hi:  # a narrow h may leave nothing to the follower
        return
    weights, sizes, work = given.weights, given.sizes, given.work
    L, lda = lanes_of(weights.panels), operand_row(sizes, weights)
    s = number // weights.cell.phase_count
    z = Operands(view(work, (s % 2) * lda + sizes.D, lda, L), sizes.P, 0, weights_of_h(weights, sizes),
                 view(work, zx, 0, weights.cell.gate_count * L))  # fmt: skip
    shared_phase(number, w, lo, hi, z, given)


@compiled
def _waited(sync: Any, at: Any, value: Any, patience: Any) -> Any:
    """True once sync[at] has reached value; False when that takes too long."""
    turns = 0
    while load_acquire(sync, at) < value:
        wait_a_little(turns, patience)
        turns += 1
        if turns > patience:
            return False
    return True


@compiled
def lead(sync: Any, patience: Any, given: Any) -> None:
    """The first thread's part: all that the other does not do. given: a Forward."""
    steps, phases = given.batch.schedule.lens[0], given.weights.cell.phase_count
    goal = steps * phases
    row = _row(given)
    zx = _inputs_of(0, given)
    alone, joined = True, False
    s = 0  # phases of all steps
    begin, end = 0, 0  # inputs of steps begin to end stand in zx
    while s < goal or not alone:
        if not joined and goal - s > _FEW_STEPS and load_acquire(sync, MAIL) == JOINED:
            alone, joined, end = False, True, s // phases
            store_release(sync, LEADER, s)
            store_release(sync, FOLLOWER, s)
            store_release(sync, SPLIT, s)
        every, mid = _parts(s, given)
        u, lo, hi, last = s, 0, every if alone else mid, steps
        if not alone:
            if load_acquire(sync, MAIL) == RETIRED:
                behind = load_acquire(sync, FOLLOWER)  # final now: one step behind s, level, or one ahead
                alone, end = True, 0
                if behind == s:
                    continue
                u = min(behind, s)  # the one of which a half is missing
                last = u // phases + 1
                every, mid = _parts(u, given)
                hi = mid
                if behind < s:
                    lo, hi = mid, every
            elif not _waited(sync, FOLLOWER, s, patience):
                store_release(sync, RETIRE, 1)  # it will finish its step, or retire, when it runs again: let it
                while load_acquire(sync, FOLLOWER) < s and load_acquire(sync, MAIL) == JOINED:
                    wait_a_little(patience, patience)
                continue
            elif s == goal:
                alone = True
                continue
        t = u // phases
        if t >= end and u % phases == 0:
            begin, end = t, min(last, t + INPUT_STEPS)
            _inputs(begin, end - begin, lo, hi, zx, given)
        _step(u, lo, hi, zx + (t - begin) * row, 0, given)
        s = u + 1
        if not alone:
            store_release(sync, LEADER, s)
    store_release(sync, SPLIT, goal + 1)  # a late follower finds nothing to do


@compiled
def follow(sync: Any, patience: Any, given: Any) -> None:
    """The second thread's part."""
    steps, phases = given.batch.schedule.lens[0], given.weights.cell.phase_count
    row = _row(given)
    nb, mid = _parts(0, given)
    zx = _inputs_of(1, given)
    store_release(sync, MAIL, JOINED)
    turns = 0
    while load_acquire(sync, SPLIT) < 0:
        wait_a_little(turns, patience)
        turns += 1
    s = load_acquire(sync, SPLIT)
    begin, end = 0, 0
    while s < steps * phases:
        t = s // phases
        if t >= end and s % phases == 0:
            begin, end = t, min(steps, t + INPUT_STEPS)
            _inputs(begin, end - begin, mid, nb, zx, given)
        if load_acquire(sync, RETIRE) == 1 or not _waited(sync, LEADER, s, patience):
            store_release(sync, MAIL, RETIRED)
            return
        every, lo = _parts(s, given)
        _step(s, lo, every, zx + (t - begin) * row, 1, given)
        s += 1
        store_release(sync, FOLLOWER, s)
