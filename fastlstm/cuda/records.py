"""What the kernels' launchers are given: weights, schedules and tapes on a device.

All arrays are Numba's device arrays in C order (`numba.cuda.device_array`, or what `numba.cuda.as_cuda_array` makes of
a caller's), of the weights' float type where nothing else is said.

Steps of all sequences that are real lie one behind another in *rows*: those of step 0 of all sequences, by falling
length, then those of step 1, and so on, as far as each sequence goes. So what runs at one step is one piece, and
padding has no row. M is the number of rows. h and c of rows stand behind a row of zeros and the N initial ones: a row's
old state is at `old`, its new one at 1 + N + row. A step that begins with zeros, after a reset, has the row of zeros
for its old one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from ..cells.phases import Cell

DeviceArray: TypeAlias = Any


class DeviceWeights(NamedTuple):
    """A layer's weights as the kernels read them, gate by gate in the order of `Cell.gates`; a copy of the record's.

    Attributes
    ----------
    cell : Cell
    D, H, P : int
    W : device array, shape (D, of_x * H)
        Of the gates that read x, the first ones.
    U : device array, shape (P, of_h * H)
        Of the gates that read h, the last ones; (P, 1) where none does.
    b : device array, shape (gates * H,)
        0 for a gate that has none.
    w : device array, shape (rows * gates * H,)
        Unit weights, 0 for a gate that a row has none of; (1,) where there are no rows.
    V : device array, shape (H, P)
        Weights of a second phase's product; (1, 1) where there is none.
    own : device array of int32
        0, 1, 2, ..., as many as the longest side of a matrix.
    """

    cell: Cell
    D: int
    H: int
    P: int
    W: DeviceArray
    U: DeviceArray
    b: DeviceArray
    w: DeviceArray
    V: DeviceArray
    own: DeviceArray


class Schedule(NamedTuple):
    """Which rows a pass has, and where each one's numbers are.

    Attributes
    ----------
    N, T : int
    first : tuple of int
        The first row of each step, and the number of all rows: one more than there are steps.
    begins : device array of int32, shape (steps + 1,)
        The same.
    place : device array of int32, shape (M,)
        The row of x (N T, D), and of y, that a row belongs to.
    old : device array of int32, shape (M,)
        Where its old state is.
    sequence : device array of int32, shape (M,)
        Its sequence.
    back : device array of int32, shape (M,)
        The same; -1 where it begins with zeros.
    last : device array of int32, shape (N,)
        Where the last state of each sequence is.
    own : device array of int32, shape (1 + N + M,)
        0, 1, 2, ...
    lengths : device array of int32, shape (N,)
        Of the sequences as they stand in the batch.
    order : device array of int32, shape (N,)
        The sequences by falling length.
    resets : bool
        Whether a row begins with zeros.
    parts : tuple of Schedule
        The same in pieces of whole steps, one after another in time, where a pass without a tape is to be run so.
    """

    N: int
    T: int
    first: tuple[int, ...]
    begins: DeviceArray
    place: DeviceArray
    old: DeviceArray
    sequence: DeviceArray
    back: DeviceArray
    last: DeviceArray
    own: DeviceArray
    lengths: DeviceArray
    order: DeviceArray
    resets: bool = False
    parts: tuple[Any, ...] = ()


class DeviceBatch(NamedTuple):
    """What a pass reads besides the weights and the state.

    Attributes
    ----------
    x : device array, shape (N, T, D)
    schedule : Schedule
    mask : device array, shape (N, P), or None
        Factors of h where it enters the product.
    kind : {"small", "wide", "product"} or None
        Which kernels run the time loop: one for all steps, with U in a block's registers, where `small.Form.fits`, or
        in those of all blocks, where `wide.Form.fits`; or some for each step, a product and the equations. None: the
        first of `launch.kinds`.
    """

    x: DeviceArray
    schedule: Schedule
    mask: DeviceArray | None = None
    kind: str | None = None


class DeviceKept(NamedTuple):
    """What a forward pass leaves for its way back.

    Attributes
    ----------
    h : device array, shape (1 + N + M, P)
    h_in : device array, shape (1 + N + M, P)
        h as it entered the next step's product; the same array where there is no mask.
    c : device array, shape (1 + N + M, H)
        The same array as h where a cell has no c, unless another quantity stands in its place (`Cell.gates_h`).
    gates : device array, shape (M, kept * H)
        What the cell's phases keep (`Cell.tape`).
    made : device array, shape (M, H)
        What is projected; (1, 1) where there is no projection.
    moments : device array, shape (M, 2 * (gates + 1))
        Of each gate's z and of c, where they are normalized; else (1, 1).
    """

    h: DeviceArray
    h_in: DeviceArray
    c: DeviceArray
    gates: DeviceArray
    made: DeviceArray
    moments: DeviceArray
