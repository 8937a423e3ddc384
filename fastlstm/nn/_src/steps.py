"""What a mask means to an LSTM: masked steps are left out, the state is carried over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import backend, checks
from ...backend import HELD, NONE

Array = NDArray[Any]


def checked_mask(name: str, mask: Any, lengths: Any, N: int, T: int) -> NDArray[np.bool_] | None:
    """mask (N, T), true at real steps, or lengths (N,) of sequences that begin at the first step -> mask.

    Raises
    ------
    ValueError, TypeError
        Shapes, types or lengths that do not fit; both given.
    """
    if lengths is not None:
        if mask is not None:
            raise ValueError(f"{name}: expected mask or lengths, got both")
        counts = checks.step_counts(lengths, N, T, single=False)
        assert counts is not None
        return np.arange(T) < counts[:, None]
    if mask is None:
        return None
    found = checks.array(f"{name}: mask", mask)
    if found.dtype.kind != "b":
        raise TypeError(f"{name}: mask: expected booleans, got dtype {found.dtype}")
    if found.shape != (N, T):
        raise ValueError(f"{name}: mask: expected shape {(N, T)}, got {found.shape}")
    return found


class Steps:
    """The real steps of a batch.

    Attributes
    ----------
    lengths : ndarray of int64, shape (N,)
        How many they are.
    order : ndarray of int64, shape (N, T), or None
        Steps of each sequence, the real ones first; None where they stand so already.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._mask = mask
        self.lengths: NDArray[np.int64] = mask.sum(axis=1, dtype=np.int64)
        lined_up = np.array_equal(mask, np.arange(mask.shape[1]) < self.lengths[:, None])
        self.order = None if lined_up else np.argsort(~mask, axis=1, kind="stable")

    @staticmethod
    def of(mask: NDArray[np.bool_] | None) -> Steps | None:
        """None where all steps are real."""
        return None if mask is None or mask.all() else Steps(mask)

    def compact(self, x: Array) -> Array:
        """x (N, T, D), its real steps first."""
        return x if self.order is None else self.expand(x, x, self.order)

    def spread(self, dx: Array) -> Array:
        """The way back."""
        return dx if self.order is None else self.collect(dx, self.order)[0]

    def shown(self, reverse: bool, zero: bool) -> NDArray[np.int64]:
        """Which real step each output shows: a masked one that before it in the order of computation, or none."""
        until = np.cumsum(self._mask, axis=1, dtype=np.int64)
        if zero:
            return np.where(self._mask, until - 1, NONE)
        if not reverse:
            return until - 1  # HELD before the first
        following = until - self._mask
        return np.where(following < self.lengths[:, None], following, HELD)

    @staticmethod
    def expand(z: Array, h: Array, where: NDArray[np.int64]) -> Array:
        """Outputs of all steps from those of the real ones; h: the state before the first, where one shows it."""
        y = backend.engine.empty(z.shape, z.dtype)
        backend.engine.training.expand(z, h, where, y)
        return y

    @staticmethod
    def collect(dy: Array, where: NDArray[np.int64]) -> tuple[Array, Array]:
        """Gradients at the real steps' outputs and at the state before the first."""
        dz = backend.engine.zeros(dy.shape, dy.dtype)
        dh = np.zeros((dy.shape[0], dy.shape[2]), dy.dtype)
        backend.engine.training.collect(dy, where, dz, dh)
        return dz, dh
