"""What the table says of a cell, as constants in compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from ...cells.cell import Cell
from ...cells.table import cell_named
from ..vectors.target import BLOCK

# the dtype of Packed.layout, which stands for the cell in the types that Numba sees
_MARKS = {
    "standard": np.bool_, "interpolated": np.int8, "projected": np.uint8, "peephole": np.int16, "normalized": np.uint16,
}  # fmt: skip
_BY_MARK = {np.dtype(mark): cell_named(name) for name, mark in _MARKS.items()}


def mark_of(cell: Cell) -> Any:
    """The dtype that stands for a cell."""
    return np.dtype(_MARKS[cell.name])


def cell_of(mark: Any) -> Cell:
    """The cell that a dtype stands for; KeyError if it is none."""
    return _BY_MARK[mark]


def later(cell: Cell) -> int:
    """Axes of the array that stands for the later phases in the types that Numba sees, by which it leaves out what a
    cell does not have: 3 for panels of a second one, 2 for those of a normalized cell, 1 for none."""
    return 3 if cell.multiplies_later else 2 if cell.normalizes else 1


def marked(kind: Any) -> Cell:
    """The cell that an array's Numba type stands for."""
    return cell_of(as_dtype(kind.dtype))


@intrinsic  # type: ignore[misc]
def kept_of(typing: Any, cell: Any) -> Any:
    """Vectors of a block on the tape; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), marked(cell).kept)

    return types.intp(cell), generate


@intrinsic  # type: ignore[misc]
def projects(typing: Any, cell: Any) -> Any:
    """Whether the second phase is a projection; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), marked(cell).projects)

    return types.boolean(cell), generate


@intrinsic  # type: ignore[misc]
def width_of(typing: Any, cell: Any, H: Any, P: Any) -> Any:
    """P, the width of h; H where it can be nothing else, so that compiled code has one number less."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[2] if marked(cell).projects else args[1]

    return types.intp(cell, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def rows_of_vectors(typing: Any, cell: Any) -> Any:
    """Rows of a panel that hold weights for the equations; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), len(marked(cell).unit_weights))

    return types.intp(cell), generate


@intrinsic  # type: ignore[misc]
def of_x(typing: Any, cell: Any) -> Any:
    """Gates that read x; a constant in the compiled code."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), marked(cell).of_x)

    return types.intp(cell), generate


def _looked_up(builder: Any, numbers: list[int], place: Any) -> Any:
    """One of some constant numbers."""
    word = ir.IntType(64)
    table = cgutils.global_constant(builder.module, "table", ir.Constant(ir.ArrayType(word, len(numbers)), numbers))
    return builder.load(builder.gep(table, [ir.Constant(word, 0), place]))


@intrinsic  # type: ignore[misc]
def column_of(typing: Any, cell: Any, part: Any, gate: Any) -> Any:
    """Where a gate's block of columns is in the array of a part (Cell.parts), in blocks; -1: nowhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = [column for _, row in marked(cell).parts for column in row]
        place = builder.add(builder.mul(args[1], ir.Constant(args[1].type, BLOCK)), args[2])
        return _looked_up(builder, numbers, place)

    return types.intp(cell, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def array_of(typing: Any, cell: Any, part: Any) -> Any:
    """The number of the array that a part comes from: b, W, U, and the fourth of a cell that has one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _looked_up(builder, [array for array, _ in marked(cell).parts], args[1])

    return types.intp(cell, types.intp), generate


@intrinsic  # type: ignore[misc]
def blocks_of(typing: Any, cell: Any, array: Any) -> Any:
    """Blocks of columns that an array has, of H numbers each."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = [0] * 4
        for number, row in marked(cell).parts:
            numbers[number] = max(numbers[number], 1 + max(row))
        return _looked_up(builder, numbers, args[1])

    return types.intp(cell, types.intp), generate
