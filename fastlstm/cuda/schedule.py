"""Rows of a pass: made on the host, from lengths and resets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .device import cuda
from .records import Schedule

MOST_ROWS = 2**31 - 1  # that an index of 32 bits can tell apart

Found = tuple[tuple[int, ...], dict[str, Any]]  # `first`, and the arrays by name, on the host


def schedule(
    N: int, T: int, lengths: Any = None, reset: Any = None, *, reverse: bool = False, most: int | None = None
) -> Schedule:
    """Which rows a pass has. lengths (N,) and reset (N, T): NumPy arrays on the host, or None, as in `params.Batch`;
    most: rows that may be in work at once, where that is bounded."""
    if 1 + N + N * T > MOST_ROWS:
        raise ValueError(f"x: expected N (T + 1) to be at most {MOST_ROWS - 1} on a device, got N {N} and T {T}")
    found = rows(N, T, lengths, reset, reverse=reverse)
    pieces = [] if most is None or found[0][-1] <= most else cut(N, found, most)
    return on_device(N, T, found)._replace(parts=tuple(on_device(N, T, piece) for piece in pieces))


def on_device(N: int, T: int, found: Found) -> Schedule:
    first, arrays = found
    there = {name: cuda.to_device(array.astype(np.int32)) for name, array in arrays.items()}
    return Schedule(N, T, first, **there, resets=bool((arrays["old"] == 0).any()))


def rows(N: int, T: int, lengths: Any, reset: Any, *, reverse: bool) -> Found:
    """The same on the host."""
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    steps = int(lengths.max(initial=0))
    active = (lengths[:, None] > np.arange(steps)).sum(0)
    begins = np.concatenate(([0], np.cumsum(active)))
    step = np.repeat(np.arange(steps), active)
    rank = np.arange(len(step)) - begins[step]
    sequence = order[rank]
    t = lengths[sequence] - 1 - step if reverse else step
    before = 1 + N + begins[np.maximum(step - 1, 0)] + rank
    old = np.where(step == 0, 1 + sequence, before)
    if reset is not None and len(step):
        flags = np.asarray(reset)
        # in reverse the mark of a boundary is at the step after it in time, the one computed before
        marked = flags[sequence, np.minimum(t + 1, T - 1)] & (step > 0) if reverse else flags[sequence, t]
        old = np.where(marked, 0, old)
    arrays = {
        "begins": begins, "place": sequence * T + t, "old": old, "sequence": sequence,
        "back": np.where(old == 0, -1, sequence), "last": last(begins, lengths[order], order),
        "own": np.arange(1 + N + len(step)), "lengths": lengths, "order": order,
    }  # fmt: skip
    return tuple(begins.tolist()), arrays


def last(begins: Any, lengths: Any, order: Any) -> Any:
    """Where the last state of each sequence is: its first one's place where it has no step. begins: of steps; lengths:
    by falling length."""
    N = len(order)
    found = 1 + np.arange(N)
    long = lengths > 0
    found[order[long]] = 1 + N + begins[lengths[long] - 1] + np.arange(N)[long]
    return found


def cut(N: int, found: Found, most: int) -> Iterator[Found]:
    """Pieces of whole steps, one after another in time, of at most so many rows each, or of one step: the last states
    of one are the first ones of the next."""
    _, arrays = found
    begins, order = arrays["begins"], arrays["order"]
    lengths, own, end = arrays["lengths"][order], arrays["own"], 0
    while end < len(begins) - 1:
        begin = end
        end = max(begin + 1, int(np.searchsorted(begins, begins[begin] + most, "right")) - 1)
        here, steps = slice(begins[begin], begins[end]), begins[begin : end + 1] - begins[begin]
        old, sequence = arrays["old"][here], arrays["sequence"][here]
        new = np.arange(len(old)) < steps[1]  # of the first step: these go on from the first states
        old = np.where(old == 0, 0, np.where(new, 1 + sequence, old - begins[begin]))
        yield tuple(steps.tolist()), arrays | {
            "begins": steps, "old": old, "own": own[: 1 + N + len(old)],
            "last": last(steps, np.clip(lengths - begin, 0, end - begin), order),
            **{name: arrays[name][here] for name in ("place", "sequence", "back")},
        }  # fmt: skip
