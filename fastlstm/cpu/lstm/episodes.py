"""Where the steps of a sequence are, and where its episodes begin: there no state comes from the step before."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..vectors.rows import clear, copy
from ..vectors.views import lanes_of


@inlined
def row_of(schedule: Any, rank: Any, s: Any) -> Any:
    """The row of x (N T, D), and of y, that belongs to step s, in the order of computation, of a rank."""
    t = schedule.lens[rank] - 1 - s if schedule.reverse else s
    return schedule.order[rank] * schedule.T + t


@inlined
def begins(schedule: Any, rank: Any, s: Any) -> Any:
    """Whether step s, in the order of computation, begins with zeros instead of what the step before it left.

    In reverse the boundary behind a step in time is the one marked at the step after it in time, the one computed
    before it."""
    if schedule.reset.size == 0 or s >= schedule.lens[rank]:
        return False
    first = schedule.order[rank] * schedule.T
    if schedule.reverse:
        return s > 0 and schedule.reset[first + schedule.lens[rank] - s]
    return schedule.reset[first + s]


@compiled
def mark_begins(work: Any, mark0: Any, w: Any, workers: Any, rows: Any, schedule: Any) -> None:
    """For each step the list of a worker's rows that it `begins`: work[mark0 + s] is one more than the first row, and
    work[mark0 + (1 + r) * T + s] one more than the row behind row r; 0: none. Without resets there is work[mark0]."""
    T = schedule.T
    clear(work, mark0, T if schedule.reset.size > 0 else 1)
    if schedule.reset.size > 0:
        for r in range(rows):
            rank = w + r * workers
            for s in range(schedule.lens[rank]):
                if begins(schedule, rank, s):
                    work[mark0 + (1 + r) * T + s] = work[mark0 + s]
                    work[mark0 + s] = 1 + r


@compiled
def forget(cs: Any, c: Any, count: Any, tape: Any, work: Any, spare: Any) -> None:
    """Zeros for a step to begin with at cs[c]. The tape holds c there, to be put back after the step: it waits in
    `work`, where c stands without a tape."""
    if tape:
        copy(work, spare, cs, c, count)
    clear(cs, c, count)


@inlined
def begin_h(cell: Any, a: Any, first: Any, h: Any, place: Any, P: Any) -> None:
    """An operand row's h from h[place]. A second phase reads its units that fill up the last vector too: 0."""
    copy(a, first, h, place, P)
    if cell.multiplies_later:
        L = lanes_of(a)
        clear(a, first + P, (P + L - 1) // L * L - P)
