"""Weights laid out for the kernels.

A block is as many hidden units as a vector has lanes. A block's panel holds, row by row, the bias, the D rows of W and
the P rows of U (P, the width of h, is H but where h is a projection). A row has a vector for each gate: the columns of
those units, of the gates that read x in a row of W, of those that read h in a row of U, and of all gates in the bias.
Behind them rows of weights that no operand meets, where the cell's equations take such. Hidden sizes that do not fill
the last block are padded with zero weights, under which h and c stay 0.

A cell with a second phase has more panels: V's columns of four blocks of the units of h side by side.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells.phases import Cell
from ...cells.table import CELLS
from ...params import AnyParams, shapes, shown
from ..compiler.options import compiled, inlined, kernel
from ..compiler.run import loaded_as
from ..machine import memory
from ..vectors.rows import clear_vectors, copy, transpose, transpose_some
from ..vectors.target import BLOCK, lanes
from ..vectors.view import view
from ..vectors.views import lanes_of
from .arguments import PackArguments, Sizes
from .cell_type import BY_NUMBER, Mark, array_of, blocks_of, cell_marked, cell_with_mark, column_of, mark
from .sizes import (
    behind_h,
    behind_x,
    gate_place,
    group_of,
    inputs_of,
    panel_vectors,
    panels_for,
    sums_of_group,
    vectors_for,
    whole_tiles,
)


class Packed(NamedTuple):
    """One layer's weights in panels, made by `pack`; takes the place of Params, also in @njit code.

    Attributes
    ----------
    panels : ndarray, shape (ceil(H / lanes), vectors, lanes)
        vectors: of the gates' bias, D rows of W, P rows of U, and the rows of weights that the equations take.
    hidden_size : int
        H.
    output_size : int
        P, the width of h: H but where h is a projection.
    layout : ndarray, empty, or Mark
        What stands for the cell and for this layout (cell_type.mark).
    second : ndarray, shape (ceil(P / (4 lanes)), H, 4 lanes), or None
        Panels of the second phase, where the cell has one with a product.
    """

    panels: NDArray[Any]
    hidden_size: int
    output_size: int
    layout: Any = mark(CELLS[0])
    second: NDArray[Any] | None = None

    def __repr__(self) -> str:
        return shown(self)

    def copy(self) -> Packed:
        """The same in memory of its own that begins on a cache line."""
        panels, H, P, layout, second = self
        return Packed(_own(panels), H, P, layout, None if second is None else _own(second))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, tuple(self)


def _own(panels: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    found = memory.aligned(panels.shape, panels.dtype if dtype is None else dtype)
    found[...] = panels
    return found


def _again(panels: NDArray[Any], H: int, P: int, layout: Any, second: NDArray[Any] | None) -> Packed:
    """Packed from a pickle, which keeps no array's place in memory, nor that there is one dtype object of a kind."""
    one, dtype = cell_with_mark(layout), np.dtype(panels.dtype.type)
    layout = layout if one is None else mark(one)
    return Packed(_own(panels, dtype), H, P, layout, None if second is None else _own(second, dtype))


def cell_in(packed: Packed) -> Cell:
    """The cell whose weights they are."""
    layout = packed.layout
    return layout.cell if type(layout) is Mark else BY_NUMBER[layout.dtype.num]


_inputs = functools.lru_cache(1024)(inputs_of)  # asked for at every call


def sizes(packed: Packed) -> tuple[int, int, int]:
    """D, H and P, the width of h."""
    panels, H, P, layout, _ = packed
    cell = layout.cell if type(layout) is Mark else BY_NUMBER[layout.dtype.num]
    return _inputs(cell, panels.shape[1], P), H, P


