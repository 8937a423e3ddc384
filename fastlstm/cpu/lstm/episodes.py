"""Where a sequence's episodes begin: there no state comes from the step before."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..vectors.rows import clear, copy
from ..vectors.views import lanes_of


@inlined
def begins(reset: Any, first: Any, length: Any, reverse: Any, s: Any) -> Any:
    """Whether step s, in the order of computation, begins with zeros instead of what the step before it left.

    reset: (N, T) in the order of x, of no entries where there is none; first: the sequence's first. In reverse the
    boundary behind a step in time is the one marked at the step after it in time, the one computed before it.
    """
    if reset.size == 0 or s >= length:
        return False
    if reverse:
        return s > 0 and reset[first + length - s]
    return reset[first + s]


@compiled
def mark_begins(work: Any, mark0: Any, w: Any, workers: Any, rows: Any, order: Any, lens: Any, reset: Any, reverse: Any,
                T: Any) -> None:  # fmt: skip
    """For each step the list of a worker's rows that it `begins`: work[mark0 + s] is one more than the first row, and
    work[mark0 + (1 + r) * T + s] one more than the row behind row r; 0: none. Without resets there is work[mark0]."""
    clear(work, mark0, T if reset.size > 0 else 1)
    if reset.size > 0:
        for r in range(rows):
            rank = w + r * workers
            for s in range(lens[rank]):
                if begins(reset, order[rank] * T, lens[rank], reverse, s):
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
def begin_h(a: Any, first: Any, h: Any, place: Any, P: Any, second: Any) -> None:
    """An operand row's h from h[place]. A second phase reads its units that fill up the last vector too: 0."""
    copy(a, first, h, place, P)
    if second.ndim == 3:
        L = lanes_of(a)
        clear(a, first + P, (P + L - 1) // L * L - P)
