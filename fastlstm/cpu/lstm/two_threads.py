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
from ..vectors.products import product
from ..vectors.rows import clear, copy, scale
from ..vectors.target import BLOCK
from ..vectors.views import lanes_of
from .cell_type import kept_of, projects
from .episodes import begins, forget
from .norms import normalize
from .packing import panel_rows
from .sizes import INPUT_STEPS, duo_room, made_in, operand_rows, operand_stride, phases_of, tape_room, units_of
from .step import bias_alone, finish, units

# words of `sync`, each in a cache line pair of its own
TICKETS, MAIL, SPLIT, LEADER, FOLLOWER, RETIRE = (16 * n for n in range(6))
SYNC_WORDS = 16 * 6
JOINED, RETIRED = 1, 2  # MAIL: what the follower says
_FEW_STEPS = 8  # with fewer left, a second thread is not let in


@inlined
def _inputs_of(thread: Any, cell: Any, D: Any, panels: Any, second: Any, H: Any, P: Any) -> Any:
    """Where in `work` the inputs of a thread begin."""
    L = lanes_of(panels)
    units = units_of(cell, second, L, H, P)
    return duo_room(L, D, H, units, operand_rows(cell), tape_room(cell, second, (H + L - 1) // L), thread)


@compiled
def take_ticket(sync: Any) -> Any:
    """0 for the first thread that asks, 1 for the next. sync: zeros, but for -1 at SPLIT."""
    return fetch_add(sync, TICKETS, 1)


@compiled
def _inputs(cell: Any, t: Any, count: Any, lo: Any, hi: Any, x: Any, D: Any, panels: Any, H: Any, P: Any, steps: Any,
            reverse: Any, work: Any, zx: Any) -> None:  # fmt: skip
    """x @ W + b of some steps from t on, for blocks lo to hi."""
    width = BLOCK * lanes_of(panels)
    nb = (H + lanes_of(panels) - 1) // lanes_of(panels)
    panel = panel_rows(cell, D, P) * width
    x0 = ((steps - 1 - t) if reverse else t) * D
    for b in range(lo, hi):
        product(x, x0, -D if reverse else D, count, D, panels, b * panel + width, panels, b * panel, 0,
                work, zx + b * width, nb * width)  # fmt: skip
        for k in range(count):
            bias_alone(cell, work, zx + (k * nb + b) * width, panels, b * panel, lanes_of(panels))


@inlined
def _parts(s: Any, H: Any, P: Any, panels: Any, second: Any) -> Any:
    """Blocks of units in all, and those of the leader's half, in the phase that is number s of all."""
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    mid = (nb + 1) // 2
    if second.ndim == 3:  # noqa: SIM102
        if s % 2 == 1:
            nb = (P + L - 1) // L
            mid = min(nb, (second.shape[0] + 1) // 2 * BLOCK)  # whole panels
    return nb, mid


@compiled
def _step(s: Any, lo: Any, hi: Any, zx: Any, own: Any, cell: Any, D: Any, panels: Any, second: Any, H: Any, P: Any,
          y: Any, ldy: Any, column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, steps: Any,
          reset: Any, mask: Any, reverse: Any, work: Any) -> None:  # fmt: skip
    """Phase number s of all phases of all steps, for blocks lo to hi; own: 0 or 1, whose scratch."""
    if lo == hi:  # a narrow h may leave nothing to the follower
        return
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    width, g_width = BLOCK * L, kept_of(cell) * L
    Hp = nb * L
    panel = panel_rows(cell, D, P) * width
    lda = operand_stride(L, D, units_of(cell, second, L, H, P))
    phases = phases_of(second)
    s, phase = s // phases, s % phases
    m, c, c_step = 2 * lda, operand_rows(cell) * lda, 0
    first = lo * L
    spare = c + first
    g, g_block = c + Hp + own * g_width, 0
    if second.ndim == 2:
        g, g_block = c + Hp, g_width
    if tape:
        c, c_step = s * Hp, Hp
        g, g_block = s * nb * g_width, g_width
    now, then = (s % 2) * lda + D, ((s + 1) % 2) * lda + D
    if phase == 0:
        if begins(reset, 0, steps, reverse, s):
            forget(cs, c + first, (hi - lo) * L, tape, work, spare)
        units(cell, lo, hi, 1, s % 2, work, now, m if projects(cell) else then, lda, P, 0, panels,
              (1 + D) * width, panel, work, zx, 0, width, cs, c, c + c_step, Hp, gates, g, 0,
              g_block)  # fmt: skip
        if tape and begins(reset, 0, steps, reverse, s):
            copy(cs, c + first, work, spare, (hi - lo) * L)
    if second.ndim == 2:  # noqa: SIM102
        if phase > 0:
            normalize(cell, phase, lo, hi, 1, work, then, lda, work, now, lda, panels, (1 + D + P) * width,
                      panel, H, cs, c + c_step, Hp, gates, g, 0, g_block, Hp + L)  # fmt: skip
    if keep_cells and phase == made_in(second):
        t = steps - 1 - s if reverse else s
        copy(cells, t * H + first, cs, c + c_step + first, min(hi * L, H) - first)
    if phase == phases - 1:
        if second.ndim == 3:
            finish(cell, lo, hi, 1, s % 2, work, now, then, m, lda, second, H, P, cs, c + c_step, Hp, gates,
                   g, 0, g_block)  # fmt: skip
        count = min(hi * L, P) - first
        t = steps - 1 - s if reverse else s
        copy(y, t * ldy + column + first, work, then + first, count)
        if begins(reset, 0, steps, reverse, s + 1):
            clear(work, then + first, (hi - lo) * L)
        if mask.size > 0 and s + 1 < steps:
            scale(work, then + first, mask, first, count)


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
def lead(sync: Any, patience: Any, cell: Any, x: Any, D: Any, panels: Any, second: Any, H: Any, P: Any, h: Any, c: Any,
         y: Any, ldy: Any, column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any, order: Any,
         lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, work: Any) -> None:  # fmt: skip
    """The first thread's part: all that the other does not do. The arguments: as in forward_rows."""
    steps = lens[0]
    phases = phases_of(second)
    goal = steps * phases
    L = lanes_of(panels)
    nb = (H + L - 1) // L
    zx = _inputs_of(0, cell, D, panels, second, H, P)
    alone, joined = True, False
    s = 0  # phases of all steps
    begin, end = 0, 0  # inputs of steps begin to end stand in zx
    while s < goal or not alone:
        if not joined and goal - s > _FEW_STEPS and load_acquire(sync, MAIL) == JOINED:
            alone, joined, end = False, True, s // phases
            store_release(sync, LEADER, s)
            store_release(sync, FOLLOWER, s)
            store_release(sync, SPLIT, s)
        every, mid = _parts(s, H, P, panels, second)
        u, lo, hi, last = s, 0, every if alone else mid, steps
        if not alone:
            if load_acquire(sync, MAIL) == RETIRED:
                behind = load_acquire(sync, FOLLOWER)  # final now: one step behind s, level, or one ahead
                alone, end = True, 0
                if behind == s:
                    continue
                u = min(behind, s)  # the one of which a half is missing
                last = u // phases + 1
                every, mid = _parts(u, H, P, panels, second)
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
            _inputs(cell, begin, end - begin, lo, hi, x, D, panels, H, P, steps, reverse, work, zx)
        _step(u, lo, hi, zx + (t - begin) * nb * BLOCK * L, 0, cell, D, panels, second, H, P, y, ldy, column,
              cells, keep_cells, gates, cs, tape, steps, reset, mask, reverse, work)  # fmt: skip
        s = u + 1
        if not alone:
            store_release(sync, LEADER, s)
    store_release(sync, SPLIT, goal + 1)  # a late follower finds nothing to do


@compiled
def follow(sync: Any, patience: Any, cell: Any, x: Any, D: Any, panels: Any, second: Any, H: Any, P: Any, h: Any,
           c: Any, y: Any, ldy: Any, column: Any, cells: Any, keep_cells: Any, gates: Any, cs: Any, tape: Any,
           order: Any, lens: Any, reset: Any, mask: Any, reverse: Any, T: Any, work: Any) -> None:  # fmt: skip
    """The second thread's part."""
    steps = lens[0]
    phases = phases_of(second)
    L = lanes_of(panels)
    nb, mid = _parts(0, H, P, panels, second)
    zx = _inputs_of(1, cell, D, panels, second, H, P)
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
            _inputs(cell, begin, end - begin, mid, nb, x, D, panels, H, P, steps, reverse, work, zx)
        if load_acquire(sync, RETIRE) == 1 or not _waited(sync, LEADER, s, patience):
            store_release(sync, MAIL, RETIRED)
            return
        every, lo = _parts(s, H, P, panels, second)
        _step(s, lo, every, zx + (t - begin) * nb * BLOCK * L, 1, cell, D, panels, second, H, P, y, ldy,
              column, cells, keep_cells, gates, cs, tape, steps, reset, mask, reverse, work)  # fmt: skip
        s += 1
        store_release(sync, FOLLOWER, s)