def blocks(hidden_size: int, itemsize: int) -> int:
    """Vectors that hold that many units."""
    return -(-hidden_size // lanes(itemsize))


def wide_blocks(output_size: int, itemsize: int) -> int:
    """Panels of a second phase: four blocks each."""
    return -(-blocks(output_size, itemsize) // BLOCK)


@functools.cache
def fourth(record: type[AnyParams]) -> str:
    """The field of the array that is neither W, U nor b: V of a second phase, or unit weights. b if there is none."""
    return next((field for field in record._fields if field not in ("W", "U", "b")), "b")


@inlined
def row_length(cell: Any, array: Any, H: Any) -> Any:
    """Numbers in a row of b (0), W (1), U (2) or unit weights (3)."""
    return blocks_of(cell, array) * H


class Fields(NamedTuple):
    """The arrays of a record of weights, or of their gradients, flat. V: the one that is neither W, U nor b, or any
    array."""

    W: Any
    U: Any
    V: Any
    b: Any


class Row(NamedTuple):
    """What a panel's row comes from: number and array of the part, and where there the row begins; and where it is: its
    first vector in the panel, and the gates that it has."""

    part: Any
    array: Any
    place: Any
    vector: Any
    gate: Any
    gates: Any


@inlined
def _row_of(cell: Any, row: Any, fields: Any, sizes: Any) -> Any:
    """Of b, the rows of W, those of U, and those of unit weights."""
    D, P, G = sizes.D, sizes.P, cell.gate_count
    if row == 0:
        return Row(0, fields.b, 0, 0, 0, G)
    if row <= D:
        return Row(1, fields.W, (row - 1) * row_length(cell, 1, sizes.H), G + (row - 1) * cell.of_x, 0, cell.of_x)
    if row > D + P:
        part, vector = row - D - P + 2, behind_h(cell, D, P) + (row - 1 - D - P) * G
        if array_of(cell, part) == 0:
            return Row(part, fields.b, 0, vector, 0, G)
        return Row(part, fields.V, 0, vector, 0, G)
    n = row - 1 - D
    return Row(2, fields.U, n * row_length(cell, 2, sizes.H), behind_x(cell, D) + n * cell.of_h, G - cell.of_h, G)


@inlined
def _gates_into(cell: Any, row: Any, panels: Any, to: Any, first: Any, H: Any, count: Any) -> None:
    """That many units of each gate of a row, from `first` on, into a panel, and zeros. to: where the panel begins."""
    L = lanes_of(panels)
    for gate in range(row.gate, row.gates):
        column, at, found = column_of(cell, row.part, gate), to + (row.vector + gate - row.gate) * L, 0
        if column >= 0:
            found = count
            copy(panels, at, row.array, row.place + column * H + first, count)
        for unit in range(found, L):
            panels[at + unit] = 0


@kernel
def into_panels(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A worker's share of the blocks of panels, from W, U, V and b. pointer: to PackArguments. One turn."""
    given = loaded_as(PackArguments, pointer)
    cell, panels, H = cell_marked(given.layout), given.panels, given.H
    sizes, fields = Sizes(given.D, H, given.P), Fields(given.W, given.U, given.V, given.b)
    L, rows = lanes_of(panels), 1 + given.D + given.P + cell.weight_rows
    panel = panel_vectors(cell, given.D, given.P) * L
    for block in range(w, (H + L - 1) // L, workers):
        count = min(L, H - block * L)
        for number in range(rows):  # of all parts: a loop for each would be compiled for each
            row = _row_of(cell, number, fields, sizes)
            if count == L:  # said once more as a constant, that compiled code can count on
                _gates_into(cell, row, panels, block * panel, block * L, H, L)
            else:
                _gates_into(cell, row, panels, block * panel, block * L, H, count)
    into_second(w, workers, cell, fields, sizes, given.second)


@inlined
def later_weights(cell: Any, fields: Any, sizes: Any) -> Any:
    """The array that V of a second phase is in, where it begins there, and the numbers of a row."""
    if cell.later_array == 2:
        return fields.U, cell.later_block * sizes.H, row_length(cell, 2, sizes.H)
    return fields.V, 0, sizes.P


@compiled
def into_second(w: Any, workers: Any, cell: Any, fields: Any, sizes: Any, second: Any) -> None:
    """The same for the panels of the second phase, if there is one."""
    if cell.multiplies_later:
        L, H, P = lanes_of(second), sizes.H, sizes.P
        width, (V, first, length) = BLOCK * L, later_weights(cell, fields, sizes)
        for q in range(w, panels_for(P, L), workers):
            count = min(width, P - q * width)
            for row in range(H):
                to = (q * H + row) * width
                copy(second, to, V, first + row * length + q * width, count)
                for unit in range(count, width):
                    second[to + unit] = 0


@compiled
def out_of_panels(w: Any, workers: Any, given: Any) -> None:
    """The weights' gradients from the sums over rows (sums.py); a worker's share, of what it has added up itself.
    given: a Backward."""
    cell, gradients, sums = given.weights.cell, given.gradients, given.room.dp
    D, H, P = given.sizes.D, given.sizes.H, given.sizes.P
    fields = Fields(gradients.dW, gradients.dU, gradients.dV, gradients.db)
    L = lanes_of(sums)
    width, nb, place = BLOCK * L, (H + L - 1) // L, 0
    for number in range(3):
        group = group_of(cell, number, D, P)
        tall = whole_tiles(group.operands)
        for vector in range(nb * group.gates):
            if vector // BLOCK % workers == w:
                gate, unit = group.gate + vector % group.gates, vector // group.gates * L
                from_ = place + vector // BLOCK * tall * width + vector % BLOCK * L
                for n in range(group.operands):
                    operand = group.operand + n  # of [x, 1, h]
                    row = _row_of(cell, 0 if operand == D else operand + 1 if operand < D else operand, fields,
                                  given.sizes)  # fmt: skip
                    column = column_of(cell, row.part, gate)
                    if column >= 0:
                        copy(row.array, row.place + column * H + unit, sums, from_ + n * width, min(L, H - unit))
        place += sums_of_group(cell, number, L, D, H, P)
    if cell.multiplies_later:
        taller, (dV, first, length) = whole_tiles(H), later_weights(cell, fields, given.sizes)
        for q in range(w, panels_for(P, L), workers):
            count = min(width, P - q * width)
            for row in range(H):
                copy(dV, first + row * length + q * width, sums, place + (q * taller + row) * width, count)
        place += panels_for(P, L) * taller * width
    for block in range(w, nb, workers):
        for n in range(cell.weight_rows):
            row = _row_of(cell, 1 + D + P + n, fields, given.sizes)
            for gate in range(cell.gate_count):
                column = column_of(cell, row.part, gate)
                if column >= 0:
                    copy(row.array, row.place + column * H + block * L, sums,
                         place + ((block * cell.weight_rows + n) * cell.gate_count + gate) * L,
                         min(L, H - block * L))  # fmt: skip


@compiled
def transpose_gates(w: Any, workers: Any, cell: Any, of_h: Any, weights: Any, sizes: Any, out: Any) -> None:
    """A worker's share of the panels that take gradients of z back to x, or to h: W or U transposed, (ceil(R / (4
    lanes)), lanes vectors, 4 lanes), R being D or P, and the rows in the order of a row of dz. weights: a view of the
    rows of W or U and of the blocks of panels."""
    L = lanes_of(out)
    nb = vectors_for(sizes.H, L)
    R, first, gates = sizes.D, 0, cell.of_x
    if of_h:
        R, first, gates = sizes.P, cell.gate_count - cell.of_h, cell.of_h
    for job in range(w, panels_for(R, L) * BLOCK * nb, workers):
        tile, block = job // nb, job % nb
        for n in range(gates):
            place = gate_place(cell, first + n, block, nb) - nb * first
            _transpose(tile, R, weights.at(0, block) + n * L, out, nb * gates, place)


@compiled
def transpose_panels(w: Any, workers: Any, panels: Any, H: Any, P: Any, out: Any) -> None:
    """The same of V, from the panels of the second phase."""
    L = lanes_of(panels)
    width, blocks = BLOCK * L, panels_for(P, L)
    for job in range(w, panels_for(H, L) * BLOCK * blocks, workers):
        tile, block = job // blocks, job % blocks
        for n in range(BLOCK):
            _transpose(tile, H, view(panels, block * H * width + n * L, width, 0), out, blocks * BLOCK,
                       block * BLOCK + n)  # fmt: skip


@compiled
def _transpose(tile: Any, R: Any, weights: Any, out: Any, depth: Any, place: Any) -> None:
    """A vector of columns of weights, the rows of tile number `tile` of R of them, to vector `place` of the `depth`
    vectors of rows of a panel; 0 behind column R, as far as products.product_of reads."""
    L = lanes_of(out)
    to = out.at((tile // BLOCK * depth + place) * L, 0) + tile % BLOCK * L
    if (tile + 1) * L <= R:
        transpose(to, weights.at(tile * L, 0))
    elif tile * L < R:
        transpose_some(to, weights.at(tile * L, 0), R - tile * L)
    elif tile % BLOCK < BLOCK // 2 or R - tile // BLOCK * BLOCK * L > BLOCK // 2 * L:
        clear_vectors(to, L, L)


def unpack(packed: Packed) -> AnyParams:
    """Panels -> the record of weights, new arrays."""
    (D, H, P), cell = sizes(packed), cell_in(packed)
    record = cell.record
    rows = packed.panels.transpose(1, 0, 2).reshape(packed.panels.shape[1], -1)[:, :H]  # a row for each vector
    G, begin = cell.gate_count, 0
    fields = "b", "W", "U", fourth(record)
    found: dict[str, dict[int, NDArray[Any]]] = {field: {} for field in fields}
    counts = [1, D, P] + [1] * cell.weight_rows
    readers = [range(G), range(cell.of_x), range(G - cell.of_h, G)] + [range(G)] * cell.weight_rows
    for (number, columns), count, gates in zip(cell.parts, counts, readers, strict=True):
        by_gate = rows[begin : begin + count * len(gates)].reshape(count, len(gates), H)
        begin += count * len(gates)
        for n, gate in enumerate(gates):
            if columns[gate] >= 0:
                found[fields[number]][columns[gate]] = by_gate[:, n]
    if packed.second is not None:
        found[fields[cell.later_array]][cell.later_block] = packed.second.transpose(1, 0, 2).reshape(H, -1)[:, :P]
    none = rows[:0]  # of the numbers of a field that has no block
    arrays = {
        field: np.concatenate([blocks[n] for n in sorted(blocks)], axis=1) if blocks else none
        for field, blocks in found.items()
    }
    return record(*(arrays[field].reshape(form) for field, form in shapes(record, D, H, P).items()))
