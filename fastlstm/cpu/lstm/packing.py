"""Weights laid out for the kernels.

A block is as many hidden units as a vector has lanes. A block's panel holds, row by row, the bias, the D rows of W and
the P rows of U (P, the width of h, is H but where h is a projection), each row being the four gates' columns of those
units side by side: zeros for a gate that does not read that operand. Behind them rows of weights that no operand
meets, where the cell's equations take such. Hidden sizes that do not fill the last block are padded with zero weights,
under which h and c stay 0.

A cell with a second phase has more panels: V's columns of four blocks of the units of h side by side.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells.phases import Cell
from ...cells.table import CELLS
from ...params import CELLS as RECORDS
from ...params import AnyParams, shapes, shown
from ..compiler.options import compiled, inlined, kernel
from ..compiler.run import loaded_as
from ..machine import memory
from ..vectors.rows import copy, transpose
from ..vectors.target import BLOCK, lanes
from ..vectors.view import view
from ..vectors.views import lanes_of
from .arguments import PackArguments, Sizes
from .cell_type import array_of, blocks_of, cell_marked, cell_of, column_of, mark_of
from .sizes import panel_rows, panels_for, whole_tiles

LAYOUT = 1
"""Number of the panels' layout, to be raised whenever that changes. It stands in the type that Numba sees, as the
dimensions of an empty array: so a user's compiled function in his cache is compiled again for another layout."""


class Packed(NamedTuple):
    """One layer's weights in panels, made by `pack`; takes the place of Params, also in @njit code.

    Attributes
    ----------
    panels : ndarray, shape (ceil(H / lanes), 1 + D + P, 4 lanes), more rows where the equations take weights
    hidden_size : int
        H.
    output_size : int
        P, the width of h: H but where h is a projection.
    layout : ndarray, empty
        Of as many dimensions as the number of this layout, and of the dtype that stands for the cell.
    second : ndarray, shape (ceil(P / (4 lanes)), H, 4 lanes), or None
        Panels of the second phase, where the cell has one with a product.
    """

    panels: NDArray[Any]
    hidden_size: int
    output_size: int
    layout: NDArray[Any] = np.empty((0,) * LAYOUT, np.bool_)
    second: NDArray[Any] | None = None

    def __repr__(self) -> str:
        return shown(self)

    def copy(self) -> Packed:
        """The same in memory of its own that begins on a cache line."""
        return self._replace(panels=_own(self.panels), second=None if self.second is None else _own(self.second))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, tuple(self)


