"""What the table says of a cell, as constants in compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, models, register_model
from numba.np.numpy_support import as_dtype

from ...cells.phases import Cell
from ...cells.table import cell_named

# the dtype of Packed.layout, which stands for the cell in the types that Numba sees
_MARKS = {
    "standard": np.bool_, "interpolated": np.int8, "projected": np.uint8, "peephole": np.int16, "normalized": np.uint16,
    "gru": np.int32,
}  # fmt: skip
_BY_MARK = {np.dtype(mark): cell_named(name) for name, mark in _MARKS.items()}
_KNOWN = (
    "alone", "carries_t", "fills_panels", "gate_count", "kept", "multiplies_later", "normalizes", "of_h", "of_x",
    "passes_h", "phase_count", "projects", "reads_h", "weight_rows",
)  # fmt: skip


def mark_of(cell: Cell) -> Any:
    """The dtype that stands for a cell."""
    return np.dtype(_MARKS[cell.name])


def cell_of(mark: Any) -> Cell:
    """The cell that a dtype stands for; KeyError if it is none."""
    return _BY_MARK[mark]


class CellType(types.Type):  # type: ignore[misc]
    """A cell, in the types that Numba sees; its values take no room.

    Compiled code reads properties of `Cell` from it, cell.kept and the like: constants. In a helper, a branch on one is
    left out before it is compiled, if it is not taken (`parts.KnownFields`)."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.known = {name: getattr(cell, name) for name in _KNOWN}
        super().__init__(f"Cell({cell.name})")


@register_model(CellType)
class _Model(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [])


@infer_getattr
class _Attributes(AttributeTemplate):  # type: ignore[misc]
    key = CellType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        known = kind.known.get(name)
        return None if known is None else types.boolean if isinstance(known, bool) else types.intp


@lower_getattr_generic(CellType)
def _attribute(context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
    known = kind.known[name]
    return context.get_constant(types.boolean if isinstance(known, bool) else types.intp, known)


def marked(layout: Any) -> Cell:
    """The cell that Packed.layout stands for, by its Numba type."""
    return cell_of(as_dtype(layout.dtype))


@intrinsic  # type: ignore[misc]
def cell_marked(typing: Any, layout: Any) -> Any:
    """The cell that Packed.layout stands for."""
    kind = CellType(marked(layout))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant_undef(kind)

    return kind(layout), generate


def _looked_up(builder: Any, numbers: list[int], place: Any) -> Any:
    """One of some constant numbers."""
    word = ir.IntType(64)
    table = cgutils.global_constant(builder.module, "table", ir.Constant(ir.ArrayType(word, len(numbers)), numbers))
    return builder.load(builder.gep(table, [ir.Constant(word, 0), place]))


@intrinsic  # type: ignore[misc]
def column_of(typing: Any, cell: Any, part: Any, gate: Any) -> Any:
    """Where a gate's block of columns is in the array of a part (Cell.parts), in blocks; -1: nowhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, part, gate = args
        numbers = [column for _, row in cell.cell.parts for column in row]
        row = builder.mul(part, ir.Constant(part.type, cell.cell.gate_count))
        return _looked_up(builder, numbers, builder.add(row, gate))

    return types.intp(cell, types.intp, types.intp), generate


@intrinsic  # type: ignore[misc]
def array_of(typing: Any, cell: Any, part: Any) -> Any:
    """The number of the array that a part comes from: b, W, U, and the fourth of a cell that has one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, part = args
        return _looked_up(builder, [array for array, _ in cell.cell.parts], part)

    return types.intp(cell, types.intp), generate


@intrinsic  # type: ignore[misc]
def blocks_of(typing: Any, cell: Any, array: Any) -> Any:
    """Blocks of columns that an array has, of H numbers each."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, array = args
        numbers = [0] * 4
        for number, row in cell.cell.parts:
            numbers[number] = max(numbers[number], 1 + max(row))
        return _looked_up(builder, numbers, array)

    return types.intp(cell, types.intp), generate
