"""A record of weights as the kernels read it, and back: blocks of H columns change places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..cells.phases import Cell
from ..cells.table import cell_with
from ..params import AnyParams, shapes, sizes
from .device import cuda
from .records import DeviceArray, DeviceWeights
from .rows import THREADS, Rows, Size, blocks, copy


def fields(record: type[AnyParams]) -> list[str]:
    """Of a record, those of b, W, U and of the array that is none of them, in the order of `Cell.parts`."""
    return ["b", "W", "U", *(field for field in record._fields if field not in ("b", "W", "U"))]


def moves(cell: Cell) -> Iterator[tuple[int, int, str, int]]:
    """Blocks: number of an array of the record, place in it; name of an array of the kernels', place in that."""
    G, (of_b, of_x, of_h) = cell.gate_count, cell.columns
    for gate in range(G):
        if of_b[gate] >= 0:
            yield 0, of_b[gate], "b", gate
        if of_x[gate] >= 0:
            yield 1, of_x[gate], "W", gate
        if of_h[gate] >= 0:
            yield 2, of_h[gate], "U", gate - (G - cell.of_h)
    for row, (array, columns) in enumerate(cell.unit_weights):
        for gate, place in enumerate(columns):
            if place >= 0:
                yield array, place, "w", row * G + gate
    if cell.multiplies_later:
        yield cell.later_array, cell.later_block, "V", 0


def arrays_for(cell: Cell, D: int, H: int, P: int) -> dict[str, tuple[int, int]]:
    """Shapes of the kernels' arrays, with two axes each."""
    G = cell.gate_count
    return {
        "W": (D, cell.of_x * H), "U": (P, max(cell.of_h * H, 1)),
        "b": (1, G * H), "w": (1, max(cell.weight_rows * G * H, 1)), "V": (H, P) if cell.multiplies_later else (1, 1),
    }  # fmt: skip


def pack(params: AnyParams, stream: Any = 0) -> DeviceWeights:
    """Weights as the kernels read them. params: the cell's record, its fields device arrays."""
    cell, (D, H, P) = cell_with(type(params)), sizes(params)
    own = cuda.to_device(np.arange(max(D, H, P), dtype=np.int32), stream=stream)
    dtype = params.W.dtype
    # to_device: what no block fills is 0
    arrays = {
        name: cuda.to_device(np.zeros(shape, dtype), stream=stream) if name in ("b", "w")
        else cuda.device_array(shape, dtype, stream=stream)
        for name, shape in arrays_for(cell, D, H, P).items()
    }  # fmt: skip
    record = [_two_axes(getattr(params, field)) for field in fields(type(params))]
    for number, place, name, at in moves(cell):
        source, target = record[number], arrays[name]
        _move(Rows(source, own, 0, place * H), Rows(target, own, 0, at * H), _size(target, name, H, P), stream)
    b, w = arrays.pop("b").reshape(-1), arrays.pop("w").reshape(-1)
    return DeviceWeights(cell, D, H, P, b=b, w=w, own=own, **arrays)


def unpack(weights: DeviceWeights, stream: Any = 0) -> AnyParams:
    """The record of weights again, new device arrays."""
    arrays = {"W": weights.W, "U": weights.U, "b": weights.b, "w": weights.w, "V": weights.V}
    return into_record(weights, arrays, stream)


def into_record(weights: DeviceWeights, arrays: dict[str, DeviceArray], stream: Any) -> AnyParams:
    """Arrays as the kernels have them, as a record: weights, or their gradients."""
    cell, D, H, P = weights[:4]
    record, dtype = cell.record, weights.W.dtype
    found = {name: cuda.device_array(form, dtype, stream=stream) for name, form in shapes(record, D, H, P).items()}
    order = fields(record)
    for number, place, name, at in moves(cell):
        source, target = _two_axes(arrays[name]), _two_axes(found[order[number]])
        _move(Rows(source, weights.own, 0, at * H), Rows(target, weights.own, 0, place * H),
              _size(source, name, H, P), stream)  # fmt: skip
    made: AnyParams = record(**found)
    return made


def _two_axes(array: DeviceArray) -> DeviceArray:
    return array.reshape(1, -1) if array.ndim == 1 else array


def _size(array: DeviceArray, name: str, H: int, P: int) -> Size:
    return Size(array.shape[0], P if name == "V" else H)


def _move(source: Rows, target: Rows, size: Size, stream: Any) -> None:
    copy[blocks(size), THREADS, stream](size, source, target)