def _own(panels: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    found = memory.aligned(panels.shape, panels.dtype if dtype is None else dtype)
    found[...] = panels
    return found


def _again(panels: NDArray[Any], H: int, P: int, layout: NDArray[Any], second: NDArray[Any] | None) -> Packed:
    """Packed from a pickle, which keeps no array's place in memory, nor that there is one dtype object of a kind."""
    one, dtype = cell_with_mark(layout), np.dtype(panels.dtype.type)
    layout = layout if one is None else mark(one)
    return Packed(_own(panels, dtype), H, P, layout, None if second is None else _own(second, dtype))


def cell_with_mark(layout: Any) -> Cell | None:
    """The cell that such an array stands for, in this layout."""
    if not isinstance(layout, np.ndarray) or layout.ndim != LAYOUT:
        return None
    try:
        return cell_of(layout.dtype)
    except KeyError:
        return None


@functools.cache
def mark(cell: Cell) -> NDArray[Any]:
    """What stands for the cell, and for the layout's number, in compiled code."""
    return np.empty((0,) * LAYOUT, mark_of(cell))


def cell_in(packed: Packed) -> Cell:
    return cell_of(packed.layout.dtype)


def record_of(packed: Packed) -> type[AnyParams]:
    """What its weights are when they are not packed."""
    return RECORDS[cell_in(packed).name]


_MORE = {mark_of(cell).num: cell.weight_rows for cell in CELLS}


def sizes(packed: Packed) -> tuple[int, int, int]:
    """D, H and P, the width of h."""
    panels, H, P, layout, _ = packed
    return panels.shape[1] - 1 - P - _MORE[layout.dtype.num], H, P


def blocks(hidden_size: int, itemsize: int) -> int:
    """Vectors that hold that many units."""
    return -(-hidden_size // lanes(itemsize))


def wide_blocks(output_size: int, itemsize: int) -> int:
    """Panels of a second phase: four blocks each."""
    return -(-blocks(output_size, itemsize) // BLOCK)


@inlined
def row_length(cell: Any, array: Any, H: Any) -> Any:
    """Numbers in a row of b (0), W (1), U (2) or unit weights (3)."""
    return blocks_of(cell, array) * H


class Fields(NamedTuple):
    """The arrays of a record of weights, or of their gradients, flat. V: of the second phase, or unit weights, or any
    array."""

    W: Any
    U: Any
    V: Any
    b: Any


@inlined
def _row_of(cell: Any, row: Any, fields: Any, sizes: Any) -> Any:
    """What a panel's row comes from: number and array of the part, and where there the row begins."""
    D, P = sizes.D, sizes.P
    if row == 0:
        return 0, fields.b, 0
    if row <= D:
        return 1, fields.W, (row - 1) * row_length(cell, 1, sizes.H)
    if row > D + P:
        part = row - D - P + 2
        if array_of(cell, part) == 0:
            return part, fields.b, 0
        return part, fields.V, 0
    return 2, fields.U, (row - 1 - D) * row_length(cell, 2, sizes.H)


@inlined
def _gates_into(cell: Any, part: Any, panels: Any, to: Any, source: Any, place: Any, H: Any, count: Any) -> None:
    """That many columns of each gate into a panel's row, and zeros."""
    L = lanes_of(panels)
    for gate in range(BLOCK):
        column, at, found = column_of(cell, part, gate), to + gate * L, 0
        if column >= 0:
            found = count
            copy(panels, at, source, place + column * H, count)
        for unit in range(found, L):
            panels[at + unit] = 0


@kernel
def into_panels(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of the blocks of panels, from W, U, V and b. pointer: to PackArguments. One turn."""
    given = loaded_as(PackArguments, pointer)
    cell, panels, H = cell_marked(given.layout), given.panels, given.H
    sizes, fields = Sizes(given.D, H, given.P), Fields(given.W, given.U, given.V, given.b)
    L, depth = lanes_of(panels), panel_rows(cell, given.D, given.P)
    width = BLOCK * L
    for block in range(w, (H + L - 1) // L, workers):
        count = min(L, H - block * L)
        for row in range(depth):  # of all parts: a loop for each would be compiled for each
            part, source, place = _row_of(cell, row, fields, sizes)
            to, place = (block * depth + row) * width, place + block * L
            if count == L:  # said once more as a constant, that compiled code can count on
                _gates_into(cell, part, panels, to, source, place, H, L)
            else:
                _gates_into(cell, part, panels, to, source, place, H, count)
    into_second(w, workers, cell, given.V, sizes, given.second)


@compiled
def into_second(w: Any, workers: Any, cell: Any, V: Any, sizes: Any, second: Any) -> None:
    """The same for the panels of the second phase, if there is one."""
    if cell.multiplies_later:
        L, H, P = lanes_of(second), sizes.H, sizes.P
        width = BLOCK * L
        for q in range(w, panels_for(P, L), workers):
            count = min(width, P - q * width)
            for row in range(H):
                to = (q * H + row) * width
                copy(second, to, V, row * P + q * width, count)
                for unit in range(count, width):
                    second[to + unit] = 0


@compiled
def out_of_panels(w: Any, workers: Any, given: Any) -> None:
    """The weights' gradients from the panels of sums; a worker's share. given: a Backward.

    A panel has as many rows as whole tiles have; its last rows are those of unit weights. The second phase's panels are
    behind the first one's."""
    cell, gradients, panels = given.weights.cell, given.gradients, given.room.dp
    D, H, P = given.sizes.D, given.sizes.H, given.sizes.P
    fields = Fields(gradients.dW, gradients.dU, gradients.dV, gradients.db)
    L, depth = lanes_of(panels), panel_rows(cell, D, P)
    stride = whole_tiles(1 + D + P) + cell.weight_rows
    for block in range(w, (H + L - 1) // L, workers):
        for row in range(depth):
            part, out, place = _row_of(cell, row, fields, given.sizes)
            source = block * stride + row
            if row >= 1 + D + P:
                source += stride - depth
            for gate in range(BLOCK):
                column = column_of(cell, part, gate)
                if column >= 0:
                    copy(out, place + column * H + block * L, panels, (source * BLOCK + gate) * L,
                         min(L, H - block * L))  # fmt: skip
    if cell.multiplies_later:
        width, taller = BLOCK * L, whole_tiles(H)
        begin = (H + L - 1) // L * stride * width
        for q in range(w, panels_for(P, L), workers):
            count = min(width, P - q * width)
            for row in range(H):
                copy(gradients.dV, row * P + q * width, panels, begin + (q * taller + row) * width, count)


@compiled
def transpose_panels(w: Any, workers: Any, panels: Any, depth: Any, first: Any, R: Any, blocks: Any,
                     out: Any) -> None:  # fmt: skip
    """A worker's share of the panels that take gradients of z back to what z was made of: rows `first` to first + R
    of the weights become columns, (ceil(R / (4 lanes)), 4 lanes blocks, 4 lanes), z's columns rows in the panels'
    order; 0 behind column R, as far as products.product_of reads."""
    L = lanes_of(panels)
    width = BLOCK * L
    tiles = (R + width - 1) // width * BLOCK
    for job in range(w, tiles * blocks, workers):
        tile, block = job // blocks, job % blocks
        source = (block * depth + first + tile * L) * width
        to = (tile // BLOCK * blocks + block) * width * width + tile % BLOCK * L
        if (tile + 1) * L <= R:
            for gate in range(BLOCK):
                transpose(view(out, to + gate * L * width, width, 0), view(panels, source + gate * L, width, 0))
        elif tile * L < R:
            for row in range(L):
                for column in range(width):
                    real = row < R - tile * L
                    out[to + column * width + row] = panels[source + row * width + column] if real else 0
        elif tile % BLOCK < BLOCK // 2 or R - tile // BLOCK * width > width // 2:
            for column in range(width):
                for row in range(L):
                    out[to + column * width + row] = 0


def unpack(packed: Packed) -> AnyParams:
    """Panels -> the record of weights, new arrays."""
    panels, (D, H, P) = packed.panels, sizes(packed)
    cell, record = cell_in(packed), record_of(packed)
    nb, depth, width = panels.shape
    by_gate = panels.reshape(nb, depth, BLOCK, width // BLOCK).transpose(1, 2, 0, 3).reshape(depth, BLOCK, -1)[:, :, :H]
    begins = [0, 1, 1 + D, *range(1 + D + P, depth), depth]
    fields = "b", "W", "U", record._fields[2]
    found: dict[str, dict[int, NDArray[Any]]] = {field: {} for field in fields}
    for (number, columns), begin, end in zip(cell.parts, begins[:-1], begins[1:], strict=True):
        for gate, column in enumerate(columns):
            if column >= 0:
                found[fields[number]][column] = by_gate[begin:end, gate]
    arrays = {
        field: np.concatenate([blocks[n] for n in sorted(blocks)], axis=1) for field, blocks in found.items() if blocks
    }
    if packed.second is not None:
        arrays["V"] = packed.second.transpose(1, 0, 2).reshape(H, -1)[:, :P].copy()
    forms = shapes(record, D, H, P)
    return record(**{field: array.reshape(forms[field]) for field, array in arrays.items()})
