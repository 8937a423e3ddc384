"""Rows of a pass: made on the host, from lengths and resets."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .device import cuda
from .records import Schedule


def schedule(N: int, T: int, lengths: Any = None, reset: Any = None, *, reverse: bool = False) -> Schedule:
    """Which rows a pass has. lengths (N,) and reset (N, T): NumPy arrays on the host, or None, as in `params.Batch`."""
    return on_device(*rows(N, T, lengths, reset, reverse=reverse))


def on_device(N: int, T: int, first: tuple[int, ...], arrays: dict[str, Any]) -> Schedule:
    found = {name: cuda.to_device(array.astype(np.int32)) for name, array in arrays.items()}
    return Schedule(N, T, first, **found, resets=bool((arrays["old"] == 0).any()))


def rows(
    N: int, T: int, lengths: Any, reset: Any, *, reverse: bool
) -> tuple[int, int, tuple[int, ...], dict[str, Any]]:
    """The same on the host: N, T, first, and the arrays by name."""
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
    last = 1 + np.arange(N)
    long = lengths[order] > 0
    ranks = np.arange(N)[long]
    last[order[long]] = 1 + N + begins[lengths[order[long]] - 1] + ranks
    arrays = {
        "begins": begins, "place": sequence * T + t, "old": old, "sequence": sequence,
        "back": np.where(old == 0, -1, sequence), "last": last, "own": np.arange(1 + N + len(step)),
        "lengths": lengths, "order": order,
    }  # fmt: skip
    return N, T, tuple(begins.tolist()), arrays


@lru_cache(16)
def whole(N: int, T: int, reverse: bool, device: int) -> Schedule:
    """That of N sequences of T steps each. device: the number of the current one."""
    return schedule(N, T, reverse=reverse)
