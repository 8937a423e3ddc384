"""What an engine calls: passes of one direction of a layer on arrays that are on a device.

Nothing is checked here: arrays are as `records.py` says, of one float type, on the current device. Every call enqueues
its work on `stream` and returns; what it allocates lives as long as that work, on Numba's memory manager.
"""

from __future__ import annotations

from typing import Any

from ..params import AnyParams
from .records import DeviceArray, DeviceBatch, DeviceKept, DeviceWeights, Schedule


def pack(params: AnyParams, stream: Any = 0) -> DeviceWeights:
    """Weights as the kernels read them. params: the cell's record, its fields device arrays."""
    raise NotImplementedError


def unpack(weights: DeviceWeights, stream: Any = 0) -> AnyParams:
    """The record of weights again, new device arrays."""
    raise NotImplementedError


def schedule(N: int, T: int, lengths: Any = None, reset: Any = None, *, reverse: bool = False) -> Schedule:
    """Which rows a pass has. lengths (N,) and reset (N, T): NumPy arrays on the host, or None, as in `params.Batch`."""
    raise NotImplementedError


def keep(weights: DeviceWeights, batch: DeviceBatch, stream: Any = 0) -> DeviceKept:
    """Room for what a forward pass of that batch keeps; nothing stands in it yet."""
    raise NotImplementedError


def choose(weights: DeviceWeights, batch: DeviceBatch) -> str:
    """The kind of kernels that runs the time loop where the batch names none: a function of sizes alone."""
    raise NotImplementedError


def run_forward(
    weights: DeviceWeights,
    batch: DeviceBatch,
    state: Any,
    y: DeviceArray,
    column: int = 0,
    kept: DeviceKept | None = None,
    stream: Any = 0,
) -> None:
    """h of every step into y[:, :, column : column + P], 0 in padding; the last state in place of the first.

    state: State (h, c) or Hidden (h,) of device arrays (N, P) and (N, H); y: (N, T, width); kept: what the way back
    needs, written to where it is given."""
    raise NotImplementedError


def run_backward(
    weights: DeviceWeights,
    batch: DeviceBatch,
    kept: DeviceKept,
    dy: DeviceArray | None,
    dstate: Any,
    dx: DeviceArray | None,
    column: int = 0,
    stream: Any = 0,
) -> AnyParams:
    """The gradients of the weights, a record of new device arrays, from dy[:, :, column : column + P].

    dx (N, T, D) is added to, at real steps; None where it is not wanted. dstate turns from the gradient of the last
    state into that of the first. kept: what `run_forward` has written."""
    raise NotImplementedError


def cells_of(weights: DeviceWeights, batch: DeviceBatch, kept: DeviceKept, c: DeviceArray, stream: Any = 0) -> None:
    """c of every step into c (N, T, H), in the order of x, 0 in padding. kept: what `run_forward` has written."""
    raise NotImplementedError
